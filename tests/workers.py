"""Starts several worker processes of one run on loopback, and stops what is left of them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from runs import command


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def tf_config(ports: list[int], index: int) -> str:
    """$TF_CONFIG of one of the workers."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


def worker(ports: list[int], index: int, *arguments: str) -> subprocess.Popen[str]:
    """Starts one worker."""
    return command("train", "--config.placement=multi_worker", *arguments, TF_CONFIG=tf_config(ports, index))


@contextlib.contextmanager
def workers(count: int, *arguments: str) -> Iterator[tuple[list[subprocess.Popen[str]], list[int]]]:
    """All workers of a run and their ports; none outlives the block."""
    ports = free_ports(count)
    processes = [worker(ports, index, *arguments) for index in range(count)]
    try:
        yield processes, ports
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def run_workers(count: int, workdir: Path, *arguments: str) -> list[tuple[int, str, str]]:
    """Runs all workers of a run to their ends: exit code, stdout and stderr of each."""
    with workers(count, f"--workdir={workdir}", *arguments) as (processes, _):
        ended = [process.communicate(timeout=600) for process in processes]
        return [(process.returncode, out, err) for process, (out, err) in zip(processes, ended, strict=True)]
