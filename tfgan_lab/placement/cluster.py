"""Several machines: who belongs to a run (from $TF_CONFIG or Slurm), and how its processes find each other."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.placement import roll_call
from tfgan_lab.system.runtime import quiet_stderr
from tfgan_lab.system.signals import handling

_SLURM_PORT = 8888


@dataclasses.dataclass(frozen=True)
class Members:
    """The processes of one run."""

    addresses: tuple[str, ...]  # "host:port" of each; the first is the chief's
    index: int  # which one this process is

    def name(self, index: int) -> str:
        """What messages call a process."""
        return roll_call.name(self.addresses, index)

    def unreachable(self) -> list[int]:
        """Which of the others accept no connection."""
        return roll_call.unreachable(self.addresses, self.index)


def several_named(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether $TF_CONFIG names more than one process."""
    return bool(environment.get("TF_CONFIG")) and len(members_of_tf_config(environment["TF_CONFIG"]).addresses) > 1


def find_members(environment: Mapping[str, str] = os.environ) -> tuple[Members, Any]:
    """Reads who belongs to the run: $TF_CONFIG if it is set, else the Slurm step's variables.

    Returns:
      The members and TensorFlow's resolver for them.

    Raises:
      UserError: Neither is there, or what is there is wrong.
    """
    resolvers = tf.distribute.cluster_resolver
    if environment.get("TF_CONFIG"):
        return members_of_tf_config(environment["TF_CONFIG"]), resolvers.TFConfigClusterResolver()
    if "SLURM_PROCID" not in environment:
        raise UserError(
            "placement=multi_worker needs $TF_CONFIG (host:port of every worker, and which one this is), or `srun`: see docs/scaling.md."
        )
    try:
        gpus = bool(shutil.which("nvidia-smi") or environment.get("CUDA_VISIBLE_DEVICES"))
        # The resolver has no room for machines without GPUs: it is told of many, and not to hand them out.
        machine = {} if gpus else {"gpus_per_node": 1024, "gpus_per_task": 1, "auto_set_gpu": False}
        port = int(environment.get("TFGAN_LAB_PORT", _SLURM_PORT))
        resolver = resolvers.SlurmClusterResolver(port_base=port, **machine)
        addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        return Members(addresses, resolver.get_task_info()[1]), resolver
    except (RuntimeError, ValueError, AssertionError, KeyError) as error:
        raise UserError(
            f"placement=multi_worker: Slurm's variables cannot be read ({error}): start it with `srun`."
        ) from None


def members_of_tf_config(text: str) -> Members:
    """Reads $TF_CONFIG: {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}.

    Raises:
      UserError: What is wrong with it, in one line.
    """
    try:
        values = json.loads(text)
        cluster, task = values["cluster"], values["task"]
        jobs = {name: list(cluster[name]) for name in cluster}
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"$TF_CONFIG cannot be read ({type(error).__name__}: {error}): it must look like "
            '{"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": "worker", "index": 0}}.'
        ) from None
    unknown = sorted(set(jobs) - {"chief", "worker"})
    if unknown or kind not in jobs:
        raise UserError(
            f"$TF_CONFIG: this process is a {kind!r} in a cluster of {sorted(jobs)}: only 'worker' (and 'chief') take part; "
            "there are no parameter servers and evaluators here."
        )
    if not 0 <= index < len(jobs[kind]):
        raise UserError(f"$TF_CONFIG: task index {index}, but there are {len(jobs[kind])} of type {kind!r}.")
    addresses = tuple(map(str, [*jobs.get("chief", []), *jobs.get("worker", [])]))
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise UserError(f"$TF_CONFIG: {address!r} is no host:port.")
    if len(set(addresses)) < len(addresses):
        raise UserError("$TF_CONFIG: an address stands there twice: every worker needs its own host:port.")
    return Members(addresses, index + (len(jobs.get("chief", [])) if kind == "worker" else 0))


@functools.cache
def join() -> tuple[Members, tf.distribute.Strategy]:
    """Waits until all processes of the run are there; says whom it waits for.

    Once per process, and before TensorFlow's first op: it takes no cluster afterwards.

    Raises:
      UserError: As `find_members`; or TensorFlow refuses the cluster.
    """
    members, resolver = find_members()
    try:
        with _saying_who_is_missing(members), quiet_stderr():
            return members, tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"placement=multi_worker: {members.name(members.index)} cannot join: {first_line(error, 300)}"
        ) from None


@contextlib.contextmanager
def _saying_who_is_missing(members: Members) -> Iterator[None]:
    # TensorFlow waits in C++, where Python's own handlers never run: SIGINT ends the process, nothing is lost yet. SIGTERM
    # ends it only until TensorFlow has set its own handler, which takes note and waits on.
    command = [sys.executable, roll_call.__file__, str(members.index), *members.addresses]
    with handling(signal.SIG_DFL, signal.SIGINT, signal.SIGTERM):
        reminder = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            reminder.kill()
            reminder.wait()
