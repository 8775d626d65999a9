"""The lines that a run prints, as a config gives them: `str.format` templates that name numbers and nothing else."""

from __future__ import annotations

import re
import string

_FORMAT = re.compile(r"[<>^]?[ +-]?\d{0,2},?(\.\d{1,2})?[a-zA-Z%]?")


def template_faults(name: str, template: str) -> list[str]:
    """What is wrong with the template in field `name`.

    `str.format` would reach attributes of its values and pad to any width, and a config.json may be a stranger's.
    """
    try:
        parts = [part[1:] for part in string.Formatter().parse(template)]
    except ValueError as error:
        return [f"{name}={template[:60]!r}: {error}"]
    return [
        f"{name}: {{{field}{':' if form else ''}{form}}} is no number's name and format"
        for field, form, conversion in parts
        if field is not None and (conversion or not field.isidentifier() or not _FORMAT.fullmatch(form or ""))
    ]
