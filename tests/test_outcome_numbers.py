"""What a run's outcome is computed with: the course of its training, by hand, and what looks like a digit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfgan_lab.config import Mnist
from tfgan_lab.data import open_source
from tfgan_lab.studies.outcomes import course_of_training, digit_like


def test_the_end_of_a_trace() -> None:
    rows: list[dict[str, Any]] = [{"kind": "eval", "p_real": i / 100, "p_fake": 1 - i / 100} for i in range(100)]
    rows += [{"kind": "train", "d_loss": float(i), "g_loss": -float(i)} for i in range(50)]
    found = course_of_training(rows)
    assert found["p_real_end"] == pytest.approx(0.97)
    assert found["p_fake_end"] == pytest.approx(0.03)
    assert found["gap_left"] == pytest.approx(0.94, abs=1e-9), "the largest gap is that of the first row: 1"
    assert (found["d_loss_early"], found["g_loss_early"]) == (9, 0), "the largest of the first ten"
    assert found["d_loss_end"] == 44
    assert found["g_loss_end"] == -44
    assert course_of_training([]) == {}
    untrained = [{"kind": "eval", "p_real": 0.48, "p_fake": 0.48}] * 20
    assert "gap_left" not in course_of_training(untrained), "what never was apart has not converged"


def test_noise_does_not_look_like_a_digit_however_sure_the_judge_is(rng: np.random.Generator) -> None:
    source: Any = open_source(Mnist(source="embedded"), None)
    train, test = (part.images / np.float32(255) for part in (source.train, source.test))
    half, rest = test[::2], test[1::2]
    noise = rng.random(half.shape, np.float32)
    for samples, low, high in (
        (rest, 0.95, 1.0), (0.5 * rest, 0.95, 1.0), (noise, 0, 0), ((noise < 0.13) * 1.0, 0, 0), (0 * half, 0, 0),
        (np.concatenate([rest, noise]), 0.475, 0.5),
    ):  # fmt: skip
        assert low <= digit_like(samples, train, half) <= high
