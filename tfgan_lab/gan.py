"""READ FIRST: the two-player game. A discriminator step, a generator step, and their order.

`GAN.train_step` is one step of a post's inner loop; `config.Game` says in what the posts differ. The networks are
handed in, and so is the noise: this file knows that G maps latents (and labels) to images, and D images (and labels)
to logits.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfgan_lab.averages import Average
from tfgan_lab.config import Game, Latents
from tfgan_lab.config_checks import game_faults
from tfgan_lab.data_kinds import MOMENTS
from tfgan_lab.errors import UserError
from tfgan_lab.keras_models import mixing_layers
from tfgan_lab.losses import make_loss
from tfgan_lab.penalties import Noise, clip_weights, make_penalty
from tfgan_lab.randomness import draw_labels, draw_latents, draw_uniform, num_rows, step_seed, stream_key


def global_mean(per_example: tf.Tensor) -> tf.Tensor:
    """This replica's share of the mean over the global batch: shares add up to the mean.

    The one place where losses are averaged; gradients and metrics are then summed over replicas.
    """
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    return tf.reduce_sum(per_example) / tf.cast(tf.size(per_example) * replicas, per_example.dtype)


def packed(x: Any, pack: int, axis: int = 0) -> Any:
    """Examples [B, …, C] as D sees them: `pack` at a time side by side, [B / pack, …, pack * C].

    Lin et al., "PacGAN: The power of two samples in generative adversarial networks", 2018, section 2. `axis` is where
    examples are counted.
    """
    if pack == 1:
        return x
    lead, rest, last = x.shape[:axis], x.shape[axis + 1 :], x.shape.rank
    x = tf.reshape(x, [*lead, -1, pack, *rest])
    x = tf.transpose(x, [*range(axis + 1), *range(axis + 2, last), axis + 1, last])
    return tf.reshape(x, [*lead, -1, *rest[:-1], pack * rest[-1]])


class Turn(NamedTuple):
    """All that is random when one set of fakes is made and judged. Seeds, int64 [2], are of one pass's dropout each."""

    latents: Any  # [B, Z]
    labels: Any  # int32 [B], or None
    in_g: Any  # G, making the fakes
    on_real: Any  # D on real examples
    on_fake: Any  # D on the fakes
    in_g_step: Any  # D on the fakes when G is updated
    in_penalty: Any = None  # seeds [2, 2] of the numbers that a penalty's points are made with; None without one


