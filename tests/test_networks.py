"""Every network of the configs: one table of what each must be, and what holds for all of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab.config import Init
from tfgan_lab.errors import UserError
from tfgan_lab.layers import BatchNorm, Conv, ConvTranspose, Dense, Dropout, Flatten
from tfgan_lab.networks import (
    Classifier,
    Discriminator,
    Generator,
    build_classifier,
    build_discriminator,
    build_generator,
)


def dense(*widths: int) -> int:
    """Parameters of dense layers in a row, biases counted."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


def norms(*widths: int, statistics: bool = True) -> int:
    """Parameters of normalisations: scale, shift and (BatchNorm) two running statistics."""
    return sum(widths) * (4 if statistics else 2)


# (config, role) -> parameters, counting BatchNorm's statistics
TABLE: dict[tuple[str, str], int] = {
    ("mlp_gan", "generator"): dense(100, 256, 256, 784),
    ("mlp_gan", "discriminator"): dense(784, 256, 256, 1),
    ("mlp_gan_smoothed", "generator"): dense(100, 128, 784),
    ("mlp_gan_smoothed", "discriminator"): dense(784, 128, 1),
    ("mlp_gan_smoothed:batch_norm", "generator"): dense(100, 128, 128, 784) + norms(128, 128),
    ("mlp_gan_smoothed:batch_norm", "discriminator"): dense(784, 128, 128, 1) + norms(128),
    ("cgan_concat", "generator"): dense(110, 256, 512, 1200, 784),
    ("cgan_concat", "discriminator"): dense(794, 1024, 512, 256, 1),
    ("cgan_layernorm", "generator"): dense(110, 200, 784) + norms(200, statistics=False),
    ("cgan_layernorm", "discriminator"): dense(794, 200, 1) + norms(200, statistics=False),
    ("cgan_branch", "generator"): dense(100, 256) + dense(10, 256) + dense(512, 512, 1024, 784) + norms(256, 256, 512, 1024),
    ("cgan_branch:branch_d", "discriminator"): dense(784, 512) + dense(10, 512) + dense(1024, 512, 256, 1),
    ("cgan_maxout", "generator"): dense(100, 200) + dense(10, 1000) + dense(1200, 1200, 784),
    ("cgan_maxout", "discriminator"): dense(784, 240 * 5) + dense(10, 50 * 5) + dense(290, 240 * 4) + dense(240, 1),
    ("dcgan_montage", "generator"): 4_331_846,  # as Keras counts the post's own nets
    ("dcgan_montage", "discriminator"): 4_295_472,
    ("dcgan_montage:smoke", "generator"): dense(100, 363) + 64 * (3 * 4 + 4 * 4 + 4 * 3) + 11 + norms(4, 4, 3),
    ("dcgan_montage:smoke", "discriminator"): 64 * (3 * 4 + 4 * 4 + 4 * 3) + 11 + norms(4, 4) + dense(300, 1),
    ("cgan_conv", "generator"): dense(74, 3136) + 16 * (64 * 32 + 32) + 32 + 1 + norms(32),
    ("cgan_conv", "discriminator"): 16 * (32 + 32 * 64) + 32 + 64 + dense(3136, 1) + dense(10, 3136),
    ("gaussian", "generator"): dense(1, 50, 50, 1),
    ("gaussian", "discriminator"): dense(200, 50, 50, 1),
    ("gaussian:raw", "discriminator"): dense(100, 50, 50, 1),
    ("mnist_classifier", "classifier"): 25 * 10 + 10 + 9 * 100 + 10 + norms(10, 10) + dense(250, 10),
    ("mnist_judge", "classifier"): 25 * 24 + 9 * (24 * 48 + 48 * 64 + 64 * 64) + 24 + 48 + 64 + 64 + norms(24, 48, 64, 64) + dense(1024, 64, 10),
}  # fmt: skip
ENTRIES = list(TABLE)
SMALL = [entry for entry in ENTRIES if entry[0] != "dcgan_montage"]  # whose passes take milliseconds


def network(reference: str, role: str, **changes: str) -> Any:
    config: Any = offline(reference, **changes)
    make: Any = {"generator": build_generator, "discriminator": build_discriminator, "classifier": build_classifier}
    return make[role](config)


def inputs(reference: str, role: str, rows: int = 4) -> tuple[Any, ...]:
    """Random inputs of a network: latents or images, and labels where there are any."""
    config: Any = offline(reference)
    rng = np.random.default_rng(3)
    if config.data.kind == "gaussian" and role == "discriminator":
        rows *= config.batch_size
    shape = (config.latents.dim,) if role == "generator" else config.data.shape
    x = tf.constant(rng.uniform(0.05, 1, (rows, *shape)), tf.float32)
    if role == "classifier":
        return (x,)
    return x, tf.constant(rng.integers(0, 10, rows), tf.int32) if config.num_labels else None


def ids(entry: tuple[str, str]) -> str:
    return "/".join(entry)


@pytest.mark.parametrize("entry", ENTRIES, ids=ids)
def test_class_and_parameters_before_any_call(entry: tuple[str, str]) -> None:
    net = network(*entry)
    assert type(net) is {"generator": Generator, "discriminator": Discriminator, "classifier": Classifier}[entry[1]]
    assert net.count_params() == TABLE[entry]
    assert sum(int(tf.size(v.value)) for v in net.variables) == TABLE[entry]


