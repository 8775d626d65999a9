"""Where a run is placed: one device, one replica on each of several, or several processes of them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfgan_lab.errors import UserError
from tfgan_lab.placement.cluster import join, several_named


def is_multi_worker(config: Any) -> bool:
    """Whether the run is spread over processes; nothing is started."""
    return config.placement == "multi_worker" or (config.placement == "auto" and several_named())


def make_strategy(config: Any) -> tf.distribute.Strategy:
    """Chooses the strategy that `config.placement` names.

    "auto" takes the workers of $TF_CONFIG if it names several, else all GPUs if there are several and the run can
    be split over them, else one device; "mirrored" one replica on each visible GPU or, without any, on each logical CPU
    device, or on the first `config.replicas` of them; "multi_worker" all GPUs (or the CPU) of each worker.

    Raises:
      UserError: What cannot be split is asked to be, or the batch does not divide, or there are too few devices.
    """
    if is_multi_worker(config):
        strategy = join()[1]
        _refuse_unsplittable(config, strategy.num_replicas_in_sync)
        return strategy
    if config.placement == "one":
        return tf.distribute.get_strategy()
    gpus, cpus = tf.config.list_logical_devices("GPU"), tf.config.list_logical_devices("CPU")
    if config.placement == "auto" and (
        len(gpus) < 2
        or config.batch_size % (len(gpus) * _pack(config))
        or config.data.batch_is_one_example
        or _clips_before_the_sum(config)
    ):
        return tf.distribute.get_strategy()
    devices = [device.name for device in (gpus or cpus)]
    wanted = config.replicas or len(devices)
    if wanted > len(devices):
        raise UserError(
            f"placement: --config.replicas={wanted}, but there are {len(devices)} devices to put them on: use at most {len(devices)}."
        )
    _refuse_unsplittable(config, wanted)
    return _mirrored(tuple(devices[:wanted]))


def _clips_before_the_sum(config: Any) -> bool:
    optimizers = (getattr(config, name, None) for name in ("optimizer", "g_optimizer", "d_optimizer"))
    return any(getattr(one, "before_the_sum", ()) for one in optimizers)


def _refuse_unsplittable(config: Any, replicas: int) -> None:
    if replicas > 1 and config.data.batch_is_one_example:
        raise UserError(
            "placement: a discriminator of numbers reads its whole batch as one example, which cannot be split: use --config.placement=one."
        )
    if config.batch_size % (replicas * _pack(config)):
        packs = f" in packs of {_pack(config)}" if _pack(config) > 1 else ""
        raise UserError(
            f"placement: batch_size {config.batch_size} cannot be split evenly over {replicas} replicas{packs}: "
            f"use a multiple of {replicas * _pack(config)}."
        )


def _pack(config: Any) -> int:
    return config.game.pack if config.kind == "gan" else 1


_mirrored_over: dict[tuple[str, ...], tf.distribute.Strategy] = {}


def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # One per process: a second one numbers its collectives from zero, and TensorFlow takes them for the first one's.
    if devices not in _mirrored_over:
        if _mirrored_over:
            raise UserError(
                f"placement: this process already runs on {len(next(iter(_mirrored_over)))} replicas, and TensorFlow keeps to one number: "
                f"start another process for {len(devices)}."
            )
        _mirrored_over[devices] = tf.distribute.MirroredStrategy(list(devices))
    return _mirrored_over[devices]
