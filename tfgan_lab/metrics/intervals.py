"""Confidence intervals: for a share (Wilson), for a mean, and for any statistic (bootstrap, jackknife)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError

_BATCH = 100  # resamples whose row numbers are held in memory at a time


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        value: the estimate, in the metric's unit; the interval runs from `low` to `high`.
        method: how the interval was made: "wilson", "normal", "student", "bootstrap" or "jackknife".
        standard_error: where the interval rests on one, else None.
        confidence: the coverage aimed at, in (0, 1).
    """

    value: float
    low: float
    high: float
    method: str
    standard_error: float | None = None
    confidence: float = 0.95


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    """The share successes / trials with Wilson's score interval.

    The interval holds every p with |p_hat - p| <= z sqrt(p (1 - p) / n), so it stays inside [0, 1] and is not empty at
    0 or n successes, unlike p_hat +- z sqrt(p_hat (1 - p_hat) / n). Coverage is near the nominal one from about 10
    independent trials on.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Raises:
        UserError: trials below 1, successes outside 0 .. trials, confidence outside (0, 1).
    """
    from scipy.stats import binomtest

    _check_confidence(confidence)
    if trials < 1 or not 0 <= successes <= trials:
        raise UserError(f"Wilson interval: {successes} of {trials} is not a share of at least one trial.")
    ends = binomtest(int(successes), int(trials)).proportion_ci(confidence, method="wilson")
    return Estimate(successes / trials, float(ends.low), float(ends.high), "wilson", None, confidence)


def share_interval(of: NDArray[np.bool_]) -> Estimate:
    """Wilson's interval of the share that is true, at 95 %."""
    return wilson_interval(int(of.sum()), len(of))


def normal_interval(
    value: float, standard_error: float, confidence: float = 0.95, freedom: int | None = None
) -> Estimate:
    """value +- q * standard_error, q the quantile of the normal or, with `freedom`, of Student's t.

    `freedom` are the degrees of freedom of a standard error that comes from few values. Raises `UserError` if
    confidence is outside (0, 1).
    """
    from scipy.special import ndtri, stdtrit

    _check_confidence(confidence)
    upper = 0.5 + confidence / 2
    reach = float(ndtri(upper) if freedom is None else stdtrit(freedom, upper)) * standard_error
    method = "normal" if freedom is None else "student"
    return Estimate(value, value - reach, value + reach, method, standard_error, confidence)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The mean of independent values [N], N >= 2, its standard error s / sqrt(n) and the interval of Student's t.

    Raises:
        UserError: fewer than 2 values, confidence outside (0, 1).
    """
    flat = np.asarray(values, dtype=np.float64).reshape(-1)  # [N]
    if len(flat) < 2:
        raise UserError(f"interval of a mean: {len(flat)} values given, at least 2 needed.")
    error = float(flat.std(ddof=1)) / math.sqrt(len(flat))
    return normal_interval(float(flat.mean()), error, confidence, len(flat) - 1)


def bootstrap_interval(
    statistic: Callable[..., float], *samples: ArrayLike, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """statistic(*samples) with the percentile bootstrap interval (Efron 1979).

    Each resample draws N rows of every sample with replacement; the interval runs between the (1 - confidence) / 2 and
    (1 + confidence) / 2 quantiles of the statistic over the resamples.

    Bias at small n: too narrow below about 30 rows. Not for statistics of neighbours, whose distances the repeated rows
    turn to zero, nor for the Fréchet distance, which they inflate: use `jackknife_interval` there.

    Args:
        statistic: called with arrays of the samples' shapes, returns one number.
        *samples: [N, ...] each, N >= 2. Samples of equal length are resampled by the same rows, so that predictions
            stay beside their labels.
        resamples: at least 100.

    Raises:
        UserError: too few rows or resamples, confidence outside (0, 1).
    """
    arrays = _check_samples(samples, 2)
    _check_confidence(confidence)
    if resamples < 100:
        raise UserError(f"bootstrap: {resamples} resamples are too few for an interval, ask for at least 100.")
    from scipy.stats import bootstrap

    lengths = sorted({len(array) for array in arrays})

    def of_rows(*rows: NDArray[np.intp]) -> float:
        rows_of = dict(zip(lengths, rows, strict=True))
        # A whole number, such as a count, would have its quantiles among whole numbers.
        return float(statistic(*(array[rows_of[len(array)]] for array in arrays)))

    # Row numbers are resampled instead of the rows: samples of equal length share them, and rows may have any shape.
    found = bootstrap(
        [np.arange(length) for length in lengths], of_rows, n_resamples=resamples, batch=_BATCH, vectorized=False,
        confidence_level=confidence, method="percentile", rng=seed,
    )  # fmt: skip
    low, high = (float(end) for end in found.confidence_interval)
    return Estimate(float(statistic(*arrays)), low, high, "bootstrap", float(found.standard_error), confidence)


def jackknife_interval(
    statistic: Callable[..., float], *samples: ArrayLike, groups: int = 10, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """statistic(*samples) +- t * standard error of the delete-a-group jackknife.

    se^2 = (g - 1) / g * sum_j (theta_j - mean(theta))^2, theta_j the statistic without group j of every sample;
    Student's t with g - 1 degrees of freedom. Only g + 1 evaluations and no repeated rows, so it suits the Fréchet
    distance and the neighbour metrics. It measures spread: the statistic's own bias at small n stays in the value.

    Source: Kott, "The delete-a-group jackknife", 2001; for two samples see Efron and Stein 1981.

    Args:
        statistic: called with arrays of the samples' shapes less a group, returns one number.
        *samples: [N, ...] each, N >= 2 * groups, assigned to groups at random; samples of equal length by the same
            rows, so that predictions stay beside their labels.
        groups: g, at least 2.

    Raises:
        UserError: too few rows or groups, confidence outside (0, 1).
    """
    if groups < 2:
        raise UserError(f"jackknife: {groups} groups are too few, ask for at least 2.")
    arrays = _check_samples(samples, 2 * groups)
    _check_confidence(confidence)
    rng = np.random.default_rng(seed)
    group_of = {n: rng.permutation(n) % groups for n in sorted({len(array) for array in arrays})}
    values = np.array([statistic(*(a[group_of[len(a)] != j] for a in arrays)) for j in range(groups)])
    error = math.sqrt((groups - 1) / groups * float(((values - values.mean()) ** 2).sum()))
    plain = normal_interval(float(statistic(*arrays)), error, confidence, groups - 1)
    return Estimate(plain.value, plain.low, plain.high, "jackknife", error, confidence)


def _check_samples(samples: tuple[ArrayLike, ...], at_least: int) -> list[NDArray[np.generic]]:
    arrays = [np.asarray(sample) for sample in samples]
    if not arrays or min(array.ndim for array in arrays) == 0:
        raise UserError("an interval needs at least one sample with an axis of examples.")
    if min(map(len, arrays)) < at_least:
        raise UserError(f"an interval needs at least {at_least} examples, got {min(map(len, arrays))}.")
    return arrays


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence} is not between 0 and 1: 0.95 is usual.")
