"""Outcomes of the ledger's runs, ours and of a peer's weights in our networks, against independent computations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from runs import nothing_drawn

from tfgan_lab.data import open_source
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.studies import outcomes

pytestmark = pytest.mark.slow


def test_a_conditional_runs_outcome(tmp_path: Path) -> None:
    with nothing_drawn():
        found = outcomes.our_outcome(offline("cgan_concat:smoke"), tmp_path / "run", None)
    assert found["seed"] == 0
    assert found["data"]["train"]["count"] > 1000
    assert {"p_real", "p_fake", "d_loss_now", "g_loss_now", "digits", "frechet", "label_accuracy", "g_loss_end"} <= set(
        found["numbers"]
    )


def test_the_losses_of_a_game_with_a_fresh_real_batch_for_each_update_are_of_the_first() -> None:
    from tfgan_lab.training.experiment import build

    config: Any = offline("hinge:smoke")
    assert config.game.real_batches > 1
    numbers = outcomes.measure(build(config, open_source(config.data, None)))
    assert {"d_loss_now", "g_loss_now", "frechet"} <= set(numbers)


@pytest.mark.parametrize(("turn", "low", "high"), [(0, 0.95, 1.0), (1, 0.0, 0.05)])
def test_label_accuracy_is_of_the_labels_asked_for(turn: int, low: float, high: float) -> None:
    """A generator that looks real digits of the asked class up; and one that is a class off."""
    import tensorflow as tf

    from tfgan_lab.evaluation.monitor import Monitor
    from tfgan_lab.export.saved_model import GeneratorModule
    from tfgan_lab.training.experiment import build

    config: Any = offline("cgan_concat:smoke")
    source = open_source(config.data, None)
    test: Any = source.test
    experiment = build(config, source)
    monitor = Monitor(experiment)
    one_each = np.stack([test.images[np.flatnonzero(test.labels == label)[3]] for label in range(10)])
    table = tf.constant(one_each / 127.5 - 1, tf.float32)
    module = GeneratorModule(experiment.networks["generator"], config)
    module._generate = lambda latents, labels: tf.gather(table, (labels + turn) % 10)
    monitor._samplers = {"": lambda num, seed: module.sample(tf.constant(seed, tf.int64), tf.constant(num)).numpy()}
    assert low <= monitor()["label_accuracy"] <= high


def test_of_other_data_the_monitor_says_only_that_the_judge_does_not_know_it() -> None:
    """Labels turned by one: the judge knows none of these "digits"."""
    import dataclasses

    from tfgan_lab.evaluation.monitor import Monitor
    from tfgan_lab.training.experiment import build

    config: Any = offline("mlp_gan:smoke")
    source = open_source(config.data, None)
    test: Any = source.test
    strange = dataclasses.replace(source, test=dataclasses.replace(test, labels=(test.labels + 1) % 10))
    found = Monitor(build(config, strange))()
    assert list(found) == ["judge_accuracy"] and found["judge_accuracy"] < 0.02


def test_an_outcome_says_what_the_run_was_trained_on_not_what_is_found_now(tmp_path: Path) -> None:
    config = offline("mlp_gan:smoke")
    outcomes.our_outcome(config, tmp_path / "run", None)
    record = tmp_path / "run" / "run.json"
    facts = json.loads(record.read_text())
    facts["data"]["train"]["sha256"] = "0" * 64
    record.write_text(json.dumps(facts))
    with pytest.raises(UserError, match="trained on other data"):
        outcomes.our_outcome(config, tmp_path / "run", None)


def test_a_finished_run_is_measured_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgan_lab import trainer

    config = offline("gaussian:smoke")
    first = outcomes.our_outcome(config, tmp_path / "run", None)

    def refuse(*_: Any) -> None:
        raise AssertionError("it is there already")

    monkeypatch.setattr(trainer, "train", refuse)
    second = outcomes.our_outcome(config, tmp_path / "run", None)
    assert second["numbers"] == first["numbers"]


def test_a_run_that_diverges_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgan_lab import trainer

    def diverge(*_: Any) -> None:
        raise TrainingDiverged("d_loss became nan at step 7: and so on")

    monkeypatch.setattr(trainer, "train", diverge)
    found = outcomes.our_outcome(offline("gaussian:smoke"), tmp_path / "run", None)
    assert found["numbers"] == {}
    assert found["diverged"] == "d_loss became nan at step 7"


def test_a_peers_outcome_is_what_torch_says(tmp_path: Path) -> None:
    """The same peer trained again, D(x) over the test split computed by torch alone."""
    torch = pytest.importorskip("torch")
    from tfgan_lab.parity.peers import make_peer
    from tfgan_lab.parity.posts_in_torch import p000_mlp_gan

    config: Any = offline("mlp_gan:hidden=16", batch_size="20", steps="30", seed="4")
    found = outcomes.peer_outcome(config, tmp_path / "peer", None)
    source = open_source(config.data, None)
    train: Any = source.train
    test: Any = source.test
    peer = make_peer(config, 4)
    images = torch.from_numpy(train.images.reshape(train.num, -1)).float() / 255 * 2 - 1
    p000_mlp_gan.train(images, torch.from_numpy(train.labels).long(), 30, 20, 4 + 2**31, peer)
    peer.discriminator.eval()
    with torch.no_grad():
        p_real = peer.discriminator(torch.from_numpy(test.images.reshape(test.num, -1)).float() / 255 * 2 - 1)
    np.testing.assert_allclose(found["numbers"]["p_real"], float(p_real.mean()), rtol=1e-4)
    other = outcomes.peer_outcome(
        offline("mlp_gan:hidden=16", batch_size="20", steps="30", seed="5"),
        tmp_path / "other",
        None,
    )
    assert other["numbers"]["p_real"] != found["numbers"]["p_real"]


def test_a_peers_kept_weights_are_measured_as_if_it_had_been_trained_here(tmp_path: Path) -> None:
    """What `evidence/train_peers.py` leaves, on a machine of its own, gives the outcome that training here gives."""
    pytest.importorskip("torch")
    import runpy
    import sys

    script = Path(__file__).resolve().parents[1] / "evidence" / "train_peers.py"
    arm = "mlp_gan:hidden=16,batch_size=20,steps=30,data.source=embedded"
    config: Any = offline("mlp_gan:hidden=16", batch_size="20", steps="30", seed="4", placement="one")
    source: Any = open_source(config.data, None)
    np.savez(
        tmp_path / "digits.npz",
        images=source.train.images,
        labels=source.train.labels,
        sha256=source.provenance["train"].sha256,
    )
    argv = ["train_peers.py", f"--workdir={tmp_path}", f"--data_dir={tmp_path / 'digits.npz'}", "--device=cpu", "--first_seed=4", "--seeds=1", arm]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        runpy.run_path(str(script), run_name="__main__")
    kept = outcomes.peer_outcome(config, tmp_path / arm / "peer,seed=4", None)
    assert kept["torch"]
    assert kept["numbers"] == outcomes.peer_outcome(config, tmp_path / "here", None)["numbers"]
    longer = offline("mlp_gan:hidden=16", batch_size="20", steps="31", seed="4", placement="one")
    with pytest.raises(UserError, match="31"):
        outcomes.peer_outcome(longer, tmp_path / arm / "peer,seed=4", None)


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("mlp_gann", "there is no config 'mlp_gann'"),
        ("mlp_gan,epochs", "'epochs' is no FIELD=VALUE"),
        ("gaussian", "its numbers are drawn"),
        ("mlp_gan", "/nowhere is not a folder"),
        ("mlp_gan,steps=15,data.source=embedded", "15 steps, 22 an epoch; on a GPU both must be multiples of 10"),
    ],
)
def test_what_the_peers_training_cannot_do_is_one_line(arm: str, words: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import subprocess
    import sys

    script = Path(__file__).resolve().parents[1] / "evidence" / "train_peers.py"
    data = [] if "embedded" in arm else ["--data_dir=/nowhere"]
    command = [sys.executable, script, f"--workdir={tmp_path}", "--device=cuda", *data, arm]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 2
    assert words in found.stderr and found.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
