"""A classifier on the test split: its metrics, its confusion matrix, and post P001's bars of its outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab import metrics
from tfgan_lab.evaluation.rows import Metric
from tfgan_lab.figures import BLUE, ORANGE, STYLE, write_figure
from tfgan_lab.words import of_post

METRICS = {
    "accuracy": Metric("accuracy", "higher"),
    "accuracy_own": Metric("accuracy, BatchNorm on each image's own statistics", "higher"),
    "accuracy_running": Metric("accuracy, BatchNorm on running statistics", "higher"),
}


def metrics_for(names: Sequence[str]) -> dict[str, Metric]:
    """The table's rows for classes of these names."""
    return METRICS | {f"accuracy_{k}": Metric(f"accuracy on class {name}", "higher") for k, name in enumerate(names)}


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a classifier says of N images.

    Attributes:
      scores: [N, classes].
      labels: The true ones, int [N].
    """

    scores: np.ndarray
    labels: np.ndarray

    @property
    def confusion(self) -> np.ndarray:
        """Counts, int [true, predicted]."""
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.scores.argmax(axis=1), labels=range(self.scores.shape[1]))


def column(answers: Answers) -> dict[str, Any]:
    """Accuracy over all and by true class."""
    found = metrics.label_accuracy(answers.scores.argmax(axis=1), answers.labels, answers.scores.shape[1])
    return {"accuracy": found.overall, **{f"accuracy_{k}": of for k, of in enumerate(found.per_class)}}


def picture_files(folder: Path) -> list[Path]:
    """What `write_pictures` writes into a folder."""
    return [folder / f"{name}.{ending}" for name in ("confusion", "scores") for ending in ("png", "svg")]


def write_pictures(folder: Path, answers: Answers, test: Any, config: Any) -> list[str]:
    """Writes confusion.png and scores.png (and .svg) and returns their names."""
    provenance = f"{test.provenance}; {of_post(config.post)}, seed {config.seed}"
    names = config.data.called(answers.scores.shape[1])
    right = column(answers)["accuracy"].value
    first = (test.images[0], answers.scores[0], int(answers.labels[0]))
    figures = {
        "confusion": confusion(answers.confusion, names, f"{config.name}: {right:.2%} right", provenance),
        "scores": scores(*first, names, f"{config.name}: the first test image", provenance),
    }
    return [write_figure(folder, name, figure) for name, figure in figures.items()]


def confusion(counts: np.ndarray, names: Sequence[str], title: str, provenance: str) -> Figure:
    """A confusion matrix, int [true, predicted]; colours show the mistakes, which the diagonal would outshine."""
    with plt.rc_context(STYLE | {"axes.grid": False}):
        side = min(40.0, max(5.4, 0.54 * len(counts)))
        figure, axis = plt.subplots(figsize=(side + 0.2, side), layout="constrained")
        mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
        axis.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, int(mistakes.max())))
        for true, predicted in np.argwhere(counts):
            count = counts[true, predicted]
            dark = true != predicted and count > 0.6 * max(1, mistakes.max())
            look = {"fontweight": "bold" if true == predicted else "normal", "color": "white" if dark else "black"}
            axis.text(predicted, true, f"{count:,}", ha="center", va="center", fontsize=8, **look)
        axis.set(xlabel="predicted class", ylabel="true class", title=title)
        axis.set_xticks(range(len(counts)), names, rotation=_turned(names), parse_math=False)
        axis.set_yticks(range(len(counts)), names, parse_math=False)
        axis.spines[:].set_visible(False)
        figure.supxlabel(provenance, fontsize=7, color="#555555")
        return figure


def scores(
    image: np.ndarray, values: np.ndarray, label: int, names: Sequence[str], title: str, provenance: str
) -> Figure:
    """One image, uint8 [H, W, C], its true class, and a bar for each of the classifier's outputs in [0, 1] (post P001)."""
    with plt.rc_context(STYLE):
        size = (min(40.0, max(7.2, 0.5 * len(values))), 3.2)
        figure, (left, right) = plt.subplots(1, 2, figsize=size, width_ratios=(1, 1.9), layout="constrained")
        left.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        left.set_title(f"true class {names[label]}", parse_math=False)
        left.axis("off")
        colors = [ORANGE if k == label else BLUE for k in range(len(values))]
        bars = right.bar(range(len(values)), values, color=colors)
        right.bar_label(bars, [f"{value:.2f}" for value in values], fontsize=7)
        title_of_bars = f"the {len(values)} outputs"
        right.set(xlabel="class (the true one orange)", ylabel="score", ylim=(0, 1.08), title=title_of_bars)
        right.set_xticks(range(len(values)), names, rotation=_turned(names), parse_math=False)
        right.grid(axis="x", visible=False)
        figure.suptitle(title)
        figure.supxlabel(provenance, fontsize=7, color="#555555")
        return figure


def _turned(names: Sequence[str]) -> int:
    """By how many degrees names under an axis are turned, so that long ones do not meet."""
    return 90 if max(map(len, names)) > 2 else 0
