"""What every data source hands over: a split of examples, and where it came from."""

from __future__ import annotations

import dataclasses
import hashlib
import math

import numpy as np

from tfgan_lab.data.stored import StoredImages


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where examples came from; kept in run.json and printed under every figure."""

    source: str  # short name that a reader recognises, such as "idx files"
    split: str  # such as "train+validation"
    count: int
    sha256: str  # of the examples, in any order: see `digest`
    detail: str = ""  # one more fact worth keeping: a folder's name, a package's version, a seed

    def __str__(self) -> str:
        return f"{self.source}, {self.split}, n={self.count:,}, sha256 {self.sha256[:12]}"


@dataclasses.dataclass(frozen=True)
class Examples:
    """One split, in memory or, where it is too large for that, in a file."""

    num: int
    shape: tuple[int, ...]  # of one image, [H, W, C]
    provenance: Provenance
    images: np.ndarray | StoredImages  # uint8 [num, H, W, C]
    labels: np.ndarray | None = None  # int32 [num]

    @property
    def in_memory(self) -> bool:
        """Whether the images are an array."""
        return isinstance(self.images, np.ndarray)

    def some(self, number: int) -> np.ndarray:
        """`number` images, always the same, uint8 [N, H, W, C]; mixed, as some sets are sorted by label."""
        return self.images[np.random.default_rng(0).permutation(self.num)[:number]]


def digest(images: np.ndarray, labels: np.ndarray | None = None) -> str:
    """SHA-256 of a set of uint8 images (and labels), the same in any order.

    So the same data has the same digest whether it came from TFDS or from idx files.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), math.prod(images.shape[1:]))  # also of no images
    if labels is not None:
        wide = "<u2" if labels.max(initial=0) > 255 else np.uint8
        rows = np.concatenate([rows, labels.astype(wide)[:, None].view(np.uint8)], axis=1)
    return digest_of([hashlib.sha256(row.tobytes()).digest() for row in rows])


def digest_of(rows: list[bytes]) -> str:
    """`digest` of a set from the SHA-256 of each of its rows."""
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()
