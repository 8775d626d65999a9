"""Trains small runs and reads what they leave."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline

from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.report import gallery, reporter
from tfgan_lab.trainer import train
from tfgan_lab.training import train as plain
from tfgan_lab.training.workdir import checkpoint_steps


def train_small(reference: str, workdir: Path, **changes: str) -> Path:
    """Trains a config on embedded data in this process; returns the run's folder."""
    train(offline(reference, **changes), workdir)
    return workdir


def train_bare(reference: str, workdir: Path, **changes: str) -> Path:
    """As `train_small`, the same checkpoints, rows and samples, without pictures, page and export: half of the time."""
    plain.train(offline(reference, **changes), workdir, monitor=Monitor)
    return workdir


@contextlib.contextmanager
def nothing_drawn(but_the_page: bool = False) -> Iterator[None]:
    """What is trained in it leaves its export, but no page and no pictures beside those of its samples: half of the time."""
    drawn = [(gallery, name) for name in ("write_real", "write_untrained", "write_final")]
    page = [] if but_the_page else [(reporter, "write_page")]
    with pytest.MonkeyPatch.context() as patch:
        for module, name in [*drawn, *page, (reporter, "finish")]:
            patch.setattr(module, name, lambda *_: "")
        yield


def weights(workdir: Path, step: int | None = None) -> dict[str, np.ndarray]:
    """Everything in a run's newest (or one) checkpoint, by name."""
    folder = workdir / "checkpoints"
    reader = tf.train.load_checkpoint(str(folder / f"ckpt-{step or checkpoint_steps(folder)[-1]}"))
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith("_CHECKPOINTABLE")]
    return {name: reader.get_tensor(name) for name in sorted(names)}


def fingerprint(workdir: Path) -> str:
    """SHA-256 over the newest checkpoint's bits, the metrics file and the fixed samples."""
    digest = hashlib.sha256()
    for name, value in weights(workdir).items():
        digest.update(f"{name} {value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    digest.update((workdir / "metrics.jsonl").read_bytes())
    for path in sorted((workdir / "samples").glob("step-*.npz")):
        with np.load(path) as arrays:
            digest.update(path.name.encode() + arrays["samples"].tobytes())
    return digest.hexdigest()


def rows(workdir: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, every line of it."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts `tfgan-lab` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tfgan_lab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        # Ignored where the tests themselves run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for a command: exit code, stdout, stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err
