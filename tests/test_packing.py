"""Packs (PacGAN): against PyTorch in float64, in evaluation, and what is refused. Engines: `tests/test_penalties.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from test_evaluator import Answers, experiment_of

from tfgan_lab.config import SGD, Game, Init, Latents, override
from tfgan_lab.errors import UserError
from tfgan_lab.gan import GAN, packed
from tfgan_lab.layers import ConcatLabel, Conv, Dense, Flatten, Reshape, Tanh
from tfgan_lab.networks import Discriminator, Generator
from tfgan_lab.optimizers import FusedSGD
from tfgan_lab.parity.peers import make_peer
from tfgan_lab.parity.steps import dtype_policy
from tfgan_lab.placement.strategy import make_strategy
from tfgan_lab.randomness import draw_uniform, step_seed, stream_key
from tfgan_lab.trainer import train
from tfgan_lab.training.evaluator import make_evaluator

B, SHAPE, RATE, WEIGHT = 6, (4, 4, 1), 0.3, 3.0
REAL = np.random.default_rng(0).uniform(-1, 1, (B, *SHAPE))


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
@pytest.mark.parametrize("seeds", [False, True])
def test_a_pack_is_examples_behind_each_other(shape: tuple[int, ...], seeds: bool) -> None:
    x = np.random.default_rng(1).normal(size=(2, 6, *shape) if seeds else (6, *shape))
    parts = [x[:, i::3] if seeds else x[i::3] for i in range(3)]
    assert_array_equal(packed(tf.constant(x), 3, int(seeds)), np.concatenate(parts, axis=-1))
    given = tf.constant(x)
    assert packed(given, 1, int(seeds)) is given


@pytest.mark.parametrize("penalty", ["", "wgan_gp", "dragan", "r2"])
@pytest.mark.parametrize("fakes", ["fresh", "shared"])
def test_a_step_on_packs_is_pytorchs(penalty: str, fakes: str) -> None:
    torch = pytest.importorskip("torch")
    init = Init(kernel="normal", std=0.7, bias="uniform", bias_low=-0.2, bias_high=0.2)
    with dtype_policy("float64"):
        g = Generator([Dense(16), Tanh(), Reshape(*SHAPE)], init, 3, SHAPE)
        d = Discriminator([Conv(3, 2), Tanh(), Flatten(), Dense(1)], init, (4, 4, 2))
        sgd = [FusedSGD(SGD(learning_rate=RATE), [v.value for v in net.trainable_variables]) for net in (g, d)]
    game = Game(pack=2, penalty=penalty, penalty_weight=WEIGHT, fakes=fakes)  # type: ignore[arg-type]
    gan = GAN(g, d, *sgd, game, Latents(dim=3))
    noise = {
        name: turn._replace(latents=tf.cast(turn.latents, tf.float64)) for name, turn in gan.draw_noise(0, B).items()
    }
    g0, d0 = ([torch.tensor(v.numpy(), requires_grad=True) for v in net.trainable_variables] for net in (g, d))
    row = gan.train_step(tf.constant(REAL), None, noise)

    def draw(z: Any) -> Any:  # [B, 1, 4, 4]
        return torch.tanh(torch.tensor(z.numpy()) @ g0[0] + g0[1]).reshape(-1, 1, 4, 4)

    def pairs(x: Any) -> Any:  # [B / 2, 2, 4, 4]
        return torch.cat([x[0::2], x[1::2]], dim=1)

    def judge(x: Any) -> Any:
        hidden = torch.tanh(torch.nn.functional.conv2d(x, d0[0].permute(3, 2, 0, 1), d0[1]))
        return (hidden.flatten(1) @ d0[2] + d0[3])[:, 0]

    def norms(x: Any) -> Any:
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
        return gradient.flatten(1).norm(2, dim=1)

    def uniform(what: str, *rest: int) -> Any:  # channels first
        turn = "shared" if fakes == "shared" else "d0"
        drawn = draw_uniform(B // 2, step_seed(stream_key(0, f"penalty/{what}/{turn}"), 0), *rest).numpy()
        return torch.tensor(drawn.astype(np.float64).transpose(0, 3, 1, 2))

    turns = [noise["shared"]] * 2 if fakes == "shared" else [noise["d0"], noise["g0"]]
    real, drawn = pairs(torch.tensor(REAL.transpose(0, 3, 1, 2))), pairs(draw(turns[0].latents))
    softplus, size = torch.nn.functional.softplus, torch.zeros(())
    if penalty:
        share = uniform("share", 1, 1, 1)
        size = {
            "wgan_gp": lambda: ((norms(drawn + share * (real - drawn)) - 1) ** 2).mean(),
            "dragan": lambda: (
                (norms(real + share * 0.5 * real.std(correction=0) * uniform("each", 4, 4, 2)) - 1) ** 2
            ).mean(),
            "r2": lambda: 0.5 * (norms(drawn) ** 2).mean(),
        }[penalty]()
        assert float(row["penalty"]) == pytest.approx(WEIGHT * size.item(), rel=1e-8)
    on_real, on_fake = judge(real), judge(drawn.detach())
    loss = softplus(-on_real).mean() + softplus(on_fake).mean()
    assert float(row["d_loss"]) == pytest.approx(loss.item(), rel=1e-9)
    assert float(row["p_real"]) == pytest.approx(torch.sigmoid(on_real).mean().item(), rel=1e-9)
    gradients = torch.autograd.grad(loss + WEIGHT * size, d0)
    with torch.no_grad():
        for tensor, gradient in zip(d0, gradients, strict=True):
            tensor -= RATE * gradient
    softplus(-judge(pairs(draw(turns[1].latents)))).mean().backward()
    for variable, tensor in zip(d.trainable_variables, d0, strict=True):
        assert_allclose(variable.numpy(), tensor.detach(), rtol=1e-8, atol=1e-10)
    for variable, tensor in zip(g.trainable_variables, g0, strict=True):
        assert_allclose(variable.numpy(), (tensor - RATE * tensor.grad).detach(), rtol=1e-8, atol=1e-10)


def test_p_real_is_of_packs_of_any_two_test_images(small_source: Any) -> None:
    """D's logit is the larger mean of a pack's three images; the 100 test images make 33 packs."""
    d = Answers(lambda x: 9 * tf.reduce_max(tf.reduce_mean(x, [1, 2]), axis=-1))
    g = Answers(lambda latents: tf.ones([tf.shape(latents)[0], 28, 28, 1]))
    experiment = experiment_of("mlp_gan:smoke", small_source, discriminator=d, generator=g)
    experiment.config = override(experiment.config, {"game.pack": "3", "batch_size": "30"})
    found = make_evaluator(experiment)(3)
    order = np.random.default_rng(stream_key(0, "evaluate/packs")).permutation(100)[:99]
    brightness = small_source.test.images.astype(np.float64).mean(axis=(1, 2, 3))[order] / 127.5 - 1
    expected = {
        "p_real": (1 / (1 + np.exp(-9 * brightness.reshape(33, 3).max(1)))).mean(),
        "p_fake": 1 / (1 + np.exp(-9)),
    }
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_run_on_packs(tmp_path: Path) -> None:
    """With what post P000 prints before training, and D's graph in TensorBoard."""
    fields = {"game.pack": "2", "untrained": "true", "steps": "3", "num_samples": "4", "batch_size": "10"}
    run = train(override(offline("mlp_gan:smoke"), fields), tmp_path / "run")
    assert run.experiment is not None
    assert run.experiment.networks["discriminator"].image_shape == (28, 28, 2)
    assert 0 < [row for row in run.rows if row["kind"] == "eval"][-1]["p_real"] < 1
    assert len(run.workdir.read_record()["untrained"]) == 5


