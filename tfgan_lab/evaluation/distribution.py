"""Metrics of generated numbers, against the target's law itself (never against a sample of it)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfgan_lab import metrics
from tfgan_lab.config import NumberData
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import Estimate

NUM = 100_000


def metrics_for(data: NumberData) -> dict[str, Metric]:
    """The table's rows, with the target's own values in their labels."""
    mean, std = data.moments
    skewness, kurtosis = (float(value) for value in data.law().stats("sk"))
    return {
        "mean": Metric(f"mean (target {mean:g})", "as real", None),
        "std": Metric(f"standard deviation (target {std:.4g})", "as real"),
        "skewness": Metric(f"skewness (target {skewness:.4g})", "as real", None),
        "kurtosis": Metric(f"excess kurtosis (target {kurtosis:.4g})", "as real", None),
        "wasserstein": Metric(f"Wasserstein-1 to {data}", "lower"),
        "kolmogorov_smirnov": Metric(f"Kolmogorov-Smirnov to {data}", "lower"),
    }


def column(sample: np.ndarray, data: NumberData, seed: int) -> dict[str, Number]:
    """All metrics of a sample of numbers, of any shape."""
    x = sample.astype(np.float64).ravel()  # [N]
    law, kept = data.law(), dict[int, np.ndarray]()

    def quantiles(u: np.ndarray) -> np.ndarray:
        """The law's, each set of so many computed once: they take most of the time, and all groups ask for the same."""
        if len(u) not in kept:
            kept[len(u)] = law.ppf(u)
        return kept[len(u)]

    def jackknife(statistic: Callable[[np.ndarray], float]) -> Estimate:
        return metrics.jackknife_interval(statistic, x, seed=seed)

    numbers: dict[str, Number] = {"mean": metrics.mean_interval(x), "skewness": None, "kurtosis": None}
    numbers["std"] = jackknife(lambda part: metrics.moments(part).std)
    if metrics.moments(x).skewness is not None:  # a collapsed generator's numbers have no shape
        for name in ("skewness", "kurtosis"):
            numbers[name] = jackknife(lambda part, name=name: getattr(metrics.moments(part), name))  # type: ignore[misc]
    numbers["wasserstein"] = jackknife(lambda part: metrics.wasserstein_distance(part, quantiles))
    numbers["kolmogorov_smirnov"] = jackknife(lambda part: metrics.kolmogorov_smirnov(part, law.cdf))
    return numbers
