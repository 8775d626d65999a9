"""An experiment without data: all its networks, optimisers and shapes, and black images to satisfy the pipeline."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfgan_lab.config import Config, GanConfig
from tfgan_lab.data import Examples, Provenance, Source
from tfgan_lab.training.experiment import Experiment, build


def blank_experiment(config: Config) -> Experiment:
    """Builds a config on one device; of its data only the shape is used."""
    per_step = config.game.d_steps if isinstance(config, GanConfig) else 1
    shape, rows = config.data.shape, config.batch_size * per_step
    labels: Any = np.zeros(rows, np.int32)
    examples = Examples(rows, shape, Provenance("none", "train", rows, ""), np.zeros((rows, *shape), np.uint8), labels)
    return build(dataclasses.replace(config, placement="one"), Source(examples, None, shape, "no data"))
