"""Images in a file, each read by its position: memory holds only what is asked for, and any step costs the same."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.errors import UserError


class StoredImages:
    """The uint8 images [N, H, W, C] of a .npy file; indexed like the array by rows, from any thread.

    A memory map would be shorter, but pages that were read would count as this process' memory.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file for as long as this lives."""
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        self.shape, self.nbytes = images.shape, images.nbytes
        self._start = images.offset
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The images of some rows (indices or a slice): [rows, H, W, C]."""
        positions = range(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows).tolist()
        images = np.empty((len(positions), *self.shape[1:]), np.uint8)
        for position, image in zip(positions, images, strict=True):
            with self._lock:
                self._file.seek(self._start + position * image.nbytes)
                read = self._file.readinto(image)
            if read != image.nbytes:
                raise UserError(f"{self._file.name} was cut short while it was read: remove it, it is made again.")
        return images


def store_images(path: Path, batches: Iterable[np.ndarray], shape: tuple[int, ...]) -> None:
    """Writes uint8 images as they come: shape [N, H, W, C] in all.

    Raises:
      OSError: The disk is full.
    """
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for batch in batches:
            file.write(batch.tobytes())
