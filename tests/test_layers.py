"""Every kind of layer in one table, and what must hold of each; start values, dropout and BatchNorm more closely."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from browser import javascript
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import TypeAdapter
from runs import nothing_drawn
from scipy import special

from tfgan_lab import report
from tfgan_lab.config import Init, override
from tfgan_lab.errors import UserError
from tfgan_lab.layer_base import (
    KINDS,
    AnyLayer,
    Layer,
    Node,
    Pass,
    Shape,
    Weight,
    browser_steps,
    every_node,
    layer,
    planned,
)  # fmt: skip
from tfgan_lab.layers import (
    ELU,
    GELU,
    AppendDeviations,
    BatchNorm,
    ConcatLabel,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    Join,
    LayerNorm,
    LeakyReLU,
    Maxout,
    Projection,
    ReLU,
    Reshape,
    Sets,
    Sigmoid,
    Tanh,
)  # fmt: skip
from tfgan_lab.networks import Network, build_classifier, build_discriminator, build_generator
from tfgan_lab.parity.steps import dtype_policy
from tfgan_lab.parity.weights import from_torch, to_torch
from tfgan_lab.report.browser_net import BrowserWeights, javascript_of_layers
from tfgan_lab.trainer import train
from tfgan_lab.training import train as plain
from tfgan_lab.training.experiment import computing_in
from tfgan_lab.training.restored import restore_run

TORCH = Init(kernel="torch", bias="torch")
LABELS = 3
Arrays = dict[str, np.ndarray]


@keras.saving.register_keras_serializable("tests")
class Plain(Network):
    """Any layers in a row, with weights that are no start values."""

    def __init__(self, layers: Any, inputs: Any, init: Any = TORCH, num_labels: int = LABELS, seed: Any = 0) -> None:
        super().__init__("plain", layers, init, tuple(inputs), num_labels, seed)
        self.inputs_shape = list(inputs)
        rng = np.random.default_rng(9)
        for variable in self.variables:
            variable.assign(rng.uniform(0.3, 1.2, variable.shape))

    def call(self, x: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        return self._run(self.nodes, x, labels, training, seed)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"inputs": self.inputs_shape}


@dataclasses.dataclass
class Case:
    """A layer, and what it makes of x [B, *inputs] and one-hot labels y outside training, in NumPy and PyTorch."""

    one: Layer
    inputs: Shape
    outputs: Shape
    numpy: Callable[[np.ndarray, np.ndarray, Arrays], np.ndarray]
    torch: str = ""  # PyTorch's module; "x" stands for none, and x is channels first


def affine(x: np.ndarray, w: Arrays, prefix: str = "") -> np.ndarray:
    return x @ w[f"{prefix}kernel"] + w[f"{prefix}bias"]


def convolved(x: np.ndarray, w: Arrays, stride: int, padding: int) -> np.ndarray:
    kernel = w["kernel"]
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    k, size = len(kernel), (x.shape[1] - len(kernel)) // stride + 1
    out = np.zeros((len(x), size, size, kernel.shape[3])) + w["bias"]
    for i, j in np.ndindex(size, size):
        at = x[:, stride * i : stride * i + k, stride * j : stride * j + k]
        out[:, i, j] += np.einsum("bhwc,hwcf->bf", at, kernel)
    return out


def spread(x: np.ndarray, w: Arrays, stride: int, padding: int) -> np.ndarray:
    kernel = w["kernel"]
    k, size = len(kernel), (x.shape[1] - 1) * stride + len(kernel)
    out = np.zeros((len(x), size, size, kernel.shape[2])) + w["bias"]
    for i, j in np.ndindex(*x.shape[1:3]):
        out[:, stride * i : stride * i + k, stride * j : stride * j + k] += np.einsum(
            "bc,hwfc->bhwf", x[:, i, j], kernel
        )
    return out[:, padding : size - padding, padding : size - padding]


def unit(x: np.ndarray, axes: Any, w: Arrays) -> np.ndarray:
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt(x.var(axes, keepdims=True) + 1e-5) * w["gamma"] + w["beta"]


def running(x: np.ndarray, _: Any, w: Arrays) -> np.ndarray:
    return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-5) * w["gamma"] + w["beta"]


def deviations(x: np.ndarray) -> np.ndarray:
    return x - x.mean(1, keepdims=True)


def spectral(w: Arrays, prefix: str = "", transposed: bool = False) -> Arrays:
    """The weights with a kernel over its sigma, as the state in them estimates it."""
    kernel = w[f"{prefix}kernel"]
    rows = np.swapaxes(kernel, -1, -2) if transposed else kernel
    sigma = w[f"{prefix}kernel_v"] @ rows.reshape(-1, rows.shape[-1]) @ w[f"{prefix}kernel_u"]
    return w | {f"{prefix}kernel": kernel / sigma}


VECTOR, IMAGE = (6,), (7, 7, 3)
CASES = {
    "dense to one number": Case(Dense(1), VECTOR, (1,), lambda x, y, w: affine(x, w), "nn.Linear(6, 1)"),
    "dense": Case(Dense(4), VECTOR, (4,), lambda x, y, w: affine(x, w), "nn.Linear(6, 4)"),
    "projection": Case(Projection(), VECTOR, (1,), lambda x, y, w: affine(x, w) + (affine(y, w, "label_") * x).sum(1, keepdims=True)),
    "maxout": Case(Maxout(4, pieces=3), VECTOR, (4,), lambda x, y, w: affine(x, w).reshape(-1, 4, 3).max(2), "Maxout(6, 4, 3)"),
    "conv": Case(Conv(4, 3, stride=2, padding=1), IMAGE, (4, 4, 4), lambda x, y, w: convolved(x, w, 2, 1), "nn.Conv2d(3, 4, 3, 2, 1)"),
    "conv_transpose": Case(
        ConvTranspose(4, 4, stride=2, padding=1), IMAGE, (14, 14, 4), lambda x, y, w: spread(x, w, 2, 1),
        "nn.ConvTranspose2d(3, 4, 4, 2, 1)",
    ),
    "dense, spectral_norm": Case(Dense(4, spectral_norm=True), VECTOR, (4,), lambda x, y, w: affine(x, spectral(w))),
    "projection, spectral_norm": Case(
        Projection(spectral_norm=True), VECTOR, (1,),
        lambda x, y, w: affine(x, spectral(w)) + (affine(y, spectral(w, "label_"), "label_") * x).sum(1, keepdims=True),
    ),
    "maxout, spectral_norm": Case(
        Maxout(4, pieces=3, spectral_norm=True), VECTOR, (4,), lambda x, y, w: affine(x, spectral(w)).reshape(-1, 4, 3).max(2)
    ),
    "conv, spectral_norm": Case(
        Conv(4, 3, stride=2, padding=1, spectral_norm=True), IMAGE, (4, 4, 4), lambda x, y, w: convolved(x, spectral(w), 2, 1)
    ),
    "conv_transpose, spectral_norm": Case(
        ConvTranspose(4, 4, stride=2, padding=1, spectral_norm=True), IMAGE, (14, 14, 4),
        lambda x, y, w: spread(x, spectral(w, transposed=True), 2, 1),
    ),
    "batch_norm": Case(BatchNorm(), IMAGE, IMAGE, running, "nn.BatchNorm2d(3)"),
    "batch_norm of vectors": Case(BatchNorm(), VECTOR, VECTOR, running, "nn.BatchNorm1d(6)"),
    "batch_norm of images": Case(BatchNorm(statistics="own"), IMAGE, IMAGE, lambda x, y, w: unit(x, (1, 2), w)),
    "layer_norm": Case(LayerNorm(), VECTOR, VECTOR, lambda x, y, w: unit(x, 1, w), "nn.LayerNorm(6)"),
    "relu": Case(ReLU(), VECTOR, VECTOR, lambda x, y, w: np.maximum(x, 0), "nn.ReLU()"),
    "leaky_relu": Case(LeakyReLU(0.2), VECTOR, VECTOR, lambda x, y, w: np.where(x > 0, x, 0.2 * x), "nn.LeakyReLU(0.2)"),
    "elu": Case(ELU(), VECTOR, VECTOR, lambda x, y, w: np.where(x > 0, x, np.expm1(x)), "nn.ELU()"),
    "gelu": Case(GELU(), VECTOR, VECTOR, lambda x, y, w: x * special.ndtr(x), "nn.GELU()"),
    "sigmoid": Case(Sigmoid(), VECTOR, VECTOR, lambda x, y, w: special.expit(x), "nn.Sigmoid()"),
    "tanh": Case(Tanh(), VECTOR, VECTOR, lambda x, y, w: np.tanh(x), "nn.Tanh()"),
    "dropout": Case(Dropout(0.5), VECTOR, VECTOR, lambda x, y, w: x, "nn.Dropout(0.5)"),
    "reshape": Case(
        Reshape(2, 2, 3), (12,), (2, 2, 3), lambda x, y, w: x.reshape(-1, 3, 2, 2).transpose(0, 2, 3, 1), "nn.Unflatten(1, (3, 2, 2))"
    ),
    "reshape hwc": Case(Reshape(2, 2, 3, order="hwc"), (12,), (2, 2, 3), lambda x, y, w: x.reshape(-1, 2, 2, 3)),
    "flatten": Case(Flatten(), IMAGE, (147,), lambda x, y, w: x.transpose(0, 3, 1, 2).reshape(-1, 147), "nn.Flatten()"),
    "flatten hwc": Case(Flatten(order="hwc"), IMAGE, (147,), lambda x, y, w: x.reshape(-1, 147)),
    "concat_label": Case(ConcatLabel(), VECTOR, (9,), lambda x, y, w: np.concatenate([x, y], 1)),
    "join": Case(
        Join([Tanh()], label=[Dense(2), ReLU()]), VECTOR, (8,),
        lambda x, y, w: np.concatenate([np.tanh(x), np.maximum(affine(y, w), 0)], 1),
    ),
    "sets": Case(Sets(4), (1,), (4,), lambda x, y, w: x.reshape(-1, 4)),
    "append_deviations": Case(AppendDeviations(), VECTOR, (12,), lambda x, y, w: np.concatenate([x, deviations(x) ** 2], 1)),
    "append_deviations, odd": Case(
        AppendDeviations(exponent=3), VECTOR, (12,), lambda x, y, w: np.concatenate([x, deviations(x) ** 3], 1)
    ),
    "append_deviations, no whole power": Case(
        AppendDeviations(exponent=1.5), VECTOR, (12,), lambda x, y, w: np.concatenate([x, np.abs(deviations(x)) ** 1.5], 1)
    ),
}  # fmt: skip
B = 8


def given(case: Case, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """B examples (of sets: B numbers) and their labels."""
    rng = np.random.default_rng(4)
    return rng.normal(0, 1.5, (B, *case.inputs)).astype(dtype), rng.integers(0, LABELS, B).astype(np.int32)


def weights_of(net: Network) -> Arrays:
    """By name, in float64 (no case has a name twice)."""
    named = [item for node in every_node(net.nodes) for item in node.weights.items()]
    return {name: variable.numpy().astype(np.float64) for name, variable in named}


def test_the_table_has_every_kind() -> None:
    assert {case.one.kind for case in CASES.values()} == {
        kind for kind, cls in KINDS.items() if cls.__module__ == "tfgan_lab.layers"
    }


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_a_layer_is_what_numpy_says(name: str, dtype: str, tolerance: float) -> None:
    case = CASES[name]
    with dtype_policy(dtype):
        net = Plain([case.one], case.inputs)
    x, labels = given(case, dtype)
    before = len(net.variables)
    out = net(tf.constant(x), tf.constant(labels), training=False)
    expected = case.numpy(x.astype(np.float64), np.eye(LABELS)[labels], weights_of(net))
    assert net.outputs_shape == case.outputs == out.shape[1:]
    assert (out.dtype.name, len(net.variables)) == (dtype, before)
    assert_allclose(out, expected, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_in_bfloat16_is_near(name: str) -> None:
    case = CASES[name]
    exact = Plain([case.one], case.inputs)
    with computing_in("bfloat16"):
        rough = Plain([case.one], case.inputs)
    x, labels = given(case)
    out, expected = (net(tf.constant(x), tf.constant(labels), training=False).numpy() for net in (rough, exact))
    assert out.dtype == np.float32
    assert {variable.dtype for variable in rough.variables} <= {"float32"}
    assert_allclose(out, expected, rtol=0.03, atol=0.03 * np.abs(expected).max())


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.torch])
@pytest.mark.parametrize("training", [False, True])
def test_a_layer_is_pytorchs(name: str, training: bool) -> None:
    torch = pytest.importorskip("torch")
    from tfgan_lab.parity.posts_in_torch.p003_cgan import Maxout as TorchMaxout

    case = CASES[name]
    if training and case.one.kind == "dropout":
        pytest.skip("masks are drawn otherwise")
    with dtype_policy("float64"):
        net = Plain([case.one], case.inputs)
    module = eval(case.torch, {"nn": torch.nn, "Maxout": TorchMaxout}).double().train(training)
    inner = getattr(module, "linear", module)
    names = {theirs: (net.nodes[0].weights[ours], axes) for theirs, (ours, axes) in case.one.torch.items()}
    inner.load_state_dict(
        {key: torch.from_numpy(np.transpose(v.numpy(), axes).copy()) for key, (v, axes) in names.items()}
        | {key: value for key, value in inner.state_dict().items() if "num_batches" in key}
    )
    x, labels = given(case, "float64")
    out = net(tf.constant(x), tf.constant(labels), training=training, seed=tf.zeros([1, 2], tf.int64)).numpy()
    theirs = module(torch.from_numpy(x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x)).detach().numpy()
    assert_allclose(out.transpose(0, 3, 1, 2) if out.ndim == 4 else out, theirs, rtol=1e-10, atol=1e-10)
    for key, (variable, axes) in names.items():  # running statistics moved
        assert_allclose(np.transpose(variable.numpy(), axes), inner.state_dict()[key].numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_comes_back_from_json_and_from_a_keras_file(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    kept = json.loads(json.dumps(dataclasses.asdict(case.one)))  # type: ignore[call-overload]
    assert kept["kind"] == case.one.kind
    assert TypeAdapter(AnyLayer).validate_python(kept) == case.one
    net = Plain([case.one], case.inputs, num_labels=LABELS)
    for variable in net.variables:  # no start values: a net made again must not pass
        variable.assign(variable.value * 0.5)
    net.save(tmp_path / "net.keras")
    loaded: Any = keras.models.load_model(tmp_path / "net.keras")
    x, labels = map(tf.constant, given(case))
    assert loaded.network_layers == net.network_layers
    assert_array_equal(loaded(x, labels, training=False), net(x, labels, training=False))


def test_the_browser_says_what_tensorflow_says(tmp_path: Path) -> None:
    """All kinds that a page can run, in one script."""
    script = (Path(report.__file__).parent / "templates" / "net.js").read_text(encoding="utf-8")
    script += f"const STEPS = {javascript_of_layers()}; const out = {{}};"
    expected = {}
    for name, case in CASES.items():
        if case.one.kind != "dropout" and not case.one.javascript:
            continue
        net, (x, labels), weights = Plain([case.one], case.inputs), given(case), BrowserWeights(bits=32)
        expected[name] = net(tf.constant(x), tf.constant(labels), training=False).numpy().reshape(B, -1)
        steps = json.dumps(browser_steps(net.nodes, weights.keep))
        script += f"""{{
          const steps = loaded(bytesOf("{weights.encoded()}").buffer, {steps}), labels = {json.dumps(np.eye(LABELS)[labels].tolist())};
          out["{name}"] = {json.dumps(x.reshape(B, -1).tolist())}.map(
            (row, i) => Array.from(run(steps, Float32Array.from(row), Float32Array.from(labels[i]))));
        }}"""
    assert {CASES[name].one.kind for name in expected} >= {
        "dense",
        "conv_transpose",
        "batch_norm",
        "layer_norm",
        "join",
    }
    for name, found in javascript(script + "return out;", tmp_path).items():
        assert_allclose(found, expected.pop(name), rtol=1e-4, atol=2e-5, err_msg=name)
    assert not expected


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.one.stacks])
@pytest.mark.parametrize(("training", "rows"), [(False, 12), (True, 12), (False, 3)])
def test_seeds_in_one_network_are_the_networks_alone(name: str, training: bool, rows: int) -> None:
    if (rows, name) == (3, "sets"):
        pytest.skip("three numbers are no set")
    case, rng = CASES[name], np.random.default_rng(2)
    many = Plain([case.one], case.inputs, seed=[5, 6, 7])
    alone = [Plain([case.one], case.inputs) for _ in range(3)]
    for index, net in enumerate(alone):
        for variable, stacked in zip(net.variables, many.variables, strict=True):
            variable.assign(rng.normal(size=variable.shape))
            stacked.assign(tf.tensor_scatter_nd_update(stacked.value, [[index]], variable.value[None]))
    # As many examples as seeds, too.
    x, labels = rng.normal(size=(3, rows, *case.inputs)).astype(np.float32), rng.integers(0, LABELS, (3, rows))
    seeds = tf.constant([[1, 2], [3, 4], [5, 6]], tf.int64)
    out = many(tf.constant(x), tf.constant(labels), training=training, seed=seeds[None])
    for index, net in enumerate(alone):
        own = net(tf.constant(x[index]), tf.constant(labels[index]), training=training, seed=seeds[index][None])
        assert_allclose(out[index], own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_whether_examples_mix_is_true(name: str) -> None:
    """GAN stacks real and fake examples in one pass where no layer mixes them."""
    case = CASES[name]
    x, labels = given(case)
    other = np.concatenate([x[: B // 2], x[B // 2 :] * 0.3])
    first, changed = (  # of a net each: a pass may move its state
        (net := Plain([case.one], case.inputs))(
            tf.constant(a), tf.constant(labels), training=True, seed=tf.constant([[5, 6]], tf.int64)
        )[0]
        for a in (x, other)
    )
    assert bool(np.abs(first - changed).max() > 1e-6) == net.uses_batch_statistics == case.one.mixes_examples


@pytest.mark.parametrize("name", CASES)
def test_whether_the_label_counts_is_true(name: str) -> None:
    case = CASES[name]
    net, (x, labels) = Plain([case.one], case.inputs), given(case)
    out, changed = (
        net(tf.constant(x), tf.constant(y), training=False).numpy() for y in (labels, (labels + 1) % LABELS)
    )
    assert (np.abs(out - changed).reshape(len(out), -1).max(axis=1) > 0).all() == case.one.takes_labels


@pytest.mark.parametrize(
    ("layers", "inputs", "said"),
    [
        ([Dense(4)], (7, 7, 3), r"plain.0 \(dense\) takes a vector, not \[7, 7, 3\]: put Flatten"),
        ([Dense(4), Conv(2, 3)], (6,), r"plain.1 \(conv\) takes an image .* put Reshape"),
        ([Conv(2, 8)], (7, 7, 3), r"plain.0 \(conv\) has a kernel of 8 x 8 that does not fit 7 x 7 pixels"),
        ([Dense(9), Reshape(2, 2, 3)], (6,), r"plain.1 \(reshape\) cannot make 2 x 2 x 3 = 12 values of 9"),
        ([Sets(4)], (6,), r"plain.0 \(sets\) takes single numbers"),
        ([BatchNorm(statistics="own")], (6,), r"plain.0 \(batch_norm\) .* is for images"),
        ([Join([Dense(2), Flatten()], label=[])], (6,), r"plain.0 \(join\) its layers.1 \(flatten\) takes an image"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_one_line(layers: Any, inputs: Shape, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        Plain(layers, inputs)
    assert "\\n" not in str(caught.value)


# A kind of layer from outside the package.


@layer
class Scale(Layer):
    """x * gain, a gain for each unit, which starts at `start`."""

    start: float = 2.0

    torch = {"weight": ("gain", None)}
    javascript = "(x, { gain }) => x.map((value, i) => value * gain[i])"

    def plan(self, node: Node) -> Shape:
        node.weights["gain"] = Weight((node.width,), self.start)
        return node.inputs

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        (gain,) = now.values(node, "gain")
        return x * gain


def test_a_new_kind_of_layer_is_one_class(tmp_path: Path) -> None:
    config: Any = offline("mlp_gan:smoke", steps="2", num_samples="4")
    config.generator.insert(1, Scale(start=1.5))
    folder = plain.train(config, tmp_path / "run").path
    assert json.loads((folder / "config.json").read_text())["generator"][1] == {"start": 1.5, "kind": "scale"}
    with nothing_drawn(but_the_page=True):
        train(override(config, {"steps": "4"}), folder)
    network = restore_run(folder).networks["generator"]
    gains = network.nodes[1].weights["gain"].numpy()
    assert 0 < np.abs(gains - 1.5).max() < 0.1, "it was trained, from where it starts"
    z = tf.random.stateless_normal([5, 100], [0, 1])
    exported = tf.saved_model.load(str(folder / "export")).signatures["serving_default"](latents=z)["images"]
    assert_allclose(exported, (network(z, training=False) + 1) / 2, atol=1e-6)
    state = to_torch(network, "P000")
    assert_array_equal(state["model.1.weight"], gains)
    from_torch(network, state | {"model.1.weight": gains * 2}, "P000", "a state_dict")
    assert_array_equal(network.nodes[1].weights["gain"].numpy(), gains * 2)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '"kind":"scale"' in page and "x.map((value, i) => value * gain[i])" in page


def by_name(net: Any, ending: str) -> list[np.ndarray]:
    return [v.numpy() for v in net.variables if v.name.endswith(ending)]


def build(reference: str, role: str) -> Any:
    config: Any = offline(reference)
    make: Any = {"generator": build_generator, "discriminator": build_discriminator, "classifier": build_classifier}
    return make[role](config)


# Start values.


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_p000_starts_with_xavier_normal_kernels_and_biases_from_01_to_02(role: str) -> None:
    net = build("mlp_gan", role)
    kernels = by_name(net, "kernel")
    assert sum(kernel.size > 10_000 for kernel in kernels) >= 2
    for kernel in kernels:
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
    kernels = by_name(net, "kernel")
    assert len(kernels) == 2
    for kernel in kernels:
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
    for kind, shape, fan in ((ConvTranspose, (8, 8, 256, 3), 256), (Conv, (8, 8, 3, 256), 3)):
        kernel = Network("net", [kind(256, 8, stride=2)], TORCH, (11, 11, 3), 0, 0).variables[0].numpy()
        assert kernel.shape == shape
        assert_allclose(np.abs(kernel).max(), 1 / math.sqrt(fan * 64), rtol=0.001)


# Dropout.


def pair(seed: tuple[int, int]) -> tf.Tensor:
    return tf.constant([seed], tf.int64)


def dropout(x: Any, rate: float, seed: tf.Tensor, place: int = 0) -> Any:
    """What the dropout after `place` others makes of x."""
    now, one = Pass(training=True, seed=seed), Dropout(rate)
    for _ in range(place):
        next(now.dropouts)
    return one.call(x, Node(one, x.shape[1:], 0), now)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    x = tf.ones([200, 500])
    out = dropout(x, 0.3, pair((1, 2))).numpy()
    assert_allclose((out == 0).mean(), 0.3, atol=0.01)
    assert_allclose(np.unique(out), [0, 1 / 0.7], rtol=1e-6)
    assert_allclose(out.mean(), 1, atol=0.02)
    assert (out == 0).any(axis=0).all()
    assert not (out == 0).all(axis=0).any(), "rows have masks of their own"


def test_dropout_masks_are_a_function_of_seed_and_layer() -> None:
    x = tf.ones([40, 50])
    first = dropout(x, 0.5, pair((1, 2))).numpy()
    assert_array_equal(dropout(x, 0.5, pair((1, 2))), first)
    for other in (dropout(x, 0.5, pair((1, 3))), dropout(x, 0.5, pair((9, 2))), dropout(x, 0.5, pair((1, 2)), 1)):
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


# BatchNorm in training.


def norm_of(*shape: int) -> tuple[Any, dict[str, Any]]:
    net = Network("net", [BatchNorm()], TORCH, shape, 0, 0)
    return lambda x, training: net.nodes[0].layer.call(
        tf.constant(x, tf.float32), net.nodes[0], Pass(training)
    ), net.nodes[0].weights


@pytest.mark.parametrize("shape", [(16, 5), (4, 6, 7, 5), (1, 6, 7, 5)])
def test_batch_norm_is_pytorchs(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    call, weights = norm_of(*shape[1:])
    gamma, beta = rng.normal(1, 0.3, 5), rng.normal(0, 0.3, 5)
    weights["gamma"].assign(gamma)
    weights["beta"].assign(beta)
    axes, mean, variance = tuple(range(len(shape) - 1)), np.zeros(5), np.ones(5)
    for _ in range(3):
        x = rng.normal(2, 3, shape)
        expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) * gamma + beta
        assert_allclose(call(x, training=True), expected, rtol=2e-4, atol=2e-5)
        mean, variance = 0.9 * mean + 0.1 * x.mean(axes), 0.9 * variance + 0.1 * x.var(axes, ddof=1)  # unbiased
        assert_allclose(weights["moving_mean"].numpy(), mean, rtol=1e-5)
        assert_allclose(weights["moving_variance"].numpy(), variance, rtol=1e-5)
    x = rng.normal(2, 3, shape)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    assert_allclose(call(x, training=False), expected, rtol=2e-4, atol=2e-5)
    assert_allclose(weights["moving_mean"].numpy(), mean, rtol=1e-5)


def test_own_statistics_are_those_of_training_one_by_one(rng: np.random.Generator) -> None:
    net, x = Plain([BatchNorm(statistics="own")], (5, 6, 3)), tf.constant(rng.normal(2, 3, (4, 5, 6, 3)), tf.float32)
    one_by_one = tf.concat([net(image[None], training=True) for image in x], 0)
    before = net.nodes[0].weights["moving_mean"].numpy()
    assert_allclose(net(x, training=False), one_by_one, atol=1e-5)
    assert_array_equal(net.nodes[0].weights["moving_mean"].numpy(), before)
    assert np.abs(net(x, training=True) - one_by_one).max() > 0.1, "training is as ever"


def test_batch_norm_of_a_constant_is_finite_with_a_finite_gradient() -> None:
    call, weights = norm_of(3)
    x = tf.ones([1, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Pass(training=True).run([Node(BatchNorm(), (3,), 0, weights)], x)
    assert_array_equal(y, np.zeros((1, 3)))
    assert np.isfinite(tape.gradient(y, x)).all()
    assert np.isfinite(weights["moving_variance"].numpy()).all()
    assert_array_equal(call(x, True), y)


def test_batch_norm_gradient_flows_through_the_batchs_statistics(rng: np.random.Generator) -> None:
    _, variables = norm_of(2)
    x, weights = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    given = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = tf.reduce_sum(Pass(training=True).run([Node(BatchNorm(), (2,), 0, variables)], given) * weights)
    std = np.sqrt(x.var(0) + 1e-5)
    hat = (x - x.mean(0)) / std
    expected = (weights - weights.mean(0) - hat * (weights * hat).mean(0)) / std  # Ioffe & Szegedy, 2015, section 3
    assert_allclose(tape.gradient(loss, given), expected, rtol=1e-4, atol=1e-5)


def test_no_gradient_flows_through_the_mean_of_a_set(rng: np.random.Generator) -> None:
    """The post takes it as a constant."""
    x = tf.constant(rng.normal(4, 1.25, (2, 6)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(AppendDeviations().call(x, Node(AppendDeviations(), (6,), 0), Pass()) ** 2)
    apart = x - tf.reduce_mean(x, 1, keepdims=True)
    assert_allclose(tape.gradient(loss, x), 2 * x + 4 * apart**3, rtol=1e-10)


def test_an_image_is_not_cut_to_nothing() -> None:
    with pytest.raises(UserError, match=r"0 \(conv_transpose\) cuts 20 pixels off each side"):
        planned([ConvTranspose(8, 1, padding=20)], (28, 28, 1), 0, "net")
