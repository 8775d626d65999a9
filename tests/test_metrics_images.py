"""MS-SSIM, colour histogram and sharpness against direct convolutions, loops and TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import colour_histogram_distance, ms_ssim, ms_ssim_diversity, sharpness
from tfgan_lab.metrics.pixels import SCALE_WEIGHTS, fitting_scales


def uniform(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape)


def smooth(seed: int, *shape: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    images = gaussian_filter(uniform(seed, *shape), (0, 2, 2, 0))
    return (images - images.min()) / np.ptp(images)


def direct_ms_ssim(x: np.ndarray, y: np.ndarray, weights: list[float]) -> float:
    """One channel [H, W], each window weighted sum by a two-dimensional convolution."""
    from scipy.signal import convolve2d

    grid = np.arange(11) - 5
    window = np.exp(-(grid[:, None] ** 2 + grid[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    product = 1.0
    for scale, weight in enumerate(weights):

        def mean(image):
            return convolve2d(image, window, mode="valid")

        m_x, m_y = mean(x), mean(y)
        v_x, v_y, cov = mean((x) ** 2) - m_x**2, mean(y**2) - m_y**2, mean(x * y) - m_x * m_y
        contrast = (2 * cov + 0.0009) / (v_x + v_y + 0.0009)
        light = (2 * m_x * m_y + 0.0001) / (m_x**2 + m_y**2 + 0.0001)
        last = scale == len(weights) - 1
        product *= max((light * contrast if last else contrast).mean(), 0) ** weight
        x, y = (a.reshape(a.shape[0] // 2, 2, a.shape[1] // 2, 2).mean(axis=(1, 3)) for a in (x, y))
    return product


def test_ms_ssim_is_the_direct_convolution():
    x = smooth(0, 3, 28, 28, 3)
    y = np.clip(x + 0.3 * (uniform(1, 3, 28, 28, 3) - 0.5), 0, 1)
    weights = [w / sum(SCALE_WEIGHTS[:2]) for w in SCALE_WEIGHTS[:2]]
    expected = [
        np.mean([direct_ms_ssim(a[..., c], b[..., c], weights) for c in range(3)]) for a, b in zip(x, y, strict=True)
    ]
    assert ms_ssim(x, y) == pytest.approx(expected, rel=1e-9)
    assert min(expected) > 0.2
    assert max(expected) < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("size", [(28, 28), (45, 61), (128, 128), (176, 180)])
def test_ms_ssim_is_tensorflows(size):
    tf = pytest.importorskip("tensorflow")
    x = smooth(2, 4, *size, 3)
    y = np.clip(x + 0.3 * (uniform(3, 4, *size, 3) - 0.5), 0, 1)
    weights = np.array(SCALE_WEIGHTS[: fitting_scales(*size)])
    expected = tf.image.ssim_multiscale(x, y, 1.0, power_factors=list(weights / weights.sum())).numpy()
    assert ms_ssim(x, y) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("size", "scales"),
    [(11, 1), (20, 1), (21, 2), (28, 2), (40, 2), (41, 3), (81, 4), (128, 4), (161, 5), (400, 5)],
)
def test_only_scales_that_fit_are_used(size, scales):
    assert fitting_scales(size, 500) == scales
    assert fitting_scales(500, size) == scales


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ms_ssim_properties(seed):
    x, y = smooth(seed, 2, 24, 30, 1), smooth(seed + 1, 2, 24, 30, 1)
    assert ms_ssim(x, x) == pytest.approx(1, rel=1e-12)
    assert ms_ssim(x, y) == pytest.approx(ms_ssim(y, x), rel=1e-9)
    assert ms_ssim(x[:, ::-1], y[:, ::-1]) == pytest.approx(ms_ssim(x, y), rel=1e-9)
    assert ms_ssim(x.swapaxes(1, 2), y.swapaxes(1, 2)) == pytest.approx(ms_ssim(x, y), rel=1e-9)
    nearer = ms_ssim(x, 0.9 * x + 0.1 * y)
    assert (nearer > ms_ssim(x, y)).all()
    assert (nearer < 1).all()


def test_diversity_is_a_mean_over_disjoint_pairs():
    images = smooth(4, 30, 16, 16, 1)
    for pairs, count in ((1000, 15), (4, 4)):
        got = ms_ssim_diversity(images, pairs=pairs, seed=5)
        first, second = np.random.default_rng(5).permutation(30)[: 2 * count].reshape(2, count)
        expected = [ms_ssim(images[i : i + 1], images[j : j + 1])[0] for i, j in zip(first, second, strict=True)]
        assert got.value == pytest.approx(np.mean(expected), rel=1e-9)
        assert got.standard_error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(count), rel=1e-9)


def test_diversity_sees_collapse():
    images = smooth(6, 40, 28, 28, 1)
    collapsed = np.repeat(images[:1], 40, axis=0)
    assert ms_ssim_diversity(collapsed).value == pytest.approx(1, rel=1e-9)
    half = np.concatenate([images[:20], collapsed[:20]])
    assert ms_ssim_diversity(images).value < ms_ssim_diversity(half).value < 0.95


def test_colour_distance_is_the_loop_over_pixels():
    x, y = uniform(7, 3, 5, 4, 3), uniform(8, 2, 6, 6, 3) ** 2

    def shares(images):
        table: dict[tuple[int, ...], float] = {}
        for pixel in images.reshape(-1, 3):
            key = tuple(min(int(v * 4), 3) for v in pixel)
            table[key] = table.get(key, 0) + 3 / images.size
        return table

    a, b = shares(x), shares(y)
    intersection = sum(min(a.get(key, 0), b.get(key, 0)) for key in a)
    assert colour_histogram_distance(x, y, bins=4) == pytest.approx(1 - intersection, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_colour_distance_properties(seed):
    x, y = uniform(seed, 3, 6, 6, 3), uniform(seed + 1, 3, 6, 6, 3) ** 2
    rng = np.random.default_rng(seed)
    assert colour_histogram_distance(x, x) == 0
    assert colour_histogram_distance(x, y) == pytest.approx(colour_histogram_distance(y, x), rel=1e-12)
    pixels = rng.permutation(x.reshape(-1, 3)).reshape(x.shape)
    assert colour_histogram_distance(pixels, x) == pytest.approx(0, abs=1e-12)
    assert 0 < colour_histogram_distance(x, y) < 1


def test_colour_distance_of_known_cases():
    black, white = np.zeros((2, 4, 4, 3)), np.ones((2, 4, 4, 3))
    red = white * [1, 0, 0]
    assert colour_histogram_distance(black, white) == 1
    # The joint histogram tells red from grey of the same channel means.
    assert colour_histogram_distance(red, white) == 1
    assert colour_histogram_distance(black, np.concatenate([black, white])) == pytest.approx(0.5)


def test_sharpness_is_scipys_laplacian():
    from scipy.ndimage import laplace

    x = uniform(9, 4, 9, 7, 3)
    grey = 0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2]
    expected = [laplace(image)[1:-1, 1:-1].var() for image in grey]
    assert sharpness(x) == pytest.approx(expected, rel=1e-9)
    assert sharpness(grey) == pytest.approx(expected, rel=1e-9)


def test_sharpness_of_known_images():
    from scipy.ndimage import gaussian_filter

    board = np.indices((8, 8)).sum(axis=0) % 2
    ramp = np.tile(np.linspace(0, 1, 8), (8, 1))
    got = sharpness(np.stack([board, ramp, np.full((8, 8), 0.3)]))
    assert got == pytest.approx([16, 0, 0], abs=1e-12)
    x = uniform(10, 5, 28, 28)
    assert (sharpness(gaussian_filter(x, (0, 1, 1))) < 0.2 * sharpness(x)).all()
    assert sharpness(0.5 * x) == pytest.approx(0.25 * sharpness(x), rel=1e-9)
    assert sharpness(0.5 * x + 0.2) == pytest.approx(sharpness(0.5 * x), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ms_ssim_diversity(uniform(0, 3, 28, 28)), "images: 3 given"),
        (lambda: ms_ssim_diversity(uniform(0, 8, 10, 28)), "smaller than its 11 x 11 window"),
        (lambda: ms_ssim_diversity(uniform(0, 8, 28, 28), pairs=1), "pairs=1"),
        (lambda: ms_ssim_diversity(uniform(0, 8, 784)), "is not .N, H, W."),
        (lambda: ms_ssim(uniform(0, 8, 28, 28), uniform(0, 7, 28, 28)), "cannot be paired"),
        (
            lambda: ms_ssim(uniform(0, 8, 28, 28), 2 * uniform(0, 8, 28, 28) - 1),
            "second images: values run from -",
        ),
        (lambda: sharpness((255 * uniform(0, 8, 28, 28)).astype(np.uint8)), "x / 255"),
        (lambda: sharpness(uniform(0, 8, 2, 28)), "no inner pixels"),
        (lambda: sharpness(np.full((8, 28, 28), np.nan)), "NaN"),
        (lambda: sharpness(uniform(0, 8, 28, 28, 4)), "C = 1 or 3"),
        (lambda: sharpness(np.zeros((0, 28, 28))), "0 given"),
        (lambda: colour_histogram_distance(uniform(0, 8, 4, 4, 3), uniform(0, 8, 4, 4)), "3 channels"),
        (lambda: colour_histogram_distance(uniform(0, 8, 4, 4), uniform(0, 8, 4, 4), bins=1), "bins=1"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)
