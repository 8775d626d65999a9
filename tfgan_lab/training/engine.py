"""Chunks of many steps, compiled: Python outside, one traced loop inside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab import philox
from tfgan_lab.data.pipeline import step_numbers
from tfgan_lab.errors import UserError
from tfgan_lab.system.cache import seal_programs

# For how many steps an XLA program's noise and examples are made at once, and what these may take.
_XLA_STEPS, _XLA_BYTES = 2000, 2**24


class Engine:
    """Runs a task's steps on a strategy's replicas.

    Args:
      strategy: From `make_strategy`.
      task: With `metric_names`, `play(step, images, labels)` and, where losses are printed
        after the update, `losses(step, images, labels)`: `GAN` or `Supervised`.
      batches: With `dataset(first_step, part)` (see `tfgan_lab.data.pipeline`).
      part: (index, count) of this process among those of the run: which rows of each batch are its own.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, task: Any, batches: Any, part: tuple[int, int] = (0, 1)
    ) -> None:
        self.strategy, self.task, self.batches, self.part = strategy, task, batches, part
        self._chunk = tf.function(self._steps, autograph=False)
        self._losses: Any = None
        self._iterator: Any = None
        self._next_step = -1

    def run(self, first_step: int, num_steps: int) -> np.ndarray:
        """Does steps first_step … first_step + num_steps - 1.

        Returns:
          float32 [num_steps, len(metric_names)]: every step's metrics over the global batch.
        """
        if self._next_step != first_step:
            self._iterator = iter(self.batches.dataset(first_step, self.part))
        try:
            history = self._chunk(self._iterator, tf.constant(first_step, tf.int64), tf.constant(num_steps, tf.int32))
        except tf.errors.OpError as error:
            # Data that are read while training (a folder that vanished): TensorFlow hands on the text alone.
            mistake = re.search(r"UserError: (.*)", str(error))
            if mistake is None:
                raise
            raise UserError(
                f"{mistake[1]} Training stopped after step {first_step:,}; fix it, and the same command continues from the last checkpoint."
            ) from None
        self._next_step = first_step + num_steps
        return history.numpy()

    def _steps(self, iterator: Any, first_step: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        def one_step(i: tf.Tensor, history: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            images, labels = iterator.get_next()
            shares = self.strategy.run(self._step, args=(first_step + tf.cast(i, tf.int64), images, labels))
            return i + 1, history.write(i, self._sum(shares))

        first, history = tf.constant(0), tf.TensorArray(tf.float32, num_steps)
        _, history = tf.while_loop(lambda i, _: i < num_steps, one_step, (first, history))
        return history.stack()  # [num_steps, metrics]

    def _step(self, step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """A replica's step on its own rows of this process' batch; the order of rows is that of one device."""
        context = tf.distribute.get_replica_context()
        here = self.strategy.num_replicas_in_sync // self.part[1]
        if here > 1:
            place = context.replica_id_in_sync_group % here
            images, labels = (tf.reshape(x, [here, -1, *x.shape[1:]])[place] for x in (images, labels))
        return self._stacked(self.task.play(step, images, labels))

    def _stacked(self, metrics: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack([metrics[name] for name in self.task.metric_names])

    def _sum(self, shares: Any) -> tf.Tensor:
        return tf.cast(self.strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None), tf.float32)

    def losses_after(self, step: int) -> dict[str, np.ndarray]:
        """Losses on step `step`'s batch and latents, with the networks as they are now (post P002's print)."""
        if self._losses is None:
            self._losses = tf.function(self.task.losses, autograph=False)
        images, labels = next(iter(self.batches.dataset(step - 1)))
        found = self._losses(tf.constant(step - 1, tf.int64), images, labels)
        return {name: value.numpy() for name, value in found.items()}


class XlaEngine(Engine):
    """The same steps as one XLA program, for nets so small that calling TensorFlow's kernels takes most of the time.

    Random numbers are the same ones, by arithmetic (`tfgan_lab.philox`). Noise and examples of a chunk are made before
    it.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, task: Any, batches: Any, part: tuple[int, int] = (0, 1)
    ) -> None:
        super().__init__(strategy, task, batches, part)
        if not batches.in_memory:
            raise UserError("compile='xla' needs examples that fit in memory: use --config.compile=loop.")
        noise = tf.nest.flatten(task.draw_noise(tf.range(1, dtype=tf.int64), batches.batch_size))
        bytes_per_step = batches.bytes_per_step + sum(part.numpy().nbytes for part in noise if part is not None)
        self._size = max(1, min(_XLA_STEPS, _XLA_BYTES // bytes_per_step))
        self._program = tf.function(self._compiled, autograph=False, jit_compile=True)
        self._kept = False
        self._chunks: Any = None
        self._first, self._made = 0, None  # the chunk at hand, and its first step

    def run(self, first_step: int, num_steps: int) -> np.ndarray:
        """As `Engine.run`."""
        parts, step, end = [], first_step, first_step + num_steps
        while step < end:
            self._fetch(step)
            start, stop = step - self._first, min(self._size, end - self._first)
            parts.append(self._program(self._made, tf.constant(start), tf.constant(stop)).numpy()[start:stop])
            if not self._kept:
                seal_programs()
                self._kept = True
            step = self._first + stop
        return np.concatenate(parts)

    def _fetch(self, step: int) -> None:
        """Takes the chunk that holds a step: the next one of the pipeline, or, after a jump, one that begins there."""
        if self._made is not None and 0 <= step - self._first < self._size:
            return
        if self._made is None or step != self._first + self._size:
            self._chunks = iter(self._chunks_from(step))
        self._first, self._made = step, next(self._chunks)

    def _chunks_from(self, first_step: int) -> tf.data.Dataset:
        """Examples and noise of so many steps at a time, [size, …] each: the same tf.data chain in larger pieces."""

        @tf.autograph.experimental.do_not_convert
        def make(first: tf.Tensor) -> Any:
            with philox.outside_of_xla():
                steps = first + tf.range(self._size, dtype=tf.int64)
                return self.batches.chunk(steps), self.task.draw_noise(steps, self.batches.batch_size)

        return step_numbers(first_step, self._size).map(make)

    def _compiled(self, made: Any, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        def one_step(i: tf.Tensor, history: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            (images, labels), noise = tf.nest.map_structure(lambda part: None if part is None else part[i], made)
            return i + 1, history.write(i, self._sum(self.strategy.run(self._step_on, args=(images, labels, noise))))

        with philox.in_arithmetic():
            # Not a loop over a range: its length would be part of the program, and each length compiled again.
            _, history = tf.while_loop(lambda i, _: i < stop, one_step, (start, tf.TensorArray(tf.float32, self._size)))
        return history.stack()  # [size, metrics]

    def _step_on(self, images: tf.Tensor, labels: tf.Tensor, noise: Any) -> tf.Tensor:
        return self._stacked(self.task.train_step(*self.batches.batch(images, labels), noise))


def make_engine(
    compile: str, strategy: tf.distribute.Strategy, task: Any, batches: Any, part: tuple[int, int] = (0, 1)
) -> Engine:
    """The engine that `compile` names; several replicas take the loop, since an XLA program is for one device."""
    alone = strategy.num_replicas_in_sync == 1
    return (XlaEngine if compile == "xla" and alone else Engine)(strategy, task, batches, part)
