"""Streams without an end: examples drawn from a law as they are needed, by the data's own `draw`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfgan_lab.data.pipeline import step_numbers
from tfgan_lab.data.source import Source
from tfgan_lab.randomness import step_seed, step_seeds, stream_key


def open_data(data: Any, data_dir: str | None) -> Source:
    """Nothing is loaded."""
    return Stream(None, None, f"data: {data}, drawn as it is needed")


@dataclasses.dataclass(frozen=True)
class Stream(Source):
    """It has no splits."""

    def batches(self, data: Any, batch_size: int, per_step: int, seed: int) -> NumberBatches:
        return NumberBatches(data, batch_size, per_step, seed)


@dataclasses.dataclass(frozen=True)
class NumberBatches:
    """Batches of a law, [B, 1] for numbers (post P004's sets) and [B, 2] for points; 100 steps count as an epoch."""

    data: Any  # a `NumberData`, or any other with its `draw` and a shape of one dimension
    batch_size: int  # B
    per_step: int  # batches that one step sees, k
    seed: int  # the run's
    steps_per_epoch = 100
    in_memory = True

    @property
    def bytes_per_step(self) -> int:
        return self.batch_size * self.per_step * math.prod(self.data.shape) * 4

    def dataset(self, first_step: int, part: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """An endless dataset of (numbers float32 [B, 1], labels int32 [B], all zero), or of a part's rows of them."""
        rows = self.batch_size // part[1]

        @tf.autograph.experimental.do_not_convert
        def own(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            numbers, labels = self.chunk(step)
            mine = slice(part[0] * rows, (part[0] + 1) * rows)
            return numbers[mine], labels[mine]

        return step_numbers(first_step).map(own).prefetch(64)

    def chunk(self, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `batch` needs of steps [N]: the batches themselves, [N, B, 1] and [N, B]."""
        return self.drawn(step_seed(self.key, steps))

    def chunk_of(self, parts: Sequence[NumberBatches], steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`chunk` of several seeds, stacked: [N, S, B, 1] and [N, S, B]."""
        return self.drawn(step_seeds([part.key for part in parts], steps))

    def batch(self, numbers: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A step's batch as `dataset` gives it, from its part of a chunk."""
        return self.floats(numbers), labels

    def floats(self, numbers: tf.Tensor) -> tf.Tensor:
        """The numbers as they are."""
        return numbers

    @property
    def key(self) -> int:
        return stream_key(self.seed, "data")

    def drawn(self, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The batches [..., B, 1] (k > 1: [..., B, k, 1]) and labels of seeds [..., 2]."""
        rows = [self.batch_size] if self.per_step == 1 else [self.batch_size, self.per_step]
        numbers = self.data.draw([*rows, *self.data.shape], seeds)
        return numbers, tf.zeros(numbers.shape[:-1], tf.int32)
