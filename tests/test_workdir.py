"""The run folder: who may write it, what a resume keeps, and one line for every reason why not."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogue import offline
from hypothesis import given
from hypothesis import strategies as st

from tfgan_lab.config import override
from tfgan_lab.errors import UserError
from tfgan_lab.training.workdir import Workdir

CONFIG = offline("mlp_gan:smoke")


def started(path: Path) -> Workdir:
    folder = Workdir(path)
    folder.claim()
    folder.keep_config(CONFIG)
    folder.release()
    return folder


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Who may write it.


def test_a_claimed_folder_is_refused_to_a_second_run_naming_the_first(tmp_path: Path) -> None:
    first, second = Workdir(tmp_path / "run"), Workdir(tmp_path / "run")
    first.claim()
    message = refusal(second.claim)
    assert str(os.getpid()) in message
    assert socket.gethostname() in message
    assert str(tmp_path / "run") in message
    first.release()
    second.claim()
    second.release()


HOLDER = """
import sys, time
from tfgan_lab.training.workdir import Workdir
folder = Workdir(sys.argv[1])
folder.claim()
print("held", flush=True)
time.sleep(60)
"""


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path) -> None:
    started(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = refusal(Workdir(tmp_path).claim)
        assert f"process {holder.pid} on {socket.gethostname()}" in message
    finally:
        holder.kill()
        holder.wait()
    folder = Workdir(tmp_path)
    folder.claim()
    folder.release()


def test_a_folder_with_other_things_in_it_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert "not empty" in refusal(Workdir(tmp_path).claim)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(path) in refusal(Workdir(path).claim)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that may be read but not written, with a run's config in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started(folder / "run")
        for path in (folder, folder / "run"):
            path.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        for path in (folder / "run").iterdir():
            path.chmod(0o444)
        yield folder
        for path in (folder, folder / "run"):
            path.chmod(0o755)


@pytest.mark.usefixtures("unprivileged")
def test_a_read_only_folder_is_one_line(read_only: Path) -> None:
    if os.access(read_only, os.W_OK, effective_ids=True):
        pytest.skip("file permissions do not count here")
    assert "cannot be written" in refusal(Workdir(read_only / "new").claim)
    assert "cannot be written" in refusal(Workdir(read_only / "run").claim)
    folder = Workdir(read_only / "run")
    assert "cannot be written" in refusal(folder.append_metrics, {"step": 1})
    assert "cannot be written" in refusal(folder.keep_config, CONFIG)
    assert folder.read_config() == CONFIG


# Its config.


def test_the_same_config_may_go_on_and_a_longer_run_too(tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.keep_config(CONFIG)
    longer = override(CONFIG, {"steps": "40", "keep_checkpoints": "5", "placement": "mirrored", "replicas": "2"})
    folder.keep_config(longer)
    assert folder.read_config() == longer


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seed", "1", "seed: 0 -> 1"),
        ("g_optimizer.learning_rate", "0.5", "g_optimizer.learning_rate: 0.0001 -> 0.5"),
        ("game.d_steps", "2", "game.d_steps: 1 -> 2"),
        ("batch_size", "25", "batch_size: 50 -> 25"),
        ("deterministic", "false", "deterministic: True -> False"),
        ("onednn", "true", "onednn: False -> True"),
    ],
)
def test_a_drifted_config_is_refused_with_the_difference(field: str, value: str, said: str, tmp_path: Path) -> None:
    folder = started(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    message = refusal(folder.keep_config, override(CONFIG, {field: value}))
    assert said in message
    assert str(tmp_path) in message
    assert (tmp_path / "config.json").read_bytes() == before


def test_another_experiment_is_refused_in_one_readable_line(tmp_path: Path) -> None:
    message = refusal(started(tmp_path).keep_config, offline("gaussian:smoke"))
    assert "name: mlp_gan:smoke -> gaussian:smoke" in message or "another config" in message
    assert len(message) < 2000


def test_no_run_and_a_broken_config_are_one_line(tmp_path: Path) -> None:
    assert "no config.json" in refusal(Workdir(tmp_path / "nothing").read_config)
    for content in (b"", b"{", b"[]", b"\xff\xfe", b'{"kind": "gan"}'):
        (tmp_path / "config.json").write_bytes(content)
        assert "config" in refusal(Workdir(tmp_path).read_config)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    assert "config.json" in refusal(Workdir(tmp_path).read_config)


# Its record and its metrics.


def test_the_record_keeps_what_was_written_before(tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.write_record(a=1, b={"c": 2})
    folder.write_record(a=3)
    assert folder.read_record() == {"a": 3, "b": {"c": 2}}
    for content in ("", "[]", "{", "null", "[" * 100_000):
        (tmp_path / "run.json").write_text(content)
        assert folder.read_record() == {}
    (tmp_path / "run.json").write_text('{"data": [], "sessions": 3, "data_dir": 4, "steps_per_epoch": 5}')
    assert folder.read_record() == {"steps_per_epoch": 5}


def test_rows_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    folder = started(tmp_path)
    for step in (10, 20, 30):
        for kind in ("train", "eval"):
            folder.append_metrics({"kind": kind, "step": step, "loss": step / 3})
        folder.samples.mkdir(exist_ok=True)
        for suffix in (".npz", ".png"):
            (folder.samples / f"step-{step:08d}{suffix}").write_bytes(b"x")
    lines = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    kept = folder.cut_after(20)
    assert [(row["kind"], row["step"]) for row in kept] == [("train", 10), ("eval", 10), ("train", 20), ("eval", 20)]
    assert (tmp_path / "metrics.jsonl").read_bytes() == b"".join(lines[:4]), "bit for bit as they were"
    assert sorted(path.name for path in folder.samples.iterdir()) == [
        f"step-{s:08d}{e}" for s in (10, 20) for e in (".npz", ".png")
    ]
    assert folder.cut_after(0) == []


@pytest.mark.parametrize(
    "tail",
    [
        b"[" * 100_000 + b"\n",
        b'{"kind": "train", "st',
        b"{",
        b'{"kind": "train"}\n',
        b"\x00\x00\x00",
        b"\xff\xfe\n",
        b"[1]\n",
        b"null",
    ],
)
def test_a_half_written_last_row_is_left_out(tail: bytes, tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.append_metrics({"kind": "train", "step": 10, "loss": 0.1})
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(whole + tail)
    assert folder.read_metrics() == [{"kind": "train", "step": 10, "loss": 0.1}]
    folder.cut_after(10)
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole
    folder.append_metrics({"kind": "train", "step": 20, "loss": 0.2})
    assert [row["step"] for row in folder.read_metrics()] == [10, 20]


@given(cut=st.integers(0, 200), junk=st.binary(max_size=20))
def test_any_damage_to_the_metrics_is_survived(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Workdir(name)
        for step in range(1, 5):
            folder.append_metrics({"kind": "train", "step": step, "loss": 0.5})
        content = (folder.path / "metrics.jsonl").read_bytes()
        (folder.path / "metrics.jsonl").write_bytes(content[:cut] + junk)
        kept = folder.cut_after(3)
        assert all(isinstance(row["step"], int) and row["step"] <= 3 for row in kept)
        assert len(kept) >= min(3, content[:cut].count(b"\n"))
        assert [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()] == kept


def test_numbers_survive_the_file_exactly(tmp_path: Path) -> None:
    folder = started(tmp_path)
    row = {"kind": "train", "step": 1, "loss": 0.1 + 0.2, "tiny": 5e-324, "large": 1.7976931348623157e308}
    folder.append_metrics(row)
    assert folder.read_metrics() == [row]
