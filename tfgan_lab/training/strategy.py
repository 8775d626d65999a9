"""Where a run is placed: one device, or one replica on each of several."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from tfgan_lab.config import GanConfig, Gaussian
from tfgan_lab.errors import UserError


def make_strategy(config: Any) -> tf.distribute.Strategy:
    """Chooses the strategy that `config.placement` names.

    "auto" takes one device, or all GPUs when there are several; "mirrored" one replica on each visible GPU or,
    without any, on each logical CPU device (make some with `tf.config.set_logical_device_configuration`).

    Raises:
      UserError: What cannot be split is asked to be, or the batch does not divide.
    """
    gpus, cpus = tf.config.list_logical_devices("GPU"), tf.config.list_logical_devices("CPU")
    if config.placement == "one" or (config.placement == "auto" and (len(gpus) < 2 or config.batch_size % len(gpus))):
        return tf.distribute.get_strategy()
    devices = [device.name for device in (gpus or cpus)]
    if len(devices) > 1 and isinstance(config, GanConfig) and isinstance(config.data, Gaussian):
        if config.placement == "auto":
            return tf.distribute.get_strategy()
        raise UserError(
            "placement: the Gaussian's discriminator reads its whole batch as one example, which cannot be split: use --config.placement=one."
        )
    if config.batch_size % len(devices):
        raise UserError(
            f"placement: batch_size {config.batch_size} cannot be split evenly over {len(devices)} replicas: use a multiple of {len(devices)}."
        )
    return _mirrored(tuple(devices))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # One per process: a second one numbers its collectives anew, and TensorFlow takes them for the first one's.
    return tf.distribute.MirroredStrategy(list(devices))
