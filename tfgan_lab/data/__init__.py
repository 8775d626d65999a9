"""Where examples come from (a module for each kind) and the tf.data chain (`pipeline`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tfgan_lab.config import Classes, Data, Mnist, Montage, NumberData, Plane, Stacked
from tfgan_lab.data.examples import Examples, Provenance
from tfgan_lab.data.source import Source
from tfgan_lab.data_kinds import of_kind


def _ours(module: str, opener: str = "open_data") -> Callable[[Any, str | None], Source]:
    def open_data(data: Any, data_dir: str | None) -> Source:
        return getattr(importlib.import_module(f"tfgan_lab.data.{module}"), opener)(data, data_dir)

    return open_data


# What opens a kind of data: opener(data, data_dir), as `open_source`.
OPENERS: dict[type[Data], Callable[[Any, str | None], Source]] = {
    Mnist: _ours("mnist"),
    Montage: _ours("montage"),
    Stacked: _ours("mnist", "open_stacked"),
    Classes: _ours("classes"),
    NumberData: _ours("numbers"),
    Plane: _ours("numbers"),
}


def open_source(data: Data, data_dir: str | None = None) -> Source:
    """Loads what a config's data names.

    Args:
      data: The config's data.
      data_dir: A folder or file given by flag; for MNIST else $TFGAN_LAB_DATA_DIR.

    Raises:
      UserError: The data cannot be had; one line with the remedy.
    """
    return of_kind(OPENERS, data, "tfgan_lab.data.OPENERS")(data, data_dir)


__all__ = ["OPENERS", "Examples", "Provenance", "Source", "open_source"]
