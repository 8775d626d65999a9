"""The embedded faces as HDF5 files in the post's layout: where the user wants one, or in the cache folder."""

from __future__ import annotations

import atexit
import functools
import hashlib
import io
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
from tqdm import tqdm

from tfgan_lab.data.faces import HEIGHT, WIDTH, draw_faces
from tfgan_lab.errors import UserError
from tfgan_lab.system.cache import cache_dir, can_be_written, kept
from tfgan_lab.system.files import new_file


def kept_faces(seed: int, num: int) -> Path:
    """The HDF5 file with those faces in the post's layout, drawn unless it is in the cache folder, whole.

    Raises:
      UserError: The disk is full.
    """

    def make(path: Path) -> dict[str, Any]:
        fill_montage(path, num, seed)
        return {"sha256": _digest(path)}

    drawn_by = f"{version('python-avatars')}-{version('resvg-py')}"
    path = _folder() / f"{drawn_by}-seed-{seed}-{num}.h5"
    if kept(path, make)["sha256"] != _digest(path):
        path.unlink(missing_ok=True)
        kept(path, make)
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder() -> Path:
    """In the cache folder; where that cannot be written, one that goes when this process ends."""
    folder = cache_dir() / "faces"
    return folder if can_be_written(folder) else _of_this_process()


@functools.cache
def _of_this_process() -> Path:
    folder = tempfile.mkdtemp(prefix="tfgan_lab-faces-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def write_montage(path: str, num: int, seed: int, *, overwrite: bool = False) -> None:
    """Writes the embedded faces as an HDF5 file in the post's layout, whole or not at all.

    Raises:
      UserError: The file is there already, or cannot be written.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise UserError(f"{path}: exists already; give another name or --overwrite.")
    with new_file(target) as temporary:
        fill_montage(temporary, num, seed)


def fill_montage(path: Path, num: int, seed: int) -> None:
    """Writes the first faces of a set as 'montage/0.png', …: uint8 [218, 178, 3], gzip, one chunk each.

    Raises:
      OSError: The file cannot be written.
    """
    shape = (HEIGHT, WIDTH, 3)
    with _Sink(path) as sink:
        with h5py.File(sink, "w") as file:
            group = file.create_group("montage")
            group.attrs["source"] = f"tfgan_lab composite faces, seed {seed}"
            faces = tqdm(draw_faces(seed, num), desc="drawing faces", total=num, unit="face", disable=None)
            for index, face in enumerate(faces):
                group.create_dataset(f"{index}.png", data=face, chunks=shape, compression="gzip")
                if sink.error is not None:
                    break
        if sink.error is not None:
            raise sink.error


class _Sink(io.FileIO):
    """A file for HDF5 that keeps its first error of writing: HDF5 crashes when it cannot write what it holds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes all of the data, or notes why not."""
        rest = memoryview(data).cast("B")
        whole = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return whole

    def truncate(self, size: int | None = None) -> int:
        """Sets the file's length, or notes why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0
