"""The picture of a sweep: a column for each value, its samples above the trace of its evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE, finish
from tfgan_lab.posts.reference import reference_of
from tfgan_lab.report.drawings import drawing_of
from tfgan_lab.words import of_post

_COLUMNS = 5  # values side by side; more go below

_LABELS = {
    "p_real": "D(x), real",
    "p_fake": "D(G(z)), generated",
    "fake_mean": "generated mean",
    "fake_std": "generated std",
}
_UNITS = {"p_real": "probability of real", "fake_mean": "data units", "accuracy": "share right"}


def side_by_side(outcomes: Sequence[Any], field: str, config: Any, provenance: str) -> Figure:
    """Samples and evaluations of every run of a sweep.

    Args:
      outcomes: `tfgan_lab.studies.sweep.Outcome`s.
      field: The field that was changed.
      config: The config that was swept.
      provenance: Below.
    """
    rows = 1 if all(outcome.samples is None for outcome in outcomes) else 2
    columns = min(len(outcomes), _COLUMNS)
    blocks = math.ceil(len(outcomes) / columns)
    balance = reference_of(config, {}).balance.get("p_real")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows * blocks,
            columns,
            figsize=(max(3.1 * columns, 6), (2.9 * rows + 0.4) * blocks + 0.4),
            squeeze=False,
            layout="constrained",
        )
        # One column of axes for each value, block after block.
        stacks = axes.reshape(blocks, rows, columns).transpose(0, 2, 1).reshape(-1, rows)
        for outcome, stack in zip(outcomes, stacks, strict=False):
            if rows == 2:
                _samples(stack[0], outcome.samples, config)
            stack[0].set_title(f"{field} = {outcome.value}{_summary(outcome)}")
            _traces(stack[-1], outcome.rows, balance)
        for stack in stacks[1 : len(outcomes)]:
            stack[-1].sharey(stacks[0, -1])
        for axis in stacks[len(outcomes) :].flat:
            axis.set_visible(False)
        if stacks[0, -1].get_legend_handles_labels()[1]:
            stacks[0, -1].legend(fontsize=8)
        title = f"{config.name}, {of_post(config.post)}" + ("" if field == "seed" else f", seed {config.seed}")
        return finish(figure, title, provenance)


def _summary(outcome: Any) -> str:
    if outcome.diverged:
        return f"\n{outcome.diverged}"
    digits = outcome.numbers.get("digits")
    return (
        ""
        if digits is None
        else f"\nclasses drawn: {digits:.0f}, classifier score {outcome.numbers['classifier_score']:.2f}"
    )


def _samples(axis: Any, samples: np.ndarray | None, config: Any) -> None:
    if samples is not None:
        drawing_of(config).panel(axis, samples, config)
        return
    axis.grid(visible=False)
    axis.set(xticks=[], yticks=[])


def _traces(axis: Any, rows: Sequence[dict[str, Any]], balance: float | None) -> None:
    evaluations = [row for row in rows if row["kind"] == "eval"]
    names = [
        name
        for name, value in (evaluations[0] if evaluations else {}).items()
        if isinstance(value, float) and name != "epoch"
    ]
    for name, color in zip(names, (BLUE, ORANGE, GREEN, RED), strict=False):
        epochs, values = [row["epoch"] for row in evaluations], [row[name] for row in evaluations]
        axis.plot(
            epochs,
            values,
            color=color,
            linewidth=1.3,
            marker="o" if len(values) < 3 else None,
            label=_LABELS.get(name, name),
        )
    if "p_real" in names and balance is not None:
        axis.axhline(balance, color=GREY, linestyle="--", linewidth=1)
        axis.set_ylim(0, 1)
    unit = _UNITS.get(names[0], names[0]) if names else ""
    axis.set(xlabel="epoch", ylabel="sigmoid of D" if "p_real" in names and balance is None else unit)
