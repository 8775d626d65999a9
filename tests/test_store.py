"""The store of outcomes: what runs gave goes in and comes out whole, older configs do not count, damage is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from users_files import FILE_KINDS, make
from users_files import state as state_of

from tfgan_lab import cli
from tfgan_lab.errors import UserError
from tfgan_lab.posts import claims
from tfgan_lab.studies import store, verdicts
from tfgan_lab.studies.outcome_files import keep_outcome

GAUSSIAN = next(claim for claim in claims.CLAIMS if claim.id == "C004")
(ARM,) = GAUSSIAN.arms.values()
RIGHT, WRONG = {"fake_mean": 4.0, "fake_std": 1.25}, {"fake_mean": 9.0, "fake_std": 1.25}


def invent(folder: Path, numbers: dict[int, dict[str, float]], side: str = "ours") -> None:
    for seed, found in numbers.items():
        place = folder / ARM.folder("posted") / f"{store.PREFIXES[side]}{seed}"
        keep_outcome(place, store.config_of(ARM, "posted", seed), found, 0, {"data": {}, "step": 2400})


def test_outcomes_come_out_as_they_went_in(tmp_path: Path) -> None:
    invent(tmp_path / "a", {3: RIGHT, 11: WRONG})
    invent(tmp_path / "a", {3: WRONG}, "peer")
    first = store.of_runs(tmp_path / "a")
    first.write(tmp_path / "kept.jsonl")
    again = store.read_store(tmp_path / "kept.jsonl")
    assert again == first
    assert list(again.rows(ARM, "posted")) == [3, 11]
    assert again.rows(ARM, "posted")[11]["numbers"] == WRONG
    assert verdicts.judge(again) == verdicts.judge(first)
    again.write(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "kept.jsonl").read_bytes()


def test_seeds_of_one_graph_share_its_minutes(tmp_path: Path) -> None:
    invent(tmp_path, {0: RIGHT})  # of ours each seed's seconds are its share already: `many_seeds`
    invent(tmp_path, {0: RIGHT}, "peer")
    for name, told in (
        ("seed=0", {"train_seconds": 600}),
        ("peer,seed=0", {"train_seconds": 600, "seeds_together": 5}),
    ):
        path = tmp_path / ARM.folder("posted") / name / "outcome.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | told))
    minutes = {
        (side, seed): row["minutes"]
        for (_, side), rows in store.of_runs(tmp_path).outcomes.items()
        for seed, row in rows.items()
    }
    assert minutes == {("ours", 0): 10, ("peer", 0): 2}


def test_a_run_made_again_replaces_its_row_and_others_stay(tmp_path: Path) -> None:
    invent(tmp_path / "a", {0: RIGHT, 1: RIGHT})
    invent(tmp_path / "b", {1: WRONG, 2: WRONG})
    kept = store.of_runs(tmp_path / "a")
    kept.add(store.of_runs(tmp_path / "b"))
    assert {seed: row["numbers"] for seed, row in kept.rows(ARM, "posted").items()} == {0: RIGHT, 1: WRONG, 2: WRONG}


def test_outcomes_of_another_config_do_not_count_and_are_replaced(tmp_path: Path) -> None:
    invent(tmp_path, dict.fromkeys(range(6), RIGHT))
    older = store.of_runs(tmp_path)
    name = ARM.folder("posted")
    older.configs[name].steps = 7
    older.curves[ARM.config] = {"epochs": 9.0, "seeds": 9, "bands": {}}
    older.write(tmp_path / "kept.jsonl")
    older = store.read_store(tmp_path / "kept.jsonl")
    assert older.outcomes[name, "ours"]
    assert verdicts.judge_claim(GAUSSIAN, older)["verdict"] == "not run"
    invent(tmp_path / "new", {7: RIGHT})
    older.add(store.of_runs(tmp_path / "new"))
    assert list(older.rows(ARM, "posted")) == [7] and older.curves == {}


def test_longer_curves_of_more_seeds_stay() -> None:
    short, long, more = ({"epochs": epochs, "seeds": seeds} for epochs, seeds in ((4.0, 9), (12.0, 5), (12.0, 6)))
    kept = store.Store(curves={"x": long})
    kept.add(store.Store(curves={"x": short}))
    assert kept.curves["x"] is long
    kept.add(store.Store(curves={"x": more, "y": short}))
    assert kept.curves == {"x": more, "y": short}


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "3", '{"arm": "gaussian"}', '{"arm": "gaussian", "config": {"kind": "gan"}}',
     '{"arm": "a", "side": "other", "seed": 0, "numbers": {}, "data": {}}',
     '{"arm": "a", "side": "ours", "seed": 0, "numbers": {"x": "1"}, "data": {}}',
     '{"arm": "a", "side": "ours", "seed": 0, "numbers": {"x": NaN}, "data": {}}',
     '{"arm": "a", "side": "ours", "seed": 0, "numbers": {}, "data": {"train": {"source": 1}}}'],
)  # fmt: skip
def test_a_damaged_line_is_named(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    invent(tmp_path, {0: RIGHT})
    path = tmp_path / "kept.jsonl"
    store.of_runs(tmp_path).write(path)
    path.write_text(f"{path.read_text()}{line}\n")
    before = path.read_bytes()
    assert cli.main(["compare", "ledger", "--notrain", f"--store={path}", f"--workdir={tmp_path}"]) == 2
    said = capsys.readouterr().err
    number = before.count(b"\n")
    assert said.count("\n") == 1 and f"--store={path} is no store of outcomes: line {number}: " in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_users_file_is_not_overwritten(kind: str, tmp_path: Path) -> None:
    invent(tmp_path / "runs", {0: RIGHT})
    (tmp_path / "users").mkdir()
    make(kind, target := tmp_path / "users" / "kept.jsonl")
    before = state_of(target.parent)
    with pytest.raises(UserError, match="kept.jsonl"):
        store.of_runs(tmp_path / "runs").write(target)
    assert state_of(target.parent) == before


def test_one_command_adds_a_folders_runs_and_judges_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, seeds in (("a", range(3)), ("b", range(3, 6))):
        invent(tmp_path / folder, dict.fromkeys(seeds, RIGHT))
        command = ["compare", "ledger", "--notrain", f"--workdir={folder}", "--store=kept.jsonl"]
        assert cli.main(command) == 0
    assert "C004   6 of 6 seeds: reproduced" in capsys.readouterr().out
    assert "C004 | The generated mean" in (tmp_path / "b" / "ledger.md").read_text()
    ran = json.loads((tmp_path / "b" / "ledger.json").read_text())["ran"]
    assert [(row["arm"], row["side"], row["seeds"]) for row in ran] == [("gaussian", "ours", [0, 1, 2, 3, 4, 5])]


def test_the_packages_own_outcomes_are_judged_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On any machine, with no run and no data; the store itself stays as it is."""
    monkeypatch.chdir(tmp_path)
    before = store.own_store().read_bytes()
    assert cli.main(["compare", "ledger", "--notrain"]) == 0
    result: dict[str, Any] = json.loads((tmp_path / "runs" / "evidence" / "ledger.json").read_text())
    (c004,) = (claim for claim in result["claims"] if claim["id"] == "C004")
    assert len(c004["seeds"]) == 200
    assert (tmp_path / "runs" / "evidence" / "ledger.png").read_bytes().startswith(b"\x89PNG")
    assert store.own_store().read_bytes() == before
    assert "look at: runs/evidence/ledger.md" in capsys.readouterr().out
