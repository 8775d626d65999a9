"""Montage images that are damaged, strange or missing: one line for each mistake."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from montages import FACES, encoded, load
from refusals import refusal

from tfgan_lab.data import montage_sources

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(
    ("source", "path", "changes", "words"),
    [
        ("hdf5", None, {}, "needs --data_dir"),
        ("folder", None, {}, "needs --data_dir"),
        ("auto", "nowhere.h5", {}, "no such file or folder"),
        ("hdf5", ".", {}, "is not one"),
        ("auto", ".", {}, "no PNG, JPEG or WebP images"),
        ("celeb_a", ".", {}, "tfds build celeb_a"),
        ("faces", None, {"crop": 200}, "smaller than the 200x200 crop"),
    ],
)
def test_mistaken_arguments(tmp_path: Path, source: str, path: str | None, changes: dict[str, Any], words: str) -> None:
    assert words in refusal(lambda: load(source, path and tmp_path / path, **changes))


def test_a_mistyped_path_names_the_neighbour(montage_arrays: Path) -> None:
    assert "Did you mean 'arrays.h5'?" in refusal(lambda: load("auto", montage_arrays.with_name("array.h5")))


# Broken HDF5 files.


def broken(tmp_path: Path, fill: Callable[[h5py.File], Any]) -> str:
    path = tmp_path / "broken.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    message = refusal(lambda: load("auto", path))
    assert "broken.h5" in message
    return message


def test_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    path.write_text("hello")
    assert "not an HDF5 file" in refusal(lambda: load("auto", path))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_truncated_hdf5(montage_arrays: Path, share: float) -> None:
    data = montage_arrays.read_bytes()
    montage_arrays.write_bytes(data[: int(len(data) * share)])
    assert "cut short" in refusal(lambda: load("auto", montage_arrays))


def test_nothing_usable_is_listed(tmp_path: Path) -> None:
    message = broken(tmp_path, lambda file: file.create_dataset("images/0001.png", data=FACES[0]))
    assert "no members named '0.png'" in message
    assert "'images/0001.png' uint8[36, 31, 3]" in message
    assert "no datasets" in broken(tmp_path, lambda file: file.create_group("empty"))


def test_a_gap_in_the_numbers_is_named(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        for number in (0, 1, 2, 4, 10):
            file[f"{number}.png"] = FACES[0]

    assert "'3.png' is missing" in broken(tmp_path, fill)
    assert "'0.png' is missing" in broken(tmp_path, lambda file: file.create_dataset("1.png", data=FACES[0]))


def test_a_number_twice(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["a/0.png"] = file["b/0.png"] = FACES[0]

    message = broken(tmp_path, fill)
    assert "'a/0.png'" in message
    assert "'b/0.png'" in message


@pytest.mark.parametrize(
    "member",
    [
        FACES[0].astype(np.float32),
        FACES[0][..., 0],
        np.zeros((30, 30, 4), np.uint8),
        np.zeros((0, 30, 3), np.uint8),
        np.zeros((30, 30, 3), np.int8),
        np.float64(1),
        "a string",
        h5py.Empty("u1"),
        np.zeros(2, [("a", "u1")]),
    ],
    ids=lambda member: f"{getattr(member, 'dtype', 'str')}{getattr(member, 'shape', '')}",
)
def test_members_of_another_kind(tmp_path: Path, member: Any) -> None:
    message = broken(tmp_path, lambda file: file.create_dataset("g/0.png", data=member))
    assert "'g/0.png'" in message
    assert "must be a uint8 array [height, width, 3]" in message


def test_encoded_members_that_are_no_images(tmp_path: Path) -> None:
    def fill(data: bytes) -> Callable[[h5py.File], Any]:
        return lambda file: file.create_dataset("0.png", data=np.frombuffer(data, np.uint8))

    png = encoded(FACES[0])
    assert "cut short" in broken(tmp_path, fill(png[:-20]))
    assert "check sum" in broken(tmp_path, fill(png[:300] + bytes([png[300] ^ 1]) + png[301:]))
    assert "not a PNG, JPEG or WebP" in broken(tmp_path, fill(encoded(FACES[0], "GIF") + b"\xff\xd9"))
    assert "'0.png'" in broken(tmp_path, fill(b""))


def test_both_kinds_in_one_file(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["0.png"] = FACES[0]
        file["1.png"] = np.frombuffer(encoded(FACES[1]), np.uint8)

    assert "use one kind" in broken(tmp_path, fill)


def test_links_out_of_the_file_are_refused(tmp_path: Path, montage_arrays: Path) -> None:
    (tmp_path / "raw").write_bytes(FACES[0].tobytes())
    layout = h5py.VirtualLayout((36, 31, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(montage_arrays), "some/group/0.png", (36, 31, 3))
    fills: list[Callable[[h5py.File], Any]] = [
        lambda file: file.__setitem__("0.png", h5py.ExternalLink(str(montage_arrays), "some/group/0.png")),
        lambda file: file.__setitem__("group", h5py.ExternalLink(str(montage_arrays), "some/group")),
        lambda file: file.__setitem__("0.png", h5py.SoftLink("/elsewhere")),
        lambda file: file.create_virtual_dataset("0.png", layout),
        lambda file: file.create_dataset(
            "0.png", (36, 31, 3), np.uint8, external=[(str(tmp_path / "raw"), 0, FACES[0].size)]
        ),
    ]
    for fill in fills:
        message = broken(tmp_path, fill)
        assert "store the image itself" in message


def test_groups_that_hold_each_other(tmp_path: Path) -> None:
    path = tmp_path / "loop.h5"
    with h5py.File(path, "w") as file:
        file["a/0.png"] = FACES[0]
        file["a/again"] = file["a"]
        file["a/alias"] = h5py.SoftLink("/a")
    assert load("auto", path).num == 1


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    def empty(file: h5py.File) -> None:
        file.create_dataset("0.png", (10**6, 10**6, 3), np.uint8)  # Nothing is stored.

    def chunk(file: h5py.File) -> None:
        file.create_dataset(
            "0.png", (40, 40, 3), np.uint8, maxshape=(None, None, 3), chunks=(20_000, 10_000, 3), compression="gzip"
        )

    assert "larger than" in broken(tmp_path, empty)
    assert "larger than" in broken(tmp_path, chunk)


def test_a_damaged_chunk_is_named(montage_arrays: Path) -> None:
    with h5py.File(montage_arrays) as file:
        place = file["some/group/4.png"].id.get_chunk_info(3).byte_offset
    data = bytearray(montage_arrays.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    montage_arrays.write_bytes(data)
    message = refusal(lambda: load("auto", montage_arrays))
    assert "'some/group/4.png' cannot be read" in message


# Broken folders.


def test_one_stray_file_is_skipped_and_named(montage_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (montage_folder / "odd.png").write_text("hello")
    (montage_folder / "notes.txt").write_text("hello")
    (montage_folder / ".hidden").write_text("hello")
    with caplog.at_level("WARNING"):
        examples = load("auto", montage_folder)
    assert examples.num == 6
    assert "odd.png (not a PNG, JPEG or WebP image)" in caplog.text
    assert ".hidden" not in caplog.text and "notes.txt" not in caplog.text
    assert "1 files skipped" in examples.provenance.detail


def test_many_broken_files_are_refused(montage_folder: Path) -> None:
    (montage_folder / "0.png").write_bytes(b"")
    (montage_folder / "2.png").write_bytes(encoded(FACES[0])[:-30])
    message = refusal(lambda: load("auto", montage_folder))
    assert "2 of 6 files" in message
    assert "0.png" in message
    assert "2.png (cut short" in message


def test_the_share_that_may_be_skipped(tmp_path: Path) -> None:
    for index in range(250):
        os.link(_one_png(tmp_path), tmp_path / f"{index}.png")
    for name in ("x", "y"):
        (tmp_path / name).write_text("no image")
    assert load("auto", tmp_path).num == 251
    (tmp_path / "z").write_text("no image")
    assert "3 of 254" in refusal(lambda: load("auto", tmp_path))


def _one_png(montage_folder: Path) -> Path:
    path = montage_folder / "one.png"
    if not path.exists():
        path.write_bytes(encoded(FACES[0]))
    return path


def test_damage_inside_a_file_is_named(montage_folder: Path) -> None:
    """Not seen at first sight, so found when it is read: by name, in memory or streamed."""
    data = bytearray((montage_folder / "b" / "3.png").read_bytes())
    data[400] ^= 1
    (montage_folder / "b" / "3.png").write_bytes(data)
    for memory in (64, 0):
        assert "b/3.png: damaged" in refusal(lambda memory=memory: load("auto", montage_folder, memory_mb=memory))


def _png(height: int, width: int, pixels: bytes) -> bytes:
    """A PNG whose check sums are right, whatever else is wrong with it."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", pixels) + part(b"IEND", b"")


