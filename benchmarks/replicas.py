"""Replicas against one device: the largest difference of losses and weights, and the time of a step.

    python -m benchmarks.replicas --steps=50
    python -m benchmarks.replicas --configs=mlp_gan --replicas=2 --steps=400 --cores=2

Replicas are logical CPU devices, the data are the package's, the global batch is the config's.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "configs",
    [
        "mlp_gan", "mlp_gan_smoothed", "mlp_gan_smoothed:batch_norm", "cgan_concat:batched", "cgan_branch:batched", "cgan_maxout",
        "cgan_layernorm:batched", "mnist_classifier:batched",
    ],
    "Configs by name.",
)  # fmt: skip
flags.DEFINE_list("replicas", ["2", "4"], "Numbers of replicas; one device is always run.")
flags.DEFINE_integer("steps", 50, "Steps of each run.", lower_bound=2)
flags.DEFINE_integer("cores", 0, "Threads; 0 takes what there is.")
flags.DEFINE_integer("rounds", 1, "Each run is repeated so often for its time; the fastest counts.")
flags.DEFINE_float(
    "epsilon", 0.0, "Sets Adam's epsilon: 1e-3 keeps it from making much of the last bit of tiny gradients."
)


def main(argv: list[str]) -> None:
    """Prints the table as Markdown."""
    del argv
    # 0: one device again, with one weight moved by its last bit: what rounding alone does.
    counts = [1, 0, *(int(count) for count in FLAGS.replicas)]
    asked = FLAGS.flag_values_dict()
    results = {}
    for count in counts:
        # TensorFlow keeps to one number of replicas in a process.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            results[count] = process.submit(run_all, count, asked).result()
    print("| config | replicas | losses | weights | ms a step |\n|---|---|---|---|---|")
    for reference in FLAGS.configs:
        losses, weights, milliseconds = results[1][reference]
        print(f"| {reference} | 1 | | | {milliseconds:.2f} |")
        for count in counts[1:]:
            other_losses, other_weights, milliseconds = results[count][reference]
            off = max(float(np.abs(a - b).max()) for a, b in zip(weights, other_weights, strict=True))
            apart = np.abs(losses - other_losses).max()
            print(
                f"| {reference} | {count or '1, a last bit changed'} | {apart:.1e} | {off:.1e} | {milliseconds:.2f} |"
            )


def run_all(replicas: int, asked: dict[str, Any]) -> dict[str, tuple[np.ndarray, list[np.ndarray], float]]:
    """Of each config: losses, weights and milliseconds a step. For a process of its own."""
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow(threads=asked["cores"], logical_cpus=max(1, replicas))
    return {reference: _run(reference, replicas, asked) for reference in asked["configs"]}


def _run(reference: str, replicas: int, asked: dict[str, Any]) -> tuple[np.ndarray, list[np.ndarray], float]:
    from tfgan_lab import data as data_lib
    from tfgan_lab.config import override, validate
    from tfgan_lab.config_files import load_config
    from tfgan_lab.training.engine import Engine
    from tfgan_lab.training.experiment import build

    config: Any = validate(load_config(reference))
    changes = {"placement": "mirrored", "replicas": str(replicas)} if replicas > 1 else {"placement": "one"}
    changes["data.source"] = {"mnist": "embedded", "montage": "faces"}[config.data.kind]
    if asked["epsilon"]:
        roles = [role for role in ("optimizer", "g_optimizer", "d_optimizer") if getattr(config, role, None)]
        changes |= {f"{role}.epsilon": str(asked["epsilon"]) for role in roles if getattr(config, role).kind == "adam"}
    config = override(config, changes)
    experiment = build(config, data_lib.open_source(config.data, None))
    if replicas == 0:
        kernel = next(iter(experiment.networks.values())).trainable_variables[0].value
        value = kernel.numpy()
        value.flat[0] = np.nextafter(value.flat[0], np.float32(np.inf))
        kernel.assign(value)
    engine = Engine(experiment.strategy, experiment.task, experiment.batches)
    history = engine.run(0, asked["steps"])
    weights = [np.array(v.value) for net in experiment.networks.values() for v in net.variables]
    fastest = float("inf")
    for round_number in range(1, asked["rounds"] + 1):
        started = time.perf_counter()
        engine.run(round_number * asked["steps"], asked["steps"])
        fastest = min(fastest, time.perf_counter() - started)
    return history, weights, 1000 * fastest / asked["steps"]


if __name__ == "__main__":
    app.run(main)
