"""Small montage images, and what the tests of them share."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfgan_lab.data import montage
from tfgan_lab.data.examples import Examples
from tfgan_lab.data.faces import draw_faces
from tfgan_lab.errors import UserError

CROP = 24
FACES = draw_faces(0, 6, 36, 31)  # uint8 [6, 36, 31, 3]


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
    import tensorflow as tf

    assert examples.images is None
    assert examples.fetch is not None
    dataset = tf.data.Dataset.range(examples.num).map(examples.fetch, num_parallel_calls=4)
    images = np.stack(list(dataset.as_numpy_iterator()))
    assert images.dtype == np.uint8
    return images


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message
