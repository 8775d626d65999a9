"""Handlers of signals last as long as their block."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any

from tfgan_lab.system.signals import handling

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def former(number: int, frame: Any) -> None:
    raise AssertionError("the former handler ran")


def test_the_former_handlers_come_back_also_after_an_error() -> None:
    seen: list[int] = []
    with handling(former, *NUMBERS):
        with contextlib.suppress(KeyError), handling(lambda number, frame: seen.append(number), *NUMBERS):
            for number in NUMBERS:
                signal.raise_signal(number)
            raise KeyError
        assert [signal.getsignal(number) for number in NUMBERS] == [former, former]
    assert seen == [*NUMBERS]
    assert former not in [signal.getsignal(number) for number in NUMBERS]


def test_another_thread_sets_none() -> None:
    found: list[Any] = []

    def play() -> None:
        with handling(former, *NUMBERS):
            found.extend(signal.getsignal(number) for number in NUMBERS)

    before = [signal.getsignal(number) for number in NUMBERS]
    thread = threading.Thread(target=play)
    thread.start()
    thread.join()
    assert found == before
