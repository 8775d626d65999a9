"""Features of RGB images from a network that was never trained: fixed random convolutions.

Good enough to notice a difference in colours, edges and textures between two sets; values compare only with each
other, and never with those of trained features.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

NAME = "random features (3 convolutions of 4x4, stride 2, 16-32-64 filters, never trained, seed 0)"
_FILTERS, _KERNEL, _BATCH = (16, 32, 64), 4, 50


class RandomFeatures:
    """Means over space of a three-layer ReLU network with He-normal weights (He et al., 2015) from seed 0.

    Random convolutions as features: Saxe et al., "On random weights and unsupervised feature learning", 2011.
    """

    def __init__(self, channels: int = 3) -> None:
        rng = np.random.default_rng(0)
        self._kernels = []
        for a, b in zip((channels, *_FILTERS), _FILTERS, strict=False):
            scale = np.sqrt(2 / (a * _KERNEL**2))
            self._kernels.append(tf.constant(rng.normal(0, scale, (_KERNEL, _KERNEL, a, b)), tf.float32))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images [N, H, W, C] in [0, 1] -> float32 [N, 64]."""
        parts = []
        for start in range(0, len(images), _BATCH):
            x = tf.constant(images[start : start + _BATCH] - np.float32(0.5), tf.float32)
            for kernel in self._kernels:
                x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))  # [B, H/2, W/2, filters]
            parts.append(tf.reduce_mean(x, [1, 2]).numpy())  # [B, 64]
        return np.concatenate(parts)
