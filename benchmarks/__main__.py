"""Steps per second of the posts' programs (our PyTorch peers) against ours, alternating in one process.

    taskset -c 0 python -m benchmarks --cores=1
    python -m benchmarks --cores=2 --programs=mlp_gan,gaussian --json=table.json

Data of both is in memory; times are of warm steps. The ratio is the median over rounds, each round being a
run of the peer and one of ours right after it; its spread is the smallest and the largest round.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("cores", 1, "Threads of both frameworks (use taskset for the cores themselves).", lower_bound=1)
flags.DEFINE_integer("rounds", 5, "Alternating rounds.", lower_bound=1)
flags.DEFINE_float("seconds", 4.0, "About how long each run of a round takes.", lower_bound=0.1)
flags.DEFINE_list("programs", [], "Only these (by name in the table); all by default.")
flags.DEFINE_bool("quick", False, "Two short rounds: a smoke test, not a measurement.")
flags.DEFINE_string("json", "", "Also write the table to this file.")


@dataclasses.dataclass(frozen=True)
class Program:
    """One row: a config with overrides, and the peer's module and numbers."""

    name: str
    config: str
    overrides: dict[str, str]
    peer: str
    peer_numbers: dict[str, Any]
    peer_train: dict[str, Any]


PROGRAMS = [
    Program("mlp_gan", "mlp_gan", {}, "mlp_gan", {}, {"batch_size": 200}),
    Program("mlp_gan DataLoader", "mlp_gan", {}, "mlp_gan", {}, {"batch_size": 200, "loader": True}),
    Program("mlp_gan_smoothed", "mlp_gan_smoothed", {}, "learning_gan", {}, {"batch_size": 100}),
    Program("cgan_concat b4", "cgan_concat", {"batch_size": "4"}, "cgan", {}, {"batch_size": 4}),
    Program("cgan_concat b100", "cgan_concat", {}, "cgan", {}, {"batch_size": 100}),
    Program("cgan_branch b4", "cgan_branch", {"batch_size": "4"}, "cgan", {"generator": "branch"}, {"batch_size": 4}),
    Program("cgan_branch b100", "cgan_branch", {}, "cgan", {"generator": "branch"}, {"batch_size": 100}),
    Program("cgan_maxout b100", "cgan_maxout", {}, "cgan", {"generator": "paper", "discriminator": "maxout"}, {"batch_size": 100}),
    Program("cgan_layernorm b1", "cgan_layernorm", {}, "cgan_layernorm", {}, {"batch_size": 1}),
    Program("mnist_classifier b1", "mnist_classifier", {}, "classifier", {}, {"batch_size": 1}),
    Program("gaussian", "gaussian", {}, "gaussian", {}, {"batch_size": 100}),
    Program("dcgan_montage b1", "dcgan_montage", {"data.num_faces": "64"}, "montage", {}, {"batch_size": 1}),
    Program("dcgan_montage b8", "dcgan_montage", {"data.num_faces": "64", "batch_size": "8"}, "montage", {}, {"batch_size": 8}),
]  # fmt: skip


def ours(program: Program) -> tuple[Callable[[int], float], Any]:
    """A function that runs n of our steps and returns seconds; and the data source it uses."""
    from tfgan_lab import data
    from tfgan_lab.config import override, validate
    from tfgan_lab.experiments import load_config
    from tfgan_lab.training.engine import Engine
    from tfgan_lab.training.experiment import build

    config = override(validate(load_config(program.config)), program.overrides)
    if config.data.kind == "mnist":
        config = override(config, {"data.source": "embedded"})
    source = data.open_source(config.data, None)
    experiment = build(config, source)
    engine = Engine(experiment.strategy, experiment.task, experiment.batches)
    done = 0

    def run(steps: int) -> float:
        nonlocal done
        started = time.perf_counter()
        engine.run(done, steps)
        done += steps
        return time.perf_counter() - started

    return run, source


def peers(program: Program, source: Any) -> Callable[[int], float]:
    """A function that runs n steps of the post's program in PyTorch and returns seconds."""
    import importlib

    import torch

    torch.set_num_threads(FLAGS.cores)
    module = importlib.import_module(f"tfgan_lab.compare.torch_peers.{program.peer}")
    peer = module.Program(**program.peer_numbers)
    if program.peer == "gaussian":
        return lambda steps: module.train(steps=steps, program=peer)["seconds"]
    images = torch.from_numpy(np.ascontiguousarray(source.train.images.transpose(0, 3, 1, 2))).float() / 255
    if program.peer in ("mlp_gan", "learning_gan", "cgan"):
        images = images * 2 - 1
    images = images if program.peer in ("montage", "classifier") else images.flatten(1)
    labels = None if source.train.labels is None else torch.from_numpy(source.train.labels).long()
    whole = len(images) // program.peer_train["batch_size"] * program.peer_train["batch_size"]
    images, labels = images[:whole], None if labels is None else labels[:whole]
    return lambda steps: module.train(images, labels, steps, program=peer, **program.peer_train)["seconds"]


def measure(program: Program) -> dict[str, Any]:
    """One row of the table."""
    run_ours, source = ours(program)
    run_peer = peers(program, source)
    rounds, seconds = (2, 0.5) if FLAGS.quick else (FLAGS.rounds, FLAGS.seconds)
    counts = []
    for run in (run_peer, run_ours):
        run(2)  # traces, warms caches
        counts.append(max(2, int(seconds / max(run(4) / 4, 1e-5))))
    pairs = [(run_peer(counts[0]) / counts[0], run_ours(counts[1]) / counts[1]) for _ in range(rounds)]
    ratios = [peer / our for peer, our in pairs]
    return {
        "program": program.name, "cores": FLAGS.cores, "rounds": rounds,
        "peer_ms": 1e3 * statistics.median(peer for peer, _ in pairs), "our_ms": 1e3 * statistics.median(our for _, our in pairs),
        "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios),
    }  # fmt: skip


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    from tfgan_lab.runtime import start_tensorflow

    start_tensorflow(threads=FLAGS.cores)
    unknown = set(FLAGS.programs) - {program.name for program in PROGRAMS}
    if unknown:
        sys.exit(
            f"--programs: no {', '.join(sorted(unknown))}; there are: {', '.join(program.name for program in PROGRAMS)}"
        )
    rows = []
    print(
        f"{'program':<22} {'PyTorch ms/step':>16} {'ours ms/step':>13} {'ratio':>7}  spread over {FLAGS.rounds} rounds, {FLAGS.cores} core(s)"
    )
    for program in PROGRAMS:
        if FLAGS.programs and program.name not in FLAGS.programs:
            continue
        row = measure(program)
        rows.append(row)
        print(
            f"{row['program']:<22} {row['peer_ms']:>16.3f} {row['our_ms']:>13.3f} {row['ratio']:>6.2f}x  {row['ratio_low']:.2f} – {row['ratio_high']:.2f}",
            flush=True,
        )
    if FLAGS.json:
        with open(FLAGS.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    app.run(main)
