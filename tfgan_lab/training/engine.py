"""Chunks of many steps, compiled: Python outside, one traced loop inside."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.errors import UserError


class Engine:
    """Runs a task's steps on a strategy's replicas.

    Args:
      strategy: From `make_strategy`.
      task: With `metric_names` and `train_step(step, images, labels)` (`GAN` or `Supervised`).
      batches: With `dataset(first_step, part)` (see `tfgan_lab.data.pipeline`).
      part: (index, count) of this process among those of the run: which rows of each batch are its own.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, task: Any, batches: Any, part: tuple[int, int] = (0, 1)
    ) -> None:
        self.strategy, self.task, self.batches, self.part = strategy, task, batches, part
        self._chunk = tf.function(self._steps)
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
                f"{mistake[1]} Training stopped after step {first_step:,}; mend it and the same command goes on from the last checkpoint."
            ) from None
        self._next_step = first_step + num_steps
        return history.numpy()

    def _steps(self, iterator: Any, first_step: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        width = len(self.task.metric_names)
        history = tf.TensorArray(tf.float32, num_steps, element_shape=[width])
        for i in tf.range(num_steps):
            images, labels = next(iterator)
            step = first_step + tf.cast(i, tf.int64)
            shares = self.strategy.run(self._step, args=(step, images, labels))
            metrics = self.strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
            history = history.write(i, tf.cast(metrics, tf.float32))
        return history.stack()  # [num_steps, metrics]

    def _step(self, step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """A replica's step on its own rows of this process' batch; the order of rows is that of one device."""
        context = tf.distribute.get_replica_context()
        here = self.strategy.num_replicas_in_sync // self.part[1]
        if here > 1:
            place = context.replica_id_in_sync_group % here
            images, labels = (tf.reshape(x, [here, -1, *x.shape[1:]])[place] for x in (images, labels))
        return self.task.train_step(step, images, labels)
