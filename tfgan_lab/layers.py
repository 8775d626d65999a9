"""What a network is made of: one class for each kind of layer, which holds everything about that kind.

A network is a list of layers in a config, as a post writes it: `[Dense(256), ReLU(), Dropout(0.1), …]`. Sizes of inputs
are inferred. A new kind is one class, a `Layer` under `@layer`: its fields, the weights that it plans, its forward
pass, and, where it has them, its weights' names in PyTorch and its forward pass in the browser. Nothing else lists the
kinds.

Images are [B, H, W, C] (the only layout that TensorFlow's CPU kernels know). Several seeds of one network run as one:
then weights and inputs have a leading axis of seeds. TensorFlow is imported when a network is built, not before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from tfgan_lab.errors import UserError
from tfgan_lab.fields import Count, NonNegative, Positive, Rate, Share
from tfgan_lab.keras_models import KerasModel as KerasModel  # a kind, too
from tfgan_lab.layer_base import (
    AnyLayer,
    Layer,
    Node,
    Order,
    Pass,
    Shape,
    Weight,
    browser_steps,
    layer,
    ops,
    planned,
    tf,
)  # fmt: skip

# Layers with weights.


@layer
class Dense(Layer):
    """[B, inputs] -> [B, units]: x @ kernel + bias."""

    units: Positive
    spectral_norm: bool = False  # the kernel over its largest singular value: `tfgan_lab.spectral`

    torch = {"weight": ("kernel", (1, 0)), "bias": ("bias", None)}
    javascript = """(x, { kernel, bias }) => {  // kernel [out, in]
      const out = new Float32Array(bias.length), width = x.length;
      for (let o = 0; o < out.length; o++) {
        let sum = bias[o];
        for (let i = 0, at = o * width; i < width; i++) sum += x[i] * kernel[at + i];
        out[o] = sum;
      }
      return out;
    }"""

    def plan(self, node: Node) -> Shape:
        node.affine((node.width, self.units), self.units, (node.width, self.units))
        return (self.units,)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return now.affine(x, node)


@layer
class Projection(Layer):
    """One logit: a dense layer's plus its input times a vector of the label (Miyato & Koyama, 2018, equation 3)."""

    spectral_norm: bool = False  # each kernel over its largest singular value: `tfgan_lab.spectral`

    takes_labels = True

    def plan(self, node: Node) -> Shape:
        node.affine((node.width, 1), 1, (node.width, 1))
        node.affine((node.num_labels, node.width), node.width, (node.num_labels, node.width), "label_")
        return (1,)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        logits = tf.squeeze(now.affine(x, node), axis=-1)  # [B]
        direction = now.affine(now.one_hot(node, x), node, "label_")  # [B, inputs]
        return (logits + tf.reduce_sum(direction * tf.cast(x, direction.dtype), axis=-1))[..., None]


@layer
class Maxout(Layer):
    """[B, inputs] -> [B, units]: each the largest of `pieces` affine functions (Goodfellow et al., 2013, eq. 1)."""

    units: Positive
    pieces: Positive
    spectral_norm: bool = False  # the kernel over its largest singular value: `tfgan_lab.spectral`

    torch = {"weight": ("kernel", (1, 0)), "bias": ("bias", None)}

    def plan(self, node: Node) -> Shape:
        outputs = self.units * self.pieces
        node.affine((node.width, outputs), outputs, (node.width, outputs))
        return (self.units,)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        pieces = tf.reshape(now.affine(x, node), [*now.lead, self.units, self.pieces])
        return tf.reduce_max(pieces, axis=-1)


