"""How start values are distributed: a post's law of each tensor as quantiles, and how far ours is from it.

Copied weights hide how a network starts, so this is compared apart: a missing bias initialiser, for example.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfgan_lab.config import Config
from tfgan_lab.networks import build_networks
from tfgan_lab.parity.peers import make_peer
from tfgan_lab.parity.weights import COUNTER, pairs_of

_SEEDS = 4  # networks drawn: a single bias has four values
_MOST = 20_000  # numbers of a tensor taken from each: enough to tell a normal from one that is cut at two deviations
_LEVELS = np.linspace(0, 1, 17)
_ALPHA = 1e-6  # chance that one right tensor is called wrong

Laws = dict[str, dict[str, list[float]]]  # quantiles by role and tensor


def posts_laws(config: Config) -> Laws:
    """Quantiles of every tensor's start values over a few draws of the post's PyTorch networks."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for seed in range(_SEEDS):
        for role, network in make_peer(config, seed).networks.items():
            for name, tensor in network.state_dict().items():
                if not name.endswith(COUNTER):
                    found.setdefault(role, {}).setdefault(name, []).append(_some(tensor.numpy()))
    return {
        role: {name: np.quantile(np.concatenate(parts), _LEVELS).tolist() for name, parts in tensors.items()}
        for role, tensors in found.items()
    }


def our_starts(config: Config) -> dict[str, dict[str, np.ndarray]]:
    """As many start values of ours, by role and tensor."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for seed in range(_SEEDS):
        for role, network in build_networks(dataclasses.replace(config, seed=seed)).items():
            for pair in pairs_of(network, config.post):
                found.setdefault(role, {}).setdefault(pair.name, []).append(_some(pair.read()))
    return {role: {name: np.concatenate(parts) for name, parts in tensors.items()} for role, tensors in found.items()}


def distance(ours: np.ndarray, quantiles: list[float]) -> tuple[float, float]:
    """How far our numbers are from a law, and how far they may be.

    A constant must be that constant. Else: the largest distance between distribution functions at the law's
    quantiles, and Kolmogorov and Smirnov's bound for two samples of this size at the level 1e-6.
    """
    law = np.asarray(quantiles)
    if law[0] == law[-1]:
        return float(np.abs(ours - law[0]).max()), 0.0
    if ours.min() == ours.max():
        return 1.0, 0.0
    below = np.searchsorted(np.sort(ours), law, side="right") / len(ours)
    most = math.sqrt(-math.log(_ALPHA / 2) / 2) * math.sqrt(2 / len(ours))
    return float(np.abs(below - _LEVELS).max()), most


def all_distances(config: Config, laws: Mapping[str, Mapping[str, list[float]]]) -> list[tuple[str, str, float, float]]:
    """(role, tensor, distance, bound) of every tensor."""
    starts: Any = our_starts(config)
    return [
        (role, name, *distance(starts[role][name], quantiles))
        for role, tensors in laws.items()
        for name, quantiles in tensors.items()
    ]


def _some(array: np.ndarray) -> np.ndarray:
    flat = array.ravel()
    return flat[:: max(1, len(flat) // _MOST)][:_MOST]
