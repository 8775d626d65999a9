"""Cheap numbers about a network in training, on data it is not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import GanConfig
from tfgan_lab.data.pipeline import to_floats
from tfgan_lab.networks import drawn_from
from tfgan_lab.randomness import draw_labels, draw_latents, step_seed, stream_key
from tfgan_lab.training.experiment import Experiment

_BATCH = 1000
_NUM_NUMBERS = 10_000  # of a Gaussian generator


class Evaluator:
    """Judges an experiment's networks, all in evaluation mode (no dropout; statistics as `BatchNorm` takes them).

    GANs on images with a test split: p_real = mean D(x) over it, p_fake = mean D(G(z)) over as many fresh
    latents (post P000's evaluate_model). Gaussian: moments of 10,000 generated numbers. Classifiers: accuracy.
    Without a test split: nothing.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._real = tf.function(self._sum_real, reduce_retracing=True, autograph=False)
        self._fake = tf.function(self._sum_fake, reduce_retracing=True, autograph=False)
        self._right = tf.function(self._count_right, reduce_retracing=True, autograph=False)
        self._numbers = tf.function(self._draw, autograph=False)

    def __call__(self, step: int) -> dict[str, float]:
        """Numbers after `step` steps, by name; empty where there is nothing to judge on."""
        config, test = self._experiment.config, self._experiment.source.test
        if not config.data.is_images:
            numbers = self._numbers(tf.constant(step, tf.int64), tf.constant(_NUM_NUMBERS)).numpy().astype(np.float64)
            return {"fake_mean": float(numbers.mean()), "fake_std": float(numbers.std())}
        if test is None:
            return {}
        given = np.zeros(test.num, np.int32) if test.labels is None else test.labels
        sums: dict[str, float] = {}
        for start in range(0, test.num, _BATCH):
            images, labels = (
                tf.constant(test.images[start : start + _BATCH]),
                tf.constant(given[start : start + _BATCH]),
            )
            if isinstance(config, GanConfig):
                # One stream for all batches: the step in thousands leaves room for their numbers.
                key = tf.constant(step * 1000 + start // _BATCH, tf.int64)
                found = {"p_real": self._real(images, labels), "p_fake": self._fake(key, tf.shape(images)[0])}
            else:
                found = {"accuracy": self._right(images, labels)}
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return {name: value / test.num for name, value in sums.items()}

    def _sum_real(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.sigmoid(self._discriminate(to_floats(images, self._pixels), labels)))

    def _sum_fake(self, key: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        labels = self._labels(key, rows)
        return tf.reduce_sum(tf.sigmoid(self._discriminate(self._draw(key, rows), labels)))

    def _discriminate(self, images: tf.Tensor, labels: Any) -> tf.Tensor:
        config: Any = self._experiment.config
        labels = labels if config.num_labels else None
        return self._experiment.networks["discriminator"](images, labels, training=False)

    def _draw(self, key: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        config: Any = self._experiment.config
        z = draw_latents(
            config.latents.distribution, config.latents.dim, rows, step_seed(stream_key(config.seed, "evaluate"), key)
        )
        return drawn_from(self._experiment.networks)(z, self._labels(key, rows), training=False)

    def _labels(self, key: tf.Tensor, rows: tf.Tensor) -> tf.Tensor | None:
        config: Any = self._experiment.config
        if not config.num_labels:
            return None
        return draw_labels(config.num_labels, rows, step_seed(stream_key(config.seed, "evaluate/labels"), key))

    def _count_right(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        logits = self._experiment.networks["classifier"](to_floats(images, self._pixels), training=False)
        return tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32))

    @property
    def _pixels(self) -> str:
        data: Any = self._experiment.config.data
        return data.pixels
