"""What every data source hands over: a split of examples, and where it came from."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where examples came from; kept in run.json and printed under every figure.

    Attributes:
      source: Short name a reader recognises, such as ``"MNIST idx files"``.
      split: The split, such as ``"train+validation"``.
      count: How many examples it has.
      sha256: Digest of the examples that does not depend on their order (see `digest`).
      detail: One more fact worth keeping (a folder name, a package version, a seed).
    """

    source: str
    split: str
    count: int
    sha256: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.source}, {self.split}, n={self.count:,}, sha256 {self.sha256[:12]}"


@dataclasses.dataclass(frozen=True)
class Examples:
    """One split: either resident in memory (`images`) or fetched one by one (`fetch`).

    Attributes:
      num: How many examples.
      shape: Shape of one image, [H, W, C].
      provenance: Where they came from.
      images: uint8 [num, H, W, C], or None when streamed.
      labels: int32 [num], or None when there are none.
      fetch: For streamed examples: maps a scalar int64 index tensor to a uint8
        [H, W, C] tensor with TensorFlow ops (called inside `tf.data.Dataset.map`).
      fetch_many: The same of int64 [N] indices, [N, H, W, C], where that is faster; or None.
    """

    num: int
    shape: tuple[int, ...]
    provenance: Provenance
    images: np.ndarray | None = None
    labels: np.ndarray | None = None
    fetch: Callable[[Any], Any] | None = None
    fetch_many: Callable[[Any], Any] | None = None


def digest(images: np.ndarray, labels: np.ndarray | None = None) -> str:
    """SHA-256 of a set of uint8 images (and labels), the same in any order.

    So the same data has the same digest whether it came from TFDS or from idx files.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    if labels is not None:
        rows = np.concatenate([rows, labels.astype(np.uint8)[:, None]], axis=1)
    parts = sorted(hashlib.sha256(row.tobytes()).digest() for row in rows)
    return hashlib.sha256(b"".join(parts)).hexdigest()
