"""Which processes of a run answer; run as a program it says who is missing, until its parent ends.

A process that joins a cluster waits in TensorFlow's C++, which lets no other Python thread run: so its reminders come
from this program, which needs nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

_FIRST_WORD, _NEXT_WORDS = 3.0, 30.0  # seconds until it says something, and between its reminders


def unreachable(addresses: Sequence[str], index: int, seconds: float = 1.0) -> list[int]:
    """Which of the others ("host:port") accept no connection; `index` is one's own place."""
    return [i for i, address in enumerate(addresses) if i != index and not _answers(address, seconds)]


def name(addresses: Sequence[str], index: int) -> str:
    """What messages call a process."""
    return f"worker {index} ({addresses[index]})"


def _answers(address: str, seconds: float) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return True
    except (OSError, OverflowError):
        return False


def main(index: int, addresses: Sequence[str]) -> None:
    """Prints a line every half minute while somebody is missing, and one if the parent ends before all are there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends of it without a word
    parent, pause = os.getppid(), _FIRST_WORD
    while True:
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline:
            time.sleep(0.2)
            if os.getppid() != parent:
                print(f"tfgan-lab: {name(addresses, index)} ended while it waited for the others.", file=sys.stderr)
                return
        missing = [name(addresses, each) for each in unreachable(addresses, index)]
        if missing:
            print(f"{name(addresses, index)} of {len(addresses)} waits for {', '.join(missing)}", flush=True)
        pause = _NEXT_WORDS


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
