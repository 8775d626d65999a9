"""Calls in processes of their own: all are made, and however they end, no worker stays."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest
from processes import children_of

from tfgan_lab.studies import worker_pool


def children() -> list[int]:
    """This process' own, but for the one in which joblib cleans up after all of them."""
    return [pid for pid, line in children_of(recursive=True).items() if "resource_tracker" not in line]


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_run_in_other_processes(workers: int) -> None:
    found = list(worker_pool.run_calls(os.getppid, [()] * 20, workers, int))
    assert sorted(found) == [(index, os.getpid()) for index in range(20)]
    assert not children()


def test_an_exception_or_an_early_end_leaves_no_worker() -> None:
    calls = worker_pool.run_calls(time.sleep, [(0,), (60,), (-1,)], 2, int)
    assert next(calls) == (0, None)
    assert children()
    with pytest.raises(ValueError, match="non-negative"):
        next(calls)
    assert not children()


def test_whoever_stops_with_many_calls_left_hears_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []  # by the pool's own threads: their tracebacks would stand before the one line
    monkeypatch.setattr(threading, "excepthook", raised.append)
    calls = worker_pool.run_calls(time.sleep, [(0,), *[(60,)] * 20], 1, int)
    next(calls)
    time.sleep(1)  # the worker has begun the next one
    calls.close()
    assert not children()
    assert not raised


def test_a_killed_worker_is_one_line() -> None:
    with pytest.raises(worker_pool.Stopped, match="a worker was killed") as caught:
        list(worker_pool.run_calls(signal.raise_signal, [(signal.SIGKILL,)], 1, int))
    assert caught.value.code == 75
    assert not children()
