"""Kills a training with SIGKILL again and again, at random moments and inside every kind of write.

    python tests/kill_rounds.py --rounds=50 --seed=0

Each round resumes the run that the round before was killed in; every run that gets to its end must equal an
uninterrupted one, bit for bit. TensorFlow is imported once: rounds are forks from before its first op.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 240
MOMENTS = ("any", "checkpoint", "metrics", "samples", "export")
CHANGES = {
    "data.source": "embedded", "steps": str(STEPS), "batch_size": "20", "checkpoint.steps": "20", "log.steps": "7",
    "evaluate.steps": "60", "sample.steps": "30", "evaluate_line": "", "discriminator.3.rate": "0.3",
}  # fmt: skip


class Child:
    """One training in a forked process that kills itself in a given moment."""

    def __init__(self, stage: mmap.mmap, moment: str, chance: random.Random) -> None:
        self.stage, self.moment, self.chance = stage, moment, chance
        self.left = chance.randrange(1, 4) if moment != "export" else 1  # how many such writes until the deadly one

    def train(self, workdir: Path) -> None:
        """Trains the run in `workdir` to its end, if it gets there."""
        from tfgan_lab import trainer
        from tfgan_lab.report import reporter
        from tfgan_lab.system.runtime import start_tensorflow
        from tfgan_lab.training.checkpoints import Checkpoints
        from tfgan_lab.training.engine import Engine
        from tfgan_lab.training.train import Training
        from tfgan_lab.training.workdir import Workdir

        start_tensorflow()
        self._watch(Engine, "run", "train", lambda: None)
        self._watch(Checkpoints, "save", "checkpoint", lambda: self._die_within(0.02))
        self._watch(Training, "_sample", "samples", lambda: self._die_within(0.03))
        self._watch(reporter, "export_network", "export", lambda: self._die_within(1.0))
        self._watch(Workdir, "append_metrics", "metrics", lambda: self._half_a_line(workdir))
        trainer.train(config(), workdir)

    def _watch(self, owner: Any, name: str, stage: str, deadly: Callable[[], None]) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            before = self.stage[0]
            self.stage[0] = STAGES.index(stage)
            if stage == self.moment:
                self.left -= 1
                if self.left == 0:
                    deadly()
            result = original(*arguments, **named)
            self.stage[0] = before
            return result

        setattr(owner, name, watched)

    def _die_within(self, seconds: float) -> None:
        threading.Timer(self.chance.uniform(0, seconds), os.kill, (os.getpid(), signal.SIGKILL)).start()

    def _half_a_line(self, workdir: Path) -> None:
        with (workdir / "metrics.jsonl").open("a") as file:
            file.write('{"kind": "train", "step": 1, "lo')
        os.kill(os.getpid(), signal.SIGKILL)


STAGES = ("start", "train", *MOMENTS[1:])


def config() -> Any:
    """The small run that is killed: dropout, BatchNorm, Adam, every kind of write often."""
    from catalogue import offline

    return offline("mlp_gan:smoke", **{key.replace(".", "__"): value for key, value in CHANGES.items()})


def fork_and_train(workdir: Path, moment: str, seed: int, longest: float) -> tuple[str, int]:
    """Returns the stage in which the child was killed, or "" if it ended, and its exit code."""
    stage = mmap.mmap(-1, 1)
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            os.dup2(os.open(workdir.parent / "child.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
            Child(stage, moment, random.Random(seed)).train(workdir)
            code = 0
        os._exit(code)
    status = None
    if moment == "any":
        deadline = time.monotonic() + random.Random(seed).uniform(0, longest)
        while status is None and time.monotonic() < deadline:
            ended, found = os.waitpid(pid, os.WNOHANG)
            status = found if ended else None
            time.sleep(0.005)
        if status is None:
            os.kill(pid, signal.SIGKILL)
    if status is None:
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return (STAGES[stage[0]] if code == -signal.SIGKILL else ""), code


def check_nothing_lost(workdir: Path, expected: Path, newest_before: int) -> int:
    """The newest checkpoint after a kill: never older than before, and all rows up to it are on disk."""
    from runs import rows

    from tfgan_lab.training.workdir import Workdir, checkpoint_steps

    newest = max(checkpoint_steps(workdir / "checkpoints"), default=0)
    assert newest >= newest_before, f"checkpoint {newest_before} is gone, {newest} is the newest"
    kept = [row for row in Workdir(workdir).read_metrics() if row["step"] <= newest]
    wanted = [row for row in rows(expected) if row["step"] <= newest]
    # Rows of the newest checkpoint's own step are written before it.
    assert {json.dumps(row) for row in wanted} <= {json.dumps(row) for row in kept}, f"rows up to {newest} are lost"
    return newest


def main() -> None:
    """Prints a table of kills by stage; fails if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ.setdefault("MPLBACKEND", "agg")
    from tfgan_lab.system.runtime import quiet_stderr

    with quiet_stderr():
        from runs import fingerprint

        import tfgan_lab.trainer  # noqa: F401
    chance, killed, finished = random.Random(arguments.seed), collections.Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        folder, started = Path(name), time.monotonic()
        assert fork_and_train(folder / "expected", "never", 0, 0.0) == ("", 0), (folder / "child.log").read_text()
        whole = time.monotonic() - started
        number = newest = 0
        while sum(killed.values()) < arguments.rounds or newest:
            workdir = folder / f"run{number}"
            over = sum(killed.values()) >= arguments.rounds
            moment = "never" if over else chance.choice(MOMENTS)
            stage, code = fork_and_train(workdir, moment, chance.randrange(2**31), whole)
            if stage:
                killed[stage] += 1
                newest = check_nothing_lost(workdir, folder / "expected", newest)
                print(
                    f"round {sum(killed.values())}: killed in {stage}, newest checkpoint {newest} of {STEPS}",
                    flush=True,
                )
                continue
            assert code == 0, (folder / "child.log").read_text()
            expected = in_fork(lambda: fingerprint(folder / "expected"))
            assert in_fork(lambda path=workdir: fingerprint(path)) == expected, f"{workdir} differs"  # type: ignore[misc]
            finished, number, newest = finished + 1, number + 1, 0
            print(f"a run of {STEPS} steps came to its end: equal to the uninterrupted one", flush=True)
    print(json.dumps({"kills": sum(killed.values()), "by stage": dict(killed), "runs finished and equal": finished}))


def in_fork(call: Callable[[], str]) -> str:
    """A text from a call in a forked process: this one must never run an op."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, call().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


if __name__ == "__main__":
    main()
