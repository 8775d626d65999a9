"""Intervals against textbook values, resampling by hand and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import (
    bootstrap_interval,
    frechet_distance,
    jackknife_interval,
    mean_interval,
    normal_interval,
    wilson_interval,
)


def mean(x: np.ndarray) -> float:
    return float(x.mean())


@settings(max_examples=30, deadline=None)
@given(trials=st.integers(1, 500), part=st.floats(0, 1), confidence=st.floats(0.5, 0.99))
def test_wilson_solves_its_equation(trials, part, confidence):
    from scipy.special import ndtri

    successes = int(part * trials)
    got = wilson_interval(successes, trials, confidence)
    z, p = ndtri(0.5 + confidence / 2), successes / trials
    assert 0 <= got.low <= got.value <= got.high <= 1
    for end in (got.low, got.high):
        # Each end is where the score test just rejects, or the edge of [0, 1].
        assert (p - end) ** 2 == pytest.approx(z * z * end * (1 - end) / trials, abs=1e-6)
    mirrored = wilson_interval(trials - successes, trials, confidence)
    assert mirrored.low == pytest.approx(1 - got.high, abs=1e-9)


def test_wilson_of_a_textbook_case():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    got = wilson_interval(81, 263)
    assert (got.low, got.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    none = wilson_interval(0, 20)
    assert (none.low, none.high) == pytest.approx((0, 0.1611), abs=5e-5)


def test_normal_and_student():
    got = normal_interval(10, 2)
    assert (got.low, got.high, got.method) == (
        pytest.approx(10 - 3.91993, abs=1e-4),
        pytest.approx(10 + 3.91993, abs=1e-4),
        "normal",
    )
    # Tables: t of 9 degrees of freedom at 97.5 % is 2.262.
    assert normal_interval(0, 1, freedom=9).high == pytest.approx(2.262, abs=5e-4)


def test_mean_interval_is_scipys():
    from scipy.stats import ttest_1samp

    x = np.random.default_rng(0).normal(size=12)
    got, expected = mean_interval(x, 0.9), ttest_1samp(x, 0).confidence_interval(0.9)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert got.standard_error == pytest.approx(x.std(ddof=1) / math.sqrt(12), rel=1e-12)


def test_bootstrap_agrees_with_resampling_by_hand():
    rng = np.random.default_rng(1)
    x = rng.exponential(size=200)
    got = bootstrap_interval(lambda s: float(np.median(s)), x, resamples=4000, seed=2)
    medians = np.median(rng.choice(x, (4000, 200)), axis=1)
    assert got.value == np.median(x)
    assert (got.low, got.high) == pytest.approx(np.quantile(medians, [0.025, 0.975]), abs=0.02)
    assert got.standard_error == pytest.approx(medians.std(), rel=0.05)
    assert got == bootstrap_interval(lambda s: float(np.median(s)), x, resamples=4000, seed=2)
    assert got != bootstrap_interval(lambda s: float(np.median(s)), x, resamples=4000, seed=3)


def test_bootstrap_of_rows_of_any_shape():
    """Two paired samples of images and one of another length: rows stay whole, and beside each other."""
    rows = np.arange(60)
    images = np.broadcast_to(rows[:, None, None], (60, 2, 3))

    def statistic(pictures: np.ndarray, numbers: np.ndarray, others: np.ndarray) -> float:
        assert pictures.shape == (60, 2, 3) and others.shape == (9,)
        np.testing.assert_array_equal(pictures[:, 1, 2], numbers)
        return float(numbers.mean())

    got = bootstrap_interval(statistic, images, rows, np.zeros(9), resamples=200)
    assert got.low < 29.5 < got.high


@pytest.mark.parametrize("interval", [bootstrap_interval, jackknife_interval])
def test_error_of_a_mean_is_the_known_one(interval):
    x = np.random.default_rng(2).normal(size=400)
    # A jackknife error of 10 groups has a spread of about 1 / sqrt(18).
    errors = [interval(mean, x, seed=seed).standard_error for seed in range(30)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(x.std(ddof=1) / 20, rel=0.15)


@pytest.mark.parametrize("interval", [bootstrap_interval, jackknife_interval])
def test_coverage_is_near_the_nominal(interval):
    extra = {"resamples": 200} if interval is bootstrap_interval else {}
    hits = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(1, 1, 100), rng.normal(0, 1, 80)
        got = interval(lambda a, b: float(a.mean() - b.mean()), x, y, confidence=0.9, seed=seed, **extra)
        hits += got.low <= 1 <= got.high
    assert 0.82 <= hits / 150 <= 0.97


@pytest.mark.parametrize("interval", [bootstrap_interval, jackknife_interval])
def test_samples_of_equal_length_stay_paired(interval):
    labels = np.arange(100) % 7
    got = interval(lambda a, b: float((a == b).mean()), labels, labels.copy())
    assert got.value == got.low == got.high == 1


@pytest.mark.parametrize("groups", [2, 10])
def test_a_jackknife_has_one_degree_of_freedom_less_than_groups(groups):
    from scipy.stats import t

    got = jackknife_interval(mean, np.random.default_rng(4).normal(size=60), groups=groups, confidence=0.9)
    half = t.ppf(0.95, groups - 1) * got.standard_error
    assert (got.low, got.high) == pytest.approx((got.value - half, got.value + half), rel=1e-12)


def test_jackknife_of_a_frechet_distance_covers_its_spread():
    def draw(seed: int, shift: float) -> np.ndarray:
        return np.random.default_rng(seed).normal(shift, 1, (300, 4))

    values = [frechet_distance(draw(i, 0), draw(1000 + i, 0.5)) for i in range(60)]
    errors = [jackknife_interval(frechet_distance, draw(i, 0), draw(1000 + i, 0.5)).standard_error for i in range(15)]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.35)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson_interval(0, 0), "at least one trial"),
        (lambda: wilson_interval(6, 5), "6 of 5"),
        (lambda: wilson_interval(1, 5, 95), "confidence 95"),
        (lambda: mean_interval([1.0]), "1 values given"),
        (lambda: normal_interval(0, 1, confidence=1.0), "confidence 1.0"),
        (lambda: bootstrap_interval(mean, np.ones(1)), "at least 2 examples, got 1"),
        (lambda: bootstrap_interval(mean, np.ones(9), resamples=10), "10 resamples"),
        (lambda: bootstrap_interval(mean), "at least one sample"),
        (lambda: jackknife_interval(mean, np.ones(19)), "at least 20 examples, got 19"),
        (lambda: jackknife_interval(mean, np.ones(19), groups=1), "1 groups"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)


def test_a_count_has_a_bootstrap_interval() -> None:
    rolled = np.random.default_rng(0).integers(0, 20, 30)
    found = bootstrap_interval(lambda rows: len(set(rows)), rolled)
    assert found.low < found.value == len(set(rolled))
    assert found.low <= found.high <= found.value
