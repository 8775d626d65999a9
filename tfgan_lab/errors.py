"""The one exception that means "the user can fix this"."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

RESUME_CODE = 75  # EX_TEMPFAIL of sysexits.h: "a temporary failure, the user is invited to retry"
READER_GONE_CODE = 141  # 128 + SIGPIPE
# What to do about a layer, data, loss or penalty that a run's config.json names and this process does not know.
DEFINED_ELSEWHERE = "If a config file defines it, name that file with --config (in Python: load_config it first)."


class UserError(Exception):
    """A mistake that its user can fix: printed as one line, without a traceback.

    The message names the flag, field or file at fault and the remedy. The command
    line turns it into exit code ``code``.
    """

    code = 2

    def __str__(self) -> str:
        # Names of files, keys and fields come from outside, and one line it stays.
        return printable(super().__str__())


class TrainingDiverged(UserError):
    """A loss became NaN or infinite: exit code 3, so that scripts can tell it from a mistyped flag."""

    code = 3


def printable(text: str) -> str:
    """Text that may come from outside, safe on a terminal: escapes, line ends and the like as Python writes them."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def as_arguments(text: str) -> str:
    """A message that names flags, as it is said in a program: `--workdir` is the argument `workdir`."""
    text = re.sub(r"`tfgan-lab (train|evaluate)\b[^`]*`", r"`tfgan_lab.\1`", text)
    parts = text.replace("--from=", "--start=").split("`")  # what stands in backticks now is a command or code as it is
    parts[::2] = [re.sub(r"(?<![\w-])--(config\.)?(?=[A-Za-z])", "", part) for part in parts[::2]]
    return "`".join(parts)


@contextlib.contextmanager
def in_python() -> Iterator[None]:
    """A `UserError` that leaves it speaks of arguments, not of flags; also a decorator of what programs call."""
    try:
        yield
    except UserError as error:
        error.args = (as_arguments(str(error)),)
        raise


def nearest(word: str, valid: Iterable[str]) -> str:
    """Returns " Did you mean 'a' or 'b'?" for a mistyped word, else the valid ones."""
    names = sorted(valid)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(repr(name) for name in close)}?"
    return f" Valid: {', '.join(names)}."


def own_name(function: Callable[..., Any], shipped: Iterable[str]) -> str:
    """The name under which a config keeps a function of its user's. Raises `UserError` if the package has one of that name."""
    name = function.__name__
    if not name.isidentifier() or name in shipped:
        fault = "the package has one of that name" if name.isidentifier() else "it has no name"
        raise UserError(f"{name}: {fault}: define yours with def, under a name of its own.")
    return name


def refuse_shipped(cls: type, known: type | None, what: str) -> None:
    """Raises `UserError` if a user's class would take the place of one of the package's, which is `what`."""
    known_by, own = getattr(known, "__module__", ""), cls.__module__
    if known_by.startswith("tfgan_lab.") and not own.startswith("tfgan_lab."):
        raise UserError(f"{cls.__name__}: the package has {what}: give yours another name.")


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error says, in one line; its class where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:most]


def shortened(text: str, most: int = 120) -> str:
    """The start of a text that may be of any length."""
    return text if len(text) <= most else f"{text[:most]}…"


def shown(name: str | os.PathLike[str]) -> str:
    """A file's name for messages and records: bytes that are no UTF-8 are escaped, and what is not `printable`."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"))
