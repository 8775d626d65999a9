"""READ FIRST: the two-player game. A discriminator step, a generator step, and their order.

`GAN.train_step` is one step of a post's inner loop; `config.Game` says in what the posts differ. The networks are
handed in: this file knows that G maps latents (and labels) to images, and D images (and labels) to logits.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfgan_lab.config import Game, Latents
from tfgan_lab.losses import GENERATOR_LOSSES, fake_loss, real_loss
from tfgan_lab.randomness import draw_labels, draw_latents, num_rows, step_seed, stream_key


def global_mean(per_example: tf.Tensor) -> tf.Tensor:
    """This replica's share of the mean over the global batch: shares add up to the mean.

    The one place where losses are averaged; gradients and metrics are then summed over replicas.
    """
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    return tf.reduce_sum(per_example) / tf.cast(tf.size(per_example) * replicas, per_example.dtype)


class GAN:
    """A generator G and a discriminator D with their optimisers.

    Args:
      generator: call(latents [B, Z], labels [B] or None, training, seed) -> images [B, …].
      discriminator: call(images [B, …], labels [B] or None, training, seed) -> logits [B].
      g_optimizer, d_optimizer: With `apply(gradients)`, made for the trainable variables of each.
      game: The knobs of the step.
      latents: The noise.
      num_labels: Classes of a conditional GAN, or 0.
      seed: The run's seed; every random number is a function of it, a stream's name and the step.
      moments: Also report mean and standard deviation of the real and generated numbers (post P004).
    """

    batch_axis = 0  # where examples are counted

    def __init__(
        self, generator: Any, discriminator: Any, g_optimizer: Any, d_optimizer: Any,
        game: Game, latents: Latents, num_labels: int, seed: int, moments: bool = False,
    ) -> None:  # fmt: skip
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.g_variables = [v.value for v in generator.trainable_variables]
        self.d_variables = [v.value for v in discriminator.trainable_variables]
        self.game, self.latents, self.num_labels, self.seed = game, latents, num_labels, seed
        self.moments = moments
        self._noise: dict[str, Any] = {}
        self.d_scale = 0.5 if game.d_loss == "half_sum" else 1.0
        self.metric_names = ["d_loss", "d_real", "d_fake", "g_loss", "p_real", "p_fake"]
        if moments:
            self.metric_names += ["real_mean", "real_std", "fake_mean", "fake_std"]

    def train_step(self, step: Any, images: Any, labels: Any) -> tf.Tensor:
        """One step of the game: the configured updates of D and G, in the configured order.

        Args:
          step: Scalar, how many steps were done before.
          images: Real ones, [B, …]; with `game.real_batches` k > 1 [B, k, …].
          labels: int [B] (or [B, k]), or None.

        Returns:
          [len(metric_names)]: this replica's shares of the step's metrics.
        """
        game = self.game
        labels = labels if self.num_labels else None
        if game.fakes == "shared":
            return self._step_on_shared_fakes(step, images, labels)
        for i in range(game.d_steps):
            real = images[:, i] if game.real_batches > 1 else images
            real_labels = labels[:, i] if game.real_batches > 1 and labels is not None else labels
            d_metrics = self._discriminator_update(step, f"d{i}", real, real_labels)
        for j in range(game.g_steps):
            with self._watch(self.g_variables) as tape:
                fake_labels, fakes = self._draw_fakes(step, f"g{j}", num_rows(real, self.batch_axis))
                g_loss = self._generator_loss(step, f"g{j}", fakes, fake_labels)
            self.g_optimizer.apply(tape.gradient(g_loss, self.g_variables))
        return self._in_order({**d_metrics, "g_loss": g_loss})

    def _step_on_shared_fakes(self, step: Any, images: Any, labels: Any) -> tf.Tensor:
        """P002 (D first, then G on the same latents) and P003 (G first, then D on the same fakes)."""
        with self._watch(self.g_variables) as tape:
            fake_labels, fakes = self._draw_fakes(step, "shared", num_rows(images, self.batch_axis))
            if self.game.first == "discriminator":
                with tape.stop_recording():
                    metrics = self._joint_update(step, "shared", images, labels, fakes, fake_labels)
            g_loss = self._generator_loss(step, "shared", fakes, fake_labels)
        self.g_optimizer.apply(tape.gradient(g_loss, self.g_variables))
        if self.game.first == "generator":
            metrics = self._joint_update(step, "shared", images, labels, fakes, fake_labels)
        return self._in_order({**metrics, "g_loss": g_loss})

    def _discriminator_update(self, step: Any, turn: str, real: Any, labels: Any) -> dict[str, tf.Tensor]:
        if self.game.d_update == "joint":
            fake_labels, fakes = self._draw_fakes(step, turn, num_rows(real, self.batch_axis))
            return self._joint_update(step, turn, real, labels, fakes, fake_labels)
        with self._watch(self.d_variables) as tape:
            real_logits = self._discriminate(real, labels, self._seed(f"dropout/real/{turn}", step))
            d_real = self._mean(real_loss(real_logits, self.game.smoothing))
            loss = self.d_scale * d_real
        self.d_optimizer.apply(tape.gradient(loss, self.d_variables))
        fake_labels, fakes = self._draw_fakes(step, turn, num_rows(real, self.batch_axis))
        with self._watch(self.d_variables) as tape:
            fake_logits = self._discriminate(fakes, fake_labels, self._seed(f"dropout/fake/{turn}", step))
            d_fake = self._mean(fake_loss(fake_logits))
            loss = self.d_scale * d_fake
        self.d_optimizer.apply(tape.gradient(loss, self.d_variables))
        return self._d_metrics(d_real, d_fake, real_logits, fake_logits, real, fakes)

    def _joint_update(
        self, step: Any, turn: str, real: Any, labels: Any, fakes: Any, fake_labels: Any
    ) -> dict[str, tf.Tensor]:
        """One D update on mean(-log D(x)) + mean(-log(1 - D(G(z)))), G held fixed."""
        with self._watch(self.d_variables) as tape:
            real_logits, fake_logits = self._real_and_fake_logits(step, turn, real, labels, fakes, fake_labels)
            d_real = self._mean(real_loss(real_logits, self.game.smoothing))
            d_fake = self._mean(fake_loss(fake_logits))
            loss = self.d_scale * (d_real + d_fake)
        self.d_optimizer.apply(tape.gradient(loss, self.d_variables))
        return self._d_metrics(d_real, d_fake, real_logits, fake_logits, real, fakes)

    def _real_and_fake_logits(
        self, step: Any, turn: str, real: Any, labels: Any, fakes: Any, fake_labels: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """D on both: in one pass where that is the same, in two where D takes batch statistics."""
        real_seed, fake_seed = self._seed(f"dropout/real/{turn}", step), self._seed(f"dropout/fake/{turn}", step)
        if self.discriminator.uses_batch_statistics:
            return self._discriminate(real, labels, real_seed), self._discriminate(fakes, fake_labels, fake_seed)
        axis = self.batch_axis
        both = tf.concat([real, fakes], axis)  # [2B, …]
        both_labels = None if labels is None else tf.concat([labels, fake_labels], axis)  # [2B]
        logits = self._discriminate(both, both_labels, tf.concat([real_seed, fake_seed], axis=0))
        real_logits, fake_logits = tf.split(logits, 2, axis)  # [B], [B]
        return real_logits, fake_logits

    def _generator_loss(self, step: Any, turn: str, fakes: tf.Tensor, fake_labels: Any) -> tf.Tensor:
        logits = self.discriminator(
            fakes, fake_labels, training=self.game.d_dropout_in_g_step, seed=self._seed(f"dropout/d_in_g/{turn}", step)
        )
        return self._mean(GENERATOR_LOSSES[self.game.g_loss](logits))

    def _draw_fakes(self, step: Any, turn: str, rows: Any) -> tuple[Any, tf.Tensor]:
        latents, labels = self._noise[turn] if self._noise else self._draw_noise(step, turn, rows)
        return labels, self.generator(latents, labels, training=True, seed=self._seed(f"dropout/g/{turn}", step))

    def _draw_noise(self, step: Any, turn: str, rows: Any) -> tuple[tf.Tensor, Any]:
        seed = self._seed(f"latents/{turn}", step)[0]
        latents = draw_latents(self.latents.distribution, self.latents.dim, rows, seed)
        labels = draw_labels(self.num_labels, rows, self._seed(f"labels/{turn}", step)[0]) if self.num_labels else None
        return latents, labels

    def draw_noise(self, steps: tf.Tensor, rows: int) -> dict[str, Any]:
        """Latents [N, B, Z] and labels [N, B] (or None) of N steps at once, by the turn that uses them: see `given`."""
        game = self.game
        turns = [*(f"d{i}" for i in range(game.d_steps)), *(f"g{j}" for j in range(game.g_steps))]
        return {turn: self._draw_noise(steps, turn, rows) for turn in (["shared"] if game.fakes == "shared" else turns)}

    def given(self, noise: dict[str, Any]) -> GAN:
        """The same game, its noise of one step drawn before."""
        other = copy.copy(self)
        other._noise = noise
        return other

    def losses(self, step: Any, images: Any, labels: Any) -> dict[str, tf.Tensor]:
        """Both losses of a step's batch with the networks as they are now, nothing updated (post P002's print).

        `step` is the one whose latents are used again: the last that was done.
        """
        labels = labels if self.num_labels else None
        # Passes in training mode move BatchNorm's running statistics: put them back.
        statistics = [v.value for net in (self.generator, self.discriminator) for v in net.non_trainable_variables]
        before = [variable.read_value() for variable in statistics]
        fake_labels, fakes = self._draw_fakes(step, "shared", num_rows(images, self.batch_axis))
        real_logits, fake_logits = self._real_and_fake_logits(step, "shared", images, labels, fakes, fake_labels)
        d_real = self._mean(real_loss(real_logits, self.game.smoothing))
        d_fake = self._mean(fake_loss(fake_logits))
        g_loss = self._generator_loss(step, "shared", fakes, fake_labels)
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(value)
        return {"d_loss": self.d_scale * (d_real + d_fake), "d_real": d_real, "d_fake": d_fake, "g_loss": g_loss}

    def _discriminate(self, images: Any, labels: Any, seed: tf.Tensor) -> tf.Tensor:
        return self.discriminator(images, labels, training=True, seed=seed)

    def _d_metrics(
        self, d_real: Any, d_fake: Any, real_logits: Any, fake_logits: Any, real: Any, fakes: Any
    ) -> dict[str, tf.Tensor]:
        metrics = {
            "d_loss": self.d_scale * (d_real + d_fake), "d_real": d_real, "d_fake": d_fake,
            "p_real": self._mean(tf.sigmoid(real_logits)), "p_fake": self._mean(tf.sigmoid(fake_logits)),
        }  # fmt: skip
        if self.moments:
            for name, numbers in (("real", real), ("fake", fakes)):
                axes = list(range(self.batch_axis, numbers.shape.rank))
                metrics[f"{name}_mean"] = tf.reduce_mean(numbers, axes)
                metrics[f"{name}_std"] = tf.math.reduce_std(numbers, axes)
        return metrics

    def _in_order(self, metrics: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack([metrics[name] for name in self.metric_names])

    def _seed(self, stream: str, step: Any) -> tf.Tensor:
        return step_seed(stream_key(self.seed, stream), step)[None]  # [1, 2]

    def _mean(self, per_example: tf.Tensor) -> tf.Tensor:
        return global_mean(per_example)

    @staticmethod
    @contextlib.contextmanager
    def _watch(variables: list[tf.Variable]) -> Iterator[tf.GradientTape]:
        # Only one player's weights: the other's gradients would be computed for nothing.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            yield tape
