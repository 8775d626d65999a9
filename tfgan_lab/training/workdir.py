"""The run folder: its config, its record, its append-only metrics, and the lock that keeps a second process out."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from tfgan_lab import config as config_lib
from tfgan_lab import pretrained
from tfgan_lab.config import Changes
from tfgan_lab.errors import DEFINED_ELSEWHERE, UserError
from tfgan_lab.records import is_row, known_facts
from tfgan_lab.system.cache import usable_cores
from tfgan_lab.system.files import read_bytes, write_atomically

# A longer or shorter run of the same experiment goes through the same states, whatever it prints: these may change.
# So may where it runs: any number of replicas trains the same network, to rounding.
_MAY_CHANGE = (Changes.LENGTH, Changes.PLACE, Changes.ASIDE, Changes.PRINTED)

# What a run writes before its first checkpoint, and where it writes after.
_FILES = (".lock", ".owner", "config.json", "run.json", "metrics.jsonl")
_FOLDERS = ("checkpoints", "samples", "tensorboard", "export")
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.part")  # what a killed process leaves of `tfgan_lab.system.files`


class Workdir:
    """One run's folder.

    Attributes:
      path: The folder.
      checkpoints, samples, tensorboard, export: Folders in it.

    Raises:
      UserError: Its name is no UTF-8, which TensorFlow needs, or none that a folder can have.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise UserError(f"--workdir={str(self.path)!a}: its name is no UTF-8: name another folder.") from None
        if "\0" in str(self.path):
            raise UserError(f"--workdir={str(self.path)!a}: no folder can have this name: name another.")
        self.checkpoints, self.samples = self.path / "checkpoints", self.path / "samples"
        self.tensorboard, self.export = self.path / "tensorboard", self.path / "export"
        self._lock = filelock.FileLock(str(self.path / ".lock"))

    def exists(self) -> bool:
        """Whether a run was started here."""
        return os.path.isfile(self.path / "config.json")

    def claim(self) -> None:
        """Makes the folder if need be, locks it until this process ends (however it ends), and clears leftovers.

        Raises:
          UserError: It cannot be written, is no run folder, holds links, or another process is writing it.
        """
        try:
            # A run that starts at this moment has written nothing but these, its lock first.
            self._refuse_others(but=(*_FILES, *_FOLDERS))
            self._refuse_links()
            self.path.mkdir(parents=True, exist_ok=True)
            # Whoever asks whether it is being written holds the lock for a moment.
            self._lock.acquire(timeout=0.2)
            try:
                self._refuse_others(but=_FILES[:2])
                self._clear_leftovers()
                (self.path / ".owner").write_text(f"process {os.getpid()} on {socket.gethostname()}")
            except BaseException:
                self._lock.release()
                raise
        except filelock.Timeout:
            owner = self.path / ".owner"
            who = owner.read_text() if owner.is_file() else "another process"
            raise UserError(
                f"--workdir={self.path} is being written by {who}: wait for it, stop it, or name another folder."
            ) from None
        except OSError as error:
            raise UserError(
                f"--workdir={self.path} cannot be written: {error.strerror or error}. Name another folder or fix its permissions."
            ) from None

    def _refuse_others(self, but: tuple[str, ...]) -> None:
        """Raises `UserError` if there is no run, but anything else than these."""
        if not self.path.is_dir() or self.exists():
            return
        if any(entry.name not in but and not _LEFTOVER.fullmatch(entry.name) for entry in self.path.iterdir()):
            raise UserError(f"--workdir={self.path} is not empty and holds no run: name a new or empty folder.")

    def _refuse_links(self) -> None:
        """Raises `UserError` if a part is a link or no plain file: its maker would choose what is written."""
        for path, is_folder in self._parts():
            mode = path.lstat().st_mode
            if not (stat.S_ISDIR if is_folder else stat.S_ISREG)(mode):
                kind = "a link" if stat.S_ISLNK(mode) else f"no {'folder' if is_folder else 'plain file'}"
                raise UserError(
                    f"{path} is {kind}, and a run's own parts may not be: move it away, or name another --workdir."
                )

    def _parts(self) -> Iterator[tuple[Path, bool]]:
        """What a run writes and reads here, as far as it is there, and whether it should be a folder."""
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            is_folder = entry.name in _FOLDERS or entry.name.startswith("seed=")
            if is_folder or entry.name in _FILES:
                yield entry, is_folder
            if entry.name in _FOLDERS and not entry.is_symlink():
                for folder, below, files in os.walk(entry):
                    yield from ((Path(folder, name), True) for name in below)
                    yield from ((Path(folder, name), False) for name in files)

    def _clear_leftovers(self) -> None:
        for folder in (self.path, self.samples, self.checkpoints):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if not _LEFTOVER.fullmatch(entry.name):
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()

    def refuse_deleted(self) -> None:
        """Raises `UserError` if the run that this process trains is no longer here."""
        if not self.exists():
            raise UserError(
                f"--workdir={self.path} was deleted or moved while it trained: the run is stopped. "
                "If it was moved, `tfgan-lab train` continues it in its new place."
            )

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
        """The config this run was started with.

        Raises:
          UserError: There is no readable one, or it is another than the one that the checkpoints were trained with.
        """
        config = self._written_config()
        drift = self._drift(config)
        if drift:
            raise UserError(
                f"{self.path / 'config.json'} was edited after its checkpoints were trained ({drift}): put that back, "
                "or train the new config in another --workdir."
            )
        return config

    def _written_config(self) -> config_lib.Config:
        path = self.path / "config.json"
        try:
            return config_lib.from_json(read_bytes(path).decode(), str(path))
        except FileNotFoundError:
            raise UserError(
                f"--workdir={self.path} holds no run (no config.json): train one with `tfgan-lab train --workdir={self.path}`."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}.") from None
        except UserError as error:
            file = self.read_record().get("config_file")
            if file is None or DEFINED_ELSEWHERE not in str(error):
                raise
            named = f"The run was begun with {file}: name that file with --config (in Python: load_config it first)."
            raise UserError(str(error).replace(DEFINED_ELSEWHERE, named)) from None

    def _has_checkpoints(self) -> bool:
        """Whether anything was trained here, in the folders of its seeds included."""
        folders = [
            self.checkpoints,
            *(path / "checkpoints" for path, _ in self._parts() if path.name.startswith("seed=")),
        ]
        return any(entry.suffix == ".index" for folder in folders if folder.is_dir() for entry in folder.iterdir())

    def _drift(self, config: config_lib.Config) -> str:
        """How a config differs from that of the checkpoints here in fields that shape the run; empty without any.

        That config is kept beside them. Folders of earlier versions have only config.json.
        """
        if not self._has_checkpoints():
            return ""
        kept = self.checkpoints / "config.json"
        try:
            trained = config_lib.from_json(read_bytes(kept).decode(), str(kept))
        except (OSError, UnicodeDecodeError, UserError):
            if not self.exists():
                return ""
            trained = self._written_config()
        return _in_words(trained, config)

    def read_single_config(self) -> config_lib.Config:
        """As `read_config`; raises `UserError` too if the folder holds several seeds' runs."""
        config = self.read_config()
        if config.num_seeds > 1:
            raise UserError(
                f"--workdir={self.path} holds the runs of {config.num_seeds} seeds: name one of them, such as --workdir={self.path}/seed={config.seed}."
            )
        return config

    def refuse_drift(self, config: config_lib.Config) -> None:
        """Raises `UserError` naming the fields that shape the run and in which the checkpoints' config differs."""
        drift = self._drift(config)
        if drift:
            raise UserError(
                f"--workdir={self.path} holds a run of another config ({drift}): use that config, or another --workdir."
            )

    def keep_config(self, config: config_lib.Config) -> None:
        """Writes config.json, and its copy that says what the checkpoints here are of.

        Where nothing was trained yet, another config than the one before starts a new record.

        Raises:
          UserError: As `refuse_drift`.
        """
        self.refuse_drift(config)
        record, content = self.record_of(config), config_lib.to_json(config).encode()
        write_atomically(self.path / "config.json", content)
        write_atomically(self.checkpoints / "config.json", content)
        if record != self.read_record():
            self._write_record(record)

    def record_of(self, config: config_lib.Config) -> dict[str, Any]:
        """What run.json says of a run of this config; without checkpoints only what would be so again."""
        record = self.read_record()
        if self._has_checkpoints():
            return record
        if not self.exists() or _in_words(self._written_config(), config):
            return {}
        return {name: fact for name, fact in record.items() if name in ("data_dir", "diverged", "fork")}

    def read_record(self) -> dict[str, Any]:
        """run.json as a dict without what this program would not have written there; empty if there is none."""
        try:
            return known_facts(json.loads(read_bytes(self.path / "run.json")))
        except (OSError, ValueError, RecursionError):
            return {}

    def data_dir(self, given: str | None) -> str | None:
        """Where its data is: as given now, else as before. Raises `UserError` if nothing is there any more."""
        before: str | None = self.read_record().get("data_dir")
        if not given and before and not os.path.exists(before):
            raise UserError(
                f"--workdir={self.path} was trained on data in {before}, which is gone: name its new place with --data_dir."
            )
        return given or before

    def write_record(self, **facts: Any) -> None:
        """Adds facts to run.json."""
        self._write_record(self.read_record() | facts)

    def _write_record(self, record: Mapping[str, Any]) -> None:
        write_atomically(self.path / "run.json", (json.dumps(record, indent=2) + "\n").encode())

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Appends one row to metrics.jsonl. Raises `UserError` if the disk refuses."""
        try:
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise UserError(
                f"{self.path / 'metrics.jsonl'} cannot be written: {error.strerror or error}. Free space or fix permissions, then run again."
            ) from None

    def read_metrics(self) -> list[dict[str, Any]]:
        """All whole rows of metrics.jsonl; a half-written last line, and whatever is no row, is omitted."""
        rows: list[dict[str, Any]] = []
        try:
            lines = read_bytes(self.path / "metrics.jsonl").decode(errors="replace").splitlines()
        except OSError:
            return rows
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if is_row(row):
                rows.append(row)
        return rows

    def cut_after(self, step: int) -> None:
        """Forgets what was written after the checkpoint that a run resumes from."""
        rows = [row for row in self.read_metrics() if row["step"] <= step]
        if (self.path / "metrics.jsonl").exists():
            write_atomically(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
        for path in self.samples.iterdir() if self.samples.is_dir() else ():
            found = re.fullmatch(r"(?:step|surface)-(\d{8,})\.(npz|png)", path.name)
            if found and int(found[1]) > step:
                path.unlink()


def config_of(path: str | os.PathLike[str]) -> config_lib.Config:
    """The config of a run's folder, or of "pretrained:NAME". Raises `UserError` if there is none, or several seeds' runs."""
    name = pretrained.name_in(path)
    return Workdir(path).read_single_config() if name is None else pretrained.config_of(name)


def place_of(start: str | os.PathLike[str]) -> tuple[str, int | None]:
    """What `--from` names, "RUN", "RUN@STEP" or "pretrained:NAME": (RUN or "pretrained:NAME", STEP or None)."""
    text = os.fspath(start)
    found = re.fullmatch(r"(.+)@(\d{1,18})", text, re.S)
    if pretrained.name_in(text) is not None or found is None or os.path.isdir(text):
        return text, None
    return found[1], int(found[2])


def config_at(start: str | os.PathLike[str]) -> config_lib.Config:
    """The config of the run that `--from` names. Raises `UserError` if there is none."""
    place, _ = place_of(start)
    if pretrained.name_in(place) is None and not Workdir(place).exists():
        raise UserError(f"--from={place}: there is no run (no config.json): name the folder of one.")
    return config_of(place)


def _in_words(old: config_lib.Config, new: config_lib.Config) -> str:
    """The fields that shape a run in which two configs differ; the first eight by name."""
    drift = config_lib.differences(old, new, *_MAY_CHANGE)
    return "; ".join(drift[:8]) + ("; …" if len(drift) > 8 else "")


def environment() -> dict[str, Any]:
    """Versions and machine, for run.json: what "same machine, same bits" refers to."""
    import keras
    import numpy
    import tensorflow as tf

    from tfgan_lab import __version__
    from tfgan_lab.system.runtime import as_started

    return {
        "versions": {
            "tfgan_lab": __version__, "python": platform.python_version(), "tensorflow": tf.__version__,
            "keras": keras.__version__, "numpy": numpy.__version__,
        },
        "started": as_started(),
        "machine": platform.machine(),
        "cores": usable_cores(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }  # fmt: skip


def checkpoint_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, oldest first."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    matches = (re.fullmatch(r"ckpt-(\d+)\.index", name) for name in names)
    return sorted(int(match[1]) for match in matches if match)