@layer
class Conv(Layer):
    """[B, H, W, C] -> [B, H', W', filters], H' = (H + 2 * padding - kernel_size) // stride + 1."""

    filters: Positive
    kernel_size: Positive
    stride: Positive = 1
    padding: Count = 0  # rows and columns of zeros at each side
    spectral_norm: bool = False  # the kernel over its largest singular value: `tfgan_lab.spectral`

    stacks = False
    torch = {"weight": ("kernel", (3, 2, 0, 1)), "bias": ("bias", None)}

    def plan(self, node: Node) -> Shape:
        height, width, channels = node.image
        sides = [(side + 2 * self.padding - self.kernel_size) // self.stride + 1 for side in (height, width)]
        if min(sides) < 1:
            raise UserError(
                f"has a kernel of {self.kernel_size} x {self.kernel_size} that does not fit {height} x {width} pixels: use "
                "fewer layers, smaller kernels and strides, or more padding"
            )
        area = self.kernel_size**2
        fans = (channels * area, self.filters * area)
        node.affine((self.kernel_size, self.kernel_size, channels, self.filters), self.filters, fans)
        return (*sides, self.filters)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        kernel, bias = now.values(node, "kernel", "bias")
        p = self.padding
        x = tf.pad(x, [[0, 0], [p, p], [p, p], [0, 0]]) if p else x
        x = ops.conv(tf.cast(x, kernel.dtype), kernel, [self.stride] * 2, "valid", "channels_last")
        return ops.add(x, ops.reshape(bias, (1, 1, 1, self.filters)))


@layer
class ConvTranspose(Layer):
    """[B, H, W, C] -> [B, H', W', filters], H' = (H - 1) * stride + kernel_size - 2 * padding."""

    filters: Positive
    kernel_size: Positive
    stride: Positive = 1
    padding: Count = 0  # rows and columns that are cut off at each side, as in PyTorch
    spectral_norm: bool = False  # the kernel over its largest singular value: `tfgan_lab.spectral`

    stacks = False
    outputs_axis = -2
    torch = {"weight": ("kernel", (3, 2, 0, 1)), "bias": ("bias", None)}
    javascript = """(x, { kernel, bias, stride, padding }) => {  // x [S, S, in], kernel [k, k, out, in]
      const [k, , outs, ins] = kernel.shape, size = Math.sqrt(x.length / ins), side = (size - 1) * stride + k - 2 * padding;
      const out = new Float32Array(side * side * outs);
      for (let p = 0; p < out.length; p++) out[p] = bias[p % outs];
      for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
        const from = (row * size + column) * ins;
        for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) {
          const y = row * stride + i - padding, z = column * stride + j - padding;
          if (y < 0 || y >= side || z < 0 || z >= side) continue;
          const to = (y * side + z) * outs;
          for (let o = 0; o < outs; o++) {
            let sum = 0;
            for (let c = 0, at = ((i * k + j) * outs + o) * ins; c < ins; c++) sum += x[from + c] * kernel[at + c];
            out[to + o] += sum;
          }
        }
      }
      return out;
    }"""

    def plan(self, node: Node) -> Shape:
        height, width, channels = node.image
        sides = [(side - 1) * self.stride + self.kernel_size - 2 * self.padding for side in (height, width)]
        if min(sides) < 1:
            raise UserError(
                f"cuts {self.padding} pixels off each side of an image that is not so large: use less padding"
            )
        area = self.kernel_size**2
        # PyTorch takes a ConvTranspose's fan_in from the weight's second axis: its output channels.
        fans = (self.filters * area, channels * area)
        node.affine((self.kernel_size, self.kernel_size, self.filters, channels), self.filters, fans)
        return (*sides, self.filters)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        kernel, bias = now.values(node, "kernel", "bias")
        x = ops.conv_transpose(tf.cast(x, kernel.dtype), kernel, [self.stride] * 2, "valid", None, "channels_last")
        x = ops.add(x, ops.reshape(bias, (1, 1, 1, self.filters)))
        p = self.padding
        return x[:, p:-p, p:-p] if p else x


@layer
class BatchNorm(Layer):
    """Batch normalisation over the last axis with PyTorch's conventions (Ioffe & Szegedy, 2015).

    Running statistics move by `momentum` of the batch's, the variance unbiased, at every call in training. Under
    several replicas statistics are those of the global batch if `sync`. Outside training it uses the running ones or,
    as training mode does with a batch of one, each image's own. It computes in float32 at least.
    """

    epsilon: Rate = 1e-5
    momentum: Share = 0.1
    sync: bool = True
    statistics: Literal["running", "own"] = "running"

    mixes_examples = True
    stacks = False
    torch = {
        "weight": ("gamma", None), "bias": ("beta", None),
        "running_mean": ("moving_mean", None), "running_var": ("moving_variance", None),
    }  # fmt: skip
    javascript = """(x, { scale, shift, gamma, beta, epsilon }) => {
      if (scale) return x.map((value, i) => value * scale[i % scale.length] + shift[i % scale.length]);
      const channels = gamma.length, area = x.length / channels, mean = new Float64Array(channels), variance = new Float64Array(channels);
      x.forEach((value, i) => { mean[i % channels] += value / area; });
      x.forEach((value, i) => { variance[i % channels] += (value - mean[i % channels]) ** 2 / area; });
      const unit = (value, c) => (value - mean[c]) / Math.sqrt(variance[c] + epsilon);
      return x.map((value, i) => unit(value, i % channels) * gamma[i % channels] + beta[i % channels]);
    }"""

    def plan(self, node: Node) -> Shape:
        if self.statistics == "own" and len(node.inputs) != 3:
            raise UserError("has no statistics of a single example's own: statistics='own' is for images")
        shape = node.inputs[-1:]
        node.weights = {
            "gamma": Weight(shape, 1.0), "beta": Weight(shape, 0.0),
            "moving_mean": Weight(shape, 0.0, trainable=False), "moving_variance": Weight(shape, 1.0, trainable=False),
        }  # fmt: skip
        return node.inputs

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        moving_mean, moving_variance = node.weights["moving_mean"], node.weights["moving_variance"]
        x = tf.cast(x, moving_mean.value.dtype)
        if not now.training and self.statistics == "own":
            mean, variance = tf.nn.moments(x, list(range(1, x.shape.rank - 1)), keepdims=True)
            return self._normalise(x, mean, variance, node)
        if not now.training:
            return self._normalise(x, moving_mean.value, moving_variance.value, node)
        axes = list(range(x.shape.rank - 1))
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if self.sync else 1
        count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]) * replicas, x.dtype)
        mean = self._over_replicas(context, tf.reduce_mean(x, axes), replicas)
        variance = self._over_replicas(context, tf.reduce_mean(tf.math.squared_difference(x, mean), axes), replicas)
        unbiased = variance * (count / tf.maximum(count - 1, 1))
        for moving, current in ((moving_mean, mean), (moving_variance, unbiased)):
            moving.assign(moving.value + self.momentum * (tf.stop_gradient(current) - moving.value))
        return self._normalise(x, mean, variance, node)

    @staticmethod
    def _over_replicas(context: Any, value: Any, replicas: int) -> Any:
        return value if replicas == 1 else context.all_reduce(tf.distribute.ReduceOp.SUM, value) / replicas

    def _normalise(self, x: Any, mean: Any, variance: Any, node: Node) -> Any:
        beta, gamma = node.weights["beta"].value, node.weights["gamma"].value
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, self.epsilon)

    def browser(self, node: Node, keep: Callable[[Any], Any]) -> dict[str, Any]:
        gamma, beta, mean, variance = (variable.numpy() for variable in node.weights.values())
        if self.statistics == "own":
            return {"kind": self.kind, "gamma": keep(gamma), "beta": keep(beta), "epsilon": self.epsilon}
        # Else a fixed scale and shift of each channel.
        scale = gamma / (variance.astype("float64") + self.epsilon) ** 0.5
        return {"kind": self.kind, "scale": keep(scale), "shift": keep(beta - mean * scale)}


