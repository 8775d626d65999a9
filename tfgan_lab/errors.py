"""The one exception that means "the user can mend this"."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

RESUME_CODE = 75  # EX_TEMPFAIL of sysexits.h: "a temporary failure, the user is invited to retry"
READER_GONE_CODE = 141  # 128 + SIGPIPE


class UserError(Exception):
    """A mistake that its user can mend: printed as one line, without a traceback.

    The message names the flag, field or file at fault and the remedy. The command
    line turns it into exit code ``code``.
    """

    code = 2


class TrainingDiverged(UserError):
    """A loss became NaN or infinite: exit code 3, so that scripts can tell it from a mistyped flag."""

    code = 3


def nearest(word: str, valid: Iterable[str]) -> str:
    """Returns " Did you mean 'a' or 'b'?" for a mistyped word, else the valid ones."""
    names = sorted(valid)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(repr(name) for name in close)}?"
    return f" Valid: {', '.join(names)}."


def shortened(text: str, most: int = 120) -> str:
    """The start of a text that may be of any length."""
    return text if len(text) <= most else f"{text[:most]}…"


def shown(name: str | os.PathLike[str]) -> str:
    """A file's name for messages and records: bytes that are no UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
