"""Metrics on samples: arrays in, numbers out, with NumPy, SciPy and scikit-learn; nothing is downloaded.

Every docstring gives the definition, its source, the range and the bias at small n. A metric's interval aims at a
coverage of 95 %; the functions that make intervals (`wilson_interval` and such) take another `confidence`, in (0, 1).
With the same `seed`, what is chosen at random is the same. SciPy and scikit-learn are imported by the functions that
use them.
"""

from __future__ import annotations

from tfgan_lab.metrics.distributions import Moments, kolmogorov_smirnov, moments, wasserstein_distance
from tfgan_lab.metrics.frechet import feature_moments, frechet_distance, frechet_from_moments, kernel_distance
from tfgan_lab.metrics.intervals import (
    Estimate,
    bootstrap_interval,
    jackknife_interval,
    mean_interval,
    normal_interval,
    wilson_interval,
)
from tfgan_lab.metrics.memorisation import Memorisation, memorisation
from tfgan_lab.metrics.neighbours import (
    Neighbourhoods,
    TwoSampleTest,
    nearest_neighbour_error,
    precision_recall_density_coverage,
    two_sample_accuracy,
)
from tfgan_lab.metrics.parzen import Parzen, parzen_log_likelihood
from tfgan_lab.metrics.pixels import WINDOW, colour_histogram_distance, ms_ssim, ms_ssim_diversity, sharpness
from tfgan_lab.metrics.points import Coverage, energy_distance, mode_coverage
from tfgan_lab.metrics.scores import (
    LabelAccuracy,
    ModeHistogram,
    classifier_score,
    label_accuracy,
    mode_histogram,
)

__all__ = [
    "WINDOW", "Coverage", "Estimate", "LabelAccuracy", "Memorisation", "ModeHistogram", "Moments",
    "Neighbourhoods", "Parzen", "TwoSampleTest", "bootstrap_interval", "classifier_score",
    "colour_histogram_distance", "energy_distance", "feature_moments", "frechet_distance", "frechet_from_moments",
    "jackknife_interval", "kernel_distance", "kolmogorov_smirnov", "label_accuracy", "mean_interval", "memorisation",
    "mode_coverage", "mode_histogram", "moments", "ms_ssim", "ms_ssim_diversity", "nearest_neighbour_error",
    "normal_interval", "parzen_log_likelihood", "precision_recall_density_coverage",
    "sharpness", "two_sample_accuracy", "wasserstein_distance", "wilson_interval",
]  # fmt: skip
