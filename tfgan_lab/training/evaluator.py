"""Cheap numbers about a network in training, on data it is not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import ClassifierConfig, Data, Game, ImageData, NumberData, Plane
from tfgan_lab.data.pipeline import to_floats
from tfgan_lab.data_kinds import of_kind
from tfgan_lab.gan import packed
from tfgan_lab.metrics import energy_distance, mode_coverage
from tfgan_lab.networks import drawn_from
from tfgan_lab.randomness import draw_labels, draw_latents, sample_seed, step_seed, stream_key
from tfgan_lab.training.experiment import Experiment

_BATCH = 1000
_NUM_NUMBERS = 10_000
_NUM_POINTS = 2500  # as VEEGAN and PacGAN

# Numbers after so many steps, by name; empty where there is nothing to judge on.
Evaluator = Callable[[int], dict[str, float]]


def make_evaluator(experiment: Experiment) -> Evaluator:
    """What judges an experiment's networks, all in evaluation mode (no dropout; statistics as `BatchNorm` takes them).

    Raises:
      UserError: A kind of data that `EVALUATORS` does not know.
    """
    if isinstance(experiment.config, ClassifierConfig):
        return Accuracy(experiment)
    return of_kind(EVALUATORS, experiment.config.data, "tfgan_lab.training.evaluator.EVALUATORS")(experiment)


class _OnTestSplit:
    """Means over the test split; nothing without one."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._config: Any = experiment.config
        self._pack = getattr(self._config, "game", Game()).pack

    def __call__(self, step: int) -> dict[str, float]:
        test = self._experiment.source.test
        if test is None:
            return {}
        given = np.zeros(test.num, np.int32) if test.labels is None else test.labels
        order, batch = np.arange(test.num), _BATCH - _BATCH % self._pack
        if self._pack > 1:  # the split may be in order of classes, and a pack is of any
            order = np.random.default_rng(stream_key(self._config.seed, "evaluate/packs")).permutation(order)
            order = order[: test.num - test.num % self._pack]
        sums: dict[str, float] = {}
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            images, labels = tf.constant(test.images[part]), tf.constant(given[part])
            # One stream for all batches: the step in thousands leaves room for their numbers.
            found = self._sums(tf.constant(step * 1000 + start // batch, tf.int64), images, labels)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return {name: value / len(order) for name, value in sums.items()}

    def _sums(self, key: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Over a batch of uint8 images [B, H, W, C] and labels [B]; `key` names the step and the batch."""
        raise NotImplementedError


class Accuracy(_OnTestSplit):
    """Of a classifier: accuracy."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        self._right = tf.function(self._count_right, reduce_retracing=True, autograph=False)

    def _sums(self, key: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"accuracy": self._right(images, labels)}

    def _count_right(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        images = to_floats(images, self._config.data.pixels)
        logits = self._experiment.networks["classifier"](images, training=False)
        return tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32))


class Beliefs(_OnTestSplit):
    """Of a GAN on images: p_real = mean D(x) over the test split, p_fake = mean D(G(z)) over as many fresh latents.

    With `ema`, p_fake is of the average of G's weights; D was trained against G itself.

    Source: post P000's evaluate_model.
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        self._real = tf.function(self._sum_real, reduce_retracing=True, autograph=False)
        self._fake = tf.function(self._sum_fake, reduce_retracing=True, autograph=False)

    def _sums(self, key: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"p_real": self._real(images, labels), "p_fake": self._fake(key, tf.shape(images)[0])}

    def _sum_real(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return self._sum_of_beliefs(to_floats(images, self._config.data.pixels), labels)

    def _sum_fake(self, key: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return self._sum_of_beliefs(*generated(self._experiment, key, rows))

    def _sum_of_beliefs(self, images: tf.Tensor, labels: Any) -> tf.Tensor:
        labels = labels if self._config.num_labels else None
        images = packed(images, self._pack)
        logits = self._experiment.networks["discriminator"](images, labels, training=False)
        return self._pack * tf.reduce_sum(tf.sigmoid(logits))


class GeneratedMoments:
    """Of a GAN on numbers: mean and standard deviation of 10,000 generated ones."""

    def __init__(self, experiment: Experiment) -> None:
        self._numbers = tf.function(lambda key, rows: generated(experiment, key, rows)[0], autograph=False)

    def __call__(self, step: int) -> dict[str, float]:
        numbers = self._numbers(tf.constant(step, tf.int64), tf.constant(_NUM_NUMBERS)).numpy().astype(np.float64)
        return {"fake_mean": float(numbers.mean()), "fake_std": float(numbers.std())}


class Points:
    """Of a GAN on points: modes recovered and the share of high quality, where the law has modes, and the energy distance
    to as many points of the law."""

    def __init__(self, experiment: Experiment) -> None:
        data = experiment.config.data
        assert isinstance(data, Plane)
        self._data = data
        self._points = tf.function(lambda key, rows: generated(experiment, key, rows)[0], autograph=False)
        seed = sample_seed(stream_key(experiment.config.seed, "evaluate/real"))
        self._real = data.draw([_NUM_POINTS, 2], seed).numpy()

    def __call__(self, step: int) -> dict[str, float]:
        points = self._points(tf.constant(step, tf.int64), tf.constant(_NUM_POINTS)).numpy()
        numbers: dict[str, float] = {}
        if not np.isfinite(points).all():  # of a run that diverges, which its losses will say
            return numbers
        if self._data.modes is not None:
            found = mode_coverage(points, self._data.modes, self._data.std)
            numbers = {"modes": float(found.modes), "high_quality": found.high_quality}
        return numbers | {"energy_distance": energy_distance(self._real, points)}


def generated(experiment: Experiment, key: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
    """`rows` samples of the generator and their labels, `key` is the step of this stream that their latents are drawn at."""
    config: Any = experiment.config
    latents, labels = config.latents, None
    if config.num_labels:
        labels = draw_labels(config.num_labels, rows, step_seed(stream_key(config.seed, "evaluate/labels"), key))
    z = draw_latents(latents.distribution, latents.dim, rows, step_seed(stream_key(config.seed, "evaluate"), key))
    return drawn_from(experiment.networks)(z, labels, training=False), labels


# What judges a GAN in training, by kind of data.
EVALUATORS: dict[type[Data], Callable[[Experiment], Evaluator]] = {
    ImageData: Beliefs, NumberData: GeneratedMoments, Plane: Points
}  # fmt: skip
