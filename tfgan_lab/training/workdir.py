"""The run folder: its config, its record, its append-only metrics, and the lock that keeps a second process out."""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from tfgan_lab import config as config_lib
from tfgan_lab.errors import UserError
from tfgan_lab.files import write_atomically

# A longer or shorter run of the same experiment goes through the same states, whatever it prints: these may change.
# So may where it runs: any number of replicas trains the same network, to rounding.
_MAY_CHANGE = (
    "epochs", "steps", "keep_checkpoints", "log_line", "evaluate_line", "metrics.epochs", "metrics.steps", "placement", "replicas",
)  # fmt: skip


class Workdir:
    """One run's folder.

    Attributes:
      path: The folder.
      checkpoints, samples, tensorboard, export: Folders in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoints, self.samples = self.path / "checkpoints", self.path / "samples"
        self.tensorboard, self.export = self.path / "tensorboard", self.path / "export"
        self._lock = filelock.FileLock(str(self.path / ".lock"))

    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self.path / "config.json").is_file()

    def claim(self) -> None:
        """Makes the folder if need be and locks it until this process ends (however it ends).

        Raises:
          UserError: It cannot be written, is no run folder, or another process is writing it.
        """
        try:
            if (
                self.path.is_dir()
                and not self.exists()
                and any(entry.name != ".lock" and entry.name != ".owner" for entry in self.path.iterdir())
            ):
                raise UserError(f"--workdir={self.path} is not empty and holds no run: name a new or empty folder.")
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            (self.path / ".owner").write_text(f"process {os.getpid()} on {socket.gethostname()}")
        except filelock.Timeout:
            owner = self.path / ".owner"
            who = owner.read_text() if owner.is_file() else "another process"
            raise UserError(
                f"--workdir={self.path} is being written by {who}: wait for it, stop it, or name another folder."
            ) from None
        except OSError as error:
            raise UserError(
                f"--workdir={self.path} cannot be written: {error.strerror or error}. Name another folder or mend its permissions."
            ) from None

    def is_being_written(self) -> bool:
        """Whether another process trains in this folder now."""
        if self._lock.is_locked or not (self.path / ".lock").is_file():
            return False
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        except OSError:
            return False  # a folder that cannot be written is not being written
        self._lock.release()
        return False

    def release(self) -> None:
        """Gives up the lock."""
        self._lock.release()

    def read_config(self) -> config_lib.Config:
        """The config this run was started with. Raises `UserError` if there is no readable one."""
        path = self.path / "config.json"
        try:
            return config_lib.from_json(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            raise UserError(
                f"--workdir={self.path} holds no run (no config.json): train one with `tfgan-lab train --workdir={self.path}`."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}.") from None

    def read_single_config(self) -> config_lib.Config:
        """As `read_config`; raises `UserError` too if the folder holds several seeds' runs."""
        config = self.read_config()
        if config.num_seeds > 1:
            raise UserError(
                f"--workdir={self.path} holds the runs of {config.num_seeds} seeds: name one of them, such as --workdir={self.path}/seed={config.seed}."
            )
        return config

    def keep_config(self, config: config_lib.Config) -> None:
        """Writes config.json, or checks that the run here has the same one.

        Raises:
          UserError: A field that shapes the run differs; every one is named.
        """
        if self.exists():
            drift = [
                d for d in config_lib.differences(self.read_config(), config) if d.split(":")[0] not in _MAY_CHANGE
            ]
            if drift:
                raise UserError(
                    f"--workdir={self.path} holds a run of another config ({'; '.join(drift[:8])}{'; …' if len(drift) > 8 else ''}): "
                    "use that config, or another --workdir."
                )
        write_atomically(self.path / "config.json", config_lib.to_json(config).encode())

    def read_record(self) -> dict[str, Any]:
        """run.json as a dict; empty if there is none."""
        try:
            record = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return _of_known_kinds(record) if isinstance(record, dict) else {}

    def write_record(self, **facts: Any) -> None:
        """Adds facts to run.json."""
        record = self.read_record() | facts
        write_atomically(self.path / "run.json", (json.dumps(record, indent=2) + "\n").encode())

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Appends one row to metrics.jsonl. Raises `UserError` if the disk refuses."""
        try:
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise UserError(
                f"{self.path / 'metrics.jsonl'} cannot be written: {error.strerror or error}. Free space or mend permissions, then run again."
            ) from None

    def read_metrics(self) -> list[dict[str, Any]]:
        """All whole rows of metrics.jsonl; a half-written last line is left out."""
        rows: list[dict[str, Any]] = []
        try:
            lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return rows
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
        return rows

    def cut_after(self, step: int) -> list[dict[str, Any]]:
        """Forgets what was written after the checkpoint that a run resumes from; returns the rows kept."""
        rows = [row for row in self.read_metrics() if row["step"] <= step]
        if (self.path / "metrics.jsonl").exists():
            write_atomically(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
        for path in self.samples.glob("step-*"):
            number = path.stem.split("-")[1]
            if number.isdecimal() and int(number) > step:
                path.unlink()
        return rows


def _of_known_kinds(record: dict[str, Any]) -> dict[str, Any]:
    """A run.json without the facts that a resume reads and that are not what this program writes."""
    kinds: dict[str, Any] = {"data": dict, "sessions": list, "data_dir": (str, type(None)), "imported": dict}
    return {key: value for key, value in record.items() if isinstance(value, kinds.get(key, object))}


def environment() -> dict[str, Any]:
    """Versions and machine, for run.json: what "same machine, same bits" refers to."""
    import keras
    import numpy
    import tensorflow as tf

    from tfgan_lab import __version__

    return {
        "versions": {
            "tfgan_lab": __version__, "python": platform.python_version(), "tensorflow": tf.__version__,
            "keras": keras.__version__, "numpy": numpy.__version__,
        },
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }  # fmt: skip
