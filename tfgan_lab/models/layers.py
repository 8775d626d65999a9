"""Layers with the posts' conventions: PyTorch's start values, BatchNorm and padding; dropout by seed.

Every layer is built when it is made, so a model has all its variables before its first call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab import philox
from tfgan_lab.config import Init
from tfgan_lab.errors import UserError
from tfgan_lab.randomness import num_rows, own_rows, stream_key


def layer_seeds(seed: int, role: str) -> Iterator[int]:
    """An endless row of initialiser seeds for one network of a run."""
    index = 0
    while True:
        yield stream_key(seed, f"init/{role}/{index}") % 2**31
        index += 1


def _initializers(init: Init, fan_in: int, fan_out: int, seeds: Iterator[int]) -> dict[str, Any]:
    bound = 1 / math.sqrt(fan_in)
    uniform, normal = keras.initializers.RandomUniform, keras.initializers.RandomNormal
    kernels = {
        "torch": lambda seed: uniform(-bound, bound, seed),
        # Keras' GlorotNormal is truncated, PyTorch's xavier_normal_ is not.
        "xavier_normal": lambda seed: normal(0.0, math.sqrt(2 / (fan_in + fan_out)), seed),
        "glorot_uniform": lambda seed: uniform(
            -math.sqrt(6 / (fan_in + fan_out)), math.sqrt(6 / (fan_in + fan_out)), seed
        ),
        "normal": lambda seed: normal(0.0, init.std, seed),
    }
    biases = {
        "torch": lambda seed: uniform(-bound, bound, seed),
        "zeros": lambda seed: keras.initializers.Zeros(),
        "uniform": lambda seed: uniform(init.bias_low, init.bias_high, seed),
    }
    return {
        "kernel_initializer": kernels[init.kernel](next(seeds)),
        "bias_initializer": biases[init.bias](next(seeds)),
    }


def dense(inputs: int, units: int, init: Init, seeds: Iterator[int]) -> keras.layers.Dense:
    """A built Dense layer: [B, inputs] -> [B, units]."""
    layer = keras.layers.Dense(units, **_initializers(init, inputs, units, seeds))
    layer.build((None, inputs))
    return layer


def conv(
    channels: int, filters: int, kernel: int, stride: int, init: Init, seeds: Iterator[int]
) -> keras.layers.Conv2D:
    """A built strided convolution without padding: [B, H, W, channels] -> [B, H', W', filters]."""
    fan_in, fan_out = channels * kernel**2, filters * kernel**2
    layer = keras.layers.Conv2D(filters, kernel, stride, **_initializers(init, fan_in, fan_out, seeds))
    layer.build((None, None, None, channels))
    return layer


def size_after(size: int, kernel: int, stride: int, padding: int = 0) -> int:
    """Height of what a convolution gives. Raises `UserError` if its kernel is larger than what it gets."""
    after = (size + 2 * padding - kernel) // stride + 1
    if after < 1:
        raise UserError(
            f"a kernel of {kernel} x {kernel} does not fit {size} x {size} pixels: use fewer layers, or smaller kernels and strides."
        )
    return after


def conv_transpose(
    channels: int, filters: int, kernel: int, stride: int, init: Init, seeds: Iterator[int]
) -> keras.layers.Conv2DTranspose:
    """A built transposed convolution: [B, H, W, channels] -> [B, (H-1)*stride + kernel, …, filters]."""
    # PyTorch takes a ConvTranspose's fan_in from the weight's second axis: its output channels.
    fan_in, fan_out = filters * kernel**2, channels * kernel**2
    layer = keras.layers.Conv2DTranspose(filters, kernel, stride, **_initializers(init, fan_in, fan_out, seeds))
    layer.build((None, None, None, channels))
    return layer


def activate(x: tf.Tensor, name: str, slope: float = 0.0) -> tf.Tensor:
    """Applies an activation by its config name; `gelu` is the exact erf form, as PyTorch's default."""
    match name:
        case "relu":
            return tf.nn.relu(x)
        case "leaky_relu":
            # TensorFlow's op keeps its slope as a float32 attribute: too coarse for parity in float64.
            return tf.nn.leaky_relu(x, slope) if x.dtype != tf.float64 else tf.where(x > 0, x, slope * x)
        case "elu":
            return tf.nn.elu(x)
        case "gelu":
            # tf.nn.gelu rounds the root of 2 to float32 whatever x is: too coarse for parity in float64.
            return (
                tf.nn.gelu(x, approximate=False) if x.dtype != tf.float64 else 0.5 * x * tf.math.erfc(-x / math.sqrt(2))
            )
        case "sigmoid":
            return tf.nn.sigmoid(x)
        case "tanh":
            return tf.nn.tanh(x)
        case "linear":
            return x
    raise ValueError(f"unknown activation {name!r}")


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor, layer: int) -> tf.Tensor:
    """Zeroes a share `rate` of the units and scales the others by 1 / (1 - rate).

    Keras' Dropout would draw one mask for all replicas and restart after a resume; this one is a
    function of its seed, and replicas share one global mask.

    Args:
      x: [B, units].
      rate: In [0, 1).
      seed: int64 [G, 2]: one seed for each of the G batches stacked in `x`, so that real and fake
        examples in one pass get the masks that they would get in two.
      layer: Which dropout layer of its network this is.
    """
    rows, units = num_rows(x, -2) // seed.shape[0], x.shape[-1]
    seeds = tf.unstack(seed + tf.constant([layer, 0], tf.int64))
    masks = [own_rows(lambda shape, s=s: philox.uniform(shape, s) >= rate, rows, units) for s in seeds]
    keep = masks[0] if len(masks) == 1 else tf.concat(masks, -2)  # [B, units]
    return tf.where(keep, x * (1 / (1 - rate)), tf.zeros_like(x))


