"""What a run's outcome is computed with: the course of its training, by hand, and what looks like a digit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from catalogue import offline

from tfgan_lab.config import Mnist
from tfgan_lab.data import open_source
from tfgan_lab.studies import outcomes
from tfgan_lab.studies.outcomes import course_of_training, digit_like
from tfgan_lab.training.experiment import build


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


class StubMonitor:
    """Ten samples, of which the judge reads seven as a 1 and three as a 3."""

    def __init__(self, experiment: Any) -> None:
        assert experiment.config.is_judged

    def __call__(self) -> dict[str, float]:
        return {"digits": 2.0}

    def samples(self) -> np.ndarray:
        return np.zeros([10, 28, 28, 1], np.float32)

    def judge(self, samples: np.ndarray) -> Any:
        assert samples.shape == (10, 28, 28, 1)
        return SimpleNamespace(labels=np.array([1] * 7 + [3] * 3))


def test_the_top_digit_and_the_losses_of_the_networks_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator draws one image whatever its latents, so that NumPy needs no random numbers to follow it."""
    monkeypatch.setattr(outcomes, "Monitor", StubMonitor)
    config: Any = offline("mlp_gan:smoke", discriminator__3__rate="0", discriminator__6__rate="0", batch_size="30")
    experiment = build(config, open_source(config.data, None))
    g_kernel, g_bias = experiment.networks["generator"].variables[-2:]
    g_kernel.assign(np.zeros(g_kernel.shape))
    found = outcomes.measure(experiment)
    assert (found["digits"], found["top_digit"], found["top_share"]) == (2, 1, 0.7)

    def logits(images: np.ndarray) -> np.ndarray:
        x = images.reshape(-1, 784).astype(np.float64)
        layers = [np.float64(variable.numpy()) for variable in experiment.networks["discriminator"].variables]
        for kernel, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
            x = x @ kernel + bias
            x = np.where(x > 0, x, 0.01 * x)
        return x @ layers[-2] + layers[-1]

    real = logits(np.concatenate([images for images, _ in experiment.batches.dataset(0).take(20)]))
    fake = logits(np.tanh(g_bias.numpy()))
    assert found["g_loss_now"] == pytest.approx(np.log1p(np.exp(-fake)).item(), rel=1e-5)
    assert found["d_loss_now"] == pytest.approx(
        np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(fake)).item(), rel=1e-5
    )
