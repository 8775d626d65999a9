"""Every public network: one table of what each must be, and what holds for all of them."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import pkgutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab import models
from tfgan_lab.config import Branch, ConvDiscriminator, ConvGenerator, Init, MaxoutBranch, override
from tfgan_lab.data import shape_of
from tfgan_lab.errors import UserError
from tfgan_lab.models.dcgan import discriminator_sizes, generator_sizes
from tfgan_lab.models.network import Network


def dense(*widths: int) -> int:
    """Parameters of dense layers in a row, biases counted."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


def norms(*widths: int, statistics: bool = True) -> int:
    """Parameters of normalisations: scale, shift and (BatchNorm) two running statistics."""
    return sum(widths) * (4 if statistics else 2)


# (config, role) -> (class, parameters counting BatchNorm's statistics)
TABLE: dict[tuple[str, str], tuple[type[Network], int]] = {
    ("mlp_gan", "generator"): (models.MLPGenerator, dense(100, 256, 256, 784)),
    ("mlp_gan", "discriminator"): (models.MLPDiscriminator, dense(784, 256, 256, 1)),
    ("mlp_gan_smoothed", "generator"): (models.MLPGenerator, dense(100, 128, 784)),
    ("mlp_gan_smoothed", "discriminator"): (models.MLPDiscriminator, dense(784, 128, 1)),
    ("mlp_gan_smoothed:batch_norm", "generator"): (models.MLPGenerator, dense(100, 128, 128, 784) + norms(128, 128)),
    ("mlp_gan_smoothed:batch_norm", "discriminator"): (models.MLPDiscriminator, dense(784, 128, 128, 1) + norms(128)),
    ("cgan_concat", "generator"): (models.MLPGenerator, dense(110, 256, 512, 1200, 784)),
    ("cgan_concat", "discriminator"): (models.MLPDiscriminator, dense(794, 1024, 512, 256, 1)),
    ("cgan_layernorm", "generator"): (models.MLPGenerator, dense(110, 200, 784) + norms(200, statistics=False)),
    ("cgan_layernorm", "discriminator"): (models.MLPDiscriminator, dense(794, 200, 1) + norms(200, statistics=False)),
    ("cgan_branch", "generator"): (
        models.BranchGenerator, dense(100, 256) + dense(10, 256) + dense(512, 512, 1024, 784) + norms(256, 256, 512, 1024)
    ),
    ("cgan_branch:branch_d", "discriminator"): (models.BranchDiscriminator, dense(784, 512) + dense(10, 512) + dense(1024, 512, 256, 1)),
    ("cgan_maxout", "generator"): (models.BranchGenerator, dense(100, 200) + dense(10, 1000) + dense(1200, 1200, 784)),
    ("cgan_maxout", "discriminator"): (
        models.MaxoutDiscriminator, dense(784, 240 * 5) + dense(10, 50 * 5) + dense(290, 240 * 4) + dense(240, 1)
    ),
    ("dcgan_montage", "generator"): (models.ConvGenerator, 4_331_846),  # as Keras counts the post's own nets
    ("dcgan_montage", "discriminator"): (models.ConvDiscriminator, 4_295_472),
    ("dcgan_montage:smoke", "generator"): (models.ConvGenerator, dense(100, 363) + 64 * (3 * 4 + 4 * 4 + 4 * 3) + 11 + norms(4, 4, 3)),
    ("dcgan_montage:smoke", "discriminator"): (models.ConvDiscriminator, 64 * (3 * 4 + 4 * 4 + 4 * 3) + 11 + norms(4, 4) + dense(300, 1)),
    ("cgan_conv", "generator"): (models.ConvGenerator, dense(74, 3136) + 16 * (64 * 32 + 32) + 32 + 1 + norms(32)),
    ("cgan_conv", "discriminator"): (models.ConvDiscriminator, 16 * (32 + 32 * 64) + 32 + 64 + dense(3136, 1) + dense(10, 3136)),
    ("gaussian", "generator"): (models.MLPGenerator, dense(1, 50, 50, 1)),
    ("gaussian", "discriminator"): (models.SetDiscriminator, dense(200, 50, 50, 1)),
    ("gaussian:raw", "discriminator"): (models.SetDiscriminator, dense(100, 50, 50, 1)),
    ("mnist_classifier", "classifier"): (models.ConvClassifier, 25 * 10 + 10 + 9 * 100 + 10 + norms(10, 10) + dense(250, 10)),
    ("mnist_judge", "classifier"): (
        models.JudgeNet, 25 * 24 + 9 * (24 * 48 + 48 * 64 + 64 * 64) + 24 + 48 + 64 + 64 + norms(24, 48, 64, 64) + dense(1024, 64, 10)
    ),
}  # fmt: skip
ENTRIES = list(TABLE)
SMALL = [entry for entry in ENTRIES if entry[0] != "dcgan_montage"]  # whose passes take milliseconds


