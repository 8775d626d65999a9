"""What is measured while a run trains: with networks whose answers are known, against computations by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline

from tfgan_lab.evaluation import monitor as monitor_lib
from tfgan_lab.evaluation.judge import Judge
from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.training import evaluator
from tfgan_lab.training.engine import Engine
from tfgan_lab.training.evaluator import make_evaluator
from tfgan_lab.training.experiment import Experiment, build


class Answers:
    """A network whose output is a function of its input; it may be asked in evaluation mode only."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.seen: list[np.ndarray] = []

    def __call__(self, x: Any, labels: Any = None, training: bool = True, seed: Any = None) -> Any:
        assert not training
        if tf.executing_eagerly():
            self.seen.append(x.numpy())
        return self.answer(x)


def experiment_of(reference: str, source: Any, **networks: Any) -> Experiment:
    """An experiment whose networks are replaced."""
    config = offline(reference)
    return Experiment(config, source, None, tf.distribute.get_strategy(), networks, {}, None)


def test_real_and_generated_images_are_not_confused(small_source: Any) -> None:
    """D's logit is the mean pixel, in [-1, 1]; G draws white images."""
    d = Answers(lambda images: tf.reduce_mean(images, [1, 2, 3]))
    g = Answers(lambda latents: tf.ones([tf.shape(latents)[0], 28, 28, 1]))
    found = make_evaluator(experiment_of("mlp_gan:smoke", small_source, discriminator=d, generator=g))(3)
    brightness = small_source.test.images.astype(np.float64).mean(axis=(1, 2, 3)) / 127.5 - 1
    expected = {"p_real": (1 / (1 + np.exp(-brightness))).mean(), "p_fake": 1 / (1 + np.exp(-1))}
    assert found == pytest.approx(expected, abs=1e-5)


def test_every_piece_of_the_test_split_is_judged_beside_latents_of_its_own(
    small_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "_BATCH", 30)
    d = Answers(lambda images: tf.reduce_mean(images, [1, 2, 3]))
    g = Answers(lambda latents: tf.reshape(latents[:, :1], [-1, 1, 1, 1]) * tf.ones([1, 28, 28, 1]))
    evaluate = make_evaluator(experiment_of("mlp_gan:smoke", small_source, discriminator=d, generator=g))
    tf.config.run_functions_eagerly(True)
    try:
        first, again, second = evaluate(1), evaluate(1), evaluate(2)
    finally:
        tf.config.run_functions_eagerly(False)
    assert first == again
    assert first["p_real"] == second["p_real"]
    assert first["p_fake"] != second["p_fake"]
    assert [len(latents) for latents in g.seen] == [30, 30, 30, 10] * 3
    latents = np.concatenate(g.seen)
    assert len(np.unique(latents[:100], axis=0)) == 100, "no two images of an evaluation are of the same latents"
    assert len(np.unique(latents, axis=0)) == 200, "and no two evaluations"
    logits = latents[:100, 0].astype(np.float64)
    assert first["p_fake"] == pytest.approx((1 / (1 + np.exp(-logits))).mean(), abs=1e-5)


def test_a_classifier_is_counted_in_evaluation_mode(small_source: Any) -> None:
    """It says 0 for the darker half of the images and 1 for the others."""

    def logits(images: tf.Tensor) -> tf.Tensor:
        bright = tf.cast(tf.reduce_mean(images, [1, 2, 3]) > 0.13, tf.int32)
        return tf.one_hot(bright, 10)

    source = small_source
    found = make_evaluator(experiment_of("mnist_classifier:smoke", source, classifier=Answers(logits)))(1)
    bright = source.test.images.mean(axis=(1, 2, 3)) / 255 > 0.13
    assert 0 < (bright == source.test.labels).mean() < 1
    assert found == pytest.approx({"accuracy": (bright == source.test.labels).mean()}, abs=1e-6)


def test_a_monitor_looks_at_the_same_samples_every_time_and_at_others_for_another_seed(
    small_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []
    draw = monitor_lib.draw

    def drawn(sample: Any, num: int, seed: int, piece: int) -> np.ndarray:
        images = draw(sample, 16, seed, piece)
        seen.append((seed, images.tobytes()))
        return images

    def opinion(images: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "probabilities": np.ones((len(images), 10)),
            "features": images[:, 9:11, 9, 0],
            "scores": images[:, 0, 0],
        }

    monkeypatch.setattr(monitor_lib, "draw", drawn)
    monkeypatch.setattr(monitor_lib, "MUST_REACH", 0.0)
    monkeypatch.setattr(monitor_lib, "judge_for", lambda config: Judge(opinion, (28, 28, 1), {}))
    # The same weights each time: only the monitor's own numbers may differ.
    experiment = build(offline("mlp_gan:smoke"), small_source)
    for seed in ("0", "1"):
        experiment.config = offline("mlp_gan:smoke", seed=seed)
        monitor = Monitor(experiment)
        monitor(), monitor()
    assert seen[0] == seen[1] and seen[2] == seen[3]
    assert seen[0][0] != seen[2][0] and seen[0][1] != seen[2][1]


def test_losses_after_the_update_are_of_the_batch_and_the_latents_of_that_step() -> None:
    """The print of post P002: of batch number i the pixels are i."""

    def batches(first: int) -> tf.data.Dataset:
        steps = tf.data.Dataset.range(first, 100)
        return steps.map(lambda i: (tf.fill([2], tf.cast(i, tf.float32)), tf.fill([2], i)))

    def losses(step: Any, images: Any, labels: Any) -> dict[str, Any]:
        return {"d_loss": images[0], "g_loss": tf.cast(step, tf.float32)}

    task: Any = SimpleNamespace(losses=losses)
    engine = Engine(tf.distribute.get_strategy(), task, SimpleNamespace(dataset=batches))
    for step in (1, 8):
        assert engine.losses_after(step) == {"d_loss": step - 1, "g_loss": step - 1}
