"""Runs of a study or a ledger on a Dask cluster: the same numbers as here, nothing left running, mistakes in one line."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import children_of

from tfgan_lab import cli
from tfgan_lab.errors import UserError
from tfgan_lab.studies import worker_pool


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with distributed.LocalCluster(n_workers=2, **options) as found:
        yield found


def processes(cluster: Any) -> list[int]:
    """Those in which the cluster's workers make calls."""
    lines = {pid: line for nanny in cluster.workers.values() for pid, line in children_of(nanny.pid).items()}
    return [pid for pid, line in lines.items() if "LokyProcess" in line]


def test_a_call_runs_in_a_process_of_its_own_on_a_worker(cluster: Any, tmp_path: Path) -> None:
    address = cluster.scheduler_address
    found = list(worker_pool.run_calls(os.getppid, [()] * 4, address, int, tmp_path))
    assert {index for index, _ in found} == {0, 1, 2, 3}
    assert {parent for _, parent in found} <= {nanny.pid for nanny in cluster.workers.values()}
    assert not [*tmp_path.iterdir()] and not processes(cluster)


def test_an_early_end_leaves_no_process_on_the_workers(cluster: Any, tmp_path: Path) -> None:
    calls = worker_pool.run_calls(time.sleep, [(0,), (300,), (300,)], cluster.scheduler_address, int, tmp_path)
    assert next(calls) == (0, None)
    deadline = time.monotonic() + 60
    while not processes(cluster) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes(cluster)
    calls.close()
    while processes(cluster) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes(cluster)


def test_what_ends_a_call_there_is_told_as_here(cluster: Any, tmp_path: Path) -> None:
    address = cluster.scheduler_address
    with pytest.raises(worker_pool.Stopped, match="a worker was killed"):
        list(worker_pool.run_calls(signal.raise_signal, [(signal.SIGKILL,)], address, int, tmp_path))
    with pytest.raises(ValueError, match="non-negative"):
        list(worker_pool.run_calls(time.sleep, [(-1,)], address, int, tmp_path))


@pytest.mark.parametrize(("home", "beacon"), [("nowhere", "there"), (".", "nowhere")])
def test_a_folder_that_a_worker_does_not_see_is_one_line(
    home: str, beacon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    with pytest.raises(UserError, match=r"is not shared with .* with --workdir in it"):
        worker_pool._in_a_process_there(int, (), int, home, f"{tmp_path}/{beacon}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cluster=tcp://127.0.0.1:9"], "--cluster=tcp://127.0.0.1:9: no Dask scheduler with workers answers there ("),
        (["--cluster=nix://127.0.0.1"], "no Dask scheduler with workers answers there ("),
        (["--cluster=tcp://127.0.0.1:9", "--jobs=2"], "--jobs and --cluster exclude each other"),
        (["--cluster="], "--cluster is empty"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
    monkeypatch.setattr(worker_pool, "_PATIENCE", 1)
    assert cli.main(["compare", "ledger", "--config=gaussian", f"--workdir={tmp_path}/x", *arguments]) == 2
    found = capsys.readouterr().err
    assert said in found and found.count("\n") == 1, found
    assert not [*tmp_path.rglob("outcome.json")]


def test_without_dask_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["compare", "ledger", "--config=gaussian", f"--workdir={tmp_path}", "--cluster=tcp://127.0.0.1:9"]
    assert cli.main(command) == 2
    assert capsys.readouterr().err == "tfgan-lab: --cluster needs Dask: pip install 'tfgan-lab[cluster]'.\n"


@pytest.mark.slow
def test_a_study_on_a_cluster_has_the_bits_that_it_has_here(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["study", "--config=plane:smoke", "--vary=loss=hinge", "--seeds=1"]
    there = [*command, "--workdir=there", f"--cluster={cluster.scheduler_address}"]
    assert cli.main(there) == 0, capsys.readouterr().err
    assert cli.main([*command, "--workdir=here", "--jobs=1"]) == 0, capsys.readouterr().err
    of_run = Path("game.loss=hinge", "seed=0")
    for name in ("config.json", "metrics.jsonl", "checkpoints/ckpt-20.data-00000-of-00001"):
        assert Path("there", of_run, name).read_bytes() == Path("here", of_run, name).read_bytes(), name
    assert Path("there/study.md").read_bytes() == Path("here/study.md").read_bytes()
    numbers = [json.loads(Path(of, of_run, "outcome.json").read_text())["numbers"] for of in ("there", "here")]
    assert numbers[0] == numbers[1]
    written = Path("there", of_run, "outcome.json").stat().st_mtime_ns
    assert cli.main(there) == 0
    assert Path("there", of_run, "outcome.json").stat().st_mtime_ns == written
