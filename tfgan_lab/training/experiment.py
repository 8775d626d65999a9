"""From a config to a thing that can be trained: data, networks, optimisers, task, on their devices."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgan_lab import data as data_lib
from tfgan_lab.averages import Average
from tfgan_lab.config import ClassifierConfig, Config, GanConfig
from tfgan_lab.errors import UserError
from tfgan_lab.gan import GAN
from tfgan_lab.networks import build_networks
from tfgan_lab.optimizers import make_optimizer
from tfgan_lab.placement.strategy import make_strategy
from tfgan_lab.supervised import Supervised
from tfgan_lab.training.memory import refuse_beyond_memory, weights_that_fit

# The config's field for each network's optimiser.
OPTIMIZERS = {"classifier": "optimizer", "generator": "g_optimizer", "discriminator": "d_optimizer"}


@dataclasses.dataclass
class Experiment:
    """All parts of one run."""

    config: Config
    source: data_lib.Source
    batches: Any  # from a step's number to its batch
    strategy: tf.distribute.Strategy
    networks: dict[str, Any]  # by role: generator, discriminator and (with `ema`) average; or classifier
    optimizers: dict[str, Any]  # by role
    task: Any  # `GAN` or `Supervised`

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
    batches = make_batches(config, source)
    with strategy.scope(), computing_in(config.precision), weights_that_fit():
        networks = build_networks(config)
        optimizers, average = make_optimizers(config, networks), average_of(config, networks)
    task: Any
    if isinstance(config, ClassifierConfig):
        task = Supervised(networks["classifier"], optimizers["classifier"], config.loss, config.shift, config.seed)
    else:
        numbers_drawn = config.num_samples * (config.latents.dim + math.prod(config.data.shape))
        # As floats, as pixels and in a picture.
        refuse_beyond_memory(f"num_samples={config.num_samples:,}", 12 * numbers_drawn, "use fewer")
        task = GAN(
            networks["generator"], networks["discriminator"], optimizers["generator"], optimizers["discriminator"],
            config.game, config.latents, config.num_labels, config.seed, moments=config.data.reports_moments,
            average=average,
        )  # fmt: skip
    return Experiment(config, source, batches, strategy, networks, optimizers, task)


def blank_experiment(config: Config) -> Experiment:
    """A config's experiment on one device and without data: black images satisfy the pipeline."""
    rows, shape = config.batch_size * _real_batches(config), config.data.shape
    nowhere, labels = data_lib.Provenance("none", "train", rows, ""), np.zeros(rows, np.int32)
    examples = data_lib.Examples(rows, shape, nowhere, np.zeros((rows, *shape), np.uint8), labels)
    return build(dataclasses.replace(config, placement="one"), data_lib.Source(examples, None, "no data"))


def make_optimizers(config: Any, networks: Mapping[str, Any]) -> dict[str, Any]:
    """By role, for all networks that are trained."""
    return {
        role: make_optimizer(getattr(config, field), networks[role].trainable_variables, field)
        for role, field in OPTIMIZERS.items()
        if role in networks
    }


def average_of(config: Any, networks: Mapping[str, Any]) -> Average | None:
    """What keeps the average of the generator's weights, where the config wants one."""
    return Average(config.ema, networks["generator"], networks["average"]) if "average" in networks else None


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


def make_batches(config: Config, source: data_lib.Source) -> Any:
    """The training batches of a config's data."""
    for part in (source.train, source.test) if getattr(config, "num_labels", 0) else ():
        highest = int(part.labels.max()) if part is not None and part.labels is not None else 0
        if highest >= config.num_labels:  # type: ignore[union-attr]
            raise UserError(
                f"num_labels={config.num_labels}, but the data has label {highest} ({part.provenance}): use --config.num_labels={highest + 1}."  # type: ignore[union-attr]
            )
    return source.batches(config.data, config.batch_size, _real_batches(config), config.seed)


def _real_batches(config: Config) -> int:
    return config.game.real_batches if isinstance(config, GanConfig) else 1
