"""Labelled images: a folder or an HDF5 group for each class, by themselves or in train and test; or idx files."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfgan_lab.config import Classes
from tfgan_lab.data.examples import Examples, Provenance, digest
from tfgan_lab.data.idx import FILES, MOST_BYTES, idx_path, read_split
from tfgan_lab.data.montage_hdf5 import groups_of, open_hdf5
from tfgan_lab.data.montage_sources import MAX_PIXELS, ImageSource, open_folder
from tfgan_lab.data.source import Source
from tfgan_lab.errors import UserError, shown

ByClass = dict[str, np.ndarray]  # uint8 [N, side, side, C]


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder, or a group of an HDF5 file."""

    path: Path
    group: str = "/"

    def __truediv__(self, name: str) -> Place:
        """A folder in the folder, or a group in the group."""
        return Place(self.path, f"{self.group}{name}/") if self.path.is_file() else Place(self.path / name)

    def __str__(self) -> str:
        return shown(f"{self.path}{self.group}".rstrip("/"))

    @property
    def folders(self) -> list[str]:
        """Names of the folders, or groups, in it; none that is hidden."""
        if self.path.is_file():
            found = groups_of(str(self.path), self.group)
        else:
            found = sorted(path.name for path in self.path.iterdir() if path.is_dir())
        return [name for name in found if not name.startswith(".")]

    def open(self) -> ImageSource:
        """Its images."""
        if self.path.is_file():
            return open_hdf5(str(self.path), MAX_PIXELS, self.group)  # no image is so large: none is cropped
        return open_folder(str(self.path))


def open_data(data: Classes, data_dir: str | None) -> Source:
    """Reads all images.

    Raises:
      UserError: No folder or file; other classes than the config names, or than the other split has; a class of one image;
        images that cannot be read.
    """
    if not data_dir:
        raise UserError(
            f"data.kind=classes needs --data_dir=FOLDER with the folders {', '.join(data.names)} of images, or such an .h5 file."
        )
    place = Place(Path(data_dir))
    if not (place.path.is_dir() or place.path.is_file()):
        raise UserError(
            f"--data_dir={place}: there is no such folder: name one with a folder of images for each class, or an .h5 file "
            "with a group for each."
        )
    if place.path.is_dir() and any(idx_path(place.path, name) for name in FILES.values()):
        train, test = (_read_idx(place.path, split, data) for split in ("train", "test"))
        chosen, kind = "its splits train and t10k", "idx files"
    else:
        kind = "class groups" if place.path.is_file() else "class folders"
        if {"train", "test"} <= {*place.folders}:
            _refuse_unlike(place)
            train, test = (_read(place / split, data) for split in ("train", "test"))
            _refuse_single(place / "train", train)
            chosen = f"{kind.split()[1]} train and test"
        else:
            train, test = _held_out(place, _read(place, data), data.test_share)
            chosen = f"{data.test_share:.0%} of each class kept to judge on"
    where = f"{kind} in {shown(place.path.resolve().name)}"
    line = f"data: {place}, {', '.join(data.names)} — {chosen}"
    return Source(_examples(train, "train", where), _examples(test, "test", where), line)


def _refuse_unlike(place: Place) -> None:
    train, test = (set((place / split).folders) for split in ("train", "test"))
    if train != test:
        only = [
            f"only in {split}: {', '.join(map(shown, sorted(names)))}"
            for split, names in (("train", train - test), ("test", test - train)) if names
        ]  # fmt: skip
        raise UserError(f"{place}: train and test have other classes ({'; '.join(only)}): make them alike.")


def _read(place: Place, data: Classes) -> ByClass:
    found = place.folders
    if set(found) != set(data.names):
        raise UserError(
            f"{place} has the classes {', '.join(map(shown, found)) or '(none)'}, but data.names are {', '.join(data.names)}: "
            f"use :classes={'+'.join(map(shown, found)) or 'NAME+NAME'} behind the config's name, or name another place."
        )
    sources = {name: (place / name).open() for name in data.names}
    _refuse_many(place, sum(len(source.names) for source in sources.values()), data)
    images = {}
    for name, source in sources.items():
        squares = [_square(source.read(i), data, f"{place / name}/{of}") for i, of in enumerate(source.names)]
        images[name] = np.stack(squares)
        source.close()
    return images


def _read_idx(folder: Path, split: str, data: Classes) -> ByClass:
    """The label k of idx files is the class data.names[k]."""
    images, labels = read_split(folder, split, None, len(data.names))
    _refuse_many(Place(folder), len(images), data)
    if images.shape[1:] != data.shape:
        images = np.stack([_square(image, data, f"{folder}, {split}, image {i}") for i, image in enumerate(images)])
    found = {name: images[labels == k] for k, name in enumerate(data.names)}
    for name, part in found.items():
        if not len(part):
            raise UserError(
                f"{shown(folder)}: no image of the {split} split has label {data.names.index(name)} ({name}): "
                "labels 0, 1, 2, … are the classes of data.names, in order."
            )
    return found


def _refuse_many(place: Place, number: int, data: Classes) -> None:
    wanted = number * int(np.prod(data.shape))
    if wanted > MOST_BYTES:
        raise UserError(f"{place}: its images would take {wanted / 2**30:.1f} GiB of memory: use a smaller data.side.")


def _square(content: bytes | np.ndarray, data: Classes, name: str) -> np.ndarray:
    """The middle of an encoded image, or of one [H, W, C], as uint8 [side, side, C]."""
    try:
        with (
            Image.open(io.BytesIO(content)) if isinstance(content, bytes)
            else Image.fromarray(content[..., 0] if content.shape[-1] == 1 else content)
        ) as image:  # fmt: skip
            upright = ImageOps.exif_transpose(image).convert("RGB" if data.colour else "L")
            return np.asarray(ImageOps.fit(upright, (data.side, data.side))).reshape(data.shape)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{shown(name)}: {error}. Remove or replace this file.") from None


def _refuse_single(place: Place, images: ByClass) -> None:
    for name, part in images.items():
        if len(part) < 2:
            raise UserError(
                f"{place / name} holds one image: a class needs two at least; add some, or remove the class."
            )


def _held_out(place: Place, images: ByClass, share: float) -> tuple[ByClass, ByClass]:
    """Of each class one part to train on and one to test on, always the same."""
    _refuse_single(place, images)
    train, test = {}, {}
    for name, part in images.items():
        rows = np.random.default_rng(0).permutation(len(part))
        kept = min(len(part) - 1, max(1, round(share * len(part))))
        train[name], test[name] = part[np.sort(rows[kept:])], part[np.sort(rows[:kept])]
    return train, test


def _examples(images: ByClass, split: str, where: str) -> Examples:
    pixels = np.concatenate([*images.values()])  # [N, side, side, C]
    labels = np.repeat(np.arange(len(images), dtype=np.int32), [len(part) for part in images.values()])  # [N]
    detail = ", ".join(f"{shown(of)} {len(part):,}" for of, part in images.items())
    provenance = Provenance(where, split, len(pixels), digest(pixels, labels), detail)
    return Examples(len(pixels), pixels.shape[1:], provenance, pixels, labels)
