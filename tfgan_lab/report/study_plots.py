"""Pictures of many runs: of a sweep, of a study, of a rescue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfgan_lab.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE, finish, spread
from tfgan_lab.posts.reference import reference_of
from tfgan_lab.records import numbers_of
from tfgan_lab.report.drawings import drawing_of
from tfgan_lab.report.plots import line
from tfgan_lab.words import of_post

_VALUES = 5  # of a sweep, side by side; more go below
_COLUMNS = 3  # of a study's numbers
_LABELS = {
    "p_real": "D(x), real", "p_fake": "D(G(z)), generated", "fake_mean": "generated mean", "fake_std": "generated std"
}  # fmt: skip
_UNITS = {"p_real": "probability of real", "fake_mean": "data units", "accuracy": "share right"}


def side_by_side(outcomes: Sequence[Any], field: str, config: Any, provenance: str) -> Figure:
    """A sweep of a config's field: a column for each outcome, its samples above the trace of its evaluations.

    `outcomes` are `tfgan_lab.studies.sweep.Outcome`s.
    """
    rows = 1 if all(outcome.samples is None for outcome in outcomes) else 2
    columns = min(len(outcomes), _VALUES)
    blocks = math.ceil(len(outcomes) / columns)
    balance = reference_of(config, {}).balance.get("p_real")
    with plt.rc_context(STYLE):
        size = (max(3.1 * columns, 6), (2.9 * rows + 0.4) * blocks + 0.4)
        figure, axes = plt.subplots(rows * blocks, columns, figsize=size, squeeze=False, layout="constrained")
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
    if "digits" not in outcome.numbers:
        return ""
    return "\nclasses drawn: {digits:.0f}, classifier score {classifier_score:.2f}".format(**outcome.numbers)


def _samples(axis: Any, samples: np.ndarray | None, config: Any) -> None:
    if samples is not None:
        drawing_of(config).panel(axis, samples, config)
    else:
        axis.grid(visible=False)
        axis.set(xticks=[], yticks=[])


def _traces(axis: Any, rows: Sequence[dict[str, Any]], balance: float | None) -> None:
    evaluations = [row for row in rows if row["kind"] == "eval"]
    names = list(numbers_of(evaluations[0])) if evaluations else []
    for name, color in zip(names, (BLUE, ORANGE, GREEN, RED), strict=False):
        line(axis, evaluations, name, _LABELS.get(name, name), color)
    if "p_real" in names and balance is not None:
        axis.axhline(balance, color=GREY, linestyle="--", linewidth=1)
        axis.set_ylim(0, 1)
    unit = _UNITS.get(names[0], names[0]) if names else ""
    axis.set(xlabel="epoch", ylabel="sigmoid of D" if "p_real" in names and balance is None else unit)


def dots_of_seeds(result: Mapping[str, Any]) -> Figure:
    """All numbers of a study: dots are seeds, the bar is their median, its line the interval."""
    names, rows = result["numbers"], result["rows"]
    columns = max(1, min(_COLUMNS, len(names)))
    blocks = max(1, math.ceil(len(names) / columns))
    labels = ["\n".join(_settings(row["values"])) or "as it is" for row in rows]
    lines = sum(label.count("\n") + 1.5 for label in labels)
    with plt.rc_context(STYLE):
        size = (3.4 * columns + 1.2, max(1.6, 0.19 * lines + 0.6) * blocks + 0.7)
        figure, axes = plt.subplots(blocks, columns, figsize=size, squeeze=False, layout="constrained", sharey=True)
        for axis, name in zip(axes.flat, names, strict=False):
            for height, row in enumerate(rows):
                _dots(axis, height, row["numbers"].get(name))
            axis.set_title(name)
            axis.xaxis.set_major_locator(MaxNLocator(4))
        for axis in axes.flat[len(names) :]:
            axis.set_axis_off()
        axes[0, 0].set(yticks=range(len(rows)), yticklabels=labels, ylim=(len(rows) - 0.5, -0.5))
        seeds = result["seeds"]
        title = f"{result['config']}, {of_post(result['post'])}: {len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
        return finish(figure, title, f"{result['rule']} Data: {result['data']}.")


def by_step(result: Mapping[str, Any]) -> Figure:
    """Of a rescue: the number that it is judged by, against the step of the fork, a line for each cure."""
    rescue, fields = result["rescue"], result["fields"][1:]
    by_cure: dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]] = {}
    for row in result["rows"]:
        step, *values = row["values"].values()
        if number := row["numbers"].get(rescue["number"]):
            by_cure.setdefault(tuple(values), []).append((int(step), number))
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
        for values, points in by_cure.items():
            label = ", ".join(_settings(dict(zip(fields, values, strict=True))))
            medians = [(step, number["median"]) for step, number in points]
            (drawn,) = axis.plot(*zip(*medians, strict=True), marker="o", label=label)
            for step, number in points:
                seeds, color = number["values"], drawn.get_color()
                axis.scatter([step] * len(seeds), seeds, s=10, color=color, linewidths=0, alpha=0.5)
        for end in rescue["band"]:
            if end is not None:
                axis.axhline(end, color=GREY, linestyle="--", linewidth=1)
        axis.set(xlabel="step of the fork", ylabel=f"{rescue['number']}, {rescue['further']:,} steps later")
        axis.legend(fontsize=8)
        told = f"Dots are seeds, lines their medians; saved: {rescue['criterion']} (dashed). Data: {result['data']}."
        return finish(figure, f"{rescue['from']}: from which step which cure saves it", told)


def _settings(values: Mapping[str, Any]) -> list[str]:
    return [f"{field.rpartition('.')[2]}={value}" for field, value in values.items()]


def _dots(axis: Any, height: int, number: Mapping[str, Any] | None) -> None:
    if number is None:
        return
    values = number["values"]
    axis.scatter(values, height + spread(len(values), 0.5), s=14, color=BLUE, linewidths=0, alpha=0.6)
    axis.plot([number["median"]] * 2, [height - 0.32, height + 0.32], color=ORANGE, linewidth=2)
    if "low" in number:
        axis.plot([number["low"], number["high"]], [height] * 2, color=ORANGE, linewidth=1)