def network(reference: str, role: str, **changes: str) -> Any:
    config: Any = offline(reference, **changes)
    make = {
        "generator": models.build_generator,
        "discriminator": models.build_discriminator,
        "classifier": models.build_classifier,
    }
    return make[role](config, shape_of(config.data))


def inputs(reference: str, role: str, rows: int = 4) -> tuple[Any, ...]:
    """Random inputs of a network: latents or images, and labels where there are any."""
    config: Any = offline(reference)
    rng = np.random.default_rng(3)
    if config.data.kind == "gaussian" and role == "discriminator":
        rows *= config.batch_size
    shape = (config.latents.dim,) if role == "generator" else shape_of(config.data)
    x = tf.constant(rng.uniform(0.05, 1, (rows, *shape)), tf.float32)
    if role == "classifier":
        return (x,)
    return x, tf.constant(rng.integers(0, 10, rows), tf.int32) if config.num_labels else None


def ids(entry: tuple[str, str]) -> str:
    return "/".join(entry)


def test_the_table_has_every_public_network() -> None:
    found = set()
    for module in pkgutil.iter_modules(models.__path__):
        for value in vars(importlib.import_module(f"tfgan_lab.models.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, keras.Model) and value is not keras.Model:
                found.add(value)
    assert found - {Network} == {cls for cls, _ in TABLE.values()}


@pytest.mark.parametrize("entry", ENTRIES, ids=ids)
def test_class_and_parameters_before_any_call(entry: tuple[str, str]) -> None:
    cls, parameters = TABLE[entry]
    net = network(*entry)
    assert type(net) is cls
    assert net.count_params() == parameters
    assert sum(int(tf.size(v.value)) for v in net.variables) == parameters


@pytest.mark.parametrize("entry", SMALL, ids=ids)
def test_shapes_and_no_new_variables_at_the_first_call(entry: tuple[str, str]) -> None:
    reference, role = entry
    net, given, config = network(*entry), inputs(*entry), offline(reference)
    before = [v.path for v in net.variables]
    out = net(*given, training=False)
    shape: tuple[int, ...] = {"generator": (4, *shape_of(config.data)), "discriminator": (4,), "classifier": (4, 10)}[
        role
    ]
    assert out.shape == shape
    assert out.dtype == tf.float32
    assert [v.path for v in net.variables] == before
    assert net.trainable_variables


@pytest.mark.parametrize("entry", SMALL, ids=ids)
def test_evaluation_mode_is_deterministic_and_row_by_row(entry: tuple[str, str]) -> None:
    net, given = network(*entry), inputs(*entry)
    values = [v.numpy() for v in net.variables]
    out = net(*given, training=False).numpy()
    assert_array_equal(net(*given, training=False), out)
    per_example = len(given[0]) // len(out)
    half = tuple(None if x is None else x[: 2 * per_example] for x in given)
    assert_allclose(net(*half, training=False), out[:2], rtol=1e-5, atol=1e-6)
    for variable, value in zip(net.variables, values, strict=True):
        assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("entry", [e for e in SMALL if e[1] == "discriminator"], ids=ids)
def test_uses_batch_statistics_tells_the_truth(entry: tuple[str, str]) -> None:
    """GAN stacks real and fake examples in one pass where this flag allows it."""
    net, (x, labels) = network(*entry), inputs(*entry)
    seed = tf.constant([[5, 6]], tf.int64)
    other = tf.concat([x[: len(x) // 4], x[len(x) // 4 :] * 0.3], axis=0)
    first = net(x, labels, training=True, seed=seed).numpy()[0]
    assert (abs(net(other, labels, training=True, seed=seed).numpy()[0] - first) > 1e-6) == net.uses_batch_statistics


@pytest.mark.parametrize("entry", [e for e in SMALL if e[1] != "classifier" and offline(e[0]).num_labels], ids=ids)
def test_the_label_reaches_the_output(entry: tuple[str, str]) -> None:
    net, (x, labels) = network(*entry), inputs(*entry)
    out = net(x, labels, training=False).numpy()
    changed = net(x, (labels + 1) % 10, training=False).numpy()
    assert (np.abs(out - changed).reshape(len(out), -1).max(axis=1) > 0).all()


@pytest.mark.parametrize("entry", SMALL, ids=ids)
def test_a_keras_file_keeps_the_real_network(entry: tuple[str, str], tmp_path: Path, rng: np.random.Generator) -> None:
    net, given = network(*entry), inputs(*entry)
    for variable in net.variables:  # no start values: a net made anew must not pass
        variable.assign(rng.uniform(0.01, 0.1, variable.shape).astype(np.float32))
    net.save(tmp_path / "net.keras")
    loaded: Any = keras.models.load_model(tmp_path / "net.keras")
    assert type(loaded) is type(net)
    assert loaded.spec == net.spec
    assert_array_equal(loaded(*given, training=False), net(*given, training=False))
    assert loaded.get_config() == net.get_config()


@pytest.mark.parametrize("entry", SMALL, ids=ids)
def test_start_values_are_a_function_of_the_seed_and_the_role(entry: tuple[str, str]) -> None:
    one, same, other = (network(*entry, seed=seed) for seed in ("1", "1", "2"))
    kernels = [i for i, v in enumerate(one.variables) if "kernel" in v.path]
    assert kernels
    for a, b in zip(one.variables, same.variables, strict=True):
        assert_array_equal(a.numpy(), b.numpy())
    for index in kernels:
        assert np.abs(one.variables[index].numpy() - other.variables[index].numpy()).max() > 0
    first = [one.variables[index].numpy().ravel()[:50] for index in kernels if one.variables[index].shape[0] > 1]
    scaled = [values / values.std() for values in first if len(values) == 50]
    for i, a in enumerate(scaled):  # no two layers share a stream
        for b in scaled[:i]:
            assert np.abs(a - b).max() > 0.1


def test_generator_and_discriminator_do_not_share_a_stream() -> None:
    g = network("mlp_gan", "generator").variables[2].numpy()  # both 256 x 256
    d = network("mlp_gan", "discriminator").variables[2].numpy()
    assert g.shape == d.shape == (256, 256)
    assert np.abs(g - d).max() > 0.01


def test_montage_sizes_are_the_posts() -> None:
    config: Any = offline("dcgan_montage")
    assert generator_sizes(config.generator) == [11, 28, 62, 128]
    assert discriminator_sizes(config.discriminator, 128) == [128, 61, 27, 10]
    small: Any = offline("dcgan_montage:small")
    assert generator_sizes(small.generator)[-1] == 64


def test_montage_layers_have_these_sizes_in_fact() -> None:
    g, d = network("dcgan_montage:smoke", "generator"), network("dcgan_montage:smoke", "discriminator")
    x, sizes = tf.zeros([1, 11, 11, 3]), []
    for layer, padding in zip(g.convs, (0, 0, 1), strict=True):
        x = layer(x)[:, padding or None : -padding or None, padding or None : -padding or None]
        sizes.append(x.shape[1])
    for layer in d.convs:
        x = layer(x)
        sizes.append(x.shape[2])
    assert sizes == [28, 62, 128, 61, 27, 10]
    assert d.flat == 300


def test_networks_that_do_not_fit_the_images_are_refused_in_one_line() -> None:
    init = Init(kernel="torch", bias="torch")
    shrinking = ConvDiscriminator(
        filters=(4, 4, 4), kernel=8, stride=2, paddings=(0, 0, 0), activation="relu", init=init
    )
    with pytest.raises(UserError, match="discriminator"):
        models.ConvDiscriminator(shrinking, (28, 28, 3), 0, 0)
    drawing = ConvGenerator(
        seed_size=4,
        seed_channels=2,
        filters=(4, 3),
        kernel=4,
        stride=2,
        paddings=(1, 1),
        activation="relu",
        init=init,
        output="tanh",
    )
    models.ConvGenerator(drawing, 10, (16, 16, 3), 0, 0)
    with pytest.raises(UserError, match=r"\[16, 16, 3\].*\[28, 28, 1\]"):
        models.ConvGenerator(drawing, 10, (28, 28, 1), 0, 0)


def test_a_config_whose_networks_do_not_fit_the_data_is_refused() -> None:
    config: Any = offline("dcgan_montage:smoke", data__size="64", data__crop="64")
    with pytest.raises(UserError, match="generator"):
        models.build_generator(config, shape_of(config.data))


def test_dropout_after_output_is_the_ablation_and_acts_in_training_only() -> None:
    for reference in ("cgan_concat:dropout_after_output", "cgan_branch:dropout_after_output"):
        net, (z, labels) = network(reference, "generator"), inputs("cgan_concat", "generator")
        trained = net(z, labels, training=True, seed=tf.constant([[1, 2]], tf.int64)).numpy()
        assert_allclose((trained == 0).mean(), net.spec.dropout, atol=0.05)
        assert (net(z, labels, training=False).numpy() == 0).mean() < 0.001
        plain = network(reference.split(":")[0], "generator")
        assert (plain(z, labels, training=True, seed=tf.constant([[1, 2]], tf.int64)).numpy() == 0).mean() < 0.001


def test_specs_are_the_config_dataclasses() -> None:
    assert isinstance(network("cgan_maxout", "discriminator").spec, MaxoutBranch)
    assert isinstance(network("cgan_branch", "generator").spec, Branch)
    for entry in ENTRIES:
        assert dataclasses.is_dataclass(TABLE[entry][0].spec_class)


def test_overridden_widths_reach_the_network() -> None:
    config: Any = override(offline("mlp_gan"), {"generator.hidden": "(7, 5, 3)"})
    assert models.build_generator(config, (28, 28, 1)).count_params() == dense(100, 7, 5, 3, 784)


def test_a_conv_discriminators_label_is_a_projection() -> None:
    """Miyato & Koyama, 2018, eq. 3: the logit is psi(phi(x)) + <V y, phi(x)>, with phi the flat features."""
    net, (images, labels) = network("cgan_conv:smoke", "discriminator"), inputs("cgan_conv:smoke", "discriminator")
    kernel, bias = (np.asarray(v) for v in net.out.variables)
    net.out.variables[0].assign(np.zeros_like(kernel))
    unconditional = net(images, labels, training=False).numpy() - bias
    table, shift = (np.asarray(v) for v in net.label_dense.variables)
    features = []  # read off one by one: with V y = e_k the logit is feature k
    for k in range(net.flat):
        net.label_dense.variables[0].assign(np.eye(net.flat)[k] * np.ones((10, 1)))
        features.append(net(images, labels, training=False).numpy() - bias)
    phi = np.stack(features, axis=1).astype(np.float64)  # [B, flat]
    assert_allclose(unconditional, ((table[labels.numpy()] + shift) * phi).sum(1), rtol=1e-4, atol=1e-6)
