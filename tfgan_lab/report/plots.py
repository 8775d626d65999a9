"""Figures of a run, in one style: colour-blind safe, labelled, with the data's provenance below."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")  # figures are files here; a display may not exist
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from tfgan_lab.compare.reference import Reference

# Okabe & Ito (2008): told apart with any colour vision.
BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#E69F00", "#009E73", "#999999", "#D55E00"
STYLE = {
    "figure.dpi": 120, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.alpha": 0.25, "font.size": 9, "axes.titlesize": 10, "legend.frameon": False,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, GREY]),
}  # fmt: skip


def png(figure: Figure) -> bytes:
    """Encodes a figure as PNG and closes it; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def curves(rows: Sequence[dict[str, Any]], title: str, provenance: str, reference: Reference | None = None) -> Figure:
    """Losses, and what the discriminator believes, over training.

    Args:
      rows: Of metrics.jsonl.
      title: Name of the run.
      provenance: One line below the figure.
      reference: What to draw behind the curves: where earlier runs went, what the post printed, what balance gives.
    """
    reference = reference or Reference({}, {}, {})
    train = [row for row in rows if row["kind"] == "train"]
    evaluations = [row for row in rows if row["kind"] == "eval"]
    with plt.rc_context(STYLE):
        if train and "g_loss" in train[0]:
            measured = [row for row in rows if row["kind"] == "metrics"]
            return _gan_curves(train, evaluations, measured, title, provenance, reference)
        return _classifier_curves(train, evaluations, title, provenance, reference)


def _gan_curves(
    train: Any, evaluations: Any, measured: Any, title: str, provenance: str, reference: Reference
) -> Figure:
    judged = [row for row in evaluations if "p_real" in row]
    gaussian = [row for row in train if "fake_mean" in row]
    third = bool(gaussian or measured)
    figure, axes = plt.subplots(1, 2 + third, figsize=(10 + 3.6 * third, 3.8), layout="constrained")
    _line(axes[0], train, "d_loss_mean", "discriminator", BLUE)
    _line(axes[0], train, "g_loss_mean", "generator", ORANGE)
    end = train[-1]["epoch"]
    for key, color in (("d_loss", BLUE), ("g_loss", ORANGE)):
        _band(axes[0], reference, f"{key}_mean", color, end)
        _prints(axes[0], reference, key, color, end)
        if key in reference.balance:
            axes[0].axhline(reference.balance[key], color=color, linestyle=":", linewidth=1)
    if reference.balance:
        axes[0].plot([], [], color=GREY, linestyle=":", linewidth=1, label="D cannot tell")
    axes[0].set(title="losses, mean since the last row", xlabel="epoch", ylabel="cross-entropy (nats)")
    _legend(axes[0], fontsize=7.5)
    source, where = (judged, "test split, end of epoch") if judged else (train, "training batches")
    key = "" if judged else "_mean"
    _line(axes[1], source, f"p_real{key}", "D(x), real", BLUE)
    _line(axes[1], source, f"p_fake{key}", "D(G(z)), generated", ORANGE)
    if judged:
        _band(axes[1], reference, "p_real", BLUE, end)
        _band(axes[1], reference, "p_fake", ORANGE, end)
    axes[1].axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="0.5: cannot tell")
    axes[1].set(title=f"mean probability of being real ({where})", xlabel="epoch", ylabel="probability", ylim=(0, 1))
    _legend(axes[1], loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, columnspacing=1.0)
    if gaussian:
        for name, style in (("mean", "-"), ("std", ":")):
            _line(axes[2], gaussian, f"real_{name}_mean", f"real {name}", BLUE, style)
            _line(axes[2], gaussian, f"fake_{name}_mean", f"generated {name}", ORANGE, style)
            _band(axes[2], reference, f"fake_{name}_mean", ORANGE, end)
        axes[2].set(title="moments of the sets", xlabel="epoch (100 steps)", ylabel="data units")
        axes[2].legend()
    if measured:
        _measured_curves(axes[2], measured)
    return _finish(figure, title, provenance)


def _measured_curves(axis: Any, measured: Any) -> None:
    _line(axis, measured, "digits", "digits drawn (left)", BLUE)
    axis.set(
        title="2,000 samples, by the judge",
        xlabel="epoch",
        ylabel="digits that are > 1 % of the samples",
        ylim=(0, 10.5),
    )
    right = axis.twinx()
    right.spines["right"].set_visible(True)
    right.grid(visible=False)
    _line(right, measured, "frechet", "Fréchet distance (right)", ORANGE)
    right.set(ylabel="Fréchet distance, judge features")
    distances = [row["frechet"] for row in measured]
    if max(distances) > 10 * min(distances):
        right.set_yscale("log")
    else:
        right.set_ylim(bottom=0)
    handles = [*axis.get_lines(), *right.get_lines()]
    axis.legend(
        handles, [line.get_label() for line in handles], loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2
    )


