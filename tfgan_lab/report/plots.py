"""Figures of a run: a title above each, the provenance of its data below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE, below, finish
from tfgan_lab.posts.reference import Reference

Panel = Callable[[Any], None]
_BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}  # where a legend is
# Numbers in which runs are compared on common axes: the kind of their rows, their names there, and in words.
_COMPARED = (
    ("train", "d_loss_mean", "the discriminator's loss"), ("train", "g_loss_mean", "the generator's loss"),
    ("train", "p_real_mean", "D(x) on real training batches"), ("train", "p_fake_mean", "D(G(z)) on generated ones"),
    ("metrics", "frechet", "Fréchet distance, judge features"), ("eval", "fake_mean", "mean of generated numbers"),
    ("eval", "fake_std", "deviation of generated numbers"), ("train", "loss_mean", "training loss"),
    ("eval", "accuracy", "accuracy on the test split"),
)  # fmt: skip


def curves(rows: Sequence[dict[str, Any]], title: str, provenance: str, reference: Reference | None = None) -> Figure:
    """Losses, and what the discriminator believes, over training: the panels of rows of metrics.jsonl side by side.

    `reference` is drawn behind the curves: where earlier runs went, what the post printed, what balance gives.
    """
    with plt.rc_context(STYLE):
        drawn = panels(rows, reference)
        size = (10 + 3.6 * (len(drawn) - 2), 3.8)
        figure, axes = plt.subplots(1, len(drawn), figsize=size, layout="constrained", squeeze=False)
        for panel, axis in zip(drawn, axes.flat, strict=True):
            panel(axis)
        return finish(figure, title, provenance)


def panels(rows: Sequence[dict[str, Any]], reference: Reference | None = None) -> list[Panel]:
    """What there is to plot of a run, a function of the axes each; empty without rows of training."""
    reference = reference or Reference({}, {}, {})
    train = [row for row in rows if row["kind"] == "train"]
    evaluations = [row for row in rows if row["kind"] == "eval"]
    measured = [row for row in rows if row["kind"] == "metrics" and "frechet" in row]
    if not train:
        return []
    if "g_loss" not in train[0]:
        kinds = [partial(_classifier_loss, train), partial(_accuracy, train, evaluations)]
    else:
        kinds = [partial(_losses, train), partial(_beliefs, train, evaluations)]
        if any("fake_mean" in row for row in train):
            kinds.append(partial(_moments, train))
        if any("energy_distance" in row for row in evaluations):
            kinds.append(partial(_points, evaluations))
    if measured:
        kinds.append(partial(_measured_curves, measured))
    return [partial(kind, reference) for kind in kinds]


def common_panels(runs: Mapping[str, Sequence[dict[str, Any]]]) -> list[Panel]:
    """Runs (rows of metrics.jsonl by name) on common axes, a line each: a panel for every number that several have."""
    found: list[Panel] = []
    for kind, key, title in _COMPARED:
        having = {name: [row for row in rows if row["kind"] == kind and key in row] for name, rows in runs.items()}
        having = {name: rows for name, rows in having.items() if rows}
        if len(having) > 1:
            found.append(partial(_common, having, key, title))
    return found


def _common(runs: Mapping[str, Any], key: str, title: str, axis: Any) -> None:
    colors = (BLUE, ORANGE, GREEN, RED, GREY)
    for index, (name, rows) in enumerate(runs.items()):
        style = ("-", "--", ":", "-.")[index // len(colors) % 4]
        # A folder's name is no formula, and one that begins with _ is named, too.
        label = name.replace("$", r"\$")
        label = f" {label}" if label.startswith("_") else label
        line(axis, rows, key, label, colors[index % len(colors)], style)
    axis.set(title=title, xlabel="epoch")
    axis.legend(ncols=2, columnspacing=1.0, **_BELOW)


def _losses(train: Any, reference: Reference, axis: Any) -> None:
    key_of = "{}_mean" if reference.losses == "mean" else "{}"
    line(axis, train, key_of.format("d_loss"), "discriminator", BLUE)
    line(axis, train, key_of.format("g_loss"), "generator", ORANGE)
    end = train[-1]["epoch"]
    for key, color in (("d_loss", BLUE), ("g_loss", ORANGE)):
        _band(axis, reference, key_of.format(key), color, end)
        _prints(axis, reference, key, color, end)
        if key in reference.balance:
            axis.axhline(reference.balance[key], color=color, linestyle=":", linewidth=1)
    if reference.balance:
        axis.plot([], [], color=GREY, linestyle=":", linewidth=1, label="D cannot tell")
    what = "mean since the last row" if reference.losses == "mean" else "last batch, as printed"
    unit = "cross-entropy (nats)" if reference.probabilities else "loss"
    axis.set(title=f"losses, {what}", xlabel="epoch", ylabel=unit)
    _legend(axis, fontsize=7.5)


def _beliefs(train: Any, evaluations: Any, reference: Reference, axis: Any) -> None:
    judged = [row for row in evaluations if "p_real" in row]
    source, where = (judged, "test split, end of epoch") if judged else (train, "training batches")
    key, end = "" if judged else "_mean", train[-1]["epoch"]
    line(axis, source, f"p_real{key}", "D(x), real", BLUE)
    line(axis, source, f"p_fake{key}", "D(G(z)), generated", ORANGE)
    if judged:
        _band(axis, reference, "p_real", BLUE, end)
        _band(axis, reference, "p_fake", ORANGE, end)
    if "p_real" in reference.balance:
        even = reference.balance["p_real"]
        axis.axhline(even, color=GREY, linestyle="--", linewidth=1, label=f"{even:g}: cannot tell")
    told = reference.probabilities
    what, unit = ("probability of being real", "probability") if told else ("sigmoid of D", "sigmoid")
    axis.set(title=f"mean {what} ({where})", xlabel="epoch", ylabel=unit, ylim=(0, 1))
    _legend(axis, ncols=2, columnspacing=1.0, **_BELOW)


def _moments(train: Any, reference: Reference, axis: Any) -> None:
    for name, style in (("mean", "-"), ("std", ":")):
        line(axis, train, f"real_{name}_mean", f"real {name}", BLUE, style)
        line(axis, train, f"fake_{name}_mean", f"generated {name}", ORANGE, style)
        _band(axis, reference, f"fake_{name}_mean", ORANGE, train[-1]["epoch"])
    axis.set(title="moments of the sets", xlabel="epoch (100 steps)", ylabel="data units")
    axis.legend()


def _points(evaluations: Any, reference: Reference, axis: Any) -> None:
    modes = any("modes" in row for row in evaluations)
    line(axis, evaluations, "modes" if modes else "energy_distance", "modes (left)" if modes else "generated", BLUE)
    what = "modes recovered" if modes else "energy distance to the law"
    axis.set(title="2,500 samples", xlabel="epoch (100 steps)", ylabel=what, ylim=(0, None))
    if modes:
        right = _on_the_right(axis, evaluations, "high_quality", "within 3 std of a mode (right)")
        right.set(ylabel="share of samples", ylim=(0, 1.02))


def _measured_curves(measured: Any, reference: Reference, axis: Any) -> None:
    line(axis, measured, "digits", "classes drawn (left)", BLUE)
    known = measured[-1].get("judge_accuracy")
    title = "2,000 samples, by the judge" + ("" if known is None else f", right on {known:.1%} of real images")
    what, most = "classes that are > 1/10 of an even share", 1.05 * reference.classes
    axis.set(title=title, xlabel="epoch", ylabel=what, ylim=(0, most))
    right = _on_the_right(axis, measured, "frechet", "Fréchet distance (right)")
    right.spines["right"].set_visible(True)
    right.set(ylabel="Fréchet distance, judge features")
    distances = [row["frechet"] for row in measured]
    if max(distances) > 10 * min(distances):
        right.set_yscale("log")
    else:
        right.set_ylim(bottom=0)


def _on_the_right(axis: Any, rows: Any, key: str, label: str) -> Any:
    """A second curve with an axis of its own, and the legend of both."""
    right = axis.twinx()
    right.grid(visible=False)
    line(right, rows, key, label, ORANGE)
    handles = [*axis.get_lines(), *right.get_lines()]
    axis.legend(handles, [handle.get_label() for handle in handles], ncols=2, **_BELOW)
    return right


def _classifier_loss(train: Any, reference: Reference, axis: Any) -> None:
    line(axis, train, "loss_mean", "training loss", BLUE)
    _band(axis, reference, "loss_mean", BLUE, train[-1]["epoch"])
    axis.set(title="loss, mean since the last row", xlabel="epoch", ylabel="cross-entropy (nats)")


def _accuracy(train: Any, evaluations: Any, reference: Reference, axis: Any) -> None:
    line(axis, train, "accuracy_mean", "training batches", BLUE)
    line(axis, evaluations, "accuracy", "test split", ORANGE)
    _band(axis, reference, "accuracy", ORANGE, train[-1]["epoch"])
    axis.set(title="accuracy", xlabel="epoch", ylabel="share right", ylim=(0, 1.02))
    axis.legend()


def _legend(axis: Any, **keywords: Any) -> None:
    """A legend that names what stands for several colours once."""
    named: dict[str, Any] = {}
    for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
        named.setdefault(label, handle)
    axis.legend(list(named.values()), list(named), **keywords)


def _band(axis: Any, reference: Reference, key: str, color: str, end: float) -> None:
    """Where earlier runs went, as far as this one has come."""
    band = reference.bands.get(key)
    points = [point for point in band.points if point[0] <= end * 1.001] if band else []
    if band and len(points) > 1:
        epochs, least, most = np.array(points).T
        axis.fill_between(epochs, least, most, color=color, alpha=0.15, linewidth=0, label=f"{band.source}")


def _prints(axis: Any, reference: Reference, key: str, color: str, end: float) -> None:
    """The post's own numbers, and the band of each stretch of epochs that it printed."""
    points = [point for point in reference.printed.get(key, ()) if point[0] <= end]
    if not points:
        return
    axis.scatter(*zip(*points, strict=True), s=9, color=color, marker="x", linewidths=0.8, label="the post's prints")
    epochs = np.array([epoch for epoch, _ in points])
    for stretch in np.split(np.array(points), np.flatnonzero(np.diff(epochs) > 1) + 1):
        least, most = stretch[:, 1].min(), stretch[:, 1].max()
        axis.fill_between(stretch[[0, -1], 0], least, most, color=color, alpha=0.12, linewidth=0)


