"""Writes .npz files, and reads those that others may have made: numbers only, never a pickle, never more than fits."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfgan_lab.errors import first_line
from tfgan_lab.system.files import MARK, require_file

MOST_BYTES = 2 * 2**30  # unpacked; a file of kilobytes can say that it holds terabytes


def npz_bytes(arrays: Mapping[str, Any]) -> bytes:
    """An .npz of arrays by name, which carries the mark of our files as the archive's comment."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return marked_archive(buffer)


def marked_archive(archive: io.BytesIO) -> bytes:
    """A ZIP archive (an .npz, or what torch.save writes) with the mark of our files as its comment."""
    with zipfile.ZipFile(archive, "a") as file:
        file.comment = MARK.encode()
    return archive.getvalue()


def read_arrays(file: str | os.PathLike[str] | bytes, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an .npz, a path or the file's content, by name.

    Raises:
      ValueError: It is damaged, no .npz, larger, or holds anything but numbers; one line.
      OSError: It cannot be read.
    """
    source: Any = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        if not isinstance(file, bytes):
            require_file(file)
        with zipfile.ZipFile(source) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > most_bytes:
                raise ValueError(f"its arrays take {size:,} bytes, more than {most_bytes:,}")
            return {member.filename.removesuffix(".npy"): _read(archive, member) for member in archive.infolist()}
    except OSError:
        raise
    except Exception as error:  # zipfile and NumPy raise nearly anything on what is no archive of arrays
        raise ValueError(first_line(error, 160)) from None


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        # The header is checked against the size before NumPy makes room for what it says.
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file, max_header_size=10_000)
    if dtype.hasobject or dtype.kind not in "biufcSU":
        raise ValueError(f"{member.filename[:60]!r} holds {dtype.kind!r}, not numbers")
    if dtype.itemsize * int(np.prod(shape, dtype=object)) > member.file_size:
        raise ValueError(f"{member.filename[:60]!r} is cut short")
    with archive.open(member) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False, max_header_size=10_000)
    return array
