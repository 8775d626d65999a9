"""Writes files and folders: whole or not at all, and never over what is not ours.

A file that may lie among a user's own carries `MARK` near its start or its end, and only such a file is replaced. The
parts of a run's folder are ours by their place. Links, FIFOs and devices are never written to, and never replaced.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from tfgan_lab.errors import UserError

MARK = "tfgan-lab-output"
_NEAR = 4096  # bytes
_KINDS = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a FIFO"}


def shipped(name: str) -> Path:
    """A folder that comes with the package: beside its modules in a wheel, beside the package in a clone."""
    package = Path(__file__).resolve().parents[1]
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """A JSON file that carries the mark."""
    return (json.dumps({"written_by": MARK, **content}, indent=1) + "\n").encode()


def markdown_bytes(text: str) -> bytes:
    """A Markdown file that carries the mark, as a comment at its end."""
    return f"{text}\n\n<!-- {MARK} -->\n".encode()


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file that others may have made. Raises OSError as `require_file`, or if it cannot be read."""
    require_file(path)
    return Path(path).read_bytes()


def require_file(path: str | os.PathLike[str]) -> None:
    """Raises FileNotFoundError where no file is: a FIFO in its place would keep its reader waiting for ever."""
    if not os.path.isfile(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Whether a regular file that carries the mark is there."""
    if _mode(Path(path), stat.S_IFREG) is None:
        return False
    with open(path, "rb") as file:
        start = file.read(_NEAR)
        file.seek(max(file.tell(), file.seek(0, os.SEEK_END) - _NEAR))
        return MARK.encode() in start or MARK.encode() in file.read()


def refuse_foreign(*paths: str | os.PathLike[str] | None) -> None:
    """Raises `UserError` if one of the files that shall be written is there and not ours."""
    for path in (Path(path) for path in paths if path):
        with _one_line(path):
            if _mode(path, stat.S_IFREG) is not None and not is_ours(path):
                raise UserError(f"{path} is there already and tfgan-lab did not write it: name another, or move it.")


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a whole file or nothing. Raises `UserError` as `new_file`."""
    with new_file(path) as temporary, temporary.open("xb") as file:
        file.write(content)


def make_log(path: Path) -> None:
    """A text file to append to, which carries the mark, unless it is there. Raises `UserError` if it is not ours."""
    refuse_foreign(path)
    if not path.exists():
        write_atomically(path, f"{MARK}\n".encode())


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write a file under, which takes the place of `path` once it is whole.

    A file that is replaced keeps its mode; a new one gets what the umask allows.

    Raises:
      UserError: The folder cannot be written, the disk is full, or a link, a folder, a FIFO or a device is there.
    """
    path = Path(path)
    temporary = _beside(path)
    with _one_line(path):
        mode = _mode(path, stat.S_IFREG)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if mode is not None:
                temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def refuse_foreign_folder(folder: Path, parts: Set[str], signs: Set[str]) -> None:
    """Raises `UserError` if a folder that shall be written is there and not ours.

    Args:
      folder: An empty one is as good as none.
      parts: Paths in it of all that we write there; whatever else it holds is a user's.
      signs: Those of them that ours always has.
    """
    with _one_line(folder):
        if _mode(folder, stat.S_IFDIR) is None:
            return
        found = {str(path.relative_to(folder)): path for path in _walk(folder)}
        foreign = [name for name, path in found.items() if name not in parts or not _is_plain(path)]
        if foreign or (found and not signs <= found.keys()):
            what = f"holds {foreign[0]}, which" if foreign else "holds what"
            raise UserError(f"{folder} {what} tfgan-lab did not write: name another folder, or move it.")


@contextlib.contextmanager
def new_folder(folder: Path, parts: Set[str], signs: Set[str]) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` once it is filled.

    The folder that it replaces stays whole until then; the new one and its files have the modes of the old ones.

    Args:
      folder, parts, signs: As in `refuse_foreign_folder`.

    Raises:
      UserError: As `refuse_foreign_folder`; it cannot be written, or another process replaced it in the meantime.
    """
    refuse_foreign_folder(folder, parts, signs)
    before = _identity(folder)
    # Its own, whatever other processes left or are filling: only this one is removed.
    filled = _beside(Path(os.path.abspath(folder)))
    with _one_line(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        filled.mkdir()
        try:
            yield filled
            refuse_foreign_folder(folder, parts, signs)
            _swap(filled, folder, before)
        finally:
            shutil.rmtree(filled, ignore_errors=True)


def _swap(new: Path, folder: Path, before: tuple[int, int] | None) -> None:
    old = _beside(new)
    if before is not None and _identity(folder) == before:
        for path in (folder, *_walk(folder)):
            if (new / path.relative_to(folder)).exists():
                shutil.copymode(path, new / path.relative_to(folder))
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            raise UserError(f"{folder} was written by another process in the meantime: what it wrote stays.") from None
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name[:50]}.{secrets.token_hex(4)}.part"


def _mode(path: Path, wanted: int) -> int | None:
    """The permissions of what is there; None if there is nothing. Raises `UserError` if it is of another kind."""
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_IFMT(found) != wanted:
        kind = _KINDS.get(stat.S_IFMT(found), "a device or a socket")
        raise UserError(f"{path} is {kind}, where {_KINDS[wanted]} shall be written: name another, or remove it.")
    return stat.S_IMODE(found)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_plain(path: Path) -> bool:
    return stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))


def reason_of(error: Exception) -> str:
    """Why the disk refused, such as "No space left on device", from TensorFlow's many words, too."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0].rpartition("; ")[2].partition(" [Op:")[0][:200]


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path} cannot be written: {reason}. Free space or fix permissions, then run again.") from None
