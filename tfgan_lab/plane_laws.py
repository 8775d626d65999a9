"""Laws of points in the plane, as papers on mode collapse draw them: how to draw one, and where its modes are.

TensorFlow is imported when points are drawn, not before.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Rows = Sequence[int]


@dataclasses.dataclass(frozen=True)
class Law:
    """A law of size 1, without the noise around it."""

    says: str  # what it is
    draw: Callable[[Rows, Any], Any]  # (rows, seeds int64 [..., 2]) -> points float32 [..., *rows, 2]
    box: tuple[float, float, float, float]  # where they lie: (left, right, bottom, top)
    modes: np.ndarray | None = None  # the only points that there are, [M, 2]; None for a curve or an area


def _uniform(rows: Rows, seed: Any, turn: int) -> Any:
    """U(0, 1), another stream for each turn."""
    from tfgan_lab import philox

    return philox.uniform(rows, seed + np.array([turn, 0]))


def _any_of(modes: np.ndarray, rows: Rows, seed: Any) -> Any:
    import tensorflow as tf

    index = tf.cast(_uniform(rows, seed, 1) * len(modes), tf.int32)
    return tf.gather(tf.constant(modes, tf.float32), index)


def _on_circle(angle: Any) -> tuple[Any, Any]:
    """Cosine and sine, in double precision: the last bit of a float's depends on its place among others."""
    import tensorflow as tf

    angle = tf.cast(angle, tf.float64)
    return tf.cast(tf.cos(angle), tf.float32), tf.cast(tf.sin(angle), tf.float32)


def _swiss_roll(rows: Rows, seed: Any) -> Any:
    """Source: Marsland, 2009, chapter 10; `sklearn.datasets.make_swiss_roll` without its height."""
    import tensorflow as tf

    angle = 1.5 * math.pi * (1 + 2 * _uniform(rows, seed, 1))
    x, y = _on_circle(angle)
    return tf.stack([angle * x, angle * y], axis=-1)


def _two_moons(rows: Rows, seed: Any) -> Any:
    """Source: `sklearn.datasets.make_moons`."""
    import tensorflow as tf

    (x, y), outer = _on_circle(math.pi * _uniform(rows, seed, 1)), _uniform(rows, seed, 2) < 0.5
    return tf.stack([tf.where(outer, x, 1 - x), tf.where(outer, y, 0.5 - y)], axis=-1)


def _checkerboard(rows: Rows, seed: Any) -> Any:
    """Source: Grathwohl et al., "FFJORD", 2019: every other square of a board of 4 x 4, here with sides of 1."""
    import tensorflow as tf

    x, y, upper = 4 * _uniform(rows, seed, 1) - 2, _uniform(rows, seed, 2), _uniform(rows, seed, 3) < 0.5
    return tf.stack([x, y - tf.where(upper, 0.0, 2.0) + tf.math.floormod(tf.floor(x), 2.0)], axis=-1)


def _mixture(says: str, modes: Sequence[tuple[float, float]]) -> Law:
    points = np.array(modes)
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    return Law(says, functools.partial(_any_of, points), (left, right, bottom, top), points)


_EIGHTHS = [2 * math.pi * i / 8 for i in range(8)]
LAWS: dict[str, Law] = {
    "ring8": _mixture("8 normals on a circle", [(math.cos(angle), math.sin(angle)) for angle in _EIGHTHS]),
    "grid25": _mixture("25 normals on a grid", [(float(x), float(y)) for x in range(-2, 3) for y in range(-2, 3)]),
    "swiss_roll": Law("a Swiss roll", _swiss_roll, (-9.5, 12.6, -11.0, 14.2)),
    "checkerboard": Law("a checkerboard", _checkerboard, (-2.0, 2.0, -2.0, 2.0)),
    "two_moons": Law("two moons", _two_moons, (-1.0, 2.0, -0.5, 1.0)),
}
