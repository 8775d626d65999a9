"""Standard output as the command line needs it: no sign is too much for it, and what it cannot take is one line."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from tfgan_lab.errors import READER_GONE_CODE, UserError, printable


class OutputLost(UserError, OSError):
    """Standard output takes no more."""


class Output(io.TextIOWrapper):
    """Standard output; a terminal without "…" shows a question mark.

    Attributes:
      failure: Why something could not be written, if so.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(
            stream.buffer, stream.encoding, "replace", line_buffering=bool(stream.line_buffering), write_through=True,
        )  # fmt: skip
        self.failure: OSError | None = None
        self._stream = stream  # it would close the buffer when it goes

    def write(self, text: str) -> int:
        """As any stream, escapes in names made harmless; raises `OutputLost`, or BrokenPipeError without a reader."""
        try:
            return super().write("\n".join(map(printable, text.split("\n"))))
        except OSError as error:
            raise self._note(error) from None

    def flush(self) -> None:
        """As `write`."""
        try:
            super().flush()
        except OSError as error:
            raise self._note(error) from None

    def _note(self, error: OSError) -> OSError:
        lost = OutputLost(f"standard output cannot be written: {error.strerror}.")
        self.failure = error if isinstance(error, BrokenPipeError) else lost
        return self.failure


def settled(code: int) -> int:
    """Writes out what was printed; returns the exit code, another one if it could not be written."""
    try:
        sys.stdout.flush()
        failure = getattr(sys.stdout, "failure", None)
    except OSError as error:
        failure = error
    if failure is None:
        return code
    _give_up(1)
    if isinstance(failure, BrokenPipeError):
        return READER_GONE_CODE
    if code == 0:
        complain(str(failure))
    return code or UserError.code


def complain(text: str) -> None:
    """One line on stderr, if that can be written."""
    try:
        print(f"tfgan-lab: {text}", file=sys.stderr, flush=True)
    except OSError:
        _give_up(2)


def _give_up(descriptor: int) -> None:
    """What is left in buffers goes nowhere: the interpreter writes it when it ends, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
