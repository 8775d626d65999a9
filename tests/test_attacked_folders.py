"""Runs whose folder was edited, damaged, moved or badly named: one line, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from PIL import Image
from runs import fingerprint, nothing_drawn, rows, train_bare, train_small
from test_faults import after_step, small_disk

from tfgan_lab import cli, trainer
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.parity.import_torch import export_torch, import_torch
from tfgan_lab.report import reporter
from tfgan_lab.report.sample import sample_run
from tfgan_lab.training.loop import advising
from tfgan_lab.training.workdir import checkpoint_steps

JUNK_ROWS = (
    b'null\n[1]\n{"kind": "note", "step": 5, "epoch": 1.0}\n{"kind": "eval", "step": 20, "epoch": 0.2, "p_real": 0.5}\n\xff\n'
    b'{"kind": "train", "step": 5, "epoch": 0.1, "d_loss": 1e300}\n'
)


def test_junk_in_a_finished_run_is_omitted_or_drawn_again(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, run = trained("mlp_gan:smoke"), tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "metrics.jsonl").write_bytes(JUNK_ROWS + (run / "metrics.jsonl").read_bytes())
    (run / "run.json").write_text(
        json.dumps({"data": [3], "sessions": {"a": 1}, "steps_per_epoch": "many", "command": 3})
    )
    cut = (run / "samples" / "step-00000010.png").read_bytes()[:200]
    for step in (0, 10):
        (run / "samples" / f"step-{step:08d}.png").write_bytes(cut)
    Image.new("L", (3, 5)).save(run / "samples" / "step-00000020.png")
    np.savez(run / "samples" / "step-00000000.npz", samples=np.zeros((16, 28, 28, 3), np.uint8))
    np.savez(run / "samples" / "step-00000020.npz", samples=np.zeros((16, 14, 14, 1), np.uint8))
    assert cli.main(["report", f"--workdir={run}"]) == 0
    assert cli.main(["train", f"--workdir={run}"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "step-00000010.png is damaged: drawn again" in out
    assert "step-00000020.npz is damaged: drawn again" in out
    assert "step-00000020.png is damaged: drawn again" in out
    assert "step-00000000.npz is damaged: without these samples the pictures of step 0 are omitted" in out
    for name in ("metrics.jsonl", "samples/step-00000010.png", "samples/step-00000020.png"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


READ = ("run.json", "metrics.jsonl", "metrics.json", "checkpoints/config.json", "export/generator.json",
        "samples/step-00000010.npz", "samples/step-00000010.png", "../ledger.json",
        "checkpoints/ckpt-20.data-00000-of-00001")  # fmt: skip


def test_a_fifo_in_a_runs_folder_keeps_no_reader_waiting(trained: Any, tmp_path: Path) -> None:
    """Also before a config.json: a FIFO there is no run."""
    run = tmp_path / "run"
    shutil.copytree(trained("gaussian:smoke"), run, ignore=shutil.ignore_patterns("report.html"))
    (run / "metrics.json").touch()
    for name in READ:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    with giving_up_after(60):
        assert cli.main(["report", f"--workdir={run}"]) == 0
        assert cli.main(["sample", f"--workdir={run}", "--num=4", f"--out={tmp_path / 'x.npz'}"]) == 0
        assert cli.main(["export", f"--workdir={run}", f"--out={tmp_path / 'export'}"]) == 0
        assert cli.main(["train", f"--workdir={run}"]) == 2
        (run / "export/variables/variables.index").unlink()
        os.mkfifo(run / "export/variables/variables.index")
        assert cli.main(["evaluate", f"--workdir={run}"]) == 2
        (run / "config.json").unlink()
        os.mkfifo(run / "config.json")
        for verb in ("train", "report", "evaluate", "sample", "export"):
            assert cli.main([verb, f"--workdir={run}"]) == 2, verb


@contextlib.contextmanager
def giving_up_after(seconds: int) -> Iterator[None]:
    """Ends what waits for ever in a failure, not in a test that does the same."""

    def fail(*_: object) -> None:
        raise AssertionError(f"still waiting after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
def test_a_name_full_of_signs_is_no_pattern(trained: Any, tmp_path: Path) -> None:
    run = tmp_path / "a[b]\\c*?"
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "mine").write_text("mine")
    train_bare("gaussian:smoke", run, steps="10")
    train_small("gaussian:smoke", run)
    assert fingerprint_of_whole(run) == fingerprint_of_whole(trained("gaussian:smoke"))
    assert sample_run(run, 5, 0)[1].step == 20
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["mine"]


def fingerprint_of_whole(run: Path) -> list[Any]:
    """What `fingerprint` reads through TensorFlow, which takes some names for patterns, read from a plain place."""
    plain = run.parent.parent / f"plain-{os.getpid()}"
    shutil.copytree(run, plain)
    try:
        return [fingerprint(plain), rows(plain)]
    finally:
        shutil.rmtree(plain)


@pytest.mark.parametrize("num_seeds", ["1", "2"])
def test_a_run_deleted_while_it_trains_is_one_line_and_stays_deleted(
    num_seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    after_step(13, monkeypatch, lambda: shutil.rmtree(run))
    with pytest.raises(UserError, match="was deleted or moved while it trained") as caught:
        train_small("gaussian:smoke", run, num_seeds=num_seeds)
    assert "\\n" not in str(caught.value)
    assert not run.exists()


def test_sigterm_while_the_end_is_drawn_says_run_me_again(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["train", "--config=gaussian:smoke", f"--workdir={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(reporter, "export_network", lambda *_: signal.raise_signal(signal.SIGTERM))
        assert cli.main(flags) == 75
    assert checkpoint_steps(tmp_path / "checkpoints")[-1] == 20
    with nothing_drawn():
        assert cli.main(flags) == 0
    assert fingerprint(tmp_path) == fingerprint(trained("gaussian:smoke"))
    assert (tmp_path / "export" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("reference", "flags"),
    [
        ("mlp_gan", "(--config.g_optimizer.learning_rate, --config.d_optimizer.learning_rate)"),
        ("mnist_classifier", "(--config.optimizer.learning_rate)"),
    ],
)
def test_nan_names_the_flags_of_its_own_config_and_what_is_kept(reference: str, flags: str, tmp_path: Path) -> None:
    for name, kept in [
        ("ckpt-5.data-00000-of-00001", "before its first checkpoint"),
        ("ckpt-10.index", "step 10 kept"),
    ]:
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(TrainingDiverged) as caught, advising(offline(reference), tmp_path):
            raise TrainingDiverged("loss became nan at step 12: the run is stopped")
        assert kept in str(caught.value)
        assert flags in str(caught.value)


@pytest.mark.parametrize("num_seeds", ["1", "2"])
def test_a_failed_first_command_pins_nothing(num_seeds: str, tmp_path: Path) -> None:
    """Another config gets as far as the first, and is not refused as another."""
    for reference in ("mlp_gan:smoke", "cgan_concat:smoke"):
        with pytest.raises(UserError, match="batch_size.*4,500"):
            train_small(reference, tmp_path, batch_size="5000", num_seeds=num_seeds)
        assert {path.name for path in tmp_path.iterdir()} <= {".lock", ".owner"}


@pytest.mark.parametrize("step", [pytest.param(20, marks=pytest.mark.slow), 5003])
def test_an_imported_run_at_or_past_its_end_draws_its_pictures(
    step: int, trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = offline("gaussian:smoke")
    weights = export_torch(trained("gaussian:smoke"), tmp_path / "g.npz")
    run = import_torch(weights, config, tmp_path / "run", step=step).path
    trainer.train(config, run)
    assert "already trained: drawing its pictures again" in capsys.readouterr().out
    assert (run / "samples.png").is_file()
    assert (run / "samples" / f"step-{step:08d}.npz").is_file()
    assert checkpoint_steps(run / "checkpoints") == [step]
    for wrong in (0, -1, 10**12 + 1, 2**63):
        with pytest.raises(UserError, match=f"--step={wrong}: "):
            import_torch(weights, config, tmp_path / "new", step=wrong)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("disk", ["size=8k", "size=8m,ro"])
def test_a_disk_under_tensorboards_folder_that_takes_nothing_is_one_line(
    disk: str, trained: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained("mlp_gan:smoke"), run)
    shutil.rmtree(run / "tensorboard")
    reason = "Read-only file system" if disk.endswith("ro") else "No space left on device"
    with small_disk(run / "tensorboard", disk.removeprefix("size=")):
        with pytest.raises(UserError, match=rf"tensorboard cannot be written \({reason}\)\. Free space") as caught:
            train_small("mlp_gan:smoke", run)
        assert "\\n" not in str(caught.value)
    with nothing_drawn():
        train_small("mlp_gan:smoke", run)
    assert fingerprint(run) == fingerprint(trained("mlp_gan:smoke"))


def test_a_config_edited_between_two_starts_is_refused_by_every_verb(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained("mlp_gan:smoke"), run)
    path = run / "config.json"
    before = path.read_text()
    path.write_text(before.replace('"batch_size": 50', '"batch_size": 25'))
    for verb in ("train", "sample", "evaluate", "report", "export"):
        assert cli.main([verb, f"--workdir={run}"]) == 2, verb
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "config.json was edited after its checkpoints were trained (batch_size: 50 -> 25): put that back" in err
