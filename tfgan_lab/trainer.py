"""Training as the command line does it, with pictures, page and export; `tfgan_lab.training` knows neither pages nor reports."""

from __future__ import annotations

import os

from tfgan_lab.config import Config, GanConfig, validate
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.judge import judge_for
from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.placement.team import make_team
from tfgan_lab.report.reporter import Reporter
from tfgan_lab.system.runtime import start_for
from tfgan_lab.training import train as plain
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.many_seeds import train_seeds
from tfgan_lab.training.memory import out_of_memory_in_one_line
from tfgan_lab.training.run import Run
from tfgan_lab.training.terminal import say


def train(
    config: Config, workdir: str | os.PathLike[str], data_dir: str | None = None, start: str | os.PathLike[str] | None = None
) -> Run | list[Run]:  # fmt: skip
    """Trains a config in a folder, resuming what is there, and reports it: see `tfgan_lab.training.train.train`.

    With `num_seeds` > 1 it returns a run for each seed (`tfgan_lab.training.many_seeds.train_seeds`).
    """
    config = validate(config)
    if isinstance(config, GanConfig) and config.judge:
        start_for(config)
        make_team(config)  # TensorFlow takes no cluster once an op has run
        judge_for(config)  # a wrong one is told before the training, not at its first use
    if isinstance(config, GanConfig) and config.num_seeds > 1:
        if start is not None:
            raise UserError(
                f"--from={os.fspath(start)} starts one run, not num_seeds={config.num_seeds}: start one for each seed."
            )
        with out_of_memory_in_one_line():
            return train_seeds(config, workdir, data_dir)
    return plain.train(config, workdir, data_dir, [Reporter()], _monitor, start)


def _monitor(experiment: Experiment) -> Monitor:
    monitor = Monitor(experiment)
    if monitor.note:
        say(monitor.note)
    return monitor
