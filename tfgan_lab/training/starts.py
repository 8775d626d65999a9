"""What `--from` names: a run, one of its steps, or a generator that comes with the package. TensorFlow is not needed."""

from __future__ import annotations

import os
import re

from tfgan_lab import pretrained
from tfgan_lab.config import Config
from tfgan_lab.errors import UserError
from tfgan_lab.training.workdir import Workdir


def place_of(start: str | os.PathLike[str]) -> tuple[str, int | None]:
    """(folder or "pretrained:NAME", step or None) of "RUN", "RUN@STEP" or "pretrained:NAME"."""
    text = os.fspath(start)
    found = re.fullmatch(r"(.+)@(\d{1,18})", text, re.S)
    if pretrained.name_in(text) is not None or found is None or os.path.isdir(text):
        return text, None
    return found[1], int(found[2])


def config_at(start: str | os.PathLike[str]) -> Config:
    """The config of the run that `start` names. Raises `UserError` if there is none."""
    place, _ = place_of(start)
    name = pretrained.name_in(place)
    if name is None and not Workdir(place).exists():
        raise UserError(f"--from={place}: there is no run (no config.json): name the folder of one.")
    return Workdir(place).read_single_config() if name is None else pretrained.config_of(name)
