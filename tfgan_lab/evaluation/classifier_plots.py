"""A classifier on the test split: its confusion matrix, and post P001's bar of ten outputs for one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab.evaluation.accuracy import Answers
from tfgan_lab.figures import BLUE, ORANGE, STYLE, write_figure
from tfgan_lab.words import of_post


def files(folder: Path) -> list[Path]:
    """What `write` writes into a folder."""
    return [folder / f"{name}.{ending}" for name in ("confusion", "scores") for ending in ("png", "svg")]


def write(folder: Path, answers: Answers, test: Any, config: Any) -> list[str]:
    """Writes confusion.png and scores.png (and .svg) and returns their names."""
    provenance = f"{test.provenance}; {of_post(config.post)}, seed {config.seed}"
    right = float((answers.scores.argmax(axis=1) == answers.labels).mean())
    figures = {
        "confusion": confusion(answers.confusion, f"{config.name}: {right:.2%} right", provenance),
        "scores": scores(
            test.images[0],
            answers.scores[0],
            int(answers.labels[0]),
            f"{config.name}: the first test image",
            provenance,
        ),
    }
    return [write_figure(folder, name, figure) for name, figure in figures.items()]


def confusion(counts: np.ndarray, title: str, provenance: str) -> Figure:
    """A confusion matrix with its counts; colours show the mistakes, which the diagonal would outshine.

    Args:
      counts: int [true, predicted].
      title: Above.
      provenance: Below.
    """
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axis = plt.subplots(figsize=(5.6, 5.4), layout="constrained")
        mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
        axis.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, int(mistakes.max())))
        for true, row in enumerate(counts):
            for predicted, count in enumerate(row):
                dark = true != predicted and count > 0.6 * max(1, mistakes.max())
                weight = "bold" if true == predicted else "normal"
                axis.text(
                    predicted,
                    true,
                    f"{count:,}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    fontweight=weight,
                    color="white" if dark else "black",
                )
        ticks = range(len(counts))
        axis.set(xlabel="predicted class", ylabel="true class", xticks=ticks, yticks=ticks, title=title)
        for spine in axis.spines.values():
            spine.set_visible(False)
        figure.supxlabel(provenance, fontsize=7, color="#555555")
        return figure


def scores(image: np.ndarray, values: np.ndarray, label: int, title: str, provenance: str) -> Figure:
    """One image and a bar for each of the classifier's outputs (post P001).

    Args:
      image: uint8 [H, W, 1].
      values: [classes], in [0, 1].
      label: The true class.
      title: Above.
      provenance: Below.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), width_ratios=(1, 1.9), layout="constrained")
        left.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        left.set_title(f"true class {label}")
        left.axis("off")
        colors = [ORANGE if k == label else BLUE for k in range(len(values))]
        bars = right.bar(range(len(values)), values, color=colors)
        right.bar_label(bars, [f"{value:.2f}" for value in values], fontsize=7)
        right.set(
            xlabel="class (the true one orange)",
            ylabel="score",
            xticks=range(len(values)),
            ylim=(0, 1.08),
            title="the ten outputs",
        )
        right.grid(axis="x", visible=False)
        figure.suptitle(title)
        figure.supxlabel(provenance, fontsize=7, color="#555555")
        return figure
