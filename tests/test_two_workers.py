"""Two real processes on loopback are one run: equal to a single process, written by the chief, surviving a loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from runs import command, fingerprint, finish, rows, weights
from workers import free_ports, run_workers, worker, workers

from tfgan_lab.config_files import load_config
from tfgan_lab.placement.team import make_team
from tfgan_lab.training import train
from tfgan_lab.training.workdir import Workdir, checkpoint_steps

# Large epsilons: Adam would make much of the last bit of a tiny gradient.
GAN = (
    "--config=mlp_gan:smoke", "--config.data.source=embedded", "--config.batch_size=20", "--config.g_optimizer.epsilon=1e-3",
    "--config.d_optimizer.epsilon=1e-3",
)  # fmt: skip
BRANCH = (
    "--config=cgan_branch:smoke", "--config.data.source=embedded", "--config.batch_size=20", "--config.generator.1.units=12",
    "--config.generator.0.layers.0.units=9", "--config.generator.0.label.0.units=7", "--config.g_optimizer.epsilon=1e-3",
    "--config.d_optimizer.epsilon=1e-3",
)  # fmt: skip
LONG = (
    *GAN,
    "--config.steps=4000",
    "--config.checkpoint.steps=20",
    "--config.log.steps=50",
    "--config.evaluate.steps=4000",
    "--config.sample.steps=4000",
)


def wait_for_checkpoint(processes: list[subprocess.Popen[str]], workdir: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        steps = checkpoint_steps(workdir / "checkpoints")
        if steps and steps[-1] >= step:
            return
        time.sleep(0.1)
    for process in processes:
        process.kill()
    raise AssertionError(f"no checkpoint of step {step}: {[process.communicate() for process in processes]}")


@pytest.mark.parametrize(
    ("flags", "placement"),
    [
        pytest.param(GAN, "auto", id="dropout"),
        pytest.param(BRANCH, "multi_worker", id="batch norm, labels, dropout", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_what_one_does(flags: tuple[str, ...], placement: str, tmp_path: Path) -> None:
    """With `auto` $TF_CONFIG alone is enough, as Kubernetes' training operator sets it: else each would train for itself."""
    code, _, err = finish(command("train", *flags, f"--workdir={tmp_path / 'alone'}"))
    assert code == 0, err
    ended = run_workers(2, tmp_path / "run", *flags, f"--config.placement={placement}")
    assert [(code, err) for code, _, err in ended] == [(0, ""), (0, "")]
    assert "on 2 replicas of 2 workers" in ended[0][1]
    assert ended[1][1] == "", "the chief speaks for all"
    alone, together = weights(tmp_path / "alone"), weights(tmp_path / "run")
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        assert_allclose(together[name], value, atol=1e-5, rtol=1e-4, err_msg=name)
    for ours, theirs in zip(rows(tmp_path / "run"), rows(tmp_path / "alone"), strict=True):
        assert ours.pop("kind") == theirs.pop("kind")
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert (tmp_path / "run" / "export" / "saved_model.pb").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "run"], "nobody else wrote anything"
    # A run may be moved: one process continues where two stopped, and draws the pictures again.
    code, out, err = finish(command("train", f"--workdir={tmp_path / 'run'}", "--config.placement=one"))
    assert (code, err) == (0, "")
    assert "already trained" in out


