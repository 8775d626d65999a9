"""The two-player game of several seeds at once: everything has a leading axis of seeds, which never mix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

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