@pytest.mark.parametrize("entry", SMALL, ids=ids)
def test_shapes_and_no_new_variables_at_the_first_call(entry: tuple[str, str]) -> None:
    reference, role = entry
    net, given, config = network(*entry), inputs(*entry), offline(reference)
    before = [v.path for v in net.variables]
    out = net(*given, training=False)
    shape: tuple[int, ...] = {"generator": (4, *config.data.shape), "discriminator": (4,), "classifier": (4, 10)}[role]
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
    for variable in net.variables:  # no start values: a net made again must not pass
        variable.assign(rng.uniform(0.01, 0.1, variable.shape).astype(np.float32))
    net.save(tmp_path / "net.keras")
    loaded: Any = keras.models.load_model(tmp_path / "net.keras")
    assert type(loaded) is type(net)
    assert loaded.network_layers == net.network_layers
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


def sizes(net: Any, kind: type) -> list[int]:
    """Side lengths of what the layers of a kind get, and of what the network gives."""
    return [node.inputs[0] for node in net.nodes if isinstance(node.layer, kind)] + [net.outputs_shape[0]]


def test_montage_sizes_are_the_posts() -> None:
    assert sizes(network("dcgan_montage", "generator"), ConvTranspose) == [11, 28, 62, 128]
    assert sizes(network("dcgan_montage", "discriminator"), Conv | Flatten)[:-1] == [128, 61, 27, 10]  # type: ignore[arg-type]
    assert sizes(network("dcgan_montage:small", "generator"), ConvTranspose) == [4, 8, 16, 32, 64]


def test_layers_have_these_sizes_in_fact() -> None:
    for reference, role in (
        ("dcgan_montage:smoke", "generator"),
        ("dcgan_montage:smoke", "discriminator"),
        ("cgan_conv:smoke", "generator"),
    ):
        net = network(reference, role)
        seen = net.layer_outputs(*inputs(reference, role, 2))
        shapes = [node.inputs for node in net.nodes[1:]] + [net.outputs_shape]
        assert [tuple(output.shape) for _, output in seen] == [(2, *shape) for shape in shapes]


def test_networks_that_do_not_fit_the_data_are_refused_in_one_line() -> None:
    init = Init(kernel="torch", bias="torch")
    with pytest.raises(
        UserError, match=r"generator: its layers draw \[28, 28, 1\] images but the data's are \[16, 16, 3\]"
    ):
        Generator(offline("mlp_gan").generator, init, 100, (16, 16, 3))  # type: ignore[union-attr]
    with pytest.raises(
        UserError, match=r"discriminator: its layers end in \[3\], not in one logit: end with Dense\(1\)"
    ):
        Discriminator([Flatten(), Dense(3)], init, (28, 28, 1))
    with pytest.raises(UserError, match=r"classifier: its layers end in \[28, 28, 3\], not in a logit for each class"):
        Classifier([Conv(3, 1)], init, (28, 28, 1))
    config: Any = offline("dcgan_montage:smoke", data__size="64", data__crop="64")
    with pytest.raises(UserError, match="generator"):
        build_generator(config)


def test_dropout_after_output_is_the_ablation_and_acts_in_training_only() -> None:
    for reference in ("cgan_concat:dropout_after_output", "cgan_branch:dropout_after_output"):
        net, (z, labels) = network(reference, "generator"), inputs("cgan_concat", "generator")
        trained = net(z, labels, training=True, seed=tf.constant([[1, 2]], tf.int64)).numpy()
        assert_allclose(
            (trained == 0).mean(), [one for one in net.network_layers if isinstance(one, Dropout)][-1].rate, atol=0.05
        )
        assert (net(z, labels, training=False).numpy() == 0).mean() < 0.001
        plain = network(reference.split(":")[0], "generator")
        assert (plain(z, labels, training=True, seed=tf.constant([[1, 2]], tf.int64)).numpy() == 0).mean() < 0.001


def test_overridden_widths_reach_the_network() -> None:
    config: Any = offline("mlp_gan", generator__0__units="7", generator__3__units="5")
    assert build_generator(config).count_params() == dense(100, 7, 5, 784)


def test_dropouts_are_numbered_by_their_place() -> None:
    """Two of one rate in one network draw other masks; the same network draws the same again."""
    init = Init(kernel="torch", bias="torch")
    seed = tf.constant([[3, 4]], tf.int64)
    net = Discriminator([Flatten(), Dropout(0.5), Dropout(0.5), Dense(1)], init, (20, 20, 1))
    seen = [output.numpy() for _, output in net.layer_outputs(tf.ones([2, 20, 20, 1]), None, True, seed)]
    assert_allclose((seen[2] == 0).mean(), 0.75, atol=0.05)
    assert_array_equal(net.layer_outputs(tf.ones([2, 20, 20, 1]), None, True, seed)[2][1], seen[2])


def test_one_layer_object_may_stand_in_several_places() -> None:
    init, block = Init(kernel="torch", bias="torch"), [Dense(5), BatchNorm()]
    net = Discriminator([Flatten(), *block * 2, Dense(1)], init, (2, 2, 1))
    assert net.count_params() == dense(4, 5, 5, 1) + norms(5, 5)
