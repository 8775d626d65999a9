"""What every metric asks of its input: one-line errors instead of a meaningless number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def feature_matrix(values: ArrayLike, name: str, *, at_least: int = 1) -> Floats:
    """Checks a set of feature vectors or images and flattens each to one row.

    Args:
        values: [N, D], or [N, H, W] or [N, H, W, C], finite numbers; at least so many rows.
        name: what the set is called in an error message.

    Returns:
        [N, D]; float32 for float32, float16 and 8- and 16-bit integers, float64 otherwise.

    Raises:
        UserError: not numbers, no second axis, too few rows, NaN or infinity.
    """
    rows = _numbers(values, name)
    if rows.ndim < 2 or 0 in rows.shape[1:]:
        raise UserError(f"{name}: shape {rows.shape} is not [N, D] or [N, H, W, C]: pass one row per example.")
    _enough(len(rows), name, at_least)
    _finite(rows, name)
    return rows.reshape(len(rows), -1)  # [N, D]


def feature_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str], *, at_least: tuple[int, int] = (1, 1)
) -> tuple[Floats, Floats]:
    """Checks two sets that are compared with each other; see `feature_matrix`.

    The first is the reference: when all its rows are the same, every comparison with it is meaningless (a dead feature
    extractor would give a perfect score), so that is an error. A constant second set is a collapsed generator, which is
    a result.

    Raises:
        UserError: also when the widths differ, or the first set is constant.
    """
    a = feature_matrix(first, names[0], at_least=at_least[0])
    b = feature_matrix(second, names[1], at_least=at_least[1])
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"{names[0]} have {a.shape[1]} numbers each but {names[1]} {b.shape[1]}: "
            "both must come from the same feature extractor or have the same image size."
        )
    if len(a) > 1 and (a == a[0]).all():
        raise UserError(f"{names[0]}: all {len(a)} rows are equal, so nothing can be compared with them.")
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def sample_vector(values: ArrayLike, name: str, *, at_least: int = 1) -> NDArray[np.float64]:
    """Checks a one-dimensional sample of any shape: float64 [N]. Raises UserError: no numbers, too few, NaN, infinity."""
    flat = _numbers(values, name).reshape(-1).astype(np.float64)  # [N]
    _enough(len(flat), name, at_least)
    _finite(flat, name)
    return flat


def class_labels(values: ArrayLike, name: str, num_classes: int, *, at_least: int = 1) -> Ints:
    """Checks class numbers: a vector of integers in 0 .. num_classes - 1. Raises UserError unless they are that."""
    labels = np.asarray(values)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"{name}: {labels.dtype} of shape {labels.shape} is not a vector of class numbers: "
            "pass integers [N] (of probabilities the argmax)."
        )
    _enough(len(labels), name, at_least)
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        raise UserError(
            f"{name}: class {labels[wrong][0]} at position {int(np.argmax(wrong))} is outside "
            f"0..{num_classes - 1}: pass the right num_classes or fix the labels."
        )
    return labels


def same_length(first: NDArray[Any], second: NDArray[Any], names: tuple[str, str]) -> None:
    """Raises UserError unless both arrays hold the same number of examples."""
    if len(first) != len(second):
        raise UserError(f"{names[0]} hold {len(first)} examples but {names[1]} {len(second)}: pass one each.")


def class_probabilities(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Checks a classifier's output: [N, K] non-negative rows that sum to 1 within 0.001; K >= 2, N >= K.

    Raises UserError unless it is that.
    """
    table = np.asarray(_numbers(values, name), dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise UserError(f"{name}: shape {table.shape} is not [N, K] with two classes or more.")
    _enough(len(table), name, table.shape[1])
    _finite(table, name)
    if table.min() < 0 or np.abs(table.sum(axis=1) - 1).max() > 1e-3:
        raise UserError(f"{name}: rows must be probabilities that sum to 1: pass softmax(logits), not logits.")
    return table


def unit_images(values: ArrayLike, name: str, *, at_least: int = 1) -> Floats:
    """Checks images in [0, 1], [N, H, W] or [N, H, W, C] with C = 1 or 3, and returns them as [N, H, W, C].

    Raises UserError: another shape, too few, NaN, values outside [0, 1].
    """
    images = _numbers(values, name)
    if images.ndim == 3:
        images = images[..., np.newaxis]  # [N, H, W, 1]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise UserError(f"{name}: shape {images.shape} is not [N, H, W] or [N, H, W, C] with C = 1 or 3.")
    _enough(len(images), name, at_least)
    _finite(images, name)
    unit_range(images, name)
    return images


def unit_range(values: Floats, name: str) -> None:
    """Raises UserError unless all values lie in [0, 1], with one part in a million for rounding."""
    low, high = float(values.min()), float(values.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise UserError(
            f"{name}: values run from {low:.3g} to {high:.3g}, wanted [0, 1]: "
            "rescale with (x + 1) / 2 from [-1, 1] or x / 255 from bytes."
        )


def _numbers(values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name}: {array.dtype} values are not numbers.")
    small = array.dtype == np.float32 or array.dtype.itemsize <= 2
    return array.astype(np.float32 if small else np.float64, copy=False)


def _enough(count: int, name: str, at_least: int) -> None:
    if count < at_least:
        raise UserError(f"{name}: {count} given, but this metric needs at least {at_least}: draw more.")


def _finite(array: Floats, name: str) -> None:
    # A sum is NaN or infinite when any term is, and needs no mask as large as the array.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(array.sum(dtype=np.float64))
    if suspicious:
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise UserError(f"{name}: {bad} of {array.size} values are NaN or infinite: the model diverged.")
