"""Every config and variant takes its steps on two replicas as on what `auto` finds, or says why it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import REFERENCES, offline
from numpy.testing import assert_allclose

from tfgan_lab import data
from tfgan_lab.config import to_json
from tfgan_lab.data.examples import Examples, Provenance
from tfgan_lab.errors import UserError
from tfgan_lab.placement import strategy
from tfgan_lab.trainer import train
from tfgan_lab.training.engine import XlaEngine, make_engine
from tfgan_lab.training.experiment import build

# Each takes the time of several traces.
_QUICK = ("mlp_gan_smoothed:smoke", "gaussian:raw")
# What is tested whole is not tested small, too; ":conv" is another config's game on the networks of `cgan_conv`.
_WHOLE = [name for name in REFERENCES if not name.endswith((":smoke", ":conv")) or name in _QUICK]
_TRACED = (
    "generator",
    "discriminator",
    "network",
    "game",
    "latents",
    "ema",
    "num_labels",
    "log_losses",
    "precision",
    "kind",
)


def _program(reference: str) -> str:
    """What a step traces: variants that differ in start, rates, length, law or a batch that can be split share it."""
    config = json.loads(to_json(offline(reference)))
    parts: list[Any] = [config.get(name) for name in _TRACED]
    parts += [config.get(name, {}).get("kind") for name in ("g_optimizer", "d_optimizer", "optimizer", "data")]
    return json.dumps([parts, config["batch_size"] > 1, config["batch_size"] % 2], sort_keys=True)


_TRIED = sorted({_program(name): name for name in reversed(_WHOLE)}.values())
_FEW_FILTERS = {
    f"{role}__filters": "8" for role in ("generator__3", "generator__6", "discriminator__0", "discriminator__3")
}
# What would take seconds a step, with fewer filters or images.
_SMALLER = {
    "dcgan_montage": _FEW_FILTERS,
    "dcgan_montage:leaky_relu": _FEW_FILTERS,
    "dcgan_montage:bfloat16": _FEW_FILTERS,
    "dcgan_montage:small": {"batch_size": "4"},
    "stacked": {"batch_size": "4"},
}


def source_of(config: Any, embedded: dict[str, Examples], rng: np.random.Generator) -> data.Source:
    if config.data.is_endless or config.data.kind == "stacked":
        return data.open_source(config.data, None)
    if config.data.kind == "mnist":
        return data.Source(embedded["train"], embedded["test"], "data: embedded digits")
    shape = (config.data.size, config.data.size, 3)
    images = rng.integers(0, 256, (8, *shape)).astype(np.uint8)
    return data.Source(Examples(8, shape, Provenance("noise", "train", 8, "-"), images), None, "data: noise")


def two_steps(config: Any, source: data.Source) -> tuple[int, np.ndarray]:
    """The number of replicas and the metrics, of the loop: compiling by XLA would take most of the time here."""
    experiment = build(config, source)
    parts = experiment.strategy, experiment.task, experiment.batches
    replicas = experiment.strategy.num_replicas_in_sync
    assert isinstance(make_engine(config.compile, *parts), XlaEngine) == (config.compile == "xla" and replicas == 1)
    return replicas, make_engine("loop", *parts).run(0, 2)


@pytest.mark.parametrize(
    "reference", [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in _TRIED]
)
def test_two_steps_on_two_replicas_and_through_auto(
    reference: str, embedded: dict[str, Examples], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto, mirrored = (
        offline(reference, placement=where, **_SMALLER.get(reference, {})) for where in ("auto", "mirrored")
    )
    source = source_of(auto, embedded, rng)
    replicas, alone = two_steps(auto, source)
    assert replicas == 1 and np.isfinite(alone).all()
    reason = (
        "reads its whole batch" if auto.data.batch_is_one_example else "a multiple of 2" if auto.batch_size % 2 else ""
    )
    if reason:
        with pytest.raises(UserError, match=reason):
            build(mirrored, source)
    else:
        replicas, together = two_steps(mirrored, source)
        assert replicas == 2
        assert_allclose(together[0], alone[0], rtol=1e-3, atol=1e-4)
        assert np.isfinite(together).all()
    # On a machine with two GPUs `auto` splits what can be split.
    listed = tf.config.list_logical_devices("CPU")
    monkeypatch.setattr(strategy.tf.config, "list_logical_devices", lambda kind: listed)
    assert strategy.make_strategy(auto).num_replicas_in_sync == (1 if reason else 2)


@pytest.mark.slow
def test_a_run_that_takes_the_loop_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(offline("mnist_classifier:batched", steps="2", epochs="0", placement="mirrored", replicas="2"), tmp_path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "compile=xla" in line]
    assert "on 2 replicas (compile=xla is for one device: they run the loop)" in line
