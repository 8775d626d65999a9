"""Where montage images are read from: HDF5 members, files in a folder, TFDS' CelebA, drawn faces.

Each opener looks at every image once (name, kind, size) without decoding it, so that a mistake in the data is
told before training starts, and hands over a `ImageSource` that reads any image by its position from any thread.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from absl import logging
from PIL import Image

from tfgan_lab.data.faces import UNIT_HEIGHT, UNIT_WIDTH, draw_face
from tfgan_lab.errors import UserError

# A 40-megapixel photograph is a real picture; decoded it is 120 MB in each reading thread. A header that
# asks for more is a decompression bomb or damaged.
MAX_PIXELS = 40_000_000
# A few broken files in a big download are normal and harmless; more means that it is the wrong folder or a
# failed copy. One is always allowed, so that a stray text file does not stop a small set.
MAX_SKIPPED = 0.01
_FIRST_BYTES = 1024  # of each file, in the fingerprint


class BadImage(Exception):
    """Why one image cannot be used."""


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Images that can be read by position.

    Attributes:
      title: Short name for the provenance.
      names: One name for each image, for messages.
      sizes: (height, width) of each image.
      encoded: Whether `read` returns PNG or JPEG bytes, or else uint8 [H, W, 3] pixels.
      read: Reads one image by its position, from any thread; raises `UserError`.
      fingerprint: SHA-256 of names, sizes and first bytes, which costs no decoding.
      detail: One more fact for the provenance.
      close: Lets go of open files.
    """

    title: str
    names: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    encoded: bool
    read: Callable[[int], bytes | np.ndarray]
    fingerprint: str
    detail: str = ""
    close: Callable[[], None] = lambda: None


def centre_start(size: int, crop: int) -> int:
    """Where a centre crop starts, with the post's arithmetic (P001, `crop_center`)."""
    return size // 2 - crop // 2


def fingerprint(parts: Iterable[bytes]) -> str:
    """SHA-256 of some byte strings, the same in any order."""
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(part).digest() for part in parts))).hexdigest()


def open_folder(path: str) -> ImageSource:
    """Opens the PNG and JPEG files in a folder and its subfolders, in the order of their names.

    Files that are no such images, or broken at first sight, are named in a warning and left out; hidden ones
    are left out silently.

    Raises:
      UserError: No images; more than `MAX_SKIPPED` of the files unusable.
    """
    root, images, skipped = Path(path), [], []
    for name in _visible_files(root):
        try:
            images.append((name, *_probe_file(root / name)))
        except (BadImage, OSError) as error:
            skipped.append(f"{name} ({getattr(error, 'strerror', None) or error})")
    total, some = len(images) + len(skipped), "; ".join(skipped[:5]) + ("; …" if len(skipped) > 5 else "")
    if not images:
        found = f"; unusable: {some}" if skipped else ""
        raise UserError(f"{path}: no PNG or JPEG images in this folder{found}.")
    if len(skipped) > max(1, int(MAX_SKIPPED * total)):
        raise UserError(
            f"{path}: {len(skipped):,} of {total:,} files are no usable PNG or JPEG images: {some}. "
            f"Remove them (at most {MAX_SKIPPED:.0%} are skipped)."
        )
    if skipped:
        logging.warning("%s: skipped %d of %d files: %s", path, len(skipped), total, some)
    names = [name for name, *_ in images]

    def read(index: int) -> bytes:
        try:
            data = (root / names[index]).read_bytes()
            check_encoded(data)
        except (BadImage, OSError) as error:
            raise UserError(f"{root / names[index]}: {error}. Remove or replace this file.") from None
        return data

    prints = (f"{name} {size} ".encode() + first for name, _, size, first in images)
    detail = f"{root.resolve().name}, {len(skipped)} files skipped"
    return ImageSource("image folder", names, [s for _, s, *_ in images], True, read, fingerprint(prints), detail)


