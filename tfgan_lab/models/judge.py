"""The classifier that judges generated digits: stronger than post P001's, with features to compare sets by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import JudgeNet as JudgeNetSpec
from tfgan_lab.errors import UserError
from tfgan_lab.models.layers import BatchNorm, conv, dense, dropout, layer_seeds, size_after
from tfgan_lab.models.network import Network


@keras.saving.register_keras_serializable("tfgan_lab")
class JudgeNet(Network):
    """Convolutions without padding, each with BatchNorm and ReLU; a dense ReLU layer, the features; one logit per class."""

    spec_class = JudgeNetSpec

    def __init__(self, spec: JudgeNetSpec, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "classifier", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        sizes = [min(image_shape[:2])]
        for kernel, stride in zip(spec.kernels, spec.strides, strict=True):
            sizes.append(size_after(sizes[-1], kernel, stride))
        if min(sizes) < 1:
            raise UserError(
                f"classifier: its layers shrink {sizes[0]} pixels to {sizes[1:]}: use fewer layers or smaller kernels."
            )
        seeds = layer_seeds(seed, "classifier")
        widths = zip([image_shape[-1], *spec.filters], spec.filters, spec.kernels, spec.strides, strict=False)
        self.convs = [conv(a, b, kernel, stride, spec.init, seeds) for a, b, kernel, stride in widths]
        self.norms = [BatchNorm(filters) for filters in spec.filters]
        self.flat = sizes[-1] ** 2 * spec.filters[-1]
        self.embed = dense(self.flat, spec.features, spec.init, seeds)
        self.out = dense(spec.features, num_labels, spec.init, seeds)
        self.built = True

    def call(self, images: Any, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, H, W, C] -> logits [B, classes]; `seed` (int64 [1, 2]) is dropout's in training."""
        x = self.features(images, training)
        if training and self.spec.dropout:
            x = dropout(x, self.spec.dropout, seed, 0)
        return self.out(x)  # [B, classes]

    def features(self, images: Any, training: bool = False) -> tf.Tensor:
        """[B, H, W, C] -> [B, features], not negative."""
        x = images
        for layer, norm in zip(self.convs, self.norms, strict=True):
            x = tf.nn.relu(norm(layer(x), training=training))  # [B, H', W', filters]
        return tf.nn.relu(self.embed(tf.reshape(x, [-1, self.flat])))  # [B, features]