@layer
class LayerNorm(Layer):
    """Normalises each example over its last axis (Ba et al., 2016), with PyTorch's epsilon; in float32 at least."""

    epsilon: Rate = 1e-5

    torch = {"weight": ("gamma", None), "bias": ("beta", None)}
    javascript = """(x, { gamma, beta, epsilon }) => {
      const width = gamma.length, out = new Float32Array(x.length);
      for (let from = 0; from < x.length; from += width) {
        const row = x.subarray(from, from + width), mean = row.reduce((a, b) => a + b, 0) / width;
        const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / width;
        row.forEach((value, i) => { out[from + i] = ((value - mean) / Math.sqrt(variance + epsilon)) * gamma[i] + beta[i]; });
      }
      return out;
    }"""

    def plan(self, node: Node) -> Shape:
        node.weights = {"gamma": Weight(node.inputs[-1:], 1.0), "beta": Weight(node.inputs[-1:], 0.0)}
        return node.inputs

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        gamma, beta = now.values(node, "gamma", "beta")
        return ops.layer_normalization(x, gamma, beta, -1, self.epsilon)


# Activations and dropout.


@layer
class ReLU(Layer):
    """max(x, 0)."""

    javascript = "(x) => x.map((value) => Math.max(value, 0))"

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return tf.nn.relu(x)


