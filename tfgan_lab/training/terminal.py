"""The terminal of a run in training."""

from __future__ import annotations

import sys

from tqdm import tqdm


class Terminal:
    """A progress bar with speed and time left on a terminal; plain lines otherwise."""

    def __init__(self, total: int, done: int) -> None:
        self._bar = tqdm(
            total=total, initial=done, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True, smoothing=0.1,
            mininterval=0.5,
        )  # fmt: skip

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def advance(self, steps: int) -> None:
        self._bar.update(steps)

    def close(self) -> None:
        self._bar.close()
