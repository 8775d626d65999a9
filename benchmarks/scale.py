"""What more costs: of examples in a batch, of width, of images, of seeds and of replicas; each table with its slope.

python -m benchmarks.scale --threads=2
taskset -c 0 python -m benchmarks.scale --tables=batch,width

The slope is that of log(cost) over log(size) between the two largest sizes: 1 is linear, below 1 is better. Images are
32 x 32 in the post's HDF5 layout, streamed, each number of them in a process of its own; replicas are logical CPU
devices. `--quick` is a smoke test, not a measurement.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.programs import Program, ours

FLAGS = flags.FLAGS
_QUICK, _ROUNDS, _SIDE = 2, 3, 32
_ALL_DIGITS = {"data.train_split": "train+validation"}  # 4,500
_TABLES = ("batch", "width", "seeds", "images", "replicas")
flags.DEFINE_list("tables", list(_TABLES), f"Which of {', '.join(_TABLES)}.")
flags.DEFINE_integer("threads", 1, "Threads (use taskset for the cores themselves).", lower_bound=1)
flags.DEFINE_bool("quick", False, "The two smallest sizes of each table.")


def batch(sizes: Sequence[int]) -> None:
    """Milliseconds a step by the examples of a batch."""
    for config in ("mlp_gan", "mlp_gan_smoothed"):
        steps = [_milliseconds(Program(config, config, "", size, overrides=_ALL_DIGITS)) for size in sizes]
        examples = [f"{1000 * step / size:.3g}" for step, size in zip(steps, sizes, strict=True)]
        _print(f"batch, {config}", sizes, {"ms a step": _numbers(steps), "µs an example": examples}, steps)


def width(sizes: Sequence[int]) -> None:
    """Milliseconds a step by the units of the hidden layers: the weights grow as they do, 1,671 of them a unit."""
    steps = [
        _milliseconds(Program("width", f"mlp_gan_smoothed:hidden={size}", "", 100)) for size in sizes
    ]  # fmt: skip
    _print("width, mlp_gan_smoothed", sizes, {"ms a step": _numbers(steps)}, steps)


def seeds(sizes: Sequence[int]) -> None:
    """Milliseconds a step of all seeds that train in one graph."""
    steps = [_milliseconds(Program("seeds", "gaussian", "", 100, seeds=size)) for size in sizes]
    each = [f"{1000 * step / size:.3g}" for step, size in zip(steps, sizes, strict=True)]
    _print("seeds, gaussian", sizes, {"ms a step": _numbers(steps), "µs a seed's step": each}, steps)


def images(sizes: Sequence[int]) -> None:
    """Streamed images: seconds to crop and keep them once, images a second then, and the process' largest memory."""
    found = [_alone(_stream, size) for size in sizes]
    load, rate, memory = zip(*found, strict=True)
    cells = {"s to load, once": _numbers(load), "images/s": _numbers(rate), "MiB, at most": _numbers(memory)}
    _print("images, streamed", sizes, cells, load)


def replicas(sizes: Sequence[int]) -> None:
    """Milliseconds a step of a global batch that logical devices share."""
    steps = [_alone(_replicate, size) for size in sizes]
    _print("replicas, mlp_gan", sizes, {"ms a step": _numbers(steps)}, steps)


def _milliseconds(program: Program) -> float:
    """A step's, warm: the median of three rounds of about a second."""
    run, _ = ours(program)
    run(4)
    started = time.perf_counter()
    run(4)
    steps = max(4, int(4 / (time.perf_counter() - started)))
    run(steps)
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        run(steps)
        rounds.append(1000 * (time.perf_counter() - started) / steps)
    return statistics.median(rounds)


def _alone(measure: Callable[[int, int], Any], size: int) -> Any:
    """What a process of its own measures."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, size, FLAGS.threads).result()


def _stream(number: int, threads: int) -> tuple[float, float, float]:
    import h5py

    from benchmarks.loader import BATCH, rate
    from tfgan_lab import data
    from tfgan_lab.config import Montage
    from tfgan_lab.data.pipeline import ImageBatches
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow(threads=threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TFGAN_LAB_CACHE"] = folder
        pixels = np.random.default_rng(0).integers(0, 256, (64, _SIDE, _SIDE, 3), np.uint8)
        with h5py.File(Path(folder) / "faces.h5", "w") as file:
            for index in range(number):
                file[f"{index}.png"] = pixels[index % 64]
        started = time.perf_counter()
        montage = Montage(crop=_SIDE, size=_SIDE, source="hdf5", memory_mb=1)
        source = data.open_source(montage, f"{folder}/faces.h5")
        loaded = time.perf_counter() - started
        assert source.train is not None and not source.train.in_memory
        feed = iter(ImageBatches(source.train, BATCH, 1, "unit", 0).dataset(0))
        rate(feed, 100)
        speed = rate(feed, 5000)
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # getrusage's is the parent's too
        assert peak is not None
        return loaded, speed, int(peak[1]) / 2**10


def _replicate(count: int, threads: int) -> float:
    from benchmarks.replicas import run_all

    asked = {"configs": ["mlp_gan"], "cores": threads, "steps": 50, "rounds": _ROUNDS, "epsilon": 0.0}
    return run_all(count, asked)["mlp_gan"][-1]


def _numbers(values: Sequence[float]) -> list[str]:
    return [f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in values]


def _print(title: str, sizes: Sequence[int], rows: dict[str, list[str]], cost: Sequence[float]) -> None:
    slope = np.log(cost[-1] / cost[-2]) / np.log(sizes[-1] / sizes[-2])
    print(f"\n| {title} | {' | '.join(f'{size:,}' for size in sizes)} | slope |\n|{'---|' * (len(sizes) + 2)}")
    for index, (name, cells) in enumerate(rows.items()):
        print(f"| {name} | {' | '.join(cells)} | {'' if index else f'{slope:.2f}'} |", flush=True)


SIZES = {
    batch: (1, 4, 16, 64, 256, 1024, 4096), width: (32, 128, 512, 2048), seeds: (1, 4, 16, 64),
    images: (2_000, 20_000, 200_000), replicas: (1, 2, 4),
}  # fmt: skip


def main(argv: list[str]) -> None:
    """Prints the tables as Markdown."""
    del argv
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow(threads=FLAGS.threads)
    for table, sizes in SIZES.items():
        if table.__name__ in FLAGS.tables:
            table(sizes[:_QUICK] if FLAGS.quick else sizes)


if __name__ == "__main__":
    app.run(main)
