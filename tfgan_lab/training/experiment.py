"""From a config to a thing that can be trained: data, networks, optimisers, task, on their devices."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab import data as data_lib
from tfgan_lab import networks as networks_lib
from tfgan_lab.averages import Average
from tfgan_lab.config import ClassifierConfig, Config, GanConfig
from tfgan_lab.errors import UserError
from tfgan_lab.gan import GAN
from tfgan_lab.optimizers import make_optimizer
from tfgan_lab.placement.strategy import make_strategy
from tfgan_lab.supervised import Supervised
from tfgan_lab.training.memory import refuse_beyond_memory, weights_that_fit


@dataclasses.dataclass
class Experiment:
    """All parts of one run.

    Attributes:
      config: The validated config.
      source: Its data (`tfgan_lab.data.Source`).
      batches: Step number to batch.
      strategy: Where it runs.
      networks: By role: generator, discriminator and (with `ema`) average, or classifier.
      optimizers: By role.
      task: `GAN` or `Supervised`.
    """

    config: Config
    source: data_lib.Source
    batches: Any
    strategy: tf.distribute.Strategy
    networks: dict[str, Any]
    optimizers: dict[str, Any]
    task: Any

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def total_steps(self) -> int:
        return self.config.steps or max(1, round(self.config.epochs * self.batches.steps_per_epoch))

    def state(self) -> dict[str, list[tf.Variable]]:
        """Every variable of the run by owner, for checkpoints.

        Lists of variables, because `tf.train.Checkpoint` of a Keras 3 model silently leaves out layers that
        it holds in Python lists.
        """
        networks = {role: [v.value for v in network.variables] for role, network in self.networks.items()}
        return networks | {f"{role}_optimizer": optimizer.state for role, optimizer in self.optimizers.items()}


def build(config: Config, source: data_lib.Source) -> Experiment:
    """Builds an experiment; all variables are made here, in the strategy's scope.

    Raises:
      UserError: Data that does not go with the config; more than there is memory for; a placement that cannot be had.
    """
    strategy = make_strategy(config)
    per_step = config.game.real_batches if isinstance(config, GanConfig) else 1
    batches = make_batches(config, source, per_step)
    with strategy.scope(), computing_in(config.precision), weights_that_fit():
        networks: dict[str, Any]
        if isinstance(config, ClassifierConfig):
            networks = {"classifier": networks_lib.build_classifier(config, source.shape)}
            numbers = {"classifier": config.optimizer}
        else:
            networks = {
                "generator": networks_lib.build_generator(config, source.shape),
                "discriminator": networks_lib.build_discriminator(config, source.shape),
            }
            numbers = {"generator": config.g_optimizer, "discriminator": config.d_optimizer}
        fields = {"classifier": "optimizer", "generator": "g_optimizer", "discriminator": "d_optimizer"}
        optimizers = {
            role: make_optimizer(numbers[role], network.trainable_variables, fields[role])
            for role, network in networks.items()
        }
        average = None
        if isinstance(config, GanConfig) and config.ema:
            networks["average"] = networks_lib.build_generator(config, source.shape)
            average = Average(config.ema, networks["generator"], networks["average"])
    if isinstance(config, GanConfig):
        numbers_drawn = config.num_samples * (config.latents.dim + math.prod(source.shape))
        # As floats, as pixels and in a picture.
        refuse_beyond_memory(f"num_samples={config.num_samples:,}", 12 * numbers_drawn, "use fewer")
    task: Any
    if isinstance(config, ClassifierConfig):
        task = Supervised(networks["classifier"], optimizers["classifier"], config.loss, config.shift, config.seed)
    else:
        task = GAN(
            networks["generator"], networks["discriminator"], optimizers["generator"], optimizers["discriminator"],
            config.game, config.latents, config.num_labels, config.seed, moments=config.data.reports_moments,
            average=average,
        )  # fmt: skip
    return Experiment(config, source, batches, strategy, networks, optimizers, task)


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers made inside multiply in that precision; their variables are float32 (with "float32": as Keras is set)."""
    before = keras.config.dtype_policy()
    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_batches(config: Config, source: data_lib.Source, per_step: int) -> Any:
    """The training batches of a config's data."""
    for part in (source.train, source.test) if getattr(config, "num_labels", 0) else ():
        highest = int(part.labels.max()) if part is not None and part.labels is not None else 0
        if highest >= config.num_labels:  # type: ignore[union-attr]
            raise UserError(
                f"num_labels={config.num_labels}, but the data has label {highest} ({part.provenance}): use --config.num_labels={highest + 1}."  # type: ignore[union-attr]
            )
    return source.batches(config.data, config.batch_size, per_step, config.seed)
