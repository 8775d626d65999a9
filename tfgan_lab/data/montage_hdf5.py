"""The post's data file: an HDF5 file whose members are named '0.png', '1.png', … (post P001); classes are groups of such."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from tfgan_lab.data.montage_sources import MAX_PIXELS, BadImage, ImageSource, centre_start, check_encoded, image_size
from tfgan_lab.errors import UserError, shown

_MEMBER = re.compile(r"(0|[1-9][0-9]{0,8})\.(png|jpe?g)")
_Seen = TypeVar("_Seen")
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError)  # What h5py raises on a broken file.


def open_hdf5(path: str, crop: int, group: str = "/") -> ImageSource:
    """Opens an HDF5 file in the post's layout, its members in any group or several.

    A member is a (height, width, 3) uint8 array, or the bytes of a PNG or JPEG as a 1-D uint8 or an opaque
    dataset. Of an array that is large enough, only the central crop is read, of so many pixels a side. `group`: only what
    is in this group, whose members are then numbered from 0.

    Raises:
      UserError: Not HDF5, damaged, no members, a number missing or there twice, a member of another kind,
        anything that points out of the file.
    """
    return _looked_at(path, lambda file: _open(file, path, crop, group))


def groups_of(path: str, group: str = "/") -> list[str]:
    """Names of the groups in a group of an HDF5 file, but for links. Raises `UserError` as `open_hdf5`."""

    def look(file: h5py.File) -> list[str]:
        with file:
            inside = file[group]
            hard = [
                name
                for name in inside
                if isinstance(name, str) and inside.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
            ]
            return sorted(name for name in hard if isinstance(inside[name], h5py.Group))

    return _looked_at(path, look)


def _looked_at(path: str, look: Callable[[h5py.File], _Seen]) -> _Seen:
    """What `look` makes of the opened file, which is closed if it finds a fault."""
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if not os.access(path, os.R_OK):
            raise UserError(f"{path}: not readable by this user.") from None
        if not h5py.is_hdf5(path):
            raise UserError(f"{path}: not an HDF5 file; give the post's .h5 file or a folder of images.") from None
        raise UserError(f"{path}: damaged or cut short ({_reason(error)}); copy the file again.") from None
    try:
        return look(file)
    except BadImage as error:
        file.close()
        raise UserError(f"{path}: {error}") from None
    except _DAMAGE as error:
        file.close()
        raise UserError(f"{path}: damaged HDF5 file ({_reason(error)}); copy the file again.") from None


def _open(file: h5py.File, path: str, crop: int, group: str) -> ImageSource:
    inside = file[group]
    members = _numbered(inside)
    sizes: list[tuple[int, int]] = []
    encoded = False
    for name in members:
        dataset = inside[name]
        size, is_encoded = _inspect(dataset, name)
        if sizes and is_encoded != encoded:
            raise BadImage(f"'{name}' is encoded and '{members[0]}' is an array, or the reverse: use one kind.")
        encoded = is_encoded
        sizes.append(size)

    def read(index: int) -> bytes | np.ndarray:
        name = members[index]
        try:
            if not encoded:
                return inside[name][*_crop_of(sizes[index], crop)]
            data = inside[name][()].tobytes()
            check_encoded(data)
        except (BadImage, *_DAMAGE) as error:
            raise UserError(f"{path}: '{name}' cannot be read ({_reason(error)}).") from None
        return data

    detail = f"{shown(Path(path).name)}, {'encoded' if encoded else 'arrays'}"
    return ImageSource("HDF5 montage", members, sizes, encoded, read, detail, file.close)


def _numbered(inside: h5py.Group) -> list[str]:
    """The image members in the order of their numbers, which must run from 0 without a gap."""
    members: dict[int, str] = {}
    others = []
    for name, dataset in _datasets(inside):
        match = _MEMBER.fullmatch(name.rpartition("/")[2])
        if match is None:
            others.append(f"'{name}' {dataset.dtype}{list(dataset.shape or ())}")
            continue
        number = int(match[1])
        if number in members:
            raise BadImage(f"two members have the number {number}: '{members[number]}' and '{name}'.")
        members[number] = name
    if not members:
        held = ", ".join(others[:5]) + (", …" if len(others) > 5 else "") if others else "no datasets"
        raise BadImage(f"no members named '0.png', '1.png', …; it holds {held}.")
    missing = next(number for number in range(len(members) + 1) if number not in members)
    if missing < len(members):
        raise BadImage(f"member '{missing}.png' is missing, although the numbers run to {max(members)}.")
    return [members[number] for number in range(len(members))]


def _datasets(inside: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset in a group, by hard links only.

    An external link would read another file under this one's name, so it is refused; soft links are not
    followed, as one to a group would show its images twice.
    """
    groups, seen = [("", inside)], set()
    while groups:
        prefix, group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:  # Groups can hold each other.
            continue
        seen.add(address)
        for name in group:
            if isinstance(name, bytes):  # What h5py gives where the name is no text.
                raise BadImage(f"a member's name is no text ({name[:20]!r}): damaged, or not the post's file.")
            kind = group.id.links.get_info(name.encode()).type
            if kind == h5py.h5l.TYPE_EXTERNAL or (kind == h5py.h5l.TYPE_SOFT and _MEMBER.fullmatch(name)):
                raise BadImage(f"'{prefix}{name}' is a link; store the image itself in this file.")
            if kind != h5py.h5l.TYPE_HARD:
                continue
            found = group[name]
            if isinstance(found, h5py.Group):
                groups.append((f"{prefix}{name}/", found))
            elif isinstance(found, h5py.Dataset):
                yield f"{prefix}{name}", found


def _inspect(dataset: h5py.Dataset, name: str) -> tuple[tuple[int, int], bool]:
    """Returns ((height, width), whether encoded) of a member."""
    shape: tuple[int, ...] = tuple(dataset.shape or ())
    dtype = dataset.dtype
    if dataset.is_virtual or dataset.external:
        raise BadImage(f"'{name}' keeps its pixels in another file; store the image itself in this file.")
    # A chunk is decompressed whole, however little of it the image needs.
    if max(np.prod(shape, dtype=object), np.prod(dataset.chunks or (0,), dtype=object)) > 3 * MAX_PIXELS:
        raise BadImage(f"'{name}' {list(shape)} is larger than {MAX_PIXELS:,} pixels.")
    if dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and min(shape) > 0:
        return (shape[0], shape[1]), False
    if (dtype == np.uint8 and len(shape) == 1) or (dtype.kind == "V" and not dtype.names and len(shape) < 2):
        try:
            data = dataset[()].tobytes()
            check_encoded(data)
            return image_size(io.BytesIO(data)), True
        except BadImage as error:
            raise BadImage(f"'{name}': {error}.") from None
    raise BadImage(
        f"'{name}' is {dtype}{list(shape)}; a member must be a uint8 array [height, width, 3] or the bytes "
        "of a PNG or JPEG."
    )


def _crop_of(size: tuple[int, int], crop: int) -> list[slice]:
    """Rows and columns of the central crop; the whole of an image that is smaller."""
    starts = [centre_start(side, crop) if min(size) >= crop else 0 for side in size]
    return [slice(start, start + crop if min(size) >= crop else side) for start, side in zip(starts, size, strict=True)]


def _reason(error: BaseException) -> str:
    return str(error).strip("'\"").split("\n")[0][:160]
