"""Draws from generators in pieces, so that memory does not grow with the number of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import GanConfig
from tfgan_lab.export.saved_model import GeneratorModule, spread_labels
from tfgan_lab.networks import build_networks
from tfgan_lab.randomness import stream_key

# sample(num, seed) -> images [num, H, W, C] in [0, 1], or numbers [num, 1]; conditional ones take the labels in turn.
Sampler = Callable[[int, int], np.ndarray]


def draw(sample: Sampler, num: int, seed: int, piece: int) -> np.ndarray:
    """`num` samples: float32 images [num, H, W, C] in [0, 1], or numbers [num, 1]."""
    starts = range(0, num, piece)
    drawn = np.concatenate([sample(min(piece, num - start), stream_key(seed, f"evaluate/{start}")) for start in starts])
    # Rounding can leave the last bit of a tanh or a sigmoid outside.
    return np.clip(drawn, 0, 1) if drawn.ndim == 4 else drawn


def labels_of(num: int, num_labels: int, piece: int) -> np.ndarray:
    """The labels that `draw` asked a conditional generator for: int32 [num]."""
    starts = range(0, num, piece)
    return np.concatenate([spread_labels(num_labels, min(piece, num - start)).numpy() for start in starts])


def untrained_sampler(config: GanConfig) -> Sampler:
    """Draws from the config's generator as it is before training."""
    return sampler_of(build_networks(config)["generator"], config)


def sampler_of(network: Any, config: GanConfig) -> Sampler:
    """Draws from a generator of the config, always with the weights that it has then."""
    module = GeneratorModule(network, config)
    compiled = tf.function(module.sample, autograph=False)

    def sample(num: int, seed: int) -> np.ndarray:
        return compiled(tf.constant(seed, tf.int64), tf.constant(num, tf.int32)).numpy()

    return sample
