"""Forks: a run that starts from the state of another, with a changed config."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab import pretrained
from tfgan_lab.config import Changes, differences
from tfgan_lab.errors import UserError
from tfgan_lab.layer_base import every_node
from tfgan_lab.networks import build_networks
from tfgan_lab.system.runtime import no_pattern
from tfgan_lab.training.checkpoints import Checkpoints
from tfgan_lab.training.experiment import OPTIMIZERS, Experiment
from tfgan_lab.training.terminal import say
from tfgan_lab.training.workdir import Workdir, checkpoint_steps, config_at, place_of


class Start:
    """The state that a fork starts from.

    Args:
      start: A run's folder, "RUN@STEP" (else its newest checkpoint), or "pretrained:NAME", of which the generator starts.

    Attributes:
      place, step: Where the state is from.
      config: That run's.
      data_dir, data: Where its data was, and their provenance by split; None and {} of what comes with the package.

    Raises:
      UserError: No such run, no checkpoint of that step (it names those that exist), or a damaged one.
    """

    def __init__(self, start: str | os.PathLike[str]) -> None:
        self.config = config_at(start)
        self.place, step = place_of(start)
        self.step, self.data_dir, self.data, self._held = 0, None, {}, {}
        if (name := pretrained.name_in(self.place)) is not None:
            networks = {"generator": pretrained.load(name).generator}
        else:
            folder = Workdir(self.place)
            self.place, self.step = os.path.abspath(self.place), _step_in(folder.checkpoints, step, os.fspath(start))
            record = folder.read_record()
            self.data_dir, self.data = record.get("data_dir"), record.get("data", {})
            self._held, networks = _checkpoint(folder.checkpoints, self.step), build_networks(self.config)
            try:
                for role, network in networks.items():
                    for variable, value in zip(network.variables, self._held[role], strict=True):
                        variable.assign(value)
            except (KeyError, ValueError):
                raise UserError(
                    f"--from={os.fspath(start)}: its checkpoint is of other networks than its config's."
                ) from None
        self._networks = {role: _named(network) for role, network in networks.items()}

    def into(self, experiment: Experiment) -> Fork:
        """Gives the state to an experiment's variables.

        Raises:
          UserError: It is a run of another kind, trainable weights differ in name or shape, or it is as long as this config.
        """
        notes: list[str] = []
        old, new = self.config, experiment.config
        if self.step >= experiment.total_steps:
            raise UserError(
                f"--from={self.place}: it is at step {self.step:,}, and this config ends at {experiment.total_steps:,}: set "
                "--config.steps, or name an earlier step as RUN@STEP."
            )
        if old.kind != new.kind:
            raise UserError(
                f"--from={self.place}: it is a run of kind {old.kind!r}, and this config is a {new.kind!r}."
            )
        with experiment.strategy.scope():
            for role, network in experiment.networks.items():
                if role in self._networks:
                    notes += self._carry(role, network, self._networks[role])
                elif role == "average":
                    notes.append("ema: the average begins as the generator is")
                    self._carry(role, network, self._networks["generator"])
                else:
                    notes.append(f"{role}: it begins again")
            for role, optimizer in experiment.optimizers.items():
                notes += self._remember(role, optimizer, new)
        if "average" in self._networks and "average" not in experiment.networks:
            notes.append("ema: the average of that run is left behind")
        elif "average" in self._networks and any(note.startswith("g_optimizer") for note in notes):
            notes.append("ema: its warm-up begins again, as it counts g_optimizer's steps")
        pending = self._held["pending"][0] if self._held and _logged(old) == _logged(new) else None
        return Fork(self, experiment, notes, pending)

    def _remember(self, role: str, optimizer: Any, config: Any) -> list[str]:
        held, field = self._held.get(f"{role}_optimizer"), OPTIMIZERS[role]
        before, now = (_kind_of(getattr(one, field)) for one in (self.config, config))
        if held is None or before != now or [v.shape for v in optimizer.state] != [value.shape for value in held]:
            return [f"{field}: its memory begins again" + (f" ({before} -> {now})" if before != now else "")]
        for variable, value in zip(optimizer.state, held, strict=True):
            if "learning_rate" not in variable.name:  # a variable of Keras', but the config's to say
                variable.assign(value)
        return []

    def _carry(self, role: str, network: Any, held: Mapping[str, Any]) -> list[str]:
        own = _named(network)
        for name in [*own, *held]:
            both = [held.get(name), own.get(name)]
            shapes = ["absent" if v is None else str(list(v.shape)) for v in both]
            # What no gradient moves, the state of a norm, may come or go.
            if shapes[0] != shapes[1] and ("absent" not in shapes or any(v is not None and v.trainable for v in both)):
                raise UserError(
                    f"--from={self.place}: the {role}'s {name} is {shapes[0]} there and {shapes[1]} in this config: keep that "
                    "run's layers and their sizes."
                )
        new, shared = [name for name in own if name not in held], [name for name in own if name in held]
        for trainable in (True, False):
            for name in shared:
                if own[name].trainable == trainable:
                    own[name].assign(held[name])
            if trainable and new:
                network.begin_norms()
        return [
            *(f"{role}: {name} begins again" for name in new),
            *(f"{role}: {name} of that run is left behind" for name in held if name not in own),
        ]


@dataclasses.dataclass(frozen=True)
class Fork:
    """An experiment with the state that it starts from."""

    start: Start
    experiment: Experiment
    notes: list[str]  # a line for all that begins again or is left behind
    pending: np.ndarray | None  # the sum of metrics since the last row (see `Checkpoints`); None: nothing is pending

    def keep(self, folder: Workdir) -> None:
        """Writes where it starts into run.json, and its first checkpoint; says both."""
        start, config = self.start, self.experiment.config
        changed = differences(start.config, config, Changes.PRINTED, Changes.ASIDE)
        folder.write_record(fork={"from": start.place, "step": start.step, "changed": changed, "notes": self.notes})
        metrics = len(self.experiment.task.metric_names)
        pending = np.zeros(metrics + 1) if self.pending is None else self.pending
        kept = Checkpoints(folder.checkpoints, self.experiment.state(), metrics, config.keep_checkpoints)
        kept.save(start.step, pending)
        say(f"a fork of {start.place} at step {start.step:,}; changed: {'; '.join(changed) or 'nothing'}")
        for note in self.notes:
            say(note)


def begun_from(start: str | os.PathLike[str] | None, folder: Workdir, record: Mapping[str, Any]) -> Start | None:
    """What a run starts from: what is asked for, or its record says if it was stopped before its first checkpoint.

    None if from its config's start values, or if it has checkpoints of its own.

    Raises:
      UserError: As `Start`; the folder holds a run that did not start there.
    """
    begun = record.get("fork")
    if not checkpoint_steps(folder.checkpoints):
        if start is None and begun:
            start = begun["from"] if pretrained.name_in(begun["from"]) else f"{begun['from']}@{begun['step']}"
        return None if start is None else Start(start)
    if start is not None:
        place, step = place_of(start)
        place = place if pretrained.name_in(place) else os.path.abspath(place)
        if begun is None or begun["from"] != place or step not in (None, begun["step"]):
            raise UserError(
                f"--from={os.fspath(start)}: --workdir={folder.path} holds a run that did not start there: omit --from to "
                "continue it, or name a new --workdir."
            )
    return None


def _step_in(folder: Path, step: int | None, start: str) -> int:
    steps = checkpoint_steps(folder)
    if not steps or (step is not None and step not in steps):
        there = f"those of steps {', '.join(map(str, steps))}" if steps else "none"
        raise UserError(f"--from={start}: there is no such checkpoint in {folder}; there are {there}.")
    return steps[-1] if step is None else step


def _checkpoint(folder: Path, step: int) -> dict[str, list[np.ndarray]]:
    """All arrays of a checkpoint by owner, in order."""
    held: dict[str, list[np.ndarray]] = {}
    try:
        with no_pattern(folder) as name:
            reader = tf.train.load_checkpoint(f"{name}/ckpt-{step}")
            for key in sorted(
                reader.get_variable_to_shape_map(), key=lambda key: [int(n) for n in re.findall(r"\d+", key)]
            ):
                if found := re.fullmatch(r"(\w+)/(?:\d+/)?\.ATTRIBUTES/VARIABLE_VALUE", key):
                    held.setdefault(found[1], []).append(reader.get_tensor(key))
    except (tf.errors.OpError, OSError, IndexError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{folder / f'ckpt-{step}'} is damaged ({type(error).__name__}): start from another step."
        ) from None
    return held


def _named(network: Any) -> dict[str, Any]:
    """A network's variables by the place of their layer among those that have some: others may come and go."""
    nodes = [node for node in every_node(network.nodes) if node.weights]
    return {
        f"{place}_{node.layer.kind}_{name}": variable
        for place, node in enumerate(nodes)
        for name, variable in node.weights.items()
    }


def _kind_of(optimizer: Any) -> str:
    return optimizer.name if optimizer.kind == "keras" else optimizer.kind


def _logged(config: Any) -> Any:
    """What the metrics of a step are."""
    return None if config.kind == "classifier" else (config.game.loss, bool(config.game.penalty), config.data.kind)
