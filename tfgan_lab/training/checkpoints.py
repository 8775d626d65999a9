"""Checkpoints that hold everything, survive a kill while being written, and fall back when damaged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgan_lab.errors import UserError
from tfgan_lab.system.files import reason_of, require_file
from tfgan_lab.system.runtime import no_pattern
from tfgan_lab.training.workdir import checkpoint_steps


class Checkpoints:
    """A folder of numbered checkpoints of one run.

    TensorFlow writes each under a temporary name and renames it, so a kill leaves the ones before intact. The
    folder's listing, not a state file, says which exist: one file less to be damaged.

    Args:
      folder: Where they are.
      state: Variables by owner (`Experiment.state`).
      num_metrics: Length of the metrics row whose running sum is kept with each checkpoint.
      keep: How many of the newest to keep.
    """

    def __init__(self, folder: Path, state: dict[str, list[tf.Variable]], num_metrics: int, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Sum and count of the steps since the last printed row: so a resumed run's rows equal an uninterrupted one's.
        self._pending = tf.Variable(np.zeros(num_metrics + 1), dtype=tf.float64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(**state, step=self._step, pending=self._pending)

    def save(self, step: int, pending: np.ndarray) -> None:
        """Saves all variables as they are after `step` steps. Raises `UserError` if the disk refuses."""
        self._step.assign(step)
        self._pending.assign(pending)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._checkpoint.write(str(self.folder / f"ckpt-{step}"))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"{self.folder}: checkpoint {step} cannot be written ({reason_of(error)}). Free space or fix permissions; the ones before are kept."
            ) from None
        # Newer ones are damaged ones that were passed over: they must not push out good ones.
        for old in [found for found in checkpoint_steps(self.folder) if found <= step][: -self.keep]:
            self.forget(old)

    def restore(self) -> tuple[int, np.ndarray, list[str]]:
        """Restores the newest checkpoint that can be read.

        Returns:
          Its step (0 if there are none), the pending metrics sum, and a line for each damaged one passed over.

        Raises:
          UserError: All are damaged, or they are of other networks.
        """
        for entry in self.folder.iterdir() if self.folder.is_dir() else ():  # what a kill left
            if re.fullmatch(r"ckpt-\d+_temp.*", entry.name):
                shutil.rmtree(entry, ignore_errors=True)
            elif re.fullmatch(r"ckpt-\d+\.data-.*", entry.name) and not entry.with_suffix(".index").exists():
                entry.unlink(missing_ok=True)
        step, notes = _read_newest(self.folder, lambda path: self._checkpoint.read(path).assert_consumed())
        return step, self._pending.numpy() if step else np.zeros(self._pending.shape), notes

    def forget(self, step: int) -> None:
        """Deletes one checkpoint."""
        # The index first: without it the rest is not taken for a checkpoint.
        (self.folder / f"ckpt-{step}.index").unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name.startswith(f"ckpt-{step}.data-"):
                path.unlink(missing_ok=True)


def read_networks(folder: Path, networks: Mapping[str, Sequence[tf.Variable]]) -> tuple[int, list[str]]:
    """Restores only some networks, for sampling and export; returns and raises as `Checkpoints.restore`, but for metrics."""
    checkpoint = tf.train.Checkpoint(**{role: list(variables) for role, variables in networks.items()})

    def read(path: str) -> None:
        checkpoint.read(path).expect_partial().assert_existing_objects_matched()

    return _read_newest(folder, read)


def _read_newest(folder: Path, read: Callable[[str], None]) -> tuple[int, list[str]]:
    notes: list[str] = []
    for step in reversed(checkpoint_steps(folder)):
        path = folder / f"ckpt-{step}"
        try:
            for part in folder.iterdir():
                if part.name.startswith(f"ckpt-{step}."):
                    require_file(part)
            with no_pattern(folder) as name:
                read(f"{name}/ckpt-{step}")
        except (
            tf.errors.OpError,
            OSError,
            IndexError,
            RuntimeError,
            UnicodeDecodeError,
        ) as error:  # IndexError: cut short
            notes.append(f"{path} is damaged ({type(error).__name__}): falling back to the one before.")
        except (ValueError, AssertionError):
            raise UserError(
                f"{path} is of other networks than the config's: use the config it was trained with, or another --workdir."
            ) from None
        else:
            return step, notes
    if notes:
        raise UserError(f"{folder}: every checkpoint is damaged. Delete that folder to train from the start.")
    return 0, notes
