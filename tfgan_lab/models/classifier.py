"""The small convolutional digit classifier of post P001."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab.config import ConvClassifier as ConvClassifierSpec
from tfgan_lab.models.layers import BatchNorm, activate, conv, dense, layer_seeds, size_after
from tfgan_lab.models.network import Network


@keras.saving.register_keras_serializable("tfgan_lab")
class ConvClassifier(Network):
    """Conv, leaky ReLU, BatchNorm for each filter count, then one logit per class (the post's 28-12-5-10)."""

    spec_class = ConvClassifierSpec

    def __init__(self, spec: ConvClassifierSpec, image_shape: Sequence[int], num_labels: int, seed: int) -> None:
        super().__init__(spec, "classifier", image_shape=list(image_shape), num_labels=num_labels, seed=seed)
        seeds = layer_seeds(seed, "classifier")
        channels, size = [image_shape[-1], *spec.filters], image_shape[0]
        self.convs, self.norms = [], []
        for a, b, kernel in zip(channels, spec.filters, spec.kernels, strict=False):
            self.convs.append(conv(a, b, kernel, spec.stride, spec.init, seeds))
            self.norms.append(BatchNorm(b))
            size = size_after(size, kernel, spec.stride)
        self.flat = size * size * spec.filters[-1]
        self.out = dense(self.flat, num_labels, spec.init, seeds)
        self.built = True

    def call(self, images: Any, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, H, W, C] -> logits [B, classes]; the post's scores are their sigmoid."""
        return self.out(self.features(images, training))  # [B, classes]

    def features(self, images: Any, training: bool = False) -> tf.Tensor:
        """[B, H, W, C] -> what the last layer sees, [B, flat]."""
        x = images
        for layer, norm in zip(self.convs, self.norms, strict=True):
            x = norm(activate(layer(x), "leaky_relu", self.spec.slope), training=training)  # [B, H', W', filters]
        return tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, self.flat])  # [B, C * H * W]
