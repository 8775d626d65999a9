"""Pictures of a generator's samples through training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab import pictures
from tfgan_lab.config import GanConfig
from tfgan_lab.data.gaussian import draw_target
from tfgan_lab.figures import png
from tfgan_lab.randomness import sample_seed
from tfgan_lab.report import plots
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.sampler import columns_of, samples_in
from tfgan_lab.words import counted


def png_of(drawn: np.ndarray, config: GanConfig, step: int) -> bytes:
    """The picture of a set of samples, as PNG."""
    target: Any = config.data
    if not target.is_images:
        real = draw_target(target, [len(drawn)], sample_seed(config.seed, 1)).numpy()
        provenance = f"target {target}, n={len(drawn):,} each, seed {config.seed}"
        return png(plots.densities(real, drawn[:, 0], f"1-D distribution after {counted(step, 'step')}", provenance))
    return pictures.png_bytes(_grid_of(drawn, config))


def _grid_of(drawn: np.ndarray, config: GanConfig) -> np.ndarray:
    picture = pictures.grid(drawn, columns_of(config))
    return pictures.enlarge(pictures.colour(picture, config.sample_colormap))


def _is_whole(picture: Path, drawn: np.ndarray, config: GanConfig) -> bool:
    """Whether a picture is there and, where drawing it is cheap, shows these samples."""
    found = pictures.read_png(picture)
    if found is None or not config.data.is_images:
        return found is not None
    wanted = _grid_of(drawn, config)
    return found.shape[:2] == wanted.shape[:2] and bool(
        (found == wanted).all()
    )  # of grey ones three channels are equal


def draw_missing(folder: Path, config: GanConfig) -> list[str]:
    """Draws the pictures of samples that have none (many seeds at once keep samples alone) or a damaged one.

    Returns:
      A line for each damaged file.
    """
    notes = []
    for step, path, drawn in samples_in(folder, config):
        picture = path.with_suffix(".png")
        if drawn is None:
            notes.append(f"{path} is damaged: without these samples the pictures of step {step:,} are omitted.")
        elif not _is_whole(picture, drawn, config):
            notes += [f"{picture} is damaged: drawn again."] if picture.exists() else []
            write_atomically(picture, png_of(drawn, config, step))
    return notes
