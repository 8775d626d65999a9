"""A finished (or stopped) run, ready to draw from: its config and its networks with their last weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgan_lab import pretrained
from tfgan_lab.config import Config
from tfgan_lab.errors import UserError
from tfgan_lab.networks import build_networks
from tfgan_lab.training.checkpoints import read_networks
from tfgan_lab.training.workdir import Workdir, config_of


@dataclasses.dataclass(frozen=True)
class RestoredRun:
    """What can be drawn from, exported or judged."""

    workdir: Workdir  # of one that comes with the package: nothing is there
    config: Config
    networks: dict[str, Any]  # by role, on one device whatever it was trained on
    step: int  # how many it was trained
    trained_on: dict[str, Any]  # the provenance of its data, by split
    notes: list[str]  # lines to tell the user: damaged checkpoints passed over


def copied(config: Config, role: str, variables: Sequence[Any]) -> Any:
    """A network of a config with the values of these variables, on one device."""
    network = build_networks(config)[role]
    for new, old in zip(network.variables, variables, strict=True):
        new.assign(np.asarray(old))
    return network


def on_both_statistics(config: Config, role: str, variables: Sequence[Any]) -> dict[str, Any]:
    """A network twice, by what its BatchNorm takes outside training ("own", "running"); {} without one on images."""
    both = {which: copied(config, role, variables) for which in ("own", "running")}
    return both if all(network.take_statistics(which) for which, network in both.items()) else {}


def restore_run(path: str | os.PathLike[str], raw: bool = False) -> RestoredRun:
    """Restores a run from its folder, or "pretrained:NAME", a generator that comes with the package.

    With `raw` without the average of the generator's weights, so that the generator itself is drawn from.

    Raises:
      UserError: No run there, none or only damaged checkpoints, or checkpoints of other networks; raw, but no average.
    """
    config, workdir = config_of(path), Workdir(path)
    if raw and not getattr(config, "ema", 0):
        raise UserError(f"--raw: {path} keeps no average of its generator's weights (ema=0): omit --raw.")
    if (name := pretrained.name_in(path)) is not None:
        found = pretrained.load(name)
        return RestoredRun(
            workdir, config, {"generator": found.generator}, found.card["steps"], found.card["trained_on"], []
        )
    networks = build_networks(config)
    variables = {role: [v.value for v in network.variables] for role, network in networks.items()}
    step, notes = read_networks(workdir.checkpoints, variables)
    if step == 0:
        raise UserError(f"--workdir={path} has no checkpoint yet: train it with `tfgan-lab train --workdir={path}`.")
    if raw:
        del networks["average"]
    return RestoredRun(workdir, config, networks, step, workdir.read_record().get("data", {}), notes)
