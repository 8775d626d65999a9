"""The outer loop: chunks of steps, and between them whatever is due."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.config import Config, Every
from tfgan_lab.data_kinds import MOMENTS
from tfgan_lab.errors import READER_GONE_CODE, RESUME_CODE, TrainingDiverged, UserError
from tfgan_lab.placement.team import Team
from tfgan_lab.system.signals import handling
from tfgan_lab.training.engine import Engine
from tfgan_lab.training.terminal import reader_is_gone
from tfgan_lab.training.workdir import checkpoint_steps

_SIGPIPE = READER_GONE_CODE - 128  # Windows has no such name
_CHUNK_SECONDS = 1.0  # long enough to hide Python, short enough for Ctrl-C and the progress bar


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that is done after every `interval` steps (0: never), and after the last one if `at_end`."""

    interval: int
    action: Callable[[int], None]
    at_end: bool = True


@contextmanager
def advising(config: Config, folder: Path) -> Iterator[None]:
    """Adds to a `TrainingDiverged` what is kept of the run's checkpoints, and which flags may help."""
    try:
        yield
    except TrainingDiverged as error:
        steps = checkpoint_steps(folder)
        kept = f" and its checkpoint of step {steps[-1]:,} kept" if steps else " before its first checkpoint"
        raise TrainingDiverged(f"{error}{kept}. {advice(config)}") from None


def advice(config: Config) -> str:
    """What to do about a run that diverged."""
    optimizers = [name for name in ("g_optimizer", "d_optimizer", "optimizer") if hasattr(config, name)]
    return f"Try a lower learning rate ({', '.join(f'--config.{name}.learning_rate' for name in optimizers)})."


def interval_of(every: Every, steps_per_epoch: int) -> int:
    """An `Every` in steps, one at least; 0 for never."""
    return every.steps or (max(1, round(every.epochs * steps_per_epoch)) if every.epochs else 0)


class Interrupted(UserError):
    """Stopped by a signal after saving.

    The exit code is 130 after Ctrl-C, as shells expect. After SIGTERM it is not the shells' 143, which a process that
    died of it unsaved has too, but 75 (sysexits.h: "a temporary failure, the user is invited to retry"): the same
    command continues, so a batch system may requeue it. So it is if another worker had the signal.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.code = RESUME_CODE if number is None or number == signal.SIGTERM else 128 + number


class StopRequest:
    """Set by the first SIGINT or SIGTERM, or when nobody reads the output; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self._noted: int | None = None

    @property
    def signal(self) -> int | None:
        """The signal that asks to stop, if any."""
        return self._noted or (_SIGPIPE if reader_is_gone() else None)

    def listening(self) -> AbstractContextManager[None]:
        """Catches the signals for as long as the block runs (only in the main thread, where Python delivers them)."""

        def note(number: int, frame: Any) -> None:
            if self._noted is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._noted = number

        return handling(note, signal.SIGINT, signal.SIGTERM)


class Window:
    """Per-step metrics since the last row: their running sum (kept by checkpoints) and the last ones."""

    def __init__(self, names: Sequence[str], pending: np.ndarray) -> None:
        self.names, self.pending = list(names), pending
        self.last = np.zeros(len(names))

    def add(self, history: np.ndarray) -> None:
        """Adds [steps, metrics]. One after the other, so that the sum does not depend on where chunks end."""
        rows = np.concatenate([history.astype(np.float64), np.ones((len(history), 1))], axis=1)
        self.pending = np.cumsum(np.concatenate([self.pending[None], rows]), axis=0)[-1]
        self.last = history[-1]

    def take(self) -> dict[str, float]:
        """The last step's metrics and, as NAME_mean, the means; starts again."""
        means = self.pending[:-1] / max(self.pending[-1], 1)
        self.pending = np.zeros_like(self.pending)
        row = {name: float(value) for name, value in zip(self.names, self.last, strict=True)}
        return row | {f"{name}_mean": float(value) for name, value in zip(self.names, means, strict=True)}


def moments_of(
    names: Sequence[str], first: int, history: np.ndarray, interval: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Mean and deviation of both sets at every `interval`-th step of a chunk, by step; 0: at none."""
    own = [index for index, name in enumerate(names) if name in MOMENTS]
    for step in range(first + 1, first + len(history) + 1):
        if interval and step % interval == 0:
            yield step, {names[index]: float(history[step - first - 1, index]) for index in own}


def run_loop(
    engine: Engine, first: int, total: int, events: Sequence[Event], window: Window, advance: Callable[[int], None],
    stop: StopRequest, team: Team, watch: Callable[[int, np.ndarray], None] = lambda first, history: None,
) -> int:  # fmt: skip
    """Trains from step `first` to `total`, or until stopped (also by another process of the team).

    Args:
      watch: Is given every chunk: its first step, and its steps' metrics [steps, metrics].

    Returns:
      How many steps are done.

    Raises:
      TrainingDiverged: A metric became NaN or infinite; nothing of that chunk was saved.
    """
    done, per_second = first, 0.0
    while done < total:
        due = min([total, *((done // e.interval + 1) * e.interval for e in events if e.interval)])
        steps = min(due - done, max(1, int(per_second * _CHUNK_SECONDS)))
        steps = team.agree_on_steps(steps if stop.signal is None else 0)
        if not steps:
            break
        started = time.perf_counter()
        history = engine.run(done, steps)
        if per_second or steps > 1:
            per_second = steps / max(time.perf_counter() - started, 1e-6)
        else:
            per_second = 20.0  # the first call traces: its time says nothing
        _refuse_nan(history, engine.task.metric_names, done)
        window.add(history)
        watch(done, history)
        done += steps
        advance(steps)
        for event in events:
            if (event.interval and done % event.interval == 0) or (event.at_end and done == total):
                event.action(done)
    return done


def follow_loop(engine: Engine, first: int, total: int, stop: StopRequest, team: Team) -> int:
    """As `run_loop`, of a process that is not the chief: it does the chief's steps and writes nothing."""
    done = first
    while done < total and (steps := team.agree_on_steps(total - done if stop.signal is None else 0)):
        _refuse_nan(engine.run(done, steps), engine.task.metric_names, done)
        done += steps
    return done


def refuse_infinite_weights(state: Mapping[str, Sequence[Any]], step: int) -> None:
    """Raises `TrainingDiverged` if a variable is not finite: losses can be, for a step, when weights no longer are."""
    for owner, variables in state.items():
        if not all(np.isfinite(variable.numpy()).all() for variable in variables):
            raise _diverged(f"a variable of the {owner.replace('_', chr(39) + 's ')}", "infinite", step)


def _diverged(what: str, value: Any, step: int) -> TrainingDiverged:
    return TrainingDiverged(f"{what} became {value} at step {step}: the run is stopped")


def _refuse_nan(history: np.ndarray, names: Sequence[str], done: int) -> None:
    bad = np.argwhere(~np.isfinite(history))
    if len(bad):
        row, column = bad[0]
        raise _diverged(names[column], history[row, column], done + int(row) + 1)
