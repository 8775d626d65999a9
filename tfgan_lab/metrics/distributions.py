"""One-dimensional samples against a sample or a known law: moments, Wasserstein-1, Kolmogorov-Smirnov."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import sample_vector

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
NODES = 16
_GRID = 200_001  # of quantiles


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviation and shape of a sample.

    Attributes:
        mean: unit of the sample.
        std: unit of the sample, divisor n - 1.
        skewness: 0 for a normal law; None for a constant sample, which has no shape.
        kurtosis: excess kurtosis, 0 for a normal law, -1.2 for a uniform one; None for a constant sample.
    """

    mean: float
    std: float
    skewness: float | None
    kurtosis: float | None


def moments(sample: ArrayLike) -> Moments:
    """The first four moments of a sample.

    mean = m_1, std = sqrt(n / (n - 1) m_2), skewness = G_1, excess kurtosis = G_2, the unbiased forms for
    normal data: G_1 = sqrt(n (n - 1)) / (n - 2) m_3 / m_2^(3/2), G_2 = (n - 1) / ((n - 2)(n - 3)) ((n + 1)
    (m_4 / m_2^2 - 3) + 6).

    Source: Joanes and Gill, "Comparing measures of sample skewness and kurtosis", 1998.
    Range: std [0, inf); skewness and kurtosis no unit. A constant sample (a collapsed generator) has std 0
    and no shape (None).
    Bias at small n: std of n normal values is low by about 1 / (4 n); skewness and kurtosis unbiased for
    normal data, towards 0 for heavy tails. Standard errors for normal data: sqrt(6 / n) and sqrt(24 / n).

    Args:
        sample: any shape, flattened to [N], N >= 4.

    Raises:
        UserError: fewer than 4 values, NaN.
    """
    from scipy.stats import kurtosis, skew

    x = sample_vector(sample, "sample", at_least=4)
    mean, std = float(x.mean()), float(x.std(ddof=1))
    # Below this the spread is the rounding of the values themselves.
    if std <= 1e-12 * float(np.abs(x).max()):
        return Moments(mean, std, None, None)
    return Moments(mean, std, float(skew(x, bias=False)), float(kurtosis(x, bias=False)))


def wasserstein_distance(sample: ArrayLike, reference: ArrayLike | Curve) -> float:
    """Wasserstein-1 (earth mover's) distance of a sample to another sample or to a law.

    W_1 = int_0^1 |Q_sample(u) - Q_reference(u)| du, Q the quantile functions. For a law the integral over
    each of the N steps of Q_sample is a Gauss-Legendre sum of 16 nodes: relative error about 0.002
    at N = 2, under 0.001 from N = 100 on.

    Source: Vallender 1974 for the form in one dimension.
    Range: [0, inf), unit of the sample; shifting a sample by c moves it by at most |c|.
    Bias at small n: upwards, in proportion to 1 / sqrt(n): a sample of the normal law itself scores about
    1.29 std / sqrt(n).

    Args:
        sample: any shape, flattened to [N], N >= 2.
        reference: a sample of any shape, or a law's quantile function (vectorised, of u in (0, 1)), such as
            `scipy.stats.norm(4, 1.25).ppf`.

    Raises:
        UserError: fewer than 2 values, NaN, a quantile function that is not finite and increasing inside (0,
            1).
    """
    from scipy.stats import wasserstein_distance as between_samples

    x = sample_vector(sample, "sample", at_least=2)
    if not callable(reference):
        return float(between_samples(x, sample_vector(reference, "reference sample", at_least=2)))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    u = (np.arange(len(x))[:, np.newaxis] + (nodes + 1) / 2) / len(x)  # [N, NODES]
    quantiles = _evaluate(reference, u.reshape(-1), "quantile function").reshape(u.shape)
    gaps = np.abs(np.sort(x)[:, np.newaxis] - quantiles)  # [N, NODES]
    return float((gaps @ weights).mean()) / 2


def kolmogorov_smirnov(sample: ArrayLike, reference: ArrayLike | Curve) -> float:
    """Kolmogorov-Smirnov statistic of a sample against another sample or a law.

    D = sup_x |F_sample(x) - F_reference(x)|, F the cumulative distribution functions.

    Source: Kolmogorov 1933; Smirnov 1948 for two samples.
    Range: [0, 1]; no unit; unchanged by any increasing transformation of both.
    Bias at small n: upwards; a sample of the law itself has a mean of 0.87 / sqrt(n) and exceeds 1.36 /
    sqrt(n) in 5 % of cases (two samples of n each: sqrt(2) times that).

    Args:
        sample: any shape, flattened to [N], N >= 2.
        reference: a sample of any shape, or a law's continuous cumulative distribution function
            (vectorised), such as `scipy.stats.norm(4, 1.25).cdf`.

    Raises:
        UserError: fewer than 2 values, NaN, a cumulative distribution function that leaves [0, 1] or
            decreases.
    """
    from scipy.stats import ks_1samp, ks_2samp

    x = sample_vector(sample, "sample", at_least=2)
    if not callable(reference):
        other = sample_vector(reference, "reference sample", at_least=2)
        return float(ks_2samp(x, other, method="asymp").statistic)
    law = _evaluate(reference, np.sort(x), "cumulative distribution function")
    if law.min() < 0 or law.max() > 1:
        raise UserError("cumulative distribution function: it leaves [0, 1]; pass the law's cdf, not its ppf or pdf.")
    return float(ks_1samp(x, reference, method="asymp").statistic)


def _evaluate(curve: Curve, ascending: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    values = np.asarray(curve(ascending), np.float64)
    if values.shape != ascending.shape or not np.isfinite(values).all() or (np.diff(values) < -1e-9).any():
        raise UserError(f"{name}: it must give one finite number for each point and never decrease.")
    return values


class TwoNormals:
    """Half N(mean - separation, std^2), half N(mean + separation, std^2); its methods are those of `scipy.stats`."""

    def __init__(self, mean: float, std: float, separation: float) -> None:
        from scipy.stats import norm

        self._mean, self._std, self._separation = mean, std, separation
        self._left, self._right = norm(mean - separation, std), norm(mean + separation, std)
        # Quantiles have no closed form: the distribution function is inverted on a grid.
        reach = separation + 9 * std
        grid = np.linspace(mean - reach, mean + reach, _GRID)
        self._shares, first = np.unique(self.cdf(grid), return_index=True)
        self._quantiles = grid[first]

    def cdf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distribution function."""
        return (self._left.cdf(x) + self._right.cdf(x)) / 2

    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        """The quantiles of shares."""
        return np.interp(np.asarray(u), self._shares, self._quantiles)

    def stats(self, moments: str) -> tuple[float, ...]:
        """Mean, variance, skewness and excess kurtosis, as far as their letters of "mvsk" are in `moments`."""
        variance, d = self._std**2 + self._separation**2, self._separation
        fourth = 3 * self._std**4 + 6 * self._std**2 * d**2 + d**4
        found = {"m": self._mean, "v": variance, "s": 0.0, "k": fourth / variance**2 - 3}
        return tuple(value for letter, value in found.items() if letter in moments)
