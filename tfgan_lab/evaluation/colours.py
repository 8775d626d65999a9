"""Metrics of generated RGB images: colours, sharpness, alikeness, and a distance on random features."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfgan_lab import metrics
from tfgan_lab.data.examples import Examples
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import jackknife_interval, mean_interval

MOST = 1_000  # images of each set: they are held in memory as floats
_PAIRS = 200
_GROUPS = 5  # of the colours' jackknife, which goes through all pixels for each

METRICS = {
    "frechet_distance": Metric("Fréchet distance, random features", "lower"),
    "colour_distance": Metric("colour histogram distance", "lower"),
    "sharpness": Metric("sharpness (variance of the Laplacian)", "as real"),
    "ms_ssim": Metric("MS-SSIM of random pairs", "as real"),
}
FEATURES = "random features (3 convolutions of 4x4, stride 2, 16-32-64 filters, never trained, seed 0)"
_FILTERS, _KERNEL, _BATCH = (16, 32, 64), 4, 50
# Of each set: with a tenth taken away, by the jackknife of the Fréchet distance, more than there are features.
_FEWEST = 73


def column(images: np.ndarray, reference: np.ndarray, seed: int) -> dict[str, Number]:
    """All metrics of images [N, H, W, 3] in [0, 1], compared with real ones of the same kind."""
    features, colours = RandomFeatures(reference.shape[-1]), metrics.colour_histogram_distance
    sets = features(reference), features(images)
    return {
        "frechet_distance": jackknife_interval(metrics.frechet_distance, *sets, seed=seed),
        "colour_distance": jackknife_interval(colours, reference, images, groups=_GROUPS, seed=seed),
        "sharpness": mean_interval(metrics.sharpness(images)),
        "ms_ssim": metrics.ms_ssim_diversity(images, pairs=_PAIRS, seed=seed)
        if min(images.shape[1:3]) >= metrics.WINDOW
        else None,
    }


def two_halves(examples: Examples, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint random sets of real images, equally many, at most `most` each: float32 in [0, 1].

    Raises `UserError` where there are too few for the metrics of `column`.
    """
    if examples.num < 2 * _FEWEST:
        raise UserError(
            f"{examples.provenance}: too few to be measured, as real images are also compared with each other: "
            f"evaluate needs {2 * _FEWEST}."
        )
    half = min(most, examples.num // 2)
    rows = np.random.default_rng(seed).permutation(examples.num)[: 2 * half]
    images = examples.images[rows] / np.float32(255)
    return images[:half], images[half:]


class RandomFeatures:
    """Means over space of a three-layer ReLU network with He-normal weights (He et al., 2015) from seed 0, never trained.

    Good enough to notice a difference in colours, edges and textures between two sets; values compare only with each
    other, and never with those of trained features. Source: Saxe et al., "On random weights and unsupervised feature
    learning", 2011.
    """

    def __init__(self, channels: int = 3) -> None:
        rng = np.random.default_rng(0)
        self._kernels = []
        for a, b in zip((channels, *_FILTERS), _FILTERS, strict=False):
            scale = np.sqrt(2 / (a * _KERNEL**2))
            self._kernels.append(tf.constant(rng.normal(0, scale, (_KERNEL, _KERNEL, a, b)), tf.float32))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images [N, H, W, C] in [0, 1] -> float32 [N, 64]."""
        parts = []
        for start in range(0, len(images), _BATCH):
            x = tf.constant(images[start : start + _BATCH] - np.float32(0.5), tf.float32)
            for kernel in self._kernels:
                x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))  # [B, H/2, W/2, filters]
            parts.append(tf.reduce_mean(x, [1, 2]).numpy())  # [B, 64]
        return np.concatenate(parts)
