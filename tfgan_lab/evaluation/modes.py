"""Modes of stacked MNIST: which three digits a judge reads in the colours of each image."""

from __future__ import annotations

import numpy as np

from tfgan_lab.evaluation.judge import Judge
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import jackknife_interval

NUM = 26_000  # as VEEGAN and PacGAN
TOTAL = 1000
METRICS = {
    "modes": Metric(f"modes recovered, of {TOTAL:,}", "higher"),
    "kl_modes": Metric("KL of the modes to equal shares (nats)", "lower"),
}


def modes_of(images: np.ndarray, judge: Judge) -> np.ndarray:
    """The mode of each image [N, 28, 28, 3] in [0, 1]: the three digits that are read, as a number from 0 to 999."""
    hundreds, tens, ones = (judge(images[..., colour : colour + 1]).labels for colour in range(3))
    return 100 * hundreds + 10 * tens + ones  # [N]


def kl_to_equal_shares(modes: np.ndarray) -> float:
    """KL(shares of the modes || 1/1000 each), in nats: 0 .. log 1000 = 6.91.

    Source: Metz et al., "Unrolled GAN", 2017, section 3.3.1. Bias at small n: upwards, about 999 / (2 n) for equal shares.
    """
    shares = np.bincount(modes, minlength=TOTAL) / len(modes)
    found = shares[shares > 0]
    return float((found * np.log(found * TOTAL)).sum())


def column(modes: np.ndarray, seed: int) -> dict[str, Number]:
    """The metrics of images by their modes [N]."""
    kl = jackknife_interval(kl_to_equal_shares, modes, seed=seed)
    return {"modes": float(len(np.unique(modes))), "kl_modes": kl}
