"""`train(config, workdir)`: one run from the first step, or from where it stopped. Who looks on is handed in."""

from __future__ import annotations

import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfgan_lab import data as data_lib
from tfgan_lab.config import Config, GanConfig, validate
from tfgan_lab.config_files import file_of
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.export.saved_model import refuse_no_export
from tfgan_lab.placement.team import Team, facts_to_agree_on, make_team
from tfgan_lab.system.runtime import start_for
from tfgan_lab.training.checkpoints import Checkpoints
from tfgan_lab.training.engine import Engine, make_engine
from tfgan_lab.training.evaluator import make_evaluator
from tfgan_lab.training.experiment import Experiment, build
from tfgan_lab.training.forks import begun_from
from tfgan_lab.training.loop import (
    Event,
    Interrupted,
    StopRequest,
    Window,
    advising,
    follow_loop,
    interval_of,
    moments_of,
    refuse_infinite_weights,
    run_loop,
)  # fmt: skip
from tfgan_lab.training.memory import out_of_memory_in_one_line
from tfgan_lab.training.run import Observer, Run
from tfgan_lab.training.sampler import Sampler, saved_samples
from tfgan_lab.training.terminal import progress_bar, say
from tfgan_lab.training.workdir import Workdir, environment, place_of
from tfgan_lab.words import counted, of_post

Monitor = Callable[[Experiment], Callable[[], dict[str, float]]]


def train(
    config: Config, workdir: str | os.PathLike[str], data_dir: str | None = None, observers: Sequence[Observer] = (),
    monitor: Monitor | None = None, start: str | os.PathLike[str] | None = None,
) -> Run:  # fmt: skip
    """Trains a config in a folder, resuming what is there: `tfgan_lab.api.train` says what it takes, returns and raises.

    Args:
      observers: Who looks on.
      monitor: Makes what measures the generator every `config.metrics` (`tfgan_lab.evaluation.monitor.Monitor`); None:
        nothing does.
    """
    config = validate(config)
    say_what_is_lost(config)
    # Before anything else touches TensorFlow: afterwards it takes no cluster.
    team = make_team(config)
    with team.naming_the_lost(), out_of_memory_in_one_line():
        if team.is_chief:
            return _lead(config, Workdir(workdir), data_dir, team, observers, monitor, start)
        return _follow(config, workdir, data_dir, team, start)


def say_what_is_lost(config: Config) -> None:
    """Starts TensorFlow with the config's settings, or says which promise is lost as it runs with others."""
    lost = start_for(config)
    if lost:
        say(
            f"not the bits that this config has elsewhere: TensorFlow runs here with {'; '.join(lost)}. It takes such settings only "
            "when it starts: train before all else, and leave $TF_ENABLE_ONEDNN_OPTS unset."
        )


def _lead(
    config: Config, folder: Workdir, data_dir: str | None, team: Team, observers: Sequence[Observer], monitor: Monitor | None,
    start: str | os.PathLike[str] | None,
) -> Run:  # fmt: skip
    folder.claim()
    try:
        # All is checked before anything is written: a mistake's correction finds the folder as it was.
        folder.refuse_drift(config)
        refuse_no_export(folder.export)
        record = folder.record_of(config)
        fork, given = begun_from(start, folder, record), data_dir
        data_dir = data_dir or (fork.data_dir if fork else None)
        source = data_lib.open_source(config.data, folder.data_dir(data_dir))
        refuse_other_data(f"--workdir={folder.path}", record, source)
        if fork and not given and fork.config.data == config.data:
            refuse_other_data(f"--from={fork.place}", {"data": fork.data}, source)
        experiment = build(config, source)
        begun = fork.into(experiment) if fork else None
        engine = make_engine(
            config.compile, experiment.strategy, experiment.task, experiment.batches, (team.index, team.size)
        )
        team.compare(facts_to_agree_on(config, source))
        folder.keep_config(config)
        replicas = experiment.strategy.num_replicas_in_sync
        folder.write_record(
            **facts_of(experiment, data_dir, record), command=shlex.join(sys.argv), replicas=replicas, workers=team.size
        )
        say(source.chosen)
        if begun:
            begun.keep(folder)
        with advising(config, folder.checkpoints):
            run = Training(experiment, engine, folder, team, observers, monitor).go()
        team.wait()
    finally:
        folder.release()
    return run


