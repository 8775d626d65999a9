"""Each program as one writes it first in TensorFlow: what the profiles call "before".

Keras' optimisers, a tape that watches everything, D on real and on fake in two passes, a tf.data chain over examples,
one call of a `tf.function` a step and its metrics fetched after each. Networks and the order of updates are ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import Adam, GanConfig
from tfgan_lab.data.pipeline import to_floats
from tfgan_lab.gan import GAN, Turn
from tfgan_lab.supervised import Supervised
from tfgan_lab.training.experiment import Experiment


def _keras_optimizer(numbers: Any, variables: Sequence[Any]) -> keras.optimizers.Optimizer:
    """A config's optimiser by Keras."""
    optimizer: Any
    if isinstance(numbers, Adam):
        optimizer = keras.optimizers.Adam(numbers.learning_rate, numbers.beta_1, numbers.beta_2, numbers.epsilon)
    else:
        optimizer = keras.optimizers.SGD(numbers.learning_rate, momentum=numbers.momentum)
    optimizer.build(variables)
    return optimizer


class _PlainGAN(GAN):
    """The game with tapes that watch both players' weights, and D's two passes."""

    def _real_and_fake_logits(self, turn: Turn, real: Any, labels: Any, fakes: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._discriminate(real, labels, turn.on_real), self._discriminate(fakes, turn.labels, turn.on_fake)

    @staticmethod
    @contextlib.contextmanager
    def _watch(variables: list[tf.Variable]) -> Iterator[tf.GradientTape]:
        with tf.GradientTape() as tape:
            yield tape


def plain(built: Experiment) -> Callable[[int], None]:
    """A function that runs n steps on an experiment's networks."""
    config: Any = built.config
    networks = built.networks
    if isinstance(config, GanConfig):
        numbers = {"generator": config.g_optimizer, "discriminator": config.d_optimizer}
        optimizers = {role: _keras_optimizer(of, networks[role].trainable_variables) for role, of in numbers.items()}
        task: Any = _PlainGAN(
            networks["generator"], networks["discriminator"], optimizers["generator"], optimizers["discriminator"],
            config.game, config.latents, config.num_labels, config.seed, moments=config.data.reports_moments,
            average=built.task.average,
        )  # fmt: skip
    else:
        classifier = networks["classifier"]
        optimizer = _keras_optimizer(config.optimizer, classifier.trainable_variables)
        task = Supervised(classifier, optimizer, config.loss, config.shift, config.seed)
    play, feed, done = tf.function(task.play), iter(_feed(built)), 0

    def run(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            images, labels = next(feed)
            play(tf.constant(done, tf.int64), images, labels)[
                "p_real" if isinstance(config, GanConfig) else "loss"
            ].numpy()
            done += 1

    return run


def _feed(built: Experiment) -> tf.data.Dataset:
    config: Any = built.config
    rows = config.batch_size
    if config.data.is_endless:
        steps = tf.data.Dataset.counter()
        return steps.map(lambda step: (config.data.draw([rows, 1], tf.stack([step, 7])), tf.zeros([rows], tf.int32)))
    examples = built.source.train
    assert examples is not None and examples.images is not None
    labels = tf.zeros([examples.num], tf.int32) if examples.labels is None else examples.labels
    dataset = tf.data.Dataset.from_tensor_slices((examples.images, labels)).shuffle(examples.num).repeat()
    dataset = dataset.map(lambda image, label: (to_floats(image, config.data.pixels), label))
    return dataset.batch(rows, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
