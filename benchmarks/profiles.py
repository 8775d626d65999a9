"""What the time of a step goes to, before and after: `benchmarks.plain` against the package.

    taskset -c 0 python -m benchmarks.profiles [--programs=gaussian,mlp_gan] [--top=6]

TensorFlow's own profiler on warm steps, one thread. For each side the kinds of operation that take longest: their own
time (without what they call) as a share of the whole. What is no operation is the calling of operations, Python and
waiting. An XLA program's operations are called by XLA's names.
"""

from __future__ import annotations

import collections
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks.programs import PROGRAMS, Program, Run, config_of, ours

FLAGS = flags.FLAGS
flags.DEFINE_list("programs", [], "Only these, by name in the table of `python -m benchmarks`.")
flags.DEFINE_integer("top", 6, "Kinds of operation to print.", lower_bound=1)
flags.DEFINE_float("seconds", 1.0, "About how much of each side is profiled.", lower_bound=0.1)
_FRAME = re.compile(r"^(.*):(_?[A-Z]\w*)$")  # "gradients/MatMul_3:MatMul", as TensorFlow names an operation
_XLA = re.compile(r"^([A-Za-z][A-Za-z_\-]*?(?:_fusion)?)(?:_\d+)?(?:\.\d+)+$|^([a-z_\-]+_fusion)$")


def profiled(run: Run, steps: int) -> tuple[float, dict[str, float]]:
    """ms a step of so many warm ones, and each kind of operation's share of the time while they are watched."""
    import tensorflow as tf

    started = time.perf_counter()
    run(steps)
    whole = 1e3 * (time.perf_counter() - started) / steps
    with tempfile.TemporaryDirectory() as folder:
        options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
        tf.profiler.experimental.start(folder, options)
        started = time.perf_counter()
        run(steps)
        watched = time.perf_counter() - started  # watching takes time of its own
        tf.profiler.experimental.stop()
        found = next(Path(folder).rglob("*.xplane.pb")).read_bytes()
    return whole, {name: seconds / watched for name, seconds in own_seconds(found).items()}


def own_seconds(xplane: bytes) -> dict[str, float]:
    """Seconds that each kind of operation took itself, without the operations inside it."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(xplane)
    total: dict[str, float] = collections.defaultdict(float)
    for plane in space.planes:
        names = {key: kind_of(event.name) for key, event in plane.event_metadata.items()}
        for thread in plane.lines:
            open_events: list[tuple[int, str | None]] = []  # (end, kind) of those that the next may lie in
            for event in sorted(thread.events, key=lambda e: (e.offset_ps, -e.duration_ps)):
                kind = names[event.metadata_id]
                if kind is None:
                    continue
                while open_events and open_events[-1][0] <= event.offset_ps:
                    open_events.pop()
                if open_events:
                    total[str(open_events[-1][1])] -= 1e-12 * event.duration_ps
                open_events.append((event.offset_ps + event.duration_ps, kind))
                total[kind] += 1e-12 * event.duration_ps
    return total


def kind_of(name: str) -> str | None:
    """Such as "MatMul" of "gradients/MatMul_3:MatMul", "xla add_fusion" of "add_fusion.5"; None for no operation."""
    if "::" in name or " " in name:
        return None
    if found := _FRAME.match(name):
        return None if found[2] in _CALLERS else found[2]
    found = _XLA.match(name)
    kind = found and (found[1] or found[2])
    return f"xla {kind}" if kind and kind not in _XLA_CALLERS else None


# They contain others' time and do nothing themselves.
_CALLERS = {"While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall", "If", "StatelessIf", "Iterator"}
_XLA_CALLERS = {"while", "call", "conditional", "tuple"}


def main(argv: list[str]) -> None:
    """Prints the tables; every side in a process of its own."""
    if len(argv) == 3:
        name, side = argv[1:]
        _one(next(program for program in PROGRAMS if program.name == name), side)
        return
    wanted = [name.replace(",", "") for name in FLAGS.programs]
    if strange := {*wanted} - {program.name for program in _distinct()}:
        sys.exit(f"--programs: no {', '.join(sorted(strange))}; there are: {', '.join(p.name for p in _distinct())}")
    for program in _distinct():
        if wanted and program.name not in wanted:
            continue
        for side in ("before", "after"):
            command = [sys.executable, "-m", "benchmarks.profiles", f"--top={FLAGS.top}", f"--seconds={FLAGS.seconds}"]
            subprocess.run([*command, program.name, side], check=True)


def _distinct() -> list[Program]:
    """One row of the table a config and batch size: the peers do not matter here."""
    found: dict[Any, Program] = {}
    for program in PROGRAMS:
        if program.seeds == 1:
            found.setdefault((program.config, program.batch), program)
    return list(found.values())


def _one(program: Program, side: str) -> None:
    from tfgan_lab.system.runtime import start_tensorflow

    # Determinism is ours to ask for; one who writes a first program does not.
    start_tensorflow(deterministic=side == "after", threads=1, onednn=config_of(program).onednn)
    run, built = ours(program)
    if side == "before":
        from benchmarks.plain import plain

        run = plain(built)
    run(2)
    started = time.perf_counter()
    run(4)
    steps = max(2, min(2000, int(4 * FLAGS.seconds / (time.perf_counter() - started))))
    run(steps)
    whole, kinds = profiled(run, steps)
    top = sorted(kinds.items(), key=lambda item: -item[1])[: FLAGS.top]
    parts = ", ".join(f"{name} {share:.0%}" for name, share in top)
    rest = 1 - sum(kinds.values())
    print(f"{program.name}, {side}: {whole:.3g} ms a step, n={steps:,}: {parts}; no operation {rest:.0%}", flush=True)


if __name__ == "__main__":
    app.run(main)