def test_what_makes_no_sense_is_refused_in_one_line() -> None:
    for reference, fields, words in [
        ("mlp_gan", {"game.pack": "0"}, "game.pack='0'"),
        ("mlp_gan", {"game.pack": "3", "batch_size": "64"}, "batch_size=64 is no multiple of game.pack=3"),
        ("cgan_concat", {"game.pack": "2"}, "num_labels=10: omit one"),
        ("gaussian", {"game.pack": "2"}, "does not go with Sets"),
    ]:
        with pytest.raises(UserError, match="config") as refused:
            override(offline(reference), fields)
        assert words in str(refused.value) and "\\n" not in str(refused.value)
    config = override(
        offline("mlp_gan"), {"game.pack": "2", "batch_size": "30", "placement": "mirrored", "replicas": "2"}
    )
    with pytest.raises(UserError, match="2 replicas in packs of 2: use a multiple of 4"):
        make_strategy(config)


def test_no_post_packs() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="no post packs examples"):
        make_peer(override(offline("mlp_gan"), {"game.pack": "2"}))
    g = Generator([ConcatLabel(), Dense(16), Reshape(*SHAPE)], Init(kernel="torch", bias="torch"), 3, SHAPE, 10)
    d = Discriminator([Flatten(), ConcatLabel(), Dense(1)], Init(kernel="torch", bias="torch"), (4, 4, 2), 10)
    sgd = [FusedSGD(SGD(learning_rate=RATE), [v.value for v in net.trainable_variables]) for net in (g, d)]
    with pytest.raises(UserError, match="num_labels=10: omit one"):
        GAN(g, d, *sgd, Game(pack=2), Latents(dim=3), num_labels=10)
