"""The picture of a study: a panel for each number, a row for each combination, a dot for each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab.figures import BLUE, GREY, ORANGE, STYLE, finish
from tfgan_lab.words import of_post

_COLUMNS = 3


def dots_of_seeds(result: Mapping[str, Any]) -> Figure:
    """All numbers of a study: dots are seeds, the bar is their median, its line the interval."""
    names, rows = result["numbers"], result["rows"]
    columns = max(1, min(_COLUMNS, len(names)))
    blocks = max(1, math.ceil(len(names) / columns))
    labels = [
        "\n".join(f"{field.rpartition('.')[2]}={value}" for field, value in row["values"].items()) or "as it is"
        for row in rows
    ]
    lines = sum(label.count("\n") + 1.5 for label in labels)
    with plt.rc_context(STYLE):
        size = (3.4 * columns + 1.2, max(1.6, 0.19 * lines + 0.6) * blocks + 0.7)
        figure, axes = plt.subplots(blocks, columns, figsize=size, squeeze=False, layout="constrained", sharey=True)
        for axis, name in zip(axes.flat, names, strict=False):
            for height, row in enumerate(rows):
                _dots(axis, height, row["numbers"].get(name))
            axis.set_title(name)
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
            label = ", ".join(
                f"{field.rpartition('.')[2]}={value}" for field, value in zip(fields, values, strict=True)
            )
            (line,) = axis.plot(
                [step for step, _ in points], [number["median"] for _, number in points], marker="o", label=label
            )
            for step, number in points:
                axis.scatter(
                    [step] * len(number["values"]),
                    number["values"],
                    s=10,
                    color=line.get_color(),
                    linewidths=0,
                    alpha=0.5,
                )
        for end in rescue["band"]:
            if end is not None:
                axis.axhline(end, color=GREY, linestyle="--", linewidth=1)
        axis.set(xlabel="step of the fork", ylabel=f"{rescue['number']}, {rescue['further']:,} steps later")
        axis.legend(fontsize=8)
        told = f"Dots are seeds, lines their medians; saved: {rescue['criterion']} (dashed). Data: {result['data']}."
        return finish(figure, f"{rescue['from']}: from which step which cure saves it", told)


def _dots(axis: Any, height: int, number: Mapping[str, Any] | None) -> None:
    if number is None:
        return
    values = number["values"]
    # Spread by the golden ratio: the same picture every time, and no dot hides another.
    heights = height + (np.arange(len(values)) * 0.618) % 1 * 0.5 - 0.25
    axis.scatter(values, heights, s=14, color=BLUE, linewidths=0, alpha=0.6)
    axis.plot([number["median"]] * 2, [height - 0.32, height + 0.32], color=ORANGE, linewidth=2)
    if "low" in number:
        axis.plot([number["low"], number["high"]], [height] * 2, color=ORANGE, linewidth=1)
