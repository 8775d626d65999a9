"""Where examples come from (a module for each kind of data) and the tf.data chain (`pipeline`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tfgan_lab.config import Data
from tfgan_lab.data.examples import Examples, Provenance
from tfgan_lab.data.source import Source

# What opens kinds defined elsewhere: opener(data, data_dir), as `open_source`. Ours: `open_data` in data/KIND.py.
OPENERS: dict[type[Data], Callable[[Any, str | None], Source]] = {}


def open_source(data: Data, data_dir: str | None = None) -> Source:
    """Loads what a config's data names.

    Args:
      data: The config's data.
      data_dir: A folder or file given by flag; for MNIST else $TFGAN_LAB_DATA_DIR.

    Raises:
      UserError: The data cannot be had; one line with the remedy.
    """
    opener = OPENERS.get(type(data)) or importlib.import_module(f"tfgan_lab.data.{data.kind}").open_data
    return opener(data, data_dir)


__all__ = ["OPENERS", "Examples", "Provenance", "Source", "open_source"]
