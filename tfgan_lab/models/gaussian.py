"""The discriminator of post P004: a whole set of numbers is one example."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import SetDiscriminator as SetDiscriminatorSpec
from tfgan_lab.models.layers import activate, dense, layer_seeds
from tfgan_lab.models.network import Network


@keras.saving.register_keras_serializable("tfgan_lab")
class SetDiscriminator(Network):
    """Sets of `set_size` numbers to one logit each."""

    spec_class = SetDiscriminatorSpec

    def __init__(self, spec: SetDiscriminatorSpec, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "discriminator", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        seeds = layer_seeds(seed, "discriminator")
        inputs = spec.set_size * (2 if spec.preprocess == "variances" else 1)
        widths = [inputs, *spec.hidden]
        self.denses = [dense(a, b, spec.init, seeds) for a, b in itertools.pairwise(widths)]
        self.out = dense(widths[-1], 1, spec.init, seeds)
        self.built = True

    def call(self, numbers: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[S * set_size, 1] -> logits [S]: the rows are S sets, one after the other."""
        x = self.preprocess(tf.reshape(numbers, [-1, self.spec.set_size]))  # [S, inputs]
        for layer in self.denses:
            x = activate(layer(x), self.spec.activation)
        return tf.squeeze(self.out(x), axis=1)  # [S]

    def preprocess(self, x: tf.Tensor) -> tf.Tensor:
        """Sets [..., set_size] -> what the first layer sees of them, [..., set_size] or [..., 2 * set_size]."""
        if self.spec.preprocess == "raw":
            return x
        # The post takes the mean's number out of the graph: no gradient through it.
        mean = tf.stop_gradient(tf.reduce_mean(x, axis=-1, keepdims=True))
        return tf.concat([x, self._power(x - mean)], axis=-1)

    def _power(self, differences: tf.Tensor) -> tf.Tensor:
        if self.spec.exponent == 2:
            return tf.square(differences)
        # |.|: a fractional power of a negative difference, which the post would take, is NaN.
        base = differences if self.spec.exponent % 2 == 1 else tf.abs(differences)
        return tf.pow(base, self.spec.exponent)
