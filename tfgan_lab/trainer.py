"""`train(config, workdir)`: one run from the first step, or from where it stopped, to its pictures and export."""

from __future__ import annotations

import math
import os
import shlex
import signal
import sys
import time
from typing import Any

import numpy as np

from tfgan_lab import data as data_lib
from tfgan_lab.config import Config, GanConfig, validate
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import finish
from tfgan_lab.export import export_network, refuse_no_export
from tfgan_lab.measure.monitor import Monitor
from tfgan_lab.report import gallery
from tfgan_lab.report.diagnosis import diagnose
from tfgan_lab.report.page import write_page
from tfgan_lab.report.samples import Sampler, draw_missing, saved_samples
from tfgan_lab.runtime import start_for
from tfgan_lab.training.checkpoints import Checkpoints
from tfgan_lab.training.engine import Engine, make_engine
from tfgan_lab.training.evaluation import Evaluator
from tfgan_lab.training.experiment import Experiment, build
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
from tfgan_lab.training.restored import fresh_networks
from tfgan_lab.training.team import Team, facts_to_agree_on, make_team
from tfgan_lab.training.tensorboard import TensorBoard
from tfgan_lab.training.terminal import Terminal, say
from tfgan_lab.training.workdir import Workdir, environment
from tfgan_lab.words import counted, of_post


def train(config: Config, workdir: str | os.PathLike[str], data_dir: str | None = None) -> Workdir:
    """Trains a config in a folder, resuming what is there.

    Args:
      config: From a config file; see `tfgan_lab.config`.
      workdir: The run's folder; made if need be.
      data_dir: Where data is, if not to be found by itself (`tfgan_lab.data.open_source`).

    Returns:
      The run's folder, with checkpoints, metrics, pictures and export in it.

    Raises:
      UserError: A mistake its user can mend; `TrainingDiverged` for NaN; `Interrupted` after Ctrl-C.
    """
    config = validate(config)
    lost = start_for(config)
    if lost:
        say(
            f"not the bits that this config has elsewhere: TensorFlow runs here with {'; '.join(lost)}. It takes such settings only "
            "when it starts: train before all else, and leave $TF_ENABLE_ONEDNN_OPTS unset."
        )
    if config.num_seeds > 1:
        from tfgan_lab.many_seeds import train_seeds

        assert isinstance(config, GanConfig)
        with out_of_memory_in_one_line():
            return train_seeds(config, workdir, data_dir)
    # Before anything else touches TensorFlow: afterwards it takes no cluster.
    team = make_team(config)
    with team.naming_the_lost(), out_of_memory_in_one_line():
        if team.is_chief:
            return _lead(config, Workdir(workdir), data_dir, team)
        _follow(config, data_dir, team)
    return Workdir(workdir)


def _lead(config: Config, folder: Workdir, data_dir: str | None, team: Team) -> Workdir:
    folder.claim()
    try:
        # All is checked before anything is written: a mistake's correction finds the folder as it was.
        folder.refuse_drift(config)
        refuse_no_export(folder.export)
        record = folder.record_of(config)
        source = data_lib.open_source(config.data, folder.data_dir(data_dir))
        refuse_other_data(folder, record, source)
        experiment = build(config, source)
        engine = make_engine(
            config.compile, experiment.strategy, experiment.task, experiment.batches, (team.index, team.size)
        )
        team.compare(facts_to_agree_on(config, source))
        folder.keep_config(config)
        folder.write_record(
            data_dir=os.path.abspath(data_dir) if data_dir else record.get("data_dir"),
            data={name: vars(part) for name, part in source.provenance.items()} or {"target": source.chosen},
            total_steps=experiment.total_steps, steps_per_epoch=experiment.batches.steps_per_epoch, command=shlex.join(sys.argv),
            replicas=experiment.strategy.num_replicas_in_sync, workers=team.size, **environment(),
        )  # fmt: skip
        say(source.chosen)
        with advising(config, folder.checkpoints):
            _Run(experiment, engine, folder, team).go()
        team.wait()
    finally:
        folder.release()
    return folder


def _follow(config: Config, data_dir: str | None, team: Team) -> None:
    """What a process does that is not the chief: it computes, and needs the data but no workdir."""
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
        raise Interrupted(f"stopped at step {done:,} of {total:,}; the chief has saved", stop.signal or signal.SIGTERM)


def refuse_other_data(folder: Workdir, record: dict[str, Any], source: data_lib.Source) -> None:
    """Raises `UserError` if a run was trained on other data than was found now."""
    for split, before in record.get("data", {}).items():
        now = source.provenance.get(split)
        if now is not None and isinstance(before, dict) and before.get("sha256") != now.sha256:
            raise UserError(
                f"--workdir={folder.path} was trained on other data ({before.get('source')}, n={before.get('count')}), now found: {now}. "
                "Name that data with --data_dir, or use another --workdir."
            )


