"""Runs calls in a few processes, here (joblib's loky) or on a Dask cluster.

Whoever dies or is stopped, nothing is left running.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, wait
from pathlib import Path
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm

from tfgan_lab.errors import RESUME_CODE, UserError, first_line
from tfgan_lab.system.signals import handling

_PATIENCE = 10  # seconds that a cluster has to answer
# The last bits of eigenvalues depend on it, as those of TensorFlow's sums do.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Stopped(UserError):
    """The calls were stopped from outside; what is finished stays."""

    code = RESUME_CODE


def run_calls(
    call: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    workers: int | str,
    start: Callable[[], None],
    folder: Path = Path(),
) -> Iterator[tuple[int, Any]]:
    """Yields (index, call(*arguments[index])) as the calls end.

    Processes are killed when the calls are stopped: what a call saved stays. One whose memory has grown is replaced.

    Args:
      call: A module's function; what it is given and returns is pickled on its way between our own processes.
      arguments: Of each call.
      workers: Calls at a time; or the address of a Dask scheduler, whose workers make each call in a process of its own.
      start: Called first in each process.
      folder: A cluster's workers must see it, too, by this name.

    Raises:
      UserError: No scheduler or worker answers there, or Dask is absent.
      Stopped: SIGTERM came, or a worker was killed.
    """
    if not arguments:
        return
    with handling(_stop, signal.SIGTERM), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")  # replaced: as it shall be
        if isinstance(workers, str):
            yield from _on_a_cluster(call, arguments, workers, start, folder)
        else:
            yield from _in_processes(call, arguments, workers, start)


def _in_processes(
    call: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    workers: int,
    start: Callable[[], None],
    home: str = ".",
    beacon: str = "",
) -> Iterator[tuple[int, Any]]:
    pool = ProcessPoolExecutor(
        min(workers, len(arguments)), initializer=_start, initargs=(start, os.getpid(), home, beacon), env=_ONE_THREAD
    )
    try:
        # No more than it does at once: loky's thread trips over what still waits when it is shut down.
        yield from _as_they_end(pool, call, arguments, workers)
    except BrokenProcessPool:
        raise Stopped(
            "a worker was killed (out of memory?): run the same command again to continue, with fewer --jobs if need be."
        ) from None
    finally:
        pool.shutdown(kill_workers=True)


def _as_they_end(
    pool: Executor, call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], at_once: int
) -> Iterator[tuple[int, Any]]:
    left = iter(enumerate(arguments))
    running: dict[Any, int] = {}
    while True:
        for index, given in itertools.islice(left, at_once - len(running)):
            running[pool.submit(call, *given)] = index
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _on_a_cluster(
    call: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    address: str,
    start: Callable[[], None],
    folder: Path,
) -> Iterator[tuple[int, Any]]:
    try:
        import distributed
    except ImportError:
        raise UserError("--cluster needs Dask: pip install 'tfgan-lab[cluster]'.") from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what is lost is told below
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(distributed.Client(address, timeout=_PATIENCE, set_as_default=False))
            client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise UserError(
                f"--cluster={address}: no Dask scheduler with workers answers there ({first_line(error)}). "
                f"Start `dask scheduler`, and `dask worker {address}` on each machine."
            ) from None
        for worker, package in client.run(importlib.util.find_spec, "tfgan_lab").items():
            if package is None:  # it would end without a word when it is sent a run
                raise UserError(f"--cluster={address}: worker {worker} has no tfgan_lab: install this version there.")
        folder.mkdir(parents=True, exist_ok=True)
        beacon = stack.enter_context(tempfile.NamedTemporaryFile(prefix=".cluster-", dir=folder)).name
        # Not joblib's backend for Dask, which waits for ever for a call that is given up.
        pool = client.get_executor(pure=False)
        try:
            there = [(call, given, start, os.getcwd(), beacon) for given in arguments]
            yield from _as_they_end(pool, _in_a_process_there, there, len(there))
        except (CancelledError, distributed.KilledWorker):
            raise Stopped(
                f"--cluster={address} is gone, or one run's workers were lost again and again: run the same command again to continue."
            ) from None


def _in_a_process_there(
    call: Callable[..., Any], given: tuple[Any, ...], start: Callable[[], None], home: str, beacon: str
) -> Any:
    """A call on a cluster's worker: in a process as at home, since the worker's own has threads and memories."""
    if not (os.path.isdir(home) and os.path.exists(beacon)):
        raise UserError(
            f"{os.path.dirname(beacon)} is not shared with {socket.gethostname()}: start the command in a folder that all machines "
            "see under one name, with --workdir in it."
        )
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # Dask's workers are
    ((_, result),) = _in_processes(call, [given], 1, start, home, beacon)
    return result


def _start(start: Callable[[], None], parent: int, home: str, beacon: str) -> None:
    # Ctrl-C reaches all processes of a terminal: the parent says what becomes of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_parent, args=(parent, beacon), daemon=True).start()
    # tqdm's own lock is a semaphore between processes, which a worker that is killed would leave behind with a warning.
    tqdm.set_lock(threading.RLock())
    os.chdir(home)
    start()


def _leave_with_the_parent(parent: int, beacon: str) -> None:
    while os.getppid() == parent and (not beacon or os.path.exists(beacon)):
        time.sleep(0.5)
    os._exit(RESUME_CODE)


def _stop(number: int, frame: Any) -> None:
    raise Stopped("stopped by SIGTERM: run the same command again to continue.")
