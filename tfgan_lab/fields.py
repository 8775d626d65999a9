"""What the fields of a config hold, what they change, and how faults in them are told."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from tfgan_lab.errors import nearest, shortened

STRICT = ConfigDict(extra="forbid", validate_assignment=True)

# TensorFlow counts in 32 bits; a number that float32 would make infinite or zero is a typing mistake.
_MOST, _LARGE, _SMALL = 2**31 - 1, 1e30, 1e-30

Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(gt=0, le=_MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epochs = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-_LARGE, le=_LARGE, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=_LARGE, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=_SMALL, le=_LARGE, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _argument(value: Any) -> bool | int | float:
    """A value as it is, or what its text says: 2 stays a whole number, which some arguments must be."""
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    for read in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            value = read(value)
            break
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= _LARGE):
        return value
    raise PydanticCustomError("argument", "input should be a finite number, true or false")


# Of what is another library's: several types in one, and one message for all of them.
Argument = Annotated[bool | int | float, PlainValidator(_argument)]


class Changes(enum.Enum):
    """What a field changes, said beside its definition; a field that says nothing changes the weights."""

    WEIGHTS = enum.auto()  # what is trained
    DATA = enum.auto()  # where the same data comes from, perhaps in another order
    SEED = enum.auto()  # which of many equal runs it is
    LENGTH = enum.auto()  # how far it goes through the same states
    ROUNDING = enum.auto()  # the last bits of the weights
    PLACE = enum.auto()  # where it is computed, and where things are kept meanwhile
    EVALUATIONS = enum.auto()  # at which steps it is judged
    PICTURES = enum.auto()  # what is drawn of it: samples, and the points of its curves
    ASIDE = enum.auto()  # what is kept or measured beside it
    NAME = enum.auto()
    PRINTED = enum.auto()  # only what is printed


def explain(error: ValidationError, part: Any) -> str:
    """All faults of making a config, or a part of one, in one line; `part` is the class, or the union, that it was to be."""
    return "; ".join(_explain(fault, part) for fault in error.errors())


def _explain(fault: Any, part: Any) -> str:
    path, names = _place(fault["loc"], part)
    field = ".".join(path) or "config"
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument", "no_such_attribute"):
        return f"there is no field {field!r}.{nearest(path[-1], names)}"
    if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"field {field!r} is missing"
    if fault["type"] == "layer":
        return f"{field}: {fault['msg']}"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{field}={shortened(repr(fault['input']))}: {message}"


def _place(loc: Sequence[Any], choices: Any) -> tuple[list[str], list[str]]:
    """Of pydantic's location of a fault: the dotted field, and the names that are valid beside it.

    Where a field is a union, pydantic puts the kind that it tried after the field.
    """
    path: list[str] = []
    names: list[str] = []
    for part in map(str, loc):
        kinds = {
            kind.__dataclass_fields__["kind"].default: kind
            for kind in get_args(choices)
            if dataclasses.is_dataclass(kind) and "kind" in kind.__dataclass_fields__
        }
        if part in kinds:
            choices = kinds[part]
            continue
        if part.isdecimal() and dataclasses.is_dataclass(choices):  # a positional argument
            part = dataclasses.fields(choices)[int(part)].name
        path.append(part)
        # Of data any kind may stand there: a base class that is no dataclass knows them.
        within = [choices] if dataclasses.is_dataclass(choices) else [*getattr(choices, "kinds", {}).values()]
        hints = {field.name: get_type_hints(one)[field.name] for one in within for field in dataclasses.fields(one)}
        names, choices = [*hints], hints.get(part)
    return path, names
