"""Conditional networks that join two branches: post P003 "branch" and "paper", and the paper's maxout."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import Branch, MaxoutBranch
from tfgan_lab.models.layers import Maxout, activate, dense, dropout, layer_seeds
from tfgan_lab.models.mlp import norm_layer
from tfgan_lab.models.network import Network


class JoinedBranches(keras.layers.Layer):
    """Input and one-hot label, a dense layer each, concatenated, then the joint layers.

    [B, inputs] and int [B] -> [B, joint[-1]].
    """

    def __init__(self, spec: Branch, inputs: int, num_labels: int, seeds: Iterator[int]) -> None:
        super().__init__(name="branches")
        self.spec, self.num_labels = spec, num_labels
        self.input_dense = dense(inputs, spec.input_units, spec.init, seeds)
        self.input_norm = norm_layer(spec.norm, spec.input_units)
        self.label_dense = dense(num_labels, spec.label_units, spec.init, seeds)
        self.label_norm = norm_layer(spec.norm, spec.label_units)
        widths = [spec.input_units + spec.label_units, *spec.joint]
        self.joint_denses = [dense(a, b, spec.init, seeds) for a, b in itertools.pairwise(widths)]
        self.joint_norms = [norm_layer(spec.norm, units) for units in spec.joint]
        self.built = True

    def call(self, x: tf.Tensor, labels: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None) -> tf.Tensor:
        one_hot = tf.one_hot(labels, self.num_labels, dtype=x.dtype)  # [B, labels]
        x = self._block(
            x, self.input_dense, self.input_norm, self.spec.branch_dropout, training, seed, 0
        )  # [B, input_units]
        y = self._block(one_hot, self.label_dense, self.label_norm, self.spec.branch_dropout, training, seed, 1)
        x = tf.concat([x, y], axis=1)  # [B, input_units + label_units]
        for index, (affine, norm) in enumerate(zip(self.joint_denses, self.joint_norms, strict=True)):
            x = self._block(x, affine, norm, self.spec.dropout, training, seed, 2 + index)  # [B, joint[index]]
        return x

    def _block(self, x: Any, affine: Any, norm: Any, rate: float, training: bool, seed: Any, layer: int) -> tf.Tensor:
        x = affine(x)
        x = x if norm is None else norm(x, training=training)
        x = activate(x, self.spec.activation, self.spec.slope)
        return dropout(x, rate, seed, layer) if training and rate else x


@keras.saving.register_keras_serializable("tfgan_lab")
class BranchGenerator(Network):
    """Latents and label, embedded apart and joined, to images (post P003; Mirza & Osindero, 2014)."""

    spec_class = Branch

    def __init__(self, spec: Branch, latent_dim: int, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(
            spec, "generator", latent_dim=latent_dim, image_shape=list(image_shape), num_labels=num_labels, seed=seed
        )
        seeds = layer_seeds(seed, "generator")
        self.image_shape = tuple(image_shape)
        self.branches = JoinedBranches(spec, latent_dim, num_labels, seeds)
        self.out = dense(spec.joint[-1], math.prod(image_shape), spec.init, seeds)
        self.built = True

    def call(self, latents: Any, labels: Any, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, Z] and int [B] -> [B, H, W, C] in the range of the output activation."""
        x = self.out(self.branches(latents, labels, training=training, seed=seed))  # [B, H * W * C]
        x = activate(x, self.spec.output)
        if training and self.spec.dropout_after_output:
            x = dropout(x, self.spec.dropout, seed, 2 + len(self.spec.joint))
        return tf.reshape(x, [-1, *self.image_shape])  # [B, H, W, C]


@keras.saving.register_keras_serializable("tfgan_lab")
class BranchDiscriminator(Network):
    """Image and label, embedded apart and joined, to logits (post P003: "can be joined on the way")."""

    spec_class = Branch

    def __init__(self, spec: Branch, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "discriminator", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        seeds = layer_seeds(seed, "discriminator")
        self.uses_batch_statistics = spec.norm == "batch"
        self.pixels = math.prod(image_shape)
        self.branches = JoinedBranches(spec, self.pixels, num_labels, seeds)
        self.out = dense(spec.joint[-1], 1, spec.init, seeds)
        self.built = True

    def call(self, images: Any, labels: Any, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, H, W, C] and int [B] -> logits [B]."""
        x = tf.reshape(images, [-1, self.pixels])  # [B, H * W * C]
        x = self.out(self.branches(x, labels, training=training, seed=seed))  # [B, 1]
        return tf.squeeze(activate(x, self.spec.output), axis=1)  # [B]


@keras.saving.register_keras_serializable("tfgan_lab")
class MaxoutDiscriminator(Network):
    """The discriminator of Mirza & Osindero (2014, section 4.1), which post P003 says nobody builds."""

    spec_class = MaxoutBranch

    def __init__(self, spec: MaxoutBranch, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "discriminator", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        seeds = layer_seeds(seed, "discriminator")
        self.pixels, self.num_labels = math.prod(image_shape), num_labels
        self.image_maxout = Maxout(self.pixels, spec.input_units, spec.input_pieces, spec.init, seeds)
        self.label_maxout = Maxout(num_labels, spec.label_units, spec.label_pieces, spec.init, seeds)
        joined = spec.input_units + spec.label_units
        self.joint_maxout = Maxout(joined, spec.joint_units, spec.joint_pieces, spec.init, seeds)
        self.out = dense(spec.joint_units, 1, spec.init, seeds)
        self.built = True

    def call(self, images: Any, labels: Any, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, H, W, C] and int [B] -> logits [B]."""
        x = tf.reshape(images, [-1, self.pixels])  # [B, H * W * C]
        x = self.image_maxout(x)  # [B, input_units]
        y = self.label_maxout(tf.one_hot(labels, self.num_labels, dtype=x.dtype))  # [B, label_units]
        x, y = self._drop(x, 0, training, seed), self._drop(y, 1, training, seed)
        x = self.joint_maxout(tf.concat([x, y], axis=1))  # [B, joint_units]
        return tf.squeeze(self.out(self._drop(x, 2, training, seed)), axis=1)  # [B]

    def _drop(self, x: tf.Tensor, layer: int, training: bool, seed: Any) -> tf.Tensor:
        return dropout(x, self.spec.dropout, seed, layer) if training and self.spec.dropout else x
