"""Faults from outside, injected into whole runs: nothing is lost but the steps since the last checkpoint."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from PIL import Image
from runs import fingerprint, train_bare, train_small, weights

from tfgan_lab import cli
from tfgan_lab.errors import UserError
from tfgan_lab.report.gallery import write_real
from tfgan_lab.trainer import train
from tfgan_lab.training import loop
from tfgan_lab.training import train as plain
from tfgan_lab.training.engine import Engine
from tfgan_lab.training.workdir import checkpoint_steps


def after_step(step: int, monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    """Does something once so many steps are done, in chunks of one step."""
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0.0)
    run = Engine.run

    def acting(self: Engine, first_step: int, num_steps: int) -> np.ndarray:
        history = run(self, first_step, num_steps)
        if first_step + num_steps == step:
            action()
        return history

    monkeypatch.setattr(Engine, "run", acting)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs of that size at `folder`, or a skip."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None or os.name != "posix", reason="no mount command")
def test_a_full_disk_is_one_line_and_with_room_the_run_goes_on(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "2m"):
        (disk / "ballast").write_bytes(bytes(1_850_000))
        flags = ["train", "--config=mlp_gan:smoke", "--config.data.source=embedded", f"--workdir={disk / 'run'}"]
        assert cli.main(flags) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "cannot be written" in error
        assert "Free space" in error
        assert str(disk) in error
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert cli.main(flags) == 0, capsys.readouterr().err
        assert fingerprint(disk / "run") == fingerprint(trained("mlp_gan:smoke"))


def test_a_disk_without_room_for_another_file_is_one_line(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("gaussian:smoke")
    with small_disk(tmp_path / "disk", "8m,nr_inodes=3"):
        for verb, out in (("export", "generator"), ("train", "run")):
            where = "--out" if verb == "export" else "--workdir"
            source = [f"--workdir={run}"] if verb == "export" else ["--config=gaussian:smoke"]
            assert cli.main([verb, *source, f"{where}={tmp_path / 'disk' / out}"]) == 2
            said = capsys.readouterr().err
            assert (said.count("\n"), "No space left on device" in said) == (1, True)
            shutil.rmtree(tmp_path / "disk" / out, ignore_errors=True)
            assert list((tmp_path / "disk").iterdir()) == [], "nothing half-written is left"


def test_a_disk_that_fills_up_between_checkpoints_keeps_the_last_one(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "64m"):
        with monkeypatch.context() as patch:

            def fill() -> None:
                with contextlib.suppress(OSError), (disk / "ballast").open("wb") as file:
                    while True:
                        file.write(bytes(4096))
                        file.flush()

            after_step(13, patch, fill)
            with pytest.raises(UserError, match="cannot be written"):
                train_small("mlp_gan:smoke", disk / "run")
        assert checkpoint_steps(disk / "run" / "checkpoints") == [10]
        (disk / "ballast").unlink()
        train_bare("mlp_gan:smoke", disk / "run")
        assert fingerprint(disk / "run") == fingerprint(trained("mlp_gan:smoke"))


@pytest.mark.usefixtures("unprivileged")
def test_a_workdir_that_may_not_be_written_is_one_line() -> None:
    if os.access("/", os.W_OK, effective_ids=True):
        pytest.skip("file permissions do not count here")
    with pytest.raises(UserError, match="/tfgan_lab_test cannot be written.*Name another folder"):
        train(offline("gaussian:smoke"), "/tfgan_lab_test")


# Data that vanish.


def photographs_in(tmp_path: Path) -> Path:
    """A folder of 40 pictures: more than fits in 1 MiB, so their crops are read while it trains."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for index in range(40):
        Image.fromarray(rng.integers(0, 256, (130, 130, 3), dtype=np.uint8)).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return photographs_in(tmp_path)


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on them to which nothing happens."""
    folder = tmp_path_factory.mktemp("streamed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFGAN_LAB_CACHE", str(folder / "cache"))
        plain.train(streamed_config(), folder / "run", str(photographs_in(folder)))
    return folder / "run"


def streamed_config() -> Any:
    return offline(
        "dcgan_montage:smoke",
        data__source="folder",
        data__memory_mb="1",
        steps="30",
        sample__steps="30",
        log__steps="2",
    )


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_a_data_folder_that_vanishes_while_it_trains_changes_nothing(
    photographs: Path, streamed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its crops are kept, so that it is read once."""
    config = streamed_config()
    kept = tmp_path / "kept"
    with monkeypatch.context() as patch:
        after_step(5, patch, lambda: shutil.move(photographs, kept))
        run = plain.train(config, tmp_path / "run", str(photographs))
    write_real(run.workdir, run.experiment)  # what is drawn at the end, from the crops too
    with pytest.raises(UserError, match="no such file or folder"):
        train(config, tmp_path / "other", str(photographs))
    assert_same_weights(tmp_path / "run", streamed)


@pytest.mark.slow
def test_kept_crops_that_are_cut_while_they_are_read_are_one_line(
    photographs: Path, streamed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        after_step(5, patch, lambda: os.truncate(next(tmp_path.glob("cache/crops/*.npy")), 200_000))
        with pytest.raises(UserError, match=r"npy was cut short.*the same command continues from the last") as caught:
            plain.train(streamed_config(), tmp_path / "run", str(photographs))
    assert "\\n" not in str(caught.value)
    assert checkpoint_steps(tmp_path / "run" / "checkpoints")[-1] >= 4
    plain.train(streamed_config(), tmp_path / "run", str(photographs))
    assert_same_weights(tmp_path / "run", streamed)


def assert_same_weights(one: Path, two: Path) -> None:
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


# Clocks and signals.


@pytest.mark.slow
def test_a_clock_that_jumps_back_changes_nothing(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 2e9 - 3600.0 * next(ticks))
    train_small("mlp_gan:smoke", tmp_path / "run")
    monkeypatch.undo()
    assert fingerprint(tmp_path / "run") == fingerprint(trained("mlp_gan:smoke"))
    (session,) = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert 0 <= session["seconds"] < 600, "durations come from another clock"


def test_a_second_ctrl_c_stops_at_once_and_loses_only_steps(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def twice() -> None:
        for _ in range(2):
            # Else the signal would end the tests.
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler, "nobody listens"
            signal.raise_signal(signal.SIGINT)

    flags = ["train", "--config=mlp_gan:smoke", "--config.data.source=embedded", f"--workdir={tmp_path / 'run'}"]
    with monkeypatch.context() as patch:
        after_step(13, patch, twice)
        assert cli.main(flags) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert checkpoint_steps(tmp_path / "run" / "checkpoints") == [10], "what a second Ctrl-C gives up is the saving"
    train_bare("mlp_gan:smoke", tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(trained("mlp_gan:smoke"))
