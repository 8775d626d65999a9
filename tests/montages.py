"""Small montage images, and what the tests of them share."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfgan_lab.data import montage
from tfgan_lab.data.examples import Examples
from tfgan_lab.data.stored import StoredImages, store_images

CROP = 24
# Smooth pictures, uint8 [6, 36, 31, 3], as JPEG spoils noise.
FACES = np.stack(
    [
        np.asarray(Image.fromarray(noise).resize((31, 36), Image.Resampling.BICUBIC))
        for noise in np.random.default_rng(0).integers(0, 256, (6, 6, 5, 3), np.uint8)
    ]
)


def load(source: str, path: Any, **changes: Any) -> Examples:
    arguments = {"crop": CROP, "size": CROP, "num": 5, "seed": 0, "small": "refuse", "memory_mb": 64}
    return montage.load(source, None if path is None else str(path), **(arguments | changes))


def encoded(image: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def middle(image: np.ndarray, crop: int = CROP) -> np.ndarray:
    """The centre crop, worked out apart from the package."""
    height, width = image.shape[:2]
    top, left = height // 2 - crop // 2, width // 2 - crop // 2
    return image[top:, left:][:crop, :crop]


def streamed(examples: Examples) -> np.ndarray:
    assert not examples.in_memory
    images = examples.images[:]
    assert images.dtype == np.uint8
    return images


def stored(images: np.ndarray, folder: Path) -> StoredImages:
    """The images as they are streamed from a file."""
    store_images(folder / "images.npy", [images], images.shape)
    return StoredImages(folder / "images.npy")
