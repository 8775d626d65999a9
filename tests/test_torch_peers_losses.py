"""The PyTorch peers' losses against their networks written again in float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import erf, expit

torch = pytest.importorskip("torch")

from tfgan_lab.parity.posts_in_torch import (  # noqa: E402
    p000_mlp_gan,
    p001_cgan,
    p001_classifier,
    p001_montage,
    p002_learning_gan,
    p003_cgan,
    p004_gaussian,
)

RNG = np.random.default_rng(5)
B = 4
Array = np.ndarray[Any, Any]


def double(program: Any) -> Any:
    torch.manual_seed(3)
    for network in program.networks.values():
        network.double()
    return program


def digits(batch: int = B) -> tuple[Array, Array]:
    return RNG.uniform(-1, 1, (batch, 28, 28)), RNG.integers(0, 10, batch)


def draws(program: Any, batch: int = B) -> list[Array]:
    return [draw.numpy() for draw in program.draw(batch)]


# The networks again, in NumPy.


def weights(network: Any) -> dict[str, Array]:
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def dense(x: Array, w: dict[str, Array], layer: str) -> Array:
    return x @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]


def leaky(x: Array, slope: float) -> Array:
    return np.where(x > 0, x, slope * x)


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def normalise(x: Array, axes: Any) -> Array:
    """Layer or batch norm with fresh scale and shift: PyTorch's eps is 1e-5."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def conv(x: Array, w: dict[str, Array], layer: str) -> Array:
    kernel = w[f"{layer}.weight"]
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], (2, 3))[:, :, ::2, ::2]
    return np.einsum("bihwkl,oikl->bohw", windows, kernel) + w[f"{layer}.bias"][:, None, None]


def conv_transpose(x: Array, w: dict[str, Array], layer: str, padding: int = 0) -> Array:
    kernel = w[f"{layer}.weight"]  # [in, out, k, k]
    size = 2 * (x.shape[2] - 1) + kernel.shape[2]
    full = np.zeros((len(x), kernel.shape[1], size, size))
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            patch = np.einsum("bi,iokl->bokl", x[:, :, row, column], kernel)
            full[:, :, 2 * row : 2 * row + 8, 2 * column : 2 * column + 8] += patch
    end = size - padding
    return full[:, :, padding:end, padding:end] + w[f"{layer}.bias"][:, None, None]


def bce(p: Array, target: float) -> float:
    return float(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))


def onehot(labels: Array) -> Array:
    return np.eye(10)[labels]


# Losses. With a learning rate of 0 all of a step's losses belong to the starting weights.


def test_mlp_gan_losses_and_masks() -> None:
    program = double(p000_mlp_gan.Program(lr=0.0))
    (real, _), (z_d, z_g) = digits(), draws(program)
    g_masks, d_masks = ([RNG.random((B, 256)) < 0.7 for _ in range(4)] for _ in range(2))
    wg, wd = weights(program.networks["generator"]), weights(program.networks["discriminator"])

    def g(z: Array, masks: list[Array]) -> Array:
        h = relu(dense(z, wg, "model.0")) * masks[0] / 0.9
        return np.tanh(dense(relu(dense(h, wg, "model.3")) * masks[1] / 0.9, wg, "model.6"))

    def d(x: Array, masks: list[Any]) -> Array:
        h = leaky(dense(x, wd, "model.0"), 0.01) * masks[0]
        return expit(dense(leaky(dense(h, wd, "model.3"), 0.01) * masks[1], wd, "model.6"))

    scaled = [mask / 0.9 for mask in d_masks]
    d_real = bce(d(real.reshape(B, 784), scaled[:2]), 1)
    d_fake = bce(d(g(z_d, g_masks[:2]), scaled[2:]), 0)
    g_loss = bce(d(g(z_g, g_masks[2:]), [1.0, 1.0]), 1)  # D's dropout is off in G's step
    losses = program.step(real, None, z_d, z_g, masks={"generator": g_masks, "discriminator": d_masks})
    expected = {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}
    assert losses == pytest.approx(expected, rel=1e-10)


