"""Labelled images: a folder for each class, in one folder or in its folders train and test."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfgan_lab.config import Classes
from tfgan_lab.data.examples import Examples, Provenance, digest
from tfgan_lab.data.montage_sources import open_folder
from tfgan_lab.data.source import Source
from tfgan_lab.errors import UserError, shown

_MOST_BYTES = 2**31  # of all images in memory

ByClass = dict[str, np.ndarray]  # uint8 [N, side, side, C]


def open_data(data: Classes, data_dir: str | None) -> Source:
    """Reads all images.

    Raises:
      UserError: No folder; other classes than the config names, or than the other split has; a class of one image; images
        that cannot be read.
    """
    if not data_dir:
        raise UserError(
            f"data.kind=classes needs --data_dir=FOLDER with the folders {', '.join(data.names)} of images."
        )
    root = Path(data_dir)
    if not root.is_dir():
        raise UserError(
            f"--data_dir={shown(root)}: there is no such folder: name one with a folder of images for each class."
        )
    if (root / "train").is_dir() and (root / "test").is_dir():
        _refuse_unlike(root)
        train, test = (_read(root / split, data) for split in ("train", "test"))
        _refuse_single(root / "train", train)
        chosen = "folders train and test"
    else:
        train, test = _held_out(root, _read(root, data), data.test_share)
        chosen = f"{data.test_share:.0%} of each class kept to judge on"
    name = root.resolve().name
    line = f"data: {shown(root)}, {', '.join(data.names)} — {chosen}"
    return Source(_examples(train, "train", name), _examples(test, "test", name), data.shape, line)


def class_folders(root: Path) -> list[str]:
    """The folders in a folder, by name; none that is hidden."""
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _refuse_unlike(root: Path) -> None:
    train, test = (set(class_folders(root / split)) for split in ("train", "test"))
    if train != test:
        only = [
            f"only in {split}: {', '.join(map(shown, sorted(names)))}"
            for split, names in (("train", train - test), ("test", test - train)) if names
        ]  # fmt: skip
        raise UserError(f"{shown(root)}: train and test have other classes ({'; '.join(only)}): make them alike.")


def _read(root: Path, data: Classes) -> ByClass:
    found = class_folders(root)
    if set(found) != set(data.names):
        raise UserError(
            f"{shown(root)} has the class folders {', '.join(map(shown, found)) or '(none)'}, but data.names are {', '.join(data.names)}: "
            f"use :classes={'+'.join(map(shown, found)) or 'NAME+NAME'} behind the config's name, or name another folder."
        )
    sources = {name: open_folder(str(root / name)) for name in data.names}
    wanted = sum(len(source.names) for source in sources.values()) * int(np.prod(data.shape))
    if wanted > _MOST_BYTES:
        raise UserError(
            f"{shown(root)}: its images would take {wanted / 2**30:.1f} GiB of memory: use a smaller data.side."
        )
    return {
        name: np.stack([_square(source.read(i), data, f"{root / name / source.names[i]}") for i in range(len(source.names))])
        for name, source in sources.items()
    }  # fmt: skip


def _square(content: bytes | np.ndarray, data: Classes, name: str) -> np.ndarray:
    """The middle of an encoded image as uint8 [side, side, C]."""
    assert isinstance(content, bytes)
    try:
        with Image.open(io.BytesIO(content)) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB" if data.colour else "L")
            return np.asarray(ImageOps.fit(upright, (data.side, data.side))).reshape(data.shape)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{shown(name)}: {error}. Remove or replace this file.") from None


def _refuse_single(root: Path, images: ByClass) -> None:
    for name, part in images.items():
        if len(part) < 2:
            raise UserError(
                f"{shown(root / name)} holds one image: a class needs two at least; add some, or remove the folder."
            )


def _held_out(root: Path, images: ByClass, share: float) -> tuple[ByClass, ByClass]:
    """Of each class one part to train on and one to test on, always the same."""
    _refuse_single(root, images)
    train, test = {}, {}
    for name, part in images.items():
        rows, kept = (
            np.random.default_rng(0).permutation(len(part)),
            min(len(part) - 1, max(1, round(share * len(part)))),
        )
        train[name], test[name] = part[np.sort(rows[kept:])], part[np.sort(rows[:kept])]
    return train, test


def _examples(images: ByClass, split: str, name: str) -> Examples:
    pixels = np.concatenate([*images.values()])  # [N, side, side, C]
    labels = np.repeat(np.arange(len(images), dtype=np.int32), [len(part) for part in images.values()])  # [N]
    detail = ", ".join(f"{shown(of)} {len(part):,}" for of, part in images.items())
    provenance = Provenance(f"class folders in {shown(name)}", split, len(pixels), digest(pixels, labels), detail)
    return Examples(len(pixels), pixels.shape[1:], provenance, pixels, labels)
