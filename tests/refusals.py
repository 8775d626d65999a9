"""How a test asks for the one line with which a mistake is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tfgan_lab.errors import UserError


def refusal(call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    """The message of the `UserError` that a call raises."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **more)
    message = str(caught.value)
    assert message
    # A `UserError` escapes the line ends it was given: one that can be read here was a second line in the code.
    assert "\\n" not in message
    return message