@layer
class LeakyReLU(Layer):
    """x where it is positive, else negative_slope * x."""

    negative_slope: NonNegative = 0.01

    javascript = "(x, { negative_slope }) => x.map((value) => (value > 0 ? value : negative_slope * value))"

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        # TensorFlow's op keeps its slope as a float32 attribute: too coarse for parity in float64.
        slope = self.negative_slope
        return tf.nn.leaky_relu(x, slope) if x.dtype != tf.float64 else tf.where(x > 0, x, slope * x)


@layer
class ELU(Layer):
    """x where it is positive, else exp(x) - 1."""

    javascript = "(x) => x.map((value) => (value > 0 ? value : Math.expm1(value)))"

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return tf.nn.elu(x)


@layer
class GELU(Layer):
    """x times the normal distribution function of x: the exact form, as PyTorch's default."""

    javascript = "(x) => x.map((value) => 0.5 * value * (1 + erf(value / Math.SQRT2)))"

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        # tf.nn.gelu rounds the root of 2 to float32 whatever x is: too coarse for parity in float64.
        return tf.nn.gelu(x, approximate=False) if x.dtype != tf.float64 else 0.5 * x * tf.math.erfc(-x / math.sqrt(2))


@layer
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    javascript = "(x) => x.map((value) => 1 / (1 + Math.exp(-value)))"

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return tf.nn.sigmoid(x)


@layer
class Tanh(Layer):
    """The hyperbolic tangent."""

    javascript = "(x) => x.map(Math.tanh)"

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return tf.nn.tanh(x)


@layer
class Dropout(Layer):
    """In training: zeroes a share `rate` of the units and scales the others by 1 / (1 - rate).

    Keras' Dropout would draw one mask for all replicas and start again after a resume; this one is a function of its
    seed and its place among the network's dropouts, and replicas share one global mask.
    """

    rate: Share

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        number = next(now.dropouts)
        if not now.training or not self.rate:
            return x
        from tfgan_lab import philox
        from tfgan_lab.randomness import num_rows, own_rows

        axis = len(now.lead) - 1
        rows, rest = num_rows(x, axis) // now.seed.shape[0], x.shape[axis + 1 :]
        seeds = tf.unstack(now.seed + tf.constant([number, 0], tf.int64))
        masks = [own_rows(lambda shape, s=s: philox.uniform(shape, s) >= self.rate, rows, *rest) for s in seeds]
        kept = masks[0] if len(masks) == 1 else tf.concat(masks, axis)
        return tf.where(kept, x * (1 / (1 - self.rate)), tf.zeros_like(x))

    def browser(self, node: Node, keep: Callable[[Any], Any]) -> None:
        return None


# Shapes, labels, sets of numbers.


