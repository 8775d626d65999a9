"""The pen that `faces` draws with: filled shapes and strokes in face units, and the dice that choose."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

T = TypeVar("T")
Colour = tuple[int, int, int]
Points = np.ndarray | Sequence[tuple[float, float]]

UNIT_HEIGHT, UNIT_WIDTH = 218, 178  # One face unit is one pixel of a picture of this size.


class Dice:
    """Choices from one stream of uniform numbers.

    Only `Generator.random` is used: the bits of Philox are fixed for good, while the
    other methods of a NumPy generator may change from one version to the next.
    """

    def __init__(self, seed: int, index: int) -> None:
        """Starts the stream of (seed, index)."""
        sequence = np.random.SeedSequence(entropy=seed, spawn_key=(index,))
        self._random = np.random.Generator(np.random.Philox(sequence)).random

    def span(self, low: float, high: float) -> float:
        """A number between the two."""
        return low + (high - low) * float(self._random())

    def chance(self, probability: float) -> bool:
        """True that often."""
        return float(self._random()) < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, all alike."""
        return choices[int(float(self._random()) * len(choices))]

    def weighted(self, choices: Mapping[T, float]) -> T:
        """One of the keys, in proportion to its value."""
        left = self.span(0.0, sum(choices.values()))
        for choice, weight in choices.items():
            left -= weight
            if left < 0:
                return choice
        return choice


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Returns colour `a` with `share` of it replaced by `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def dark(colour: Colour, share: float) -> Colour:
    """Mixes in a near-black violet, which dulls skin and cloth less than grey does."""
    return mix(colour, (20, 12, 32), share)


def light(colour: Colour, share: float) -> Colour:
    """Mixes in white."""
    return mix(colour, (255, 255, 255), share)


@functools.cache
def _arc(start: float, end: float) -> np.ndarray:
    angles = np.radians(np.linspace(start, end, max(8, int(abs(end - start) / 9))))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def ellipse(cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 360) -> np.ndarray:
    """Points along an ellipse; degrees run clockwise from three o'clock, as y points down. [N, 2]"""
    return _arc(start, end) * (rx, ry) + (cx, cy)


def _catmull_rom() -> np.ndarray:
    t = np.arange(_STEPS) / _STEPS
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return 0.5 * np.stack(weights, axis=1)  # [_STEPS, 4]


_STEPS = 8  # Points of a smooth curve from one of its knots to the next.
_WEIGHTS = _catmull_rom()


def smooth(points: Points, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve through `points`. [N, 2]"""
    knots = np.asarray(points, np.float64)  # [K, 2]
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([knots[:1], knots, knots[-1:]])
    spans = np.stack([padded[shift : len(padded) - 3 + shift] for shift in range(4)], axis=1)  # [S, 4, 2]
    curve = (_WEIGHTS @ spans).reshape(-1, 2)  # [S * _STEPS, 2]
    return curve if closed else np.concatenate([curve, knots[-1:]])


def mirrored(points: Points) -> np.ndarray:
    """The same points with left and right exchanged, in reverse order."""
    return np.asarray(points, np.float64)[::-1] * (-1.0, 1.0)


def shifted(points: Points, x: float, y: float) -> np.ndarray:
    """The same points, moved."""
    return np.asarray(points, np.float64) + np.array([x, y])


def both_sides(half: Points) -> np.ndarray:
    """A symmetric outline from its right half."""
    return np.concatenate([np.asarray(half, np.float64), mirrored(half)])


class Pen:
    """Fills shapes on an image, in face units: origin at the centre, x to the right, y down."""

    def __init__(self, image: Image.Image, matrix: np.ndarray, origin: np.ndarray) -> None:
        """Maps a point p to the pixel `p @ matrix + origin`: [2] @ [2, 2] + [2]."""
        self.image = image
        self._draw = ImageDraw.Draw(image)
        self._matrix, self._origin = matrix, origin

    @classmethod
    def centred(cls, image: Image.Image, zoom: float = 1.0, shift: Sequence[float] = (0.0, 0.0)) -> Pen:
        """A pen with its origin `shift` units away from the image's centre."""
        scale = min(image.width / UNIT_WIDTH, image.height / UNIT_HEIGHT)
        centre = np.array([image.width / 2, image.height / 2]) + np.array(shift) * scale
        return cls(image, np.eye(2) * (zoom * scale), centre)

    def at(self, x: float, y: float, flip: int = 1) -> Pen:
        """A pen with its origin at (x, y); with flip -1 its x runs to the left."""
        moved = self._origin + np.array([x, y]) @ self._matrix
        return Pen(self.image, np.diag([float(flip), 1.0]) @ self._matrix, moved)

    def tilted(self, radians: float, pivot: Sequence[float]) -> Pen:
        """A pen rotated about `pivot`."""
        cosine, sine = math.cos(radians), math.sin(radians)
        matrix = np.array([[cosine, sine], [-sine, cosine]]) @ self._matrix
        fixed = np.array(pivot)
        return Pen(self.image, matrix, self._origin + fixed @ self._matrix - fixed @ matrix)

    def _pixels(self, points: Points) -> np.ndarray:
        return np.rint(np.asarray(points, np.float64) @ self._matrix + self._origin).astype(np.int64)

    def fill(self, points: Points, colour: Colour) -> None:
        """Fills a polygon."""
        self._draw.polygon(self._pixels(points).ravel().tolist(), fill=colour)

    def blob(self, points: Points, colour: Colour) -> None:
        """Fills the smooth outline through a few points."""
        self.fill(smooth(points), colour)

    def oval(self, cx: float, cy: float, rx: float, ry: float, colour: Colour) -> None:
        """Fills an ellipse."""
        self.fill(ellipse(cx, cy, rx, ry), colour)

    def stroke(self, points: Points, width: float, colour: Colour, *, taper: float = 0.0) -> None:
        """Draws a smooth line with round ends; `taper` is the share of its width it loses towards them."""
        self.line(smooth(points, closed=False), width, colour, taper=taper)

    def line(self, points: Points, width: float, colour: Colour, *, taper: float = 0.0) -> None:
        """Draws along the points as they are."""
        curve = np.asarray(points, np.float64)
        along = np.gradient(curve, axis=0)
        normal = along[:, ::-1] * (1, -1) / np.maximum(np.hypot(*along.T), 1e-6)[:, None]
        half = width / 2 * (1 - taper * np.abs(np.linspace(-1, 1, len(curve))) ** 2)[:, None]
        self.fill(np.concatenate([curve + normal * half, (curve - normal * half)[::-1]]), colour)
        for (x, y), radius in ((curve[0], half[0, 0]), (curve[-1], half[-1, 0])):
            self.oval(x, y, radius, radius, colour)

    def inside(self, outline: Points, shapes: Sequence[tuple[Points, Colour]]) -> None:
        """Fills polygons, but only where they lie inside `outline`."""
        edge = self._pixels(outline)
        low = np.maximum(edge.min(axis=0), 0)
        high = np.minimum(edge.max(axis=0) + 1, (self.image.width, self.image.height))
        if (high <= low).any():
            return
        left, top, right, bottom = (int(v) for v in (*low, *high))
        patch = self.image.crop((left, top, right, bottom))
        mask = Image.new("L", patch.size)
        ImageDraw.Draw(mask).polygon((edge - low).ravel().tolist(), fill=255)
        draw = ImageDraw.Draw(patch)
        for points, colour in shapes:
            draw.polygon((self._pixels(points) - low).ravel().tolist(), fill=colour)
        self.image.paste(patch, (left, top), mask)