def test_learning_gan_losses_share_latents() -> None:
    program = double(p002_learning_gan.Program(lr=0.0))
    (real, _), (z,) = digits(), draws(program)
    wg, wd = weights(program.networks["generator"]), weights(program.networks["discriminator"])
    fake = np.tanh(dense(leaky(dense(z, wg, "model.0"), 0.01), wg, "model.2"))

    def d(x: Array) -> Array:
        return expit(dense(leaky(dense(x, wd, "model.0"), 0.01), wd, "model.2"))

    d_real, d_fake = bce(d(real.reshape(B, 784)), 0.9), bce(d(fake), 0)
    expected = {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": bce(d(fake), 1)}
    assert program.step(real, None, z) == pytest.approx(expected, rel=1e-10)
    assert -1 <= z.min() < -0.5 and 0.5 < z.max() <= 1


@pytest.mark.parametrize("batch", [1, B])
def test_cgan_layernorm_losses(batch: int) -> None:
    program = double(p001_cgan.Program(lr=0.0))
    (real, labels), (d_labels, d_z, g_labels, g_z) = digits(batch), draws(program, batch)
    real = (real + 1) / 2
    wg, wd = weights(program.networks["generator"]), weights(program.networks["discriminator"])

    def net(x: Array, y: Array, w: dict[str, Array]) -> Array:
        h = leaky(dense(np.concatenate([x, onehot(y)], 1), w, "model.0"), 0.02)
        return expit(dense(normalise(h, -1), w, "model.3"))

    d_real = bce(net(real.reshape(batch, 784), labels, wd), 1)
    d_fake = bce(net(net(d_z, d_labels, wg), d_labels, wd), 0)
    g_loss = bce(net(net(g_z, g_labels, wg), g_labels, wd), 1)
    expected = {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}
    assert program.step(real, labels, d_labels, d_z, g_labels, g_z) == pytest.approx(expected, rel=1e-10)


def test_montage_losses_take_each_batchs_statistics() -> None:
    program = double(p001_montage.Program(filters=2, lr=0.0))
    real, (d_z, g_z) = RNG.random((2, 3, 128, 128)), draws(program, 2)
    wg, wd = weights(program.networks["generator"]), weights(program.networks["discriminator"])
    axes = (0, 2, 3)

    def g(z: Array) -> Array:
        h = gelu(dense(z, wg, "model.0")).reshape(-1, 3, 11, 11)
        h = gelu(normalise(conv_transpose(h, wg, "model.3"), axes))
        h = gelu(normalise(conv_transpose(h, wg, "model.6"), axes))
        return expit(normalise(conv_transpose(h, wg, "model.9", padding=1), axes))

    def d(x: Array) -> Array:
        h = gelu(normalise(conv(x, wd, "model.0"), axes))
        h = gelu(normalise(conv(h, wd, "model.3"), axes))
        return expit(dense(gelu(conv(h, wd, "model.6")).reshape(len(x), 300), wd, "model.9"))

    d_real, d_fake, g_loss = bce(d(real), 1), bce(d(g(d_z)), 0), bce(d(g(g_z)), 1)
    expected = {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}
    assert program.step(real, None, d_z, g_z) == pytest.approx(expected, rel=1e-9)
    tracked = {role: int(net.model[4].num_batches_tracked) for role, net in program.networks.items()}
    assert tracked == {"generator": 2, "discriminator": 3}


def test_classifier_loss() -> None:
    program = p001_classifier.Program()
    network = program.classifier.double()
    images, labels = RNG.random((B, 28, 28)), RNG.integers(0, 10, B)
    w = weights(network)
    h = normalise(leaky(conv(images[:, None], w, "model.0"), 0.02), (0, 2, 3))
    h = normalise(leaky(conv(h, w, "model.3"), 0.02), (0, 2, 3))
    scores = expit(dense(h.reshape(B, 250), w, "model.7"))
    target = onehot(labels)
    expected = -np.mean(target * np.log(scores) + (1 - target) * np.log(1 - scores))
    first = program.step(images, labels)["loss"]
    assert first == pytest.approx(expected, rel=1e-10)
    assert program.step(images, labels)["loss"] < first


@pytest.mark.parametrize("raw", [False, True])
def test_gaussian_losses(raw: bool) -> None:
    program = double(p004_gaussian.Program(lr=0.0, raw=raw))
    real, (d_noise, g_noise) = RNG.normal(4, 1.25, (1, 100)), draws(program)
    wg, wd = weights(program.networks["generator"]), weights(program.networks["discriminator"])

    def g(x: Array) -> Array:
        return dense(expit(dense(elu(dense(x, wg, "map1")), wg, "map2")), wg, "map3").T

    def d(x: Array) -> Array:
        x = x if raw else np.concatenate([x, (x - x.mean()) ** 2], 1)
        return expit(dense(elu(dense(elu(dense(x, wd, "map1")), wd, "map2")), wd, "map3"))

    d_real, d_fake, g_loss = bce(d(real), 1), bce(d(g(d_noise)), 0), bce(d(g(g_noise)), 1)
    expected = {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}
    assert program.step(real, None, d_noise, g_noise) == pytest.approx(expected, rel=1e-10)


def test_gaussian_mean_is_a_constant_to_the_gradient() -> None:
    data = torch.randn(1, 100, dtype=torch.float64, requires_grad=True)
    factors = RNG.normal(size=(1, 100))  # a plain sum would not feel the mean's gradient
    (p004_gaussian.decorate_with_diffs(data, 2.0)[:, 100:] * torch.from_numpy(factors)).sum().backward()
    values = data.detach().numpy()
    np.testing.assert_allclose(data.grad.numpy(), 2 * factors * (values - values.mean()), rtol=1e-9, atol=1e-12)


def cgan_nets(name: str, program: Any) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """P003's networks in NumPy: each takes an input, integer labels and its keep-masks."""
    wg, wd = weights(program.networks["generator"]), weights(program.networks["discriminator"])

    def batch_norm(x: Array) -> Array:
        return relu(normalise(x, 0))

    def maxout(x: Array, layer: str, pieces: int) -> Array:
        h = dense(x, wd, f"{layer}.linear")
        return np.stack([h[:, unit * pieces :][:, :pieces].max(1) for unit in range(h.shape[1] // pieces)], 1)

    def chain(x: Array, w: dict[str, Array], layers: list[str], masks: list[Array], p: float) -> Array:
        for layer, mask in zip(layers, masks, strict=True):
            x = leaky(dense(x, w, f"{layer}.0"), 0.2) * mask / (1 - p)
        return x

    def g(z: Array, labels: Array, m: list[Array]) -> Array:
        y = onehot(labels)
        if name == "cgan_concat":
            h = chain(np.concatenate([z, y], 1), wg, ["fc1", "fc2", "fc3"], m, 0.5)
            return np.tanh(dense(h, wg, "fc_out.0"))
        if name == "cgan_branch":
            h = np.concatenate([batch_norm(dense(z, wg, "fc1_1")), batch_norm(dense(y, wg, "fc1_2"))], 1)
            h = batch_norm(dense(h, wg, "fc2")) * m[0] / 0.8
            return np.tanh(dense(batch_norm(dense(h, wg, "fc3")) * m[1] / 0.8, wg, "fc4"))
        h = np.concatenate([relu(dense(z, wg, "fc_z")) * m[0] * 2, relu(dense(y, wg, "fc_y")) * m[1] * 2], 1)
        return expit(dense(relu(dense(h, wg, "joint")) * m[2] * 2, wg, "out"))

    def d(x: Array, labels: Array, m: list[Array]) -> Array:
        y = onehot(labels)
        if name == "cgan_concat":
            h = chain(np.concatenate([x, y], 1), wd, ["fc1", "fc2", "fc3"], m, 0.3)
            return expit(dense(h, wd, "fc_out.0"))
        if name == "cgan_branch":
            parts = [chain(x, wd, ["fc1_1"], m[:1], 0.3), chain(y, wd, ["fc1_2"], m[1:2], 0.3)]
            return expit(dense(chain(np.concatenate(parts, 1), wd, ["fc2", "fc3"], m[2:], 0.3), wd, "fc_out.0"))
        parts = [maxout(x, "maxout_x", 5) * m[0] * 2, maxout(y, "maxout_y", 5) * m[1] * 2]
        return expit(dense(maxout(np.concatenate(parts, 1), "joint", 4) * m[2] * 2, wd, "out"))

    return g, d


CGANS: dict[str, Callable[[], Any]] = {
    "cgan_concat": lambda: p003_cgan.Program(generator="concat"),
    "cgan_branch": lambda: p003_cgan.Program(generator="branch", discriminator="branch"),
    "cgan_paper": lambda: p003_cgan.Program(generator="paper"),
}
MASK_SIZES = {
    "cgan_concat": ([256, 512, 1200], [1024, 512, 256]),
    "cgan_branch": ([512, 1024], [512, 512, 512, 256]),
    "cgan_paper": ([200, 1000, 1200], [240, 50, 240]),
}


@pytest.mark.parametrize("name", MASK_SIZES)
def test_cgan_losses_are_half_sums_on_shared_fakes(name: str) -> None:
    program = double(CGANS[name]())
    for net in program.networks.values():  # the post's std of 0.02 leaves hardly any signal to compare
        for parameter in net.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_normal_(parameter)
    (real, labels), (z, fake_labels) = digits(), draws(program)
    g_masks, d1, d2, d3 = ([RNG.random((B, size)) < 0.6 for size in MASK_SIZES[name][net]] for net in (0, 1, 1, 1))
    g, d = cgan_nets(name, program)
    fakes = g(z, fake_labels, g_masks)
    # G's update comes first, yet all three losses read the weights from before it: D sees the old fakes.
    g_loss = bce(d(fakes, fake_labels, d1), 1)
    d_real, d_fake = bce(d(real.reshape(B, 784), labels, d2), 1), bce(d(fakes, fake_labels, d3), 0)
    masks = {"generator": g_masks, "discriminator": d1 + d2 + d3}
    losses = program.step(real, labels, z, fake_labels, masks=masks)
    expected = {"d_real": d_real, "d_fake": d_fake, "d_loss": (d_real + d_fake) / 2, "g_loss": g_loss}
    assert losses == pytest.approx(expected, rel=1e-10)
