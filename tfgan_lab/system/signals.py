"""Handlers of signals, for as long as a block runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def handling(handler: Any, *numbers: int) -> Iterator[None]:
    """Sets a handler of signals, and afterwards the former ones; outside the main thread, which alone gets signals, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