class GAN:
    """A generator G and a discriminator D with their optimisers.

    Args:
      generator: call(latents [B, Z], labels [B] or None, training, seed) -> images [B, …]; or any Keras model that maps
        latents to images, or with `num_labels` [latents, labels] to images.
      discriminator: call(images [B, …], labels [B] or None, training, seed) -> logits [B]; or any Keras model. With
        `game.pack` m it takes packs [B / m, …, m * C].
      g_optimizer: Ours (`tfgan_lab.optimizers`, made for G's variables), or Keras'.
      d_optimizer: Likewise, of D's.
      game: The knobs of the step.
      latents: The noise; if None N(0, 1), as wide as the generator's input.
      num_labels: Classes of a conditional GAN, or 0.
      seed: The run's seed; every random number is a function of it, a stream's name and the step.
      moments: Also report mean and standard deviation of the real and generated numbers (post P004).
      average: Of the generator's variables; takes them in after every step.

    Raises:
      UserError: The game cannot be played, or not with this discriminator (`tfgan_lab.config_checks.game_faults`); a Keras
        generator does not say how wide its input is.
    """

    batch_axis = 0  # where examples are counted

    def __init__(
        self, generator: Any, discriminator: Any, g_optimizer: Any, d_optimizer: Any,
        game: Game | None = None, latents: Latents | None = None, num_labels: int = 0, seed: int = 0, moments: bool = False,
        average: Average | None = None,
    ) -> None:  # fmt: skip
        self.game = game or Game()
        self.generator, self.discriminator = _with_seed(generator), _with_seed(discriminator)
        if faults := game_faults(self.game, mixing=getattr(self.discriminator, "mixing", ()), num_labels=num_labels):
            raise UserError("; ".join(faults))
        self.loss = make_loss(self.game.loss, self.game.smoothing)
        self.penalty = make_penalty(self.game.penalty)
        self.latents, self.num_labels, self.seed = latents or _latents_of(generator), num_labels, seed
        if not (getattr(generator, "built", True) and getattr(discriminator, "built", True)):
            labels = tf.zeros([1], tf.int32) if num_labels else None
            self.discriminator(self._pack(self.generator(tf.zeros([self.game.pack, self.latents.dim]), labels)), labels)
        self.g_optimizer = _ready(g_optimizer, generator.trainable_variables)
        self.d_optimizer = _ready(d_optimizer, discriminator.trainable_variables)
        self.g_variables = [v.value for v in generator.trainable_variables]
        self.d_variables = [v.value for v in discriminator.trainable_variables]
        self.moments, self.average = moments, average
        self.d_scale = 0.5 if self.game.d_loss == "half_sum" else 1.0
        self.metric_names = ["d_loss", *self.loss.d, "g_loss", "p_real", "p_fake"]
        if self.penalty:
            self.metric_names.append("penalty")
        if moments:
            self.metric_names += MOMENTS
        self._played: Any = None

    def step(self, i: int, real: Any, labels: Any = None) -> dict[str, float]:
        """Plays step `i` on a real batch [B, …] (and its labels [B]): for a training loop of your own.

        Returns:
          The step's losses and D's mean opinions by name.
        """
        if self._played is None:
            self._played = tf.function(self.play, autograph=False)
        labels = None if labels is None else tf.cast(labels, tf.int32)
        row = self._played(tf.constant(i, tf.int64), tf.convert_to_tensor(real, tf.float32), labels)
        return {name: float(value) for name, value in row.items()}

    def play(self, step: Any, real: Any, labels: Any) -> dict[str, tf.Tensor]:
        """`train_step` with the noise of that step (a scalar: how many were done before)."""
        return self.train_step(real, labels, self.draw_noise(step, num_rows(real, self.batch_axis)))

    def train_step(self, real: Any, labels: Any, noise: Mapping[str, Turn]) -> dict[str, tf.Tensor]:
        """One step of the game: the configured updates of D and G, in the configured order.

        Args:
          real: Real examples, [B, …]; with `game.real_batches` k > 1 [B, k, …].
          labels: int [B] (or [B, k]), or None.
          noise: From `draw_noise`.

        Returns:
          This replica's shares of the step's metrics: those of `metric_names`, each a scalar.
        """
        labels = labels if self.num_labels else None
        if self.game.fakes == "shared":
            metrics = self._step_on_shared_fakes(self._pack(real), labels, noise["shared"])
        else:
            metrics = self._step_on_fresh_fakes(real, labels, noise)
        if self.average is not None:
            self.average.update(tf.convert_to_tensor(self.g_optimizer.iterations) // self.game.g_steps)
        return metrics

    def _step_on_fresh_fakes(self, all_real: Any, all_labels: Any, noise: Mapping[str, Turn]) -> dict[str, tf.Tensor]:
        game, labels = self.game, all_labels
        real = self._pack(all_real) if game.real_batches == 1 else None
        for i in range(game.d_steps):
            if game.real_batches > 1:
                real, labels = self._pack(all_real[:, i]), None if all_labels is None else all_labels[:, i]
            metrics = self._discriminator_update(noise[f"d{i}"], real, labels)
        for j in range(game.g_steps):
            turn = noise[f"g{j}"]
            with self._watch(self.g_variables) as tape:
                g_loss = self._generator_loss(turn, real, labels, self._fakes(turn))
            self.g_optimizer.apply(tape.gradient(g_loss, self.g_variables))
        return {**metrics, "g_loss": g_loss}

    def _step_on_shared_fakes(self, real: Any, labels: Any, turn: Turn) -> dict[str, tf.Tensor]:
        """P002 (D first, then G on the same latents) and P003 (G first, then D on the same fakes)."""
        with self._watch(self.g_variables) as tape:
            fakes = self._fakes(turn)
            if self.game.first == "discriminator":
                with tape.stop_recording():
                    metrics = self._joint_update(turn, real, labels, fakes)
            g_loss = self._generator_loss(turn, real, labels, fakes)
        self.g_optimizer.apply(tape.gradient(g_loss, self.g_variables))
        if self.game.first == "generator":
            metrics = self._joint_update(turn, real, labels, fakes)
        return {**metrics, "g_loss": g_loss}

    def _discriminator_update(self, turn: Turn, real: Any, labels: Any) -> dict[str, tf.Tensor]:
        if self.game.d_update == "joint":
            return self._joint_update(turn, real, labels, self._fakes(turn))
        with self._watch(self.d_variables) as tape:
            real_logits = self._discriminate(real, labels, turn.on_real)
            d_real = self._mean(self.loss.d["d_real"](real_logits, None))
            loss = self.d_scale * d_real
        self._descend_in_d(tape.gradient(loss, self.d_variables))
        fakes = self._fakes(turn)
        with self._watch(self.d_variables) as tape:
            fake_logits = self._discriminate(fakes, turn.labels, turn.on_fake)
            d_fake = self._mean(self.loss.d["d_fake"](None, fake_logits))
            loss = self.d_scale * d_fake
        self._descend_in_d(tape.gradient(loss, self.d_variables))
        return self._d_metrics({"d_real": d_real, "d_fake": d_fake}, real_logits, fake_logits, real, fakes)

    def _joint_update(self, turn: Turn, real: Any, labels: Any, fakes: Any) -> dict[str, tf.Tensor]:
        """One D update on the sum of the loss's terms, G held fixed."""
        with self._watch(self.d_variables) as tape:
            real_logits, fake_logits = self._real_and_fake_logits(turn, real, labels, fakes)
            terms = self._d_terms(real_logits, fake_logits)
            loss = self.d_scale * _sum(terms)
            penalty = {} if self.penalty is None else {"penalty": self._penalty(turn, real, labels, fakes)}
            loss = _sum({"loss": loss, **penalty})
        self._descend_in_d(tape.gradient(loss, self.d_variables))
        return penalty | self._d_metrics(terms, real_logits, fake_logits, real, fakes)

    def _descend_in_d(self, gradients: Any) -> None:
        self.d_optimizer.apply(gradients)
        if self.game.clip:
            clip_weights(self.d_variables, self.game.clip)

    def _penalty(self, turn: Turn, real: Any, labels: Any, fakes: Any) -> tf.Tensor:
        """What D pays for its gradients: of its logits by its inputs, each example's own."""
        assert self.penalty is not None
        rows, rest = num_rows(real, self.batch_axis), real.shape[self.batch_axis + 1 :]

        def draw(seed: tf.Tensor, *rest: int) -> tf.Tensor:
            return tf.cast(draw_uniform(rows, seed, *rest), real.dtype)

        shares, numbers = tf.unstack(turn.in_penalty, axis=-2)
        noise = Noise(draw(shares, *[1] * len(rest)), lambda: draw(numbers, *rest), self._deviation)
        sizes = []
        for side, x in self.penalty.points(real, fakes, noise).items():
            seed, given = (turn.on_real, labels) if side == "real" else (turn.on_fake, turn.labels)
            with self._watch([x]) as tape:
                logits = self._discriminate(x, given, seed)
            gradients = tape.gradient(logits, x)  # [B, …]
            squares = tf.reduce_sum(gradients**2, list(range(self.batch_axis + 1, x.shape.rank)))  # [B]
            sizes.append(self._mean(self.penalty.size(squares)))
        return self.game.penalty_weight * functools.reduce(operator.add, sizes)

    def _deviation(self, numbers: tf.Tensor) -> tf.Tensor:
        axes = list(range(self.batch_axis + 1, numbers.shape.rank))
        context = tf.distribute.get_replica_context()

        def mean(part: tf.Tensor) -> tf.Tensor:
            share = self._mean(tf.reduce_mean(part, axes))
            alone = context.num_replicas_in_sync == 1
            return share if alone else context.all_reduce(tf.distribute.ReduceOp.SUM, share)

        deviation = tf.sqrt(tf.maximum(mean(numbers**2) - mean(numbers) ** 2, 0))  # [], or of several seeds [S]
        return tf.reshape(deviation, [*deviation.shape, *[1] * (numbers.shape.rank - deviation.shape.rank)])

    def _real_and_fake_logits(self, turn: Turn, real: Any, labels: Any, fakes: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """D on both: in one pass where that is the same, in two where D takes batch statistics, unless it shall take them
        of both together."""
        if self.discriminator.uses_batch_statistics and self.game.d_batches == "apart":
            return self._discriminate(real, labels, turn.on_real), self._discriminate(fakes, turn.labels, turn.on_fake)
        axis = self.batch_axis
        both = tf.concat([real, fakes], axis)  # [2B, …]
        both_labels = None if labels is None else tf.concat([labels, turn.labels], axis)  # [2B]
        seeds = tf.stack([turn.on_real, turn.on_fake])  # [2, 2]
        logits = self.discriminator(both, both_labels, training=True, seed=seeds)
        real_logits, fake_logits = tf.split(logits, 2, axis)  # [B], [B]
        return real_logits, fake_logits

    def _generator_loss(self, turn: Turn, real: Any, labels: Any, fakes: tf.Tensor) -> tf.Tensor:
        judge = functools.partial(self._discriminate, seed=turn.in_g_step, training=self.game.d_dropout_in_g_step)
        real_logits = judge(real, labels) if self.loss.paired else None
        return self._mean(self.loss.g(real_logits, judge(fakes, turn.labels)))

    def _fakes(self, turn: Turn) -> tf.Tensor:
        return self._pack(self.generator(turn.latents, turn.labels, training=True, seed=turn.in_g[None]))

    def _pack(self, examples: Any) -> Any:
        return packed(examples, self.game.pack, self.batch_axis)

    def _discriminate(self, images: Any, labels: Any, seed: tf.Tensor, training: bool = True) -> tf.Tensor:
        return self.discriminator(images, labels, training=training, seed=seed[None])  # [B]

    def draw_noise(self, step: Any, rows: Any) -> dict[str, Turn]:
        """The noise of a step, by turn: "d0" … "g0" …, or "shared" where both players use one set of fakes.

        Args:
          step: Scalar, how many steps were done before; or [N] of them, and all that is drawn has an axis N in front.
          rows: This replica's examples, B.
        """
        if self.game.fakes == "shared":
            return {"shared": self._draw_turn("shared", step, rows)}
        turns = [*(f"d{i}" for i in range(self.game.d_steps)), *(f"g{j}" for j in range(self.game.g_steps))]
        return {turn: self._draw_turn(turn, step, rows) for turn in turns}

    def _draw_turn(self, turn: str, step: Any, rows: Any) -> Turn:
        seed = functools.partial(self._seed, step=step)
        latents = draw_latents(self.latents.distribution, self.latents.dim, rows, seed(f"latents/{turn}"))
        labels = draw_labels(self.num_labels, rows, seed(f"labels/{turn}")) if self.num_labels else None
        in_g, on_real, on_fake, in_g_step = (seed(f"dropout/{way}/{turn}") for way in ("g", "real", "fake", "d_in_g"))
        in_penalty = None
        if self.penalty and not turn.startswith("g"):
            in_penalty = tf.stack([seed(f"penalty/{what}/{turn}") for what in ("share", "each")], axis=-2)
        return Turn(latents, labels, in_g, on_real, on_fake, in_g_step, in_penalty)

    def losses(self, step: Any, real: Any, labels: Any) -> dict[str, tf.Tensor]:
        """Both losses of a step's batch with the networks as they are now, nothing updated (post P002's print).

        `step` is the last that was done. With `fakes="shared"` its latents are used again, else others are drawn.
        """
        turn, real = self._draw_turn("shared", step, num_rows(real, self.batch_axis)), self._pack(real)
        labels = labels if self.num_labels else None
        # Passes in training mode move BatchNorm's running statistics: put them back.
        statistics = [v.value for net in (self.generator, self.discriminator) for v in net.non_trainable_variables]
        before = [variable.read_value() for variable in statistics]
        fakes = self._fakes(turn)
        terms = self._d_terms(*self._real_and_fake_logits(turn, real, labels, fakes))
        g_loss = self._generator_loss(turn, real, labels, fakes)
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(value)
        return {"d_loss": self.d_scale * _sum(terms), **terms, "g_loss": g_loss}

    def _d_terms(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: self._mean(term(real_logits, fake_logits)) for name, term in self.loss.d.items()}

    def _d_metrics(
        self, terms: dict[str, tf.Tensor], real_logits: Any, fake_logits: Any, real: Any, fakes: Any
    ) -> dict[str, tf.Tensor]:
        metrics = {
            "d_loss": self.d_scale * _sum(terms), **terms,
            "p_real": self._mean(tf.sigmoid(real_logits)), "p_fake": self._mean(tf.sigmoid(fake_logits)),
        }  # fmt: skip
        if self.moments:
            for name, numbers in (("real", real), ("fake", fakes)):
                axes = list(range(self.batch_axis, numbers.shape.rank))
                metrics[f"{name}_mean"] = tf.reduce_mean(numbers, axes)
                metrics[f"{name}_std"] = tf.math.reduce_std(numbers, axes)
        return metrics

    def _seed(self, stream: str, step: Any) -> tf.Tensor:
        return step_seed(stream_key(self.seed, stream), step)  # [2], or [N, 2]

    def _mean(self, per_example: tf.Tensor) -> tf.Tensor:
        return global_mean(per_example)

    @staticmethod
    @contextlib.contextmanager
    def _watch(variables: list[tf.Variable]) -> Iterator[tf.GradientTape]:
        # Only one player's weights: the other's gradients would be computed for nothing.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            yield tape


class _Plain:
    """A Keras model of somebody else's, called as ours are: it draws its own dropout, and its logits are made [B]."""

    uses_batch_statistics = True  # unknown; two passes are right in any case

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.mixing = mixing_layers(model)
        self.non_trainable_variables = model.non_trainable_variables

    def __call__(self, x: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        out = self.model(x if labels is None else [x, labels], training=training)
        return tf.squeeze(out, axis=1) if out.shape.rank == 2 and out.shape[1] == 1 else out


def _with_seed(network: Any) -> Any:
    is_plain = isinstance(network, keras.Model) and "seed" not in inspect.signature(network.call).parameters
    return _Plain(network) if is_plain else network


def _latents_of(generator: Any) -> Latents:
    shapes = getattr(generator, "input_shape", None) if getattr(generator, "built", False) else None
    if shapes is None:
        raise UserError(
            "generator: it does not say how wide its latents are: begin it with keras.Input((Z,)), or give latents=Latents(dim=Z)."
        )
    shape = shapes[0] if isinstance(shapes[0], tuple) else shapes
    return Latents(dim=shape[-1])


def _ready(optimizer: Any, variables: Any) -> Any:
    if isinstance(optimizer, keras.optimizers.Optimizer) and not optimizer.built:
        optimizer.build(variables)
    return optimizer


def _sum(terms: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return functools.reduce(operator.add, terms.values())
