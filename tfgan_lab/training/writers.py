"""Where a run's numbers and pictures go while it trains: terminal, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfgan_lab.training.workdir import Workdir


class Terminal:
    """A progress bar with speed and time left on a terminal; plain lines otherwise."""

    def __init__(self, total: int, done: int) -> None:
        self._bar = tqdm(
            total=total, initial=done, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True, smoothing=0.1,
            mininterval=0.5,
        )  # fmt: skip

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def advance(self, steps: int) -> None:
        self._bar.update(steps)

    def close(self) -> None:
        self._bar.close()


class TensorBoard:
    """Event files; made anew from metrics.jsonl and the sample pictures when a run resumes, so that no step stands twice."""

    def __init__(self, workdir: Workdir, rows: Sequence[dict[str, Any]]) -> None:
        shutil.rmtree(workdir.tensorboard, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(workdir.tensorboard))
        for row in rows:
            self.scalars(row)
        for path in sorted(workdir.samples.glob("step-" + "[0-9]" * 8 + ".png")):
            picture = tf.io.decode_png(path.read_bytes(), channels=3).numpy()
            self.picture("samples", picture, int(path.stem.split("-")[1]))

    def scalars(self, row: dict[str, Any]) -> None:
        """Writes every number of a metrics row under kind/name."""
        with self._writer.as_default(step=row["step"]):
            for name, value in row.items():
                if isinstance(value, float) and name != "epoch":
                    tf.summary.scalar(f"{row['kind']}/{name}", value)

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Writes one uint8 picture [H, W, C]."""
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None])

    def close(self) -> None:
        self._writer.close()
