"""A PyTorch peer's training, apart from measuring it, so that a machine with PyTorch alone can do it.

`evidence/train_peers.py` trains many seeds on a GPU and leaves their weights where `tfgan-lab compare ledger --peers`
looks for them: FOLDER/ARM/peer,seed=N/weights.npz.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.config import ClassifierConfig, Config, from_json, to_json
from tfgan_lab.errors import UserError
from tfgan_lab.layer_base import every_layer
from tfgan_lab.layers import ConvTranspose
from tfgan_lab.parity.state_files import read_state, write_state

FILE = "weights.npz"
_ABOUT = "about"
States = dict[str, dict[str, np.ndarray]]


def data_seed(config: Config) -> int:
    """Of a peer's training: another than its start weights had, for its data must not be the numbers they were made of."""
    return config.seed + 2**31


def for_torch(config: Any, images: np.ndarray, labels: np.ndarray | None) -> tuple[Any, Any]:
    """A training split, uint8 [N, H, W, C] and integers [N] (zeros if None), as the peers take it.

    Images in the config's range, [N, C, H, W] where the first network is convolutional, else [N, H W C]; labels [N].
    """
    import torch

    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255  # [N, C, H, W]
    if config.data.pixels == "tanh":
        pictures = pictures * 2 - 1
    convolutional = isinstance(config, ClassifierConfig) or any(
        isinstance(one, ConvTranspose) for one in every_layer(config.generator)
    )
    classes = torch.zeros(len(images)) if labels is None else torch.from_numpy(labels)  # [N]
    return pictures if convolutional else pictures.flatten(1), classes.long()


def train_peer(
    config: Config, steps: int, images: np.ndarray | None = None, labels: np.ndarray | None = None
) -> States:
    """Trains a config's peer by its own loop; returns its weights by role. Without images its data are drawn."""
    from tfgan_lab.parity.peers import make_peer

    peer = make_peer(config, config.seed)
    program = sys.modules[type(peer).__module__]
    if images is None:
        program.train(steps=steps, seed=data_seed(config), program=peer)
    else:
        program.train(*for_torch(config, images, labels), steps, config.batch_size, data_seed(config), peer)
    return states_of(peer)


def states_of(peer: Any) -> States:
    """A peer's weights by role."""
    return {
        role: {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
        for role, network in peer.networks.items()
    }


def keep(folder: Path, config: Config, steps: int, states: States, made: Mapping[str, Any], started: float) -> None:
    """Writes the weights of a peer that was trained for so many steps, `started` by `time.perf_counter`.

    `made` is more that the outcome should tell, such as the device.
    """
    about = {
        "config": json.loads(to_json(config)), "step": steps, "train_seconds": round(time.perf_counter() - started, 1), **made
    }  # fmt: skip
    arrays = {f"{role}/{name}": array for role, state in states.items() for name, array in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder / FILE, arrays | {_ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)})


def kept(folder: Path) -> tuple[Config, dict[str, Any], States] | None:
    """What `keep` wrote: the config, what else is told of the training, and the weights; None if nothing is there.

    Raises:
      UserError: The file is damaged or of something else.
    """
    path = folder / FILE
    if not path.exists():
        return None
    arrays = read_state(path)
    try:
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        config = from_json(json.dumps(about.pop("config")), str(path))
        states: States = {}
        for name, array in arrays.items():
            role, _, tensor = name.partition("/")
            states.setdefault(role, {})[tensor] = np.asarray(array, np.float32)
        return config, about, states
    except (KeyError, ValueError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"{path} holds no weights of a peer ({error}): delete it, and the peer is trained again."
        ) from None
