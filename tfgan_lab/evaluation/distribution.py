"""Metrics of the Gaussian post's numbers, against the target's law itself (never against a sample of it)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tfgan_lab import metrics
from tfgan_lab.config import Gaussian
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import jackknife_interval

NUM = 100_000
_GRID = 200_001  # of the bimodal quantile function


def metrics_for(data: Gaussian) -> dict[str, Metric]:
    """The table's rows, with the target's own values in their labels."""
    mean, std, kurtosis = target_moments(data)
    return {
        "mean": Metric(f"mean (target {mean:g})", "as real", None),
        "std": Metric(f"standard deviation (target {std:.4g})", "as real"),
        "skewness": Metric("skewness (target 0)", "as real", None),
        "kurtosis": Metric(f"excess kurtosis (target {kurtosis:.4g})", "as real", None),
        "wasserstein": Metric(f"Wasserstein-1 to {data}", "lower"),
        "kolmogorov_smirnov": Metric(f"Kolmogorov-Smirnov to {data}", "lower"),
    }


def column(sample: np.ndarray, data: Gaussian, seed: int) -> dict[str, Number]:
    """All metrics of a sample of numbers, of any shape."""
    x = sample.astype(np.float64).ravel()  # [N]
    cdf, quantiles = target_law(data)
    found = metrics.moments(x)
    numbers: dict[str, Number] = {"mean": metrics.mean_interval(x), "skewness": None, "kurtosis": None}
    numbers["std"] = jackknife_interval(lambda part: metrics.moments(part).std, x, seed=seed)
    if found.skewness is not None:  # a collapsed generator's numbers have no shape
        for name in ("skewness", "kurtosis"):
            numbers[name] = jackknife_interval(
                lambda part, name=name: getattr(metrics.moments(part), name), x, seed=seed
            )
    numbers["wasserstein"] = jackknife_interval(
        lambda part: metrics.wasserstein_distance(part, quantiles), x, seed=seed
    )
    numbers["kolmogorov_smirnov"] = jackknife_interval(lambda part: metrics.kolmogorov_smirnov(part, cdf), x, seed=seed)
    return numbers


def target_moments(data: Gaussian) -> tuple[float, float, float]:
    """Mean, standard deviation and excess kurtosis of the target (its skewness is 0)."""
    if data.target == "normal":
        return data.mean, data.std, 0.0
    variance, d = data.std**2 + data.separation**2, data.separation
    fourth = 3 * data.std**4 + 6 * data.std**2 * d**2 + d**4
    return data.mean, math.sqrt(variance), fourth / variance**2 - 3


def target_law(data: Gaussian) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Distribution function and quantile function of the target."""
    from scipy.stats import norm

    if data.target == "normal":
        law = norm(data.mean, data.std)
        return law.cdf, law.ppf
    left, right = norm(data.mean - data.separation, data.std), norm(data.mean + data.separation, data.std)

    def cdf(x: np.ndarray) -> np.ndarray:
        return (left.cdf(x) + right.cdf(x)) / 2

    # A mixture's quantiles have no closed form: its distribution function is inverted on a grid.
    reach = data.separation + 9 * data.std
    grid = np.linspace(data.mean - reach, data.mean + reach, _GRID)
    shares, first = np.unique(cdf(grid), return_index=True)
    return cdf, lambda u: np.interp(u, shares, grid[first])
