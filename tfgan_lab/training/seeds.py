"""What lets several seeds run as one: their games, and their batches, with a leading axis of seeds, which never mix."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfgan_lab.data.pipeline import step_numbers
from tfgan_lab.gan import GAN
from tfgan_lab.randomness import step_seeds, stream_key


class SeedsGAN(GAN):
    """`GAN` for seeds [S]: images [S, B, …], labels [S, B], metrics [len(metric_names), S].

    Seed s draws the numbers that it would draw alone, and as losses are means over a seed's own examples, the
    gradients of their sum are each seed's own.

    Args:
      seeds: The runs' seeds.
      **parts: As of `GAN`, with networks of as many seeds (`tfgan_lab.networks`).
    """

    batch_axis = 1

    def __init__(self, seeds: Sequence[int], **parts: Any) -> None:
        super().__init__(seed=seeds[0], **parts)
        self.seeds = tuple(seeds)

    def _seed(self, stream: str, step: Any) -> tf.Tensor:
        return step_seeds([stream_key(seed, stream) for seed in self.seeds], step)  # [S, 2], or of N steps [N, S, 2]

    def _mean(self, per_example: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(per_example, axis=1)  # [S]


@dataclasses.dataclass(frozen=True)
class SeedsBatches:
    """Batches [S, B, …] of S seeds, each as its own `ImageBatches` or `NumberBatches` gives it."""

    parts: tuple[Any, ...]  # one for each seed, alike but for it
    in_memory = True

    @property
    def steps_per_epoch(self) -> int:
        return self.parts[0].steps_per_epoch

    @property
    def batch_size(self) -> int:
        return self.parts[0].batch_size

    @property
    def bytes_per_step(self) -> int:
        return len(self.parts) * self.parts[0].bytes_per_step

    def dataset(self, first_step: int, part: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """An endless dataset of (images [S, B, …], labels [S, B])."""
        assert part == (0, 1)
        # One step's of all seeds together: a dataset for each would cost more than a small net's step.
        return step_numbers(first_step).map(tf.autograph.experimental.do_not_convert(self._at)).prefetch(8)

    def _at(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = self.chunk(step[None])
        return self.batch(images[0], labels[0])

    def chunk(self, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[N, S, B, …] and [N, S, B] of steps [N]."""
        return self.parts[0].chunk_of(self.parts, steps)

    def batch(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A step's batch from its part of a chunk: pixels become floats."""
        return self.parts[0].floats(images), labels
