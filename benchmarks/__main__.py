"""One table: the posts' programs against ours, alternating on one machine.

    taskset -c 0 python -m benchmarks --cores=1 --json=one_core.json
    python -m benchmarks --cores=2 --json=two_cores.json
    python -m benchmarks --programs=gaussian,mlp_gan --quick

Steps: all sides in one process, data in memory, warm, a run of each in every round; the ratio is the post's time by ours,
the median over rounds, its spread the smallest and the largest. "tuned" is the same game in PyTorch without what the
post does needlessly (`torch_peer.py`), "JAX" in JAX (`jax_peer.py`, if installed: the extra [bench]), "best" the faster
of the three by ours. "CPU" is the same ratio of CPU time, which other
programs on the machine disturb less. "Peak" is the matrix arithmetic of a step against this machine's fastest
TensorFlow matrix product. Whole jobs are timed by `benchmarks.jobs`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks import arithmetic
from benchmarks.jobs import ENVIRONMENT
from benchmarks.programs import PROGRAMS, Program, Run, config_of, ours, peer, rivals

FLAGS = flags.FLAGS
flags.DEFINE_integer("cores", 1, "Threads of both frameworks (use taskset for the cores themselves).", lower_bound=1)
flags.DEFINE_integer("rounds", 5, "Alternating rounds of steps.", lower_bound=1)
flags.DEFINE_float("seconds", 2.0, "About how long each run of a round takes.", lower_bound=0.1)
flags.DEFINE_list("programs", [], "Only these (by name in the table; 'gaussian, 32 seeds' as 'gaussian 32 seeds').")
flags.DEFINE_bool("rivals", True, "Also time the same games in tuned PyTorch and in JAX.")
flags.DEFINE_bool("quick", False, "Two short rounds: a smoke test, not a measurement.")
flags.DEFINE_string("json", "", "Also write the table to this file.")

_HEAD = f"{'program':<23}{'post ms':>9}{'tuned':>8}{'JAX':>8}{'ours ms':>9}{'steps/s':>9}{'ratio':>8} {'spread':<13}{'best':>6}{'CPU':>7}{'peak':>6}"


def timed(run: Run, steps: int) -> tuple[float, float]:
    """Wall and CPU seconds a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    run(steps)
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def measure_steps(program: Program, peak: float) -> dict[str, Any]:
    """The row's numbers of warm steps."""
    run_ours, built = ours(program)
    others = rivals(program, FLAGS.cores) if FLAGS.rivals else {}
    sides: list[Run] = [peer(program, FLAGS.cores), *others.values(), run_ours]
    rounds, seconds = (2, 0.3) if FLAGS.quick else (FLAGS.rounds, FLAGS.seconds)
    counts = []
    for run in sides:
        run(2)  # traces, compiles, warms caches
        counts.append(max(2, int(seconds / max(timed(run, 4)[0], 1e-5))))
    for run, count in zip(sides, counts, strict=True):
        run(max(2, count // 4))
    found = [[timed(run, count) for run, count in zip(sides, counts, strict=True)] for _ in range(rounds)]
    (peer_ms, our_ms), ratios, cpu = _compare([[pair[0], pair[-1]] for pair in found], program.seeds)
    rival_ms = {name: statistics.median(pair[i][0] for pair in found) for i, name in enumerate(others, 1)}
    best = [program.seeds * min(side[0] for side in pair[:-1]) / pair[-1][0] for pair in found]
    work = arithmetic.step_gflop(built)
    return {
        **{f"{name}_ms": 1e3 * seconds for name, seconds in rival_ms.items()}, "best": statistics.median(best),
        "best_low": min(best), "best_high": max(best),
        "rounds": rounds, "peer_ms": 1e3 * peer_ms, "our_ms": 1e3 * our_ms, "our_steps_per_second": 1 / our_ms,
        "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios), "cpu_ratio": statistics.median(cpu),
        "gflop_per_step": work, "share_of_peak": work / our_ms / peak if work else None,
    }  # fmt: skip


def _compare(found: list[list[tuple[float, float]]], seeds: int) -> tuple[list[float], list[float], list[float]]:
    """Median wall seconds of both sides (ours of one seed), and every round's ratio of wall and of CPU time."""
    medians = [statistics.median(pair[side][0] for pair in found) for side in (0, 1)]
    wall, cpu = ([seeds * pair[0][kind] / pair[1][kind] for pair in found] for kind in (0, 1))
    return [medians[0], medians[1] / seeds], wall, cpu


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    share = f"{row['share_of_peak']:.0%}" if row["share_of_peak"] else "-"
    spread = f"{row['ratio_low']:.2f} – {row['ratio_high']:.2f}"
    rivals_ms = "".join(f"{row[key]:>8.3f}" if key in row else f"{'-':>8}" for key in ("tuned_ms", "jax_ms"))
    return (
        f"{row['program']:<23}{row['peer_ms']:>9.3f}{rivals_ms}{row['our_ms']:>9.3f}{row['our_steps_per_second']:>9,.0f}{row['ratio']:>7.2f}x {spread:<13}"
        f"{row['best']:>5.2f}x{row['cpu_ratio']:>6.2f}x{share:>6}"
    )


def in_own_process(programs: list[Program]) -> list[dict[str, Any]]:
    """Rows of programs that want TensorFlow started in another way, with this run's flags; prints them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        names = ",".join(program.name.replace(",", "") for program in programs)
        flags_now = [a for a in sys.argv[1:] if not a.lstrip("-").startswith(("programs", "json"))]
        subprocess.run(
            [sys.executable, "-m", "benchmarks", *flags_now, f"--programs={names}", f"--json={path}"],
            check=True, env=ENVIRONMENT,
        )  # fmt: skip
        rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
        return rows


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    if importlib.util.find_spec("torch") is None:
        sys.exit("the posts' programs need PyTorch: pip install '.[torch]'")
    wanted = set(FLAGS.programs)
    chosen = [program for program in PROGRAMS if not wanted or program.name.replace(",", "") in wanted]
    unknown = wanted - {program.name.replace(",", "") for program in chosen}
    if unknown:
        sys.exit(
            f"--programs: no {', '.join(sorted(unknown))}; there are: {', '.join(p.name.replace(',', '') for p in PROGRAMS)}"
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(FLAGS.cores))
    from tfgan_lab.system.runtime import start_tensorflow

    onednn = config_of(chosen[0]).onednn
    others = [program for program in chosen if config_of(program).onednn != onednn]
    start_tensorflow(threads=FLAGS.cores, onednn=onednn)
    peak = arithmetic.peak_gflops()
    print(
        f"{FLAGS.cores} core(s), {platform.machine()}; TensorFlow's fastest matrix product: {peak:.0f} GFLOP/s\n{_HEAD}",
        flush=True,
    )
    rows: list[dict[str, Any]] = []
    for program in [program for program in chosen if program not in others]:
        row = {
            "program": program.name,
            "config": program.config,
            "batch": program.batch,
            "seeds": program.seeds,
            "cores": FLAGS.cores,
        }
        row |= measure_steps(program, peak)
        rows.append(row)
        print(line(row), flush=True)
    rows += in_own_process(others) if others else []
    if FLAGS.json:
        with open(FLAGS.json, "w", encoding="utf-8") as file:
            json.dump({"peak_gflops": peak, "rows": rows}, file, indent=2)


def _main_and_leave(argv: list[str]) -> None:
    main(argv)
    sys.stdout.flush()
    os._exit(0)  # the threads of three frameworks in one process were seen to wait for each other at exit, for ever


if __name__ == "__main__":
    app.run(_main_and_leave)
