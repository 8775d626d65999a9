"""What one of our steps draws, recomputed from (seed, stream, step) and laid out as the PyTorch peers take it.

Written apart from `gan.py` on purpose: it states once more which streams a step reads and in which order, so that
parity also finds a change of either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgan_lab.config import Config, GanConfig
from tfgan_lab.layer_base import Layer, every_layer
from tfgan_lab.layers import Dropout
from tfgan_lab.randomness import draw_labels, draw_latents, step_seed, stream_key


@dataclasses.dataclass(frozen=True)
class StepInputs:
    """The arguments of a peer's `step`."""

    real: np.ndarray  # the real batch, channels first; the Gaussian's [1, N]
    labels: np.ndarray | None  # int [B]; None where the networks take none
    draws: tuple[np.ndarray, ...]  # latents and random labels in the peer's order
    masks: dict[str, list[np.ndarray]]  # by role, dropout's keep-masks bool [B, units] as a peer's layers run


def step_inputs(config: Config, step: int, images: np.ndarray, labels: np.ndarray) -> StepInputs:
    """The inputs of a step (how many were done before) for a peer; the batch is [B, H, W, C] or [N, 1], labels int [B]."""
    real = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images.reshape(1, -1)  # [B, C, H, W] or [1, N]
    if not isinstance(config, GanConfig):
        return StepInputs(real, labels, (), {})
    draws: list[np.ndarray] = []
    for turn in turns(config):
        classes = [step_labels(config, turn, step, len(images))] if config.num_labels else []
        latents = [step_latents(config, turn, step, len(images))]
        draws += latents + classes if turn == "shared" else classes + latents
    masks = _all_masks(config, step, len(images))
    return StepInputs(real, labels if config.num_labels else None, tuple(draws), masks)


def turns(config: GanConfig) -> list[str]:
    """Names of the step's draws of fakes, in order."""
    if config.game.fakes == "shared":
        return ["shared"]
    return [f"d{i}" for i in range(config.game.d_steps)] + [f"g{j}" for j in range(config.game.g_steps)]


def step_latents(config: GanConfig, turn: str, step: int, rows: int) -> np.ndarray:
    """float32 [rows, Z]: the latents of one turn of a step."""
    return draw_latents(
        config.latents.distribution, config.latents.dim, rows, stream_seed(config, f"latents/{turn}", step)
    ).numpy()


def step_labels(config: GanConfig, turn: str, step: int, rows: int) -> np.ndarray:
    """int32 [rows]: the random labels of one turn of a step."""
    return draw_labels(config.num_labels, rows, stream_seed(config, f"labels/{turn}", step)).numpy()


def stream_seed(config: Config, stream: str, step: int) -> tf.Tensor:
    """int64 [2]: the seed of a stream at a step."""
    return step_seed(stream_key(config.seed, stream), step)


def dropout_layers(layers: Sequence[Layer]) -> list[tuple[int, int, float]]:
    """(number, units, rate) of a dense network's dropout layers in the order in which they run."""
    found: list[tuple[int, int, float]] = []
    units = 0
    for one in every_layer(layers):
        units = getattr(one, "units", units)
        if isinstance(one, Dropout):
            found.append((len(found), units, one.rate))
    return found


def keep_masks(config: GanConfig, role: str, stream: str, step: int, rows: int) -> list[np.ndarray]:
    """bool [rows, units] for every dropout layer that one pass through a network runs."""
    masks = []
    for number, units, rate in dropout_layers(getattr(config, role)):
        seed = stream_seed(config, stream, step) + tf.constant([number, 0], tf.int64)
        masks.append((tf.random.stateless_uniform([rows, units], seed, alg="philox") >= rate).numpy())
    return masks


def _all_masks(config: GanConfig, step: int, rows: int) -> dict[str, list[np.ndarray]]:
    game, every = config.game, turns(config)
    in_d_step = [f"dropout/{what}/{turn}" for turn in every if turn[0] != "g" for what in ("real", "fake")]
    in_g_step = [f"dropout/d_in_g/{turn}" for turn in every if turn[0] != "d"] if game.d_dropout_in_g_step else []
    streams = {
        "generator": [f"dropout/g/{turn}" for turn in every],
        "discriminator": in_g_step + in_d_step if game.first == "generator" else in_d_step + in_g_step,
    }
    return {
        role: [mask for stream in own for mask in keep_masks(config, role, stream, step, rows)]
        for role, own in streams.items()
    }
