"""Metrics of generated RGB images: colours, sharpness, alikeness, and a distance on random features."""

from __future__ import annotations

import numpy as np

from tfgan_lab import metrics
from tfgan_lab.data.examples import Examples
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.random_features import NAME, RandomFeatures
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import jackknife_interval, mean_interval

MOST = 1_000  # images of each set: they are held in memory as floats
_FEWEST = 20  # that the jackknife of the Fréchet distance takes
_PAIRS = 200
_GROUPS = 5  # of the colours' jackknife, which goes through all pixels for each

METRICS = {
    "frechet_distance": Metric("Fréchet distance, random features", "lower"),
    "colour_distance": Metric("colour histogram distance", "lower"),
    "sharpness": Metric("sharpness (variance of the Laplacian)", "as real"),
    "ms_ssim": Metric("MS-SSIM of random pairs", "as real"),
}
FEATURES = NAME


def column(images: np.ndarray, reference: np.ndarray, seed: int) -> dict[str, Number]:
    """All metrics of images [N, H, W, 3] in [0, 1], compared with real ones of the same kind."""
    features = RandomFeatures(reference.shape[-1])
    return {
        "frechet_distance": jackknife_interval(
            metrics.frechet_distance, features(reference), features(images), seed=seed
        ),
        "colour_distance": jackknife_interval(
            metrics.colour_histogram_distance, reference, images, groups=_GROUPS, seed=seed
        ),
        "sharpness": mean_interval(metrics.sharpness(images)),
        "ms_ssim": metrics.ms_ssim_diversity(images, pairs=_PAIRS, seed=seed).ms_ssim,
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
    images = examples.images[rows].astype(np.float32) / np.float32(255)
    return images[:half], images[half:]
