"""Numbers from pixels alone: diversity (MS-SSIM), colours, sharpness."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import Floats, unit_images
from tfgan_lab.metrics.intervals import Estimate, mean_interval

# Wang et al. 2003: the weights of five scales; each halves the image, and an 11 x 11 window must fit.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, WINDOW_SIGMA = 11, 1.5
PAIRS_AT_ONCE = 64


def ms_ssim_diversity(images: ArrayLike, *, pairs: int = 1000, seed: int = 0) -> Estimate:
    """Mean multi-scale structural similarity over random pairs of images: the lower, the more diverse.

    The pairs are disjoint, hence independent: with fewer than 2 * pairs images, as many pairs as there are.

    Source: Odena et al., "Conditional image synthesis with auxiliary classifier GANs", 2017 (pairs within a
    class: pass one class at a time for that; over all classes the mean mixes them).
    Range: [0, 1], 1: all images are the same; no unit. Noise is diverse too: compare with
    real images of the same number of scales.
    Bias at small n: none; the interval widens. See `ms_ssim` for the scales that fit.

    Args:
        images: [N, H, W] or [N, H, W, C] in [0, 1], C = 1 or 3, N >= 4, sides of at least 11 pixels.
        pairs: at most so many pairs, at least 2.

    Returns:
        The mean with Student's interval.

    Raises:
        UserError: too few or too small images, values outside [0, 1], NaN.
    """
    if pairs < 2:
        raise UserError(f"MS-SSIM: pairs={pairs} gives no interval, ask for at least 2.")
    batch = unit_images(images, "images", at_least=4)
    count = min(pairs, len(batch) // 2)
    chosen = np.random.default_rng(seed).permutation(len(batch))[: 2 * count].reshape(2, count)
    return mean_interval(ms_ssim(batch[chosen[0]], batch[chosen[1]]))


def fitting_scales(height: int, width: int) -> int:
    """How many of the five scales of MS-SSIM fit an image: each halves it, and an 11 x 11 window must fit.

    Five from 161 pixels a side on, four from 81, three from 41, two from 21 (so for 28 x 28), one from 11.

    Raises:
        UserError: an image smaller than the window.
    """
    side = min(height, width)
    if side < WINDOW:
        raise UserError(f"MS-SSIM: images of {height} x {width} are smaller than its {WINDOW} x {WINDOW} window.")
    scales = 1
    while scales < len(SCALE_WEIGHTS) and (side := (side + 1) // 2) >= WINDOW:
        scales += 1
    return scales


def ms_ssim(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Multi-scale structural similarity of image pairs.

    prod_{s < S} max(cs_s, 0)^w_s * max(ssim_S, 0)^w_S over S scales, each scale the 2 x 2 mean of the one
    before, cs_s the mean contrast-structure term (2 c_xy + C2) / (v_x + v_y + C2) and ssim that times the
    luminance term (2 m_x m_y + C1) / (m_x^2 + m_y^2 + C1), under a Gaussian window (11 x 11, sigma 1.5, valid
    positions), C1 = 0.01^2, C2 = 0.03^2. Mean over the channels. An odd side is padded by its mirrored edge.

    Source: Wang et al., "Multiscale structural similarity for image quality assessment", 2003: five scales,
    weights 0.0448 0.2856 0.3001 0.2363 0.1333. **Five need 161 pixels a side. Of smaller images only the
    first scales that fit are used (two for 28 x 28, four for 128 x 128), with their weights rescaled to sum
    to 1**: values of different numbers of scales do not compare.
    Range: [0, 1], 1 for equal images; no unit.

    Args:
        first: [N, H, W] or [N, H, W, C] in [0, 1].
        second: the same shape.

    Returns:
        [N].

    Raises:
        UserError: shapes that differ, images under 11 pixels a side, values outside [0, 1], NaN.
    """
    x, y = unit_images(first, "first images"), unit_images(second, "second images")
    if x.shape != y.shape:
        raise UserError(f"MS-SSIM: images of shape {x.shape} and {y.shape} cannot be paired.")
    weights = np.array(SCALE_WEIGHTS[: fitting_scales(x.shape[1], x.shape[2])])
    weights /= weights.sum()
    blocks = [slice(start, start + PAIRS_AT_ONCE) for start in range(0, len(x), PAIRS_AT_ONCE)]
    return np.concatenate([_ms_ssim(x[b].astype(np.float64), y[b].astype(np.float64), weights) for b in blocks])


