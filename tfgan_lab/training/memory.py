"""Refuses what cannot fit in memory before room is made for it; else the system would kill the process."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfgan_lab.errors import UserError, first_line

_COPIES = 4  # of a weight in training: itself, its gradient, and two numbers of its optimiser
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


def memory_bytes() -> int:
    """What this machine, or the container that this is, has; `sys.maxsize` where that is not to be learnt."""
    sizes = [sys.maxsize]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on Windows
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with contextlib.suppress(ValueError, OSError):
            sizes.append(int(Path(limit).read_text()))
    return min(sizes)


def refuse_beyond_memory(what: str, size: float, remedy: str) -> None:
    """Raises `UserError` if that many bytes are more than there are."""
    if size > memory_bytes():
        raise UserError(
            f"{what} would take {size / 1e9:,.1f} GB of memory, but there are {memory_bytes() / 1e9:,.1f} GB: {remedy}."
        )


@contextlib.contextmanager
def weights_that_fit() -> Iterator[None]:
    """Inside, weights are refused that together would take more than there is in training."""
    total = 0

    def create(make: Any, **wanted: Any) -> Any:
        nonlocal total
        start = wanted["initial_value"]
        if callable(start):  # a network's weight: it would be made here
            with tf.Graph().as_default():  # where nothing is computed
                total += _COPIES * 4 * math.prod(start().shape)
            refuse_beyond_memory("training these networks", total, "use smaller layers, or smaller latents.dim")
        return make(**wanted)

    with tf.variable_creator_scope(create):
        yield


@contextlib.contextmanager
def out_of_memory_in_one_line() -> Iterator[None]:
    """What the devices have no room for after all becomes a `UserError` with the shape that was asked for."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise UserError(f"out of memory: {first_line(error)}: use a smaller batch_size or smaller layers.") from None