def line(axis: Any, rows: Any, key: str, label: str, color: str, style: str = "-") -> None:
    """A number of rows of metrics.jsonl over their epochs; a few points are marked."""
    points = [(row["epoch"], row[key]) for row in rows if key in row]
    if points:
        marker = "o" if len(points) < 3 else None
        axis.plot(*zip(*points, strict=True), style, label=label, color=color, linewidth=1.3, marker=marker)


def labelled_grids(
    grids: Sequence[tuple[str, np.ndarray]], title: str, provenance: str, across: bool = False
) -> Figure:
    """Grid pictures (caption, uint8 [H, W, C]) one below the other or, if `across`, side by side."""
    with plt.rc_context(STYLE | {"axes.grid": False}):
        number, (height, width) = len(grids), grids[0][1].shape[:2]
        shape, size = (1, number), (4.2 * number, 4.2 * height / width + 0.9)
        if not across:
            shape, size = (number, 1), (5.88, (5.88 * height / width + 0.4) * number + 0.6)
        figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
        for axis, (caption, picture) in zip(axes.flat, grids, strict=True):
            axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(caption)
            axis.axis("off")
        return finish(figure, title, provenance)


def evolution(rows: Sequence[tuple[str, np.ndarray]], title: str, provenance: str) -> Figure:
    """Post P002's grid: a row per moment of training, columns are the same latents.

    `rows` are (label such as "epoch 10", uint8 images [columns, H, W, C]) from early to late.
    """
    with plt.rc_context(STYLE | {"axes.grid": False}):
        columns = len(rows[0][1])
        size = (columns * 0.95 + 0.9, len(rows) * 0.95 + 0.9)
        figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False)
        for axis_row, (label, images) in zip(axes, rows, strict=True):
            for axis, image in zip(axis_row, images, strict=True):
                axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            axis_row[0].set_ylabel(label, rotation=0, ha="right", va="center")
        figure.subplots_adjust(left=0.16, right=0.99, top=0.95, bottom=0.04, wspace=0.04, hspace=0.04)
        figure.suptitle(title, y=0.985)
        return below(figure, provenance, y=0.008)


