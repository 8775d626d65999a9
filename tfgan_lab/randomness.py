"""All randomness is a pure function of (seed, stream, step): no hidden generator anywhere.

So a run can be cut at any step and goes on bit for bit, and one or many replicas see the same
global batch: every replica draws the whole batch and keeps its own rows.
"""

from __future__ import annotations

import hashlib
from typing import Any

import tensorflow as tf


def stream_key(seed: int, stream: str) -> int:
    """A 63-bit key for one named stream of a run, such as ``"latents"`` or ``"data"``."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()) >> 1


def step_seed(key: int, step: Any) -> tf.Tensor:
    """The seed of a stream at a step: int64 [2], for `tf.random.stateless_*`."""
    return tf.stack([tf.constant(key, tf.int64), tf.cast(step, tf.int64)])


def own_rows(draw: Any, rows: Any, *rest: int) -> tf.Tensor:
    """Draws for the global batch and returns this replica's rows.

    Args:
      draw: Maps a shape to a tensor of that shape, with a seed that is equal on all replicas.
      rows: This replica's number of rows, B.
      *rest: The remaining dimensions.

    Returns:
      [B, *rest]; with one replica simply ``draw([B, *rest])``.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return draw([rows, *rest])
    start = context.replica_id_in_sync_group * rows
    return draw([context.num_replicas_in_sync * rows, *rest])[start : start + rows]


def draw_latents(distribution: str, dim: int, rows: Any, seed: tf.Tensor) -> tf.Tensor:
    """Latents [B, dim]: "normal" N(0, 1), "uniform" U(-1, 1) or "unit_uniform" U(0, 1)."""
    if distribution == "normal":
        return own_rows(lambda shape: tf.random.stateless_normal(shape, seed, alg="philox"), rows, dim)
    low = -1.0 if distribution == "uniform" else 0.0
    return own_rows(lambda shape: tf.random.stateless_uniform(shape, seed, low, 1.0, alg="philox"), rows, dim)


def draw_labels(num_labels: int, rows: Any, seed: tf.Tensor) -> tf.Tensor:
    """Random class labels, int32 [B], uniform over 0..num_labels-1."""
    return own_rows(lambda shape: tf.random.stateless_uniform(shape, seed, 0, num_labels, tf.int32, alg="philox"), rows)


def sample_seed(seed: Any, what: int = 0) -> tf.Tensor:
    """The seed of samples drawn after training, int64 [2]: the same in `tfgan-lab sample` and in the exported model."""
    return tf.stack([tf.cast(seed, tf.int64), tf.constant(what, tf.int64)])
