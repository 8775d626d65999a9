"""The ledger as pictures: every seed's numbers against the bands, and our seeds beside the peers'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfgan_lab.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE, finish, spread
from tfgan_lab.report.ledger_text import limits_of

_COLORS = {"reproduced": GREEN, "not reproduced": RED, "open": ORANGE, "not run": GREY}


def ledger(result: Mapping[str, Any]) -> Figure:
    """A row per claim that was run: its verdict, and for each of its numbers the seeds against the band."""
    claims = [claim for claim in result["claims"] if claim["seeds"]] or result["claims"]
    most = max(len(claim["gauges"]) for claim in claims)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axes = plt.subplots(
            len(claims), most + 1, figsize=(4.5 + 2.8 * most, 1.25 * len(claims) + 0.8), squeeze=False,
            width_ratios=[1.6, *[1] * most], layout="constrained",
        )  # fmt: skip
        for row, claim in zip(axes, claims, strict=True):
            _words(row[0], claim)
            for index, axis in enumerate(row[1:]):
                if index < len(claim["gauges"]) and claim["seeds"]:
                    _strip(axis, claim["gauges"][index])
                else:
                    axis.axis("off")
        title = "The posts' claims over seeds: each dot is a seed, the green band is what the claim asks for"
        return finish(figure, title, f"{'; '.join(result['rule']).replace('*', '')}. Data: {_data(claims)}")


def _data(entries: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(entry["data"] for entry in entries if entry.get("seeds", True)))


def _words(axis: Any, claim: Mapping[str, Any]) -> None:
    axis.axis("off")
    n, shown = len(claim["seeds"]), len(claim["shown"])
    at = {"transform": axis.transAxes, "va": "top"}
    axis.text(0, 1, f"{claim['id']}  {claim['config']}", fontsize=9, fontweight="bold", **at)
    axis.text(0, 0.76, f"{claim['says']}\nIt shows: {claim['printed']}.", fontsize=7, **at)
    axis.text(0, 0.38, claim["verdict"], fontsize=9, fontweight="bold", color=_COLORS[claim["verdict"]], **at)
    details = [f"{shown} of {n} seeds", limits_of(claim)]
    axis.text(0, 0.13, "; ".join(filter(None, details)) if n else "", fontsize=7, color="#555555", **at)


def _strip(axis: Any, gauge: Mapping[str, Any]) -> None:
    values = np.array([value for value in gauge["values"] if value is not None], float)
    around = 0.5 if gauge["low"] == gauge["high"] else 0.0  # a single number is a band too: a digit
    low, high = gauge["low"] - around, gauge["high"] + around
    ends = np.array([low, high, *values])
    margin = 0.06 * np.ptp(ends)
    axis.axvspan(low, high, color=GREEN, alpha=0.15, linewidth=0)
    if around:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    inside = (values >= gauge["low"]) & (values <= gauge["high"])
    heights = 0.5 + spread(len(values), 0.6)
    for which, color, marker in ((inside, BLUE, "o"), (~inside, RED, "X")):
        axis.scatter(values[which], heights[which], s=22, color=color, marker=marker, linewidths=0, alpha=0.85)
    axis.set(xlim=(ends.min() - margin, ends.max() + margin), ylim=(0, 1), yticks=[])
    axis.spines["left"].set_visible(False)
    axis.set_title(gauge["label"], fontsize=7.5)
    axis.tick_params(labelsize=7)


def peers(trials: Sequence[Mapping[str, Any]]) -> Figure:
    """A panel per number: our seeds and the PyTorch program's, one below the other."""
    panels = [(trial, row) for trial in trials for row in trial["rows"]]
    columns = 3
    rows = -(-len(panels) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(11, 1.5 * rows + 0.7), squeeze=False, layout="constrained")
        for axis, (trial, row) in zip(axes.flat, panels, strict=False):
            for height, side, color in ((1, "ours", BLUE), (0, "peer", ORANGE)):
                heights = height + spread(len(row[side]), 0.5)
                axis.scatter(row[side], heights, s=20, color=color, linewidths=0, alpha=0.8)
            axis.set(yticks=[1, 0], yticklabels=["ours", "PyTorch"], ylim=(-0.5, 1.5))
            axis.set_title(f"{trial['arm']}, {trial['length']}\n{row['label']}: {row['finding']}", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.xaxis.set_major_locator(MaxNLocator(5))
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        title = "The same measurements of our seeds and of the posts' programs in PyTorch"
        return finish(figure, title, f"Data: {_data(trials)}")
