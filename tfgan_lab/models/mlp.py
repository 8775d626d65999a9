"""Dense generator and discriminator: posts P000, P002, P003 "concat", P001 CGAN, and P004's generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import MLP
from tfgan_lab.models.layers import BatchNorm, activate, concat_label, dense, dropout, layer_norm, layer_seeds
from tfgan_lab.models.network import Network


def norm_layer(kind: str, units: int) -> keras.layers.Layer | None:
    """The normalisation that a config names, or None."""
    return {"none": lambda: None, "batch": lambda: BatchNorm(units), "layer": lambda: layer_norm(units)}[kind]()


class HiddenLayers(keras.layers.Layer):
    """Dense, activation, normalisation and dropout, once for each width: [B, inputs] -> [B, hidden[-1]]."""

    def __init__(self, spec: MLP, inputs: int, seeds: Iterator[int]) -> None:
        super().__init__(name="hidden")
        self.spec = spec
        widths = [inputs, *spec.hidden]
        self.denses = [dense(a, b, spec.init, seeds) for a, b in itertools.pairwise(widths)]
        self.norms = [
            norm_layer(spec.norm if index >= spec.norm_from_layer else "none", units)
            for index, units in enumerate(spec.hidden)
        ]
        self.activations = spec.activation * len(spec.hidden) if len(spec.activation) == 1 else spec.activation
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None) -> tf.Tensor:
        spec = self.spec
        for index, (affine, norm, activation) in enumerate(zip(self.denses, self.norms, self.activations, strict=True)):
            x = affine(x)  # [B, hidden[index]]
            if norm is not None and spec.norm_first:
                x = norm(x, training=training)
            x = activate(x, activation, spec.slope)
            if norm is not None and not spec.norm_first:
                x = norm(x, training=training)
            if training and spec.dropout:
                x = dropout(x, spec.dropout, seed, index)
        return x


@keras.saving.register_keras_serializable("tfgan_lab")
class MLPGenerator(Network):
    """Latents (and label) to images through dense layers."""

    spec_class = MLP

    def __init__(self, spec: MLP, latent_dim: int, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(
            spec, "generator", latent_dim=latent_dim, image_shape=list(image_shape), num_labels=num_labels, seed=seed
        )
        seeds = layer_seeds(seed, "generator")
        self.num_labels, self.image_shape = num_labels, tuple(image_shape)
        self.hidden = HiddenLayers(spec, latent_dim + num_labels, seeds)
        self.out = dense(spec.hidden[-1], math.prod(image_shape), spec.init, seeds)
        self.built = True

    def call(self, latents: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, Z] (and int [B]) -> [B, *image_shape] in the range of the output activation."""
        x = concat_label(latents, labels, self.num_labels)  # [B, Z + labels]
        x = self.out(self.hidden(x, training=training, seed=seed))  # [B, H * W * C]
        x = activate(x, self.spec.output)
        if training and self.spec.dropout_after_output:
            x = dropout(x, self.spec.dropout, seed, len(self.spec.hidden))
        return tf.reshape(x, [-1, *self.image_shape])  # [B, H, W, C]


@keras.saving.register_keras_serializable("tfgan_lab")
class MLPDiscriminator(Network):
    """Images (and label) to logits through dense layers."""

    spec_class = MLP

    def __init__(self, spec: MLP, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "discriminator", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        seeds = layer_seeds(seed, "discriminator")
        self.uses_batch_statistics = spec.norm == "batch"
        self.num_labels, self.pixels = num_labels, math.prod(image_shape)
        self.hidden = HiddenLayers(spec, self.pixels + num_labels, seeds)
        self.out = dense(spec.hidden[-1], 1, spec.init, seeds)
        self.built = True

    def call(self, images: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, H, W, C] (and int [B]) -> logits [B]."""
        x = tf.reshape(images, [-1, self.pixels])  # [B, H * W * C]
        x = concat_label(x, labels, self.num_labels)  # [B, H * W * C + labels]
        x = self.out(self.hidden(x, training=training, seed=seed))  # [B, 1]
        return tf.squeeze(activate(x, self.spec.output), axis=1)  # [B]
