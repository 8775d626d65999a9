"""Outcomes of the ledger's runs: ours, and a peer's weights measured in our networks, against independent computations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline

from tfgan_lab.compare import outcomes
from tfgan_lab.data import open_source
from tfgan_lab.errors import TrainingDiverged
from tfgan_lab.export import load_generator
from tfgan_lab.measure.draws import draw, labels_of

pytestmark = pytest.mark.slow


def test_a_conditional_runs_outcome(tmp_path: Path) -> None:
    """The label accuracy again, from the exported model, with other latents: an untrained net draws one digit for all."""
    from tfgan_lab.judge import load_judge

    found = outcomes.our_outcome(offline("cgan_concat:smoke"), tmp_path / "run", None)
    assert found["seed"] == 0
    assert found["data"]["train"]["count"] > 1000
    numbers = found["numbers"]
    assert {"p_real", "p_fake", "d_loss_now", "g_loss_now", "digits", "frechet", "label_accuracy", "g_loss_end"} <= set(
        numbers
    )
    images = draw(load_generator(tmp_path / "run").sample, 1000, 5, 1000)
    again = (load_judge()(images).labels == labels_of(1000, 10, 1000)).mean()
    assert numbers["label_accuracy"] == pytest.approx(again, abs=0.05)


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
    from tfgan_lab.compare.peers import make_peer
    from tfgan_lab.compare.torch_peers import mlp_gan

    config: Any = offline(
        "mlp_gan", generator__hidden="16,16", discriminator__hidden="16,16", batch_size="20", steps="30", seed="4"
    )
    found = outcomes.peer_outcome(config, tmp_path / "peer", None)
    source = open_source(config.data, None)
    train: Any = source.train
    test: Any = source.test
    peer = make_peer(config, 4)
    images = torch.from_numpy(train.images.reshape(train.num, -1)).float() / 255 * 2 - 1
    mlp_gan.train(images, torch.from_numpy(train.labels).long(), 30, 20, 4, peer)
    peer.discriminator.eval()
    with torch.no_grad():
        p_real = peer.discriminator(torch.from_numpy(test.images.reshape(test.num, -1)).float() / 255 * 2 - 1)
    np.testing.assert_allclose(found["numbers"]["p_real"], float(p_real.mean()), rtol=1e-4)
    other = outcomes.peer_outcome(
        offline(
            "mlp_gan", generator__hidden="16,16", discriminator__hidden="16,16", batch_size="20", steps="30", seed="5"
        ),
        tmp_path / "other",
        None,
    )
    assert other["numbers"]["p_real"] != found["numbers"]["p_real"]