class _Run:
    """The parts of one call of `train`, wired up."""

    def __init__(self, experiment: Experiment, engine: Engine, folder: Workdir, team: Team) -> None:
        self.experiment, self.engine, self.folder, self.team = experiment, engine, folder, team
        self.config: Any = experiment.config
        names = list(experiment.task.metric_names)
        self.checkpoints = Checkpoints(folder.checkpoints, experiment.state(), len(names), self.config.keep_checkpoints)
        self.first, pending, notes = self.checkpoints.restore()
        team.share_state([v for owned in experiment.state().values() for v in owned], self.first)
        self.window = Window(names, pending)
        self.rows = folder.cut_after(self.first)
        self.sampler = Sampler(experiment) if isinstance(self.config, GanConfig) else None
        notes += self._draw_again()
        self.board = TensorBoard(folder, self.rows)
        self.board.describe(self.config, fresh_networks(self.config), experiment.image_shape)
        self.evaluate = Evaluator(experiment)
        self.monitor: Monitor | None = None
        self.total = experiment.total_steps
        self.terminal = Terminal(self.total, min(self.first, self.total))
        for note in notes:
            say(note)

    def go(self) -> None:
        """Trains to the end and draws the pictures; saves first if it is interrupted."""
        config, folder = self.config, self.folder
        self._announce()
        steps = self.experiment.batches.steps_per_epoch
        measured = interval_of(config.metrics, steps) if self.sampler else 0
        events = [
            Event(interval_of(config.log, steps), self._log),
            Event(interval_of(config.evaluate, steps), self._judge),
            Event(measured, self._measure, at_end=measured > 0),
            Event(
                interval_of(config.sample, steps) if self.sampler else 0, self._sample, at_end=self.sampler is not None
            ),
            Event(interval_of(config.checkpoint, steps), self._save),
        ]
        self._start_pictures()
        stop, started = StopRequest(), time.monotonic()
        with stop.listening():
            done = run_loop(
                self.engine, self.first, self.total, events, self.window, self._advance, stop, self.team,
                self._keep_moments,
            )  # fmt: skip
            seconds = time.monotonic() - started
            if done > self.first:
                sessions = folder.read_record().get("sessions", [])
                folder.write_record(
                    sessions=[*sessions, {"from": self.first, "to": done, "seconds": round(seconds, 2)}]
                )
            if done < self.total:
                self._save(done)
                self.team.wait()
        self.terminal.close()
        if done < self.total:
            self.board.close()
            raise Interrupted(
                f"stopped at step {done:,} of {self.total:,} and saved. Continue with: tfgan-lab train --workdir={folder.path}",
                stop.signal or signal.SIGTERM,
            )
        self.board.finish()
        self.board.close()
        self._finish(done, seconds)

    def _advance(self, steps: int) -> None:
        self.folder.refuse_deleted()
        self.terminal.advance(steps)

    def _announce(self) -> None:
        config = self.config
        epochs = self.total / self.experiment.batches.steps_per_epoch
        state = f"resuming at step {self.first:,}" if self.first else "starting"
        if self.first >= self.total:
            state = "already trained: drawing its pictures again"
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

    def _start_pictures(self) -> None:
        if self.first == 0 or not (self.folder.path / "real.png").is_file():
            gallery.write_real(self.folder, self.experiment)
        if self.sampler and self.first == 0 and self.config.untrained:
            say(gallery.write_untrained(self.folder, self.experiment))
        if self.sampler and self.first == 0:
            self._sample(0)

    def _draw_again(self) -> list[str]:
        """Draws what is missing or damaged of the samples before this start; returns a line for each damaged file."""
        if self.sampler is None:
            return []
        samples, interval = (
            self.folder.samples,
            interval_of(self.config.sample, self.experiment.batches.steps_per_epoch),
        )
        due = self.first >= self.experiment.total_steps or (interval and self.first % interval == 0)
        notes = []
        if self.first and due and self.first not in dict(saved_samples(samples, self.config)):
            path = samples / f"step-{self.first:08d}.npz"
            notes += [f"{path} is damaged: drawn again."] if path.exists() else []
            self.sampler.write(samples, self.first)
        return notes + draw_missing(samples, self.config)

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
        if self.monitor is None:
            self.monitor = Monitor(self.experiment)
            if self.monitor.note:
                say(self.monitor.note)
        values = self.monitor()
        if values:
            self._keep("metrics", step, values)

    def _keep(self, kind: str, step: int, values: dict[str, float]) -> dict[str, Any]:
        row = {"kind": kind, "step": step, "epoch": step / self.experiment.batches.steps_per_epoch, **values}
        self.folder.append_metrics(row)
        self.rows.append(row)
        self.board.scalars(row)
        return row

    def _sample(self, step: int) -> None:
        assert self.sampler is not None
        picture = self.sampler.write(self.folder.samples, step)
        self.board.picture("samples", picture, step)

    def _save(self, step: int) -> None:
        refuse_infinite_weights(self.experiment.state(), step)
        self.checkpoints.save(step, self.window.pending)

    def _finish(self, step: int, seconds: float) -> None:
        folder, config = self.folder, self.config
        role = "generator" if isinstance(config, GanConfig) else "classifier"
        network = fresh_networks(config)[role]
        for new, old in zip(network.variables, self.experiment.networks[role].variables, strict=True):
            new.assign(np.asarray(old))
        provenance = {name: str(part) for name, part in self.experiment.source.provenance.items()}
        difference = export_network(
            config, network, folder.export, {"step": step, "seed": config.seed, "trained_on": provenance}
        )
        pictures = gallery.write_final(folder, self.experiment, self.rows)
        if step > self.first:
            say(
                f"{counted(step - self.first, 'step')} in {seconds:.0f} s ({(step - self.first) / max(seconds, 1e-9):,.0f} steps/s)"
            )
        if self.rows:
            say(gallery.last_numbers(self.rows, self.experiment))
            for sentence in diagnose(config, self.rows, folder.read_record().get("data", {})):
                say(sentence)
        for line in finish(folder, self.experiment):
            say(line)
        say(f"look at: {', '.join(str(folder.path / name) for name in pictures)}")
        page = write_page(folder, network if role == "generator" else None, self.experiment.source, step)
        say(f"all of it on one page, to open in a browser: {page}")
        say(f"exported and checked (largest difference to the live network {difference:.1e}): {folder.export}")
        if role == "generator":
            say(f"next: tfgan-lab sample --workdir={folder.path} --num=64 --seed=7 --out=grid.png")
