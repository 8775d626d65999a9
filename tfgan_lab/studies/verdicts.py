"""What a store of outcomes says: of each claim over seeds, and of our seeds beside the PyTorch programs'."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from tfgan_lab.config_files import load_config
from tfgan_lab.posts.claims import (
    BUDGETS,
    CLAIMS,
    FEWEST_SEEDS,
    KNOWN,
    LEVEL,
    PEER_TRIALS,
    RULE,
    Arm,
    Claim,
    PeerTrial,
    is_posts_data,
    seeds_to_settle,
    verdict,
)
from tfgan_lab.studies.store import PREFIXES, Store, all_arms, config_of, data_words


def judge(store: Store) -> dict[str, Any]:
    """All that a store says: every claim, the peers, and a table of what ran."""
    trials = [judge_trial(trial, store) for trial in PEER_TRIALS]
    return {
        "rule": RULE, "known": KNOWN,
        "claims": [judge_claim(claim, store) for claim in CLAIMS],
        "peers": [trial for trial in trials if trial["ours"] and trial["peers"]],
        "ran": what_ran(store),
    }  # fmt: skip


def what_ran(store: Store) -> list[dict[str, Any]]:
    """Of every arm and side: seeds, length, minutes of one core, data, and the versions and days of its runs."""
    ran = []
    for name, (arm, budget) in all_arms().items():
        for side in PREFIXES:
            rows = store.rows(arm, budget, side)
            if rows:
                made = dict.fromkeys(
                    " ".join(filter(None, (row.get("commit"), row.get("date"), row.get("device"))))
                    for row in rows.values()
                )
                ran.append({
                    "arm": name, "side": side, "seeds": list(rows), "length": _length(arm, budget),
                    "minutes": sum(row.get("minutes", 0) for row in rows.values()),
                    "data": _data_words([row["data"] for row in rows.values()]), "made": "; ".join(filter(None, made)),
                })  # fmt: skip
    return ran


def judge_claim(claim: Claim, store: Store) -> dict[str, Any]:
    """What the seeds in a store say of a claim; seeds of which an arm is missing do not count.

    Judged are the runs that are as long as the post's, if there are enough seeds of them, else what there is most of.
    """
    by_budget = {}
    for budget in BUDGETS:
        found = {name: store.rows(arm, budget) for name, arm in claim.arms.items()}
        by_budget[budget] = sorted(set.intersection(*(set(rows) for rows in found.values())))
    enough = (name for name in BUDGETS if len(by_budget[name]) >= FEWEST_SEEDS)
    budget = next(enough, max(BUDGETS, key=lambda name: len(by_budget[name])))  # of equals the first
    seeds, found = by_budget[budget], {name: store.rows(arm, budget) for name, arm in claim.arms.items()}
    numbers = {seed: {arm: found[arm][seed]["numbers"] for arm in found} for seed in seeds}
    shown = [seed for seed in seeds if claim.holds(numbers[seed])]
    used = [found[arm][seed]["data"] for seed in seeds for arm in found]
    lengths = {name: _length(arm, budget) for name, arm in claim.arms.items()}
    short = sorted({lengths[name] for name, arm in claim.arms.items() if arm.changes(budget) != arm.changes("posted")})
    return {
        "id": claim.id, "post": claim.post, "says": claim.says, "printed": claim.printed, "config": claim.config, "why": claim.why,
        "seeds": seeds, "shown": shown, "verdict": verdict(len(shown), len(seeds)) if seeds else "not run",
        "settled_by": seeds_to_settle(len(shown), len(seeds)) if seeds else None,
        "limits": [*_data_limits(claim, used), *short] if seeds else [],
        "interval": _share_interval(len(shown), len(seeds)), "lengths": lengths, "data": _data_words(used),
        "gauges": [
            {"label": gauge.label, "low": gauge.low, "high": gauge.high, "values": [gauge.value(numbers[seed]) for seed in seeds]}
            for gauge in claim.gauges
        ],
    }  # fmt: skip


def _data_limits(claim: Claim, used: Sequence[Mapping[str, Any]]) -> list[str]:
    config = config_of(next(iter(claim.arms.values())), "posted", 0)
    trained = {(data.get("train") or {}).get("sha256"): data for data in used}
    if len(trained) > 1:
        return ["on several data sets"]
    strange = [data for data in trained.values() if not is_posts_data(config, data)]
    return [f"on {data['train']['count']:,} digits that are not the post's" for data in strange]


def _data_words(used: Sequence[Mapping[str, Any]]) -> str:
    return data_words(used) or "drawn at each step"


def judge_trial(trial: PeerTrial, store: Store) -> dict[str, Any]:
    """Our seeds beside the peer's: for each number both distributions, a two-sample test and one of equivalence."""
    arm = trial.arm()
    ours, peers = (store.rows(arm, "posted", side) for side in PREFIXES)
    used = [outcome["data"] for side in (ours, peers) for outcome in side.values()]
    same = len({(data.get("train") or {}).get("sha256") for data in used}) <= 1
    sides = (ours, peers)
    return {
        "config": trial.config, "arm": trial.name, "length": _length(arm, "posted"), "ours": len(ours), "peers": len(peers), "data": _data_words(used),
        "claims": [
            _on_both(claim, sides) for claim in CLAIMS
            if [one.folder("posted") for one in claim.arms.values()] == [arm.folder("posted")] and all(_has_all(claim, side) for side in sides)
        ],
        "same_data": same, "diverged": [sum("diverged" in outcome for outcome in side.values()) for side in sides],
        "rows": [
            _compare(number, label, margin, _numbers(ours, number), _numbers(peers, number), same)
            for number, (label, margin) in trial.numbers.items()
        ],
    }  # fmt: skip


