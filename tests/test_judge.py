"""The judge: the shipped one is what its facts say and answers as an independent computation; users bring theirs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal, special

from tfgan_lab import trainer
from tfgan_lab.config import ClassifierConfig, from_dict, override, validate
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import judge as judge_lib
from tfgan_lab.evaluation.judge import SHIPPED, Judge, judge_of, load_judge, write_judge
from tfgan_lab.export.saved_model import export_network
from tfgan_lab.networks import build_classifier
from tfgan_lab.supervised import Supervised, shift_images

FACTS = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def shipped() -> Judge:
    return load_judge()


@pytest.fixture(scope="module")
def digits(embedded: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return embedded["test"].images / np.float32(255), embedded["test"].labels


def fresh_judge(reference: str = "mnist_judge") -> tuple[Any, Any]:
    """A config on embedded digits and its untrained network."""
    config: Any = offline(reference)
    return config, build_classifier(config)


def test_the_shipped_weights_are_small_and_are_those_of_their_facts() -> None:
    content = SHIPPED.read_bytes()
    assert len(content) < 1_000_000
    assert hashlib.sha256(content).hexdigest() == FACTS["sha256"]
    with np.load(SHIPPED, allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.float32)}


def test_the_facts_say_how_good_it_is_and_how_it_was_made() -> None:
    test = FACTS["accuracy"]["test"]
    assert test["n"] == 10_000
    assert 0.993 <= test["accuracy"] <= 1
    assert FACTS["trained_on"]["count"] == 55_000
    assert FACTS["command"].startswith("tfgan-lab train --config=mnist_judge ")
    config = from_dict(FACTS["fields"])
    assert config.name == "mnist_judge"
    assert round(config.epochs * 550) == FACTS["steps"]


def test_the_shipped_facts_are_of_the_config_as_it_stands() -> None:
    from tfgan_lab.config_files import load_config

    now, then = validate(load_config("mnist_judge")), from_dict(FACTS["fields"])
    assert isinstance(now, ClassifierConfig) and isinstance(then, ClassifierConfig)
    assert (then.classifier, then.optimizer) == (now.classifier, now.optimizer)


def test_it_knows_embedded_digits(shipped: Judge, digits: Any) -> None:
    """Measured 0.994 of 500 (some of which it was trained on: the embedded digits are taken from MNIST)."""
    images, labels = digits
    assert 0.985 <= (shipped(images).labels == labels).mean() <= 1


@pytest.mark.full_mnist
def test_it_reaches_the_stated_accuracy_on_both_splits(shipped: Judge, mnist_folder: Path) -> None:
    from tfgan_lab.data.mnist import load_mnist

    splits, _ = load_mnist("idx", str(mnist_folder))
    for name, stated in FACTS["accuracy"].items():
        part = splits[name]
        assert part.provenance.sha256 == stated["sha256"]
        right = int((shipped(part.images / np.float32(255)).labels == part.labels).sum())
        assert abs(right - round(stated["accuracy"] * part.num)) <= 2  # another machine's rounding


def by_hand(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and probabilities of one image [28, 28] from the shipped arrays alone, in float64 with SciPy."""
    with np.load(SHIPPED) as arrays:
        w = {name: arrays[name].astype(np.float64) for name in arrays.files}
    x = image[..., None].astype(np.float64)
    for place, stride in ((0, 1), (3, 2), (6, 1), (9, 2)):
        kernel, bias = w[f"{place}_conv_kernel"], w[f"{place}_conv_bias"]
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (w[f"{place + 1}_batch_norm_{name}"] for name in names)
        maps = [
            sum(
                signal.correlate2d(x[..., c], kernel[..., c, f], "valid")[::stride, ::stride]
                for c in range(x.shape[-1])
            )
            for f in range(kernel.shape[-1])
        ]
        x = np.stack(maps, axis=-1) + bias
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
    features = np.maximum(x.ravel() @ w["13_dense_kernel"] + w["13_dense_bias"], 0)
    return features, special.softmax(features @ w["16_dense_kernel"] + w["16_dense_bias"])


