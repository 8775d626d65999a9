"""The lines that a run prints, as a config gives them: `str.format` templates that name numbers and nothing else."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from tfgan_lab.errors import nearest

_FORMAT = re.compile(r"[<>^]?[ +-]?\d{0,2},?(\.\d{1,2})?[a-zA-Z%]?")
_STEP = 2**31  # of any size: a format such as "c" takes small numbers only
# What stands in every line beside its row's numbers.
PLACE: dict[str, Any] = {"kind": "train"} | dict.fromkeys(
    ("step", "steps", "step_in_epoch", "steps_per_epoch", "epoch", "epochs"), _STEP
)


def template_faults(name: str, template: str, numbers: Sequence[str]) -> list[str]:
    """What is wrong with the template in field `name`, found by filling it in as training will.

    `str.format` would reach attributes of its values and pad to any width, and a config.json may be anybody's.

    Args:
      name: The field.
      template: Its value.
      numbers: Names of the row that it is filled from.
    """
    values: Mapping[str, Any] = dict.fromkeys(numbers, 0.5) | PLACE
    try:
        parts = [part[1:] for part in string.Formatter().parse(template)]
        for field, form, conversion in parts:
            if field is None:
                continue
            if conversion or not field.isidentifier() or not _FORMAT.fullmatch(form or ""):
                return [f"{name}: {{{field}{':' if form else ''}{form}}} is no number's name and format"]
            if field not in values:
                return [f"{name}: there is no number {field!r}.{nearest(field, values)}"]
        template.format(**values)
    except (ValueError, OverflowError) as error:
        return [f"{name}={template[:60]!r}: {error}"]
    return []
