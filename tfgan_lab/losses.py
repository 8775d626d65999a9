"""The players' losses on logits: per example [B], never averaged here (see `gan.py` for the one place).

With D = sigmoid(logits), sigmoid cross-entropy is -log D for target 1 and -log(1 - D) for target 0,
without ever taking the logarithm of a rounded probability.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def sigmoid_cross_entropy(logits: Any, target: float) -> tf.Tensor:
    """-target log D - (1 - target) log(1 - D), stable for any logit; [B] -> [B].

    max(l, 0) - l * target + log(1 + exp(-|l|)), whose gradient is D - target everywhere, at zero too.
    """
    logits = tf.convert_to_tensor(logits)
    return tf.nn.sigmoid_cross_entropy_with_logits(
        labels=tf.fill(tf.shape(logits), tf.constant(target, logits.dtype)), logits=logits
    )


def real_loss(logits: Any, smoothing: float = 0.0) -> tf.Tensor:
    """D's loss on real examples, one-sided label smoothing (Salimans et al., 2016, section 3.4): [B]."""
    return sigmoid_cross_entropy(logits, 1.0 - smoothing)


def fake_loss(logits: Any) -> tf.Tensor:
    """D's loss on generated examples, -log(1 - D(G(z))) (Goodfellow et al., 2014, eq. 1): [B]."""
    return sigmoid_cross_entropy(logits, 0.0)


def non_saturating(logits: Any) -> tf.Tensor:
    """G's loss -log D(G(z)) (Goodfellow et al., 2014, section 3, last paragraph): [B]."""
    return sigmoid_cross_entropy(logits, 1.0)


def minimax(logits: Any) -> tf.Tensor:
    """G's loss log(1 - D(G(z))), the value function itself (Goodfellow et al., 2014, eq. 1): [B]."""
    return -sigmoid_cross_entropy(logits, 0.0)


GENERATOR_LOSSES = {"non_saturating": non_saturating, "minimax": minimax}
