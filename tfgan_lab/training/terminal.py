"""What a run says on the terminal, and its progress bar."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from tfgan_lab.errors import as_arguments

_muted = False
_for_a_command = False  # whether the command line is what trains
_left: Any = None  # the standard output whose reader has gone away


def say(line: str) -> None:
    """Prints a line, above a progress bar if there is one; signs that the output has not are question marks.

    An output that takes no more does not break off a run: see `reader_is_gone`.
    """
    global _left
    if sys.stdout is None:
        return
    line = line if _for_a_command else as_arguments(line)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        tqdm.write(line.encode(encoding, "replace").decode(encoding), file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        _left = sys.stdout
    except OSError:
        pass  # a full disk: the lines are lost, the run is not


def hint(line: str) -> None:
    """Says which command comes next, if a command is what trains."""
    if _for_a_command:
        say(line)


@contextlib.contextmanager
def speaking_of_commands() -> Iterator[None]:
    """What is said inside names flags and commands: the command line trains, not a program."""
    global _for_a_command
    before, _for_a_command = _for_a_command, True
    try:
        yield
    finally:
        _for_a_command = before


def reader_is_gone() -> bool:
    """Whether nobody reads what is said, as after `tfgan-lab train | head`: a reason to save and stop."""
    return _left is not None and _left is sys.stdout


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Nothing is printed on standard output inside, and no bar of a training is shown."""
    global _muted
    before, _muted = _muted, True
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        _muted = before


def progress_bar(total: int, done: int) -> tqdm:
    """A bar of steps with speed and time left on a terminal and in a notebook; nothing otherwise."""
    hidden = _muted or sys.stderr is None or not (sys.stderr.isatty() or _in_a_notebook())
    return tqdm(
        total=total, initial=done, unit="step", disable=hidden, dynamic_ncols=True, smoothing=0.1, mininterval=0.5
    )


def _in_a_notebook() -> bool:
    """Whether this process is a notebook's kernel: not only one that has imported what kernels are made of."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
