"""Parzen-window log-likelihood against SciPy in float64, and the published protocol's details."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import parzen_log_likelihood
from tfgan_lab.metrics.parzen import BLOCK, SIGMAS, log_densities


def uniform(seed: int, n: int, d: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(n, d))


def digits_like(seed: int, n: int) -> np.ndarray:
    """Mostly black 784-pixel images with strokes, in float32, such as a generator gives."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(size=(n, 784)) * (rng.uniform(size=(n, 784)) < 0.2)).astype(np.float32)


def exact(points: np.ndarray, samples: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.special import logsumexp
    from scipy.stats import norm

    per_pixel = norm.logpdf(points[:, None, :].astype(float), samples[None].astype(float), sigma)
    return logsumexp(per_pixel.sum(axis=2), axis=1) - math.log(len(samples))


def test_the_widths_are_the_papers():
    assert pytest.approx(np.logspace(-1, 0, 10), rel=1e-12) == list(SIGMAS)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 1.0])
def test_log_densities_are_those_of_float64(sigma):
    samples, points = digits_like(0, 60), digits_like(1, 40)
    points[:5] = samples[:5]
    got = log_densities(points, samples, (sigma,))
    assert got.shape == (1, 40)
    assert np.abs(got[0] - exact(points, samples, sigma)).max() < 0.005


def test_block_borders_leave_no_trace():
    samples, points = uniform(2, 20), uniform(3, BLOCK + 7)
    got = log_densities(points, samples, (0.2, 0.5))
    assert got[1] == pytest.approx(exact(points, samples, 0.5), abs=1e-4)
    assert log_densities(points[BLOCK:], samples, (0.2,))[0] == pytest.approx(got[0, BLOCK:], abs=1e-4)


def test_the_width_is_chosen_on_validation_and_the_rest_on_test():
    samples, validation, test = uniform(4, 50), uniform(5, 30), uniform(6, 40)
    got = parzen_log_likelihood(samples, validation, test)
    curve = [exact(validation, samples, sigma).mean() for sigma in SIGMAS]
    best = int(np.argmax(curve))
    assert log_densities(validation, samples, SIGMAS).mean(axis=1) == pytest.approx(curve, abs=1e-3)
    assert got.sigma == SIGMAS[best]
    assert 0 < best < 9
    assert not got.at_edge
    densities = exact(test, samples, SIGMAS[best])
    assert got.log_likelihood.value == pytest.approx(densities.mean(), abs=1e-3)
    assert got.log_likelihood.standard_error == pytest.approx(densities.std() / math.sqrt(40), rel=1e-3)


def test_one_kernel_is_a_gaussian():
    # Two equal samples at the centre: the density is one normal's, whose mean log over N(c, s^2 I) is known.
    centre = np.full((2, 50), 0.5)
    points = np.random.default_rng(7).normal(0.5, 0.05, (4000, 50)).clip(0, 1)
    got = parzen_log_likelihood(centre, points[:2000], points[2000:], sigmas=(0.025, 0.05, 0.1))
    assert got.sigma == 0.05
    entropy = 50 * (math.log(0.05 * math.sqrt(2 * math.pi)) + 0.5)
    assert got.log_likelihood.value == pytest.approx(-entropy, abs=4 * got.log_likelihood.standard_error)


def test_an_optimum_outside_the_widths_is_marked():
    samples = uniform(8, 50)
    assert parzen_log_likelihood(samples, samples, samples).at_edge
    assert not parzen_log_likelihood(samples, uniform(9, 30), samples, sigmas=np.array([0.3])).at_edge


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(0, 0.25))
def test_properties(seed, shift):
    samples, test = uniform(seed, 30) / 2, uniform(seed + 1, 20) / 2
    order = np.random.default_rng(seed).permutation(30)
    plain = parzen_log_likelihood(samples, test, test)
    shuffled = parzen_log_likelihood(samples[order], test, test)
    assert shuffled.log_likelihood.value == pytest.approx(plain.log_likelihood.value, abs=1e-3)
    moved = parzen_log_likelihood(samples + shift, test + shift, test + shift)
    assert moved.log_likelihood.value == pytest.approx(plain.log_likelihood.value, abs=1e-3)
    doubled = parzen_log_likelihood(np.concatenate([samples, samples]), test, test)
    assert doubled.log_likelihood.value == pytest.approx(plain.log_likelihood.value, abs=1e-3)
    away = parzen_log_likelihood(samples + 0.5, test, test)
    assert away.log_likelihood.value < plain.log_likelihood.value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: parzen_log_likelihood(2 * uniform(0, 9) - 1, uniform(1, 9), uniform(2, 9)),
            r"samples: values run from -.* rescale with \(x \+ 1\) / 2",
        ),
        (
            lambda: parzen_log_likelihood(uniform(0, 9), 255 * uniform(1, 9), uniform(2, 9)),
            "x / 255 from bytes",
        ),
        (lambda: parzen_log_likelihood(uniform(0, 9), uniform(1, 9), uniform(2, 1)), "test images: 1 given"),
        (lambda: parzen_log_likelihood(uniform(0, 9), uniform(1, 9, 7), uniform(2, 9)), "7 pixels each"),
        (lambda: parzen_log_likelihood(np.full((9, 8), np.nan), uniform(1, 9), uniform(2, 9)), "72 of 72"),
        (lambda: parzen_log_likelihood(*(uniform(i, 9) for i in range(3)), sigmas=(0.0, 1.0)), "positive"),
        (lambda: parzen_log_likelihood(*(uniform(i, 9) for i in range(3)), sigmas=(1.0, 0.1)), "ascending"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)
