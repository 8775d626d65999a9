"""Several seeds in one graph: each is the run it would be alone, in a run folder like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose
from runs import fingerprint, rows, train_bare, train_small, weights
from test_training import stop_at

from tfgan_lab import data
from tfgan_lab.config import Gaussian, override
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.evaluation.exported import evaluate
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.report.page import report
from tfgan_lab.report.sample import sample_run as sample
from tfgan_lab.trainer import train
from tfgan_lab.training import loop
from tfgan_lab.training.engine import make_engine
from tfgan_lab.training.experiment import build
from tfgan_lab.training.loop import Interrupted
from tfgan_lab.training.many_seeds import ManySeeds

STEPS = 12


@pytest.mark.parametrize(
    "reference",
    [
        "gaussian:smoke",
        pytest.param("mlp_gan:smoke", marks=pytest.mark.slow),  # dropout
        pytest.param("cgan_layernorm:smoke", marks=pytest.mark.slow),  # labels, LayerNorm, two D updates
        pytest.param("mlp_gan_smoothed:smoke", marks=pytest.mark.slow),  # one set of fakes for both
        pytest.param("cgan_concat:smoke", marks=pytest.mark.slow),  # G first
    ],
)
def test_each_seed_takes_the_steps_it_takes_alone(reference: str, small_source: Any, tmp_path: Path) -> None:
    changes = {"num_seeds": "3", "seed": "5"} | ({"batch_size": "8"} if "gaussian" not in reference else {})
    config: Any = offline(reference, **changes)
    source = data.open_source(config.data, None) if isinstance(config.data, Gaussian) else small_source
    many = ManySeeds(config, source, tmp_path)
    history = many.run(0, STEPS)
    assert history.shape == (STEPS, len(many.task.metric_names), 3)
    for index in range(3):
        alone = build(override(config, {"seed": str(5 + index), "num_seeds": "1"}), source)
        expected = make_engine("loop", alone.strategy, alone.task, alone.batches).run(0, STEPS)
        assert_allclose(history[:, :, index], expected, rtol=1e-5, atol=1e-5)
        many.load(index)
        for owner, variables in many.slot.state().items():
            for ours, theirs in zip(variables, alone.state()[owner], strict=True):
                assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6, err_msg=owner)
    assert np.abs(history[0, :, 0] - history[0, :, 1]).max() > 5e-5


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small("gaussian:smoke", tmp_path_factory.mktemp("seeds") / "run", num_seeds="2")


def test_each_seed_leaves_an_ordinary_run(two_seeds: Path, tmp_path: Path) -> None:
    alone = train_bare("gaussian:smoke", tmp_path, seed="1")
    folder = two_seeds / "seed=1"
    assert json.loads((folder / "config.json").read_text()) == json.loads((alone / "config.json").read_text()) | {
        "placement": "one"
    }
    ours, theirs = weights(folder), weights(alone)
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert_allclose(ours[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    for row, expected in zip(rows(folder), rows(alone), strict=True):
        assert row.pop("kind") == expected.pop("kind")
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert sorted(p.name for p in folder.glob("samples/*.npz")) == sorted(p.name for p in alone.glob("samples/*.npz"))
    drawn, run = sample(folder, 50, seed=3)
    assert_allclose(drawn, sample(alone, 50, seed=3)[0], rtol=1e-3, atol=1e-4)
    assert run.step == 20
    assert evaluate(folder, num=2000)["n"]["numbers"] == 2000
    summary = json.loads((two_seeds / "seeds.json").read_text())
    assert [one["seed"] for one in summary["runs"]] == [0, 1]
    assert summary["runs"][1]["fake_mean"] == rows(folder)[-1]["fake_mean"]


def test_the_folder_of_all_seeds_stands_for_its_runs_in_a_report(two_seeds: Path, tmp_path: Path) -> None:
    page = report([two_seeds], str(tmp_path / "page.html")).read_text()
    assert "seed=0" in page
    assert "seed=1" in page
    assert page.count("finished: 20 steps") == 2


@pytest.mark.slow
def test_each_seed_of_images_leaves_an_ordinary_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its losses are logged after the update, all seeds' at once; it is judged on its test split."""
    name, changes = "mlp_gan_smoothed:smoke", {"metrics__steps": "10"}
    folder = train_small(name, tmp_path / "many", num_seeds="2", **changes) / "seed=1"
    assert "of many seeds none is judged during the training" in capsys.readouterr().out
    theirs = [
        row for row in rows(train_bare(name, tmp_path / "alone", seed="1", **changes)) if row["kind"] != "metrics"
    ]
    for row, expected in zip(rows(folder), theirs, strict=True):
        assert row.pop("kind") == expected.pop("kind")
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert sample(folder, 4, seed=3)[0].shape == (4, 28, 28, 1)