@layer
class Reshape(Layer):
    """A vector as an image, [B, height * width * channels] -> [B, height, width, channels]."""

    height: Positive
    width: Positive
    channels: Positive
    order: Order = "chw"

    javascript = """(x, { height, width, channels, order }) => {
      if (order === "hwc") return x;
      const out = new Float32Array(x.length), area = height * width;
      for (let c = 0; c < channels; c++) for (let p = 0; p < area; p++) out[p * channels + c] = x[c * area + p];
      return out;
    }"""

    def plan(self, node: Node) -> Shape:
        if node.width != self.height * self.width * self.channels:
            raise UserError(
                f"cannot make {self.height} x {self.width} x {self.channels} = {self.height * self.width * self.channels:,} values "
                f"of {node.width:,}: give the Dense before it that many units"
            )
        return (self.height, self.width, self.channels)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        if self.order == "hwc" or self.channels == 1:
            return tf.reshape(x, [*now.lead, self.height, self.width, self.channels])
        n, x = len(now.lead), tf.reshape(x, [*now.lead, self.channels, self.height, self.width])
        return tf.transpose(x, [*range(n), n + 1, n + 2, n])


@layer
class Flatten(Layer):
    """An image as a vector, [B, H, W, C] -> [B, H * W * C]."""

    order: Order = "chw"

    def plan(self, node: Node) -> Shape:
        return (math.prod(node.image),)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        if self.order == "chw" and node.inputs[-1] > 1:
            n = len(now.lead)
            x = tf.transpose(x, [*range(n), n + 2, n, n + 1])
        return tf.reshape(x, [*now.lead, math.prod(node.inputs)])


@layer
class ConcatLabel(Layer):
    """Appends the one-hot label: [B, inputs] -> [B, inputs + num_labels]."""

    takes_labels = True
    javascript = "(x, _, y) => joined(x, y)"

    def plan(self, node: Node) -> Shape:
        return (node.width + node.num_labels,)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return tf.concat([x, now.one_hot(node, x)], axis=-1)


@layer
class Join(Layer):
    """Input and one-hot label, each through layers of its own, side by side."""

    layers: list[AnyLayer]
    label: list[AnyLayer]

    takes_labels = True
    javascript = "(x, { layers, label }, y) => joined(run(layers, x, y), run(label, y, y))"

    def plan(self, node: Node) -> Shape:
        x, x_shape = planned(self.layers, (node.width,), node.num_labels, "its layers")
        y, y_shape = planned(self.label, (node.num_labels,), node.num_labels, "its label")
        node.branches = (x, y)
        return (math.prod(x_shape) + math.prod(y_shape),)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        layers, label = node.branches
        x, y = now.run(layers, x), now.run(label, now.one_hot(node, x))
        return tf.concat([x, tf.cast(y, x.dtype)], axis=-1)

    def branches(self) -> tuple[list[Layer], ...]:
        return self.layers, self.label

    def browser(self, node: Node, keep: Callable[[Any], Any]) -> dict[str, Any]:
        layers, label = (browser_steps(nodes, keep) for nodes in node.branches)
        return {"kind": self.kind, "layers": layers, "label": label}


@layer
class Sets(Layer):
    """Rows of one number each as sets of `size`, one after the other: [S * size, 1] -> [S, size] (post P004)."""

    size: Positive

    @property
    def mixing(self) -> list[str]:
        return [self.kind]

    def plan(self, node: Node) -> Shape:
        if node.inputs != (1,):
            raise UserError(f"takes single numbers, not {list(node.inputs)}")
        return (self.size,)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        return tf.reshape(x, [*now.lead, self.size])


@layer
class AppendDeviations(Layer):
    """Each number x of a set and (x - mean)^exponent side by side: [S, size] -> [S, 2 * size] (post P004)."""

    exponent: Rate = 2.0  # if no whole number, of |x - mean|

    def plan(self, node: Node) -> Shape:
        return (2 * node.width,)

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        # The post takes the mean's number out of the graph: no gradient through it.
        difference = x - tf.stop_gradient(tf.reduce_mean(x, axis=-1, keepdims=True))
        if self.exponent == 2:
            return tf.concat([x, tf.square(difference)], axis=-1)
        # |.|: a fractional power of a negative difference, which the post would take, is NaN.
        base = difference if self.exponent % 2 == 1 else tf.abs(difference)
        return tf.concat([x, tf.pow(base, self.exponent)], axis=-1)
