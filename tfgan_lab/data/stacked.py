"""Stacked MNIST: three random digits as red, green and blue of one image."""

from __future__ import annotations

import numpy as np

from tfgan_lab.config import Stacked
from tfgan_lab.data.examples import Examples, Provenance, digest
from tfgan_lab.data.mnist import load_mnist
from tfgan_lab.data.source import Source
from tfgan_lab.errors import UserError


def open_data(data: Stacked, data_dir: str | None) -> Source:
    """Images of training digits, and others of test digits. Raises `UserError` if one of the ten is missing."""
    splits, chosen = load_mnist(data.source, data_dir)
    train = stacked(splits[data.train_split], data.num, data.draw_seed)
    test = stacked(splits["test"], data.test_num, data.draw_seed)
    return Source(train, test, data.shape, f"{chosen}; three at a time as the colours of {data.num:,} images")


def stacked(digits: Examples, number: int, seed: int) -> Examples:
    """So many images uint8 [number, 28, 28, 3], each of three digits drawn with replacement; they have no labels."""
    assert digits.labels is not None
    missing = sorted({*range(10)} - {*digits.labels.tolist()})
    if missing:
        raise UserError(
            f"data: {digits.provenance} has no {' and no '.join(map(str, missing))}: stacked images are of all ten digits."
        )
    rows = np.random.default_rng([seed, number]).integers(digits.num, size=(3, number))
    images = np.concatenate([digits.images[row] for row in rows], axis=-1)  # [number, 28, 28, 3]
    of = digits.provenance
    provenance = Provenance(f"stacked {of.source}", of.split, number, digest(images), f"{of.detail}, drawn by {seed}")
    return Examples(number, images.shape[1:], provenance, images)
