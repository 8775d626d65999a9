"""`num_seeds`: one config trained with several seeds at once, each of which leaves an ordinary run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab import data as data_lib
from tfgan_lab.config import Every, GanConfig, override
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.export.saved_model import export_network, refuse_no_export
from tfgan_lab.networks import build_networks, drawn_from
from tfgan_lab.placement.team import Team
from tfgan_lab.records import last_row, numbers_of
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.checkpoints import Checkpoints
from tfgan_lab.training.engine import make_engine
from tfgan_lab.training.evaluator import make_evaluator
from tfgan_lab.training.experiment import Experiment, average_of, build, make_batches, make_optimizers
from tfgan_lab.training.loop import (
    Event,
    Interrupted,
    StopRequest,
    Window,
    advice,
    interval_of,
    moments_of,
    refuse_infinite_weights,
    run_loop,
)
from tfgan_lab.training.memory import weights_that_fit
from tfgan_lab.training.run import Run
from tfgan_lab.training.sampler import Sampler
from tfgan_lab.training.seeds import SeedsBatches, SeedsGAN
from tfgan_lab.training.terminal import hint, progress_bar, say
from tfgan_lab.training.train import facts_of, refuse_other_data, say_what_is_lost
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import counted, of_post


class SeedRun:
    """One seed's run folder and what is known of it. Its networks are `slot`'s, loaded before they are used.

    Args:
      slot: An ordinary experiment, shared by all seeds.
      config: This seed's.
      folder: Its run folder.

    Attributes:
      since: The step of the checkpoint that it resumes from; until the others are there, it waits.
      diverged: The step at which a loss was no longer finite, or 0.
    """

    def __init__(self, slot: Experiment, config: GanConfig, folder: Workdir) -> None:
        self.experiment, self.config, self.folder = dataclasses.replace(slot, config=config), config, folder
        self.names = list(slot.task.metric_names)
        self.window = Window(self.names, np.zeros(len(self.names) + 1))
        self.checkpoints = Checkpoints(folder.checkpoints, slot.state(), len(self.names), config.keep_checkpoints)
        self.evaluate, self.sampler = make_evaluator(self.experiment), Sampler(self.experiment)
        self.since = self.diverged = 0

    def is_on(self, step: int) -> bool:
        """Whether what is done at that step is done for this seed now: not before, and not for one that diverged."""
        return not self.diverged and (step > self.since or step == self.since == 0)

    def diverge(self, step: int) -> None:
        """Notes at which step it diverged; from there on nothing of it is kept."""
        self.diverged = step
        say(f"seed {self.config.seed}: a loss or a weight became infinite or NaN at step {step}")

    def keep(self, kind: str, step: int, values: dict[str, float]) -> None:
        if values:
            epoch = step / self.experiment.batches.steps_per_epoch
            self.folder.append_metrics({"kind": kind, "step": step, "epoch": epoch, **values})

    def finish(self, step: int) -> dict[str, float]:
        """Exports the loaded networks; returns the last evaluation."""
        provenance = {name: str(part) for name, part in self.experiment.source.provenance.items()}
        facts = {"step": step, "seed": self.config.seed, "trained_on": provenance}
        export_network(self.config, drawn_from(self.experiment.networks), self.folder.export, facts)
        return numbers_of(last_row(self.folder.read_metrics(), "eval"))


class ManySeeds:
    """The stacked game of all seeds, and their runs.

    Args:
      config: With `num_seeds` > 1.
      source: Its data.
      runs: Where the seeds' run folders go.
    """

    def __init__(self, config: GanConfig, source: data_lib.Source, runs: Path) -> None:
        seeds = range(config.seed, config.seed + config.num_seeds)
        configs: list[Any] = [
            override(config, {"seed": str(seed), "num_seeds": "1", "placement": "one"}) for seed in seeds
        ]
        self.slot = build(configs[0], source)
        with weights_that_fit():
            networks = build_networks(configs[0], list(seeds))
        optimizers, average = make_optimizers(config, networks), average_of(config, networks)
        self.state = {role: [v.value for v in net.variables] for role, net in networks.items()}
        self.state |= {f"{role}_optimizer": optimizer.state for role, optimizer in optimizers.items()}
        self.task = SeedsGAN(
            seeds, generator=networks["generator"], discriminator=networks["discriminator"], g_optimizer=optimizers["generator"],
            d_optimizer=optimizers["discriminator"], game=config.game, latents=config.latents, num_labels=config.num_labels,
            moments=config.data.reports_moments, average=average,
        )  # fmt: skip
        self.batches = SeedsBatches(tuple(make_batches(one, source) for one in configs))
        if not self.batches.parts[0].in_memory:
            raise UserError("num_seeds needs examples that fit in memory: raise data.memory_mb.")
        self.engine = make_engine(config.compile, tf.distribute.get_strategy(), self.task, self.batches)
        self._copy = tf.function(self._copy_seed, autograph=False)
        self.runs = [SeedRun(self.slot, one, Workdir(runs / f"seed={one.seed}")) for one in configs]
        self._first = 0  # of the last `run`

    def run(self, first_step: int, num_steps: int) -> np.ndarray:
        """As `Engine.run`, [num_steps, metrics, S]; the numbers of seeds that wait or have diverged are 0.

        A seed that waits computes with the others, so that their bits are those of a run that was never cut, and takes
        its checkpoint's values again where that was made.

        Raises:
          TrainingDiverged: Of no seed anything is left.
        """
        parts, step, end = [], first_step, first_step + num_steps
        while step < end:
            stop = min([end, *(run.since for run in self.runs if run.since > step)])
            parts.append(self.engine.run(step, stop - step))
            step = stop
            self._join(step)
        history, self._first = np.concatenate(parts), first_step
        for index, run in enumerate(self.runs):
            own = max(0, run.since - first_step)
            history[:own, :, index] = 0
            bad = np.argwhere(~np.isfinite(history[:, :, index]).all(axis=1))
            if len(bad) and not run.diverged:
                run.diverge(first_step + int(bad[0, 0]) + 1)
            if run.diverged:
                history[:, :, index] = 0
        if self.all_diverged():
            raise TrainingDiverged(f"all {len(self.runs)} seeds diverged")
        return history

    def _join(self, step: int) -> None:
        """Takes the values of that step's checkpoints, and with them the count that the seeds share."""
        for index, run in enumerate(self.runs):
            if run.since == step > 0 and not run.diverged:
                run.checkpoints.restore()
                self.take(index)

    def all_diverged(self) -> bool:
        return all(run.diverged for run in self.runs)

    def add(self, history: np.ndarray) -> None:
        """As `Window.add`, for each seed."""
        for index, run in enumerate(self.runs):
            own = history[max(0, run.since - self._first) :, :, index]
            if len(own):
                run.window.add(own)

    def keep_moments(self, first_step: int, history: np.ndarray) -> None:
        """As a single run does, for each seed that goes well."""
        for index, run in enumerate(self.runs):
            interval = interval_of(run.config.moments, self.batches.steps_per_epoch)
            for step, values in moments_of(run.names, first_step, history[:, :, index], interval):
                if run.is_on(step):
                    run.keep("moments", step, values)

    def load(self, index: int) -> None:
        """Copies one seed's variables to the slot."""
        self._copy(tf.constant(index))

    def _copy_seed(self, index: tf.Tensor) -> None:
        for owner, variables in self.slot.state().items():
            for own, stacked in zip(variables, self.state[owner], strict=True):
                own.assign(tf.gather(stacked, index) if stacked.shape.rank > own.shape.rank else stacked)

    def take(self, index: int) -> None:
        """Copies the slot's variables to one seed's place."""
        for owner, variables in self.slot.state().items():
            for own, stacked in zip(variables, self.state[owner], strict=True):
                if stacked.shape.rank > own.shape.rank:
                    stacked.scatter_nd_update([[index]], own[None])
                else:
                    stacked.assign(own)

    def for_each(self, action: Any) -> Any:
        """An event's action that loads every seed that is on, and calls `action(run, step)`."""

        def act(step: int) -> None:
            for index, run in enumerate(self.runs):
                if run.is_on(step):
                    self.load(index)
                    action(run, step)

        return act

    def restore(self) -> tuple[int, list[str]]:
        """Restores each seed from its own newest good checkpoint.

        Returns:
          The least of their steps, and a line for each damaged checkpoint.
        """
        notes = []
        for run in self.runs:
            run.diverged = run.folder.read_record().get("diverged", 0)
            if run.diverged:
                continue
            # A kill between two seeds' saves, or a damaged checkpoint, leaves some of them further than others.
            run.since, run.window.pending, passed_over = run.checkpoints.restore()
            notes += [f"seed {run.config.seed}: {note}" for note in passed_over]
            run.folder.cut_after(run.since)
        first = min((run.since for run in self.runs if not run.diverged), default=self.slot.total_steps)
        self._join(first)
        return first, notes


