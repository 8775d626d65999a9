"""Metrics of generated points: of the modes of their law, where it has some, and against points of it."""

from __future__ import annotations

import numpy as np

from tfgan_lab.config import Plane
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import energy_distance, jackknife_interval, mode_coverage, wilson_interval

NUM = 2500  # as VEEGAN and PacGAN


def metrics_for(data: Plane) -> dict[str, Metric]:
    """The table's rows."""
    rows = {"energy_distance": Metric(f"energy distance to {data.law}", "lower", None)}
    if data.modes is None:
        return rows
    return {
        "modes": Metric(f"modes recovered, of {len(data.modes)}", "higher"),
        "high_quality": Metric("share within 3 std of a mode", "higher"),
    } | rows


def column(sample: np.ndarray, other: np.ndarray, data: Plane, seed: int) -> dict[str, Number]:
    """All metrics of points [N, 2], beside `other` points of the law."""
    distance = jackknife_interval(energy_distance, other, sample, seed=seed)
    if data.modes is None:
        return {"energy_distance": distance}
    found = mode_coverage(sample, data.modes, data.std)
    near = wilson_interval(int(found.counts.sum()), found.total)
    return {"modes": float(found.modes), "high_quality": near, "energy_distance": distance}
