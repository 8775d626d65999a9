"""Runs calls in a few processes (joblib's loky); whoever dies or is stopped, nothing is left running."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm

from tfgan_lab.errors import UserError

RESUME_CODE = 75  # as of `train` after SIGTERM: the same command continues


class Stopped(UserError):
    """The calls were stopped from outside; what is finished stays."""

    code = RESUME_CODE


def run_calls(
    call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int, start: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    """Yields (index, call(*arguments[index])) as the calls end.

    Workers are killed when the calls are stopped: what a call saved stays. A worker whose memory has grown is replaced.

    Args:
      call: A module's function; what it is given and returns is pickled on its way between our own processes.
      arguments: Of each call.
      workers: Calls at a time.
      start: Called first in each process.

    Raises:
      Stopped: SIGTERM came, or a worker was killed.
    """
    pool = ProcessPoolExecutor(workers, initializer=_start, initargs=(start, os.getpid()))
    try:
        with _raising_at_sigterm(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")  # replaced: as it shall be
            indices = {pool.submit(call, *given): index for index, given in enumerate(arguments)}
            for future in as_completed(indices):
                yield indices[future], future.result()
    except BrokenProcessPool:
        raise Stopped(
            "a worker was killed (out of memory?): run the same command again to continue, with fewer --jobs if need be."
        ) from None
    finally:
        pool.shutdown(kill_workers=True)


def _start(start: Callable[[], None], parent: int) -> None:
    # Ctrl-C reaches all processes of a terminal: the parent says what becomes of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_parent, args=(parent,), daemon=True).start()
    # tqdm's own lock is a semaphore between processes, which a worker that is killed would leave behind with a warning.
    tqdm.set_lock(threading.RLock())
    start()


def _leave_with_the_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(RESUME_CODE)


@contextlib.contextmanager
def _raising_at_sigterm() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise Stopped("stopped by SIGTERM: run the same command again to continue.")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
