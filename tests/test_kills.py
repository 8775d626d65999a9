"""Runs in processes of their own: interrupted, killed at random moments. Nothing may be lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import command, fingerprint, finish, rows

from tfgan_lab.training.workdir import checkpoint_steps

pytestmark = pytest.mark.slow

# Small steps, many checkpoints, rows and pictures: some write is nearly always under way.
STEPS = 1800
ARGUMENTS = (
    "train", "--config=mlp_gan:smoke", "--config.data.source=embedded", f"--config.steps={STEPS}", "--config.checkpoint.steps=150",
    "--config.log.steps=70", "--config.evaluate.steps=1000", "--config.sample.steps=190", "--config.evaluate_line=", "--config.batch_size=20",
)  # fmt: skip


def wait_for(process: subprocess.Popen[str], workdir: Path, step: int) -> None:
    """Until a checkpoint of that step, or a later one, is there."""
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        steps = checkpoint_steps(workdir / "checkpoints")
        if steps and steps[-1] >= step:
            return
        time.sleep(0.005)
    raise AssertionError(f"no checkpoint of step {step} before the run ended, or in 240 s")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    workdir = tmp_path_factory.mktemp("expected") / "run"
    code, out, err = finish(command(*ARGUMENTS, f"--workdir={workdir}"))
    assert code == 0, err
    assert err == "", "TensorFlow's noise does not reach the user"
    assert "\r" not in out, "no bar where there is no terminal"
    return workdir


def test_kill_9_at_random_moments_changes_nothing_in_the_end(expected: Path, tmp_path: Path) -> None:
    workdir, chance = tmp_path / "run", random.Random(4)
    for earliest in (0, 450, 1050):
        process = command(*ARGUMENTS, f"--workdir={workdir}")
        wait_for(process, workdir, earliest)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        code, _, err = finish(process)
        assert code == -signal.SIGKILL, err
    (workdir / "metrics.jsonl").open("ab").write(
        b'{"kind": "train", "st'
    )  # as a kill in the middle of a write leaves it
    code, out, err = finish(command("train", f"--workdir={workdir}"))
    assert code == 0, err
    assert "resuming at step" in out, "each kill came in the middle of a run"
    assert fingerprint(workdir) == fingerprint(expected)
    steps = [row["step"] for row in rows(workdir) if row["kind"] == "train"]
    assert steps == sorted(set(steps)), "no step twice"
    assert json.loads((workdir / "run.json").read_text())["sessions"][-1]["to"] == STEPS


def test_ctrl_c_saves_says_how_to_go_on_and_changes_nothing_in_the_end(expected: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    process = command(*ARGUMENTS, f"--workdir={workdir}")
    wait_for(process, workdir, 300)
    process.send_signal(signal.SIGINT)
    ended, _, err = finish(process)
    assert ended == 130, err
    assert err.count("\n") == 1
    assert f"tfgan-lab train --workdir={workdir}" in err
    stopped = checkpoint_steps(workdir / "checkpoints")[-1]
    assert 300 <= stopped < STEPS
    ended, out, err = finish(command("train", f"--workdir={workdir}"))
    assert (ended, err) == (0, "")
    assert f"resuming at step {stopped:,}" in out
    assert fingerprint(workdir) == fingerprint(expected)
