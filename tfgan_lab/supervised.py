"""The classifiers' training step: post P001's sigmoid scores against one-hot targets, or softmax."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfgan_lab import philox
from tfgan_lab.gan import global_mean
from tfgan_lab.randomness import num_rows, own_rows, step_seed, stream_key


class Supervised:
    """A classifier and its optimiser.

    Args:
      classifier: call(images [B, …], training, seed) -> logits [B, classes].
      optimizer: With `apply(gradients)`.
      loss: "sigmoid" or "softmax".
      shift: Images are moved by up to so many pixels either way, each by its own draw.
      seed: The run's.
    """

    metric_names = ("loss", "accuracy")

    def __init__(self, classifier: Any, optimizer: Any, loss: str = "sigmoid", shift: int = 0, seed: int = 0) -> None:
        self.classifier, self.optimizer = classifier, optimizer
        self.loss, self.shift, self.seed = loss, shift, seed
        self.variables = [v.value for v in classifier.trainable_variables]

    def play(self, step: Any, images: Any, labels: Any) -> dict[str, tf.Tensor]:
        """`train_step` with the noise of that step."""
        return self.train_step(images, labels, self.draw_noise(step, num_rows(images)))

    def train_step(self, images: Any, labels: Any, noise: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update on the mean cross-entropy over examples [B, H, W, C] (and, of sigmoids, over classes).

        Returns:
          This replica's shares of "loss" and "accuracy".
        """
        if self.shift:
            images = shift_images(images, self.shift, noise["shift"])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            logits = self.classifier(images, training=True, seed=noise["dropout"][None])  # [B, classes]
            loss = global_mean(self._losses(logits, labels))
        self.optimizer.apply(tape.gradient(loss, self.variables))
        right = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), logits.dtype)
        return {"loss": loss, "accuracy": global_mean(right)}

    def draw_noise(self, step: Any, rows: Any) -> dict[str, tf.Tensor]:
        """Seeds of a step's shifts and dropout, int64 [2]; at steps [N]: [N, 2]. A classifier sees no latents."""
        del rows
        return {stream: step_seed(stream_key(self.seed, stream), step) for stream in ("shift", "dropout")}

    def _losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        if self.loss == "softmax":
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)  # [B]
        targets = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)  # [B, classes]


def shift_images(images: tf.Tensor, most: int, seed: tf.Tensor) -> tf.Tensor:
    """Moves each image [B, H, W, C] by -most … most pixels down and to the right; its border fills the gap."""
    rows, height, width = num_rows(images), images.shape[1], images.shape[2]
    moves = own_rows(lambda shape: philox.integers(shape, seed, -most, most + 1), rows, 2)
    down = tf.clip_by_value(tf.range(height)[None] - moves[:, :1], 0, height - 1)  # [B, H]
    right = tf.clip_by_value(tf.range(width)[None] - moves[:, 1:], 0, width - 1)  # [B, W]
    return tf.gather(tf.gather(images, down, axis=1, batch_dims=1), right, axis=2, batch_dims=1)
