"""Samples from fixed latents through training: a picture and the raw pixels at each moment."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab import images as images_lib
from tfgan_lab.arrays import read_arrays
from tfgan_lab.config import GanConfig, Gaussian
from tfgan_lab.data import describe_target
from tfgan_lab.data.pipeline import draw_target
from tfgan_lab.export import GeneratorModule
from tfgan_lab.files import write_atomically
from tfgan_lab.randomness import draw_latents, sample_seed
from tfgan_lab.report import plots
from tfgan_lab.report.style import png
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.words import counted


class Sampler:
    """Draws the same latents again and again.

    Conditional generators draw a row per label. The Gaussian's picture holds the post's two normal curves and
    histograms.
    """

    def __init__(self, experiment: Experiment) -> None:
        config = experiment.config
        assert isinstance(config, GanConfig)
        self.config = config
        with experiment.strategy.scope():
            self._module = GeneratorModule(experiment.networks["generator"], config)
        self._labels = row_labels(config)
        number = config.num_samples if self._labels is None else len(self._labels)
        self._latents = draw_latents(config.latents.distribution, config.latents.dim, number, sample_seed(config.seed))
        self._draw = tf.function(self._module.draw, autograph=False)

    def draw(self) -> np.ndarray:
        """Images uint8 [N, H, W, C] of the networks as they are now; Gaussian: numbers float32 [N, 1]."""
        drawn = self._draw(self._latents, self._labels).numpy()
        return drawn if self._module.output == "numbers" else images_lib.to_uint8(drawn, "unit")

    def keep(self, folder: Path, step: int) -> np.ndarray:
        """Writes step-NNN.npz alone, from which pictures can be drawn; returns what is in it."""
        drawn = self.draw()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, samples=drawn)
        write_atomically(folder / f"step-{step:08d}.npz", buffer.getvalue())
        return drawn

    def write(self, folder: Path, step: int) -> np.ndarray:
        """Writes step-NNN.npz and step-NNN.png and returns the picture, uint8 [H, W, C]."""
        drawn = self.keep(folder, step)
        content = png_of(drawn, self.config, step)
        write_atomically(folder / f"step-{step:08d}.png", content)
        return tf.io.decode_png(content, channels=3).numpy()


def row_labels(config: GanConfig) -> tf.Tensor | None:
    """Labels of the fixed samples, a row per label; None for an unconditional generator."""
    if not config.num_labels:
        return None
    return tf.repeat(tf.range(config.num_labels), max(1, config.num_samples // config.num_labels))


def columns_of(config: GanConfig) -> int | None:
    """How many samples a row of the grid holds; None for a square."""
    return max(1, config.num_samples // config.num_labels) if config.num_labels else None


def png_of(drawn: np.ndarray, config: GanConfig, step: int) -> bytes:
    """The picture of a set of samples, as PNG."""
    if isinstance(config.data, Gaussian):
        real = draw_target(config.data, [len(drawn)], sample_seed(config.seed, 1)).numpy()
        provenance = f"target {describe_target(config.data)}, n={len(drawn):,} each, seed {config.seed}"
        return png(plots.densities(real, drawn[:, 0], f"1-D distribution after {counted(step, 'step')}", provenance))
    picture = images_lib.grid(drawn, columns_of(config))
    return images_lib.png_bytes(images_lib.enlarge(images_lib.colour(picture, config.sample_colormap)))


def draw_missing(folder: Path, config: GanConfig) -> None:
    """Draws the pictures of samples that were kept alone, as many seeds at once keep them."""
    for step, drawn in saved_samples(folder):
        picture = folder / f"step-{step:08d}.png"
        if not picture.exists():
            write_atomically(picture, png_of(drawn, config, step))


def saved_samples(folder: Path) -> list[tuple[int, np.ndarray]]:
    """What `Sampler.write` wrote: (step, samples) from early to late; unreadable files are left out."""
    found: list[tuple[int, Any]] = []
    for path in sorted(folder.glob("step-*.npz")):
        try:
            found.append((int(path.stem.split("-")[1]), read_arrays(path)["samples"]))
        except (OSError, ValueError, KeyError):
            continue
    return found
