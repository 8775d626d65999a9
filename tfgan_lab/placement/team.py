"""What the processes of one run tell each other between chunks. The first is the chief: it alone writes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import to_json
from tfgan_lab.errors import RESUME_CODE, UserError
from tfgan_lab.placement.cluster import Members, join
from tfgan_lab.placement.strategy import is_multi_worker
from tfgan_lab.randomness import stream_key

_WHATEVER = -1


class WorkerLost(UserError):
    """Another process of the run is gone: start all again, and they continue from the last checkpoint."""

    code = RESUME_CODE


class Team:
    """A run's processes; this class is the usual team of one.

    Attributes:
      index: Which one this process is; 0 is the chief.
      size: How many there are.
    """

    index, size = 0, 1

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def agree_on_steps(self, steps: int) -> int:
        """How many steps all do next: what the chief says, or 0 if any of them says 0 (it wants to stop)."""
        return steps

    def share_state(self, variables: Sequence[tf.Variable], step: int) -> int:
        """Gives the chief's values, bit for bit, to all; returns its step."""
        del variables
        return step

    def compare(self, facts: Mapping[str, int]) -> None:
        """Raises `UserError` if a process has other facts (config, data) than the chief."""

    def wait(self) -> None:
        """Returns when all have called it."""

    @contextlib.contextmanager
    def naming_the_lost(self) -> Iterator[None]:
        """Turns TensorFlow's failure because of a lost process into `WorkerLost`."""
        yield


class Workers(Team):
    """Several processes under MultiWorkerMirroredStrategy.

    Everything they tell each other goes through one operation, a sum of integers, so that no bit is lost.
    """

    def __init__(self, members: Members, strategy: tf.distribute.Strategy) -> None:
        self.members, self.strategy = members, strategy
        self.index, self.size = members.index, len(members.addresses)
        self._summed = tf.function(self._sum, input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)

    def agree_on_steps(self, steps: int) -> int:
        said = self._gather([steps if self.is_chief or steps == 0 else _WHATEVER])[:, 0]
        return 0 if (said == 0).any() else int(said[0])

    def share_state(self, variables: Sequence[tf.Variable], step: int) -> int:
        values = [np.asarray(variable.numpy()) for variable in variables]
        raw = b"".join(value.tobytes() for value in values)
        numbers = np.frombuffer(raw + bytes(-len(raw) % 8), np.int64)
        given = self._from_chief(np.concatenate([[step], numbers]))
        raw, position = given[1:].tobytes(), 0
        for variable, value in zip(variables, values, strict=True):
            new = np.frombuffer(raw, value.dtype, value.size, position).reshape(value.shape)
            variable.assign(tf.constant(new, variable.dtype))
            position += value.nbytes
        return int(given[0])

    def compare(self, facts: Mapping[str, int]) -> None:
        rows = self._gather(list(facts.values()))
        for index, row in enumerate(rows):
            wrong = [name for name, ours, theirs in zip(facts, rows[0], row, strict=True) if ours != theirs]
            if wrong:
                raise UserError(
                    f"{self.members.name(index)} has another {' and other '.join(wrong)} than the chief, {self.members.name(0)}: "
                    "start all of them with the same command and the same data."
                )

    def wait(self) -> None:
        self._gather([0])

    @contextlib.contextmanager
    def naming_the_lost(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            lost = self.members.unreachable() or self._blamed(str(error))
            if not lost:
                raise
            names = ", ".join(self.members.name(index) for index in lost)
            raise WorkerLost(
                f"{names} no longer answers: {self.members.name(self.index)} stops. "
                "Start all of them again with the same command: they continue from the last checkpoint."
            ) from None

    def _blamed(self, message: str) -> list[int]:
        """Whom TensorFlow's message names: a process that hangs still accepts connections."""
        found = {int(number) for number in re.findall(r"/job:worker/(?:replica:\d+/)?task:(\d+)", message)}
        return sorted(found - {self.index})

    def _gather(self, numbers: Sequence[int]) -> np.ndarray:
        """Everybody's integers: int64 [size, len(numbers)]."""
        rows = np.zeros((self.size, len(numbers)), np.int64)
        rows[self.index] = numbers
        return self._summed(tf.constant(rows.ravel())).numpy().reshape(rows.shape)

    def _from_chief(self, numbers: np.ndarray) -> np.ndarray:
        own = numbers if self.is_chief else np.zeros_like(numbers)
        return self._summed(tf.constant(own, tf.int64)).numpy()

    def _sum(self, numbers: tf.Tensor) -> tf.Tensor:
        here = self.strategy.num_replicas_in_sync // self.size

        def share() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group % here, 0)  # one voice a process
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, numbers, tf.zeros_like(numbers)))

        return self.strategy.experimental_local_results(self.strategy.run(share))[0]


def facts_to_agree_on(config: Any, source: Any) -> dict[str, int]:
    """What must be equal on all processes of a run, as 63-bit digests."""
    data = sorted(part.sha256 for part in source.provenance.values())
    texts = {"config": to_json(config), "data": str(data), "TensorFlow": tf.__version__}
    return {name: stream_key(0, text) for name, text in texts.items()}


def make_team(config: Any) -> Team:
    """The team of a run: joins the others if the config's placement says so."""
    return Workers(*join()) if is_multi_worker(config) else Team()
