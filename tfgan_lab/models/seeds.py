"""The same dense network for several seeds, run as one: its weights are stacked on a leading axis of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.models.gaussian import SetDiscriminator
from tfgan_lab.models.layers import activate, concat_label, dropout
from tfgan_lab.models.mlp import MLPDiscriminator, MLPGenerator
from tfgan_lab.models.network import Network


class Seeds:
    """S networks of one kind; call(inputs [S, B, …], labels [S, B] or None, training, seed [G, S, 2]).

    Each seed's slice goes through the arithmetic of its own network (`MLPGenerator`, `MLPDiscriminator`,
    `SetDiscriminator`), a product of matrices for each seed.

    Attributes:
      variables, trainable_variables: `keras.Variable`s [S, …] in the order of the networks' own.
    """

    uses_batch_statistics = False
    non_trainable_variables: tuple[()] = ()

    def __init__(self, networks: Sequence[Network]) -> None:
        self._first = networks[0]
        stacks = [
            tf.stack([variable.value for variable in row]) for row in zip(*(n.variables for n in networks), strict=True)
        ]
        self.variables = tuple(keras.Variable(stack) for stack in stacks)
        self.trainable_variables = self.variables
        self._stacked = {id(v): stack for v, stack in zip(self._first.variables, self.variables, strict=True)}

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: tf.Tensor, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        network: Any = self._first
        if isinstance(network, SetDiscriminator):
            return self._judge_sets(network, inputs)
        lead = inputs.shape[:2]
        if isinstance(network, MLPDiscriminator):
            x = tf.reshape(inputs, [*lead, network.pixels])  # [S, B, H * W * C]
            x = self._hidden(network, concat_label(x, labels, network.num_labels), training, seed)
            x = activate(self._dense(network.out, x), network.spec.output)  # [S, B, 1]
            return tf.squeeze(x, axis=-1)  # [S, B]
        assert isinstance(network, MLPGenerator)
        x = self._hidden(network, concat_label(inputs, labels, network.num_labels), training, seed)
        x = activate(self._dense(network.out, x), network.spec.output)  # [S, B, H * W * C]
        if training and network.spec.dropout_after_output:
            x = dropout(x, network.spec.dropout, seed, len(network.spec.hidden))
        return tf.reshape(x, [*lead, *network.image_shape])  # [S, B, H, W, C]

    def _judge_sets(self, network: SetDiscriminator, numbers: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(numbers, [numbers.shape[0], -1, network.spec.set_size])  # [S, sets, set_size]
        x = network.preprocess(x)  # [S, sets, inputs]
        for layer in network.denses:
            x = activate(self._dense(layer, x), network.spec.activation)
        return tf.squeeze(self._dense(network.out, x), axis=-1)  # [S, sets]

    def _hidden(self, network: Any, x: tf.Tensor, training: bool, seed: Any) -> tf.Tensor:
        hidden, spec = network.hidden, network.spec
        layers = zip(hidden.denses, hidden.norms, hidden.activations, strict=True)
        for index, (layer, norm, activation) in enumerate(layers):
            x = self._dense(layer, x)  # [S, B, hidden[index]]
            if norm is not None and spec.norm_first:
                x = self._layer_norm(norm, x)
            x = activate(x, activation, spec.slope)
            if norm is not None and not spec.norm_first:
                x = self._layer_norm(norm, x)
            if training and spec.dropout:
                x = dropout(x, spec.dropout, seed, index)
        return x

    def _dense(self, layer: keras.layers.Dense, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, self._of(layer.kernel)) + self._of(layer.bias)[:, None]

    def _layer_norm(self, layer: keras.layers.LayerNormalization, x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        scale, shift = self._of(layer.gamma)[:, None], self._of(layer.beta)[:, None]
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, layer.epsilon)

    def _of(self, variable: keras.Variable) -> tf.Variable:
        return self._stacked[id(variable)].value
