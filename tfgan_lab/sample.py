"""Draws from a trained run and writes what it drew: a picture, or arrays."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from tfgan_lab import images as images_lib
from tfgan_lab.config import GanConfig, Gaussian
from tfgan_lab.errors import UserError
from tfgan_lab.export import GeneratorModule
from tfgan_lab.training.restored import RestoredRun, restore_run

_BATCH = 1000  # so that memory does not grow with --num


def sample_run(workdir: str | os.PathLike[str], num: int, seed: int, label: int | None = None) -> tuple[np.ndarray, RestoredRun]:
    """Draws from a run's last checkpoint.

    Args:
      workdir: A trained run.
      num: How many, > 0.
      seed: Same seed, same samples.
      label: For conditional generators 0-9; None takes 0, 1, 2, … in turn.

    Returns:
      float32 images [num, H, W, C] in [0, 1] (or numbers [num, 1]), and the run.

    Raises:
      UserError: No such run, or a label it cannot draw.
    """
    run = restore_run(workdir)
    config = run.config
    if not isinstance(config, GanConfig):
        raise UserError(f"--workdir={workdir} is a {config.kind}, which draws nothing: sample takes a GAN's run.")
    if label is not None and not config.num_labels:
        raise UserError(f"--label={label}: {config.name} has no labels: leave --label away.")
    if label is not None and not 0 <= label < config.num_labels:
        raise UserError(f"--label={label}: labels are 0 to {config.num_labels - 1}.")
    drawn = GeneratorModule(run.networks["generator"], config).sample(seed, num, -1 if label is None else label)
    return drawn.numpy(), run


def write_samples(drawn: np.ndarray, out: str | os.PathLike[str], config: GanConfig) -> None:
    """Writes samples as .npz (array "samples") or .png: a grid, or for numbers their histogram.

    Raises:
      UserError: Another ending, or the file cannot be written.
    """
    out = Path(out)
    if out.suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, samples=drawn)
        images_lib.write_atomically(out, buffer.getvalue())
    elif out.suffix == ".png":
        images_lib.write_atomically(out, _picture(drawn, config))
    else:
        raise UserError(f"--out={out}: the file's name must end in .png or .npz.")


def _picture(drawn: np.ndarray, config: GanConfig) -> bytes:
    if isinstance(config.data, Gaussian):
        return png_of(drawn, config, 0)
    picture = images_lib.grid(images_lib.to_uint8(drawn, "unit"))
    return images_lib.png_bytes(images_lib.enlarge(images_lib.colour(picture, config.sample_colormap)))
