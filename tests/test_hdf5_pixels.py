"""Pixels read past HDF5 are the ones that h5py reads; damage is told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from montages import load, refusal

from tfgan_lab.data.hdf5_pixels import Pixels

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 37, 30, 3), np.uint8)
STORED = {
    "as it is": {},
    "in chunks": {"chunks": (10, 8, 2)},
    "one chunk, gzip": {"chunks": (37, 30, 3), "compression": "gzip"},
    "chunks, gzip": {"chunks": (10, 8, 2), "compression": "gzip", "compression_opts": 9},
    "chunks larger than it": {"chunks": (50, 8, 3), "maxshape": (None, 30, 3), "compression": "gzip"},
    "shuffled": {"chunks": (10, 8, 2), "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (10, 8, 2), "compression": "lzf"},
    "with checksums": {"chunks": (10, 8, 2), "compression": "gzip", "fletcher32": True},
}
BY_PLACE = list(STORED)[:5]


def write(path: Path, options: dict[str, Any], **file_options: Any) -> h5py.File:
    with h5py.File(path, "w", **file_options) as file:
        for index, image in enumerate(IMAGES):
            file.create_dataset(f"{index}.png", data=image, **options)
    return h5py.File(path, "r")


@pytest.fixture(params=STORED)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Pixels]]:
    with write(tmp_path / "images.h5", STORED[request.param]) as file:
        pixels = Pixels(file, [f"{index}.png" for index in range(len(IMAGES))])
        yield request.param, pixels
        pixels.close()


def test_all_pixels_and_any_crop(stored: tuple[str, Pixels]) -> None:
    for index, image in enumerate(IMAGES):
        for rows, columns in (
            (slice(0, 37), slice(0, 30)),
            (slice(11, 27), slice(7, 23)),
            (slice(36, 37), slice(0, 1)),
        ):
            np.testing.assert_array_equal(stored[1].read(index, rows, columns), image[rows, columns])


def test_they_are_read_by_place_where_it_is_simple(stored: tuple[str, Pixels]) -> None:
    kind, pixels = stored
    pixels.read(0, slice(0, 1), slice(0, 1))
    pixels._file.close()
    read = lambda: pixels.read(0, slice(0, 37), slice(0, 30))
    if kind in BY_PLACE:
        np.testing.assert_array_equal(read(), IMAGES[0])
    else:
        with pytest.raises((KeyError, ValueError, RuntimeError)):
            read()


@given(st.data())
def test_any_chunks(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    chunks = tuple(data.draw(st.integers(1, side)) for side in (37, 30, 3))
    edges = [
        sorted(data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True))) for side in (37, 30)
    ]
    rows, columns = (slice(*edge) for edge in edges)
    path = tmp_path_factory.mktemp("any") / "images.h5"
    with write(path, {"chunks": chunks, "compression": data.draw(st.sampled_from([None, "gzip"]))}) as file:
        np.testing.assert_array_equal(Pixels(file, ["0.png"]).read(0, rows, columns), IMAGES[0][rows, columns])


def test_parts_that_were_never_written_are_zero(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "images.h5", "w") as file:
        sparse = file.create_dataset("0.png", (20, 20, 3), np.uint8, chunks=(10, 10, 3), compression="gzip")
        sparse[:10, :10] = 7
        file.create_dataset("1.png", (20, 20, 3), np.uint8)
    expected = np.zeros((20, 20, 3), np.uint8)
    expected[:10, :10] = 7
    with h5py.File(tmp_path / "images.h5") as file:
        pixels = Pixels(file, ["0.png", "1.png"])
        np.testing.assert_array_equal(pixels.read(0, slice(0, 20), slice(0, 20)), expected)
        np.testing.assert_array_equal(pixels.read(1, slice(0, 20), slice(0, 20)), np.zeros((20, 20, 3)))


@pytest.mark.parametrize("options", [STORED["as it is"], STORED["chunks, gzip"]])
def test_a_user_block_moves_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    with write(tmp_path / "images.h5", options, userblock_size=1024) as file:
        np.testing.assert_array_equal(
            Pixels(file, ["0.png"]).read(0, slice(5, 25), slice(5, 25)), IMAGES[0][5:25, 5:25]
        )


@pytest.mark.parametrize("kind", BY_PLACE)
def test_many_threads(tmp_path: Path, kind: str) -> None:
    with write(tmp_path / "images.h5", STORED[kind]) as file, ThreadPoolExecutor(8) as pool:
        pixels = Pixels(file, [f"{index}.png" for index in range(len(IMAGES))])
        found = pool.map(lambda i: pixels.read(i % 4, slice(3, 33), slice(2, 28)), range(200))
        for i, image in enumerate(found):
            np.testing.assert_array_equal(image, IMAGES[i % 4][3:33, 2:28])


@pytest.mark.parametrize("kind", BY_PLACE)
def test_a_file_cut_short_while_it_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "images.h5"
    write(path, STORED[kind]).close()
    examples = load("hdf5", path, memory_mb=0)
    assert examples.fetch_many is not None
    first = examples.fetch_many(np.arange(4)).numpy()
    np.testing.assert_array_equal(first[2], IMAGES[2][6:30, 3:27])
    path.write_bytes(path.read_bytes()[:2048])
    message = refusal(lambda: examples.fetch_many(np.array([3])))  # type: ignore[misc]
    assert message.endswith("images.h5: '3.png' cannot be read (the file is cut short).")


def test_damaged_compression(tmp_path: Path) -> None:
    path = tmp_path / "images.h5"
    with write(path, STORED["one chunk, gzip"]) as file:
        place = file["1.png"].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    raw[place.byte_offset + 20 : place.byte_offset + 60] = bytes(40)
    path.write_bytes(raw)
    assert "'1.png' cannot be read" in refusal(lambda: load("hdf5", path))
