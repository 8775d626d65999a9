"""Whole jobs: 1,000 steps of every program, imports and compiling included, each side in processes of its own.

    taskset -c 0 python -m benchmarks.jobs --cores=1 --json=jobs_1.json
    python -m benchmarks.jobs --cores=2 --json=jobs_2.json
    python -m benchmarks.jobs --programs=gaussian --divide=100

Sides run one after another, in every round: the post's program, the same in tuned PyTorch, in JAX, ours for the first
time ever (its cache of compiled programs is empty), and ours again. "best" is the fastest of the three others by ours,
"first" by our first; both are medians over rounds. Memory is the peak. The montage takes 20 steps, at batch 8 5. Of
"32 seeds" ours trains 32, and its seconds are one seed's. Nothing is written.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks.programs import PROGRAMS, Program, config_of, makers, ours, peer

# As it was before TensorFlow was started here: it sets variables that a process with other settings must not inherit.
ENVIRONMENT = dict(os.environ)
CHILD = "--one"  # python -m benchmarks.jobs --one SIDE PROGRAM STEPS THREADS

FLAGS = flags.FLAGS
_HEAD = f"{'program':<23}{'steps':>6}{'post s':>9}{'tuned':>8}{'JAX':>8}{'first':>8}{'ours s':>8}{'best':>7}{'first':>7}{'MB post':>9}{'ours':>7}"


def run_one(side: str, name: str, steps: int, threads: int) -> None:
    """Runs one side of a row in this process, and prints its peak of memory."""
    program = next(program for program in PROGRAMS if program.name == name)
    if side == "ours" or program.peer == "tf1":
        from tfgan_lab.system.runtime import start_tensorflow

        start_tensorflow(threads=threads, onednn=side == "ours" and config_of(program).onednn)
    match side:
        case "ours":
            run = ours(program)[0]
        case "post":
            run = peer(program, threads)
        case _:
            run = makers(program)[side](program, threads)
    run(steps)
    print(_peak_memory_mb(), flush=True)
    os._exit(0)  # no side's threads are waited for


def _peak_memory_mb() -> float:
    try:
        # The kernel's ru_maxrss begins with what the starting process had.
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def seconds_and_memory(side: str, program: Program, steps: int, cache: str) -> tuple[float, float]:
    """Starts one side and waits: seconds (of one seed), and MB."""
    arguments = [sys.executable, "-m", "benchmarks.jobs", CHILD, side, program.name, str(steps), str(FLAGS.cores)]
    environment = {**ENVIRONMENT, "OMP_NUM_THREADS": str(FLAGS.cores), "TFGAN_LAB_CACHE": cache}
    started = time.perf_counter()
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    if ended.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{ended.stderr[-2000:]}")
    return wall / (program.seeds if side == "ours" else 1), float(ended.stdout.splitlines()[-1])


def measure(program: Program) -> dict[str, Any]:
    """The row of a program."""
    steps = max(1, program.job_steps // FLAGS.divide)
    seconds: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for _ in range(FLAGS.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in ("post", *makers(program), "first", "ours"):
                took, peak = seconds_and_memory("ours" if name == "first" else name, program, steps, cache)
                seconds.setdefault(name, []).append(took)
                memory[name] = max(peak, memory.get(name, 0))
    others = [took for name, took in seconds.items() if name not in ("first", "ours")]
    best = [min(took[number] for took in others) for number in range(FLAGS.rounds)]
    return {
        "program": program.name, "steps": steps, "cores": FLAGS.cores, "rounds": FLAGS.rounds,
        "seconds": {name: statistics.median(took) for name, took in seconds.items()}, "memory_mb": memory,
        "best": statistics.median(other / mine for other, mine in zip(best, seconds["ours"], strict=True)),
        "best_of_first": statistics.median(other / mine for other, mine in zip(best, seconds["first"], strict=True)),
    }  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    sides = "".join(
        f"{row['seconds'][name]:>8.1f}" if name in row["seconds"] else f"{'-':>8}"
        for name in ("tuned", "jax", "first", "ours")
    )
    return (
        f"{row['program']:<23}{row['steps']:>6}{row['seconds']['post']:>9.1f}{sides}{row['best']:>6.2f}x{row['best_of_first']:>6.2f}x"
        f"{row['memory_mb']['post']:>9,.0f}{row['memory_mb']['ours']:>7,.0f}"
    )


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    names = {program.name.replace(",", ""): program for program in PROGRAMS}
    unknown = [name for name in FLAGS.programs if name not in names]
    if unknown:
        sys.exit(f"--programs: no {', '.join(unknown)}; there are: {', '.join(names)}")
    print(f"{FLAGS.cores} core(s), {FLAGS.rounds} round(s)\n{_HEAD}", flush=True)
    rows = []
    for program in [names[name] for name in FLAGS.programs] or PROGRAMS:
        rows.append(measure(program))
        print(line(rows[-1]), flush=True)
        if FLAGS.json:
            Path(FLAGS.json).write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        run_one(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    flags.DEFINE_integer("cores", 1, "Threads of every side (use taskset for the cores themselves).", lower_bound=1)
    flags.DEFINE_integer("rounds", 1, "Rounds of all sides.", lower_bound=1)
    flags.DEFINE_integer("divide", 1, "Steps are divided by it: a smoke test, not a measurement.", lower_bound=1)
    flags.DEFINE_list("programs", [], "Only these (by name in the table; 'gaussian, 32 seeds' as 'gaussian 32 seeds').")
    flags.DEFINE_string("json", "", "Also write the table to this file.")
    app.run(main)
