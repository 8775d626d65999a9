"""The ledger: verdicts by the written rule, limits never hidden, seeds run once, a killed ledger continues."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from users_files import FILE_KINDS, make, state

from tfgan_lab import cli
from tfgan_lab.config import Game, KerasOptimizer, to_json
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.posts import claims
from tfgan_lab.report import ledger_text
from tfgan_lab.studies import jobs as jobs_lib
from tfgan_lab.studies import ledger, outcomes, store, verdicts
from tfgan_lab.studies.outcome_files import keep_outcome, read_outcome
from tfgan_lab.studies.worker_pool import Stopped
from tfgan_lab.training.loop import Interrupted

MNIST = {"source": "idx files", "split": "train+validation", "count": 60_000, "sha256": claims._MNIST[0], "detail": ""}
FEW = MNIST | {"count": 4_500, "sha256": "0" * 64}
CLASSIFIER = next(claim for claim in claims.CLAIMS if claim.id == "C001a")
GAUSSIAN = next(claim for claim in claims.CLAIMS if claim.id == "C004")


def invent(folder: Path, claim: claims.Claim, accuracies: list[float], train: dict[str, Any]) -> None:
    for seed, accuracy in enumerate(accuracies):
        (arm,) = claim.arms.values()
        config = store.config_of(arm, "posted", seed)
        keep_outcome(
            folder / arm.folder("posted") / f"seed={seed}",
            config,
            {"accuracy": accuracy},
            0,
            {"data": {"train": train}},
        )


@pytest.mark.parametrize(
    ("shown", "seeds", "expected"),
    [(5, 5, "reproduced"), (4, 5, "open"), (0, 5, "not reproduced"), (4, 4, "open"), (15, 20, "reproduced"), (14, 20, "open"), (5, 20, "not reproduced"), (0, 0, "open")],
)  # fmt: skip
def test_the_verdict_is_the_exact_binomial_test(shown: int, seeds: int, expected: str) -> None:
    """Tails added up by hand: 0.5^5 = 0.031; P(X >= 15 | 20) = 0.0207, P(X >= 14 | 20) = 0.0577."""
    assert claims.verdict(shown, seeds) == expected


def test_the_interval_agrees_with_the_verdict() -> None:
    for seeds in (4, 5, 20):
        for shown in range(seeds + 1):
            low, high = verdicts._share_interval(shown, seeds)
            expected = "reproduced" if low >= 0.5 else "not reproduced" if high <= 0.5 else "open"
            assert claims.verdict(shown, seeds) == expected


def test_all_claims_and_their_configs_are_there() -> None:
    assert [c.id for c in claims.CLAIMS] == [
        "C000a.1", "C000a.2", "C000b.1", "C000b.2", "C000b.3", "C000c", "C001a", "C001b", "C001d", "C001e", "C002a.1", "C002a.2", "C002d", "C002e", "C002f", "C002g", "C002h",
        "C003a.1", "C003a.2", "C003b.1", "C003b.2", "C004", "T001",
    ]  # fmt: skip
    for claim in claims.CLAIMS:
        for budget in claims.BUDGETS:
            for arm in claim.arms.values():
                assert store.config_of(arm, budget, 7).seed == 7
        assert {arm for gauge in claim.gauges for arm in (gauge.arm, gauge.over)} - {""} == set(claim.arms)
        assert all(gauge.low <= gauge.high for gauge in claim.gauges)


def test_the_band_of_p002_is_the_posts_median() -> None:
    """Medians of the eleven printed pairs, sorted by hand: D 1.0169, G 1.9438."""
    claim = next(claim for claim in claims.CLAIMS if claim.id == "C002a.1")
    d, g = claim.gauges
    np.testing.assert_allclose([d.low, d.high], [0.8 * 1.0169, 1.2 * 1.0169], atol=6e-4)
    np.testing.assert_allclose([g.low, g.high], [0.8 * 1.9438, 1.2 * 1.9438], atol=6e-4)


def test_a_seed_shows_a_claim_if_every_number_is_in_its_band() -> None:
    assert GAUSSIAN.holds({"run": {"fake_mean": 4.5, "fake_std": 0.95}})
    assert not GAUSSIAN.holds({"run": {"fake_mean": 4.51, "fake_std": 1.25}})
    assert not GAUSSIAN.holds({"run": {"fake_mean": 4.0, "fake_std": 1.56}})
    assert not GAUSSIAN.holds({"run": {}}), "a run that diverged shows nothing"


def test_a_number_over_another_arms_is_of_the_same_seed() -> None:
    claim = next(claim for claim in claims.CLAIMS if claim.id == "C002h")
    for apart, together, shown in ((36, 40, True), (37, 40, False), (40, 36, False), (0, 40, True), (36, 0, False)):
        numbers = {"apart": {"frechet": float(apart)}, "together": {"frechet": float(together)}}
        assert claim.holds(numbers) == shown
    assert not claim.holds({"apart": {"frechet": 1.0}, "together": {}}), "a run that diverged shows nothing"
    kept = store.Store()
    for name, values in (("apart", (20, 30)), ("together", (40, 40))):
        arm = claim.arms[name]
        kept.configs[arm.folder("posted")] = store.config_of(arm, "posted", 0)
        rows = {
            seed: {"numbers": {"frechet": float(value)}, "data": {"train": MNIST}} for seed, value in enumerate(values)
        }
        kept.outcomes[arm.folder("posted"), "ours"] = rows
    judged = verdicts.judge_claim(claim, kept)
    assert (judged["gauges"][0]["values"], judged["shown"]) == ([0.5, 0.75], [0, 1])


def test_other_data_never_passes_as_the_posts(tmp_path: Path) -> None:
    invent(tmp_path, CLASSIFIER, [0.97] * 5, FEW)
    judged = verdicts.judge_claim(CLASSIFIER, store.of_runs(tmp_path))
    assert judged["verdict"] == "reproduced"
    assert ledger_text.headline(judged) == "reproduced, on 4,500 digits that are not the post's"
    invent(tmp_path, CLASSIFIER, [0.97] * 5, MNIST)
    assert ledger_text.headline(verdicts.judge_claim(CLASSIFIER, store.of_runs(tmp_path))) == "reproduced"


def test_a_short_budget_is_named(tmp_path: Path) -> None:
    claim = next(claim for claim in claims.CLAIMS if claim.id == "C001b")
    arm = claim.arms["run"]
    keep_outcome(
        tmp_path / arm.folder("short") / "seed=0",
        store.config_of(arm, "short", 0),
        {"label_accuracy": 0.9},
        0,
        {"data": {"train": MNIST}},
    )
    assert verdicts.judge_claim(claim, store.of_runs(tmp_path))["limits"] == ["4 of 12 epochs"]
    for seed, budget in ((0, "posted"), (1, "short")):
        config = store.config_of(arm, budget, seed)
        facts = {"data": {"train": MNIST}}
        keep_outcome(tmp_path / arm.folder(budget) / f"seed={seed}", config, {"label_accuracy": 0.9}, 0, facts)
    assert verdicts.judge_claim(claim, store.of_runs(tmp_path))["limits"] == ["4 of 12 epochs"], "two seeds, not one"
    config = store.config_of(arm, "posted", 7)
    keep_outcome(tmp_path / arm.folder("posted") / "seed=7", config, {"label_accuracy": 0.9}, 0, facts)
    assert verdicts.judge_claim(claim, store.of_runs(tmp_path))["limits"] == [], "as many seeds of the longer ones"
    for budget, seeds in (("posted", range(5)), ("short", range(9))):
        for seed in seeds:
            config = store.config_of(arm, budget, seed)
            keep_outcome(tmp_path / arm.folder(budget) / f"seed={seed}", config, {"label_accuracy": 0.9}, 0, facts)
    assert verdicts.judge_claim(claim, store.of_runs(tmp_path))["limits"] == [], "five of the longer ones are enough"


def test_a_length_that_the_claim_itself_asks_for_is_no_limit() -> None:
    claim, kept = next(claim for claim in claims.CLAIMS if claim.id == "C002a.2"), store.Store()
    (arm,) = claim.arms.values()
    kept.configs[arm.folder("posted")] = store.config_of(arm, "posted", 0)
    kept.outcomes[arm.folder("posted"), "ours"] = {0: {"numbers": {}, "data": {"train": MNIST}}}
    judged = verdicts.judge_claim(claim, kept)
    assert (judged["seeds"], judged["lengths"], judged["limits"]) == ([0], {"run": "10 of 100 epochs"}, [])


@pytest.mark.parametrize(("shown", "seeds"), [(2, 5), (1, 1), (0, 4), (4, 5)])
def test_an_open_claim_names_the_fewest_seeds_that_would_settle_it(shown: int, seeds: int) -> None:
    """By the tails of the binomial distribution, counted out."""
    needed = claims.seeds_to_settle(shown, seeds)
    assert needed is not None

    def settled(n: int) -> bool:
        k = round(shown / seeds * n)
        tails = (sum(math.comb(n, i) for i in some) / 2**n for some in (range(k, n + 1), range(k + 1)))
        return min(tails) <= 0.05

    assert [n for n in range(seeds, needed + 1) if settled(n)] == [needed]


def test_half_of_the_seeds_settle_nothing(tmp_path: Path) -> None:
    assert claims.seeds_to_settle(5, 10) is None
    invent(tmp_path, CLASSIFIER, [0.94, 0.97], MNIST)
    ledger.write_ledger(tmp_path, store.of_runs(tmp_path))
    assert "**open**; at this share 10,000 seeds would not settle it |" in (tmp_path / "ledger.md").read_text()
    invent(tmp_path, CLASSIFIER, [0.97, 0.97], MNIST)
    ledger.write_ledger(tmp_path, store.of_runs(tmp_path))
    assert "**open**; at this share 5 seeds would settle it |" in (tmp_path / "ledger.md").read_text()


def test_failures_stand_in_the_text_as_plainly(tmp_path: Path) -> None:
    invent(tmp_path, CLASSIFIER, [0.9, 0.91, 0.92, 0.93, 0.94], MNIST)
    result = ledger.write_ledger(tmp_path, store.of_runs(tmp_path))
    text = (tmp_path / "ledger.md").read_text()
    assert "| C001a |" in text
    assert "0 of 5 (0% to 45%) | **not reproduced** |" in text
    assert "| C001a | accuracy on the test split | 0.95 to 1 | 0.92 [0.9, 0.94], n=5 |" in text
    assert json.loads((tmp_path / "ledger.json").read_text()).items() >= json.loads(json.dumps(result)).items()
    assert (tmp_path / "ledger.png").read_bytes().startswith(b"\x89PNG")
    assert [c["verdict"] for c in result["claims"]].count("not run") == len(claims.CLAIMS) - 1


def test_seeds_without_all_arms_do_not_count(tmp_path: Path) -> None:
    claim = next(claim for claim in claims.CLAIMS if claim.id == "C003a.1")
    for name, seeds in (("with", (0, 1, 2)), ("without", (1, 2, 3))):
        for seed in seeds:
            config = store.config_of(claim.arms[name], "posted", seed)
            keep_outcome(
                tmp_path / claim.arms[name].folder("posted") / f"seed={seed}",
                config,
                {"label_accuracy": 0.1 if name == "with" else 0.9},
                0,
                {"data": {"train": MNIST}},
            )
    judged = verdicts.judge_claim(claim, store.of_runs(tmp_path))
    assert judged["seeds"] == [1, 2]
    assert judged["shown"] == [1, 2]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("C000b", ["C000b.1", "C000b.2", "C000b.3"]),
        ("C000b.2", ["C000b.2"]),
        ("C000c", ["C000c"]),
        ("cgan_branch", ["C003b.1", "C003b.2"]),
        ("C000", []),
    ],
)
def test_claims_are_asked_for_by_config_or_id(asked: str, expected: list[str]) -> None:
    assert [claim.id for claim in claims.claims_of(asked)] == expected


def test_claims_share_their_runs() -> None:
    jobs = ledger.plan(claims.CLAIMS, [], range(2), "short", Path("x"))
    assert len(jobs) == len({job.folder for job in jobs})
    assert sum("cgan_concat,epochs=2/" in str(job.folder) for job in jobs) == 2, "one per seed, for C003a.1 and C003b.1"
    assert [job.config.seed for job in jobs] == sorted(job.config.seed for job in jobs)


def test_the_gaussians_seeds_are_trained_together_in_eights() -> None:
    (trial,) = (trial for trial in claims.PEER_TRIALS if trial.config == "gaussian")
    jobs = ledger.plan([CLASSIFIER, GAUSSIAN], [trial], range(5, 19), "posted", Path("x"))
    jobs = [job for job in jobs if job.peer or job.config.seed != 10]  # it is done already
    groups = {(group[0].folder.parent.name, group[0].peer): [] for group in jobs_lib.groups_of(jobs)}
    for group in jobs_lib.groups_of(jobs):
        groups[group[0].folder.parent.name, group[0].peer].append([job.config.seed for job in group])
    assert groups["gaussian", False] == [[5, 6, 7], [8, 9], [11, 12, 13, 14, 15], [16, 17, 18]]
    assert groups["gaussian", True] == [[seed] for seed in range(5, 19)]
    assert groups["mnist_classifier", False] == [[seed] for seed in range(5, 19) if seed != 10]


@pytest.mark.parametrize(
    "changes",
    [{"game": Game(d_steps=3, fresh_real=True)}, {"d_optimizer": KerasOptimizer(name="adam", learning_rate=1e-3)}],
    ids=["a real batch for each update", "an optimiser of Keras'"],
)
def test_seeds_that_one_graph_cannot_train_are_trained_alone(changes: dict[str, Any]) -> None:
    configs = (dataclasses.replace(load_config("gaussian"), **changes, seed=seed) for seed in range(3))
    jobs = [jobs_lib.Job(config, Path(f"x/seed={config.seed}"), peer=False) for config in configs]
    assert [len(group) for group in jobs_lib.groups_of(jobs)] == [1, 1, 1]


def test_a_seed_that_diverged_among_others_is_not_trained_again(tmp_path: Path) -> None:
    from tfgan_lab.studies.outcomes import our_outcome
    from tfgan_lab.training.workdir import Workdir

    config = store.config_of(GAUSSIAN.arms["run"], "posted", 3)
    run = Workdir(tmp_path / "seed=3")
    run.claim()
    run.keep_config(config)
    run.write_record(diverged=17, data={}, total_steps=2400)
    run.release()
    found = our_outcome(config, run.path, None)
    assert (found["numbers"], found["diverged"]) == ({}, "a loss became infinite or NaN at step 17")
    assert not GAUSSIAN.holds({"run": found["numbers"]})


def test_peers_are_trained_as_long_as_ours() -> None:
    for trial in claims.PEER_TRIALS:
        jobs = ledger.plan([], [trial], range(1), "posted", Path("x"))
        assert [job.peer for job in jobs] == [False, True]
        assert jobs[0].config == jobs[1].config


def test_another_configs_run_is_refused(tmp_path: Path) -> None:
    invent(tmp_path, CLASSIFIER, [0.97], MNIST)
    (job,) = ledger.plan([CLASSIFIER], [], range(1), "posted", tmp_path)
    assert job.done()
    with pytest.raises(UserError, match="epochs"):
        dataclasses.replace(job, config=dataclasses.replace(job.config, epochs=9)).done()


WHOLE = {"numbers": {"a": 1.0}, "seed": 0, "data": {"train": MNIST}}


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": None},
        {"numbers": {"a": "1"}},
        {"numbers": {"a": float("nan")}},
        {"data": {"train": {"source": 1}}},
        {"data": 3},
        {"seed": 1},
    ],
    ids=str,
)
def test_a_damaged_outcome_is_none(change: dict[str, Any], tmp_path: Path) -> None:
    config = json.loads(to_json(store.config_of(CLASSIFIER.arms["run"], "posted", 0)))
    (tmp_path / "outcome.json").write_text(json.dumps({**WHOLE, "config": config}))
    assert read_outcome(tmp_path) is not None
    (tmp_path / "outcome.json").write_text(json.dumps({**WHOLE, "config": config, **change}))
    assert read_outcome(tmp_path) is None
    for text in ("", "{", "[]", '{"config": 3}', '{"config": {"kind": "gan"}}'):
        (tmp_path / "outcome.json").write_text(text)
        assert read_outcome(tmp_path) is None


def test_strange_folders_do_not_count(tmp_path: Path) -> None:
    """Neither copies of a seed's outcome under other numbers nor names that are no seed's."""
    invent(tmp_path, CLASSIFIER, [0.97], MNIST)
    arm = tmp_path / "mnist_classifier"
    for name in ("seed=1", "seed=01", "seed=0 (copy)", "seed=x"):
        (arm / name).mkdir()
        (arm / name / "outcome.json").write_bytes((arm / "seed=0" / "outcome.json").read_bytes())
    assert verdicts.judge_claim(CLASSIFIER, store.of_runs(tmp_path))["seeds"] == [0]


def test_one_seed_on_other_data_is_enough_to_say_so(tmp_path: Path) -> None:
    invent(tmp_path, CLASSIFIER, [0.97] * 6, FEW)
    invent(tmp_path, CLASSIFIER, [0.97], MNIST)
    assert (
        ledger_text.headline(verdicts.judge_claim(CLASSIFIER, store.of_runs(tmp_path)))
        == "reproduced, on several data sets"
    )


def test_a_diverged_seed_counts_and_hides_no_data(tmp_path: Path) -> None:
    invent(tmp_path, CLASSIFIER, [0.97] * 9, FEW)
    config = store.config_of(CLASSIFIER.arms["run"], "posted", 0)
    keep_outcome(
        tmp_path / "mnist_classifier" / "seed=0", config, {}, 0, {"data": {"train": FEW}, "diverged": "loss became nan"}
    )
    judged = verdicts.judge_claim(CLASSIFIER, store.of_runs(tmp_path))
    assert (len(judged["seeds"]), len(judged["shown"])) == (9, 8)
    assert judged["limits"] == ["on 4,500 digits that are not the post's"]


def invent_trial(folder: Path, ours: list[float], peers: list[float], data: dict[str, Any]) -> claims.PeerTrial:
    trial = claims.PeerTrial("gaussian", {}, {"fake_mean": ("generated mean", 0.5)})
    for prefix, side, train in (("seed=", ours, MNIST), ("peer,seed=", peers, data)):
        for seed, value in enumerate(side):
            config = store.config_of(trial.arm(), "posted", seed)
            keep_outcome(
                folder / "gaussian" / f"{prefix}{seed}", config, {"fake_mean": value}, 0, {"data": {"train": train}}
            )
    return trial


def test_peers_are_equivalent_different_or_open(tmp_path: Path) -> None:
    """Against SciPy's Welch interval at 90 %, by hand from means and variances."""
    base, near, far = [1.0, 1.1, 0.9, 1.05], [1.02, 1.08, 0.95, 1.0], [3.0, 3.1, 2.9, 3.05]
    for name, (ours, peers), finding in (
        ("near", (base, near), "equivalent"),
        ("far above", (base, far), "differs"),
        ("far below", (far, base), "differs"),
        ("above or equal", (base, [1.4, 1.5, 1.45, 1.55]), "open"),
        ("below or equal", ([1.4, 1.5, 1.45, 1.55], base), "open"),
        ("wide", (base, [0.0, 2.5, -1.0, 3.0]), "open"),
    ):
        (row,) = verdicts.judge_trial(
            invent_trial(tmp_path / name, ours, peers, MNIST), store.of_runs(tmp_path / name)
        )["rows"]
        assert row["finding"] == finding
        a, b = (np.var(side, ddof=1) / 4 for side in (ours, peers))
        freedom = (a + b) ** 2 / (a**2 / 3 + b**2 / 3)
        half = stats.t.ppf(0.95, freedom) * np.sqrt(a + b)
        middle = np.mean(ours) - np.mean(peers)
        np.testing.assert_allclose(row["shift"], [middle - half, middle + half], rtol=1e-9)


