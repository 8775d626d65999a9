"""A PyTorch state_dict of a post's network as a run that `sample`, `export` and `train` accept, and back.

float32 weights survive the way there and back bit for bit; smaller types widen exactly, float64 is rounded to float32.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab import config as config_lib
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError, nearest
from tfgan_lab.parity.state_files import read_state, write_state
from tfgan_lab.parity.weights import from_torch, pairs_of, to_torch
from tfgan_lab.training.checkpoints import Checkpoints
from tfgan_lab.training.experiment import blank_experiment
from tfgan_lab.training.restored import restore_run
from tfgan_lab.training.workdir import Workdir, environment

_MOST_STEPS = 10**12  # its thousandfold, which numbers batches of an evaluation, is an int64


def import_torch(
    state_dict_path: str | os.PathLike[str], config_reference: str | config_lib.Config, workdir: str | os.PathLike[str],
    role: str | None = None, discriminator_path: str | os.PathLike[str] | None = None, step: int = 1,
) -> Workdir:  # fmt: skip
    """Makes a run from a state_dict.

    Args:
      state_dict_path: A .pt or .pth of `network.state_dict()`, or an .npz or .safetensors of arrays
        under the same names (see `weights`).
      config_reference: The config of that network: a name, "path.py:variant", or a config.
      workdir: A new or empty folder.
      role: Whose weights they are: "generator", "discriminator" or "classifier"; by default the network that a run is
        for.
      discriminator_path: Also the discriminator's state_dict. A network without one starts as the config says.
      step: How many steps it was trained, > 0: the checkpoint's number, where `train` continues. The optimisers start
        from zero.

    Returns:
      The run: config.json, run.json (which says what was imported) and a checkpoint.

    Raises:
      UserError: Files that cannot be read or do not fit (tensors named), or a folder that holds something.
    """
    if not 1 <= step <= _MOST_STEPS:
        raise UserError(f"--step={step}: how many steps it was trained, 1 to {_MOST_STEPS:,}.")
    if role == "average":
        raise UserError("--role=average: the average of a generator's weights starts as the generator: import that.")
    config = config_lib.validate(
        load_config(config_reference) if isinstance(config_reference, str) else config_reference
    )
    experiment = blank_experiment(config)
    networks = experiment.networks
    paths = {_role(role, networks, config): Path(state_dict_path)}
    if discriminator_path is not None:
        if "discriminator" in paths or "discriminator" not in networks:
            raise UserError(
                f"--discriminator={discriminator_path}: {config.name} takes no (second) discriminator: omit it."
            )
        paths["discriminator"] = Path(discriminator_path)
    imported = {role: _load(role, networks[role], path, config) for role, path in paths.items()}
    if "average" in networks:
        for average, variable in zip(networks["average"].variables, networks["generator"].variables, strict=True):
            average.assign(variable)
    folder = Workdir(workdir)
    if folder.exists():
        raise UserError(f"--workdir={folder.path} holds a run already: name a new or empty folder.")
    folder.claim()
    try:
        metrics = len(experiment.task.metric_names)
        Checkpoints(folder.checkpoints, experiment.state(), metrics, config.keep_checkpoints).save(
            step, np.zeros(metrics + 1)
        )
        folder.write_record(imported=imported, **environment())
        # Last: a folder without it holds no run.
        folder.keep_config(config)
    finally:
        folder.release()
    return folder


def export_torch(workdir: str | os.PathLike[str], out: str | os.PathLike[str], role: str | None = None) -> Path:
    """Writes a run's network as a state_dict that the post's PyTorch network loads (`strict=True`).

    Args:
      workdir: A trained (or imported) run.
      out: .pt or .pth (needs PyTorch), .npz, or .safetensors.
      role: As in `import_torch`; or, of a run with `ema`, "average": what is drawn from, and its default.

    Returns:
      `out`.

    Raises:
      UserError: No run there, no such role, no post's network, or `out` cannot be written.
    """
    run = restore_run(workdir)
    role = role or ("average" if "average" in run.networks else None)
    role = _role(role, run.networks, run.config)
    counters = run.workdir.read_record().get("imported", {}).get(role, {}).get("counters", {})
    write_state(out, to_torch(run.networks[role], run.config.post, counters))
    return Path(out)


def _role(role: str | None, networks: dict[str, Any], config: config_lib.Config) -> str:
    role = role or next(iter(networks))
    if role not in networks:
        raise UserError(f"--role={role}: {config.name} has no such network.{nearest(role, networks)}")
    return role


def under_posts_names(state: Mapping[str, Any], network: Any, post: str) -> dict[str, Any]:
    """A state_dict under the names of the post's network, if it is one of the same layers.

    Prefixes that all names share go ("module." of DataParallel, "net."), and the layers of a plain nn.Sequential are
    taken in order. What does not fit so stays as it is.
    """
    expected = [pair.name for pair in pairs_of(network, post)]
    names = {name: name for name in state}
    while not set(expected) & set(names.values()):
        heads = {name.partition(".")[0] for name in names.values()}
        if len(heads) != 1 or not all(name.partition(".")[2] for name in names.values()):
            break
        names = {name: short.partition(".")[2] for name, short in names.items()}
    if all(re.fullmatch(r"\d+\.\w+", short) for short in names.values()):
        modules = list(dict.fromkeys(name.rpartition(".")[0] for name in expected))
        places = sorted({int(short.partition(".")[0]) for short in names.values()})
        if len(places) == len(modules):
            own = dict(zip(places, modules, strict=True))
            parts = {name: short.split(".") for name, short in names.items()}
            names = {name: f"{own[int(place)]}.{tensor}" for name, (place, tensor) in parts.items()}
    if not set(expected) & set(names.values()):
        return dict(state)
    return {names[name]: value for name, value in state.items()}


def _load(role: str, network: Any, path: Path, config: config_lib.Config) -> dict[str, Any]:
    state = under_posts_names(read_state(path, role), network, config.post)
    counters = from_torch(network, state, config.post, str(path))
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "counters": counters}
