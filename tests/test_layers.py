"""Layers against NumPy in float64: start values, dropout, normalisation, maxout, activations, convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from tfgan_lab import models
from tfgan_lab.config import MLP, Init, SetDiscriminator
from tfgan_lab.data import shape_of
from tfgan_lab.models import layers
from tfgan_lab.models.layers import (
    BatchNorm,
    Maxout,
    activate,
    conv,
    conv_transpose,
    dense,
    dropout,
    layer_norm,
    layer_seeds,
)

TORCH = Init(kernel="torch", bias="torch")
NORMAL = Init(kernel="normal", std=0.02, bias="zeros")


def by_name(net: Any, ending: str) -> list[np.ndarray]:
    return [v.numpy() for v in net.variables if v.path.endswith(ending)]


def seeds() -> Any:
    return layer_seeds(3, "test")


def build(reference: str, role: str) -> Any:
    config: Any = offline(reference)
    make = {
        "generator": models.build_generator,
        "discriminator": models.build_discriminator,
        "classifier": models.build_classifier,
    }
    return make[role](config, shape_of(config.data))


# Start values.


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_p000_starts_with_xavier_normal_kernels_and_biases_from_01_to_02(role: str) -> None:
    net = build("mlp_gan", role)
    for kernel in by_name(net, "kernel"):
        std = math.sqrt(2 / sum(kernel.shape))
        if kernel.size > 10_000:
            assert_allclose(kernel.std(), std, rtol=0.03)
            assert np.abs(kernel).max() > 3 * std, "PyTorch's normal is not truncated"
        assert_allclose(kernel.mean(), 0, atol=5 * std / math.sqrt(kernel.size))
    biases = np.concatenate(by_name(net, "bias"))
    assert 0.1 <= biases.min() < 0.105
    assert 0.195 < biases.max() <= 0.2
    assert_allclose(biases.mean(), 0.15, atol=0.004)


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_p002_starts_with_glorot_uniform_kernels_and_no_biases(role: str) -> None:
    net = build("mlp_gan_smoothed", role)
    for kernel in by_name(net, "kernel"):
        bound = math.sqrt(6 / sum(kernel.shape))
        assert (0.99 if kernel.size > 1000 else 0.9) * bound < np.abs(kernel).max() <= bound
        assert_allclose(kernel.std(), bound / math.sqrt(3), rtol=0.12 if kernel.size < 1000 else 0.02)
    assert not np.concatenate(by_name(net, "bias")).any()


@pytest.mark.parametrize(
    ("reference", "role"),
    [("cgan_concat", "generator"), ("cgan_concat", "discriminator"), ("cgan_branch", "generator")],
)
def test_p003_starts_with_normals_of_002(reference: str, role: str) -> None:
    net = build(reference, role)
    kernels = np.concatenate([kernel.ravel() for kernel in by_name(net, "kernel")])
    assert_allclose(kernels.std(), 0.02, rtol=0.01)
    assert np.abs(kernels).max() > 0.02 * 4
    assert not np.concatenate(by_name(net, "bias")).any()


def fan_in(kernel: np.ndarray) -> int:
    """As PyTorch counts it; a transposed kernel is [k, k, out, in] here and its fan_in out * k * k."""
    return int(kernel.size / kernel.shape[-1])


@pytest.mark.parametrize(
    ("reference", "role"),
    [("dcgan_montage", "generator"), ("dcgan_montage", "discriminator"), ("mnist_classifier", "classifier"), ("cgan_layernorm", "generator"),
     ("cgan_layernorm", "discriminator"), ("gaussian", "generator"), ("gaussian", "discriminator")],
)  # fmt: skip
def test_pytorch_start_values_fill_their_bounds(reference: str, role: str) -> None:
    net = build(reference, role)
    kernels, biases = by_name(net, "kernel"), by_name(net, "bias")
    assert len(kernels) == len(biases) > 1
    for kernel, bias in zip(kernels, biases, strict=True):
        bound = 1 / math.sqrt(fan_in(kernel))
        assert np.abs(kernel).max() <= bound
        assert np.abs(bias).max() <= bound
        if kernel.size > 500:
            assert np.abs(kernel).max() > 0.98 * bound
            assert_allclose(kernel.std(), bound / math.sqrt(3), rtol=0.06)
        if bias.size > 40:
            assert np.abs(bias).max() > 0.9 * bound


def test_a_transposed_convolution_counts_fan_in_over_its_output_channels() -> None:
    kernel = conv_transpose(3, 256, 8, 2, TORCH, seeds()).kernel.numpy()
    assert kernel.shape == (8, 8, 256, 3)
    assert_allclose(np.abs(kernel).max(), 1 / math.sqrt(256 * 64), rtol=0.001)
    kernel = conv(3, 256, 8, 2, TORCH, seeds()).kernel.numpy()
    assert kernel.shape == (8, 8, 3, 256)
    assert_allclose(np.abs(kernel).max(), 1 / math.sqrt(3 * 64), rtol=0.001)


# Dropout.


def pair(seed: tuple[int, int]) -> tf.Tensor:
    return tf.constant([seed], tf.int64)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    x = tf.ones([200, 500])
    out = dropout(x, 0.3, pair((1, 2)), 0).numpy()
    assert_allclose((out == 0).mean(), 0.3, atol=0.01)
    assert_allclose(np.unique(out), [0, 1 / 0.7], rtol=1e-6)
    assert_allclose(out.mean(), 1, atol=0.02)
    assert (out == 0).any(axis=0).all()
    assert not (out == 0).all(axis=0).any(), "rows have masks of their own"


def test_dropout_masks_are_a_function_of_seed_and_layer() -> None:
    x = tf.ones([40, 50])
    first = dropout(x, 0.5, pair((1, 2)), 0).numpy()
    assert_array_equal(dropout(x, 0.5, pair((1, 2)), 0), first)
    for other in (dropout(x, 0.5, pair((1, 3)), 0), dropout(x, 0.5, pair((9, 2)), 0), dropout(x, 0.5, pair((1, 2)), 1)):
        assert 0.4 < (other.numpy() != first).mean() < 0.6


def test_dropout_in_one_stacked_pass_has_the_masks_of_two() -> None:
    real, fake = tf.ones([6, 30]), 2 * tf.ones([6, 30])
    both = dropout(tf.concat([real, fake], 0), 0.5, tf.concat([pair((1, 2)), pair((7, 2))], 0), 3)
    assert_array_equal(both[:6], dropout(real, 0.5, pair((1, 2)), 3))
    assert_array_equal(both[6:], dropout(fake, 0.5, pair((7, 2)), 3))
    assert (both[:6].numpy() * 2 != both[6:].numpy()).any()


@pytest.mark.parametrize("reference", ["mlp_gan", "cgan_concat", "cgan_branch:branch_d", "cgan_maxout"])
def test_a_discriminator_gives_the_same_logits_in_one_stacked_pass_and_in_two(
    reference: str, rng: np.random.Generator
) -> None:
    d = build(reference, "discriminator")
    real, fake = (tf.constant(rng.uniform(size=(3, 28, 28, 1)), tf.float32) for _ in range(2))
    real_labels, fake_labels = (
        tf.constant(labels) if offline(reference).num_labels else None for labels in ([1, 2, 3], [0, 5, 9])
    )
    labels = None if real_labels is None else tf.concat([real_labels, fake_labels], 0)
    stacked = d(tf.concat([real, fake], 0), labels, training=True, seed=tf.concat([pair((1, 2)), pair((3, 2))], 0))
    apart = [
        d(real, real_labels, training=True, seed=pair((1, 2))),
        d(fake, fake_labels, training=True, seed=pair((3, 2))),
    ]
    assert_allclose(stacked, np.concatenate(apart), rtol=1e-5, atol=1e-6)
    quiet = d(tf.concat([real, fake], 0), labels, training=False).numpy()
    assert np.abs(stacked - quiet).max() > 0.01 * np.abs(quiet).max(), "dropout acts"


# Normalisation.


@pytest.mark.parametrize("shape", [(16, 5), (4, 6, 7, 5), (1, 6, 7, 5)])
def test_batch_norm_is_pytorchs(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    layer = BatchNorm(5)
    gamma, beta = rng.normal(1, 0.3, 5), rng.normal(0, 0.3, 5)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    axes, mean, variance = tuple(range(len(shape) - 1)), np.zeros(5), np.ones(5)
    for _ in range(3):
        x = rng.normal(2, 3, shape)
        expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) * gamma + beta
        assert_allclose(layer(tf.constant(x, tf.float32), training=True), expected, rtol=2e-4, atol=2e-5)
        mean, variance = 0.9 * mean + 0.1 * x.mean(axes), 0.9 * variance + 0.1 * x.var(axes, ddof=1)  # unbiased
        assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
        assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)
    x = rng.normal(2, 3, shape)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    assert_allclose(layer(tf.constant(x, tf.float32), training=False), expected, rtol=2e-4, atol=2e-5)
    assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)


def test_own_statistics_are_those_of_training_one_by_one(rng: np.random.Generator) -> None:
    layer, x = BatchNorm(3), tf.constant(rng.normal(2, 3, (4, 5, 6, 3)), tf.float32)
    one_by_one = tf.concat([layer(image[None], training=True) for image in x], 0)
    layer.own_statistics = True
    before = layer.moving_mean.numpy()
    assert_allclose(layer(x, training=False), one_by_one, atol=1e-5)
    assert_array_equal(layer.moving_mean.numpy(), before)
    assert np.abs(layer(x, training=True) - one_by_one).max() > 0.1, "training is as ever"


def test_batch_norm_of_a_constant_is_finite_with_a_finite_gradient() -> None:
    layer, x = BatchNorm(3), tf.ones([1, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    assert_array_equal(y, np.zeros((1, 3)))
    assert np.isfinite(tape.gradient(y, x)).all()
    assert np.isfinite(layer.moving_variance.numpy()).all()


def test_batch_norm_gradient_flows_through_the_batchs_statistics(rng: np.random.Generator) -> None:
    layer, x, weights = BatchNorm(2), rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    given = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = tf.reduce_sum(layer(given, training=True) * weights)
    std = np.sqrt(x.var(0) + 1e-5)
    hat = (x - x.mean(0)) / std
    expected = (weights - weights.mean(0) - hat * (weights * hat).mean(0)) / std  # Ioffe & Szegedy, 2015, section 3
    assert_allclose(tape.gradient(loss, given), expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_has_pytorchs_epsilon(rng: np.random.Generator) -> None:
    x = rng.normal(0, 0.004, (3, 40))  # so small that epsilon counts
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    assert_allclose(layer_norm(40)(tf.constant(x, tf.float32)), expected, rtol=1e-3, atol=1e-5)


# Activations and maxout.

LINE = np.linspace(-4, 4, 33)
EXPECTED = {
    "relu": np.maximum(LINE, 0), "leaky_relu": np.where(LINE > 0, LINE, 0.2 * LINE), "elu": np.where(LINE > 0, LINE, np.expm1(LINE)),
    "gelu": LINE * 0.5 * (1 + special.erf(LINE / math.sqrt(2))), "sigmoid": special.expit(LINE), "tanh": np.tanh(LINE), "linear": LINE,
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_activations(name: str) -> None:
    assert_allclose(activate(tf.constant(LINE, tf.float32), name, 0.2), EXPECTED[name], rtol=1e-5, atol=1e-6)


def test_an_unknown_activation_is_an_error() -> None:
    with pytest.raises(ValueError, match="swish"):
        activate(tf.zeros([1]), "swish")


def test_maxout_takes_the_largest_piece(rng: np.random.Generator) -> None:
    layer = Maxout(7, 4, 3, NORMAL, seeds())
    kernel, bias, x = rng.normal(size=(7, 12)), rng.normal(size=12), rng.normal(size=(5, 7))
    layer.affine.kernel.assign(kernel)
    layer.affine.bias.assign(bias)
    pieces = (x @ kernel + bias).reshape(5, 4, 3)
    assert_allclose(layer(tf.constant(x, tf.float32)), pieces.max(axis=2), rtol=1e-5, atol=1e-5)


# Whole forward passes.


def numpy_mlp(net: Any, x: np.ndarray) -> np.ndarray:
    """A dense network of any spec in evaluation mode, float64."""
    spec: MLP = net.spec
    functions = {"relu": lambda v: np.maximum(v, 0), "leaky_relu": lambda v: np.where(v > 0, v, spec.slope * v), "tanh": np.tanh,
                 "elu": lambda v: np.where(v > 0, v, np.expm1(v)), "sigmoid": special.expit, "linear": lambda v: v}  # fmt: skip
    hidden = net.hidden
    for index, affine in enumerate(hidden.denses):
        x = x @ affine.kernel.numpy().astype(np.float64) + affine.bias.numpy()
        act = functions[spec.activation[index % len(spec.activation)]]
        steps = [act]
        if spec.norm != "none" and index >= spec.norm_from_layer:
            steps.insert(0 if spec.norm_first else 1, normalise(hidden.norms[index], spec.norm))
        for step in steps:
            x = step(x)
    return functions[spec.output](x @ net.out.kernel.numpy().astype(np.float64) + net.out.bias.numpy())


def normalise(norm: Any, kind: str) -> Any:
    gamma, beta = norm.gamma.numpy(), norm.beta.numpy()
    if kind == "batch":
        mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
        return lambda v: (v - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    return lambda v: (v - v.mean(1, keepdims=True)) / np.sqrt(v.var(1, keepdims=True) + 1e-5) * gamma + beta


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("from_layer", [0, 1])
def test_dense_networks_against_numpy(norm: Any, norm_first: bool, from_layer: int, rng: np.random.Generator) -> None:
    spec = MLP(hidden=(6, 5), activation=("elu", "leaky_relu"), slope=0.2, output="tanh", norm=norm, norm_first=norm_first,
               norm_from_layer=from_layer, dropout=0.5, init=TORCH)  # fmt: skip
    net = models.MLPGenerator(spec, 4, (2, 3, 1), 3, 0)
    for variable in net.variables:
        variable.assign(
            rng.uniform(0.2, 1, variable.shape)
            * (1 if "variance" in variable.path else rng.choice([-1, 1], variable.shape))
        )
    z, labels = rng.normal(size=(5, 4)), np.array([0, 1, 2, 0, 1])
    expected = numpy_mlp(net, np.concatenate([z, np.eye(3)[labels]], axis=1)).reshape(5, 2, 3, 1)
    assert_allclose(
        net(tf.constant(z, tf.float32), tf.constant(labels), training=False), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("preprocess", "exponent"), [("raw", 2.0), ("variances", 2.0), ("variances", 3.0), ("variances", 1.5)]
)
def test_the_gaussian_discriminator_reads_sets(preprocess: Any, exponent: float, rng: np.random.Generator) -> None:
    spec = SetDiscriminator(
        set_size=6, preprocess=preprocess, exponent=exponent, hidden=(5,), activation="elu", init=TORCH
    )
    net = models.SetDiscriminator(spec, (1,), 0, 0)
    kernel, bias, out_kernel, out_bias = (v.numpy().astype(np.float64) for v in net.variables)

    def logits(sets: np.ndarray, mean: np.ndarray) -> np.ndarray:
        apart = np.abs(sets - mean) if exponent % 1 else sets - mean
        x = sets if preprocess == "raw" else np.concatenate([sets, apart**exponent], axis=1)
        hidden = x @ kernel + bias
        return (np.where(hidden > 0, hidden, np.expm1(hidden)) @ out_kernel + out_bias)[:, 0]

    sets = rng.normal(4, 1.25, (2, 6))
    given = tf.constant(sets.reshape(12, 1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        out = net(given)
        loss = tf.reduce_sum(out)
    mean = sets.mean(1, keepdims=True)
    assert_allclose(out, logits(sets, mean), rtol=1e-5, atol=1e-5)
    # The post takes the mean as a constant: central differences with it held fixed.
    step, gradient = 1e-6, np.zeros_like(sets)
    for index in np.ndindex(sets.shape):
        shift = np.zeros_like(sets)
        shift[index] = step
        gradient[index] = (logits(sets + shift, mean).sum() - logits(sets - shift, mean).sum()) / (2 * step)
    assert_allclose(tf.reshape(tape.gradient(loss, given), [2, 6]), gradient, rtol=1e-3, atol=1e-4)


def test_convolutions_against_loops(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 7, 7, 3))
    layer = conv(3, 4, 3, 2, TORCH, seeds())
    kernel, bias = layer.kernel.numpy().astype(np.float64), layer.bias.numpy()
    expected = np.zeros((2, 3, 3, 4)) + bias
    for i, j in np.ndindex(3, 3):
        expected[:, i, j] += np.einsum("bhwc,hwcf->bf", x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel)
    assert_allclose(layer(tf.constant(x, tf.float32)), expected, rtol=1e-4, atol=1e-5)

    layer = conv_transpose(3, 4, 3, 2, TORCH, seeds())
    kernel, bias = layer.kernel.numpy().astype(np.float64), layer.bias.numpy()
    expected = np.zeros((2, 15, 15, 4)) + bias
    for i, j in np.ndindex(7, 7):
        expected[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("bc,hwfc->bhwf", x[:, i, j], kernel)
    assert_allclose(layer(tf.constant(x, tf.float32)), expected, rtol=1e-4, atol=1e-5)


def test_one_hot_labels_are_appended() -> None:
    joined = layers.concat_label(tf.constant([[5.0], [6.0]]), tf.constant([2, 0]), 3)
    assert_array_equal(joined, [[5, 0, 0, 1], [6, 1, 0, 0]])
    x = tf.zeros([2, 1])
    assert layers.concat_label(x, None, 0) is x


def test_dense_layers_are_built_when_made() -> None:
    assert dense(3, 2, TORCH, seeds()).kernel.shape == (3, 2)
