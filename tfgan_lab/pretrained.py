"""Trained generators that come with the package: for each a file of weights and a model card, both in `pretrained/`.

Matrices are float16 without their last `DROPPED` bits, so that they lie within 1 % of what was trained; each is kept
as two planes of bytes, of which the upper one compresses. Vectors are float32. A card says what was trained on what,
what was measured of these very weights, and the command that trains them again. The command line names the generators
in its help, so NumPy and TensorFlow are imported when one is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfgan_lab.errors import UserError, first_line, nearest
from tfgan_lab.system.files import read_bytes

FOLDER = Path(__file__).with_name("pretrained")
PREFIX = "pretrained:"
DROPPED = 4  # of float16's ten bits of mantissa


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A generator that is ready to draw.

    Attributes:
      config: The `tfgan_lab.config.GanConfig` that it was trained with.
      generator: The `tfgan_lab.networks.Generator` with its weights.
      card: What its .json says.
    """

    config: Any
    generator: Any
    card: dict[str, Any]


def names() -> list[str]:
    """What `load` takes: names of configs, some with a variant."""
    return sorted(path.stem.replace("-", ":") for path in FOLDER.glob("*.json"))


def name_in(path: str | os.PathLike[str]) -> str | None:
    """NAME of "pretrained:NAME"; None of a path."""
    text = os.fspath(path)
    return text.removeprefix(PREFIX) if isinstance(text, str) and text.startswith(PREFIX) else None


def card_of(name: str) -> dict[str, Any]:
    """A generator's model card, without loading its weights. Raises `UserError` as `load`."""
    if name not in names():
        raise UserError(f"{PREFIX}{name}: no such generator comes with the package.{nearest(name, names())}")
    try:
        card = json.loads(_read(file_of(name, "json")))
    except ValueError as error:
        raise _damaged(file_of(name, "json"), str(error)) from None
    if not isinstance(card, dict):
        raise _damaged(file_of(name, "json"), "it is no model card")
    return card


def config_of(name: str) -> Any:
    """The config that a generator was trained with. Raises `UserError` as `load`."""
    from tfgan_lab.config import GanConfig, from_dict

    card = card_of(name)
    try:
        config = from_dict(card["fields"])
        assert isinstance(config, GanConfig)
    except (KeyError, TypeError, AttributeError, AssertionError, UserError):
        raise _damaged(file_of(name, "json"), "it holds no config of a GAN") from None
    return config


def file_of(name: str, ending: str) -> Path:
    """Its file; a colon is no part of a file's name everywhere."""
    return FOLDER / f"{name.replace(':', '-')}.{ending}"


def load(name: str) -> Pretrained:
    """Loads a generator by its name.

    Raises:
      UserError: There is none of that name (the nearest are named), or its files are damaged.
    """
    from tfgan_lab.networks import build_generator
    from tfgan_lab.system.arrays import read_arrays

    card, config, path = card_of(name), config_of(name), file_of(name, "npz")
    content = _read(path)
    try:
        if hashlib.sha256(content).hexdigest() != card["sha256"]:
            raise ValueError("its sha256 is not its card's")
        arrays, generator = read_arrays(content), build_generator(config)
        for variable in generator.variables:
            variable.assign(_unpacked(arrays[variable.name]))
    except (KeyError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}, {first_line(error, 160)}") from None
    return Pretrained(config, generator, card)


def packed(variables: Iterable[Any]) -> bytes:
    """The content of an .npz file for a generator's variables, as `load` reads it."""
    import numpy as np

    from tfgan_lab.system.arrays import npz_bytes

    return npz_bytes({variable.name: _packed(np.asarray(variable, np.float32)) for variable in variables})


def _packed(values: Any) -> Any:
    import numpy as np

    if values.ndim < 2:
        return values
    bits = values.astype("<f2").view("<u2").astype(np.uint32)
    rounded = ((bits + (1 << (DROPPED - 1))) >> DROPPED << DROPPED).astype("<u2")  # a carry is the next exponent
    return np.moveaxis(rounded[..., None].view(np.uint8), -1, 0).copy()  # [2, …]


def _unpacked(stored: Any) -> Any:
    import numpy as np

    if stored.dtype != np.uint8:
        return stored
    return np.moveaxis(stored, 0, -1).copy().view("<f2")[..., 0].astype(np.float32)


def _damaged(path: Path, fault: str) -> UserError:
    return UserError(f"{path} is damaged: {fault}. Install the package again.")


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Install the package again.") from None
