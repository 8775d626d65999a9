"""Moments, Wasserstein-1 and Kolmogorov-Smirnov against formulas, exact integrals and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import kolmogorov_smirnov, moments, wasserstein_distance

SAMPLES = st.lists(st.floats(-100, 100), min_size=4, max_size=40)


def normal(seed: int, n: int, mean: float = 4.0, std: float = 1.25) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, std, n)


def law(mean: float = 4.0, std: float = 1.25):
    from scipy.stats import norm

    return norm(mean, std)


def mixture_cdf(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return 0.3 * ndtr((x + 2) / 0.5) + 0.7 * ndtr(x - 3)


def mixture_quantile(u: np.ndarray) -> np.ndarray:
    low, high = np.full(u.shape, -20.0), np.full(u.shape, 20.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = mixture_cdf(middle) < u
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def test_moments_are_the_formulas():
    x = np.random.default_rng(0).gamma(2.0, size=57)
    n, d = 57, x - x.mean()
    s = np.sqrt((d**2).sum() / (n - 1))
    got = moments(x)
    assert (got.mean, got.std) == pytest.approx((x.sum() / n, s), rel=1e-12)
    assert got.skewness == pytest.approx(n / ((n - 1) * (n - 2)) * ((d / s) ** 3).sum(), rel=1e-9)
    fourth = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * ((d / s) ** 4).sum()
    assert got.kurtosis == pytest.approx(fourth - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)), rel=1e-9)


def test_moments_of_known_laws():
    got = moments(normal(1, 40_000).reshape(400, 100))
    assert (got.mean, got.std) == pytest.approx((4, 1.25), abs=0.03)
    assert (got.skewness, got.kurtosis) == pytest.approx((0, 0), abs=0.1)
    skewed = moments(np.random.default_rng(2).exponential(size=40_000))
    assert skewed.skewness == pytest.approx(2, abs=0.2)
    assert moments(np.random.default_rng(3).uniform(size=40_000)).kurtosis == pytest.approx(-1.2, abs=0.05)


def test_a_collapsed_sample_has_no_shape():
    for value in (0.0, 0.1, 1e9):
        got = moments(np.full(100, value))
        assert got.mean == pytest.approx(value)
        assert got.std == pytest.approx(0, abs=1e-6)
        assert got.skewness is None
        assert got.kurtosis is None
    assert moments([1.0, 1.0, 1.0, 1.0 + 1e-6]).skewness == pytest.approx(2, rel=1e-6)


def exact_wasserstein(x: np.ndarray, mean: float, std: float) -> float:
    """The integral of |x_(i) - Q(u)| over each step in closed form: int Q = mean u - std pdf(ppf(u))."""
    base = law(0, 1)

    def area(low, high):
        return mean * (high - low) - std * (base.pdf(base.ppf(high)) - base.pdf(base.ppf(low)))

    total = 0.0
    for i, value in enumerate(np.sort(x)):
        low, high = i / len(x), (i + 1) / len(x)
        turn = np.clip(base.cdf((value - mean) / std), low, high)
        total += value * (turn - low) - area(low, turn) + area(turn, high) - value * (high - turn)
    return float(total)


@pytest.mark.parametrize(("n", "tolerance"), [(2, 0.01), (10, 0.005), (100, 0.001), (1000, 0.001)])
def test_wasserstein_to_a_normal_is_the_exact_integral(n, tolerance):
    for seed, mean in ((4, 4.0), (5, 4.5), (6, 9.0)):
        x = normal(seed, n, mean, 1.0)
        assert wasserstein_distance(x, law().ppf) == pytest.approx(exact_wasserstein(x, 4, 1.25), rel=tolerance)


def test_wasserstein_bias_at_small_n_is_as_documented():
    values = [wasserstein_distance(normal(i, 100), law().ppf) for i in range(200)]
    assert np.mean(values) * 10 / 1.25 == pytest.approx(1.29, abs=0.1)


def test_wasserstein_to_a_mixture():
    rng = np.random.default_rng(7)
    x = np.where(rng.uniform(size=400) < 0.3, rng.normal(-2, 0.5, 400), rng.normal(3, 1, 400))
    # W1 is also the integral of the difference between the distribution functions.
    grid = np.linspace(-12, 12, 200_001)
    steps = np.searchsorted(np.sort(x), grid, side="right") / 400
    expected = np.abs(steps - mixture_cdf(grid)).mean() * 24
    assert wasserstein_distance(x, mixture_quantile) == pytest.approx(expected, rel=0.005)
    one_mode = rng.normal(3, 1, 400)
    assert wasserstein_distance(one_mode, mixture_quantile) > 1


@settings(max_examples=30, deadline=None)
@given(x=SAMPLES, shift=st.floats(-50, 50), scale=st.floats(0.01, 100))
def test_wasserstein_between_samples(x, shift, scale):
    x = np.array(x)
    y = normal(8, len(x))
    plain = wasserstein_distance(x, y)
    # Equal sizes: the mean gap of the sorted values.
    assert plain == pytest.approx(np.abs(np.sort(x) - np.sort(y)).mean(), rel=1e-9, abs=1e-9)
    assert wasserstein_distance(x, x[::-1]) == pytest.approx(0, abs=1e-9)
    assert wasserstein_distance(x, x + shift) == pytest.approx(abs(shift), rel=1e-9, abs=1e-9)
    assert wasserstein_distance(scale * x, scale * y) == pytest.approx(scale * plain, rel=1e-9, abs=1e-9)
    assert wasserstein_distance(np.repeat(x, 2), y) == pytest.approx(plain, rel=1e-9, abs=1e-9)


def test_ks_is_the_loop_over_steps():
    x, y = normal(9, 40), normal(10, 30, 4.5)
    points = np.concatenate([x, y])
    expected = max(abs((x <= p).mean() - (y <= p).mean()) for p in points)
    assert kolmogorov_smirnov(x, y) == pytest.approx(expected, rel=1e-12)
    cdf = law().cdf
    ends = [max(abs((x <= p).mean() - cdf(p)), abs((x < p).mean() - cdf(p))) for p in x]
    assert kolmogorov_smirnov(x, cdf) == pytest.approx(max(ends), rel=1e-12)


def test_ks_of_known_cases():
    n = 50
    middle = law().ppf((np.arange(n) + 0.5) / n)
    assert kolmogorov_smirnov(middle, law().cdf) == pytest.approx(0.5 / n, rel=1e-6)
    assert kolmogorov_smirnov(middle + 100, law().cdf) == pytest.approx(1, rel=1e-6)
    assert kolmogorov_smirnov(normal(11, 20), normal(12, 20) + 100) == 1
    assert kolmogorov_smirnov(np.full(20, 4.0), law().cdf) == pytest.approx(0.5)


def test_ks_bias_at_small_n_is_as_documented():
    values = np.array([kolmogorov_smirnov(normal(i, 200), law().cdf) for i in range(300)]) * np.sqrt(200)
    assert values.mean() == pytest.approx(0.87, abs=0.06)
    assert 0.01 <= (values > 1.36).mean() <= 0.1


@settings(max_examples=30, deadline=None)
@given(x=SAMPLES, seed=st.integers(0, 10**6))
def test_ks_properties(x, seed):
    x, y = np.array(x), normal(seed, 20)
    plain = kolmogorov_smirnov(x, y)
    assert kolmogorov_smirnov(x, x) == 0
    assert 0 <= plain <= 1
    assert kolmogorov_smirnov(y, x) == pytest.approx(plain, rel=1e-12)
    assert kolmogorov_smirnov(np.random.default_rng(seed).permutation(x), y) == plain
    assert kolmogorov_smirnov(2 * x + 5, 2 * y + 5) == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moments([1.0, 2.0, 3.0]), "sample: 3 given, but this metric needs at least 4"),
        (lambda: moments([1.0, 2.0, 3.0, np.nan]), "1 of 4 values are NaN"),
        (lambda: moments(["a", "b", "c", "d"]), "not numbers"),
        (lambda: wasserstein_distance([1.0], [1.0, 2.0]), "sample: 1 given"),
        (lambda: wasserstein_distance([1.0, 2.0], [1.0]), "reference sample: 1 given"),
        (lambda: wasserstein_distance(normal(0, 9), lambda u: -u), "never decrease"),
        (lambda: wasserstein_distance(normal(0, 9), lambda u: 0.5), "one finite number for each point"),
        (lambda: wasserstein_distance(normal(0, 9), lambda u: u / 0 * 0), "one finite number"),
        (lambda: kolmogorov_smirnov(normal(0, 9), lambda x: x), "leaves .0, 1."),
        (lambda: kolmogorov_smirnov([np.inf, 1.0], normal(0, 9)), "infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)
