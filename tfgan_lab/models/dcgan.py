"""Convolutional generator and discriminator: post P001's montage DCGAN, and conditional ones for digits.

Inside, images are [B, H, W, C] (the only layout TensorFlow's CPU kernels know); where the post flattens or
unflattens [C, H, W], so do these, so that weights map to PyTorch's one to one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import ConvDiscriminator as ConvDiscriminatorSpec
from tfgan_lab.config import ConvGenerator as ConvGeneratorSpec
from tfgan_lab.errors import UserError
from tfgan_lab.models.layers import (
    BatchNorm,
    activate,
    concat_label,
    conv,
    conv_transpose,
    dense,
    layer_seeds,
    size_after,
)
from tfgan_lab.models.network import Network


def generator_sizes(spec: ConvGeneratorSpec) -> list[int]:
    """Side lengths from the seed image to the output; the post's: [11, 28, 62, 128]."""
    sizes = [spec.seed_size]
    for padding in spec.paddings:
        sizes.append((sizes[-1] - 1) * spec.stride - 2 * padding + spec.kernel)
    return sizes


def discriminator_sizes(spec: ConvDiscriminatorSpec, size: int) -> list[int]:
    """Side lengths from the input to the last feature map; the post's: [128, 61, 27, 10]."""
    sizes = [size]
    for padding in spec.paddings:
        sizes.append(size_after(sizes[-1], spec.kernel, spec.stride, padding))
    return sizes


@keras.saving.register_keras_serializable("tfgan_lab")
class ConvGenerator(Network):
    """Latents (and labels) to images: Dense, GELU, then ConvTranspose + BatchNorm + GELU, the last with sigmoid."""

    spec_class = ConvGeneratorSpec

    def __init__(
        self, spec: ConvGeneratorSpec, latent_dim: int, image_shape: Sequence[int], num_labels: int, seed: int
    ) -> None:
        super().__init__(
            spec, "generator", latent_dim=latent_dim, image_shape=list(image_shape), num_labels=num_labels, seed=seed
        )
        drawn = [generator_sizes(spec)[-1]] * 2 + [spec.filters[-1]]
        if drawn != list(image_shape):
            raise UserError(
                f"generator: its layers draw {drawn} images but the data's are {list(image_shape)}: change its sizes or data.size"
            )
        seeds = layer_seeds(seed, "generator")
        self.num_labels = num_labels
        self.seed_dense = dense(latent_dim + num_labels, spec.seed_channels * spec.seed_size**2, spec.init, seeds)
        channels = [spec.seed_channels, *spec.filters]
        self.convs = [
            conv_transpose(a, b, spec.kernel, spec.stride, spec.init, seeds) for a, b in itertools.pairwise(channels)
        ]
        normalised = spec.filters if spec.output_norm else spec.filters[:-1]
        self.norms = [BatchNorm(filters, spec.sync_batch_norm) for filters in normalised]
        self.built = True

    def call(self, latents: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, Z] (and int [B]) -> [B, H, W, C] in the range of the output activation."""
        spec = self.spec
        latents = concat_label(latents, labels, self.num_labels)  # [B, Z + labels]
        x = activate(self.seed_dense(latents), spec.activation, spec.slope)
        x = tf.reshape(x, [-1, spec.seed_channels, spec.seed_size, spec.seed_size])  # [B, C0, S, S]
        x = tf.transpose(x, [0, 2, 3, 1])  # [B, S, S, C0]
        for index, (layer, padding) in enumerate(zip(self.convs, spec.paddings, strict=True)):
            x = layer(x)  # [B, sizes[index + 1] + 2 * padding, …, filters[index]]
            if padding:
                x = x[:, padding:-padding, padding:-padding]  # [B, sizes[index + 1], …, filters[index]]
            if index < len(self.norms):
                x = self.norms[index](x, training=training)
            last = index == len(self.convs) - 1
            x = activate(x, spec.output if last else spec.activation, spec.slope)
        return x


@keras.saving.register_keras_serializable("tfgan_lab")
class ConvDiscriminator(Network):
    """Images (and labels) to logits: Conv + BatchNorm + GELU (none after the last Conv), flatten, Dense."""

    spec_class = ConvDiscriminatorSpec

    def __init__(self, spec: ConvDiscriminatorSpec, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "discriminator", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        sizes = discriminator_sizes(spec, image_shape[0])
        if min(sizes) < 1:
            raise UserError(
                f"discriminator: its layers shrink {image_shape[0]} pixels to {sizes}: use fewer layers or more padding"
            )
        seeds = layer_seeds(seed, "discriminator")
        channels = [image_shape[-1], *spec.filters]
        self.convs = [conv(a, b, spec.kernel, spec.stride, spec.init, seeds) for a, b in itertools.pairwise(channels)]
        self.uses_batch_statistics = spec.norm == "batch"
        normalised = spec.filters[:-1] if self.uses_batch_statistics else ()
        self.norms = [BatchNorm(filters, spec.sync_batch_norm) for filters in normalised]
        self.flat = math.prod([sizes[-1], sizes[-1], spec.filters[-1]])
        self.out = dense(self.flat, 1, spec.init, seeds)
        self.num_labels = num_labels
        self.label_dense = dense(num_labels, self.flat, spec.init, seeds) if num_labels else None
        self.built = True

    def call(self, images: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, H, W, C] (and int [B]) -> logits [B]."""
        x = images
        for index, (layer, padding) in enumerate(zip(self.convs, self.spec.paddings, strict=True)):
            if padding:
                x = tf.pad(x, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
            x = layer(x)  # [B, sizes[index + 1], …, filters[index]]
            if index < len(self.norms):
                x = self.norms[index](x, training=training)
            x = activate(x, self.spec.activation, self.spec.slope)
        x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, self.flat])  # [B, C * H * W]
        logits = tf.squeeze(self.out(x), axis=1)  # [B]
        if self.label_dense is None:
            return logits
        direction = self.label_dense(tf.one_hot(labels, self.num_labels, dtype=x.dtype))  # [B, C * H * W]
        return logits + tf.reduce_sum(direction * x, axis=1)