@pytest.mark.slow
def test_a_killed_worker_stops_the_other_which_names_it_and_starting_again_resumes(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert [code for code, *_ in run_workers(2, whole, *LONG, "--config.steps=120")] == [0, 0]
    for victim in (1, 0):
        workdir = tmp_path / f"run{victim}"
        with workers(2, f"--workdir={workdir}", *LONG) as (processes, ports):
            wait_for_checkpoint(processes, workdir, 40)
            processes[victim].kill()
            survivor = processes[1 - victim]
            _, err = survivor.communicate(timeout=30)  # the stated time
        assert survivor.returncode == 75, err
        assert err.count("\n") == 1
        assert f"worker {victim} (127.0.0.1:{ports[victim]}) no longer answers" in err
        assert checkpoint_steps(workdir / "checkpoints")[-1] >= 40
    steps = checkpoint_steps(tmp_path / "run1" / "checkpoints")[-1]
    longer = f"--config.steps={max(120, steps + 20)}"
    ended = run_workers(2, tmp_path / "run1", *LONG, longer)
    assert [(code, err) for code, _, err in ended] == [(0, ""), (0, "")]
    assert f"resuming at step {steps}" in ended[0][1]
    if longer == "--config.steps=120":
        assert fingerprint(tmp_path / "run1") == fingerprint(whole), "bit for bit, with as many workers"


@pytest.mark.slow
def test_a_worker_that_hangs_is_named_too(tmp_path: Path) -> None:
    with workers(2, f"--workdir={tmp_path / 'run'}", *LONG) as (processes, ports):
        wait_for_checkpoint(processes, tmp_path / "run", 20)
        os.kill(processes[1].pid, signal.SIGSTOP)
        _, err = processes[0].communicate(timeout=60)
        assert processes[0].returncode == 75, err
        assert err.count("\n") == 1
        assert f"worker 1 (127.0.0.1:{ports[1]}) no longer answers" in err


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_sigterm_to_any_worker_saves_and_ends_all_with_resume_me(told: int, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    with workers(2, f"--workdir={workdir}", *LONG) as (processes, _):
        wait_for_checkpoint(processes, workdir, 20)
        processes[told].send_signal(signal.SIGTERM)
        ended = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [75, 75], ended
    assert f"tfgan-lab train --workdir={workdir}" in ended[0][1]
    for _, err in ended:
        assert err.count("\n") == 1
        assert "stopped at step" in err
    stopped = checkpoint_steps(workdir / "checkpoints")[-1]
    assert f"stopped at step {stopped:,} of" in ended[0][1]


@pytest.mark.slow
def test_a_lone_worker_says_whom_it_waits_for_and_can_be_interrupted(tmp_path: Path) -> None:
    ports = free_ports(2)
    process = worker(ports, 0, *GAN, f"--workdir={tmp_path / 'run'}")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"waits for worker 1 (127.0.0.1:{ports[1]})" in line
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGINT
        assert err == f"tfgan-lab: worker 0 (127.0.0.1:{ports[0]}) ended while it waited for the others.\n"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_workers_of_another_config_or_other_data_are_refused(tmp_path: Path) -> None:
    ports = free_ports(2)
    run = f"--workdir={tmp_path / 'run'}"
    processes = [worker(ports, 0, *GAN, run), worker(ports, 1, *GAN, run, "--config.seed=5")]
    ended = [finish(process) for process in processes]
    for code, _, err in ended:
        assert code == 2
        assert err.count("\n") == 1
        assert f"worker 1 (127.0.0.1:{ports[1]}) has another config" in err


@pytest.mark.slow
def test_slurm_starts_the_workers(tmp_path: Path) -> None:
    """As `srun --ntasks=2` sets its variables on one node."""
    (port,) = free_ports(1)
    common = {
        "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2",
        "TFGAN_LAB_PORT": str(port),
    }  # fmt: skip
    flags = ("train", "--config.placement=multi_worker", *GAN, f"--workdir={tmp_path / 'run'}")
    processes = [command(*flags, SLURM_PROCID=str(index), **common) for index in range(2)]
    ended = [finish(process) for process in processes]
    assert [(code, err) for code, _, err in ended] == [(0, ""), (0, "")]
    assert "on 2 replicas of 2 workers" in ended[0][1]
    assert np.isfinite(rows(tmp_path / "run")[-1]["p_real"])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["workers"] == 2


def test_every_worker_of_a_fork_looks_for_data_where_its_run_had_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(data: Any, folder: str | None) -> None:
        raise LookupError(folder)

    Workdir(tmp_path / "run").write_record(data_dir=str(tmp_path))
    monkeypatch.setattr(train.data_lib, "open_source", opened)
    config, alone = load_config("mlp_gan:smoke"), make_team(load_config("mlp_gan:smoke"))
    for given, found in ((None, tmp_path), ("elsewhere", "elsewhere")):
        with pytest.raises(LookupError, match=str(found)):
            train._follow(config, tmp_path / "fork", given, alone, f"{tmp_path / 'run'}@20")
