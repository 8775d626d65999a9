"""The tf.data chain, once: from a step number to that step's batch.

Batches are a pure function of (seed, step): a keyed permutation of the examples per epoch, a gather
(or parallel decoding), a conversion of pixels. So a run can start at any step at no cost.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfgan_lab.data.examples import Examples
from tfgan_lab.errors import UserError
from tfgan_lab.randomness import stream_key

# Nothing here branches on tensors in Python: looking for that (AutoGraph) takes longer than tracing.
_plain = tf.autograph.experimental.do_not_convert


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset that, with all that is made of it, TensorFlow does not tune.

    Its thread for that sleeps twice as long each time, up to a minute, and at times who deletes an iterator waits until
    it wakes: up to as long again as the iterator was in use.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def step_numbers(first_step: int, every: int = 1) -> tf.data.Dataset:
    """What every endless dataset is made of: first_step, first_step + every, …, int64."""
    return untuned(tf.data.Dataset.range(first_step, tf.int64.max, every))


def to_floats(pixels: Any, value_range: str) -> tf.Tensor:
    """uint8 pixels to float32: "unit" [0, 1] or "tanh" [-1, 1]; any shape."""
    unit = tf.cast(pixels, tf.float32) / 255.0
    return unit * 2.0 - 1.0 if value_range == "tanh" else unit


@dataclasses.dataclass(frozen=True)
class ImageBatches:
    """Batches of images (and labels), reshuffled every epoch.

    An epoch is the whole batches that fit in the examples; the rest of a permutation is dropped, and as each
    epoch has its own, no example is omitted for good.
    """

    examples: Examples
    batch_size: int  # of the global batch, B
    per_step: int  # real batches that one step sees, k; 1 but for `game.fresh_real`
    value_range: str  # "unit" or "tanh"
    seed: int  # the run's

    def __post_init__(self) -> None:
        needed = self.batch_size * self.per_step
        if needed > self.examples.num:
            raise UserError(
                f"batch_size: a step takes {needed:,} examples but the split has {self.examples.num:,} "
                f"({self.examples.provenance}): use a smaller --config.batch_size."
            )

    @property
    def steps_per_epoch(self) -> int:
        return self.examples.num // (self.batch_size * self.per_step)

    @property
    def in_memory(self) -> bool:
        return self.examples.in_memory

    @property
    def bytes_per_step(self) -> int:
        return self.batch_size * self.per_step * math.prod(self.examples.shape)

    def indices(self, step: Any) -> tf.Tensor:
        """Which examples a step sees: int64 [B * k]."""
        return self._indices_of(tf.reshape(step, [1]), 1)[0]

    def _indices_of(self, steps: tf.Tensor, number: int) -> tf.Tensor:
        """Of that number of steps, [N]: int64 [N, B * k]."""
        count = self.batch_size * self.per_step
        epoch, position = steps // self.steps_per_epoch, steps % self.steps_per_epoch  # [N]
        places = position[:, None] * count + tf.range(count, dtype=tf.int64)  # [N, B * k]
        key = stream_key(self.seed, "data")
        # The op wants 32-bit seeds for 64-bit places; three of them make the key.
        seeds = [tf.fill([number], key % 2**31), tf.fill([number], key // 2**32), tf.cast(epoch, tf.int32)]
        shuffled = tf.raw_ops.RandomIndexShuffle(
            index=tf.reshape(places, [-1]),
            seed=tf.repeat(tf.stack(seeds, axis=1), count, axis=0),  # [N * B * k, 3]
            max_index=tf.fill([number * count], tf.constant(self.examples.num - 1, tf.int64)),
            rounds=4,
        )
        return tf.reshape(shuffled, [number, count])

    def dataset(self, first_step: int, part: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """An endless dataset of (images float32 [B, H, W, C], labels int32 [B]); with k > 1 [B, k, …].

        Args:
          first_step: Where it starts.
          part: (index, count): only the index-th of count equal parts of every batch's rows is read.
        """
        rows = self.batch_size * self.per_step // part[1]
        if self.in_memory:
            parallel, pixels = None, lambda indices: tf.gather(self._resident, indices)
        else:
            parallel, stored = 2, self.examples.images
            pixels = lambda indices: tf.numpy_function(stored.__getitem__, [indices], tf.uint8)

        def at(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            indices = self._own(step, part)
            return self._arrange(pixels(indices), rows), self._by_turn(self._labels(indices))  # labels [B], or [B, k]

        return step_numbers(first_step).map(_plain(at), num_parallel_calls=parallel).prefetch(8)

    def chunk(self, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `batch` needs of steps [N]: uint8 [N, B * k, H, W, C] and int32 [N, B * k].

        The examples must be in memory.
        """
        indices = self._indices_of(steps, steps.shape[0])  # [N, B * k]
        return tf.gather(self._resident, indices), self._labels(indices)

    def chunk_of(self, parts: Sequence[ImageBatches], steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`chunk` of several seeds, stacked: [N, S, B, …] and [N, S, B]."""
        images, labels = zip(*(part.chunk(steps) for part in parts), strict=True)
        return tf.stack(images, axis=1), tf.stack(labels, axis=1)

    def batch(self, pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A step's batch as `dataset` gives it, from its part of a chunk."""
        return self._arrange(pixels, self.batch_size * self.per_step), self._by_turn(labels)

    def floats(self, pixels: tf.Tensor) -> tf.Tensor:
        """uint8 pixels of any shape, in the range that the networks see."""
        return to_floats(pixels, self.value_range)

    def _own(self, step: Any, part: tuple[int, int]) -> tf.Tensor:
        index, count = part
        indices = self.indices(step)  # [k * B]
        if count == 1:
            return indices
        by_turn = tf.reshape(indices, [self.per_step, count, self.batch_size // count])
        return tf.reshape(by_turn[:, index], [-1])  # [k * B / count]

    @functools.cached_property
    def _resident(self) -> tf.Tensor:
        with tf.init_scope():  # not in the graph of a dataset's function, which would own it
            return tf.constant(self.examples.images)

    def _arrange(self, pixels: tf.Tensor, rows: int) -> tf.Tensor:
        pixels = tf.ensure_shape(pixels, [rows, *self.examples.shape])
        return self._by_turn(to_floats(pixels, self.value_range))  # [B, …], or [B, k, …]

    def _labels(self, indices: tf.Tensor) -> tf.Tensor:
        labels = self.examples.labels
        return tf.zeros_like(indices, tf.int32) if labels is None else tf.gather(tf.constant(labels), indices)

    def _by_turn(self, x: tf.Tensor) -> tf.Tensor:
        if self.per_step == 1:
            return x
        turns = tf.reshape(x, [self.per_step, -1, *x.shape[1:]])
        return tf.transpose(turns, [1, 0, *range(2, turns.shape.rank)])
