"""Runs calls in a few processes; whoever dies or is stopped, nothing is left running and nothing that was saved is lost."""

from __future__ import annotations

import collections
import concurrent.futures
import concurrent.futures.process
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from tfgan_lab.errors import UserError

RESUME_CODE = 75  # as of `train` after SIGTERM: the same command goes on
_CALLS_A_WORKER = 8  # then a fresh process takes over, so that memory does not grow
_GRACE_SECONDS = 60.0  # for a worker to save what it is at


class Stopped(UserError):
    """The calls were stopped from outside; what is finished stays."""

    code = RESUME_CODE


def run_calls(
    call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int, start: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    """Yields (index, call(*arguments[index])) as the calls end.

    Args:
      call: A module's function; what it is given and returns is pickled on its way between our own processes.
      arguments: Of each call.
      workers: Calls at a time.
      start: Called first in each process.

    Raises:
      Stopped: SIGTERM came, or a worker was killed.
    """
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start, (start,), max_tasks_per_child=_CALLS_A_WORKER
    )
    waiting = collections.deque(enumerate(arguments))
    running: dict[concurrent.futures.Future[Any], int] = {}
    try:
        with _raising_at_sigterm():
            while waiting or running:
                # Never more than one call a worker: the pool does not replace retired workers for calls that already wait.
                while waiting and len(running) < workers:
                    index, given = waiting.popleft()
                    running[pool.submit(call, *given)] = index
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        pool.shutdown()
    except concurrent.futures.process.BrokenProcessPool:
        _stop(pool)
        raise Stopped(
            "a worker was killed (out of memory?): run the same command again to go on, with fewer --jobs if need be."
        ) from None
    except BaseException:
        _stop(pool)
        raise


def _stop(pool: concurrent.futures.ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        with contextlib.suppress(OSError):
            process.terminate()
    for process in processes:
        process.join(_GRACE_SECONDS)
        if process.is_alive():
            process.kill()


def _start(start: Callable[[], None]) -> None:
    # Ctrl-C reaches all processes of a terminal: the parent says what becomes of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    # tqdm's own lock is a semaphore between processes, which a worker that is stopped would leave behind with a warning.
    tqdm.set_lock(threading.RLock())
    start()


def _leave_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(RESUME_CODE)


@contextlib.contextmanager
def _raising_at_sigterm() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise Stopped("stopped by SIGTERM: run the same command again to go on.")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