def train_seeds(
    config: GanConfig, workdir: str | os.PathLike[str], data_dir: str | None = None,
    runs: str | os.PathLike[str] | None = None,
) -> list[Run]:  # fmt: skip
    """Trains seeds `config.seed` … `config.seed + config.num_seeds - 1` together.

    Each leaves WORKDIR/seed=N, a run folder like any other (checkpoints, metrics.jsonl, samples, export; its pictures
    come with `tfgan-lab train --workdir=WORKDIR/seed=N`), equal to what it trains alone to rounding: a product of
    stacked matrices adds in another order. A seed that diverges stops; the others continue. WORKDIR holds what belongs to
    all: the config and the table of results; the seeds' folders go to `runs`, if that is named.

    Raises:
      UserError: As `tfgan_lab.api.train`.
    """
    say_what_is_lost(config)
    tf.get_logger().setLevel("ERROR")  # many networks in one process are many traces
    parent, many = Workdir(workdir), None
    parent.claim()
    try:
        parent.refuse_drift(config)
        record = parent.record_of(config)
        source = data_lib.open_source(config.data, parent.data_dir(data_dir))
        refuse_other_data(f"--workdir={parent.path}", record, source)
        many = ManySeeds(config, source, Path(runs or workdir))
        facts = facts_of(many.slot, data_dir, record)
        for run in many.runs:
            run.folder.refuse_drift(run.config)
            refuse_no_export(run.folder.export)
        # The parent first: without its config it would be taken for a folder of something else.
        for folder, one in [(parent, config), *((run.folder, run.config) for run in many.runs)]:
            if folder is not parent:
                folder.claim()
            folder.keep_config(one)
            folder.write_record(**facts)
        say(source.chosen)
        if config.metrics != Every():
            say("measured by `tfgan-lab evaluate` alone: of many seeds none is judged during the training")
        _train(many, parent, many.slot.total_steps)
    finally:
        parent.release()
        for run in many.runs if many else ():
            run.folder.release()
    return [Run(run.folder.path) for run in many.runs]


