"""What holds for all metrics: they import little, and each docstring says what its number means."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from tfgan_lab import metrics

METRICS = [
    "classifier_score",
    "colour_histogram_distance",
    "energy_distance",
    "frechet_distance",
    "kernel_distance",
    "kolmogorov_smirnov",
    "label_accuracy",
    "memorisation",
    "mode_coverage",
    "mode_histogram",
    "moments",
    "ms_ssim_diversity",
    "nearest_neighbour_error",
    "parzen_log_likelihood",
    "precision_recall_density_coverage",
    "sharpness",
    "two_sample_accuracy",
    "wasserstein_distance",
]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name):
    text = inspect.getdoc(getattr(metrics, name))
    for part in ("Source: ", "Range: ", "Bias at small n: ", "Args:", "Raises:\n    UserError: "):
        assert part in text, part
    assert re.search(r"\b(19|20)\d\d\b", text), "the year of the source"


def test_every_public_function_is_a_metric_or_a_helper_of_one():
    helpers = {"feature_moments", "frechet_from_moments", "ms_ssim"}
    public = {name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}
    assert public - helpers - {name for name in public if name.endswith("_interval")} == set(METRICS)


def test_importing_the_metrics_imports_no_heavy_library():
    heavy = ("scipy", "sklearn", "tensorflow", "torch", "matplotlib")
    program = f"import sys, tfgan_lab.metrics; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
