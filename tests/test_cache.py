"""Kept compiled programs: the next run has the same bits; damaged ones are thrown away; none is a reason to fail."""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfgan_lab.system import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this machine's programs, empty, and no flags of the user's."""
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_programs", None)
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    monkeypatch.setenv("XLA_FLAGS", "")
    cache.keep_programs(1)
    (found,) = (tmp_path / "cache" / "xla").iterdir()
    assert f"--tf_xla_persistent_cache_directory={found}" in os.environ["TF_XLA_FLAGS"]
    return found


def test_only_sealed_and_whole_programs_are_left_for_the_next_process(folder: Path) -> None:
    for name in ("whole", "cut", "changed"):
        (folder / f"{name}.pb").write_bytes(name.encode() * 100)
    cache.seal_programs()
    (folder / "cut.pb").write_bytes(b"cut" * 20)
    (folder / "changed.pb").write_bytes(b"chanGed" * 100)
    (folder / "unsealed.pb").write_bytes(b"half a pro")
    cache.keep_programs(1)
    assert sorted(path.name for path in folder.iterdir()) == ["whole.pb", "whole.sha256"]


def test_the_oldest_go(folder: Path) -> None:
    for age in range(30):
        (folder / f"{age:02}.pb").write_bytes(b"a program")
        os.utime(folder / f"{age:02}.pb", (1e9 - age, 1e9 - age))
    cache.seal_programs()
    cache.keep_programs(1)
    assert sorted(path.name for path in folder.glob("*.pb")) == [f"{age:02}.pb" for age in range(24)]
    assert len(list(folder.iterdir())) == 48


def test_programs_for_other_threads_or_flags_lie_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for threads, flags in ((1, ""), (2, ""), (1, "--xla_backend_optimization_level=1")):
        monkeypatch.setenv("XLA_FLAGS", flags)
        cache.keep_programs(threads)
        assert os.environ["TF_XLA_FLAGS"].count("persistent_cache_directory") == 1  # not the starting process' too
    assert len(list(folder.parent.iterdir())) == 3


def test_a_users_own_flags_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    own = f"--tf_xla_persistent_cache_directory={tmp_path}"
    monkeypatch.setenv("TF_XLA_FLAGS", own)
    cache.keep_programs(1)
    assert os.environ["TF_XLA_FLAGS"] == own
    assert not (tmp_path / "cache").exists()
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    cache.keep_programs(1)
    assert os.environ["TF_XLA_FLAGS"].startswith("--tf_xla_auto_jit=0 --tf_xla_persistent_cache")


@pytest.mark.parametrize("trouble", ["a file is there", "not writable", "disk full", "a blank in its name"])
def test_without_a_place_nothing_is_kept(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    monkeypatch.setattr(cache, "_programs", None)
    if trouble == "a file is there":
        (tmp_path / "cache").write_text("not a folder")
    elif trouble == "not writable":
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache").chmod(0o555)
        request.getfixturevalue("unprivileged")
    elif trouble == "a blank in its name":  # at which TensorFlow would split its flags
        monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "my cache"))
    else:
        usage = collections.namedtuple("usage", "free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free=2**20))
    cache.keep_programs(1)
    cache.seal_programs()
    assert os.environ["TF_XLA_FLAGS"] == ""


def test_the_cache_is_the_users_or_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TFGAN_LAB_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):  # as if it were not set, says the XDG specification
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache.cache_dir() == tmp_path / ".cache" / "tfgan_lab"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_dir() == tmp_path / "xdg" / "tfgan_lab"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # a user id without a home
    with pytest.raises(NotADirectoryError):
        cache.cache_dir().mkdir(parents=True)


@pytest.mark.parametrize("edit", ['"count": 9', '"count": "3"', '"sha256": ""', "[", "3", "{}"])
def test_a_file_whose_note_was_edited_is_made_again(edit: str, tmp_path: Path) -> None:
    made = []

    def make(partial: Path) -> dict[str, object]:
        made.append(partial.write_text("crops"))
        return {"count": 3, "sha256": "ab"}

    path = tmp_path / "crops.npy"
    noted = Path(f"{path}.json")
    whole = cache.kept(path, make)
    assert cache.kept(path, make) == whole and len(made) == 1
    text = noted.read_text()
    noted.write_text(re.sub(edit.split(":")[0] + r": [^,}]+", edit, text) if ":" in edit else edit)
    assert noted.read_text() != text
    assert cache.kept(path, make) == whole and len(made) == 2


@pytest.mark.slow
def test_a_kept_program_gives_the_same_bits_and_a_damaged_one_is_compiled_again(tmp_path: Path) -> None:
    environment = {**os.environ, "TFGAN_LAB_CACHE": str(tmp_path / "cache"), "TF_XLA_FLAGS": ""}

    def train(name: str) -> bytes:
        command = [
            sys.executable,
            "-m",
            "tfgan_lab",
            "train",
            "--config=gaussian:smoke",
            "--config.compile=xla",
            f"--workdir={tmp_path / name}",
        ]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return (tmp_path / name / "metrics.jsonl").read_bytes()

    first = train("first")
    (program,) = (tmp_path / "cache" / "xla").glob("*/*.pb")
    made = program.stat().st_mtime_ns
    assert train("second") == first
    assert program.stat().st_mtime_ns == made
    program.write_bytes(program.read_bytes()[:1000])
    assert train("third") == first
    assert program.stat().st_size > 1000
    assert program.with_suffix(".sha256").exists()
