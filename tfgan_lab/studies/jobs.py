"""Runs over seeds, each to its outcome: many at a time, each in a process of one thread.

What is finished is not run again, what was cut short is resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import filelock
from tqdm import tqdm

from tfgan_lab.config import Config, GanConfig, from_json, override, to_json
from tfgan_lab.config_checks import many_seeds_faults
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.studies.outcome_files import drift_of, read_outcome
from tfgan_lab.studies.worker_pool import Stopped, run_calls
from tfgan_lab.system.files import make_log, refuse_foreign
from tfgan_lab.training.workdir import Workdir

TOGETHER = 8  # seeds in one graph


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of one seed: ours, or the peer's; `start` is what it starts from, "RUN@STEP", or ""."""

    config: Config
    folder: Path
    peer: bool
    start: str = ""

    def done(self) -> bool:
        """Whether its outcome is there. Raises `UserError` if the one there is of another config or start."""
        found = read_outcome(self.folder)
        if found is None:
            return False
        drift = drift_of(found[0], self.config)
        begun = Workdir(self.folder).read_record().get("fork") if self.start else None
        if begun and f"{begun['from']}@{begun['step']}" != self.start:
            drift.append(f"from: {begun['from']}@{begun['step']} -> {self.start}")
        if drift:
            raise UserError(
                f"{self.folder} holds a run of another config ({'; '.join(drift[:4])}): use another --workdir."
            )
        return True


def groups_of(jobs: Sequence[Job]) -> list[list[Job]]:
    """What a worker does in one go: seeds of one arm that are trained in one graph, or a single run.

    Only nets so tiny that calling their kernels is the time gain by it: those that draw single numbers, if their config can be trained so.
    A group ends before a multiple of eight: it does not depend on the number of workers, but on what is done already.
    """
    groups: list[list[Job]] = []
    latest: dict[Path, list[Job]] = {}  # of each arm
    for job in jobs:
        seed, group = job.config.seed, latest.get(job.folder.parent)
        tiny = job.config.data.shape == (1,) and not many_seeds_faults(job.config)
        together = tiny and not job.peer and not job.start
        if together and group and seed == group[-1].config.seed + 1 and seed % TOGETHER:
            group.append(job)
            continue
        groups.append([job])
        if together:
            latest[job.folder.parent] = groups[-1]
    return groups


@contextlib.contextmanager
def alone_in(folder: Path, what: str) -> Iterator[None]:
    """Makes a folder of runs and keeps it to this process; `what` it is, such as "ledger".

    Raises:
      UserError: Another process has it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(str(folder / f".{what}.lock")).acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"--workdir={folder} is in use by another {what}: wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise UserError(
            f"--workdir={folder} cannot be written: {error.strerror or error}. Name another folder."
        ) from None
    with held:
        yield


def run_jobs(jobs: Sequence[Job], data_dir: str | None, workers: int | str, config_file: str | None = None) -> None:
    """Runs what is not done yet, `workers` groups at a time, each in a process of one thread.

    Args:
      jobs: All of them.
      data_dir: Where data is, if not to be found by itself.
      workers: How many groups at a time, or the address of a Dask scheduler, whose workers see the same folders.
      config_file: What `load_config` takes: the layers, data, losses and penalties that it defines are known then.

    Raises:
      UserError: A run could not be done; what is finished stays.
      Stopped: All was stopped, or a worker was; what is saved stays.
    """
    todo = groups_of([job for job in jobs if not job.done()])
    refuse_foreign(*(_log_of(group[0].folder) for group in todo))
    left = sum(len(group) for group in todo)
    calls = [
        (
            [to_json(job.config) for job in group],
            [str(job.folder) for job in group],
            group[0].peer,
            group[0].start,
            data_dir,
            config_file,
        )
        for group in todo
    ]
    bar = tqdm(total=len(jobs), initial=len(jobs) - left, unit="run", disable=not sys.stderr.isatty())
    shared = Path(os.path.commonpath([job.folder.parent.absolute() for job in jobs]))
    asked = [(group[0].config.deterministic, group[0].config.onednn) for group in todo]
    with bar:
        for settings in dict.fromkeys(asked):  # a process takes them once
            same = [index for index, other in enumerate(asked) if other == settings]
            start = functools.partial(_start_worker, *settings)
            for index, (error, lines) in run_calls(_run, [calls[i] for i in same], workers, start, shared):
                if error:
                    raise UserError(error)
                group = todo[same[index]]
                bar.update(len(group))
                for job, line in zip(group, lines, strict=True):
                    tqdm.write(f"{job.folder}: {line}", file=sys.stdout)
                sys.stdout.flush()


def _log_of(folder: str | os.PathLike[str]) -> Path:
    """What a group printed, by the folder of its first run."""
    return Path(f"{os.fspath(folder)}.log")


def _start_worker(deterministic: bool, onednn: bool) -> None:
    from tfgan_lab.system.runtime import start_tensorflow

    # One thread each: bits depend on the number of threads, and numbers must not depend on --jobs.
    start_tensorflow(deterministic, threads=1, onednn=onednn)
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # it has no room for several runs at a time
    tf.get_logger().setLevel("ERROR")  # many networks in one process are many traces


def _run(
    configs: list[str], folders: list[str], peer: bool, start: str, data_dir: str | None, config_file: str | None
) -> tuple[str, list[str]]:
    """A group's runs in a worker: (error, a line each). What they print goes to logs beside their folders."""
    from tfgan_lab.training.loop import Interrupted

    if config_file:
        load_config(config_file)
    jobs = [
        Job(from_json(config, folder), Path(folder), peer, start)
        for config, folder in zip(configs, folders, strict=True)
    ]
    try:
        make_log(log := _log_of(folders[0]))
        with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            if len(jobs) > 1:
                _train_together(jobs, data_dir)
            return "", [_outcome(job, data_dir) for job in jobs]
    except Interrupted:
        raise Stopped("a run was stopped and has saved: run the same command again to continue.") from None
    except UserError as error:
        return str(error), []
    except OSError as error:
        return f"{folders[0]} cannot be written: {error.strerror or error}. Name another --workdir or fix it.", []


def _train_together(jobs: Sequence[Job], data_dir: str | None) -> None:
    from tfgan_lab.training.many_seeds import train_seeds

    first, last = jobs[0], jobs[-1]
    assert isinstance(first.config, GanConfig)
    parent = first.folder.parent / f"seeds={first.config.seed}-{last.config.seed}"
    many = override(first.config, {"num_seeds": str(len(jobs))})
    assert isinstance(many, GanConfig)
    with contextlib.suppress(TrainingDiverged):  # of all seeds: an outcome like any other, which their records say
        train_seeds(many, parent, data_dir, runs=first.folder.parent)


def _outcome(job: Job, data_dir: str | None) -> str:
    from tfgan_lab.parity.state_files import require_torch
    from tfgan_lab.studies import outcomes

    if job.peer:
        require_torch().set_num_threads(1)
        found = outcomes.peer_outcome(job.config, job.folder, data_dir)
    else:
        found = outcomes.our_outcome(job.config, job.folder, data_dir, job.start or None)
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found["numbers"].items())
    return f"{numbers or found['diverged']} ({found['seconds']:.0f} s)"
