"""Any Keras models in the networks' place: trained, resumed, sampled, exported, reported; what they cannot do is said."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from runs import nothing_drawn

import tfgan_lab
from tfgan_lab.config import override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.keras_models import hold
from tfgan_lab.training.restored import restore_run

L = keras.layers


def pair(units: int = 16, activation: str = "relu") -> dict[str, Any]:
    """A generator with BatchNorm and a discriminator with dropout, always the same."""
    keras.utils.set_random_seed(3)
    return {
        "generator": keras.Sequential(
            [keras.Input((7,)), L.Dense(units, activation), L.BatchNormalization(), L.Dense(784, "tanh"), L.Reshape((28, 28, 1))]
        ),
        "discriminator": keras.Sequential([keras.Input((28, 28, 1)), L.Flatten(), L.Dense(16), L.Dropout(0.5), L.Dropout(0.5), L.Dense(1)]),
    }  # fmt: skip


def config_of(reference: str = "mlp_gan:smoke", **changes: str) -> Any:
    few = {"data.source": "embedded", "batch_size": "50", "metrics.epochs": "0", "checkpoint.steps": "2"}
    return override(load_config(reference), few | {"steps": "4"} | changes)


def weights_of(run: Any) -> list[np.ndarray]:
    networks = restore_run(run.path).networks.values()
    return [v.numpy() for network in networks for v in network.variables]


def in_order(model: Any) -> list[np.ndarray]:
    """What of a model is trained, then its running statistics: as our networks keep them."""
    return [v.numpy() for v in sorted(model.weights, key=lambda v: not v.trainable)]


def test_a_pair_trains_resumes_bit_for_bit_exports_and_is_reported(tmp_path: Path) -> None:
    whole = tfgan_lab.train(config_of(), tmp_path / "whole", **pair(), verbose=False)
    with nothing_drawn():
        tfgan_lab.train(config_of(steps="2"), tmp_path / "parts", **pair(), verbose=False)
        parts = tfgan_lab.train(config_of(), tmp_path / "parts", **pair(), verbose=False)
    assert parts.first == 2
    for a, b in zip(weights_of(whole), weights_of(parts), strict=True):
        np.testing.assert_array_equal(a, b)
    # All of a pair's weights have moved, its running statistics too.
    for before, after in zip((v for model in pair().values() for v in in_order(model)), weights_of(whole), strict=True):
        assert np.abs(before - after).max() > 0
    drawn = load_generator(whole.path).sample(3, seed=1)
    np.testing.assert_allclose(drawn, whole.generator().sample(1, 3), atol=1e-6)
    assert whole.config.latents.dim == 7 and whole.samples().shape[1:] == (28, 28, 1)
    assert "the generator" in (whole.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_dropout_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    with nothing_drawn():
        rows = [
            tfgan_lab.train(config_of(seed=seed, steps="1"), tmp_path / str(number), **pair(), verbose=False).rows
            for number, seed in enumerate("001")
        ]
    assert rows[0] == rows[1] != rows[2]


def test_it_computes_what_keras_computes() -> None:
    from tfgan_lab.networks import Generator

    model = pair()["generator"]
    config = config_of()
    network = Generator([hold(model, "generator")], config.g_init, 7, (28, 28, 1))
    z = tf.random.stateless_normal([5, 7], [1, 2])
    for training in (False, True):
        np.testing.assert_allclose(network(z, training=training), model(z, training=training), atol=1e-6)
    for ours, theirs in zip(network.variables, in_order(model), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


@pytest.mark.slow
def test_a_conditional_pair(tmp_path: Path) -> None:
    z, x, y = keras.Input((6,)), keras.Input((28, 28, 1)), keras.Input((), dtype="int32")
    one_hot = L.CategoryEncoding(10, "one_hot")(y)
    drawn = L.Reshape((28, 28, 1))(L.Dense(784, "tanh")(L.Concatenate()([z, one_hot])))
    judged = L.Dense(1)(L.Concatenate()([L.Flatten()(x), one_hot]))
    models = {"generator": keras.Model([z, y], drawn), "discriminator": keras.Model([x, y], judged)}
    run = tfgan_lab.train(config_of("cgan_concat:smoke"), tmp_path / "run", **models, verbose=False)
    one, other = (run.generator().sample(1, 2, label).numpy() for label in (0, 1))
    assert np.abs(one - other).max() > 0


@pytest.mark.slow
def test_one_player_may_be_a_model_and_two_replicas_train_it(tmp_path: Path) -> None:
    models = {"discriminator": pair()["discriminator"]}
    config = config_of(placement="mirrored", replicas="2")
    with nothing_drawn():
        run = tfgan_lab.train(config, tmp_path / "run", **models, verbose=False)
    assert next(np.isfinite(row["d_loss"]) for row in run.rows if row["kind"] == "train")


Sequential, Input = keras.Sequential, keras.Input


@pytest.mark.parametrize(
    ("role", "make", "words"),
    [
        ("generator", lambda: "net", "generator: this is a str, not a Keras model"),
        ("generator", lambda: Sequential([L.Dense(784)]), "generator: the model is not built: begin it with keras.Input"),
        ("generator", lambda: Sequential([Input((7,)), L.Dense(5)]), "its layers draw [5] images but the data's are [28, 28, 1]"),
        ("discriminator", lambda: Sequential([Input((9,)), L.Dense(1)]), "discriminator.0 (keras_model) takes no [28, 28, 1]"),
        ("discriminator", lambda: Sequential([Input((28, 28, 1)), L.Flatten(), L.Dense(2)]), "not in one logit"),
        ("generator", lambda: keras.Model(z := Input((7,)), [z, z]), "gives a list of outputs: give a model of one output"),
        ("generator", lambda: Sequential([Input((7,)), L.Dense(784, kernel_regularizer="l2")]), "adds losses of its own"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(role: str, make: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        tfgan_lab.train(config_of(), tmp_path / "run", verbose=False, **{role: make()})
    assert words in str(refused.value) and "\\n" not in str(refused.value)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_penalty_goes_with_a_model_without_batch_norm_only(tmp_path: Path) -> None:
    flat, config = [Input((28, 28, 1)), L.Flatten()], config_of(**{"game.penalty": "r1"})
    normed = Sequential([*flat, L.Dense(4), L.BatchNormalization(name="norm"), L.Dense(1)])
    with pytest.raises(UserError, match="config: .*layer 'norm' mixes examples") as refused:
        tfgan_lab.train(config, tmp_path / "run", verbose=False, discriminator=normed)
    assert "\\n" not in str(refused.value) and not (tmp_path / "run" / "config.json").exists()
    held = hold(Sequential([*flat, L.Dense(1)]), "discriminator")
    assert validate(dataclasses.replace(config, discriminator=[held]))


@pytest.mark.slow
def test_another_model_does_not_resume_the_run(tmp_path: Path) -> None:
    with nothing_drawn():
        tfgan_lab.train(config_of(steps="2"), tmp_path, **pair(), verbose=False)
        keras.Sequential([L.Dense(3)])  # Keras counts names through a program
        tfgan_lab.train(config_of(steps="2"), tmp_path, **pair(), verbose=False)
    with pytest.raises(UserError, match=r"generator\.0\.architecture"):
        tfgan_lab.train(config_of(), tmp_path, **pair(activation="gelu"), verbose=False)
    command = [sys.executable, "-m", "tfgan_lab", "train", f"--workdir={tmp_path}", "--config.steps=4"]
    other = subprocess.run(command, capture_output=True, text=True)
    assert other.returncode == 2 and "is a Keras model that this program does not know" in other.stderr
