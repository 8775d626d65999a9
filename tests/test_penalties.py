"""Penalties on D's gradient: against PyTorch's double backward, by hand, and the same wherever they are computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from runs import fingerprint
from test_gan import B, Table, moved
from test_training import stop_at

from tfgan_lab.config import SGD, Game, Init, Latents, override
from tfgan_lab.errors import UserError
from tfgan_lab.gan import GAN
from tfgan_lab.layers import Dense, Flatten, Reshape, Tanh
from tfgan_lab.networks import Discriminator, Generator
from tfgan_lab.optimizers import FusedSGD
from tfgan_lab.parity.steps import dtype_policy, run_parity
from tfgan_lab.penalties import PENALTIES, Noise, Penalty, make_penalty
from tfgan_lab.randomness import draw_uniform, step_seed, stream_key
from tfgan_lab.training.engine import make_engine
from tfgan_lab.training.experiment import Experiment, build
from tfgan_lab.training.loop import Interrupted
from tfgan_lab.training.many_seeds import ManySeeds
from tfgan_lab.training.train import train

SHAPE, WEIGHT, RATE = (2, 3, 1), 3.0, 0.3
REAL = np.random.default_rng(0).uniform(-1, 1, (5, *SHAPE))


def game_in_float64(penalty: str) -> GAN:
    init = Init(kernel="normal", std=0.9, bias="uniform", bias_low=-0.2, bias_high=0.2)
    with dtype_policy("float64"):
        g = Generator([Dense(6), Tanh(), Reshape(*SHAPE)], init, 4, SHAPE)
        d = Discriminator([Flatten(), Dense(7), Tanh(), Dense(5), Tanh(), Dense(1)], init, SHAPE)
        sgd = [FusedSGD(SGD(learning_rate=RATE), [v.value for v in net.trainable_variables]) for net in (g, d)]
    return GAN(g, d, *sgd, Game(penalty=penalty, penalty_weight=WEIGHT, first="discriminator"), Latents(dim=4))


def uniform(what: str, *shape: int) -> np.ndarray:
    """The numbers of seed 0, step 0."""
    return (
        draw_uniform(shape[0], step_seed(stream_key(0, f"penalty/{what}/d0"), 0), *shape[1:]).numpy().astype(np.float64)
    )


@pytest.mark.parametrize("name", PENALTIES)
def test_values_and_gradients_are_those_of_pytorchs_double_backward(name: str) -> None:
    torch = pytest.importorskip("torch")
    gan = game_in_float64(name)
    start = [torch.tensor(v.numpy(), requires_grad=True) for v in gan.d_variables]
    turn = gan.draw_noise(0, 5)["d0"]._replace(latents=tf.random.stateless_normal([5, 4], [1, 2], dtype=tf.float64))
    fakes = gan.generator(turn.latents).numpy()
    metrics = gan._joint_update(turn, tf.constant(REAL), None, tf.constant(fakes))

    def judge(x: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = start
        return (torch.tanh(torch.tanh(x.flatten(1) @ w1 + b1) @ w2 + b2) @ w3 + b3)[:, 0]

    def norms(x: Any) -> Any:
        x = x.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
        return gradient.flatten(1).norm(2, dim=1)

    x, y = torch.tensor(REAL), torch.tensor(fakes)
    share, each = torch.tensor(uniform("share", 5, 1, 1, 1)), torch.tensor(uniform("each", 5, *SHAPE))
    between = share * x + (1 - share) * y
    expected = (
        WEIGHT
        * {
            "wgan_gp": lambda: ((norms(between) - 1) ** 2).mean(),
            "wgan_gp_one_sided": lambda: (torch.relu(norms(between) - 1) ** 2).mean(),
            "r1": lambda: 0.5 * (norms(x) ** 2).mean(),
            "r2": lambda: 0.5 * (norms(y) ** 2).mean(),
            "r1_r2": lambda: 0.5 * (norms(x) ** 2).mean() + 0.5 * (norms(y) ** 2).mean(),
            "dragan": lambda: ((norms(x + share * (0.5 * x.std(correction=0) * each)) - 1) ** 2).mean(),
        }[name]()
    )
    assert float(metrics["penalty"]) == pytest.approx(expected.item(), rel=1e-9)
    assert expected.item() > 1e-3
    softplus = torch.nn.functional.softplus
    (expected + (softplus(-judge(x)) + softplus(judge(y))).mean()).backward()
    for variable, tensor in zip(gan.d_variables, start, strict=True):
        assert_allclose(variable.numpy(), (tensor - RATE * tensor.grad).detach(), rtol=1e-8, atol=1e-10)


def test_by_hand() -> None:
    """Of D(x) = w x the gradient is w everywhere."""
    w = np.array([3.0, 4.0])
    expected = {"wgan_gp": 16, "wgan_gp_one_sided": 16, "r1": 12.5, "r2": 12.5, "r1_r2": 12.5, "dragan": 16}
    assert set(expected) == set(PENALTIES)
    for slope in (1.0, 0.1):  # |w| = 5, 0.5
        squares = tf.constant([np.sum((slope * w) ** 2)])
        for name, value in expected.items():
            size = float(PENALTIES[name].size(squares)[0])
            if slope == 1:
                assert size == pytest.approx(value)
            elif name.startswith(("wgan", "dragan")):
                assert size == pytest.approx(0 if "one_sided" in name else 0.25)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_discriminator_has_finite_gradients(name: str) -> None:
    squares = tf.Variable([0.0, 1.0, 4.0])
    with tf.GradientTape() as tape:
        size = PENALTIES[name].size(squares)
    assert np.isfinite(size).all() and np.isfinite(tape.gradient(size, squares)).all()


def test_where_the_points_are() -> None:
    real, fakes = tf.constant(REAL), tf.zeros_like(REAL)
    each = tf.constant(np.random.default_rng(1).uniform(size=REAL.shape))
    noise = Noise(tf.constant(0.25, tf.float64), lambda: each, lambda x: tf.math.reduce_std(x))
    found = {name: row.points(real, fakes, noise) for name, row in PENALTIES.items()}
    assert {name: sorted(points) for name, points in found.items()} == {
        "wgan_gp": ["real"], "wgan_gp_one_sided": ["real"], "r1": ["real"], "r2": ["fake"], "r1_r2": ["fake", "real"],
        "dragan": ["real"],
    }  # fmt: skip
    assert_allclose(found["wgan_gp"]["real"], 0.25 * REAL)
    assert_allclose(found["dragan"]["real"], REAL + 0.25 * 0.5 * REAL.std() * each)
    assert_array_equal(found["r1_r2"]["real"], REAL)
    assert_array_equal(found["r2"]["fake"], fakes)


@pytest.mark.parametrize("name", ["wgan_gp", "r1_r2"])
def test_d_judges_the_points_with_their_sides_labels_and_dropout(name: str) -> None:
    table = Table(num_labels=10, dropout=0.5, penalty=name)
    table.play(2)
    in_d = [call for call in table.calls if call.role == "d"]
    both, *points, _ = in_d
    real_labels, fake_labels = np.split(both.labels, 2)  # type: ignore[arg-type]
    sides = [(real_labels, both.seed[0])] + ([(fake_labels, both.seed[1])] if name == "r1_r2" else [])
    for call, (labels, seed) in zip(points, sides, strict=True):
        assert_array_equal(call.labels, labels)  # type: ignore[arg-type]
        assert_array_equal(call.seed[0], seed)
    if name == "r1_r2":
        assert_array_equal(np.concatenate([call.x for call in points]), both.x)
        assert_allclose(np.concatenate([call.out for call in points]), both.out, rtol=1e-5)


def test_without_one_nothing_is_drawn_and_no_name_is_added() -> None:
    plain, other = Table(), Table(penalty="r1")
    assert "penalty" not in plain.gan.metric_names and "penalty" in other.gan.metric_names
    assert all(turn.in_penalty is None for turn in plain.gan.draw_noise(0, B).values())
    assert [turn.in_penalty is None for turn in other.gan.draw_noise(0, B).values()] == [False, True], "D's turn alone"
    held = Table(penalty="r1", penalty_weight=0.0)
    assert held.play(0) == plain.play(0) | {"penalty": 0.0}


def test_one_from_outside_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Penalty(lambda real, fakes, noise: {"fake": fakes}, lambda squares: squares**2)
    monkeypatch.setitem(PENALTIES, "mine", mine)
    assert Table(penalty="mine").play(0)["penalty"] > 0
    assert make_penalty("mine") is mine and make_penalty("") is None


def test_clipping_cuts_d_after_each_of_its_updates() -> None:
    free, cut = Table(loss="wasserstein", d_steps=2), Table(loss="wasserstein", clip=0.5)
    starts = cut.weights()
    cut.play(0)
    g, d = cut.weights()
    assert max(np.abs(w).max() for w in d) == 0.5 and max(np.abs(w).max() for w in g) > 0.5
    assert moved(starts[1], d)
    one = Table(loss="wasserstein")
    one.play(0)
    for ours, unclipped in zip(d, one.weights()[1], strict=True):
        assert_array_equal(ours, np.clip(unclipped, -0.5, 0.5))
    free.play(0)
    assert max(np.abs(w).max() for w in free.weights()[1]) > 0.5


# In the engines.

GAMES: dict[str, dict[str, str]] = {
    **{name: {"game.penalty": name, "game.loss": "wasserstein" if "wgan" in name else "relativistic"} for name in PENALTIES},
    "clip": {"game.clip": "0.05", "game.loss": "wasserstein"},
    "pack": {"game.pack": "2", "game.penalty": "dragan"},
    "spectral_norm": {"discriminator.1.spectral_norm": "true", "game.penalty": "r1"},
}  # fmt: skip
SMALL = {
    "generator.0.units": "9", "discriminator.1.units": "8", "batch_size": "12", "game.d_steps": "2",
    # Nothing moves D's last bias under a relativistic loss but rounding, of which Adam would make full steps.
    "g_optimizer.epsilon": "1e-3", "d_optimizer.epsilon": "1e-3",
}  # fmt: skip


def built(name: str, source: Any, **changes: str) -> Experiment:
    return build(override(offline("mlp_gan:smoke"), GAMES[name] | SMALL | {"placement": "one"} | changes), source)


def played(experiment: Experiment, compile: str, steps: int = 4) -> np.ndarray:
    return make_engine(compile, experiment.strategy, experiment.task, experiment.batches).run(0, steps)


# r1_r2 computes both of its halves, and one-sided is another formula of the same gradient.
_WHOLE = [name for name in GAMES if name not in ("r1", "r2", "wgan_gp_one_sided")]


@pytest.mark.slow
@pytest.mark.parametrize("name", _WHOLE)
def test_xla_and_two_replicas_train_as_the_loop(name: str, small_source: Any) -> None:
    alone, mirrored = built(name, small_source), built(name, small_source, placement="mirrored")
    history = played(alone, "loop")
    column = alone.task.metric_names.index("penalty") if "penalty" in alone.task.metric_names else 0
    assert (history[:, column] != 0).all()
    for other, compile in ((built(name, small_source), "xla"), (mirrored, "loop")):
        assert_allclose(played(other, compile), history, rtol=2e-4, atol=2e-5, err_msg=compile)
    for variable in mirrored.state()["discriminator"]:
        first, second = (replica.numpy() for replica in variable.values)  # type: ignore[attr-defined]
        assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wgan_gp", "dragan", "clip", "spectral_norm", "pack"])
def test_each_of_many_seeds_has_its_own(name: str, small_source: Any, tmp_path: Path) -> None:
    config: Any = override(offline("mlp_gan:smoke"), GAMES[name] | SMALL | {"num_seeds": "2"})
    many = ManySeeds(config, small_source, tmp_path)
    history = many.run(0, 3)
    for index in range(2):
        expected = played(built(name, small_source, seed=str(index)), "loop", 3)
        assert_allclose(history[:, :, index], expected, rtol=1e-4, atol=1e-5)


# A penalty holds no state, and its noise is a function of seed and step, drawn alike for each: pack's dragan stands for
# all. Clipping changes weights behind the optimiser; spectral normalisation has a vector that checkpoints must hold.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pack", "clip", "spectral_norm"])
def test_a_stopped_run_goes_on_bit_for_bit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = override(offline("mlp_gan:smoke"), GAMES[name] | {"generator.0.units": "9", "placement": "one"})
    train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(13, patch)
        with pytest.raises(Interrupted):
            train(config, tmp_path / "cut")
    train(config, tmp_path / "cut")
    assert fingerprint(tmp_path / "cut") == fingerprint(tmp_path / "whole")


def test_what_makes_no_sense_is_refused_in_one_line() -> None:
    for reference, fields, words in [
        ("mlp_gan", {"game.penalty": "wgangp"}, "no penalty 'wgangp'. Did you mean 'wgan_gp'"),
        ("mlp_gan", {"game.penalty": "mine"}, "name that file with --config"),
        ("mlp_gan", {"game.penalty": "r1", "game.d_update": "separate"}, "needs game.d_update='joint'"),
        ("mlp_gan", {"game.penalty": "r1", "precision": "bfloat16"}, "use float32"),
        ("mlp_gan", {"game.penalty_weight": "-1"}, "game.penalty_weight"),
        ("mlp_gan", {"game.clip": "-1"}, "game.clip"),
        ("mlp_gan_smoothed:batch_norm", {"game.penalty": "r1"}, "discriminator's layer 'batch_norm' mixes examples"),
        ("gaussian", {"game.penalty": "wgan_gp"}, "discriminator's layer 'sets' mixes examples"),
    ]:
        with pytest.raises(UserError, match="config") as refused:
            override(offline(reference), fields)
        assert words in str(refused.value) and "\\n" not in str(refused.value)
    line = {"game.penalty": "r1", "log_line": "{penalty:.3f}"}
    assert override(offline("mlp_gan"), line)
    with pytest.raises(UserError, match="log_line"):
        override(offline("mlp_gan"), line | {"game.penalty": ""})


def test_parity_says_that_no_post_has_one() -> None:
    pytest.importorskip("torch")
    for fields in ({"game.penalty": "r1"}, {"game.clip": "0.1"}, {"game.loss": "wasserstein"}):
        with pytest.raises(UserError, match="no PyTorch program to compare with") as refused:
            run_parity(override(offline("mlp_gan:smoke"), fields), updates=1)
        assert "\\n" not in str(refused.value)
