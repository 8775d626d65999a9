"""The data of an experiment: its splits, and the batches it is trained on."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfgan_lab.data.examples import Examples, Provenance


@dataclasses.dataclass(frozen=True)
class Source:
    """The splits an experiment uses."""

    train: Examples | None  # what it is trained on; None for endless streams
    test: Examples | None  # what it is judged on; None where there is no such split
    chosen: str  # one line: which source was taken, and why

    @property
    def provenance(self) -> dict[str, Provenance]:
        """By split name."""
        return {
            name: part.provenance for name, part in (("train", self.train), ("test", self.test)) if part is not None
        }

    def batches(self, data: Any, batch_size: int, per_step: int, seed: int) -> Any:
        """The training batches of the config's data, as `tfgan_lab.data.pipeline.ImageBatches`."""
        from tfgan_lab.data.pipeline import ImageBatches

        assert self.train is not None
        return ImageBatches(self.train, batch_size, per_step, data.pixels, seed)
