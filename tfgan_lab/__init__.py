"""tfgan_lab: the classic GANs of five blog posts, reproduced in TensorFlow 2 and Keras 3.

`load_config`, `override`, `train`, `evaluate` and `load_generator` are what a program needs; `tfgan-lab --help` is the
command line. Importing this package imports neither TensorFlow nor Keras: its names are loaded when first used, and
`GAN` then starts TensorFlow as the others do when they are called.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ClassifierConfig": "tfgan_lab.config",
    "GAN": "tfgan_lab.api",
    "GanConfig": "tfgan_lab.config",
    "UserError": "tfgan_lab.errors",
    "evaluate": "tfgan_lab.api",
    "load_config": "tfgan_lab.config_files",
    "load_generator": "tfgan_lab.api",
    "override": "tfgan_lab.config",
    "train": "tfgan_lab.api",
}


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tfgan_lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    # What is refused is told in the words of a program.
    told = importlib.import_module("tfgan_lab.errors").in_python()
    return told(value) if inspect.isfunction(value) else value
