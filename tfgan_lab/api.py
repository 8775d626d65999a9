"""What a program calls. Each starts TensorFlow as the command line does, and only then imports what needs it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.system.files import refuse_foreign
from tfgan_lab.system.runtime import start_for, start_tensorflow
from tfgan_lab.training.workdir import Workdir


def train(
    config: Config | str, workdir: str | os.PathLike[str], data_dir: str | None = None, *, verbose: bool = True
) -> Any:
    """Trains a config in a folder, resuming what is there: bit for bit what `tfgan-lab train` does.

    TensorFlow takes some settings (`deterministic`, `onednn`, `replicas`) only when it starts. Where the program has
    started it with others, one line says which, and run.json keeps it ("started").

    Args:
      config: Such as `load_config("mlp_gan")`, or a name or path as `load_config` takes it.
      workdir: The run's folder; made if need be.
      data_dir: Where data is; None: what is found.
      verbose: False prints nothing.

    Returns:
      The run, a `tfgan_lab.training.run.Run`: its rows, its generator, its samples. With `num_seeds` > 1 a list of
      them.

    Raises:
      UserError: A mistake that its user can fix; `TrainingDiverged` for NaN; `Interrupted` after Ctrl-C.
    """
    config = validate(load_config(config) if isinstance(config, str) else config)
    if not os.fspath(workdir):
        raise UserError("workdir is empty: name a folder.")
    start_for(config)
    from tfgan_lab import trainer
    from tfgan_lab.training.terminal import muted

    with contextlib.nullcontext() if verbose else muted():
        return trainer.train(config, workdir, data_dir)


def evaluate(
    run: str | os.PathLike[str], data_dir: str | None = None, num: int | None = None, judge: str | None = None, seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measures a run's export, as `tfgan-lab evaluate` does: see `tfgan_lab.evaluation.exported.evaluate`.

    Where `run` is a run's folder and `out` is None, its report.html is brought up to date, too: "page" names it.
    """
    page = Path(run, "report.html") if out is None and Workdir(run).exists() else None
    refuse_foreign(*([page] if page else []))
    start_tensorflow(onednn=True)
    from tfgan_lab.evaluation import exported
    from tfgan_lab.report.page import report

    result = exported.evaluate(run, data_dir, num, judge, seed, out)
    return result | ({"page": str(report([run], data_dir=data_dir))} if page else {})


def load_generator(path: str | os.PathLike[str]) -> Any:
    """Loads an exported generator: see `tfgan_lab.export.saved_model.load_generator`."""
    start_tensorflow()
    from tfgan_lab.export import saved_model

    return saved_model.load_generator(path)
