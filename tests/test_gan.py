"""The two-player step: against a float64 reference for every combination of knobs, and call by call."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab.config import SGD, Game, Init, Latents
from tfgan_lab.errors import UserError
from tfgan_lab.gan import GAN, global_mean
from tfgan_lab.layers import BatchNorm, ConcatLabel, Dense, Dropout, Flatten, LeakyReLU, Reshape, Tanh
from tfgan_lab.losses import LOSSES, Loss
from tfgan_lab.networks import Discriminator, Generator
from tfgan_lab.optimizers import FusedSGD
from tfgan_lab.training.experiment import blank_experiment

INIT = Init(kernel="normal", std=0.7, bias="uniform", bias_low=-0.2, bias_high=0.2)
SHAPE, LATENTS, B, RATE = (2, 2, 1), Latents(dim=3, distribution="normal"), 4, 0.3


@dataclasses.dataclass
class Call:
    """One use of a network: what it was given and how both networks stood then."""

    role: str
    x: np.ndarray
    labels: np.ndarray | None
    training: bool
    seed: np.ndarray
    out: np.ndarray
    g: list[np.ndarray]
    d: list[np.ndarray]


class Recorded:
    """A network that writes down how it is used."""

    def __init__(self, role: str, net: Any, table: Table) -> None:
        self.role, self.net, self.table = role, net, table
        self.uses_batch_statistics = net.uses_batch_statistics

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)

    def __call__(self, x: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        out = self.net(x, labels, training=training, seed=seed)
        known = None if labels is None else np.asarray(labels)
        self.table.calls.append(
            Call(self.role, np.asarray(x), known, training, np.asarray(seed), out.numpy(), *self.table.weights())
        )
        return out


class Table:
    """Two small recorded networks and their game, played eagerly."""

    def __init__(
        self,
        num_labels: int = 0,
        dropout: float = 0.0,
        seed: int = 0,
        moments: bool = False,
        norm: Any = (),
        **knobs: Any,
    ) -> None:
        label, drop = [ConcatLabel()] if num_labels else [], [Dropout(dropout)] if dropout else []
        g = [*label, Dense(5), Tanh(), *drop, Dense(4), Tanh(), Reshape(2, 2, 1)]
        d = [Flatten(), *label, Dense(6), LeakyReLU(0.2), *norm, *drop, Dense(1)]
        self.g = Generator(g, INIT, LATENTS.dim, SHAPE, num_labels, seed)
        self.d = Discriminator(d, INIT, SHAPE, num_labels, seed)
        self.calls: list[Call] = []
        players = Recorded("g", self.g, self), Recorded("d", self.d, self)
        numbers = SGD(learning_rate=RATE)
        optimizers = [FusedSGD(numbers, [v.value for v in net.trainable_variables]) for net in (self.g, self.d)]
        self.game = Game(**knobs)
        self.gan = GAN(*players, *optimizers, self.game, LATENTS, num_labels, seed, moments)

    def weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [v.numpy() for v in self.g.trainable_variables], [v.numpy() for v in self.d.trainable_variables]

    def play(self, step: int) -> dict[str, float]:
        """One step; its metrics by name, its calls in `calls`."""
        self.calls.clear()
        row = self.gan.play(tf.constant(step, tf.int64), *batch(step, self.game))
        assert {*row} == {*self.gan.metric_names}
        return {name: float(value) for name, value in row.items()}


def batch(step: int, game: Game) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(100 + step)
    lead = (B, game.d_steps) if game.real_batches > 1 else (B,)
    return tf.constant(rng.uniform(-1, 1, (*lead, *SHAPE)), tf.float32), tf.constant(
        rng.integers(0, 10, lead), tf.int32
    )


# The reference: float64, probabilities and their logarithms as the posts write them, plain gradient descent.


def forward(weights: list[tf.Tensor], x: tf.Tensor, labels: Any, role: str) -> tf.Tensor:
    if labels is not None:
        x = tf.concat([x, tf.one_hot(labels, 10, dtype=tf.float64)], axis=1)
    a, b, c, d = weights
    hidden = x @ a + b
    hidden = tf.tanh(hidden) if role == "g" else tf.nn.leaky_relu(hidden, 0.2)
    out = hidden @ c + d
    return tf.tanh(out) if role == "g" else tf.sigmoid(out[:, 0])


class Reference:
    """Plays a game step by step, given the latents and labels that were drawn."""

    def __init__(self, table: Table) -> None:
        self.game = table.game
        self.g, self.d = ([tf.Variable(w, dtype=tf.float64) for w in weights] for weights in table.weights())
        self.metrics: dict[str, float] = {}

    def play(self, drawn: list[tuple[np.ndarray, Any]], real: Any, labels: Any) -> None:
        game, draws = self.game, iter(drawn)
        real = tf.cast(real, tf.float64)
        if game.fakes == "shared":
            z, y = next(draws)
            fakes = self.fakes(z, y)
            if game.first == "discriminator":
                self.d_update(real, labels, fakes, y)
                self.g_update(z, y)
            else:
                self.g_update(z, y)
                self.d_update(real, labels, fakes, y)
            return
        for i in range(game.d_steps):
            x, x_labels = (
                (real[:, i], None if labels is None else labels[:, i]) if game.real_batches > 1 else (real, labels)
            )
            z, y = next(draws)
            self.d_update(x, x_labels, self.fakes(z, y), y)
        for _ in range(game.g_steps):
            self.g_update(*next(draws))

    def fakes(self, z: np.ndarray, labels: Any) -> tf.Tensor:
        return tf.stop_gradient(forward(self.g, tf.cast(z, tf.float64), labels, "g"))

    def d_update(self, real: tf.Tensor, labels: Any, fakes: tf.Tensor, fake_labels: Any) -> None:
        keep, scale = 1 - self.game.smoothing, 0.5 if self.game.d_loss == "half_sum" else 1.0
        real, losses = tf.reshape(real, [B, -1]), {}

        def loss(part: str) -> tf.Tensor:
            if part == "d_real":
                p = forward(self.d, real, labels, "d")
                losses["p_real"] = tf.reduce_mean(p)
                losses[part] = -tf.reduce_mean(keep * tf.math.log(p) + (1 - keep) * tf.math.log(1 - p))
            else:
                p = forward(self.d, fakes, fake_labels, "d")
                losses["p_fake"] = tf.reduce_mean(p)
                losses[part] = -tf.reduce_mean(tf.math.log(1 - p))
            return scale * losses[part]

        for parts in [["d_real", "d_fake"]] if self.game.d_update == "joint" else [["d_real"], ["d_fake"]]:
            with tf.GradientTape() as tape:
                total = tf.add_n([loss(part) for part in parts])
            self.descend(self.d, tape.gradient(total, self.d))
        self.metrics |= {name: float(value) for name, value in losses.items()}
        self.metrics["d_loss"] = scale * (self.metrics["d_real"] + self.metrics["d_fake"])

    def g_update(self, z: np.ndarray, labels: Any) -> None:
        with tf.GradientTape() as tape:
            p = forward(self.d, forward(self.g, tf.cast(z, tf.float64), labels, "g"), labels, "d")
            loss = tf.reduce_mean(tf.math.log(1 - p) if self.game.loss == "minimax" else -tf.math.log(p))
        self.descend(self.g, tape.gradient(loss, self.g))
        self.metrics["g_loss"] = float(loss)

    @staticmethod
    def descend(weights: list[tf.Variable], gradients: Any) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(RATE * gradient)


GAMES: list[dict[str, Any]] = [
    {"d_dropout_in_g_step": False},  # P000
    {"fakes": "shared", "smoothing": 0.1},  # P002
    {"first": "generator", "fakes": "shared", "d_loss": "half_sum"},  # P003
    {"d_update": "separate"},  # P001
    {"loss": "minimax"},
    {"d_steps": 3},
    {"d_steps": 2, "fresh_real": True},
    {"d_steps": 1, "fresh_real": True},  # P004
    {"g_steps": 2, "d_loss": "half_sum"},
    {"d_steps": 2, "g_steps": 2, "d_update": "separate", "d_loss": "half_sum", "smoothing": 0.2, "loss": "minimax"},
]


@pytest.mark.parametrize("num_labels", [0, 10])
@pytest.mark.parametrize("knobs", GAMES, ids=str)
def test_against_the_reference(knobs: dict[str, Any], num_labels: int) -> None:
    table = Table(num_labels, **knobs)
    reference = Reference(table)
    for step in range(3):
        metrics = table.play(step)
        images, labels = batch(step, table.game)
        drawn = [(call.x, call.labels) for call in table.calls if call.role == "g"]
        reference.play(drawn, images, labels if num_labels else None)
        for ours, theirs in zip(itertools.chain(*table.weights()), (*reference.g, *reference.d), strict=True):
            assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6)
        for name, value in reference.metrics.items():
            assert_allclose(metrics[name], value, rtol=2e-4, atol=1e-6, err_msg=name)
        assert set(metrics) == set(reference.metrics)


def test_the_games_really_differ() -> None:
    """Else the reference could agree with every one of them by chance."""
    ends = []
    for knobs in GAMES[1:]:  # the first's knob is about dropout alone
        table = Table(**knobs)
        table.play(0)
        ends.append(np.concatenate([w.ravel() for w in itertools.chain(*table.weights())]))
    for a, b in itertools.combinations(ends, 2):
        assert np.abs(a - b).max() > 1e-4


def roles(table: Table) -> str:
    return "".join(call.role for call in table.calls)


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({}, "gd" + "gd"),  # fakes and one stacked D pass; then G through D
        ({"d_steps": 3}, "gdgdgd" + "gd"),
        ({"g_steps": 2}, "gd" + "gdgd"),
        ({"d_update": "separate"}, "dgd" + "gd"),
        ({"fakes": "shared"}, "g" + "dd"),
        ({"fakes": "shared", "first": "generator"}, "g" + "dd"),
    ],
    ids=str,
)
def test_who_is_called_when(knobs: dict[str, Any], expected: str) -> None:
    table = Table(**knobs)
    table.play(0)
    assert roles(table) == expected


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return any((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("knobs", GAMES, ids=str)
def test_only_the_player_whose_turn_it_is_moves(knobs: dict[str, Any]) -> None:
    table = Table(**knobs)
    table.play(0)
    generator_first, game, calls = knobs.get("first") == "generator", table.game, table.calls
    start, last = calls[0], calls[-1]
    end_g, end_d = table.weights()
    if generator_first:
        assert moved(start.g, last.g), "G has moved when D is trained"
        assert not moved(start.d, last.d), "and D moves last"
        assert moved(last.d, end_d)
        assert not moved(last.g, end_g)
    else:
        turns = game.g_steps if game.fakes == "fresh" else 1
        first_of_g = [call for call in calls if call.role == "d"][-turns]
        assert not moved(start.g, first_of_g.g), "G stands still while D is trained"
        assert moved(start.d, first_of_g.d)
        assert not moved(first_of_g.d, end_d), "D stands still while G is trained"
        assert moved(first_of_g.g, end_g)


def test_fresh_fakes_have_new_latents_at_every_turn_and_shared_ones_do_not() -> None:
    table = Table(d_steps=2, g_steps=2)
    table.play(0)
    latents = [call.x for call in table.calls if call.role == "g"]
    assert len(latents) == 4
    table.play(1)
    latents += [call.x for call in table.calls if call.role == "g"]
    for a, b in itertools.combinations(latents, 2):
        assert np.abs(a - b).max() > 0.1
    again = Table(d_steps=2, g_steps=2)
    again.play(0)
    assert_array_equal(again.calls[0].x, latents[0])
    other = Table(seed=1, d_steps=2).gan.draw_noise(0, B)["d0"].latents
    assert np.abs(other - again.calls[0].x).max() > 0.1


@pytest.mark.parametrize("first", ["discriminator", "generator"])
def test_shared_fakes_are_what_both_players_see(first: Any) -> None:
    table = Table(num_labels=10, fakes="shared", first=first)
    table.play(0)
    fakes = table.calls[0]
    in_d = next(call for call in table.calls if call.role == "d" and len(call.x) == 2 * B)
    in_g = next(call for call in table.calls if call.role == "d" and len(call.x) == B)
    assert_array_equal(in_d.x[B:], fakes.out)
    assert_array_equal(in_g.x, fakes.out)
    assert_array_equal(in_d.labels[B:], fakes.labels)  # type: ignore[index]
    assert_array_equal(in_g.labels, fakes.labels)  # type: ignore[arg-type]


def test_real_examples_keep_their_labels_and_fakes_get_the_ones_they_were_drawn_with() -> None:
    table = Table(num_labels=10, d_steps=2, fresh_real=True)
    table.play(4)
    images, labels = batch(4, table.game)
    for turn, (g_call, d_call) in enumerate(zip(table.calls[0:4:2], table.calls[1:4:2], strict=True)):
        assert_array_equal(d_call.x[:B], images[:, turn])
        assert_array_equal(d_call.labels[:B], labels[:, turn])  # type: ignore[index]
        assert_array_equal(d_call.x[B:], g_call.out)
        assert_array_equal(d_call.labels[B:], g_call.labels)  # type: ignore[index]
    in_g = table.calls[-1]
    assert_array_equal(in_g.labels, table.calls[-2].labels)  # type: ignore[arg-type]


def test_fake_labels_are_uniform_and_new_at_every_step() -> None:
    table = Table(num_labels=10)
    labels = np.concatenate([table.gan.draw_noise(step, 100)["d0"].labels for step in range(20)])
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


@pytest.mark.parametrize("on", [False, True])
def test_d_dropout_in_the_g_step_is_a_knob(on: bool) -> None:
    table = Table(dropout=0.5, d_dropout_in_g_step=on)
    table.play(0)
    assert [call.training for call in table.calls] == [True, True, True, on]


@pytest.mark.parametrize(
    ("knobs", "streams"),  # of G's draws, D's real and fake passes, and D's passes in G's turns
    [
        ({"d_steps": 2, "g_steps": 2}, 4 + 2 * 2 + 2),
        ({"d_steps": 2, "g_steps": 2, "d_update": "separate"}, 4 + 2 * 2 + 2),
        ({"fakes": "shared"}, 1 + 2 + 1),
        ({"fakes": "shared", "first": "generator"}, 1 + 2 + 1),
    ],
    ids=str,
)
def test_every_dropout_has_a_seed_of_its_own(knobs: dict[str, Any], streams: int) -> None:
    table = Table(dropout=0.5, **knobs)
    seeds = []
    for step in range(2):
        table.play(step)
        seeds += [tuple(seed) for call in table.calls for seed in call.seed.reshape(-1, 2)]
    assert len(set(seeds)) == len(seeds) == 2 * streams


@pytest.mark.parametrize(
    "knobs", [{}, {"fakes": "shared"}, {"fakes": "shared", "first": "generator"}, {"d_steps": 2}], ids=str
)
def test_one_stacked_d_pass_equals_two(knobs: dict[str, Any]) -> None:
    """With dropout: real and fake keep their own masks."""
    one, two = Table(num_labels=10, dropout=0.5, **knobs), Table(num_labels=10, dropout=0.5, **knobs)
    two.gan.discriminator.uses_batch_statistics = True
    for step in range(3):
        assert_allclose(list(one.play(step).values()), list(two.play(step).values()), rtol=1e-5, atol=1e-6)
        assert len(two.calls) > len(one.calls)
    for a, b in zip(itertools.chain(*one.weights()), itertools.chain(*two.weights()), strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_real_and_fake_are_apart_where_d_takes_batch_statistics() -> None:
    table = Table(norm=[BatchNorm()])
    table.play(0)
    assert [len(call.x) for call in table.calls if call.role == "d"] == [B, B, B]
    table = Table(norm=[BatchNorm()], d_batches="together")
    table.play(0)
    assert [len(call.x) for call in table.calls if call.role == "d"] == [2 * B, B]


def test_the_separate_update_draws_its_fakes_after_the_real_update() -> None:
    table = Table(d_update="separate")
    table.play(0)
    real, _, fake, *_ = table.calls
    assert_array_equal(real.x, batch(0, table.game)[0])
    assert moved(real.d, fake.d)


def test_losses_after_the_update_use_the_steps_batch_and_latents_again() -> None:
    table = Table(fakes="shared", smoothing=0.1)
    table.play(5)
    latents = table.calls[0].x
    before = table.weights()
    images, labels = batch(5, table.game)
    table.calls.clear()
    found = {name: float(value) for name, value in table.gan.losses(tf.constant(5, tf.int64), images, labels).items()}
    assert_array_equal(table.calls[0].x, latents)
    reference = Reference(table)
    fakes = reference.fakes(latents, None)
    p_fake = forward(reference.d, fakes, None, "d")
    reference.d_update(tf.cast(images, tf.float64), None, fakes, None)
    for name in ("d_loss", "d_real", "d_fake"):
        assert_allclose(found[name], reference.metrics[name], rtol=1e-4)
    assert_allclose(found["g_loss"], -np.log(p_fake).mean(), rtol=1e-4)
    assert not moved(list(itertools.chain(*before)), list(itertools.chain(*table.weights())))


def test_asking_for_losses_moves_nothing_not_even_running_statistics() -> None:
    table = Table(fakes="shared", norm=[BatchNorm()])
    before = [v.numpy() for v in table.d.variables]
    table.gan.losses(tf.constant(0, tf.int64), *batch(0, table.game))
    assert not moved(before, [v.numpy() for v in table.d.variables])


def test_moments_of_the_real_and_the_generated_numbers() -> None:
    table = Table(moments=True)
    metrics = table.play(0)
    real, fakes = batch(0, table.game)[0].numpy(), table.calls[0].out
    expected = {"real_mean": real.mean(), "real_std": real.std(), "fake_mean": fakes.mean(), "fake_std": fakes.std()}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert "fake_std" not in Table().play(0)


def test_global_mean_is_the_mean_outside_of_a_strategy() -> None:
    assert_allclose(global_mean(tf.constant([1.0, 2.0, 6.0])), 3.0)


def plain_pair() -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    g = keras.Sequential([keras.Input((3,)), layers.Dense(8, "relu"), layers.Dense(4, "tanh"), layers.Reshape(SHAPE)])
    d = keras.Sequential([layers.Flatten(), layers.Dense(8, "relu"), layers.Dropout(0.1), layers.Dense(1)])
    return g, d


def test_two_plain_keras_models_are_a_game() -> None:
    g, d = plain_pair()
    gan = GAN(g, d, keras.optimizers.Adam(2e-3), keras.optimizers.Adam(2e-3))
    assert gan.latents == Latents(dim=3)
    before = [[v.numpy() for v in net.trainable_variables] for net in (g, d)]
    rows = [gan.step(i, batch(i, gan.game)[0].numpy()) for i in range(3)]
    assert {*rows[0]} == {"d_loss", "d_real", "d_fake", "g_loss", "p_real", "p_fake"}
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert all(moved(a, [v.numpy() for v in net.trainable_variables]) for a, net in zip(before, (g, d), strict=True))
    # Keras' Adam moves each weight by about the rate in its first step, whatever the gradient.
    first = GAN(*plain_pair(), keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    weights = [v.numpy() for v in first.discriminator.model.trainable_variables]
    first.step(0, batch(0, first.game)[0])
    changes = [
        np.abs(v.numpy() - w) for v, w in zip(first.discriminator.model.trainable_variables, weights, strict=True)
    ]
    assert max(change.max() for change in changes) == pytest.approx(1e-3, rel=1e-2)


def test_an_unbuilt_plain_generator_is_trained_too() -> None:
    g, d = keras.Sequential([keras.layers.Dense(4), keras.layers.Reshape(SHAPE)]), plain_pair()[1]
    d.build((None, *SHAPE))
    gan = GAN(g, d, keras.optimizers.Adam(2e-3), keras.optimizers.Adam(2e-3), latents=Latents(dim=3))
    before = [v.numpy() for v in g.trainable_variables]
    gan.step(0, batch(0, gan.game)[0])
    assert moved(before, [v.numpy() for v in g.trainable_variables])


@pytest.mark.parametrize("kind", [np.uint8, np.int64, list])
def test_labels_of_any_whole_number_will_do(kind: Any) -> None:
    config: Any = offline("cgan_concat:smoke")
    real, labels = np.zeros((config.batch_size, 28, 28, 1), np.float32), np.arange(config.batch_size) % 10
    given = labels.tolist() if kind is list else labels.astype(kind)
    rows = [blank_experiment(config).task.step(0, real, which) for which in (labels.astype(np.int32), given)]
    assert rows[0] == rows[1]


def test_a_plain_generator_that_hides_its_width_is_refused_in_one_line() -> None:
    _, d = plain_pair()
    with pytest.raises(UserError, match=r"how wide its latents are: begin it with keras.Input\(\(Z,\)\)"):
        GAN(keras.Sequential([keras.layers.Dense(4)]), d, keras.optimizers.SGD(), keras.optimizers.SGD())


@pytest.mark.parametrize(
    ("knobs", "norm", "words"),
    [
        ({"d_update": "separate", "penalty": "r1"}, False, "game.penalty='r1' is of one D update on real and fake"),
        ({"d_update": "separate", "loss": "relativistic"}, False, "game.loss='relativistic' compares real with fake"),
        ({"fakes": "shared", "d_steps": 3}, False, "game.fakes='shared' needs one joint D update"),
        ({"first": "generator"}, False, "goes with game.fakes='shared'"),
        ({"d_update": "separate", "d_batches": "together"}, False, "needs game.d_update='joint'"),
        ({"loss": "hing"}, False, "no loss 'hing'. Did you mean 'hinge'"),
        ({"penalty": "r1"}, True, "the discriminator's layer 'norm' mixes examples"),
    ],
)
def test_a_game_that_cannot_be_played_is_refused_in_one_line(knobs: Any, norm: bool, words: str) -> None:
    g, d = plain_pair()
    if norm:  # as deep as it may be
        inner = keras.Sequential([keras.layers.Dense(3), keras.layers.BatchNormalization(name="norm")])
        d = keras.Sequential([keras.layers.Flatten(), inner, keras.layers.Dense(1)])
    with pytest.raises(UserError) as refused:
        GAN(g, d, keras.optimizers.SGD(), keras.optimizers.SGD(), Game(**knobs))
    assert words in str(refused.value) and "\\n" not in str(refused.value)


def test_a_penalty_takes_no_network_of_ours_that_mixes_examples() -> None:
    with pytest.raises(UserError, match="layer 'batch_norm' mixes examples"):
        Table(norm=[BatchNorm()], penalty="r1")


def test_a_frozen_batch_norm_mixes_nothing() -> None:
    g, _ = plain_pair()
    norm = keras.layers.BatchNormalization(trainable=False)
    d = keras.Sequential([keras.layers.Flatten(), norm, keras.layers.Dense(1)])
    gan = GAN(g, d, keras.optimizers.SGD(), keras.optimizers.SGD(), Game(penalty="r1"))
    assert gan.step(0, batch(0, gan.game)[0])["penalty"] > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_in_the_game(loss: str) -> None:
    table = Table(loss=loss)
    before = table.weights()
    metrics = table.play(0)
    terms = [value for name, value in metrics.items() if name.startswith("d_") and name != "d_loss"]
    assert metrics["d_loss"] == pytest.approx(sum(terms), rel=1e-6)
    assert all(moved(a, b) for a, b in zip(before, table.weights(), strict=True))


def test_a_loss_from_outside_is_one_function_and_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    squares = lambda: Loss(
        {"d_real": lambda r, f: (r - 3) ** 2, "d_fake": lambda r, f: (f + 3) ** 2}, lambda r, f: (f - 3) ** 2
    )
    monkeypatch.setitem(LOSSES, "squares", squares)
    table = Table(loss="squares")
    metrics = table.play(0)
    judged = [call for call in table.calls if call.role == "d"]
    real, fake = np.split(judged[0].out, 2)
    assert metrics["d_real"] == pytest.approx(np.mean((real - 3) ** 2), rel=1e-5)
    assert metrics["d_fake"] == pytest.approx(np.mean((fake + 3) ** 2), rel=1e-5)
    assert metrics["g_loss"] == pytest.approx(np.mean((judged[1].out - 3) ** 2), rel=1e-5)
