"""The PyTorch peers: who is updated and when, what is shared, sizes, initial weights, dropout, loops."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tfgan_lab.parity.posts_in_torch import (  # noqa: E402
    PEERS,
    p000_mlp_gan,
    p001_cgan,
    p001_classifier,
    p001_montage,
    p002_learning_gan,
    p003_cgan,
    p004_gaussian,
)
from tfgan_lab.parity.posts_in_torch.program import MaskedDropout, in_memory, queue_masks  # noqa: E402

RNG = np.random.default_rng(5)
B = 4
Array = np.ndarray[Any, Any]

PROGRAMS: dict[str, Callable[..., Any]] = {
    "mlp_gan": p000_mlp_gan.Program,
    "learning_gan": p002_learning_gan.Program,
    "cgan_layernorm": p001_cgan.Program,
    "montage": lambda **numbers: p001_montage.Program(filters=2, **numbers),
    "gaussian": p004_gaussian.Program,
    "cgan_concat": lambda **numbers: p003_cgan.Program(generator="concat", **numbers),
    "cgan_branch": lambda **numbers: p003_cgan.Program(generator="branch", discriminator="branch", **numbers),
    "cgan_paper": lambda **numbers: p003_cgan.Program(generator="paper", **numbers),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)


def make(name: str, **numbers: Any) -> Any:
    """A peer in double precision."""
    program = PROGRAMS[name](**numbers)
    for network in program.networks.values():
        network.double()
    return program


def inputs(name: str, batch: int = B) -> tuple[Array, Array | None]:
    if name == "gaussian":
        return RNG.normal(4, 1.25, (1, 100)), None
    if name == "montage":
        return RNG.random((batch, 3, 128, 128)), None
    return RNG.uniform(-1, 1, (batch, 28, 28)), RNG.integers(0, 10, batch)


def draws(program: Any, batch: int = B) -> list[Array]:
    return [draw.numpy() for draw in program.draw(batch)]


def test_mlp_gan_k_updates_share_the_real_batch() -> None:
    program = make("mlp_gan", k=3)
    seen: list[Any] = []
    program.networks["discriminator"].register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    modes: list[bool] = []
    program.networks["discriminator"].register_forward_pre_hook(lambda net, _: modes.append(net.training))
    assert len(draws(program)) == 4
    program.step(*inputs("mlp_gan"), *draws(program))
    assert modes == [True] * 6 + [False]
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[2], seen[4])
    assert not torch.equal(seen[1], seen[3])


def test_learning_gan_losses_after_the_update_are_what_the_post_prints() -> None:
    program = p002_learning_gan.Program()
    real, z = torch.rand(B, 28, 28), torch.rand(B, 100)
    before = program.step(real, None, z)
    after = {name: float(loss.detach()) for name, loss in program.losses(real, z).items()}
    assert after["d_real"] < before["d_real"]
    again = program.step(real, None, z)
    assert again["d_loss"] == pytest.approx(after["d_loss"], rel=1e-6)
    assert again["g_loss"] != pytest.approx(after["g_loss"], rel=1e-4)  # it comes after one more D update


def test_cgan_uses_the_same_fakes_and_labels_for_both_players() -> None:
    program = make("cgan_concat")
    seen: list[Any] = []
    made: list[Any] = []
    program.networks["discriminator"].register_forward_pre_hook(lambda _, args: seen.append(args))
    program.networks["generator"].register_forward_hook(lambda _, args, output: made.append(output))
    program.step(*inputs("cgan_concat"), *draws(program))
    assert len(made) == 1 and len(seen) == 3
    for_g, _, for_d = seen
    assert torch.equal(for_g[0], for_d[0]) and torch.equal(for_g[1], for_d[1])
    assert for_g[0].requires_grad and not for_d[0].requires_grad


def test_cgan_dropout_after_output_is_an_ablation_of_the_generator() -> None:
    network = p003_cgan.Program(dropout_after_output=True).networks["generator"]
    images = network(torch.randn(B, 100), torch.eye(10)[:B]).detach()
    assert 0.45 < (images == 0).double().mean() < 0.55


# Who is updated, and when.


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_update_changes_its_own_network_only(name: str) -> None:
    program = make(name)
    order: list[str] = []
    before: dict[str, list[Any]] = {}

    def snapshot() -> dict[str, list[Any]]:
        return {role: [p.detach().clone() for p in net.parameters()] for role, net in program.networks.items()}

    def changed(role: str) -> list[bool]:
        now = program.networks[role].parameters()
        return [not torch.equal(old, new) for old, new in zip(before[role], now, strict=True)]

    for role, optimizer in program.optimizers.items():
        other = "generator" if role == "discriminator" else "discriminator"

        def remember(*_: Any) -> None:
            before.update(snapshot())

        def check(*_: Any, role: str = role, other: str = other) -> None:
            assert any(changed(role)) and not any(changed(other))
            order.append(role[0].upper())

        optimizer.register_step_pre_hook(remember)
        optimizer.register_step_post_hook(check)
    program.step(*inputs(name, 2), *draws(program, 2))
    expected = {"cgan_layernorm": "DDG", "montage": "DDG"}.get(name, "GD" if "cgan" in name else "DG")
    assert "".join(order) == expected


# Sizes.


def count(network: Any) -> int:
    """Parameters and BatchNorm statistics, as Keras counts them."""
    statistics = [value for key, value in network.named_buffers() if not key.endswith("num_batches_tracked")]
    return sum(value.numel() for value in [*network.parameters(), *statistics])


def test_parameter_counts() -> None:
    assert count(p001_montage.Generator()) == 4_331_846  # POSTS.md
    assert count(p001_montage.Discriminator()) == 4_295_472
    assert count(p000_mlp_gan.Generator()) == 100 * 256 + 256 * 256 + 256 * 784 + 256 + 256 + 784
    assert count(p000_mlp_gan.Discriminator()) == 784 * 256 + 256 * 256 + 256 + 256 + 256 + 1
    assert count(p002_learning_gan.Generator()) == 101 * 128 + 129 * 784
    assert count(p002_learning_gan.Discriminator()) == 785 * 128 + 129
    assert count(p001_cgan.Generator()) == 111 * 200 + 400 + 201 * 784
    assert count(p001_cgan.Discriminator()) == 795 * 200 + 400 + 201
    assert count(p003_cgan.PaperGenerator()) == 101 * 200 + 11 * 1000 + 1201 * 1200 + 1201 * 784
    assert count(p003_cgan.MaxoutDiscriminator()) == 785 * 1200 + 11 * 250 + 291 * 960 + 241
    assert count(p004_gaussian.Generator()) == 100 + 51 * 50 + 51
    assert count(p004_gaussian.Discriminator()) == 201 * 50 + 51 * 50 + 51
    assert count(p001_classifier.Classifier()) == 260 + 40 + 910 + 40 + 2510


@pytest.mark.parametrize(("network", "sizes"), [("Generator", [11, 28, 62, 128]), ("Discriminator", [61, 27, 10])])
def test_montage_sizes(network: str, sizes: list[int]) -> None:
    model = getattr(p001_montage, network)(filters=2).model
    seen: list[int] = []
    for layer in model:
        if type(layer).__name__ in ("Unflatten", "Conv2d", "ConvTranspose2d"):
            layer.register_forward_hook(lambda _, args, output: seen.append(output.shape[-1]))
    output = model(torch.randn(2, 100) if network == "Generator" else torch.rand(2, 3, 128, 128))
    assert seen == sizes
    assert output.shape == ((2, 3, 128, 128) if network == "Generator" else (2, 1))
    assert output.min() > 0 and output.max() < 1


@pytest.mark.parametrize("generator", p003_cgan.GENERATORS.values())
@pytest.mark.parametrize("discriminator", p003_cgan.DISCRIMINATORS.values())
def test_cgan_networks_all_fit_together(generator: Any, discriminator: Any) -> None:
    y = torch.eye(10)[:B]
    images = generator()(torch.randn(B, 100), y)
    assert images.shape == (B, 784)
    assert discriminator()(images, y).shape == (B, 1)


# Initial weights and optimisers.


def test_initial_weights_are_the_posts() -> None:
    first: Any = p000_mlp_gan.Program().networks["generator"].get_submodule("model.0")
    assert 0.1 <= first.bias.min() < 0.11 and 0.19 < first.bias.max() <= 0.2
    assert first.weight.std().item() == pytest.approx((2 / 356) ** 0.5, rel=0.05)
    first = p002_learning_gan.Program().networks["generator"].get_submodule("model.0")
    limit = (6 / 228) ** 0.5
    assert not first.bias.any() and 0.98 * limit < first.weight.abs().max() <= limit
    first = p003_cgan.Program().networks["generator"].get_submodule("fc1.0")
    assert not first.bias.any() and first.weight.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("scale", [1.0, 1e-8])
def test_tf_adam_is_tensorflows(scale: float) -> None:
    network = torch.nn.Linear(3, 2).double()
    optimizer = p002_learning_gan.tf_adam(network, 0.01)
    theta = network.weight.detach().numpy().copy()
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, 8):
        gradient = RNG.normal(size=theta.shape) * scale  # at 1e-8 epsilon decides
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        theta = theta - 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        network.weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    np.testing.assert_allclose(network.weight.detach().numpy(), theta, rtol=1e-12, atol=1e-15)


def test_paper_schedule() -> None:
    assert p003_cgan.paper_schedule(0, 10) == (0.1, 0.5)
    rate, momentum = p003_cgan.paper_schedule(5, 10)
    assert rate == pytest.approx(0.1 * 1.00004**-5, rel=1e-12) and momentum == pytest.approx(0.6)
    assert p003_cgan.paper_schedule(10**6, 10) == (1e-6, 0.7)


def test_paper_sgd_keeps_the_rate_inside_the_velocity() -> None:
    program = make("cgan_paper", momentum_steps=3)
    gradients: list[Array] = []
    weight = program.networks["generator"].get_submodule("out").weight
    program.optimizers["generator"].register_step_pre_hook(lambda *_: gradients.append(weight.grad.numpy().copy()))
    theta = weight.detach().numpy().copy()
    velocity = np.zeros_like(theta)
    for _ in range(5):
        program.step(*inputs("cgan_paper"), *draws(program))
    for step, gradient in enumerate(gradients):
        velocity = (0.5 + 0.2 * min(step / 3, 1)) * velocity - 0.1 / 1.00004**step * gradient
        theta = theta + velocity
    np.testing.assert_allclose(weight.detach().numpy(), theta, rtol=1e-12, atol=1e-16)


# Dropout masks.


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.9), st.integers(0, 2**31))
def test_masked_dropout_scales_what_the_mask_keeps(p: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, mask = rng.normal(size=(3, 5)), rng.random((3, 5)) < 0.5
    layer = MaskedDropout(p)
    with queue_masks(layer, [torch.from_numpy(mask)]):
        output = layer(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(output, np.where(mask, x / (1 - p), 0), rtol=1e-12)


def test_masked_dropout_is_plain_dropout_without_masks() -> None:
    x = torch.randn(50, 50)
    ours, theirs = MaskedDropout(0.3), torch.nn.Dropout(0.3)
    torch.manual_seed(9)
    output = ours(x)
    torch.manual_seed(9)
    assert torch.equal(output, theirs(x))
    assert torch.equal(ours.eval()(x), x)


def test_wrong_masks_are_refused() -> None:
    program = make("mlp_gan")
    (real, _), latents = inputs("mlp_gan"), draws(program)
    masks = [np.ones((B, 256))] * 4
    with pytest.raises(ValueError, match="too few dropout masks"):
        program.step(real, None, *latents, masks={"discriminator": masks[:3]})
    with pytest.raises(ValueError, match="1 of 5 dropout masks were not used"):
        program.step(real, None, *latents, masks={"discriminator": [*masks, masks[0]]})
    with pytest.raises(ValueError, match=r"shape \(4, 7\), its layer \(4, 256\)"):
        program.step(real, None, *latents, masks={"generator": [np.ones((B, 7))]})
    program.step(real, None, *latents)


# The loops.


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(0, 20))
def test_in_memory_epochs_repeat_no_image(batch_size: int, extra: int) -> None:
    images = torch.arange(batch_size + extra)
    feed = in_memory(images, images + 100, batch_size)
    for _ in range(2):
        epoch = [next(feed) for _ in range(len(images) // batch_size)]
        values = [int(value) for batch, _ in epoch for value in batch]
        assert len(set(values)) == len(values) == batch_size * len(epoch)
        assert all(torch.equal(batch + 100, labels) for batch, labels in epoch)


def test_in_memory_refuses_too_few_images() -> None:
    with pytest.raises(ValueError, match="a batch of 4 from 3 images"):
        next(in_memory(torch.zeros(3, 784), None, 4))


@pytest.mark.parametrize("name", [name for name in PEERS if name != "montage"])
def test_train_runs_and_repeats(name: str) -> None:
    train = importlib.import_module(f"tfgan_lab.parity.posts_in_torch.{PEERS[name]}").train
    images, labels = torch.rand(8, 28, 28), torch.arange(8)
    data = (None, None, 3, 100) if name == "gaussian" else (images, labels, 3, 4)
    first, again, other = train(*data, seed=1), train(*data, seed=1), train(*data, seed=2)
    assert first.pop("seconds") > 0 and again.pop("seconds") > 0
    assert first["steps"] == 3 and all(np.isfinite(list(first.values())))
    assert first == again and first != other


def test_train_montage_and_train_further() -> None:
    program = p001_montage.Program(filters=2)
    images = torch.rand(2, 3, 128, 128)
    losses = p001_montage.train(images, None, 2, 1, program=program)
    assert np.isfinite(losses["d_loss"])
    p001_montage.train(images, None, 1, 1, program=program)
    assert int(program.discriminator.state_dict()["model.1.num_batches_tracked"]) == 9


def test_mlp_gan_data_loader_sees_every_image_once_an_epoch() -> None:
    program = p000_mlp_gan.Program()
    seen: list[Any] = []
    program.networks["discriminator"].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images = torch.arange(8.0)[:, None, None].expand(8, 28, 28) / 8
    p000_mlp_gan.train(images, torch.arange(8), 4, 4, program=program, loader=True)
    real = [batch[:, 0] for batch in seen[::3]]
    first, second = ((torch.cat(epoch) * 8).round().tolist() for epoch in (real[:2], real[2:]))
    assert torch.cat(real).sub(torch.cat(real).mul(8).round() / 8).abs().max() < 1.01 / 255, "pixels have 256 levels"
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
