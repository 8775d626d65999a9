"""Samples of points against a mixture's modes, and against a sample of any law in several dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import feature_matrix, feature_pair

NEAR = 3.0  # standard deviations from a mode


@dataclass(frozen=True)
class Coverage:
    """What a sample of `total` points has of a mixture's modes: `counts`, high-quality points nearest to each, int [M]."""

    counts: NDArray[np.int64]
    total: int

    @property
    def modes(self) -> int:
        """How many modes have at least one."""
        return int((self.counts > 0).sum())

    @property
    def high_quality(self) -> float:
        """Their share in all points."""
        return float(self.counts.sum() / self.total)


def mode_coverage(sample: ArrayLike, modes: ArrayLike, std: float) -> Coverage:
    """Modes recovered and high-quality samples: those within three standard deviations of their nearest mode.

    Source: Srivastava et al., "VEEGAN", 2017, section 5.1; Lin et al., "PacGAN", 2018, section 4.1 (both of 2,500
    points).
    Range: modes 0 .. M, high quality [0, 1]. A two-dimensional mixture itself has 1 - exp(-4.5) = 0.989.
    Bias at small n: modes downwards, as a mode may have no point by chance.

    Args:
        sample: [N, D].
        modes: [M, D].
        std: of the normal around each mode, the same in every direction, > 0.

    Raises:
        UserError: no points, NaN.
    """
    points = feature_matrix(sample, "sample")
    distances = np.linalg.norm(points[:, None] - np.asarray(modes)[None], axis=-1)  # [N, M]
    near = distances.min(axis=1) <= NEAR * std
    counts = np.bincount(distances.argmin(axis=1)[near], minlength=distances.shape[1])
    return Coverage(counts, len(points))


def energy_distance(reference: ArrayLike, sample: ArrayLike) -> float:
    """E = 2 E|X - Y| - E|X - X'| - E|Y - Y'| of two samples; 0 in the limit only for equal laws.

    The pairs within a sample exclude a point with itself, so that two samples of one law score 0 on average.

    Source: Szekely and Rizzo, "Energy statistics", 2013, equation 2.2 (its U-statistic).
    Range: about [0, inf), unit of the sample; below 0 by chance. Bias at small n: none.

    Args:
        reference, sample: [N, D] and [M, D], N and M >= 2.

    Raises:
        UserError: fewer than 2 points, NaN, different widths.
    """
    from scipy.spatial.distance import cdist, pdist

    x, y = feature_pair(reference, sample, ("reference sample", "sample"), at_least=(2, 2))
    if max(len(x), len(y)) > 20_000:
        raise UserError(f"energy distance: {max(len(x), len(y)):,} points have too many pairs: use at most 20,000.")
    return float(2 * cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean())