def _train(many: ManySeeds, parent: Workdir, total: int) -> None:
    config: Any = many.runs[0].config
    first, notes = many.restore()
    bar, started, stop = progress_bar(total, min(first, total)), time.time(), StopRequest()
    say(
        f"{config.name} ({of_post(config.post)}): {len(many.runs)} seeds from {config.seed} on, {counted(total, 'step')} each, in {parent.path}"
        + ("; already trained" if first >= total else f"; resuming at step {first:,}" if first else "")
    )
    for note in notes:
        say(note)
    judge = many.for_each(lambda run, step: run.keep("eval", step, run.evaluate(step)))
    draw = many.for_each(lambda run, step: run.sampler.keep(run.folder.samples, step))
    draw(0)
    steps = many.batches.steps_per_epoch
    events = [
        Event(interval_of(config.log, steps), _each_log(many)),
        Event(interval_of(config.evaluate, steps), judge),
        Event(interval_of(config.sample, steps), draw),
        Event(interval_of(config.checkpoint, steps), many.for_each(_save)),
    ]

    def advance(done: int) -> None:
        parent.refuse_deleted()
        bar.update(done)

    done = first
    with stop.listening(), contextlib.suppress(TrainingDiverged):  # of all: no step of this session is kept
        done = run_loop(many, first, total, events, many, advance, stop, Team(), many.keep_moments)  # type: ignore[arg-type]
        if done < total:
            many.for_each(_save)(done)
    bar.close()
    share = round((time.time() - started) / len(many.runs), 2)
    for run in many.runs:
        sessions, own = run.folder.read_record().get("sessions", []), max(first, run.since)
        sessions += [{"from": own, "to": done, "seconds": share}] if done > own else []
        run.folder.write_record(sessions=sessions, **({"diverged": run.diverged} if run.diverged else {}))
    if done < total and not many.all_diverged():
        raise Interrupted(
            f"stopped at step {done:,} of {total:,} and saved. Continue with `tfgan-lab train --workdir={parent.path}`.",
            stop.signal,
        )
    _finish(many, parent, done, time.time() - started, done - first)
    if many.all_diverged():
        raise TrainingDiverged(
            f"all {len(many.runs)} seeds diverged, see {parent.path / 'seeds.json'}. {advice(config)}"
        )


def _each_log(many: ManySeeds) -> Any:
    losses_after = getattr(many.runs[0].config, "log_losses", "step") == "after_update"

    def log(step: int) -> None:
        found = many.engine.losses_after(step) if losses_after else {}
        for index, run in enumerate(many.runs):
            if run.is_on(step):
                values = run.window.take()
                run.keep("train", step, values | {name: float(value[index]) for name, value in found.items()})

    return log


def _save(run: SeedRun, step: int) -> None:
    try:
        refuse_infinite_weights(run.experiment.state(), step)
    except TrainingDiverged:
        run.diverge(step)
        return
    run.checkpoints.save(step, run.window.pending)


def _finish(many: ManySeeds, parent: Workdir, step: int, seconds: float, steps: int) -> None:
    table: list[dict[str, Any]] = []
    for index, run in enumerate(many.runs):
        row: dict[str, Any] = {"seed": run.config.seed, "folder": run.folder.path.name}
        if run.diverged:
            table.append(row | {"diverged": run.diverged})
            continue
        if run.since > step:  # trained further alone
            run.checkpoints.restore()
        else:
            many.load(index)
        table.append(row | run.finish(max(step, run.since)))
    content = json.dumps({"config": many.runs[0].config.name, "step": step, "runs": table}, indent=1)
    write_atomically(parent.path / "seeds.json", f"{content}\n".encode())
    if steps:
        rate = steps * len(many.runs) / max(seconds, 1e-9)
        say(f"{counted(steps, 'step')} of {len(many.runs)} seeds in {seconds:.0f} s ({rate:,.0f} seed-steps/s)")
    for row in table:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in row.items() if isinstance(value, float))
        say(f"  seed {row['seed']}: {numbers or 'diverged at step ' + str(row.get('diverged', '?'))}")
    say(f"numbers of all: {parent.path / 'seeds.json'}; a run folder each: {many.runs[0].folder.path.parent}/seed=N")
    hint(f"next: tfgan-lab train --workdir={many.runs[0].folder.path}  (draws its pictures)")
