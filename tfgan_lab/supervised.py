"""The classifier's training step (post P001): sigmoid scores against one-hot targets."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfgan_lab.gan import global_mean


class Supervised:
    """A classifier and its optimiser.

    Args:
      classifier: call(images [B, …], training) -> logits [B, classes].
      optimizer: With `apply(gradients)`.
    """

    metric_names = ("loss", "accuracy")

    def __init__(self, classifier: Any, optimizer: Any) -> None:
        self.classifier, self.optimizer = classifier, optimizer
        self.variables = [v.value for v in classifier.trainable_variables]

    def train_step(self, step: Any, images: Any, labels: Any) -> tf.Tensor:
        """One update on mean over examples and classes of the sigmoid cross-entropy.

        Returns:
          [2]: this replica's shares of loss and accuracy.
        """
        del step  # nothing here is random
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            logits = self.classifier(images, training=True)  # [B, classes]
            targets = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
            loss = global_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
        self.optimizer.apply(tape.gradient(loss, self.variables))
        right = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), logits.dtype)
        return tf.stack([loss, global_mean(right)])