def test_a_distance_below_its_margin_finds_nothing() -> None:
    row = verdicts._compare("frechet", "", 20.0, [4.0, 4.1, 3.9], [9.0, 9.1, 8.9], same_data=True)
    assert row["finding"] == "margin too wide" and row["shift"][1] < -4.5
    row = verdicts._compare("frechet", "", 20.0, [4.0, 4.1, 3.9], [39.0, 39.1, 38.9], same_data=True)
    assert row["finding"] == "differs"


def test_peers_on_other_data_are_not_compared(tmp_path: Path) -> None:
    judged = verdicts.judge_trial(invent_trial(tmp_path, [1.0, 1.1], [1.0, 1.1], FEW), store.of_runs(tmp_path))
    assert judged["rows"][0]["finding"] == "not the same data"
    assert judged["rows"][0]["p"] is None


@pytest.mark.parametrize("known", [("fake_mean",), ("fake_mean", "fake_std")])
def test_a_claim_is_judged_on_both_sides_only_if_all_its_numbers_are_known(
    tmp_path: Path, known: tuple[str, ...]
) -> None:
    """A peer has no course of training: that its numbers are missing does not mean that its seeds do not show a claim."""
    trial = next(trial for trial in claims.PEER_TRIALS if trial.config == "gaussian")
    for prefix in ("seed=", "peer,seed="):
        numbers = {"fake_mean": 4.0, "fake_std": 1.25}
        given = numbers if prefix == "seed=" else {name: numbers[name] for name in known}
        keep_outcome(
            tmp_path / "gaussian" / f"{prefix}0", store.config_of(trial.arm(), "posted", 0), given, 0, {"data": {}}
        )
    judged = verdicts.judge_trial(trial, store.of_runs(tmp_path))
    assert judged["claims"] == ([{"id": "C004", "shown": [1, 1]}] if len(known) == 2 else [])


