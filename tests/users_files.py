"""What a user may have in a folder: odd names and modes, links, FIFOs, folders; and how to see that all stay."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tfgan_lab.system.files import json_bytes

ODD_NAMES = [
    "gen",
    ".gen.x",
    "[a]",
    "*",
    "?",
    "a b",
    "\\",
    "-rf",
    ".gen.12345678.part",
    "é",
    "$HOME",
    "new\nline",
    "\x1b[31m",
]
FILE_KINDS = ["file", "empty", "link", "link to ours", "link to a device", "FIFO", "device", "folder"]
FOLDER_KINDS = ["file", "link", "FIFO", "folder", "model", "export with notes", "export with a link"]


def fill(folder: Path, content: str = "new") -> None:
    (folder / "deep").mkdir()
    for name in ("model", "facts.json", "deep/weights"):
        (folder / name).write_text(content)


def make(kind: str, path: Path) -> None:
    """One of a user's things."""
    match kind:
        case "file":
            path.write_text("mine")
            path.chmod(0o604)
        case "empty":
            path.touch(0o600)
        case "link":
            path.symlink_to("its target")
        case "link to ours":
            (path.parent / "ours").write_bytes(json_bytes({}))
            path.symlink_to("ours")
        case "link to a device":
            path.symlink_to("/dev/full")
        case "FIFO":
            os.mkfifo(path, 0o620)
        case "device":  # a node of our own: where it is replaced after all, the machine keeps its /dev
            try:
                os.mknod(path, stat.S_IFCHR | 0o620, os.makedev(1, 7))
            except PermissionError:
                os.mknod(path, stat.S_IFSOCK | 0o620)
        case "folder":
            path.mkdir()
            (path / "thesis.tex").write_text("mine")
        case "model":
            path.mkdir()
            (path / "model").write_text("of another program")
        case "export with notes":
            path.mkdir()
            fill(path, "old")
            (path / "notes").write_text("mine")
        case "export with a link":
            path.mkdir()
            fill(path, "old")
            (path / "model").unlink()
            (path / "model").symlink_to("deep/weights")


def state(folder: Path) -> dict[str, Any]:
    """Everything in a folder: type, mode, and content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if stat.S_ISREG(mode) else None
        found[str(path.relative_to(folder))] = (mode, content)
    return found
