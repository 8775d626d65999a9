"""The user's cache folder: derived files that only save time. Whatever is wrong with one, it is made again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import filelock

from tfgan_lab.errors import UserError

_KEPT = 24  # compiled programs, of about 1 MB each
_FREE_BYTES = 2**26  # with less room, nothing is kept: TensorFlow would stop where it cannot write
_FLAGS = "--tf_xla_persistent_cache_device_types=CPU --tf_xla_persistent_cache_directory={}"
_programs: Path | None = None


def cache_dir() -> Path:
    """Where such files are: $TFGAN_LAB_CACHE, or the user's cache folder; where nothing can be if there is no home."""
    own, xdg = os.environ.get("TFGAN_LAB_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    if own:
        return Path(own)
    base = xdg if os.path.isabs(xdg) else os.path.expanduser("~/.cache")
    return Path(base if os.path.isabs(base) else os.devnull, "tfgan_lab")


def can_be_written(folder: Path) -> bool:
    """Makes a folder if need be and says whether files can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def kept(path: Path, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Makes a file of the cache folder unless it is there whole; of several processes one makes it and the others wait.

    Args:
      path: The file. Beside it lies its note, path.json.
      make: Writes the file under the name that it is given, and returns what the note is to say.

    Returns:
      The note.

    Raises:
      UserError: The file cannot be written.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock"):
            found = note_of(path)
            if found is not None:
                return found
            try:
                note = make(partial)
                note |= {"bytes": partial.stat().st_size}
                os.replace(partial, path)
                partial.write_text(json.dumps({**note, "seal": _seal_of(note)}))
                os.replace(partial, f"{path}.json")
            finally:
                partial.unlink(missing_ok=True)
            return note
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{path} cannot be written ({reason}): free space, or name another folder with $TFGAN_LAB_CACHE."
        ) from None


def note_of(path: Path) -> dict[str, Any] | None:
    """What `kept` noted of a file; None if the file is not there, or it or its note is not whole."""
    try:
        note = json.loads(Path(f"{path}.json").read_text())
        whole = note.pop("seal") == _seal_of(note) and path.stat().st_size == note["bytes"]
        return note if whole else None
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def _seal_of(note: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(note, sort_keys=True).encode()).hexdigest()


def keep_programs(threads: int) -> None:
    """Makes TensorFlow keep what XLA compiles for this CPU, and load it instead of compiling it a second time.

    Called before TensorFlow is imported. TensorFlow itself compares a kept program with the one that is wanted; that
    its file is whole is for `seal_programs` and this function to see to.

    Args:
      threads: As TensorFlow will be started with (0: all cores); a program is compiled for their number.
    """
    global _programs
    root = cache_dir().absolute() / "xla"
    # A process that started this one may have set its own.
    flags = re.sub(rf" ?{re.escape(_FLAGS.format(root))}/\w+", "", os.environ.get("TF_XLA_FLAGS", ""))
    if "persistent_cache" in flags:
        return  # the user's own
    if re.search(r"\s", str(root)):
        return  # the flags are split at blanks
    folder = root / _machine(threads)
    try:
        if not can_be_written(folder) or shutil.disk_usage(folder).free < _FREE_BYTES:
            return
        _drop_damaged(folder)
    except OSError:
        return
    os.environ["TF_XLA_FLAGS"] = f"{flags} {_FLAGS.format(folder)}".strip()
    _programs = folder


def seal_programs() -> None:
    """Notes the digest of every program that was kept since; a file without one is not used by later processes."""
    if _programs is None:
        return
    with contextlib.suppress(OSError):
        for program in _programs.glob("*.pb"):
            if not _seal(program).exists():
                partial = _seal(program).with_suffix(f".{os.getpid()}.part")
                partial.write_text(_digest(program))
                os.replace(partial, _seal(program))


def _drop_damaged(folder: Path) -> None:
    programs = sorted(folder.glob("*.pb"), key=lambda path: -path.stat().st_mtime)
    for place, program in enumerate(programs):
        seal = _seal(program)
        if place >= _KEPT or not seal.is_file() or seal.read_bytes() != _digest(program).encode():
            program.unlink(missing_ok=True)
            seal.unlink(missing_ok=True)


def _seal(program: Path) -> Path:
    return program.with_suffix(".sha256")


def _digest(program: Path) -> str:
    return hashlib.sha256(program.read_bytes()).hexdigest()


def tensorflow_version() -> str:
    """Without importing it; empty if it is there under another name."""
    try:
        return version("tensorflow")
    except PackageNotFoundError:
        return ""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_features() -> set[str]:
    """What this CPU can do and what it is called, where Linux tells; else empty."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {word for line in lines if line.startswith(("flags", "Features", "model name")) for word in line.split()[2:]}


def _machine(threads: int) -> str:
    """What a compiled program depends on besides itself."""
    cores = threads or usable_cores()
    cpu = " ".join(sorted(cpu_features())) or f"{platform.processor()} {platform.node()}"
    facts = [tensorflow_version(), platform.machine(), cpu, str(cores), os.environ.get("XLA_FLAGS", "")]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
