"""Fréchet and kernel distance against closed forms, SciPy in float64 and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import feature_moments, frechet_distance, frechet_from_moments, kernel_distance


def normals(seed: int, n: int, d: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def test_frechet_of_known_gaussians_is_the_closed_form():
    # For commuting covariances: |m_a - m_b|^2 + sum (sqrt a_i - sqrt b_i)^2.
    rotation, _ = np.linalg.qr(normals(0, 4, 4))
    a, b = np.array([4.0, 1.0, 0.25, 0.0]), np.array([1.0, 9.0, 0.25, 2.0])
    mean_a, mean_b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 0.0, 8.0])
    got = frechet_from_moments(mean_a, rotation * a @ rotation.T, mean_b, rotation * b @ rotation.T)
    assert got == pytest.approx(25 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-6)


def test_frechet_of_samples_agrees_with_scipy_sqrtm():
    from scipy.linalg import sqrtm

    x, y = normals(1, 200, 12) @ normals(2, 12, 12), normals(3, 150, 12, 0.5) @ normals(4, 12, 12)
    c_x, c_y = np.cov(x.T), np.cov(y.T)
    cross = np.trace(sqrtm(c_x @ c_y).real)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c_x) + np.trace(c_y) - 2 * cross
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_from_moments(*feature_moments(x), *feature_moments(y)) == frechet_distance(x, y)


def test_frechet_bias_at_small_n_is_as_documented():
    d, n = 16, 500
    floor = np.mean([frechet_distance(normals(i, n, d), normals(1000 + i, n, d)) for i in range(20)])
    assert floor == pytest.approx((2 * d + d * (d + 1) / 2) / n, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_frechet_properties(seed, shift, scale):
    x, y = normals(seed, 40, 3), normals(seed + 1, 30, 3, 1.0, 2.0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + shift) == pytest.approx(3 * shift**2, rel=1e-6, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert frechet_distance(scale * x, scale * y) == pytest.approx(scale**2 * frechet_distance(x, y), rel=1e-6)
    order = np.random.default_rng(seed).permutation(40)
    assert frechet_distance(x[order], y) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def loop_mmd2(x: np.ndarray, y: np.ndarray) -> float:
    def k(a, b):
        return (float(np.dot(a, b)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kernel_distance_is_the_mean_of_loops_over_blocks():
    x, y, blocks, seed = normals(5, 17, 4), normals(6, 14, 4, 0.3), 3, 11
    rng = np.random.default_rng(seed)
    x_rows = np.array_split(rng.permutation(17), blocks)
    y_rows = np.array_split(rng.permutation(14), blocks)
    values = [loop_mmd2(x[i], y[j]) for i, j in zip(x_rows, y_rows, strict=True)]
    got = kernel_distance(x, y, blocks=blocks, seed=seed)
    assert got.value == pytest.approx(np.mean(values), rel=1e-9)
    assert got.standard_error == pytest.approx(np.std(values, ddof=1) / np.sqrt(3), rel=1e-9)


def test_kernel_distance_of_known_moments():
    # k has a finite feature map; for 1-D N(0,1) and N(s,1), E k(x,y) = 1 + 3 m1 n1 + 3 m2 n2 + m3 n3.
    s = 0.5
    p, q = np.array([1, 0, 1, 0]), np.array([1, s, 1 + s**2, s**3 + 3 * s])
    expected = (np.array([1, 3, 3, 1]) * (p - q) ** 2).sum()
    got = kernel_distance(normals(7, 20000, 1), normals(8, 20000, 1, s))
    assert abs(got.value - expected) < 4 * got.standard_error
    assert got.standard_error < 0.1 * expected


def test_kernel_distance_is_unbiased_and_its_error_honest_for_equal_laws():
    runs = [kernel_distance(normals(i, 100, 3), normals(500 + i, 100, 3), blocks=5) for i in range(100)]
    values = np.array([r.value for r in runs])
    assert abs(values.mean()) < 4 * values.std() / 10
    assert np.mean([r.standard_error**2 for r in runs]) == pytest.approx(values.var(), rel=0.6)
    assert (values < 0).any()
    assert (values > 0).any()
    assert np.mean([r.low <= 0 <= r.high for r in runs]) >= 0.85


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_kernel_distance_properties(seed):
    x, y = normals(seed, 60, 3), normals(seed + 1, 60, 3, 2.0)
    plain = kernel_distance(x, y, blocks=3)
    assert plain.value > 0
    assert kernel_distance(y, x, blocks=3, seed=1).value == pytest.approx(plain.value, rel=0.75)
    assert kernel_distance(x, y, blocks=3) == plain


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (normals(0, 5, 5), normals(1, 50, 5), "real features: the Fréchet distance of 5 features needs more"),
        (normals(0, 50, 5), normals(1, 4, 5), "generated features: the Fréchet distance of 5"),
        (normals(0, 50, 5), normals(1, 50, 4), "5 numbers each but generated features 4"),
        (np.ones((50, 5)), normals(1, 50, 5), "all 50 rows are equal"),
        (normals(0, 50, 5), np.full((50, 5), np.nan), "250 of 250 values are NaN"),
    ],
)
def test_frechet_refuses(real, generated, message):
    with pytest.raises(UserError, match=message):
        frechet_distance(real, generated)


def test_others_refuse():
    with pytest.raises(UserError, match="at least 20"):
        kernel_distance(normals(0, 19, 2), normals(0, 30, 2))
    with pytest.raises(UserError, match="at least 2"):
        kernel_distance(normals(0, 30, 2), normals(0, 30, 2), blocks=1)
    with pytest.raises(UserError, match="not of one width"):
        frechet_from_moments(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
    with pytest.raises(UserError, match="needs more than 5"):
        feature_moments(normals(0, 5, 5))


def test_a_collapsed_generator_is_a_result():
    x = normals(0, 400, 3)
    got = frechet_distance(x, np.zeros((400, 3)))
    assert got == pytest.approx((x.mean(0) ** 2).sum() + np.trace(np.cov(x.T)), rel=1e-9)
