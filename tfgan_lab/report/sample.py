"""Draws from a trained run and writes what it drew: a picture, or arrays."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from tfgan_lab.config import GanConfig
from tfgan_lab.data_kinds import label_of
from tfgan_lab.errors import UserError
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.networks import drawn_from
from tfgan_lab.report.drawings import drawing_of
from tfgan_lab.system.arrays import npz_bytes
from tfgan_lab.system.files import refuse_foreign, write_atomically
from tfgan_lab.training.restored import RestoredRun, config_of, restore_run

_PIECE = 1000
_MOST_BYTES = 2**32  # of one array


def sample_run(
    workdir: str | os.PathLike[str], num: int | None, seed: int, label: int | str | None = None, raw: bool = False
) -> tuple[np.ndarray, RestoredRun]:
    """Draws from a run's last checkpoint.

    Args:
      workdir: A trained run, or "pretrained:NAME".
      num: How many, > 0; None for as many as make the picture that suits the run.
      seed: Same seed, same samples.
      label: Of conditional generators a label or the name of its class; None takes 0, 1, 2, … in turn.
      raw: Of a run with `ema` from the generator itself, not from the average of its weights.

    Returns:
      float32 images [num, H, W, C] in [0, 1] (or numbers [num, 1]), and the run.

    Raises:
      UserError: No such run, or a label it cannot draw.
    """
    run = restore_run(workdir, raw)
    config = run.config
    if not isinstance(config, GanConfig):
        raise UserError(f"--workdir={workdir} is a {config.kind}, which draws nothing: sample takes a GAN's run.")
    if label is not None and not config.num_labels:
        raise UserError(f"--label={label}: {config.name} has no labels: omit --label.")
    label = None if label is None else label_of(label, config.label_names)
    num = num or drawing_of(config).number(config, label)
    module = GeneratorModule(drawn_from(run.networks), config)
    z, labels = module.inputs(seed, num, -1 if label is None else label)
    # In pieces: the layers' outputs take many times the samples' memory.
    pieces = (slice(start, start + _PIECE) for start in range(0, num, _PIECE))
    drawn = [module.draw(z[piece], None if labels is None else labels[piece]).numpy() for piece in pieces]
    return np.concatenate(drawn), run


def refuse_number(workdir: str | os.PathLike[str], num: int, out: str) -> None:
    """Raises `UserError`, which names the right number, if so many samples of a run cannot go to one file."""
    config = config_of(workdir)
    picture, drawing = out.endswith(".png"), drawing_of(config)
    if picture and num < drawing.least:
        raise UserError(f"--num={num}: a picture of these samples needs {drawing.least}: say more, or an .npz.")
    most = drawing.most(config.data) if picture else _MOST_BYTES // (4 * math.prod(config.data.shape))
    if most is not None and num > most:
        instead = ", or an .npz" if picture else ""
        raise UserError(f"--num={num}: {Path(out).name} can hold {most:,} of these samples: say fewer{instead}.")


def write_samples(
    drawn: np.ndarray, out: str | os.PathLike[str], run: RestoredRun, label: int | str | None = None
) -> None:
    """Writes what `sample_run` drew as .npz (array "samples") or .png: a picture of its kind (`tfgan_lab.report.drawings`).

    `label` is what it was asked for; None for all in turn.

    Raises:
      UserError: Another ending, or the file cannot be written.
    """
    out = Path(out)
    refuse_foreign(out)
    if out.suffix == ".npz":
        write_atomically(out, npz_bytes({"samples": drawn}))
    elif out.suffix == ".png":
        config = run.config
        assert isinstance(config, GanConfig)
        write_atomically(out, drawing_of(config).answer(drawn, config, run.step, label))
    else:
        raise UserError(f"--out={out}: the file's name must end in .png or .npz.")