def _visible_files(root: Path) -> list[str]:
    found = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        relative = Path(folder).relative_to(root)
        found += [(relative / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _probe_file(path: Path) -> tuple[tuple[int, int], int, bytes]:
    """Returns ((height, width), bytes, first bytes) of an image file, from its two ends."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # Opening a named pipe would wait for ever.
        raise BadImage("not a regular file")
    with path.open("rb") as file:
        first = file.read(_FIRST_BYTES)
        file.seek(0)
        size = image_size(file)
        file.seek(-min(status.st_size, 4096), os.SEEK_END)
        _check_end(first, file.read())
    return size, status.st_size, first


def image_size(file: BinaryIO) -> tuple[int, int]:
    """Returns (height, width) from the header of a PNG or JPEG.

    Raises:
      BadImage: It is neither, or has more than `MAX_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError):
        raise BadImage("not a PNG or JPEG image") from None
    if width * height > MAX_PIXELS:
        raise BadImage(f"{height}x{width} is more than {MAX_PIXELS:,} pixels")
    return height, width


def check_encoded(data: bytes) -> None:
    """Finds damage to a PNG (its check sums) or a cut JPEG (its end) before a decoder meets it.

    Raises:
      BadImage: With the reason.
    """
    _check_end(data, data[-4096:])
    position = 8 if data.startswith(b"\x89PNG") else len(data)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        body = data[position + 4 : position + 8 + length]
        if data[position + 8 + length : position + 12 + length] != struct.pack(">I", zlib.crc32(body)):
            raise BadImage("damaged: a PNG check sum is wrong")
        if body.startswith(b"IEND"):
            break
        position += 12 + length


def _check_end(first: bytes, last: bytes) -> None:
    mark = b"IEND\xaeB`\x82" if first.startswith(b"\x89PNG") else b"\xff\xd9"
    if mark not in last:
        raise BadImage("cut short: its end is missing")


def open_faces(num: int, seed: int, split: str) -> ImageSource:
    """Opens the embedded faces: drawn when they are read; the splits share no face."""
    start = {"train": 0, "validation": 1 << 30, "test": 1 << 31}[split]
    return ImageSource(
        title="embedded faces",
        names=[f"face {start + index}" for index in range(num)],
        sizes=[(UNIT_HEIGHT, UNIT_WIDTH)] * num,
        encoded=False,
        read=lambda index: draw_face(seed, start + index),
        fingerprint=fingerprint([f"faces {seed} {start} {num}".encode()]),
        detail=f"seed {seed}",
    )


def celeb_a_copy(data_dir: str | None) -> Path | None:
    """Returns the newest prepared copy of TFDS' celeb_a, or None."""
    home = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    copies = sorted(home.glob("celeb_a/*/dataset_info.json"))
    return copies[-1].parent if copies else None


def open_celeb_a(data_dir: str | None, split: str) -> ImageSource:
    """Opens a copy of CelebA that TFDS has prepared (TFRecord shards), without importing TFDS.

    Raises:
      UserError: No prepared copy; a shard missing or cut.
    """
    folder = celeb_a_copy(data_dir)
    if folder is None:
        raise UserError(
            f"data.source=celeb_a: no prepared copy in {data_dir or 'the TFDS folder'}: run "
            "`tfds build celeb_a` once (with --data_dir=FOLDER to keep it elsewhere)."
        )
    records: list[tuple[str, int, int]] = []
    prints = []
    for shard in _shards(folder, split):
        records += _record_places(shard)
        with open(shard, "rb") as file:
            prints.append(f"{Path(shard).name} {os.path.getsize(shard)} ".encode() + file.read(_FIRST_BYTES))

    def read(index: int) -> bytes:
        import tensorflow as tf

        shard, offset, length = records[index]
        with open(shard, "rb") as file:
            file.seek(offset)
            example = tf.train.Example.FromString(file.read(length))
        return example.features.feature["image"].bytes_list.value[0]

    names = [f"{Path(shard).name} at byte {offset}" for shard, offset, _ in records]
    sizes = [(218, 178)] * len(records)  # TFDS refuses any other size when it prepares the set.
    return ImageSource("TFDS celeb_a", names, sizes, True, read, fingerprint(prints), f"version {folder.name}")


def _shards(folder: Path, split: str) -> list[str]:
    try:
        splits = json.loads((folder / "dataset_info.json").read_text())["splits"]
        counts = {each["name"]: len(each["shardLengths"]) for each in splits}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}/dataset_info.json: unreadable; prepare celeb_a again.") from None
    shards = sorted(glob.glob(f"{glob.escape(str(folder))}/celeb_a-{split}.tfrecord-*"))
    if split not in counts or len(shards) != counts[split] or not shards:
        wanted = f"{counts.get(split, 0)} TFRecord shards of split {split!r}"
        raise UserError(f"{folder}: has {len(shards)} of {wanted}; prepare celeb_a again.")
    return shards


def _record_places(shard: str) -> list[tuple[str, int, int]]:
    """Where each record of a TFRecord file lies: (file, offset, length)."""
    places, position, size = [], 0, os.path.getsize(shard)
    with open(shard, "rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(8)
            length = struct.unpack("<Q", header)[0] if len(header) == 8 else size
            # A record is its length (8 bytes) and the check sum of that (4), the data, their check sum (4).
            if position + 16 + length > size:
                raise UserError(f"{shard}: cut short at byte {position}; prepare celeb_a again.")
            places.append((shard, position + 12, length))
            position += 16 + length
    return places
