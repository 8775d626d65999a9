"""What trust costs: a checkpoint every epoch, and deterministic ops; and what the end of a run waits for.

taskset -c 0 python -m benchmarks.overheads --config=mlp_gan --steps_per_epoch=300
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("config", "mlp_gan", "A config by name.")
flags.DEFINE_integer("steps_per_epoch", 300, "Of the full data: 60,000 / 200 for mlp_gan.", lower_bound=1)
flags.DEFINE_integer("steps", 300, "Steps of each timed run.", lower_bound=2)
flags.DEFINE_integer("rounds", 5, "Alternating rounds; medians count.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Prints both costs."""
    del argv
    asked, times = FLAGS.flag_values_dict(), {True: [], False: []}  # type: dict[str, Any], dict[bool, list[float]]
    saves: list[float] = []
    for _ in range(FLAGS.rounds):
        for deterministic in (True, False):
            # The setting is for a whole process.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                step, save = process.submit(_measure, deterministic, asked).result()
            times[deterministic].append(step)
            saves.append(save)
    step, free, save = (statistics.median(each) for each in (times[True], times[False], saves))
    share = save / (step * FLAGS.steps_per_epoch)
    print(
        f"{FLAGS.config}: {1000 * step:.2f} ms a step; a checkpoint {1000 * save:.1f} ms, {100 * share:.2f} % of an epoch"
    )
    print(f"without deterministic ops {1000 * free:.2f} ms a step: they cost {100 * (step / free - 1):+.1f} %")
    # It is seen where cores are busy, as a ledger's workers and the tests keep them.
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((os.cpu_count() or 1) + 2)]
    try:
        found = _waits_for_iterators(100, 10)
    finally:
        for other in others:
            other.kill()
    for what, waits in found.items():
        print(
            f"deleting an iterator after 10 s on busy cores, {what}: median {statistics.median(waits):.2f} s, at most {max(waits):.2f} s, n={len(waits)}"
        )


def _waits_for_iterators(number: int, seconds: float) -> dict[str, list[float]]:
    """Seconds that the deletion of an iterator takes which was made so long ago, as ours are and as TensorFlow's are."""
    import tensorflow as tf

    from tfgan_lab.data.pipeline import step_numbers

    waits: dict[str, list[float]] = {}
    for what, steps in (("ours", step_numbers(0)), ("with TensorFlow's tuning", tf.data.Dataset.range(10**9))):
        iterators = [iter(steps.map(lambda step: step + 1).prefetch(8)) for _ in range(number)]
        list(map(next, iterators))
        time.sleep(seconds)
        waits[what] = []
        while iterators:
            started = time.perf_counter()
            del iterators[-1]
            waits[what].append(time.perf_counter() - started)
    return waits


def _measure(deterministic: bool, asked: dict[str, Any]) -> tuple[float, float]:
    """CPU seconds of a step and of a checkpoint: other programs on the machine do not count."""
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow(deterministic, threads=1)
    from tfgan_lab import data as data_lib
    from tfgan_lab.config import override, validate
    from tfgan_lab.config_files import load_config
    from tfgan_lab.training.checkpoints import Checkpoints
    from tfgan_lab.training.engine import Engine
    from tfgan_lab.training.experiment import build
    from tfgan_lab.training.loop import refuse_infinite_weights

    config: Any = validate(load_config(asked["config"]))
    config = override(config, {"data.source": {"mnist": "embedded", "montage": "faces"}[config.data.kind]})
    experiment = build(config, data_lib.open_source(config.data, None))
    engine = Engine(experiment.strategy, experiment.task, experiment.batches)
    names = experiment.task.metric_names
    engine.run(0, 20)
    started = time.process_time()
    engine.run(20, asked["steps"])
    step = (time.process_time() - started) / asked["steps"]
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), experiment.state(), len(names), config.keep_checkpoints)
        checkpoints.save(1, np.zeros(len(names) + 1))
        started = time.process_time()
        for number in range(10):
            refuse_infinite_weights(experiment.state(), number)
            checkpoints.save(2 + number, np.zeros(len(names) + 1))
        return step, (time.process_time() - started) / 10


if __name__ == "__main__":
    app.run(main)
