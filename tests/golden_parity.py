"""Golden records: what the PyTorch peers computed, so that parity can be checked where PyTorch is absent.

`python tests/golden_parity.py tests/golden/parity.json` makes them again (it needs PyTorch). A record holds, in
float64, the losses of a few steps, five numbers of every tensor after them, and the laws of the start values. Weights
and batches come from NumPy's PCG64 and latents are uniform: so no rounding of a random number depends on the machine.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from tfgan_lab.parity import laws
from tfgan_lab.parity.peers import make_peer
from tfgan_lab.parity.sides import OurSide, TheirSide, common_start
from tfgan_lab.parity.steps import CONFIGS, Row, compared, dtype_policy, parity_config, start_rows
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.experiment import blank_experiment

_STEPS, _BATCH = 3, 4
_TOLERANCE = 1e-10  # see `parity`
_TOLERANCE_FREE = 1e-7


def record(name: str) -> dict[str, Any]:
    """What a config's peer computes. Raises `UserError` if PyTorch is absent."""
    config = _config(name)
    peer_laws = laws.posts_laws(config)
    theirs = TheirSide(make_peer(config, 0), config, "float64")
    for role in theirs.peer.networks:
        shapes = {key: array.shape for key, array in theirs.weights(role).items()}
        theirs.load(role, common_start(role, shapes, "float64"))
    losses = [theirs.step(step, *_batch(config, step)) for step in range(_STEPS)]
    weights = {
        role: {key: _numbers(array) for key, array in theirs.weights(role).items()} for role in theirs.peer.networks
    }
    rounded = {
        role: {key: [float(f"{q:.6g}") for q in quantiles] for key, quantiles in tensors.items()}
        for role, tensors in peer_laws.items()
    }
    return {"losses": losses, "weights": weights, "start": rounded}


def check(name: str, kept: dict[str, Any]) -> list[Row]:
    """Our side against a record, without PyTorch: a row per loss and tensor, in the order in which they come about."""
    config = _config(name)
    rows = start_rows(config, kept["start"])
    with dtype_policy("float64"):
        ours = OurSide(blank_experiment(config))
        for role in ours.networks:
            ours.load(role, common_start(role, {pair.name: pair.shape for pair in ours.pairs[role]}, "float64"))
        for step, losses in enumerate(kept["losses"]):
            mine, _ = ours.watched_step(step, *_batch(config, step))
            rows += [
                compared(f"step {step + 1}: loss", key, mine[key], loss, _TOLERANCE) for key, loss in losses.items()
            ]
        for role, tensors in kept["weights"].items():
            stage, weights = f"weights after {len(kept['losses'])} steps", ours.weights(role)
            for key, numbers in tensors.items():
                tolerance = _TOLERANCE_FREE if key in ours.free[role] else _TOLERANCE
                rows.append(compared(stage, f"{role} {key}", _numbers(weights[key]), numbers, tolerance))
    return rows


def _config(name: str) -> Any:
    config = parity_config(name, _BATCH)
    if hasattr(config, "latents") and config.latents.distribution == "normal":
        config.latents.distribution = "uniform"
    if name == "cgan_maxout":
        # Its start is the config's choice, not the post's: records must not change with it.
        config.g_init.std = config.d_init.std = 0.02
    return config


def _batch(config: Any, step: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.Generator(np.random.PCG64(step))
    images = random.random((config.batch_size, *config.data.shape))
    if config.data.moments:
        mean, std = config.data.moments
        return mean + std * (images * 4 - 2), np.zeros(config.batch_size, np.int32)
    images = images if config.data.pixels == "unit" else images * 2 - 1
    return images, random.integers(0, 10, config.batch_size, dtype=np.int32)


def _numbers(array: np.ndarray) -> list[float]:
    """Mean, root mean square and three values of a tensor."""
    flat = array.ravel()
    return [*map(float, (flat.mean(), np.sqrt(np.square(flat).mean()), flat[0], flat[len(flat) // 2], flat[-1]))]


def write(path: str) -> None:
    """Makes the records of all configs and writes them, one config a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(record(name))}" for name in CONFIGS]
    write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


if __name__ == "__main__":
    write(sys.argv[1])
