"""Those who look on while a run is trained: what they write can be omitted, and the bits stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgan_lab.training.run import Run


class Observer:
    """Does nothing at every moment; override what you want to see."""

    def begin(self, run: Run) -> list[str]:
        """Before the first step, all restored. Returns lines to tell the user."""
        del run
        return []

    def row(self, row: dict[str, Any]) -> None:
        """A row of metrics.jsonl has been written."""

    def samples(self, step: int, drawn: np.ndarray) -> None:
        """The fixed latents have been drawn: uint8 [N, H, W, C], numbers float32 [N, 1] or points [N, 2]."""

    def stopped(self) -> None:
        """Training was broken off, and all is saved."""

    def end(self, run: Run) -> None:
        """All steps are done; the folder is still this process' own."""
