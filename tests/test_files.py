"""Whole files and folders or none, and nothing of a user's is replaced."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from users_files import FILE_KINDS, FOLDER_KINDS, ODD_NAMES, fill, make, state

from tfgan_lab.errors import UserError
from tfgan_lab.system import files
from tfgan_lab.system.files import (
    json_bytes,
    make_log,
    new_folder,
    refuse_foreign,
    refuse_foreign_folder,
    write_atomically,
)

PARTS, SIGNS = {"model", "facts.json", "deep", "deep/weights"}, {"model", "facts.json"}


def write_folder(folder: Path, content: str = "new") -> None:
    with new_folder(folder, PARTS, SIGNS) as filled:
        fill(filled, content)


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.bin"
    write_atomically(target, b"one")
    write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_a_failed_write_keeps_the_old_file_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    message = refusal(write_atomically, target, b"new")
    assert "file.bin cannot be written: No space left on device. Free space" in message
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_obeys_the_umask_and_an_old_one_keeps_its_mode(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"one")
        write_folder(tmp_path / "folder")
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
        assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask
        for path, mode in (
            (tmp_path / "file", 0o600),
            (tmp_path / "folder", 0o750),
            (tmp_path / "folder/model", 0o640),
        ):
            path.chmod(mode)
        write_atomically(tmp_path / "file", b"two")
        write_folder(tmp_path / "folder")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder", "folder/model")]
    assert modes == [0o600, 0o750, 0o640]


def test_a_file_is_ours_by_its_mark_alone(tmp_path: Path) -> None:
    ours, users = tmp_path / "ours.json", tmp_path / "users.json"
    ours.write_bytes(json_bytes({"a": 1}))
    assert json.loads(ours.read_text())["a"] == 1
    users.write_text(json.dumps({"a": 1, "notes": "from tfgan_lab"}))
    refuse_foreign(ours, tmp_path / "new.json", tmp_path / "no" / "folder.json")
    assert "tfgan-lab did not write it" in refusal(refuse_foreign, ours, users)
    far = tmp_path / "far"
    far.write_bytes(bytes(10_000) + files.MARK.encode())
    assert files.is_ours(far)
    far.write_bytes(bytes(10_000) + files.MARK.encode() + bytes(10_000))
    assert not files.is_ours(far)
    assert "cannot be written" in refusal(refuse_foreign, users / "below")


def test_a_log_is_made_once_and_carries_the_mark(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "run.log"
    for line in ("first", "second"):
        make_log(log)
        with log.open("a") as file:
            file.write(f"{line}\n")
    assert files.is_ours(log)
    assert log.read_text().splitlines()[1:] == ["first", "second"]


NAMES = st.sampled_from(ODD_NAMES)


@settings(max_examples=60)
@given(data=st.data())
def test_nothing_of_a_users_is_touched(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("users")
    for name in data.draw(st.sets(NAMES, max_size=5)):
        make(data.draw(st.sampled_from(sorted({*FILE_KINDS, *FOLDER_KINDS} - {"link to ours"}))), folder / name)
    target = folder / data.draw(NAMES)
    before, there = state(folder), os.path.lexists(target)
    write = data.draw(st.sampled_from(["file", "folder"]))
    try:
        if write == "file":
            refuse_foreign(target)
            write_atomically(target, json_bytes({}))
        else:
            write_folder(target)
    except UserError:
        assert there, "only what is there is a reason to refuse"
        assert state(folder) == before
    else:
        assert not there
        assert {
            name: what for name, what in state(folder).items() if (folder / name) not in (target, *target.rglob("*"))
        } == before


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["gen", "*", "[a]"])
def test_hidden_neighbours_of_what_is_written_stay(name: str, kind: str, tmp_path: Path) -> None:
    """Also those that are called as temporary ones may be; written once, and again over itself."""
    for other in (".gen.x", ".x.y", f".{name}.z", f".{name}.12345678.part", f".{name}.part"):
        make(kind, tmp_path / other)
    before = state(tmp_path)
    for _ in range(2):
        write_folder(tmp_path / name)
        write_atomically(tmp_path / f"{name}.txt", b"")
    after = state(tmp_path)
    assert {path: after.get(path) for path in before} == before


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_file_of_a_users_is_refused(kind: str, tmp_path: Path) -> None:
    make(kind, tmp_path / "x")
    before = state(tmp_path)
    is_what = {"link": "is a link", "FIFO": "is a FIFO", "device": "is a device", "folder": "is a folder"}
    said = f"{tmp_path / 'x'} {is_what.get(kind.split()[0], 'is there already')}"
    assert said in refusal(refuse_foreign, tmp_path / "x")
    if kind not in ("file", "empty"):
        assert said in refusal(write_atomically, tmp_path / "x", b"new")
    assert state(tmp_path) == before


@pytest.mark.parametrize("kind", FOLDER_KINDS)
def test_a_folder_of_a_users_is_refused(kind: str, tmp_path: Path) -> None:
    make(kind, tmp_path / "x")
    before = state(tmp_path)
    assert str(tmp_path / "x") in refusal(refuse_foreign_folder, tmp_path / "x", PARTS, SIGNS)
    assert str(tmp_path / "x") in refusal(write_folder, tmp_path / "x")
    assert state(tmp_path) == before


def test_a_folder_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    (tmp_path / "gen").mkdir()
    write_folder(tmp_path / "gen", "old")

    def fail() -> None:
        with new_folder(tmp_path / "gen", PARTS, SIGNS) as filled:
            fill(filled, "half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "gen" / "model").read_text() == "old"
    write_folder(tmp_path / "gen", "new")
    assert (tmp_path / "gen" / "deep" / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["gen"]


@pytest.mark.parametrize("there", [False, True])
def test_of_two_at_once_one_wins_whole_and_the_other_says_so(there: bool, tmp_path: Path) -> None:
    if there:
        write_folder(tmp_path / "gen", "old")

    def lose() -> None:
        with new_folder(tmp_path / "gen", PARTS, SIGNS) as filled:
            fill(filled, "loser")
            write_folder(tmp_path / "gen", "winner")

    assert "by another process" in refusal(lose)
    assert {path.read_text() for path in (tmp_path / "gen").rglob("*") if path.is_file()} == {"winner"}
    assert [path.name for path in tmp_path.iterdir()] == ["gen"]


def test_a_folder_that_a_user_wrote_into_meanwhile_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "gen", "old")

    def export() -> None:
        with new_folder(tmp_path / "gen", PARTS, SIGNS) as filled:
            fill(filled)
            (tmp_path / "gen" / "notes").write_text("mine")

    assert "gen holds notes" in refusal(export)
    assert (tmp_path / "gen" / "notes").read_text() == "mine"
    assert (tmp_path / "gen" / "model").read_text() == "old"


def test_what_is_no_path_or_too_long_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be written: File name too long" in refusal(write_atomically, tmp_path / ("x" * 300), b"")
    write_atomically(tmp_path / ("é" * 120), b"long, and just short enough")
    monkeypatch.chdir(tmp_path)
    assert "is a folder" in refusal(write_atomically, ".", b"")
    assert "did not write" in refusal(write_folder, Path())
