"""Chunks of many steps, compiled: Python outside, one traced loop inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


class Engine:
    """Runs a task's steps on a strategy's replicas.

    Args:
      strategy: From `make_strategy`.
      task: With `metric_names` and `train_step(step, images, labels)` (`GAN` or `Supervised`).
      batches: With `dataset(first_step)` (see `tfgan_lab.data.pipeline`).
    """

    def __init__(self, strategy: tf.distribute.Strategy, task: Any, batches: Any) -> None:
        self.strategy, self.task, self.batches = strategy, task, batches
        self._chunk = tf.function(self._steps)
        self._iterator: Any = None
        self._next_step = -1

    def run(self, first_step: int, num_steps: int) -> np.ndarray:
        """Does steps first_step … first_step + num_steps - 1.

        Returns:
          float32 [num_steps, len(metric_names)]: every step's metrics over the global batch.
        """
        if self._next_step != first_step:
            dataset = self.batches.dataset(first_step)
            if self.strategy.num_replicas_in_sync > 1:
                dataset = self.strategy.experimental_distribute_dataset(dataset)
            self._iterator = iter(dataset)
        history = self._chunk(self._iterator, tf.constant(first_step, tf.int64), tf.constant(num_steps, tf.int32))
        self._next_step = first_step + num_steps
        return history.numpy()

    def _steps(self, iterator: Any, first_step: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        width = len(self.task.metric_names)
        history = tf.TensorArray(tf.float32, num_steps, element_shape=[width])
        for i in tf.range(num_steps):
            images, labels = next(iterator)
            step = first_step + tf.cast(i, tf.int64)
            shares = self.strategy.run(self.task.train_step, args=(step, images, labels))
            metrics = self.strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
            history = history.write(i, tf.cast(metrics, tf.float32))
        return history.stack()  # [num_steps, metrics]