def concat_label(x: tf.Tensor, labels: tf.Tensor | None, num_labels: int) -> tf.Tensor:
    """Appends one-hot labels: [B, D] and int [B] -> [B, D + num_labels]; unconditional: `x` itself."""
    if num_labels == 0:
        return x
    return tf.concat([x, tf.one_hot(labels, num_labels, dtype=x.dtype)], axis=-1)  # [B, D + num_labels]


@keras.saving.register_keras_serializable("tfgan_lab")
class BatchNorm(keras.layers.Layer):
    """Batch normalisation with PyTorch's conventions (Ioffe & Szegedy, 2015).

    epsilon 1e-5; running statistics move by 0.1 of the batch's, the variance unbiased, at every call
    in training. Under several replicas statistics are those of the global batch if `sync`.

    Args:
      channels: Size of the last axis.
      sync: Take statistics over all replicas.

    Attributes:
      own_statistics: Outside training take each image's own, over space, and not the running ones: what training mode
        does with a batch of one.
    """

    def __init__(
        self, channels: int, sync: bool = True, epsilon: float = 1e-5, momentum: float = 0.1, **kwargs: Any
    ) -> None:
        # Its statistics are not for bfloat16, whatever the other layers compute in.
        super().__init__(**{"dtype": keras.config.floatx()} | kwargs)
        self.channels, self.sync, self.epsilon, self.momentum = channels, sync, epsilon, momentum
        self.own_statistics = False
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        fixed: dict[str, Any] = {"shape": (channels,), "trainable": False, "aggregation": "mean"}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **fixed)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **fixed)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        own = {"channels": self.channels, "sync": self.sync, "epsilon": self.epsilon, "momentum": self.momentum}
        return {**super().get_config(), **own}

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """[B, …, channels] -> the same shape."""
        if not training and self.own_statistics:
            return self._normalise(x, *tf.nn.moments(x, list(range(1, x.shape.rank - 1)), keepdims=True))
        if not training:
            return self._normalise(x, self.moving_mean.value, self.moving_variance.value)
        axes = list(range(x.shape.rank - 1))
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if self.sync else 1
        count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]) * replicas, x.dtype)
        mean = self._over_replicas(context, tf.reduce_mean(x, axes), replicas)
        variance = self._over_replicas(context, tf.reduce_mean(tf.math.squared_difference(x, mean), axes), replicas)
        unbiased = variance * (count / tf.maximum(count - 1, 1))
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            moving.assign(moving.value + self.momentum * (tf.stop_gradient(now) - moving.value))
        return self._normalise(x, mean, variance)

    @staticmethod
    def _over_replicas(context: Any, value: tf.Tensor, replicas: int) -> tf.Tensor:
        return value if replicas == 1 else context.all_reduce(tf.distribute.ReduceOp.SUM, value) / replicas

    def _normalise(self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        return tf.nn.batch_normalization(x, mean, variance, self.beta.value, self.gamma.value, self.epsilon)


def layer_norm(units: int) -> keras.layers.LayerNormalization:
    """A built LayerNormalization over the last axis with PyTorch's epsilon, 1e-5."""
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    layer.build((None, units))
    return layer


@keras.saving.register_keras_serializable("tfgan_lab")
class Maxout(keras.layers.Layer):
    """Each unit is the largest of `pieces` affine functions (Goodfellow et al., 2013, eq. 1).

    [B, inputs] -> [B, units].
    """

    def __init__(self, inputs: int, units: int, pieces: int, init: Init, seeds: Iterator[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces
        self.affine = dense(inputs, units * pieces, init, seeds)
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[B, inputs] -> [B, units]."""
        pieces = tf.reshape(self.affine(x), [-1, self.units, self.pieces])  # [B, units, pieces]
        return tf.reduce_max(pieces, axis=2)  # [B, units]
