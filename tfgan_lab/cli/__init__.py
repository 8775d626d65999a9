"""The command line, `tfgan-lab VERB --flags`: the only reader of flags."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from tfgan_lab import __version__
from tfgan_lab.cli import compare, inputs, results, runs
from tfgan_lab.cli.output import complain, settled
from tfgan_lab.cli.verb import DEFAULT_CONFIG, Verb
from tfgan_lab.errors import READER_GONE_CODE, RESUME_CODE, UserError, nearest, shown
from tfgan_lab.system.signals import handling

_INTRODUCTION = """\
tfgan-lab: the classic GANs of five blog posts, reproduced.

usage: tfgan-lab VERB [--flag=value …]        tfgan-lab VERB --help

{verbs}

Start with `tfgan-lab train`: it needs no data and no network, and ends with pictures of digits in runs/{default}.
"""

VERBS = {**runs.VERBS, **results.VERBS, **inputs.VERBS, **compare.VERBS}


def _parse(verb: Verb, arguments: Sequence[str]) -> tuple[flags.FlagValues, dict[str, str]]:
    overrides, rest = {}, []
    pending = iter(arguments)
    for argument in pending:
        match = re.fullmatch(r"--?config\.([^=]*)(?:=(.*))?", argument, re.DOTALL)
        if match:
            value = match[2] if match[2] is not None else next(pending, None)
            if value is None:
                raise UserError(f"{argument} needs a value: {argument}=VALUE.")
            overrides[match[1]] = value
        else:
            rest.append(argument)
    values = verb.flags()
    if overrides and not verb.sets_fields():
        raise UserError("this verb takes no --config.FIELD: its configs are fixed, or in its --workdir.")
    try:
        positional = values(["tfgan-lab", *rest])[1:]
    except (flags.Error, ValueError) as error:  # the latter for --noNAME=VALUE
        dotted = " Fields are set by --config.FIELD=VALUE." if "." in getattr(error, "flagname", "") else ""
        raise UserError(" ".join(str(error).split()) + f".{dotted} See --help.") from None
    if positional:
        raise UserError(f"unexpected argument {positional[0]!r}: flags look like --name=value. See --help.")
    for name in values:
        given = values[name].value
        if given in ("", []) or (isinstance(given, list) and "" in given):
            raise UserError(f"--{name} is empty: name a value, or omit the flag (is a shell variable unset?).")
    return values, overrides


def _dispatch(arguments: Sequence[str]) -> None:
    name = arguments[0] if arguments else "--help"
    pair = " ".join(arguments[:2])
    if name in ("--help", "-h", "-help", "help"):
        width = max(map(len, VERBS))
        verbs = "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())
        print(_INTRODUCTION.format(verbs=verbs, default=DEFAULT_CONFIG), end="")
    elif name == "--version":
        print(__version__)
    elif pair not in VERBS and name not in VERBS:
        below = [verb for verb in VERBS if verb.startswith(f"{name} ")]
        raise UserError(
            f"{name} needs one of: {', '.join(below)}."
            if below
            else f"there is no verb {name!r}.{nearest(name, VERBS)} See tfgan-lab --help."
        )
    else:
        name, rest = (pair, arguments[2:]) if pair in VERBS else (name, arguments[1:])
        if {"--help", "-h", "-help"} & set(rest):
            print(VERBS[name].help(name))
        else:
            VERBS[name].run(*_parse(VERBS[name], rest))


class _Terminated(KeyboardInterrupt):
    """SIGTERM, where no training saves first."""


def _terminate(number: int, frame: Any) -> None:
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    That is 0, 2 for a user's mistake, 3 for NaN, 75 for "run me again", 130 after Ctrl-C, 141 if nobody reads the
    output.
    """
    os.environ["MPLBACKEND"] = "agg"  # a user's own may be one that is not installed, and pictures are files here
    with handling(_terminate, signal.SIGTERM):
        return settled(_code_of(sys.argv[1:] if arguments is None else arguments))


def _code_of(arguments: Sequence[str]) -> int:
    try:
        _dispatch(arguments)
    except UserError as error:
        if error.code != READER_GONE_CODE:
            complain(str(error))
        return error.code
    except _Terminated:
        complain("stopped by SIGTERM; the same command starts again, or continues from what was saved.")
        return RESUME_CODE
    except KeyboardInterrupt:
        complain("interrupted; the same command starts again, or continues from what was saved.")
        return 130
    except BrokenPipeError:
        return READER_GONE_CODE
    except OSError as error:  # of a place that nobody asked of before: no permission, too long a name
        if error.filename is None:
            raise
        complain(f"{shown(str(error.filename))}: {error.strerror}: name another, or fix its permissions.")
        return UserError.code
    return 0
