"""Spectral normalisation: against PyTorch and NumPy's SVD, how often its state moves, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from runs import nothing_drawn
from test_layers import TORCH

from tfgan_lab.config import SGD, Game, Latents, override
from tfgan_lab.errors import UserError
from tfgan_lab.gan import GAN
from tfgan_lab.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, Layer, Reshape, Tanh
from tfgan_lab.networks import Discriminator, Generator, Network
from tfgan_lab.optimizers import FusedSGD
from tfgan_lab.parity.steps import dtype_policy
from tfgan_lab.trainer import train
from tfgan_lab.training.restored import restore_run

LAYERS: dict[str, tuple[Layer, tuple[int, ...], str]] = {
    "dense": (Dense(4, spectral_norm=True), (6,), "Linear(6, 4)"),
    "conv": (Conv(5, 3, stride=2, padding=1, spectral_norm=True), (7, 7, 3), "Conv2d(3, 5, 3, 2, 1)"),
    "conv_transpose": (
        ConvTranspose(5, 4, stride=2, padding=1, spectral_norm=True), (7, 7, 3), "ConvTranspose2d(3, 5, 4, 2, 1)"
    ),
}  # fmt: skip


class One(Network):
    """A layer alone."""

    def __init__(self, layer: Layer, inputs: tuple[int, ...]) -> None:
        super().__init__("one", [layer], TORCH, inputs, 0, 3)

    def call(self, x: Any, training: bool = False) -> tf.Tensor:
        return self._run(self.nodes, x, None, training, None)


def one_in_float64(name: str) -> tuple[One, dict[str, Any]]:
    with dtype_policy("float64"):
        net = One(*LAYERS[name][:2])
    return net, net.nodes[0].weights


def as_matrix(name: str, kernel: np.ndarray) -> np.ndarray:
    """[rest, outputs]."""
    kernel = np.swapaxes(kernel, -1, -2) if name == "conv_transpose" else kernel
    return kernel.reshape(-1, kernel.shape[-1])


@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_those_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    net, weights = one_in_float64(name)
    layer, inputs, module_text = LAYERS[name]
    module = torch.nn.utils.parametrizations.spectral_norm(
        eval(module_text, {"__builtins__": {}}, vars(torch.nn)).double()
    )
    axes = layer.torch["weight"][1]
    assert axes is not None

    def theirs(array: np.ndarray) -> np.ndarray:
        return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array

    state = module.parametrizations.weight[0]
    order = (
        np.arange(weights["kernel_v"].shape[0]).reshape(inputs[-1:] if name == "dense" else (-1, inputs[-1])).T.ravel()
    )
    with torch.no_grad():
        module.parametrizations.weight.original.copy_(torch.tensor(weights["kernel"].numpy().transpose(axes).copy()))
        module.bias.copy_(torch.tensor(weights["bias"].numpy()))
        state._u.copy_(torch.tensor(weights["kernel_u"].numpy()))
        state._v.copy_(torch.tensor(weights["kernel_v"].numpy()[order]))
    sgd, rng = torch.optim.SGD(module.parameters(), lr=0.02), np.random.default_rng(1)
    for step in range(5):
        x = rng.normal(size=(4, *inputs))
        module.train()
        sgd.zero_grad()
        judged = module(torch.tensor(theirs(x).copy()))
        judged.tanh().sum().backward()
        sgd.step()
        with tf.GradientTape() as tape:
            out = net(tf.constant(x), training=True)
            loss = tf.reduce_sum(tf.tanh(out))
        assert_allclose(theirs(out.numpy()), judged.detach(), rtol=1e-9, atol=1e-10, err_msg=f"step {step}")
        for variable, gradient in zip(
            net.trainable_variables, tape.gradient(loss, net.trainable_variables), strict=True
        ):
            variable.assign_sub(0.02 * gradient)
        assert_allclose(
            weights["kernel"].numpy().transpose(axes),
            module.parametrizations.weight.original.detach(),
            rtol=1e-8,
            atol=1e-10,
        )
        # Outside training: the state as it is, with the weights as they are now.
        module.eval()
        kept = [weights[f"kernel_{end}"].numpy() for end in "uv"]
        assert_allclose(
            theirs(net(tf.constant(x)).numpy()), module(torch.tensor(theirs(x).copy())).detach(), rtol=1e-8, atol=1e-9
        )
        assert_array_equal(kept[0], weights["kernel_u"].numpy())
        assert_allclose(kept[1][order], state._v, rtol=1e-9, atol=1e-11)
    assert np.abs(kept[0]).max() < 1


@pytest.mark.parametrize("name", LAYERS)
def test_after_many_passes_the_largest_singular_value_is_one(name: str) -> None:
    net, weights = one_in_float64(name)
    x = tf.zeros([1, *LAYERS[name][1]], tf.float64)
    for _ in range(300):
        net(x, training=True)
    matrix = as_matrix(name, weights["kernel"].numpy())
    left, sizes, right = np.linalg.svd(matrix)
    used = as_matrix(name, net.nodes[0].value("kernel").numpy())
    assert_allclose(used, matrix / sizes[0], rtol=1e-9)
    assert_allclose(np.abs(left[:, 0] @ weights["kernel_v"].numpy()), 1, rtol=1e-9)
    assert_allclose(np.abs(right[0] @ weights["kernel_u"].numpy()), 1, rtol=1e-9)


def iterated(kernel: np.ndarray, v: np.ndarray, passes: int) -> np.ndarray:
    for _ in range(passes):
        u = kernel.T @ v
        v = kernel @ (u / np.linalg.norm(u))
        v /= np.linalg.norm(v)
    return v


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ({}, 2),  # D on real and fake at once, and D in G's turn
        ({"d_dropout_in_g_step": False}, 1),
        ({"d_steps": 3}, 4),
        ({"g_steps": 2}, 3),
        ({"d_update": "separate"}, 3),
        ({"loss": "relativistic"}, 3),  # in G's turn real ones too
        ({"penalty": "r1"}, 3),
        ({"penalty": "r1_r2"}, 4),
        ({"fakes": "shared"}, 2),
    ],
)
@pytest.mark.parametrize("mixing", [False, True])
def test_each_pass_in_training_is_one_power_iteration(fields: dict[str, Any], passes: int, mixing: bool) -> None:
    if mixing and "penalty" in fields:
        pytest.skip("refused")
    with dtype_policy("float64"):
        g = Generator([Dense(6), Reshape(2, 3, 1)], TORCH, 4, (2, 3, 1))
        norm = [BatchNorm()] if mixing else []
        d = Discriminator([Flatten(), Dense(7, spectral_norm=True), *norm, Tanh(), Dense(1)], TORCH, (2, 3, 1))
    still = [FusedSGD(SGD(learning_rate=1e-30), [v.value for v in net.trainable_variables]) for net in (g, d)]
    gan = GAN(g, d, *still, Game(**fields), Latents(dim=4))
    weights, start = d.nodes[1].weights, np.random.default_rng(5).normal(size=6)
    weights["kernel_v"].assign(start)
    noise = {
        name: turn._replace(latents=tf.cast(turn.latents, tf.float64)) for name, turn in gan.draw_noise(0, 5).items()
    }
    gan.train_step(tf.constant(np.random.default_rng(0).normal(size=(5, 2, 3, 1))), None, noise)
    # Where examples mix, real and fake ones are two passes.
    joint = fields.get("d_update") != "separate"
    passes += fields.get("d_steps", 1) * joint if mixing else 0
    found = weights["kernel_v"].numpy()
    assert_allclose(found, iterated(weights["kernel"].numpy(), start, passes), rtol=1e-10, atol=1e-12)
    assert np.abs(found - iterated(weights["kernel"].numpy(), start, passes + 1)).max() > 1e-6


@pytest.mark.slow
def test_a_generator_with_it_is_averaged_and_exported(tmp_path: Path) -> None:
    fields = {"generator.0.spectral_norm": "true", "discriminator.1.spectral_norm": "true", "ema": "0.9", "steps": "12"}
    with nothing_drawn(but_the_page=True):
        folder = train(override(offline("mlp_gan:smoke"), fields | {"num_samples": "4"}), tmp_path / "run").path
    average = restore_run(folder).networks["average"]
    node = average.nodes[0]
    assert_allclose(np.linalg.norm(node.weights["kernel_u"].numpy()), 1, rtol=1e-5)
    assert np.linalg.svd(node.value("kernel").numpy())[1][0] == pytest.approx(1, rel=0.2)
    z = tf.random.stateless_normal([5, 100], [0, 1])
    exported = tf.saved_model.load(str(folder / "export")).signatures["serving_default"](latents=z)["images"]
    assert_allclose(exported, (average(z, training=False) + 1) / 2, atol=1e-6)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '"spectral_norm":true' in page and "kernel_u" not in page


def test_on_a_layer_without_weights_it_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"discriminator.2.spectral_norm: there is no field") as refused:
        override(offline("mlp_gan"), {"discriminator.2.spectral_norm": "true"})
    assert "\\n" not in str(refused.value)