def test_a_png_that_only_its_decoder_refuses(tmp_path: Path) -> None:
    (tmp_path / "odd.png").write_bytes(_png(30, 30, b"no zlib stream"))
    assert "'odd.png' cannot be decoded" in refusal(lambda: load("auto", tmp_path))


def test_a_bomb_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(60_000, 60_000, zlib.compress(bytes(1000))))
    message = refusal(lambda: load("auto", tmp_path))
    assert "bomb.png (more than 40,000,000 pixels)" in message
    monkeypatch.setattr(montage_sources, "MAX_PIXELS", 36 * 31 - 1)
    (tmp_path / "bomb.png").write_bytes(encoded(FACES[0]))
    assert "36x31 is more than" in refusal(lambda: load("auto", tmp_path))


def test_a_named_pipe_is_not_waited_for(montage_folder: Path) -> None:
    os.mkfifo(montage_folder / "pipe.png")
    assert load("auto", montage_folder).num == 6


@given(st.binary(max_size=200), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_an_image_or_are_not(noise: bytes, keep: int) -> None:
    for data in (noise, encoded(FACES[0])[:keep] + noise, b"\xff\xd8\xff\xe0" + noise + b"\xff\xd9"):
        try:
            montage_sources.check_encoded(data)
            montage_sources.image_size(io.BytesIO(data))
        except montage_sources.BadImage:
            continue