def normal_curves(moments: Sequence[dict[str, Any]], title: str, provenance: str) -> Figure:
    """Post P004's picture at moments of training: both sets' normal curves, each over its own mean ± 9 deviations.

    `moments` are rows of metrics.jsonl with mean and deviation of the real and the generated set, a panel each.
    """
    with plt.rc_context(STYLE):
        columns = min(4, len(moments))
        rows = -(-len(moments) // columns)
        size = (3 * columns, 2.3 * rows + 0.7)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        for axis, row in zip_longest(axes.flat, moments):
            if row is None:
                axis.set_axis_off()
                continue
            for name, label, color in (("real", "real", BLUE), ("fake", "generated", ORANGE)):
                mean, std = row[f"{name}_mean"], max(row[f"{name}_std"], 1e-6)
                x = np.linspace(mean - 9 * std, mean + 9 * std, 100)
                axis.plot(x, _normal(x, mean, std), color=color, linewidth=1.3, label=label)
            axis.set_title(f"step {row['step']:,}", fontsize=8)
        axes[0, 0].legend(fontsize=7)
        figure.supylabel("probability density", fontsize=8)
        return finish(figure, title, provenance)


def _normal(x: np.ndarray, mean: float, std: float) -> np.ndarray:
    # Squares of float32's largest numbers need more than float32.
    return np.exp(-(((x.astype(np.float64) - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))


def densities(real: np.ndarray, fake: np.ndarray, title: str, provenance: str) -> Figure:
    """Post P004's two normal curves of numbers [N] and [M], and the histograms that they hide."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4))
        # Given margins: a film has dozens of these, and to find the best ones is half the work of drawing.
        figure.subplots_adjust(left=0.09, right=0.985, top=0.92, bottom=0.16)
        density_panel(axis, real, fake)
        axis.set_title(title)
        return below(figure, provenance)


def density_panel(axis: Any, real: np.ndarray, fake: np.ndarray) -> None:
    """Histograms of two sets of numbers [N], and the normal curves of their moments."""
    low = min(real.mean() - 4 * real.std(), np.quantile(fake, 0.001))
    high = max(real.mean() + 4 * real.std(), np.quantile(fake, 0.999))
    x = np.linspace(low, high, 400)
    for name, numbers, color in (("real", real, BLUE), ("generated", fake, ORANGE)):
        mean, std = numbers.mean(), max(numbers.std(), 1e-6)
        bars = {"bins": 80, "range": (low, high), "density": True, "histtype": "stepfilled", "alpha": 0.3}
        axis.hist(numbers, color=color, label=f"{name}, histogram", **bars)
        label = f"{name}, N({mean:.2f}, {std:.2f}²), the post's curve"
        axis.plot(x, _normal(x, mean, std), color=color, linewidth=1.5, label=label)
    axis.set(xlabel="value", ylabel="probability density", ylim=(0, 1.6 / (real.std() * 2.5)))
    axis.legend(fontsize=8)
