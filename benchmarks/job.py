"""A whole job in a process of its own: imports, building, so many steps; nothing is written.

python -m benchmarks.job SIDE PROGRAM STEPS THREADS     SIDE: ours, peer
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

# As it was before TensorFlow was started here: it sets variables that a process with other settings must not inherit.
ENVIRONMENT = dict(os.environ)


def main(side: str, name: str, steps: int, threads: int) -> None:
    """Runs one side of a row."""
    from benchmarks.programs import PROGRAMS, config_of, ours, peer

    program = next(program for program in PROGRAMS if program.name == name)
    if side == "ours" or program.peer == "tf1":
        from tfgan_lab.system.runtime import start_tensorflow

        start_tensorflow(threads=threads, onednn=side == "ours" and config_of(program).onednn)
    run = ours(program)[0] if side == "ours" else peer(program, threads)
    run(steps)
    print(_peak_memory_mb())


def _peak_memory_mb() -> float:
    try:
        # The kernel's ru_maxrss begins with what the starting process had.
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure(side: str, name: str, steps: int, threads: int) -> dict[str, float]:
    """Starts such a process and waits: seconds of wall and CPU time, and peak memory in MB."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    arguments = [sys.executable, "-m", "benchmarks.job", side, name, str(steps), str(threads)]
    environment = {**ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{ended.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "memory_mb": float(ended.stdout.splitlines()[-1])}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
