"""Where montage images are read from: files in a folder and TFDS' CelebA here, HDF5 in `montage_hdf5`.

Each opener looks at every image once (name, kind, size) without decoding it, so that a mistake in the data is
told before training starts, and hands over a `ImageSource` that reads any image by its position from any thread.
"""

from __future__ import annotations

import dataclasses
import glob
import io
import json
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from absl import logging
from PIL import Image, ImageOps

from tfgan_lab.errors import UserError, shown

# A 40-megapixel photograph is a real picture; decoded it is 120 MB in each reading thread. A header that
# asks for more is a decompression bomb or damaged.
MAX_PIXELS = 40_000_000
# A few broken files in a big download are normal and harmless; more means that it is the wrong folder or a
# failed copy. One is always allowed, so that a stray file does not stop a small set.
MAX_SKIPPED = 0.01
_FORMATS = ("PNG", "JPEG", "WEBP")
_NOTES = (".csv", ".json", ".md", ".txt", ".xml")  # what lies beside images without being any
# Pillow warns of EXIF that is damaged; the picture itself may be whole. Once for all threads: filters are the process'.
warnings.filterwarnings("ignore", "Corrupt EXIF data")
_ORIENTATION = 0x0112  # of EXIF: which side of the stored picture is up


class BadImage(Exception):
    """Why one image cannot be used."""


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Images that can be read by position."""

    title: str  # for the provenance
    names: Sequence[str]  # of each image, for messages
    sizes: Sequence[tuple[int, int]]  # (height, width) of each image
    encoded: bool  # whether `read` returns PNG, JPEG or WebP bytes, or else uint8 [H, W, 3] pixels
    read: Callable[[int], bytes | np.ndarray]  # one image by its position, from any thread; raises `UserError`
    detail: str = ""  # for the provenance
    close: Callable[[], None] = lambda: None  # lets go of open files


def centre_start(size: int, crop: int) -> int:
    """Where a centre crop starts, with the post's arithmetic (P001, `crop_center`)."""
    return size // 2 - crop // 2


def open_folder(path: str) -> ImageSource:
    """Opens the PNG, JPEG and WebP files in a folder and its subfolders, in the order of their names.

    Files that are no such images, or broken at first sight, are named in a warning and omitted; hidden ones, and notes
    (.txt, .csv, .json, .md, .xml), are omitted silently.

    Raises:
      UserError: No images; more than `MAX_SKIPPED` of the files unusable.
    """
    root, sizes, skipped = Path(path), {}, []
    for name in visible_files(root):
        if name.lower().endswith(_NOTES):
            continue
        try:
            sizes[name] = _probe_file(root / name)
        except (BadImage, OSError) as error:
            skipped.append(f"{shown(name)} ({getattr(error, 'strerror', None) or error})")
    total, some = len(sizes) + len(skipped), "; ".join(skipped[:5]) + ("; …" if len(skipped) > 5 else "")
    if not sizes:
        found = f"; unusable: {some}" if skipped else ""
        raise UserError(f"{shown(path)}: no PNG, JPEG or WebP images in this folder{found}.")
    if len(skipped) > max(1, int(MAX_SKIPPED * total)):
        raise UserError(
            f"{shown(path)}: {len(skipped):,} of {total:,} files are no usable PNG, JPEG or WebP images: {some}. "
            f"Remove them (at most {MAX_SKIPPED:.0%} are skipped)."
        )
    if skipped:
        logging.warning("%s: skipped %d of %d files: %s", shown(path), len(skipped), total, some)
    names = list(sizes)

    def read(index: int) -> bytes:
        try:
            data = (root / names[index]).read_bytes()
            check_encoded(data)
        except (BadImage, OSError) as error:
            raise UserError(f"{shown(root / names[index])}: {error}. Remove or replace this file.") from None
        return data

    detail = f"{shown(root.resolve().name)}, {len(skipped)} files skipped"
    return ImageSource("image folder", [shown(name) for name in names], list(sizes.values()), True, read, detail)


def visible_files(root: Path) -> list[str]:
    """The files in a folder and its subfolders, relative to it, in the order of their names; none that is hidden."""
    found = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        relative = Path(folder).relative_to(root)
        found += [(relative / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _probe_file(path: Path) -> tuple[int, int]:
    """Returns (height, width) of an image file, from its two ends."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # Opening a named pipe would wait for ever.
        raise BadImage("not a regular file")
    with path.open("rb") as file:
        size = image_size(file)
        file.seek(0)
        first = file.read(8)
        file.seek(-min(status.st_size, 4096), os.SEEK_END)
        _check_end(first, file.read())
    return size


def image_size(file: BinaryIO) -> tuple[int, int]:
    """Returns (height, width) from the header of a PNG, JPEG or WebP, as it stands upright.

    Raises:
      BadImage: It is none, or has more than `MAX_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as image:
                width, height = image.size
                if _orientation(image) in (5, 6, 7, 8):
                    width, height = height, width
    except Image.DecompressionBombError:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError):
        raise BadImage("not a PNG, JPEG or WebP image") from None
    if width * height > MAX_PIXELS:
        raise BadImage(f"{height}x{width} is more than {MAX_PIXELS:,} pixels")
    return height, width


def upright(data: bytes) -> bytes:
    """As PNG, a WebP and a photograph whose EXIF says that another side is up; other bytes stay as they are."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if image.format != "WEBP" and _orientation(image) not in range(2, 9):
            return data
        turned = io.BytesIO()
        ImageOps.exif_transpose(image).convert("RGB").save(turned, "PNG", compress_level=0)
    return turned.getvalue()


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises many kinds
        return 1


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
    if mark not in last and not first.startswith(b"RIFF"):  # a WebP is opened whole, or not at all
        raise BadImage("cut short: its end is missing")


def celeb_a_copy(data_dir: str | None) -> Path | None:
    """Returns the newest prepared copy of TFDS' celeb_a, or None."""
    home = Path(os.path.expanduser(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    copies = sorted(home.glob("celeb_a/*/dataset_info.json"))
    return copies[-1].parent if copies else None


def open_celeb_a(folder: Path) -> ImageSource:
    """Opens the training split of a CelebA that TFDS has prepared (TFRecord shards), without importing TFDS.

    Raises:
      UserError: A shard is missing or cut.
    """
    records = [place for shard in _shards(folder) for place in _record_places(shard)]

    def read(index: int) -> bytes:
        import tensorflow as tf

        shard, offset, length = records[index]
        with open(shard, "rb") as file:
            file.seek(offset)
            example = tf.train.Example.FromString(file.read(length))
        return example.features.feature["image"].bytes_list.value[0]

    names = [f"{Path(shard).name} at byte {offset}" for shard, offset, _ in records]
    sizes = [(218, 178)] * len(records)  # TFDS refuses any other size when it prepares the set.
    return ImageSource("TFDS celeb_a", names, sizes, True, read, f"version {folder.name}")


def _shards(folder: Path) -> list[str]:
    try:
        splits = json.loads((folder / "dataset_info.json").read_text())["splits"]
        wanted = sum(len(each["shardLengths"]) for each in splits if each["name"] == "train")
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}/dataset_info.json: unreadable; prepare celeb_a again.") from None
    shards = sorted(glob.glob(f"{glob.escape(str(folder))}/celeb_a-train.tfrecord-*"))
    if len(shards) != wanted or not shards:
        raise UserError(
            f"{folder}: has {len(shards)} of {wanted} TFRecord shards of split 'train'; prepare celeb_a again."
        )
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
