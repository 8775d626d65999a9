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

from tfgan_lab.config import Adam, GanConfig, Gaussian
from tfgan_lab.data.pipeline import draw_target, to_floats
from tfgan_lab.gan import GAN
from tfgan_lab.supervised import Supervised
from tfgan_lab.training.experiment import Experiment


class _KerasOptimizer:
    """A config's optimiser by Keras."""

    def __init__(self, numbers: Any, variables: Sequence[Any]) -> None:
        if isinstance(numbers, Adam):
            self.keras = keras.optimizers.Adam(numbers.learning_rate, numbers.beta_1, numbers.beta_2, numbers.epsilon)
        else:
            self.keras = keras.optimizers.SGD(numbers.learning_rate, momentum=numbers.momentum)
        self.variables = variables
        self.keras.build(variables)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        self.keras.apply_gradients(zip(gradients, self.variables, strict=True))


class _PlainGAN(GAN):
    """The game with tapes that watch both players' weights, and D's two passes."""

    def _real_and_fake_logits(
        self, step: Any, turn: str, real: Any, labels: Any, fakes: Any, fake_labels: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        real_seed, fake_seed = self._seed(f"dropout/real/{turn}", step), self._seed(f"dropout/fake/{turn}", step)
        return self._discriminate(real, labels, real_seed), self._discriminate(fakes, fake_labels, fake_seed)

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
        optimizers = {role: _KerasOptimizer(numbers[role], net.trainable_variables) for role, net in networks.items()}
        task: Any = _PlainGAN(
            networks["generator"], networks["discriminator"], optimizers["generator"], optimizers["discriminator"],
            config.game, config.latents, config.num_labels, config.seed, moments=isinstance(config.data, Gaussian),
        )  # fmt: skip
    else:
        classifier = networks["classifier"]
        optimizer = _KerasOptimizer(config.optimizer, classifier.trainable_variables)
        task = Supervised(classifier, optimizer, config.loss, config.shift, config.seed)
    train_step, feed, done = tf.function(task.train_step), iter(_feed(built)), 0

    def run(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            images, labels = next(feed)
            train_step(tf.constant(done, tf.int64), images, labels).numpy()
            done += 1

    return run


def _feed(built: Experiment) -> tf.data.Dataset:
    config: Any = built.config
    rows = config.batch_size
    if isinstance(config.data, Gaussian):
        steps = tf.data.Dataset.counter()
        return steps.map(
            lambda step: (draw_target(config.data, [rows, 1], tf.stack([step, 7])), tf.zeros([rows], tf.int32))
        )
    examples = built.source.train
    assert examples is not None and examples.images is not None
    labels = tf.zeros([examples.num], tf.int32) if examples.labels is None else examples.labels
    dataset = tf.data.Dataset.from_tensor_slices((examples.images, labels)).shuffle(examples.num).repeat()
    dataset = dataset.map(lambda image, label: (to_floats(image, config.data.pixels), label))
    return dataset.batch(rows, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