def test_the_ledger_of_one_config_shows_its_claims_and_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    invent(tmp_path, CLASSIFIER, [0.97] * 4, FEW)
    invent_trial(tmp_path, [1.0, 1.1, 0.9], [1.0, 1.05, 0.95], MNIST)
    command = ["compare", "ledger", "--notrain", f"--workdir={tmp_path}"]
    assert cli.main([*command, "--config=mnist_classifier"]) == 0
    shown, text = capsys.readouterr().out, (tmp_path / "ledger.md").read_text()
    assert "C001a" in text and "C004" not in text and "gaussian" not in text
    again = f"tfgan-lab compare ledger --config=mnist_classifier --workdir={tmp_path}"
    assert (
        shown.splitlines()[-1]
        == f"next: C001a can be settled by more seeds: {again.replace('mnist_classifier', 'C001a')} --seeds=5"
    )
    assert cli.main(["compare", "ledger", "--notrain", "--config=mnist_classifier"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("tfgan-lab compare ledger --notrain"), (
        "of the package's own"
    )
    everything = json.loads((tmp_path / "ledger.json").read_text())["claims"]
    assert len(everything) == len(claims.CLAIMS), "pages look verdicts up in it"
    invent(tmp_path, CLASSIFIER, [0.97] * 5, FEW)
    assert cli.main([*command, "--config=mnist_classifier"]) == 0
    assert f"on the post's data: {again} --data_dir=" in capsys.readouterr().out
    invent(tmp_path, CLASSIFIER, [0.97] * 5, MNIST)
    assert cli.main([*command, "--config=mnist_classifier"]) == 0
    assert "next: the verdicts on all claims: tfgan-lab compare ledger --notrain" in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "| C001a |" in (whole := (tmp_path / "ledger.md").read_text()) and "| C004 |" in whole


def test_a_claim_with_a_shorter_budget_is_judged_on_both_sides(tmp_path: Path) -> None:
    trial = next(trial for trial in claims.PEER_TRIALS if trial.config == "cgan_layernorm")
    (claim,) = [claim for claim in claims.CLAIMS if claim.id == "C001b"]
    middle = {gauge.number: (gauge.low + gauge.high) / 2 for gauge in claim.gauges}
    for prefix in ("seed=", "peer,seed="):
        folder = tmp_path / trial.arm().folder("posted") / f"{prefix}0"
        keep_outcome(folder, store.config_of(trial.arm(), "posted", 0), middle, 0, {"data": {"train": MNIST}})
    judged = verdicts.judge_trial(trial, store.of_runs(tmp_path))
    assert {"id": "C001b", "shown": [1, 1]} in judged["claims"]


def test_the_ledger_of_a_claim_shows_its_peers(tmp_path: Path) -> None:
    invent_trial(tmp_path, [1.0, 1.1, 0.9], [1.0, 1.05, 0.95], MNIST)
    for asked, shown in (("C004", ["gaussian"]), ("C001a", [])):
        result = ledger.write_ledger(tmp_path, store.of_runs(tmp_path), asked)
        assert [trial["config"] for trial in result["peers"]] == shown


@pytest.mark.parametrize("asked", ["cgan_branch", "C003b.1"])
def test_the_peers_of_a_config_and_of_its_claims_are_the_same(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    monkeypatch.setattr(ledger, "run_all", lambda _, peers, *rest: trained.extend(peers))
    cli.main(["compare", "ledger", f"--config={asked}", "--peers", f"--workdir={tmp_path}"])
    assert [trial.config for trial in trained] == ["cgan_branch", "cgan_branch:torch_init"]


def test_a_claim_is_selected_by_its_id(tmp_path: Path) -> None:
    invent(tmp_path, CLASSIFIER, [0.97], MNIST)
    result = ledger.write_ledger(tmp_path, store.of_runs(tmp_path), "C001a")
    assert [claim["id"] for claim in result["claims"]] == ["C001a"]
    assert [row["arm"] for row in result["ran"]] == ["mnist_classifier"]


def test_peers_stand_in_text_and_picture(tmp_path: Path) -> None:
    invent_trial(tmp_path, [1.0, 1.1, 0.9], [1.0, 1.05, 0.95], MNIST)
    ledger.write_ledger(tmp_path, store.of_runs(tmp_path))
    assert (
        "| gaussian | 2,400 steps | generated mean | 1 [0.9, 1.1], n=3 | 1 [0.95, 1.05], n=3 |"
        in (tmp_path / "ledger.md").read_text()
    )
    assert (tmp_path / "peers.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--config=gaussian", "--config.steps=5"], "takes no --config.FIELD"),
        (["--notrain", "--workdir=nowhere"], "holds no finished run of a claim"),
        (["--seeds=0"], "--seeds"),
        (["--config=gaussian", "--workdir=a_file"], "a_file/ledger.json cannot be written"),
        (["--config=gaussian", "--peers"], "pip install 'tfgan-lab[torch]'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a_file").write_text("")
    assert cli.main(["compare", "ledger", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("kind", FILE_KINDS)
@pytest.mark.parametrize("name", ["seed=0.log", "seed=0/outcome.json"])
def test_a_users_file_in_a_logs_place_stays(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the log before anything is trained; of the outcome where it would be written."""

    def run_calls(call: Any, calls: Any, *_: Any) -> list[Any]:
        assert name == "seed=0/outcome.json", "too late"
        return [(index, call(*given)) for index, given in enumerate(calls)]

    monkeypatch.setattr(jobs_lib, "run_calls", run_calls)
    monkeypatch.setattr(outcomes, "our_outcome", lambda config, folder, *_: keep_outcome(folder, config, {}, 0, {}))
    target = tmp_path / GAUSSIAN.arms["run"].folder("posted") / name
    target.parent.mkdir(parents=True)
    make(kind, target)
    before = state(target.parent)
    assert cli.main(["compare", "ledger", "--config=gaussian", "--seeds=1", f"--workdir={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert (said.count("\n"), str(target) in said) == (1, True)
    assert state(target.parent) == before


def test_a_config_without_a_claim_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "ledger", "--config=dcgan_montage"]) == 2
    assert "no claim is tested with it. Claims are of: cgan_branch" in capsys.readouterr().err


def wait_for(path: Path, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 240
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_a_stopped_ledger_goes_on_and_nothing_is_run_twice(number: int, code: int, tmp_path: Path) -> None:
    """Only the parent is told; its worker must not stay. Also: numbers do not depend on how many run at a time."""
    command = [
        sys.executable,
        "-m",
        "tfgan_lab",
        "compare",
        "ledger",
        "--config=gaussian",
        "--first_seed=7",
        "--seeds=2",
    ]
    first = (
        tmp_path / "gaussian" / "seed=7" / "outcome.json"
    )  # 7 and 8 are of two groups: one is trained after the other
    process = subprocess.Popen(
        [*command, "--jobs=1", f"--workdir={tmp_path}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    wait_for(first, process)
    os.kill(process.pid, number)
    assert process.wait(120) == code
    written = first.stat().st_mtime_ns
    run = subprocess.run([*command, "--jobs=2", f"--workdir={tmp_path}"], capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stderr
    assert first.stat().st_mtime_ns == written
    assert f"{tmp_path}/gaussian/seed=8: " in run.stdout
    assert f"{tmp_path}/gaussian/seed=7: " not in run.stdout
    if number == signal.SIGTERM:
        other = subprocess.run(
            [*command, "--jobs=2", f"--workdir={tmp_path / 'other'}"], capture_output=True, text=True, timeout=400
        )
        assert other.returncode == 0, other.stderr
        for seed in (7, 8):
            one, two = (read_outcome(folder / "gaussian" / f"seed={seed}") for folder in (tmp_path, tmp_path / "other"))
            assert one is not None and two is not None
            assert one[1]["numbers"] == two[1]["numbers"]


def test_a_worker_that_is_stopped_alone_asks_to_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> None:
        raise Interrupted("stopped at step 5 of 9 and saved", signal.SIGTERM)

    monkeypatch.setattr(outcomes, "our_outcome", stopped)
    with pytest.raises(Stopped, match="run the same command again to continue") as told:
        jobs_lib._run([to_json(load_config("gaussian"))], [str(tmp_path / "seed=0")], False, "", None, None)
    assert pickle.loads(pickle.dumps(told.value)).code == 75  # as it comes to the parent


@pytest.mark.slow
def test_seeds_in_one_graph_have_the_outcomes_that_they_have_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tfgan_lab", "compare", "ledger", "--config=gaussian", "--jobs=1"]
    for folder, options in (("together", ["--seeds=2"]), ("alone", ["--first_seed=1", "--seeds=1"])):
        run = subprocess.run(
            [*command, *options, f"--workdir={tmp_path / folder}"], capture_output=True, text=True, timeout=400
        )
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "together" / "gaussian" / "seeds=0-1" / "seeds.json").is_file()
    assert not list((tmp_path / "alone" / "gaussian").glob("seeds=*"))
    one, two = (read_outcome(tmp_path / folder / "gaussian" / "seed=1") for folder in ("together", "alone"))
    assert one is not None and two is not None
    for name, value in two[1]["numbers"].items():
        assert one[1]["numbers"][name] == pytest.approx(value, rel=1e-3), name
