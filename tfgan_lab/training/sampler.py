"""Samples of fixed latents through training: what a generator draws at each moment, as arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgan_lab import pictures
from tfgan_lab.config import GanConfig
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.networks import drawn_from
from tfgan_lab.randomness import draw_latents, sample_seed, step_seed, stream_key
from tfgan_lab.system.arrays import npz_bytes, read_arrays
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.experiment import Experiment


class Sampler:
    """Draws the same latents again and again or, with `sample_latents="fresh"`, others at each step.

    Conditional generators draw a row per label.
    """

    def __init__(self, experiment: Experiment) -> None:
        config = experiment.config
        assert isinstance(config, GanConfig)
        self.config = config
        with experiment.strategy.scope():
            self._module = GeneratorModule(drawn_from(experiment.networks), config)
        self._labels = row_labels(config)
        self._number = config.num_samples if self._labels is None else len(self._labels)
        self._draw = tf.function(self._module.draw, autograph=False)

    def draw(self, step: int) -> np.ndarray:
        """Images uint8 [N, H, W, C] of the networks as they are now; numbers: float32 [N, 1]."""
        seed, latents = self.config.seed, self.config.latents
        fresh = self.config.sample_latents == "fresh"
        draws = step_seed(stream_key(seed, "samples"), step) if fresh else sample_seed(seed)
        z = draw_latents(latents.distribution, latents.dim, self._number, draws)
        drawn = self._draw(z, self._labels).numpy()
        return pictures.to_uint8(drawn, "unit") if self.config.data.kept_as == "uint8" else drawn

    def keep(self, folder: Path, step: int) -> np.ndarray:
        """Writes step-NNN.npz, from which pictures can be drawn; returns what is in it."""
        drawn = self.draw(step)
        write_atomically(folder / f"step-{step:08d}.npz", npz_bytes({"samples": drawn}))
        return drawn


def row_labels(config: GanConfig) -> tf.Tensor | None:
    """Labels of the fixed samples, a row per label; None for an unconditional generator."""
    each = columns_of(config)
    return None if each is None else tf.repeat(tf.range(config.num_labels), each)


def columns_of(config: GanConfig) -> int | None:
    """How many samples a row of the grid holds; None for a square."""
    return max(1, config.num_samples // config.num_labels) if config.num_labels else None


def saved_samples(folder: Path, config: GanConfig) -> list[tuple[int, np.ndarray]]:
    """What `Sampler.keep` wrote: (step, samples) from early to late; what is damaged or of another shape is omitted."""
    return [(step, drawn) for step, _, drawn in samples_in(folder, config) if drawn is not None]


def samples_in(folder: Path, config: GanConfig) -> Iterator[tuple[int, Path, np.ndarray | None]]:
    """(step, file, samples or None if damaged), from early to late."""
    labels = row_labels(config)
    shape = (config.num_samples if labels is None else len(labels), *config.data.shape)
    kind = np.dtype(config.data.kept_as)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    steps = sorted(int(found[1]) for name in names if (found := re.fullmatch(r"step-(\d{8,18})\.npz", name)))
    for step in steps:
        path = folder / f"step-{step:08d}.npz"
        try:
            drawn = read_arrays(path)["samples"]
        except (OSError, ValueError, KeyError):
            yield step, path, None
            continue
        yield step, path, drawn if (drawn.shape, drawn.dtype) == (shape, kind) and np.isfinite(drawn).all() else None
