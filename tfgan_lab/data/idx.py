"""idx files: images and labels as MNIST came, of any size."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from tfgan_lab.errors import UserError

FILES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
MOST_BYTES = 2**31  # of all images in memory
_MOST_EXAMPLES = 1_000_000  # a header asking for more is damaged: do not allocate for it


def idx_path(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, plain or .gz, or with a dot for the dash; images in colour have idx4 for idx3."""
    ranks = (name, name.replace("idx3", "idx4"))
    names = [one.replace("-idx", mark) + end for one in ranks for mark in ("-idx", ".idx") for end in ("", ".gz")]
    return next((folder / candidate for candidate in names if (folder / candidate).is_file()), None)


def read_split(
    folder: Path, split: str, item_shape: tuple[int, ...] | None, num_labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, …] as `read_idx` gives them, and labels uint8 [N] below `num_labels`, of "train" or "test".

    Raises:
      UserError: A file is missing or wrong, there are more of the one than of the other, or a label is too high.
    """
    paths = [_required(folder, FILES[split, what]) for what in ("images", "labels")]
    images, labels = read_idx(paths[0], item_shape), read_idx(paths[1], ())
    if len(images) != len(labels):
        raise UserError(
            f"{paths[0]} has {len(images):,} images but {paths[1].name} {len(labels):,} labels: fetch both again."
        )
    if labels.max() >= num_labels:
        raise UserError(f"{paths[1]} holds label {labels.max()}: labels must be 0 to {num_labels - 1}.")
    return images, labels


def _required(folder: Path, name: str) -> Path:
    path = idx_path(folder, name)
    if path is None:
        raise UserError(f"{folder} has no {name} (nor {name}.gz): all four idx files are needed.")
    return path


def read_idx(path: Path, item_shape: tuple[int, ...] | None) -> np.ndarray:
    """Reads one idx file of unsigned bytes, plain or .gz.

    Args:
      path: The file; gzip is recognised by its content, not its name.
      item_shape: Required shape of one item: (28, 28) for digits, () for labels, None for images of any size.

    Returns:
      uint8 [N, *item_shape], or [N, H, W, C] where that was None, C being 1 or 3.

    Raises:
      UserError: Unreadable, wrong magic number, wrong shape, truncated or overlong.
    """
    ranks = (3, 4) if item_shape is None else (1 + len(item_shape),)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as file:
            magic = file.read(4)
            rank = magic[-1] if len(magic) == 4 else 0
            sizes = file.read(4 * rank)
            if magic[:3] != bytes([0, 0, 8]) or rank not in ranks or len(sizes) < 4 * rank:
                what = "labels" if item_shape == () else "images"
                raise UserError(f"{path} is no idx file of {what}: wrong magic number {magic.hex() or '(empty)'}.")
            dims = [int.from_bytes(sizes[4 * i : 4 * i + 4], "big") for i in range(rank)]
            expected = str(item_shape)
            if item_shape is None:
                item_shape = (*dims[1:3], dims[3] if dims[3:] in ([1], [3]) else 1)
                expected = "(height, width), 1 or 3 channels behind them if any"
                dims += [1] * (rank == 3)
            if tuple(dims[1:]) != item_shape:
                raise UserError(f"{path} holds items of shape {tuple(dims[1:])}, expected {expected}.")
            if not 0 < dims[0] <= _MOST_EXAMPLES:
                raise UserError(f"{path} says it holds {dims[0]:,} items: expected 1 to {_MOST_EXAMPLES:,}.")
            size = math.prod(dims)
            if not 0 < size <= MOST_BYTES:
                raise UserError(f"{path} says it holds {size:,} bytes: expected 1 to {MOST_BYTES:,}.")
            body = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}. Fetch it again or fix its permissions.") from None
    if len(body) != size:
        wrong = "truncated" if len(body) < size else "longer than its header says"
        raise UserError(f"{path} is {wrong} ({len(body):,} of {size:,} bytes): fetch it again.")
    return np.frombuffer(body, np.uint8).reshape(dims)
