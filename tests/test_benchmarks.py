"""The benchmarks' own programs: the arithmetic they report, and that the rivals of every row play it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.arithmetic import step_gflop
from benchmarks.programs import PROGRAMS, arrays_of, config_of, ours

ROWS = {program.name: program for program in PROGRAMS}
GAMES = [p for p in PROGRAMS if p.seeds == 1 and p.peer not in ("tf1", "montage") and not p.peer_train]


def test_the_arithmetic_of_a_step() -> None:
    """Post P002's nets by hand, 100 examples: G 100-128-784, D 784-128-1, forward, weights' and inputs' gradients."""
    g, d = 2 * (100 * 128 + 128 * 784), 2 * (784 * 128 + 128)
    d_update = 2 * 100 * (3 * d - 2 * 784 * 128)
    g_update = 100 * (3 * g - 2 * 100 * 128) + 100 * 2 * d
    assert step_gflop(ours(ROWS["mlp_gan_smoothed"])[1]) == pytest.approx((d_update + g_update) / 1e9)
    assert step_gflop(ours(ROWS["mnist_classifier b1"])[1]) is None, "convolutions are not counted"


@pytest.mark.slow
@pytest.mark.parametrize("program", GAMES, ids=lambda program: program.name)
def test_a_row_is_played_in_tuned_pytorch(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks import torch_peer

    nets: list[Any] = []
    make = torch_peer.Net.__init__
    monkeypatch.setattr(torch_peer.Net, "__init__", lambda net, *given: (nets.append(net), make(net, *given))[1])
    config = config_of(program)
    run = torch_peer.program(config, *((None, None) if config.data.is_endless else arrays_of(program)))
    before = [parameter.clone() for net in nets for parameter in net.parameters()]
    run(2)
    after = [parameter for net in nets for parameter in net.parameters()]
    assert len(after) >= 8
    for old, new in zip(before, after, strict=True):
        assert not torch.equal(old, new) and bool(new.isfinite().all())


@pytest.mark.slow
def test_whole_jobs_of_every_side(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    command = [
        sys.executable,
        "-m",
        "benchmarks.jobs",
        "--programs=gaussian",
        "--divide=500",
        f"--json={tmp_path}/jobs.json",
    ]
    ended = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads((tmp_path / "jobs.json").read_text())
    assert row["steps"] == 2 and {"post", "tuned", "first", "ours"} <= row["seconds"].keys()
    fastest = min(took for side, took in row["seconds"].items() if side not in ("first", "ours"))
    assert row["best"] == pytest.approx(fastest / row["seconds"]["ours"])
    assert f"{row['best']:.2f}x" in ended.stdout
