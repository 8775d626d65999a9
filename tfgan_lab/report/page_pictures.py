"""The pictures of a page, as data URIs: moments of training, real examples, walks, a grid per label, neighbours."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfgan_lab import pictures
from tfgan_lab.config import GanConfig
from tfgan_lab.words import counted

_MOST_SAMPLES = 36
_WALKS, _WALK_STEPS = 4, 9
_NEIGHBOURS = 10
_LABELLED = 8  # samples of each label
_NEIGHBOUR_BYTES = 800_000_000  # of training images as float32


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image in the page: its data URI, its size in pixels, and words for those who do not see it."""

    uri: str
    width: int
    height: int
    alt: str


def picture_of(pixels: np.ndarray, alt: str, colormap: str = "gray") -> Picture:
    """uint8 [H, W, C] as WebP: exact for digits, at quality 88 for the larger faces."""
    coloured = pictures.colour(pixels, colormap)
    buffer = io.BytesIO()
    image = Image.fromarray(coloured[..., 0] if coloured.shape[-1] == 1 else coloured)
    exact = pixels.shape[-1] == 1
    image.save(buffer, "WEBP", lossless=exact, quality=100 if exact else 88, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(uri, image.width, image.height, alt)


def shown(samples: np.ndarray, config: GanConfig) -> tuple[np.ndarray, int]:
    """Of fixed samples those that a page shows, and how many stand in a row: a row per label, or a square."""
    if config.num_labels:
        each = max(1, len(samples) // config.num_labels)
        columns = min(each, 6)
        rows = [samples[label * each : label * each + columns] for label in range(config.num_labels)]
        return np.concatenate(rows), columns
    side = int(min(len(samples), _MOST_SAMPLES) ** 0.5)
    return samples[: side * side], side


def moments(
    saved: Sequence[tuple[int, np.ndarray]], config: GanConfig, steps_per_epoch: int, most: int
) -> list[dict[str, Any]]:
    """The fixed samples at some moments of training, more of them early, in at most so many bytes.

    Returns:
      For each: "step", "epoch" and "picture"; at least the first and the last.
    """
    drawn: dict[int, Picture] = {}

    def picture(index: int) -> Picture:
        if index not in drawn:
            step, samples = saved[index]
            pixels, columns = shown(samples, config)
            what = _row_for_each(config) if config.num_labels else "from the same latents at every step"
            alt = f"{len(pixels)} samples after {counted(step, 'step')}, {what}"
            drawn[index] = picture_of(pictures.grid(pixels, columns), alt, config.sample_colormap)
        return drawn[index]

    for number in (30, 24, 18, 12, 8, 5, 3, 2):
        picked = _spread(len(saved), number)
        if sum(len(picture(index).uri) for index in picked) <= most or len(picked) <= 2:
            break
    return [
        {"step": saved[i][0], "epoch": round(saved[i][0] / steps_per_epoch, 2), "picture": picture(i)} for i in picked
    ]


def _row_for_each(config: GanConfig) -> str:
    return f"a row for each label from {config.label_names[0]} to {config.label_names[-1]}"


def _spread(length: int, number: int) -> list[int]:
    """`number` positions of a list, the first and the last among them, denser at its beginning."""
    return sorted({round((length - 1) * (i / max(1, number - 1)) ** 1.6) for i in range(number)})


def real_picture(examples: Any, number: int, columns: int, config: GanConfig) -> Picture:
    """Real examples in a grid of the same shape; a row for each label if the samples have one."""
    alt = f"{number} real examples of {examples.provenance.source}, {examples.provenance.split} split"
    colormap = config.sample_colormap
    if config.num_labels and examples.labels is not None:
        each = [np.flatnonzero(examples.labels == label)[:columns] for label in range(config.num_labels)]
        if all(len(rows) == columns for rows in each):
            pixels = examples.images[np.concatenate(each)]
            return picture_of(pictures.grid(pixels, columns), f"{alt}, {_row_for_each(config)}", colormap)
    return picture_of(pictures.grid(examples.some(number), columns), alt, colormap)


def walks(module: Any, config: GanConfig) -> Picture:
    """Rows of samples between two latents each; for conditional generators a label each."""
    ends = _latents(config, 2 * _WALKS, 3).numpy()
    share = np.linspace(0, 1, _WALK_STEPS)
    paths = [between(a, b, share, config.latents.distribution) for a, b in zip(ends[::2], ends[1::2], strict=True)]
    names = config.label_names
    rows = [3 * row % len(names) for row in range(_WALKS)] if names else []
    labels = np.repeat(rows, _WALK_STEPS) if rows else None
    drawn = pictures.to_uint8(module.draw(np.concatenate(paths).astype(np.float32), labels).numpy(), "unit")
    of = f" of the labels {', '.join(names[row] for row in rows)}" if rows else ""
    alt = f"{_WALKS} rows{of}: in each, {_WALK_STEPS} samples on the way from one latent to another"
    return picture_of(pictures.grid(drawn, _WALK_STEPS), alt, config.sample_colormap)


def between(a: np.ndarray, b: np.ndarray, share: np.ndarray, distribution: str) -> np.ndarray:
    """Latents [S, Z] on the way from a to b: along the great circle for normal latents, straight for uniform ones.

    Source: White, "Sampling generative networks", 2016: straight ways between normal latents leave their sphere.
    """
    t = share[:, None]
    if distribution != "normal":
        return (1 - t) * a + t * b
    cosine = np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1)
    angle = max(float(np.arccos(cosine)), 1e-6)
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def digit_grids(module: Any, config: GanConfig) -> list[tuple[str, Picture]]:
    """For each label a grid of samples that were asked for it."""
    latents, grids = _latents(config, _LABELLED, 4), []
    for label, name in enumerate(config.label_names):
        drawn = pictures.to_uint8(module.draw(latents, np.full(_LABELLED, label, np.int32)).numpy(), "unit")
        alt = f"{_LABELLED} samples that were asked for the label {name}"
        grids.append((name, picture_of(pictures.grid(drawn, _LABELLED // 2), alt, config.sample_colormap)))
    return grids


def _latents(config: GanConfig, number: int, what: int) -> Any:
    from tfgan_lab.randomness import draw_latents, sample_seed

    return draw_latents(config.latents.distribution, config.latents.dim, number, sample_seed(config.seed, what))


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Samples above the training images nearest to them.

    Attributes:
      picture: Two rows.
      distances: Euclidean, pixels in [0, 1].
      typical: The median distance of unseen test images to their nearest training images; None without such a split.
      searched: In how many training images.
    """

    picture: Picture
    distances: list[float]
    typical: float | None
    searched: int


def neighbours(module: Any, config: GanConfig, source: Any) -> Neighbours | None:
    """Searches all training images for the nearest to ten samples; None where they are streamed or too many."""
    train: Any = source.train
    if not train.in_memory or train.images.nbytes * 4 > _NEIGHBOUR_BYTES:
        return None
    drawn = pictures.to_uint8(module.sample(config.seed, _NEIGHBOURS).numpy(), "unit")
    unseen = source.test.images[:: max(1, source.test.num // 100)][:100] if source.test is not None else drawn[:0]
    rows = _flat(np.concatenate([drawn, unseen]))
    index, distance = _nearest(rows, train.images)
    nearest = train.images[index[:_NEIGHBOURS]]
    distances = [round(float(value), 2) for value in distance[:_NEIGHBOURS]]
    below = f"below each the training image nearest to it, at the distances {', '.join(map(str, distances))}"
    grid = pictures.grid(np.concatenate([drawn, nearest]), _NEIGHBOURS)
    typical = round(float(np.median(distance[_NEIGHBOURS:])), 2) if len(unseen) else None
    picture = picture_of(grid, f"above {_NEIGHBOURS} samples, {below}", config.sample_colormap)
    return Neighbours(picture, distances, typical, train.num)


def _nearest(rows: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of and distance to the nearest image of each row; by hand, since importing scikit-learn takes seconds."""
    pieces = (_flat(images[start : start + 2048]) for start in range(0, len(images), 2048))
    # Squared distances, less the row's own square.
    away = np.concatenate([(piece**2).sum(axis=1) - 2 * rows @ piece.T for piece in pieces], axis=1)  # [rows, images]
    index = away.argmin(axis=1)
    return index, np.linalg.norm(rows - _flat(images[index]), axis=1)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255
