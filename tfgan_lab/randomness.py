"""All randomness is a pure function of (seed, stream, step): no hidden generator anywhere.

So a run can be cut at any step and continues bit for bit, and one or many replicas see the same
global batch: every replica draws the whole batch and keeps its own rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfgan_lab import philox


def stream_key(seed: int, stream: str) -> int:
    """A 63-bit key for one named stream of a run, such as ``"latents"`` or ``"data"``."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()) >> 1


def step_seed(key: int, step: Any) -> tf.Tensor:
    """The seed of a stream at a step: int64 [2], for `tf.random.stateless_*`; at steps [N]: [N, 2]."""
    step = tf.cast(step, tf.int64)
    keys = tf.fill(step.shape, tf.constant(key, tf.int64)) if step.shape.rank else tf.constant(key, tf.int64)
    return tf.stack([keys, step], axis=-1)


def step_seeds(keys: Sequence[int], step: Any) -> tf.Tensor:
    """The seeds of S streams at a step: int64 [S, 2]; at steps [N]: [N, S, 2]."""
    all_keys, steps = tf.constant(list(keys), tf.int64), tf.cast(step, tf.int64)[..., None]
    return tf.stack([all_keys + tf.zeros_like(steps), steps + tf.zeros_like(all_keys)], axis=-1)


def num_rows(x: tf.Tensor, axis: int = 0) -> Any:
    """Length of an axis: a plain number where it is known when the step is traced."""
    known = x.shape[axis]
    return tf.shape(x)[axis] if known is None else known


def own_rows(draw: Any, rows: Any, *rest: int) -> tf.Tensor:
    """Draws for the global batch, by a seed that is equal on all replicas, and returns this replica's rows: [B, *rest].

    With one replica that is simply `draw([B, *rest])`.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return draw([rows, *rest])
    start = context.replica_id_in_sync_group * rows
    return draw([context.num_replicas_in_sync * rows, *rest])[start : start + rows]


def draw_latents(distribution: str, dim: int, rows: Any, seed: tf.Tensor) -> tf.Tensor:
    """Latents [B, dim]: "normal" N(0, 1), "uniform" U(-1, 1) or "unit_uniform" U(0, 1)."""
    if distribution == "normal":
        return own_rows(lambda shape: philox.normal(shape, seed), rows, dim)
    low = -1.0 if distribution == "uniform" else 0.0
    return own_rows(lambda shape: philox.uniform(shape, seed, low, 1.0), rows, dim)


def draw_uniform(rows: Any, seed: tf.Tensor, *rest: int) -> tf.Tensor:
    """U(0, 1), float32 [B, *rest]."""
    return own_rows(lambda shape: philox.uniform(shape, seed), rows, *rest)


def draw_labels(num_labels: int, rows: Any, seed: tf.Tensor) -> tf.Tensor:
    """Random class labels, int32 [B], uniform over 0..num_labels-1."""
    return own_rows(lambda shape: philox.integers(shape, seed, 0, num_labels), rows)


def sample_seed(seed: Any, what: int = 0) -> tf.Tensor:
    """The seed of samples drawn after training, int64 [2]: the same in `tfgan-lab sample` and in the exported model."""
    return tf.stack([tf.cast(seed, tf.int64), tf.constant(what, tf.int64)])
