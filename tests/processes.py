"""The processes that another one has started."""

from __future__ import annotations

import contextlib

import psutil


def children_of(pid: int | None = None, recursive: bool = False) -> dict[int, str]:
    """The command line by the number of every child of a process (None: this one) that has not ended meanwhile."""
    found = {}
    for child in psutil.Process(pid).children(recursive):
        with contextlib.suppress(psutil.NoSuchProcess):
            found[child.pid] = " ".join(child.cmdline())
    return found
