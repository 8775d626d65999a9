"""The embedded faces: pure functions of (seed, index), varied, in the middle of the picture, drawn once."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import python_avatars
from refusals import refusal

from tfgan_lab.data import face_files, faces
from tfgan_lab.data.face_files import kept_faces, write_montage
from tfgan_lab.data.faces import draw_face, draw_faces

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    """Faces 0 to 59 of two sets: uint8 [2, 60, 218, 178, 3]."""
    return np.stack([np.stack(list(draw_faces(seed, 60))) for seed in (0, 1)])


def test_a_face_is_a_picture_of_the_posts_size(many: np.ndarray) -> None:
    assert many.shape[2:] == (218, 178, 3)
    assert many.dtype == np.uint8
    assert many.std(axis=(2, 3, 4)).min() > 20


def test_the_same_numbers_give_the_same_face_in_another_process(many: np.ndarray) -> None:
    program = (
        "import hashlib, random; random.seed(5); from tfgan_lab.data.faces import draw_face;"
        "print(hashlib.sha256(draw_face(1, 7).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == hashlib.sha256(many[1, 7].tobytes()).hexdigest()


def test_a_face_does_not_depend_on_the_ones_drawn_before_or_on_processes(
    many: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.testing.assert_array_equal(list(draw_faces(0, 2)), many[0, :2])
    monkeypatch.setattr(faces, "_FEW", 1)
    np.testing.assert_array_equal(list(draw_faces(0, 4)), many[0, :4])


def test_no_two_faces_are_alike(many: np.ndarray) -> None:
    assert len({face.tobytes() for face in many.reshape(120, -1)}) == 120
    apart = np.abs(many[0].astype(float) - many[1]).mean(axis=(1, 2, 3))
    assert apart.min() > 8  # Levels of 255: unlike, not merely not equal.


def test_no_colliding_streams() -> None:
    """(seed, index) pairs that a naive mixing of the two numbers would confuse."""
    pairs = [(0, 1), (1, 0), (2**32, 0), (0, 2**32), (2**32 + 1, 0), (1, 1), (2**63 - 1, 0)]
    assert len({draw_face(seed, index).tobytes() for seed, index in pairs}) == len(pairs)


def test_every_part_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of every kind renders, none as another one: what a library leaves out would be an empty face."""
    seen: dict[str, set[Any]] = {}
    avatar = python_avatars.Avatar

    def watched(**parts: Any) -> Any:
        for kind, part in parts.items():
            seen.setdefault(kind, set()).add(part)
        return avatar(**parts)

    monkeypatch.setattr(python_avatars, "Avatar", watched)
    monkeypatch.setattr("resvg_py.svg_to_bytes", lambda **options: _PIXEL)
    for index in range(1500):
        draw_face(0, index)
    assert len(seen["top"]) == len(python_avatars.HairType) + len(python_avatars.HatType)
    assert len(seen["shirt_graphic"]) == len(python_avatars.ClothingGraphic) - 1
    for kind, parts in {"eyes": python_avatars.EyeType, "mouth": python_avatars.MouthType}.items():
        assert seen[kind] == set(parts)


_PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)


def test_the_head_fills_the_middle_crop(many: np.ndarray) -> None:
    """How often each pixel of the crop is not the colour of the wall in the picture's corner."""
    crops = many[0, :, 45:173, 25:153].astype(float)
    drawn = (np.abs(crops - many[0, :, :1, :1]).max(axis=3) > 25).mean(axis=0)  # [128, 128]
    assert drawn[20:110, 34:94].mean() > 0.85
    assert 0.5 < (drawn > 0.5).mean() < 0.95


@pytest.mark.parametrize("arguments", [(-1, 0), (0, -1)])
def test_negative_numbers_are_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="negative"):
        draw_face(*arguments)


# Kept in the cache folder.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where faces are kept, empty."""
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path))
    return tmp_path / "faces"


def test_faces_are_drawn_once_and_again_when_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept_faces(3, 2)
    whole = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(face_files, "fill_montage", None)
        assert kept_faces(3, 2) == path
    for damaged in (whole[:-1], whole[:-9] + b"123456789"):
        path.write_bytes(damaged)
        assert kept_faces(3, 2) == path
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["montage/1.png"], draw_face(3, 1))
    assert kept_faces(3, 1) != path
    assert not list(folder.glob("*.part"))


def test_where_nothing_can_be_kept_faces_are_drawn_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", "/proc/nowhere")
    path = kept_faces(0, 1)
    assert path.exists() and not str(path).startswith("/proc")


# Written where the user wants them.


def test_write_montage(tmp_path: Path) -> None:
    path = tmp_path / "faces.h5"
    write_montage(str(path), 3, seed=4)
    with h5py.File(path) as file:
        assert sorted(file["montage"]) == ["0.png", "1.png", "2.png"]
        for index in range(3):
            np.testing.assert_array_equal(file[f"montage/{index}.png"][()], draw_face(4, index))
        assert file["montage/0.png"].compression == "gzip"
    before = path.read_bytes()
    assert "exists already" in refusal(lambda: write_montage(str(path), 1, seed=0))
    assert path.read_bytes() == before
    write_montage(str(path), 1, seed=0, overwrite=True)
    with h5py.File(path) as file:
        assert list(file["montage"]) == ["0.png"]
    assert os.listdir(tmp_path) == ["faces.h5"]


def test_write_montage_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, index: int) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(faces, "draw_face", fail)
    with pytest.raises(KeyboardInterrupt):
        write_montage(str(tmp_path / "faces.h5"), 2, seed=0)
    assert os.listdir(tmp_path) == []
    assert "cannot be written" in refusal(lambda: write_montage("/dev/null/faces.h5", 2, seed=0))


@pytest.mark.parametrize("room", [0, 1_000, 20_000, 60_000])
def test_a_full_disk_is_one_line(room: int, tmp_path: Path) -> None:
    """In a process of its own, as HDF5 used to crash it at its end. A limit of a file's size stands for the disk's."""
    program = (
        "import resource, sys; from tfgan_lab import cli; import tfgan_lab.data.face_files;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}));"
        "sys.exit(cli.main(['data', 'make-montage', '--num=12', '--out=faces.h5']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "drawing faces" not in line]
    assert said.startswith(f"tfgan-lab: faces.h5 cannot be written: {os.strerror(errno.EFBIG)}. Free space")
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("unprivileged")
def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    for out in ("/proc/faces.h5", "/faces.h5"):
        assert f"{out} cannot be written: " in refusal(lambda out=out: write_montage(out, 1, seed=0))
