"""Pixels of an HDF5 file's uint8 arrays by their places in the file, read by as many threads as come.

HDF5 lets one thread at a time into a file, and h5py looks a member up by its name at every read: for small images
both take longer than the pixels do.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where the [H, W, C] pixels of a member lie: `parts` int64 [N, 2] are offset and size of its chunks, row by row."""

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    parts: np.ndarray
    gzip: bool


class Pixels:
    """The arrays of a file.

    Args:
      file: Open for reading, for as long as this is used.
      members: Names of uint8 [H, W, C] arrays in it.
    """

    def __init__(self, file: h5py.File, members: Sequence[str]) -> None:
        self._file, self._members = file, members
        self._raw = Path(file.filename).open("rb") if hasattr(os, "pread") else None  # noqa: SIM115
        self._places: dict[int, _Place | None] = {}

    def close(self) -> None:
        """Closes what was opened here; the HDF5 file stays open."""
        if self._raw is not None:
            self._raw.close()

    def read(self, index: int, rows: slice, columns: slice) -> np.ndarray:
        """Those rows and columns of a member: uint8 [rows, columns, C].

        Raises:
          OSError: The file is damaged or cut short (h5py's own exceptions where it reads).
        """
        if index not in self._places:
            self._places[index] = None if self._raw is None else _find(self._file[self._members[index]])
        place = self._places[index]
        if place is None:
            return self._file[self._members[index]][rows, columns]
        if place.chunk == place.shape and not place.gzip:
            line = place.shape[1] * place.shape[2]
            data = self._bytes(int(place.parts[0, 0]) + rows.start * line, (rows.stop - rows.start) * line)
            return np.frombuffer(data, np.uint8).reshape(-1, *place.shape[1:])[:, columns]
        return self._assemble(place, rows, columns)

    def _assemble(self, place: _Place, rows: slice, columns: slice) -> np.ndarray:
        found = np.empty((rows.stop - rows.start, columns.stop - columns.start, place.shape[2]), np.uint8)
        grid = itertools.product(*(range(0, side, step) for side, step in zip(place.shape, place.chunk, strict=True)))
        for (top, left, first), (offset, size) in zip(grid, place.parts.tolist(), strict=True):
            bottom, right = top + place.chunk[0], left + place.chunk[1]
            if bottom <= rows.start or top >= rows.stop or right <= columns.start or left >= columns.stop:
                continue
            pixels = self._chunk(place, offset, size)
            y, x = max(top, rows.start), max(left, columns.start)
            cut = pixels[y - top : rows.stop - top, x - left : columns.stop - left, : place.shape[2] - first]
            y, x = y - rows.start, x - columns.start
            found[y : y + cut.shape[0], x : x + cut.shape[1], first : first + cut.shape[2]] = cut
        return found

    def _chunk(self, place: _Place, offset: int, size: int) -> np.ndarray:
        data, whole = self._bytes(offset, size), int(np.prod(place.chunk))
        if place.gzip:
            try:
                data = zlib.decompressobj().decompress(data, whole)
            except zlib.error as error:
                raise OSError(f"its compressed pixels are damaged: {error}") from None
        if len(data) != whole:
            raise OSError(f"a part of its pixels has {len(data):,} of {whole:,} bytes")
        return np.frombuffer(data, np.uint8).reshape(place.chunk)

    def _bytes(self, offset: int, size: int) -> bytes:
        assert self._raw is not None
        data = os.pread(self._raw.fileno(), size, offset)
        if len(data) != size:
            raise OSError("the file is cut short")
        return data


def _find(dataset: h5py.Dataset) -> _Place | None:
    """Where an array's pixels are; None if that is not simple (other filters than gzip, parts that were never written, a user block)."""
    shape, chunk = dataset.shape, dataset.chunks
    if dataset.file.userblock_size:  # releases of HDF5 differ on whether a chunk's place counts it
        return None
    if chunk is None:
        offset = dataset.id.get_offset()
        return None if offset is None else _Place(shape, shape, np.array([[offset, dataset.nbytes]]), gzip=False)
    filters = dataset.id.get_create_plist()
    kinds = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
    number = int(np.prod([-(-side // step) for side, step in zip(shape, chunk, strict=True)]))
    if kinds not in ([], [h5py.h5z.FILTER_DEFLATE]) or dataset.id.get_num_chunks() != number:
        return None
    chunks = sorted((dataset.id.get_chunk_info(i) for i in range(number)), key=lambda info: info.chunk_offset)
    if any(info.filter_mask for info in chunks):
        return None
    parts = np.array([(info.byte_offset, info.size) for info in chunks])
    return _Place(shape, chunk, parts, gzip=bool(kinds))