def _on_both(claim: Claim, sides: Sequence[Mapping[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """How many seeds of either side show a claim that one arm decides."""
    (name,) = claim.arms
    return {
        "id": claim.id,
        "shown": [sum(claim.holds({name: row["numbers"]}) for row in side.values()) for side in sides],
    }


def _has_all(claim: Claim, rows: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether a side has a claim's numbers; a peer has none of those measured during training."""
    wanted = {gauge.number for gauge in claim.gauges}
    return all(wanted <= set(row["numbers"]) for row in rows.values() if row["numbers"])


def _numbers(outcomes: Mapping[int, Mapping[str, Any]], number: str) -> list[float]:
    return [outcome["numbers"][number] for outcome in outcomes.values() if number in outcome["numbers"]]


def _compare(
    number: str, label: str, margin: float, ours: list[float], peers: list[float], same_data: bool
) -> dict[str, Any]:
    """Equivalent: the 90 % interval of the difference of means lies within the margin (two one-sided tests, 5 %)."""
    from scipy.stats import mannwhitneyu, ttest_ind

    row: dict[str, Any] = {"label": label, "margin": margin, "ours": ours, "peer": peers, "p": None, "shift": None}
    if not same_data:
        return row | {"finding": "not the same data"}
    if min(len(ours), len(peers)) < 2:
        return row | {"finding": "too few"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of seeds that all gave one number
        interval = ttest_ind(ours, peers, equal_var=False).confidence_interval(1 - 2 * LEVEL)
    low, high = float(interval.low), float(interval.high)
    if number == "frechet" and max(statistics.median(ours), statistics.median(peers)) <= margin:
        finding = "margin too wide"
    else:
        finding = "equivalent" if max(-low, high) <= margin else "differs" if low > margin or high < -margin else "open"
    return row | {"p": float(mannwhitneyu(ours, peers).pvalue), "shift": [low, high], "finding": finding}


def _share_interval(shown: int, seeds: int) -> list[float]:
    from scipy.stats import binomtest

    if not seeds:
        return [0.0, 1.0]
    interval = binomtest(shown, seeds).proportion_ci(1 - 2 * LEVEL)
    return [float(interval.low), float(interval.high)]


def _length(arm: Arm, budget: str) -> str:
    """Such as "200 epochs", "10 of 200 epochs" or "2,400 steps"."""
    posted, config = load_config(arm.config), config_of(arm, budget, 0)
    if config.steps:
        return f"{config.steps:,} steps"
    of = "" if config.epochs == posted.epochs else f"of {posted.epochs:g} "
    return f"{config.epochs:g} {of}epochs"
