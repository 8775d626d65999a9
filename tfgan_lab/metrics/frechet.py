"""Distances between two sets of features: Fréchet (of fitted Gaussians) and kernel (MMD)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import Floats, feature_matrix, feature_pair
from tfgan_lab.metrics.intervals import Estimate, normal_interval

NAMES = ("real features", "generated features")


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """Squared Fréchet (2-Wasserstein) distance between Gaussians fitted to two sets of features.

    d^2 = |m_r - m_g|^2 + tr(C_r + C_g - 2 (C_r C_g)^(1/2)), m the mean and C the covariance (n - 1).

    Source: Dowson and Landau 1982 for Gaussians; Heusel et al., "GANs trained by a two time-scale update
    rule", 2017, for features of a classifier (there Inception: values of other features do not compare).
    Range: [0, inf), 0 for equal means and covariances; unit: that of the features, squared.
    Bias at small n: upwards, in proportion to 1/n. For d-dimensional features of unit covariance and n
    examples a set two samples of one law score about (2 d + d (d + 1) / 2) / n: 4.3 for d = 128 and
    n = 2,000 and 0.85 for n = 10,000. Compare only values of the same n, and look at the floor of two real
    halves.

    Args:
        real: [N, D], N > D, so that the covariance has full rank.
        generated: [M, D], M > D.

    Raises:
        UserError: sets of D or fewer examples, other widths, NaN, all real features equal.
    """
    a, b = feature_pair(real, generated, NAMES, at_least=(2, 2))
    return frechet_from_moments(*_moments(a, NAMES[0]), *_moments(b, NAMES[1]))


def feature_moments(features: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [D] and covariance [D, D] (divisor n - 1) of features [N, D], for `frechet_from_moments`.

    Raises:
        UserError: D or fewer examples, NaN.
    """
    return _moments(feature_matrix(features, "features", at_least=2), "features")


def frechet_from_moments(mean_a: ArrayLike, cov_a: ArrayLike, mean_b: ArrayLike, cov_b: ArrayLike) -> float:
    """The squared Fréchet distance of `frechet_distance`, from means [D] and covariances [D, D].

    tr (A B)^(1/2) is the sum of the square roots of the eigenvalues of A^(1/2) B A^(1/2), which is
    symmetric: no complex square root, and singular covariances do no harm.

    Raises:
        UserError: shapes that do not fit together.
    """
    m_a, m_b = np.asarray(mean_a, np.float64), np.asarray(mean_b, np.float64)
    c_a, c_b = np.asarray(cov_a, np.float64), np.asarray(cov_b, np.float64)
    if m_a.ndim != 1 or m_b.shape != m_a.shape or not (c_a.shape == c_b.shape == m_a.shape * 2):
        raise UserError(
            f"Fréchet distance: means {m_a.shape}, {m_b.shape} and covariances {c_a.shape}, {c_b.shape} "
            "are not of one width: both must come from the same feature extractor."
        )
    values, vectors = np.linalg.eigh(c_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T  # [D, D]
    cross = np.sqrt(np.linalg.eigvalsh(root @ c_b @ root).clip(0)).sum()
    distance = ((m_a - m_b) ** 2).sum() + np.trace(c_a) + np.trace(c_b) - 2 * cross
    return max(float(distance), 0.0)


def kernel_distance(real: ArrayLike, generated: ArrayLike, *, blocks: int = 10, seed: int = 0) -> Estimate:
    """Kernel distance: unbiased squared MMD with k(x, y) = (x.y / D + 1)^3, with its standard error.

    Of one block of n real x and m generated y: sum_{i != j} k(x_i, x_j) / (n (n - 1))
    + sum_{i != j} k(y_i, y_j) / (m (m - 1)) - 2 sum_{i, j} k(x_i, y_j) / (n m).
    Both sets are shuffled and cut into `blocks` disjoint blocks. The value is the mean over the blocks, its
    standard error their standard deviation / sqrt(blocks), honest because disjoint blocks are independent
    (overlapping random subsets, as often used, are not).

    Source: Gretton et al. 2012 (lemma 6); Bińkowski et al., "Demystifying MMD GANs", 2018 (KID, blocks of
    about 1,000).
    Range: about 0 for equal laws, and then below 0 half the time; no upper end. Unit: none, but it grows
    with the cube of the features' squared scale, so values of different features do not compare.
    Bias at small n: none; only the standard error grows.

    Args:
        real: [N, D], N >= 2 * blocks.
        generated: [M, D], M >= 2 * blocks.
        blocks: number of blocks, at least 2.

    Returns:
        The distance with its standard error and Student's interval of blocks - 1 degrees of freedom.

    Raises:
        UserError: too few examples or blocks, other widths, NaN, all real features equal.
    """
    if blocks < 2:
        raise UserError(f"kernel distance: blocks={blocks} gives no standard error, ask for at least 2.")
    a, b = feature_pair(real, generated, NAMES, at_least=(2 * blocks, 2 * blocks))
    rng = np.random.default_rng(seed)
    a_rows = np.array_split(rng.permutation(len(a)), blocks)
    b_rows = np.array_split(rng.permutation(len(b)), blocks)
    values = [_mmd2(a[i].astype(np.float64), b[j].astype(np.float64)) for i, j in zip(a_rows, b_rows, strict=True)]
    error = float(np.std(values, ddof=1)) / math.sqrt(blocks)
    return normal_interval(float(np.mean(values)), error, freedom=blocks - 1)


def _mmd2(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    def kernel(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
        inner = p @ q.T / p.shape[1] + 1  # [n, m]
        return inner * inner * inner

    def off_diagonal_mean(k: NDArray[np.float64]) -> float:
        return float(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return off_diagonal_mean(kernel(x, x)) + off_diagonal_mean(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def _moments(rows: Floats, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(rows) <= rows.shape[1]:
        raise UserError(
            f"{name}: the Fréchet distance of {rows.shape[1]} features needs more than {rows.shape[1]} "
            f"examples, got {len(rows)}: draw more."
        )
    exact = rows.astype(np.float64)
    return exact.mean(axis=0), np.atleast_2d(np.cov(exact, rowvar=False))
