"""The command line, `tfgan-lab VERB --flags`: the only reader of flags."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from absl import flags

from tfgan_lab import __version__
from tfgan_lab.cli import compare, inputs, results, runs
from tfgan_lab.cli.verb import DEFAULT_CONFIG, Verb
from tfgan_lab.errors import UserError, nearest

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
    if overrides and not verb.takes_fields():
        raise UserError("this verb takes no --config.FIELD: its configs are fixed, or in its --workdir.")
    try:
        positional = values(["tfgan-lab", *rest])[1:]
    except flags.Error as error:
        raise UserError(" ".join(str(error).split()) + ". See --help.") from None
    if positional:
        raise UserError(f"unexpected argument {positional[0]!r}: flags look like --name=value. See --help.")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for a user's mistake, 3 for NaN, 75 for "run me again", 130 after Ctrl-C."""
    try:
        _dispatch(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"tfgan-lab: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("tfgan-lab: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    return 0
