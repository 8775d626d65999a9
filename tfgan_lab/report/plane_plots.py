"""Pictures of points in the plane: samples over real points, and what the discriminator makes of the plane."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfgan_lab.config import GanConfig, Plane
from tfgan_lab.figures import BLUE, ORANGE, STYLE, finish
from tfgan_lab.losses import has_targets
from tfgan_lab.metrics import mode_coverage
from tfgan_lab.randomness import sample_seed
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.words import counted

_MARGIN = 0.25  # around the law's box, as a share of it
_PIXELS, _ARROWS = 121, 21  # a side
_LONG = 0.9  # of the gradients: the quantile whose arrow is as long as its cell


def samples(drawn: np.ndarray, config: GanConfig, step: int) -> Figure:
    """Points that were drawn, over as many of the law."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.8, 5.0), layout="constrained")
        panel(axis, drawn, config, legend=True)
        axis.set_title(f"{counted(step, 'step')}{_found(drawn, config)}")
        return finish(figure, "", f"n={len(drawn):,} each; {config.data}; {config.name}, seed {config.seed}")


def panel(axis: Any, drawn: np.ndarray, config: GanConfig, legend: bool = False) -> None:
    """Points that were drawn, over as many of the law, in given axes."""
    for points, label, color in ((real_points(config, len(drawn)), "real", BLUE), (drawn, "generated", ORANGE)):
        axis.scatter(*points.T, s=3, color=color, alpha=0.5, linewidths=0, label=label, rasterized=True)
    _frame(axis, config.data)
    if legend:
        axis.legend(loc="upper right", markerscale=4)


def surface(experiment: Experiment, drawn: np.ndarray, step: int) -> Figure:
    """D over the plane, the points that were drawn, and where G is sent: minus the gradient of its loss at a sample.

    Arrows are as long as the gradient is large, up to the length of a cell.
    """
    config: Any = experiment.config
    window = _window(config.data)
    logits, _ = _of_d(experiment, _raster(window, _PIXELS))
    spots = _raster(window, _ARROWS)
    _, pull = _of_d(experiment, spots)
    length = np.linalg.norm(pull, axis=1)
    longest = max(float(np.quantile(length, _LONG)), 1e-12)
    pull = pull / np.maximum(length, longest)[:, None] * (window[1] - window[0]) / _ARROWS
    probable = has_targets(config.game.loss)
    shade = 1 / (1 + np.exp(-logits)) if probable else logits
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axis = plt.subplots(figsize=(5.8, 5.0), layout="constrained")
        shade, ends = shade.reshape(_PIXELS, _PIXELS), {"vmin": 0, "vmax": 1} if probable else {}
        image = axis.imshow(shade, extent=window, origin="lower", cmap="cividis", **ends)
        figure.colorbar(image, ax=axis, label="D, probability of real" if probable else "D, score", shrink=0.8)
        axis.scatter(*drawn.T, s=3, color="white", alpha=0.7, linewidths=0, label="generated", rasterized=True)
        axis.quiver(*spots.T, *pull.T, angles="xy", scale_units="xy", scale=1, color="#D55E00", width=0.003)
        _frame(axis, config.data)
        axis.set_title(f"{counted(step, 'step')}; longest arrow: a gradient of {longest:.2g} or more")
        text = f"arrows: minus the gradient of G's loss; white: {len(drawn):,} samples; {config.data}; {config.name}"
        text += f"; of packs: each point beside {config.game.pack - 1} real ones" if config.game.pack > 1 else ""
        return finish(figure, "", f"{text}, seed {config.seed}")


def real_points(config: GanConfig, number: int) -> np.ndarray:
    """Points of the config's law, always the same: float32 [N, 2]."""
    assert isinstance(config.data, Plane)
    return config.data.draw([number, 2], sample_seed(config.seed, 1)).numpy()


def _of_d(experiment: Experiment, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D's logits [N] at points [N, 2], and minus the gradient of G's loss there [N, 2].

    A D of packs is shown each point beside the same real ones.
    """
    import tensorflow as tf

    network, loss = experiment.networks["discriminator"], experiment.task.loss
    x, beside = tf.constant(points, tf.float32), experiment.config.game.pack - 1  # type: ignore[union-attr]

    def judged(points: Any) -> Any:
        if beside:
            others = real_points(experiment.config, beside).reshape(1, -1)  # type: ignore[arg-type]
            points = tf.concat([points, tf.repeat(others, len(points), axis=0)], axis=1)  # [N, pack * 2]
        return network(points, None, training=False)

    real = tf.constant(real_points(experiment.config, len(points))) if loss.paired else None  # type: ignore[arg-type]
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = judged(x)
        on_real = judged(real) if loss.paired else None
        total = tf.reduce_sum(loss.g(on_real, logits))
    return logits.numpy(), -tape.gradient(total, x).numpy()


def _found(drawn: np.ndarray, config: GanConfig) -> str:
    data = config.data
    assert isinstance(data, Plane)
    if data.modes is None or not np.isfinite(drawn).all():
        return ""
    found = mode_coverage(drawn, data.modes, data.std)
    return f": {found.modes} of {len(data.modes)} modes, {found.high_quality:.0%} within 3 std"


def _raster(window: tuple[float, float, float, float], side: int) -> np.ndarray:
    """The middles of side x side cells of a window, row by row: [side^2, 2]."""
    left, right, bottom, top = window
    middles = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(left + middles * (right - left), bottom + middles * (top - bottom))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _window(data: Plane) -> tuple[float, float, float, float]:
    """A square around the law's box."""
    left, right, bottom, top = data.box
    x, y, reach = (left + right) / 2, (bottom + top) / 2, max(right - left, top - bottom) * (0.5 + _MARGIN)
    return x - reach, x + reach, y - reach, y + reach


def _frame(axis: Any, data: Any) -> None:
    left, right, bottom, top = _window(data)
    axis.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
