"""Who belongs to a run: $TF_CONFIG and Slurm's variables, read, and refused in one line each."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tfgan_lab.errors import UserError
from tfgan_lab.training.cluster import Members, find_members, members_of_tf_config, several_named


def text(cluster: Any, kind: Any = "worker", index: Any = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_tf_config_says_who_and_which() -> None:
    addresses = ["a:1", "b.example:22", "[::1]:3"]
    assert members_of_tf_config(text({"worker": addresses}, index=1)) == Members(tuple(addresses), 1)
    both = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    assert members_of_tf_config(text(both, "chief")) == Members(("a:1", "b:2", "c:3"), 0)
    assert members_of_tf_config(text(both, "worker", 1)) == Members(("a:1", "b:2", "c:3"), 2)
    assert Members(("a:1", "b:2"), 0).name(1) == "worker 1 (b:2)"


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
    assert "\n" not in str(caught.value)


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
