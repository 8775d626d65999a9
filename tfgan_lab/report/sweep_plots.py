"""The picture of a sweep: a column for each value, its samples above the trace of its evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab import images as images_lib
from tfgan_lab.report.plots import BLUE, GREEN, GREY, ORANGE, RED, STYLE
from tfgan_lab.report.samples import columns_of

_LABELS = {"p_real": "D(x), real", "p_fake": "D(G(z)), generated", "fake_mean": "generated mean", "fake_std": "generated std"}


def side_by_side(outcomes: Sequence[Any], field: str, config: Any) -> Figure:
    """Samples and evaluations of every run of a sweep.

    Args:
      outcomes: `tfgan_lab.sweep.Outcome`s.
      field: The field that was changed.
      config: The config that was swept.
    """
    rows = 1 if all(outcome.samples is None for outcome in outcomes) else 2
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, len(outcomes), figsize=(max(3.1 * len(outcomes), 6), 2.9 * rows + 0.8), squeeze=False, layout="constrained")
        for outcome, column in zip(outcomes, axes.T, strict=True):
            if rows == 2:
                _samples(column[0], outcome.samples, columns_of(config) if config.kind == "gan" else None)
            column[0].set_title(f"{field} = {outcome.value}{_summary(outcome)}")
            _traces(column[-1], outcome.rows)
        for axis in axes[-1, 1:]:
            axis.sharey(axes[-1, 0])
        handles, labels = axes[-1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)))
        figure.suptitle(f"{config.name}, post {config.post}, seed {config.seed}")
        return figure


def _summary(outcome: Any) -> str:
    if outcome.diverged:
        return f"\n{outcome.diverged}"
    digits = outcome.numbers.get("digits")
    return "" if digits is None else f"\n{digits:.0f} digits drawn, score {outcome.numbers['classifier_score']:.2f}"


def _samples(axis: Any, samples: np.ndarray | None, columns: int | None) -> None:
    if samples is not None and samples.ndim == 4:
        picture = images_lib.grid(samples[:100], columns)
        axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    elif samples is not None:
        axis.hist(samples.ravel(), bins=60, density=True, color=ORANGE, alpha=0.6)
        axis.set(xlabel="value", ylabel="density")
        return
    axis.grid(visible=False)
    axis.set(xticks=[], yticks=[])


def _traces(axis: Any, rows: Sequence[dict[str, Any]]) -> None:
    evaluations = [row for row in rows if row["kind"] == "eval"]
    names = [name for name, value in (evaluations[0] if evaluations else {}).items() if isinstance(value, float) and name != "epoch"]
    for name, color in zip(names, (BLUE, ORANGE, GREEN, RED), strict=False):
        epochs, values = [row["epoch"] for row in evaluations], [row[name] for row in evaluations]
        axis.plot(epochs, values, color=color, linewidth=1.3, marker="o" if len(values) < 3 else None, label=_LABELS.get(name, name))
    if "p_real" in names:
        axis.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
        axis.set_ylim(0, 1)
    axis.set(xlabel="epoch")
