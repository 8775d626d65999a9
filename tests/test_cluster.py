"""Who belongs to a run: $TF_CONFIG and Slurm's variables, read, and refused in one line each."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from catalogue import offline

from tfgan_lab.errors import UserError
from tfgan_lab.placement.cluster import Members, find_members, members_of_tf_config, several_named
from tfgan_lab.placement.team import Workers, facts_to_agree_on


def text(cluster: Any, kind: Any = "worker", index: Any = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_tf_config_says_who_and_which() -> None:
    addresses = ["a:1", "b.example:22", "[::1]:3"]
    assert members_of_tf_config(text({"worker": addresses}, index=1)) == Members(tuple(addresses), 1)
    both = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    assert members_of_tf_config(text(both, "chief")) == Members(("a:1", "b:2", "c:3"), 0)
    assert members_of_tf_config(text(both, "worker", 1)) == Members(("a:1", "b:2", "c:3"), 2)
    assert Members(("a:1", "b:2"), 0).name(1) == "worker 1 (b:2)"


def facts(**changes: Any) -> dict[str, int]:
    config = offline("mlp_gan:smoke", **{name: value for name, value in changes.items() if name != "sha256"})
    sha256 = {"train": "a", "test": "b"} | changes.get("sha256", {})
    provenance = {split: SimpleNamespace(sha256=digest) for split, digest in sha256.items()}
    return facts_to_agree_on(config, SimpleNamespace(provenance=provenance))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"sha256": {"train": "c"}}, ["data"]),
        ({"sha256": {"test": "c"}}, ["data"]),
        ({"seed": "5"}, ["config"]),
        ({"game__d_steps": "2", "sha256": {"train": "c"}}, ["config", "data"]),
    ],
    ids=str,
)
def test_another_config_or_other_data_on_a_worker_is_named(changes: dict[str, Any], wrong: list[str]) -> None:
    """Three processes, the last of which found something else."""
    chief, last = facts(), facts(**changes)
    assert [name for name in chief if chief[name] != last[name]] == wrong
    team: Any = Workers.__new__(Workers)
    team.members = Members(("a:1", "b:2", "c:3"), 0)
    team._gather = lambda numbers: np.array([list(chief.values()), list(numbers), list(last.values())])
    if not wrong:
        return team.compare(chief)
    with pytest.raises(UserError, match=f"worker 2 .* has another {' and other '.join(wrong)} than the chief"):
        team.compare(chief)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{", "must look like"),
        ("[]", "must look like"),
        ("[" * 100_000, "must look like"),
        (text(["a:1"]), "must look like"),
        (text({"worker": ["a:1"]}, index="x"), "must look like"),
        (text({"worker": ["a:1"]}, index=1), "index 1, but there are 1"),
        (text({"worker": ["a:1"]}, index=-1), "index -1"),
        (text({"worker": ["a:1"], "ps": ["b:2"]}), "parameter servers"),
        (text({"worker": ["a:1"]}, "evaluator"), "only 'worker'"),
        (text({"worker": ["a"]}), "no host:port"),
        (text({"worker": ["a:1", "a:1"]}), "twice"),
    ],
)
def test_a_wrong_tf_config_is_one_line(wrong: str, said: str) -> None:
    with pytest.raises(UserError, match="TF_CONFIG") as caught:
        members_of_tf_config(wrong)
    assert said in str(caught.value)
    assert "\\n" not in str(caught.value)


def test_only_several_workers_are_a_cluster() -> None:
    assert not several_named({})
    assert not several_named({"TF_CONFIG": text({"worker": ["a:1"]})})
    assert several_named({"TF_CONFIG": text({"worker": ["a:1", "b:2"]})})


def test_slurm_says_who_and_which(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = {
        "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_STEP_NUM_TASKS": "4",
        "TFGAN_LAB_PORT": "7000",
    }  # fmt: skip
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_members(slurm)[0] == Members(("n1:7000", "n1:7001", "n2:7000", "n2:7001"), 2)


def test_neither_is_one_line() -> None:
    with pytest.raises(UserError, match="needs \\$TF_CONFIG"):
        find_members({})
    with pytest.raises(UserError, match="srun"):
        find_members({"SLURM_PROCID": "0"})


def test_who_does_not_answer() -> None:
    with socket.socket() as listening, socket.socket() as deaf:
        for each in (listening, deaf):
            each.bind(("127.0.0.1", 0))
        listening.listen()
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (listening, listening, deaf)]
        assert Members(tuple(addresses), 0).unreachable() == [2]
        assert Members(tuple(addresses), 2).unreachable() == []
