"""What training leaves: a `Run`, to read numbers from, draw from and look at; and those who look on meanwhile."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab import pictures
from tfgan_lab.config import Config, GanConfig
from tfgan_lab.errors import UserError, in_python
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.networks import drawn_from
from tfgan_lab.records import last_row, numbers_of
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.restored import restore_run
from tfgan_lab.training.sampler import columns_of, saved_samples
from tfgan_lab.training.workdir import Workdir


class Run:
    """A run's folder, and what one call of `train` did there.

    Attributes:
      path: The folder.
      config: Its config.
      experiment: The live networks and data, while they are in memory; None for `Run(path)`.
      first, step: The step at which this call began, and the one it reached.
      seconds: What the steps between them took.
    """

    def __init__(self, path: Any, experiment: Experiment | None = None, first: int = 0) -> None:
        self.workdir = Workdir(path)
        self.path: Path = self.workdir.path
        self.config: Config = experiment.config if experiment else self.workdir.read_single_config()
        self.experiment = experiment
        self.first, self.step, self.seconds = first, first, 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl: "kind" ("train", "eval", "metrics", "moments"), "step", "epoch", numbers by name."""
        return self.workdir.read_metrics()

    def frame(self) -> Any:
        """`rows` as a pandas DataFrame, for those who have pandas."""
        import pandas

        return pandas.DataFrame(self.rows)

    @in_python()
    def generator(self, raw: bool = False) -> GeneratorModule:
        """The newest checkpoint's generator: `draw(latents [B, Z], labels)` and `sample(seed, count, label)` -> images.

        Args:
          raw: Of a run with `ema` the generator itself, not the average of its weights.

        Raises:
          UserError: A classifier's run, or none with a checkpoint; raw, but the run keeps no average.
        """
        if not isinstance(self.config, GanConfig):
            raise UserError(f"{self.path} is a classifier's run: it has no generator.")
        return GeneratorModule(drawn_from(restore_run(self.path, raw).networks), self.config)

    def samples(self, step: int | None = None) -> np.ndarray:
        """The fixed latents' samples at one moment of training (the last): uint8 [N, H, W, C], or float32 [N, 1].

        Raises:
          UserError: No samples were taken then; it names the moments that there are.
        """
        moments = dict(saved_samples(self.workdir.samples, self.config)) if isinstance(self.config, GanConfig) else {}
        if not moments or (step is not None and step not in moments):
            wanted = "" if step is None else f" of step {step}"
            there = f"there are those of {sorted(moments)}" if moments else "it has none"
            raise UserError(f"{self.path} has no samples{wanted}: {there}.")
        return moments[max(moments) if step is None else step]

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.config.name}, seed {self.config.seed}, {len(self.rows)} rows)"

    def _repr_html_(self) -> str:
        """The newest samples and numbers, for a notebook."""
        parts = [f"<p><code>{html.escape(repr(self))}</code></p>"]
        if isinstance(self.config, GanConfig) and saved_samples(self.workdir.samples, self.config):
            drawn = self.samples()
            if drawn.ndim == 4:
                grid = pictures.grid(drawn, columns_of(self.config))
                parts.append(pictures.img(grid, "samples of the last step", self.config.label_names))
        for kind in ("train", "eval", "metrics"):
            if last := last_row(self.rows, kind):
                numbers = ", ".join(f"{name} {value:.4g}" for name, value in numbers_of(last).items())
                parts.append(f"<p>{kind}, step {last['step']:,}: {html.escape(numbers)}</p>")
        return "".join(parts)


class Observer:
    """One who looks on while a run is trained: what it writes can be omitted, and the bits stay the same.

    It does nothing at every moment: override what you want to see.
    """

    def begin(self, run: Run) -> list[str]:
        """Before the first step, all restored. Returns lines to tell the user."""
        del run
        return []

    def row(self, row: dict[str, Any]) -> None:
        """A row of metrics.jsonl has been written."""

    def samples(self, step: int, drawn: np.ndarray) -> None:
        """The fixed latents have been drawn: uint8 [N, H, W, C], numbers float32 [N, 1] or points [N, 2]."""

    def stopped(self) -> None:
        """Training was broken off: all is saved, or a loss became NaN."""

    def end(self, run: Run) -> None:
        """All steps are done; the folder is still this process' own."""