def facts_of(experiment: Experiment, data_dir: str | None, record: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says of a run that begins or continues: its config file, its data, its length, and the machine."""
    config, source = experiment.config, experiment.source
    return {
        "data_dir": os.path.abspath(data_dir) if data_dir and config.data.reads_files else record.get("data_dir"),
        "config_file": file_of(config.name) or record.get("config_file"),
        "data": {name: vars(part) for name, part in source.provenance.items()} or {"target": source.chosen},
        "total_steps": experiment.total_steps, "steps_per_epoch": experiment.batches.steps_per_epoch, **environment(),
    }  # fmt: skip


def _follow(config: Config, workdir: Any, data_dir: str | None, team: Team, start: Any) -> Run:
    """What a process does that is not the chief: it computes, and needs the data but no workdir."""
    data_dir = Workdir(workdir).data_dir(data_dir)
    if start and not data_dir:
        data_dir = Workdir(place_of(start)[0]).data_dir(None)
    source = data_lib.open_source(config.data, data_dir)
    experiment = build(config, source)
    team.compare(facts_to_agree_on(config, source))
    first = team.share_state([v for owned in experiment.state().values() for v in owned], 0)
    engine = make_engine(
        config.compile, experiment.strategy, experiment.task, experiment.batches, (team.index, team.size)
    )
    stop, total = StopRequest(), experiment.total_steps
    with stop.listening():
        done = follow_loop(engine, first, total, stop, team)
        team.wait()
    if done < total:
        raise Interrupted(f"stopped at step {done:,} of {total:,}; the chief has saved", stop.signal)
    run = Run(workdir, experiment, first)
    run.step = done
    return run


def refuse_other_data(run: str, record: Mapping[str, Any], source: data_lib.Source) -> None:
    """Raises `UserError`, naming the run by `run`, if it was trained on other data than was found now."""
    for split, before in record.get("data", {}).items():
        now = source.provenance.get(split)
        if now is not None and isinstance(before, dict) and before.get("sha256") != now.sha256:
            raise UserError(
                f"{run} was trained on other data ({before.get('source')}, n={before.get('count')}), now found: {now}. "
                "Name that data with --data_dir, or use another --workdir."
            )


class Training:
    """The parts of one call of `train`, wired up."""

    def __init__(
        self, experiment: Experiment, engine: Engine, folder: Workdir, team: Team, observers: Sequence[Observer] = (),
        monitor: Monitor | None = None,
    ) -> None:  # fmt: skip
        self.experiment, self.engine, self.folder, self.team = experiment, engine, folder, team
        self.config: Any = experiment.config
        names = list(experiment.task.metric_names)
        self.checkpoints = Checkpoints(folder.checkpoints, experiment.state(), len(names), self.config.keep_checkpoints)
        self.first, pending, notes = self.checkpoints.restore()
        team.share_state([v for owned in experiment.state().values() for v in owned], self.first)
        self.window = Window(names, pending)
        folder.cut_after(self.first)
        self.sampler = Sampler(experiment) if isinstance(self.config, GanConfig) else None
        notes += self._sample_again()
        self.evaluate = make_evaluator(experiment)
        self.make_monitor = monitor
        self.monitor: Callable[[], dict[str, float]] | None = None
        self.total = experiment.total_steps
        self.run = Run(folder.path, experiment, self.first)
        self.observers = observers
        for observer in observers:
            notes += observer.begin(self.run)
        self.bar = progress_bar(self.total, min(self.first, self.total))
        for note in notes:
            say(note)

    def go(self) -> Run:
        """Trains to the end; saves first if it is interrupted."""
        config, folder = self.config, self.folder
        self._announce()
        steps = self.experiment.batches.steps_per_epoch
        measured = interval_of(config.metrics, steps) if self.sampler and self.make_monitor else 0
        sampled = interval_of(config.sample, steps) if self.sampler else 0
        events = [
            Event(interval_of(config.log, steps), self._log),
            Event(interval_of(config.evaluate, steps), self._judge),
            Event(measured, self._measure, at_end=measured > 0),
            Event(sampled, self._sample, at_end=self.sampler is not None),
            Event(interval_of(config.checkpoint, steps), self._save),
        ]
        if self.sampler and self.first == 0:
            self._sample(0)
        stop, started = StopRequest(), time.monotonic()
        with stop.listening():
            try:
                done = run_loop(
                    self.engine, self.first, self.total, events, self.window, self._advance, stop, self.team,
                    self._keep_moments,
                )  # fmt: skip
            except TrainingDiverged:
                self._note_session(started)
                self._broken_off()
                raise
            self._note_session(started)
            if done < self.total:
                self._save(done)
                self.team.wait()
        if done < self.total:
            self._broken_off()
            raise Interrupted(
                f"stopped at step {done:,} of {self.total:,} and saved. Continue with `tfgan-lab train --workdir={folder.path}`.",
                stop.signal,
            )
        self.bar.close()
        for observer in self.observers:
            observer.end(self.run)
        return self.run

    def _note_session(self, started: float) -> None:
        self.run.seconds = time.monotonic() - started
        if self.run.step > self.first:
            session = {"from": self.first, "to": self.run.step, "seconds": round(self.run.seconds, 2)}
            self.folder.write_record(sessions=[*self.folder.read_record().get("sessions", []), session])

    def _broken_off(self) -> None:
        self.bar.close()
        for observer in self.observers:
            observer.stopped()

    def _advance(self, steps: int) -> None:
        self.folder.refuse_deleted()
        self.run.step += steps
        self.bar.update(steps)

    def _announce(self) -> None:
        config = self.config
        epochs = self.total / self.experiment.batches.steps_per_epoch
        state = f"resuming at step {self.first:,}" if self.first else "starting"
        if self.first >= self.total:
            state = "already trained: drawing its pictures again" if self.observers else "already trained"
        say(
            f"{config.name} ({of_post(config.post)}): {counted(self.total, 'step')} ({counted(epochs, 'epoch')}) of batch {config.batch_size}, "
            f"seed {config.seed}, {self._place()}in {self.folder.path}; {state}"
        )

    def _place(self) -> str:
        replicas = self.experiment.strategy.num_replicas_in_sync
        machines = f" of {self.team.size} workers" if self.team.size > 1 else ""
        compiled = " (compile=xla is for one device: they run the loop)" if self.config.compile == "xla" else ""
        return f"on {replicas} replicas{machines}{compiled}, " if replicas > 1 else ""

    def _keep_moments(self, first: int, history: np.ndarray) -> None:
        if self.sampler is None:
            return
        interval = interval_of(self.config.moments, self.experiment.batches.steps_per_epoch)
        for step, values in moments_of(self.window.names, first, history, interval):
            self._keep("moments", step, values)

    def _sample_again(self) -> list[str]:
        """Draws the resumed step's samples again if they are missing or damaged; returns lines about it."""
        if self.sampler is None:
            return []
        samples, steps = self.folder.samples, self.experiment.batches.steps_per_epoch
        interval = interval_of(self.config.sample, steps)
        due = self.first >= self.experiment.total_steps or (interval and self.first % interval == 0)
        if not (self.first and due) or self.first in dict(saved_samples(samples, self.config)):
            return []
        path = samples / f"step-{self.first:08d}.npz"
        notes = [f"{path} is damaged: drawn again."] if path.exists() else []
        self.sampler.keep(samples, self.first)
        return notes

    def _log(self, step: int) -> None:
        values = self.window.take()
        if getattr(self.config, "log_losses", "step") == "after_update":
            values |= {name: float(value) for name, value in self.engine.losses_after(step).items()}
        row = self._keep("train", step, values)
        if self.config.log_line:
            self._say(self.config.log_line, row)

    def _say(self, template: str, row: dict[str, Any]) -> None:
        per_epoch, step = self.experiment.batches.steps_per_epoch, row["step"]
        place = {
            "epoch": (step - 1) // per_epoch + 1, "epochs": math.ceil(self.total / per_epoch), "steps": self.total,
            "step_in_epoch": (step - 1) % per_epoch + 1, "steps_per_epoch": per_epoch,
        }  # fmt: skip
        say(template.format(**(row | place)))

    def _judge(self, step: int) -> None:
        values = self.evaluate(step)
        if values:
            row = self._keep("eval", step, values)
            printed = interval_of(self.config.evaluate_print, self.experiment.batches.steps_per_epoch)
            if self.config.evaluate_line and (step == self.total or (printed and step % printed == 0)):
                self._say(self.config.evaluate_line, row)

    def _measure(self, step: int) -> None:
        assert self.make_monitor is not None
        self.monitor = self.monitor or self.make_monitor(self.experiment)
        values = self.monitor()
        if values:
            self._keep("metrics", step, values)

    def _keep(self, kind: str, step: int, values: dict[str, float]) -> dict[str, Any]:
        row = {"kind": kind, "step": step, "epoch": step / self.experiment.batches.steps_per_epoch, **values}
        self.folder.append_metrics(row)
        for observer in self.observers:
            observer.row(row)
        return row

    def _sample(self, step: int) -> None:
        assert self.sampler is not None
        drawn = self.sampler.keep(self.folder.samples, step)
        for observer in self.observers:
            observer.samples(step, drawn)

    def _save(self, step: int) -> None:
        refuse_infinite_weights(self.experiment.state(), step)
        self.checkpoints.save(step, self.window.pending)