def _classifier_curves(train: Any, evaluations: Any, title: str, provenance: str, reference: Reference) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    _line(axes[0], train, "loss_mean", "training loss", BLUE)
    axes[0].set(title="loss, mean since the last row", xlabel="epoch", ylabel="cross-entropy (nats)")
    _line(axes[1], train, "accuracy_mean", "training batches", BLUE)
    _line(axes[1], evaluations, "accuracy", "test split", ORANGE)
    if train:
        _band(axes[0], reference, "loss_mean", BLUE, train[-1]["epoch"])
        _band(axes[1], reference, "accuracy", ORANGE, train[-1]["epoch"])
    axes[1].set(title="accuracy", xlabel="epoch", ylabel="share right", ylim=(0, 1.02))
    axes[1].legend()
    return _finish(figure, title, provenance)


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
        axis.fill_between(
            stretch[[0, -1], 0], stretch[:, 1].min(), stretch[:, 1].max(), color=color, alpha=0.12, linewidth=0
        )


def _line(axis: Any, rows: Any, key: str, label: str, color: str, style: str = "-") -> None:
    points = [(row["epoch"], row[key]) for row in rows if key in row]
    if points:
        marker = "o" if len(points) < 3 else None
        axis.plot(*zip(*points, strict=True), style, label=label, color=color, linewidth=1.3, marker=marker)


def _finish(figure: Figure, title: str, provenance: str) -> Figure:
    figure.suptitle(title)
    figure.supxlabel(_wrapped(figure, provenance), fontsize=7, color="#555555")
    return figure


def _wrapped(figure: Figure, text: str) -> str:
    return textwrap.fill(text, int(figure.get_figwidth() * 19))  # characters of 7 points in an inch


def labelled_grids(
    grids: Sequence[tuple[str, np.ndarray]], title: str, provenance: str, across: bool = False
) -> Figure:
    """Grid pictures one below the other (or side by side), each with its caption.

    Args:
      grids: (caption, uint8 [H, W, C]) each.
      title: Above all.
      provenance: Below all.
      across: Side by side.
    """
    with plt.rc_context(STYLE | {"axes.grid": False}):
        number = len(grids)
        shape = (1, number) if across else (number, 1)
        height, width = grids[0][1].shape[:2]
        cell = 4.2
        size = (
            (cell * number, cell * height / width + 0.9)
            if across
            else (cell * 1.4, (cell * 1.4 * height / width + 0.4) * number + 0.6)
        )
        figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
        for axis, (caption, picture) in zip(axes.flat, grids, strict=True):
            axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(caption)
            axis.axis("off")
        return _finish(figure, title, provenance)


def evolution(rows: Sequence[tuple[str, np.ndarray]], title: str, provenance: str) -> Figure:
    """Post P002's grid: a row per moment of training, columns are the same latents.

    Args:
      rows: (label such as "epoch 10", uint8 images [columns, H, W, C]) from early to late.
      title: Above.
      provenance: Below.
    """
    with plt.rc_context(STYLE | {"axes.grid": False}):
        columns = len(rows[0][1])
        figure, axes = plt.subplots(
            len(rows), columns, figsize=(columns * 0.95 + 0.9, len(rows) * 0.95 + 0.9), squeeze=False
        )
        for axis_row, (label, images) in zip(axes, rows, strict=True):
            for axis, image in zip(axis_row, images, strict=True):
                axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                for spine in axis.spines.values():
                    spine.set_visible(False)
            axis_row[0].set_ylabel(label, rotation=0, ha="right", va="center")
        figure.subplots_adjust(left=0.16, right=0.99, top=0.95, bottom=0.04, wspace=0.04, hspace=0.04)
        figure.suptitle(title, y=0.985)
        figure.supxlabel(_wrapped(figure, provenance), y=0.008, fontsize=7, color="#555555")
        return figure


def densities(real: np.ndarray, fake: np.ndarray, title: str, provenance: str) -> Figure:
    """Post P004's two normal curves, and the histograms that they hide.

    Args:
      real, fake: Numbers, 1-D each.
      title: Above.
      provenance: Below.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
        low = min(real.mean() - 4 * real.std(), np.quantile(fake, 0.001))
        high = max(real.mean() + 4 * real.std(), np.quantile(fake, 0.999))
        x = np.linspace(low, high, 400)
        for name, numbers, color in (("real", real, BLUE), ("generated", fake, ORANGE)):
            mean, std = numbers.mean(), max(numbers.std(), 1e-6)
            axis.hist(
                numbers, bins=80, range=(low, high), density=True, color=color, alpha=0.3, label=f"{name}, histogram"
            )
            normal = np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))
            axis.plot(
                x, normal, color=color, linewidth=1.5, label=f"{name}, N({mean:.2f}, {std:.2f}$^2$), the post's curve"
            )
        axis.set(title=title, xlabel="value", ylabel="probability density", ylim=(0, 1.6 / (real.std() * 2.5)))
        axis.legend(fontsize=8)
        figure.supxlabel(_wrapped(figure, provenance), fontsize=7, color="#555555")
        return figure