def colour_histogram_distance(real: ArrayLike, generated: ArrayLike, *, bins: int = 8) -> float:
    """Total variation between the joint colour histograms of all pixels of two sets of images.

    d = 1/2 sum_c |h_r(c) - h_g(c)| over bins^C colours = 1 - histogram intersection.

    Source: Swain and Ballard, "Color indexing", 1991.
    Range: [0, 1]; 0 equal colour shares, 1 no common colour; no unit. Blind to where a colour stands.
    Bias at small n: upwards; pixels of one image are alike, so it shrinks with the number of images.

    Args:
        real: [N, H, W] or [N, H, W, C] in [0, 1], C = 1 or 3.
        generated: [M, ...] of as many channels; sizes may differ.
        bins: of each channel, 2 to 64.

    Raises:
        UserError: no images, channels that differ, values outside [0, 1], NaN, bins out of range.
    """
    if not 2 <= bins <= 64:
        raise UserError(f"colour histogram: bins={bins} is outside 2..64.")
    x, y = unit_images(real, "real images"), unit_images(generated, "generated images")
    if x.shape[3] != y.shape[3]:
        raise UserError(f"real images have {x.shape[3]} channels but generated images {y.shape[3]}.")
    return float(np.abs(_colours(x, bins) - _colours(y, bins)).sum()) / 2


def sharpness(images: ArrayLike) -> NDArray[np.float64]:
    """Variance of the Laplacian of each image: the blurrier, the lower.

    L = 4-neighbour sum - 4 * centre over the inner pixels of the luminance; the value is the variance of L
    over an image. `mean_interval` of it gives a set's sharpness with its interval, to stand beside that of
    real images.

    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000; luminance 0.299 R +
    0.587 G + 0.114 B.
    Range: [0, 16] for values in [0, 1]; 0 for a constant image. Noise counts as sharp.
    Bias at small n: none.

    Args:
        images: [N, H, W] or [N, H, W, C] in [0, 1], C = 1 or 3, sides of at least 3 pixels.

    Returns:
        [N].

    Raises:
        UserError: no images or smaller ones, values outside [0, 1], NaN.
    """
    batch = unit_images(images, "images")
    if min(batch.shape[1:3]) < 3:
        raise UserError(f"sharpness: images of {batch.shape[1]} x {batch.shape[2]} have no inner pixels.")
    weights = np.array([0.299, 0.587, 0.114] if batch.shape[3] == 3 else [1.0])
    grey = batch @ weights  # [N, H, W]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return (around - 4 * grey[:, 1:-1, 1:-1]).var(axis=(1, 2))


def _ms_ssim(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    similarity = np.ones((len(x), x.shape[3]))  # [N, C]
    for scale, weight in enumerate(weights):
        if scale:
            x, y = _halve(x), _halve(y)
        whole, contrast = _ssim(x, y)
        similarity *= np.maximum(whole if scale == len(weights) - 1 else contrast, 0) ** weight
    return similarity.mean(axis=1)


def _ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    m_x, m_y = _blur(x), _blur(y)
    v_x, v_y = _blur(x * x) - m_x * m_x, _blur(y * y) - m_y * m_y
    contrast = (2 * (_blur(x * y) - m_x * m_y) + 0.03**2) / (v_x + v_y + 0.03**2)
    luminance = (2 * m_x * m_y + 0.01**2) / (m_x * m_x + m_y * m_y + 0.01**2)
    return (luminance * contrast).mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _blur(images: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import correlate1d

    half = WINDOW // 2
    window = np.exp(-0.5 * (np.arange(-half, half + 1) / WINDOW_SIGMA) ** 2)
    window /= window.sum()
    smooth = correlate1d(correlate1d(images, window, axis=1), window, axis=2)
    return smooth[:, half:-half, half:-half]  # [N, H - 10, W - 10, C]


def _halve(images: NDArray[np.float64]) -> NDArray[np.float64]:
    _, height, width, _ = images.shape
    even = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="symmetric")
    quarters = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return quarters / 4  # [N, ceil(H / 2), ceil(W / 2), C]


def _colours(images: Floats, bins: int) -> NDArray[np.float64]:
    level = np.clip(images * bins, 0, bins - 1).astype(np.int64)  # [N, H, W, C]
    code = level @ bins ** np.arange(images.shape[3])  # [N, H, W]
    counts = np.bincount(code.reshape(-1), minlength=bins ** images.shape[3])
    return counts / counts.sum()