@pytest.mark.slow
def test_one_seed_can_be_gone_on_with_alone(two_seeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = override(offline("gaussian:smoke"), {"placement": "one"})
    train(config, two_seeds / "seed=0")
    assert "already trained: drawing its pictures again" in capsys.readouterr().out
    assert (two_seeds / "seed=0" / "curves.png").is_file()


@pytest.mark.slow
def test_a_cut_run_of_seeds_goes_on_bit_for_bit(
    two_seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(13, patch)
        with pytest.raises(Interrupted):
            train_small("gaussian:smoke", tmp_path / "run", num_seeds="2")
    (tmp_path / "run" / "seed=1" / "checkpoints" / "ckpt-13.index").unlink()  # as a kill between two saves leaves it
    train_small("gaussian:smoke", tmp_path / "run", num_seeds="2")
    for seed in ("seed=0", "seed=1"):
        assert fingerprint(tmp_path / "run" / seed) == fingerprint(two_seeds / seed)


@pytest.mark.parametrize("lost", ["newest", "all"])
def test_a_seed_falls_back_alone_and_ends_as_if_nothing_had_happened(
    lost: str, two_seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(two_seeds, run)
    kept = {path: path.stat().st_mtime_ns for path in sorted((run / "seed=0").glob("[cs]*/*-*"))}
    rows_before = (run / "seed=0" / "metrics.jsonl").read_bytes()
    for step in (10, 20) if lost == "all" else (20,):
        (run / "seed=1" / "checkpoints" / f"ckpt-{step}.index").write_bytes(b"damaged")
    if lost == "all":
        with pytest.raises(UserError, match=r"seed=1/checkpoints: every checkpoint is damaged. Delete that folder"):
            train_small("gaussian:smoke", run, num_seeds="2")
        shutil.rmtree(run / "seed=1" / "checkpoints")
    train_small("gaussian:smoke", run, num_seeds="2")
    out = capsys.readouterr().out
    assert ("ckpt-20 is damaged" in out) == (lost == "newest")
    assert ("resuming at step 10" in out) == (lost == "newest")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "written again, or deleted"
    assert (run / "seed=0" / "metrics.jsonl").read_bytes() == rows_before
    for seed in ("seed=0", "seed=1"):
        assert fingerprint(run / seed) == fingerprint(two_seeds / seed)
        drawn, expected = (load_generator(folder / seed).sample(9, seed=0) for folder in (run, two_seeds))
        np.testing.assert_array_equal(drawn, expected)


def spoil(seeds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """These seeds' weights become NaN in the sixth step."""
    run = ManySeeds.run

    def spoiling(self: ManySeeds, first_step: int, num_steps: int) -> np.ndarray:
        if first_step <= 5 < first_step + num_steps:
            weights = self.state["generator"][0]
            for seed in seeds:
                weights.scatter_nd_update([[seed]], tf.fill([1, *weights.shape[1:]], np.nan))
        return run(self, first_step, num_steps)

    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(ManySeeds, "run", spoiling)


@pytest.mark.slow
def test_where_all_seeds_diverge_the_exit_code_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil([0, 1], monkeypatch)
    with pytest.raises(TrainingDiverged, match=r"all 2 seeds diverged.*--config.g_optimizer.learning_rate") as caught:
        train_small("gaussian:smoke", tmp_path, num_seeds="2")
    assert caught.value.code == 3
    assert "\\n" not in str(caught.value)
    assert [run["diverged"] for run in json.loads((tmp_path / "seeds.json").read_text())["runs"]] == [6, 6]
    with pytest.raises(TrainingDiverged):  # and so it does when it is started again
        train_small("gaussian:smoke", tmp_path, num_seeds="2")
    monkeypatch.undo()  # what the line advises is not refused
    train_small("gaussian:smoke", tmp_path, num_seeds="2", g_optimizer__learning_rate="1e-4")
    assert all("diverged" not in run for run in json.loads((tmp_path / "seeds.json").read_text())["runs"])


def test_a_seed_that_diverges_stops_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil([0], monkeypatch)
    folder = train_small("gaussian:smoke", tmp_path, num_seeds="2")
    runs = json.loads((folder / "seeds.json").read_text())["runs"]
    assert runs[0]["diverged"] == 6
    assert np.isfinite(runs[1]["fake_mean"])
    assert not (folder / "seed=0" / "export").exists()
    assert (folder / "seed=1" / "export" / "saved_model.pb").is_file()


def test_what_many_seeds_cannot_do_is_one_line(two_seeds: Path) -> None:
    for reference in ("mnist_classifier", "cgan_branch", "dcgan_montage", "mlp_gan:fresh_real"):
        with pytest.raises(UserError, match=r"num_seeds=4 .*sweep"):
            offline(reference, num_seeds="4")
    with pytest.raises(UserError, match=r"num_seeds=2 does not go with a layer of kind 'batch_norm'"):
        offline("mlp_gan_smoothed:batch_norm", num_seeds="2")
    for action in (lambda folder: sample(folder, 4, 0), evaluate):
        with pytest.raises(UserError, match=r"holds the runs of 2 seeds: name one of them, such as .*seed=0"):
            action(two_seeds)