def test_it_answers_as_a_computation_by_hand(shipped: Judge, digits: Any) -> None:
    images = digits[0][[3, 260]]
    opinion = shipped(images)
    for k in range(2):
        features, probabilities = by_hand(images[k, ..., 0])
        np.testing.assert_allclose(opinion.features[k], features, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(opinion.probabilities[k], probabilities, rtol=1e-3, atol=1e-5)


def test_its_answers_do_not_depend_on_the_batch(shipped: Judge, digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images = digits[0][:30]
    whole = shipped(images)
    monkeypatch.setattr(judge_lib, "_BATCH", 7)
    np.testing.assert_allclose(shipped(images).features, whole.features, atol=1e-5)
    np.testing.assert_allclose(shipped(images).probabilities, whole.probabilities, atol=1e-6)
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1, atol=1e-5)
    assert whole.features.shape == (30, 64)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.zeros((5, 32, 32, 3)), r"mnist_judge takes images \[28, 28, 1\], these are \[32, 32, 3\]: .*--judge"),
        (np.full((5, 28, 28, 1), 255.0), r"wanted \[0, 1\]"),
        (np.full((5, 28, 28, 1), np.nan), "NaN"),
        (np.zeros((5, 784)), "shape"),
    ],
)
def test_images_it_cannot_judge_are_refused(shipped: Judge, images: np.ndarray, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        shipped(images)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports of untrained networks by config: two classifiers and a generator."""
    from tfgan_lab.networks import build_networks

    folders = {}
    for name in ("mnist_judge", "mnist_classifier", "mlp_gan"):
        config: Any = offline(f"{name}:smoke")
        folders[name] = tmp_path_factory.mktemp(name) / "export"
        network = build_networks(config)
        export_network(config, network.get("classifier") or network["generator"], folders[name], {"step": 0})
    return folders


@pytest.mark.parametrize(("name", "width"), [("mnist_judge", 64), ("mnist_classifier", 250)])
def test_a_users_classifier_judges(exported: Any, digits: Any, name: str, width: int) -> None:
    own = load_judge(exported[name])
    _, network = fresh_judge(f"{name}:smoke")
    images = digits[0][:6]
    opinion = own(images)
    logits = np.asarray(network(images, training=False), np.float64)
    scores = special.expit(logits) if name == "mnist_classifier" else special.softmax(logits, axis=1)
    np.testing.assert_allclose(opinion.scores, scores, atol=1e-5)
    np.testing.assert_allclose(opinion.probabilities, scores / scores.sum(axis=1, keepdims=True), atol=1e-5)
    assert opinion.features.shape == (6, width)
    assert own.facts["name"] == f"{name}:smoke"
    assert len(own.facts["sha256"]) == 64


def test_what_is_no_judge_is_refused(exported: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no classifier that this version exported"):
        load_judge(exported["mlp_gan"])
    with pytest.raises(UserError, match="holds no exported classifier"):
        load_judge(tmp_path)
    shutil.copytree(exported["mnist_judge"], tmp_path / "cut")
    (tmp_path / "cut" / "saved_model.pb").write_bytes(b"\x00\xff" * 50)
    with pytest.raises(UserError, match="is damaged"):
        load_judge(tmp_path / "cut")


def test_weights_that_are_not_those_of_the_facts_are_refused(tmp_path: Path) -> None:
    for suffix in (".npz", ".json"):
        shutil.copy(SHIPPED.with_suffix(suffix), tmp_path / f"own{suffix}")
    load_judge(tmp_path / "own.npz")
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its sha256"):
        load_judge(tmp_path / "own.npz")
    (tmp_path / "own.json").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        load_judge(tmp_path / "own.npz")


def damage(folder: Path, kind: str, exported: dict[str, Path]) -> Path:
    """A judge to name that is none."""
    own = folder / "own.npz"
    for suffix in (".npz", ".json"):
        shutil.copy(SHIPPED.with_suffix(suffix), own.with_suffix(suffix))
    facts: Any = json.loads(json.dumps(FACTS))
    match kind:
        case "a list":
            facts = [1]
        case "no fields":
            del facts["fields"]
        case "odd fields":
            facts["fields"] = {"kind": 3}
        case "a GAN's fields":
            facts["fields"] = dataclasses.asdict(offline("gaussian"))
        case "another network":
            facts["fields"]["classifier"][13]["units"] = 32
        case "no arrays":
            own.write_bytes(b"x" * 100)
        case "too few arrays":
            np.savez(own, a=np.zeros(3))
        case "a foreign SavedModel":
            foreign = tf.Module()
            foreign.weight = tf.Variable([1.0])
            function = tf.function(lambda x: dict.fromkeys(("probabilities", "features", "scores"), x + foreign.weight))
            named = function.get_concrete_function(tf.TensorSpec([None], tf.float32, "x"))
            tf.saved_model.save(foreign, str(folder / "foreign"), signatures={"serving_default": named})
            return folder / "foreign"
        case "wrong shapes":
            foreign = tf.Module()
            foreign.weight = tf.Variable([1.0])
            function = tf.function(
                lambda images: dict.fromkeys(("probabilities", "features", "scores"), images + foreign.weight)
            )
            named = function.get_concrete_function(tf.TensorSpec([None, 28, 28, 1], tf.float32, "images"))
            tf.saved_model.save(foreign, str(folder / "foreign"), signatures={"serving_default": named})
            return folder / "foreign"
        case "a generator":
            return exported["mlp_gan"]
        case "a file":
            (folder / "judge").write_text("x")
            return folder / "judge"
        case "a folder called .npz":
            (folder / "x.npz").mkdir()
            return folder / "x.npz"
    if isinstance(facts, dict):
        facts["sha256"] = hashlib.sha256(own.read_bytes()).hexdigest()
    own.with_suffix(".json").write_text(json.dumps(facts))
    return own


DAMAGES = [
    "a list", "no fields", "odd fields", "a GAN's fields", "another network", "no arrays", "too few arrays", "a foreign SavedModel",
    "wrong shapes", "a generator", "a file", "a folder called .npz",
]  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_or_foreign_judge_is_one_line(kind: str, exported: Any, tmp_path: Path) -> None:
    path = damage(tmp_path, kind, exported)
    with pytest.raises(UserError) as caught:
        load_judge(path)
    assert str(path) in str(caught.value)


@pytest.mark.slow
def test_a_trained_run_is_packed_and_judges_the_same(trained: Any, tmp_path: Path, digits: Any, embedded: Any) -> None:
    folder = trained("mnist_judge:smoke")
    for name in ("confusion.png", "scores.png"):
        assert (folder / name).stat().st_size > 5000
    facts = write_judge(folder, tmp_path / "own.npz")
    packed, exported = load_judge(tmp_path / "own.npz"), load_judge(folder)
    images = digits[0][:50]
    np.testing.assert_allclose(packed(images).features, exported(images).features, atol=1e-5)
    right = (packed(digits[0]).labels == digits[1]).mean()
    assert facts["accuracy"]["test"] == {"accuracy": right, "n": 500, "sha256": embedded["test"].provenance.sha256}
    with pytest.raises(UserError, match="a judge is a classifier"):
        write_judge(trained("mlp_gan:smoke"), tmp_path / "gan.npz")


# Its training.


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_shifts_are_a_function_of_the_seed_and_stay_in_range(most: int, seed: int) -> None:
    images = np.random.default_rng(0).random((12, 9, 7, 2)).astype(np.float32)
    key = tf.constant([seed, 5], tf.int64)
    moved = shift_images(tf.constant(images), most, key).numpy()
    np.testing.assert_array_equal(moved, shift_images(tf.constant(images), most, key).numpy())
    choices = [(y, x) for y in range(-most, most + 1) for x in range(-most, most + 1)]
    for before, after in zip(images, moved, strict=True):
        candidates = (ndimage.shift(before, (y, x, 0), order=0, mode="nearest") for y, x in choices)
        assert any(np.array_equal(candidate, after) for candidate in candidates)


def test_images_move_by_every_allowed_distance() -> None:
    dot = np.zeros((400, 9, 9, 1), np.float32)
    dot[:, 4, 4] = 1
    moved = shift_images(tf.constant(dot), 2, tf.constant([1, 2], tf.int64)).numpy()
    _, rows, columns, _ = np.nonzero(moved)
    assert set(rows) == set(columns) == {2, 3, 4, 5, 6}
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == 25


@pytest.mark.parametrize("loss", ["sigmoid", "softmax"])
def test_losses_are_those_of_scipy(loss: str) -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 5, (20, 10)), rng.integers(0, 10, 20)
    found = Supervised.__new__(Supervised)
    found.loss = loss
    got = found._losses(tf.constant(logits), tf.constant(labels)).numpy()
    log_softmax, one_hot = special.log_softmax(logits, axis=1), np.eye(10)[labels]
    sigmoid = -one_hot * special.log_expit(logits) - (1 - one_hot) * special.log_expit(-logits)
    np.testing.assert_allclose(
        got, -log_softmax[np.arange(20), labels] if loss == "softmax" else sigmoid, rtol=1e-9, atol=1e-12
    )


def test_dropout_and_batch_statistics_are_for_training_only(digits: Any) -> None:
    _, network = fresh_judge()
    images = tf.constant(digits[0][:8])
    still = network(images, training=False).numpy()
    np.testing.assert_array_equal(still, network(images).numpy())
    seed = tf.constant([[3, 4]], tf.int64)
    one = network(images, training=True, seed=seed).numpy()
    assert np.abs(one - network(images, training=True, seed=seed + 1).numpy()).max() > 1e-3
    assert np.abs(one - still).max() > 1e-3


def test_a_net_that_does_not_fit_is_refused() -> None:
    config = offline("mnist_judge")
    with pytest.raises(UserError, match="conv.* has a kernel of 29 x 29"):
        build_classifier(override(config, {"classifier.0.kernel_size": "29"}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"classifier: its layers end in \[9\], not in 10 logits"):
        build_classifier(override(config, {"classifier.16.units": "9"}))  # type: ignore[arg-type]


def test_a_live_network_judges_as_its_export(exported: Any, digits: Any) -> None:
    config, network = fresh_judge("mnist_judge:smoke")
    live = judge_of(network, config, {"name": "live"})
    np.testing.assert_allclose(
        live(digits[0][:5]).features, load_judge(exported["mnist_judge"])(digits[0][:5]).features, atol=1e-5
    )


def test_a_judge_is_read_when_the_team_has_met(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TensorFlow takes no cluster once an op has run, and a judge's loading runs some."""
    done: list[str] = []
    monkeypatch.setattr(trainer, "make_team", lambda config: done.append("team"))
    monkeypatch.setattr(trainer, "judge_for", lambda config: done.append("judge"))
    monkeypatch.setattr(trainer.plain, "train", lambda *_: done.append("train"))
    trainer.train(offline("mlp_gan:smoke", judge="runs/judge"), tmp_path)
    assert done == ["team", "judge", "train"]
