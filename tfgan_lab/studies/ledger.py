"""The ledger of claims: every claim's runs over seeds, and what they say, in Markdown, JSON and a picture.

Runs live in FOLDER/ARM/seed=N and are shared by the claims that need the same ones; peers in FOLDER/ARM/peer,seed=N.
What is finished is not run again, what was cut short is resumed.
"""

from __future__ import annotations

import json
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import UserError
from tfgan_lab.posts.claims import (
    CLAIMS,
    KNOWN,
    LEVEL,
    PEER_TRIALS,
    RULE,
    Arm,
    Claim,
    PeerTrial,
    is_posts_data,
    verdict,
)
from tfgan_lab.studies.jobs import Job, alone_in, drift_of, run_jobs
from tfgan_lab.studies.outcome_files import read_outcome
from tfgan_lab.system.files import is_ours, json_bytes, markdown_bytes, refuse_foreign, write_atomically

BUDGETS = ("posted", "short")
_WRITTEN = ("ledger.json", "ledger.md", "ledger.png", "peers.png", "reference.json")


def plan(claims: Sequence[Claim], trials: Sequence[PeerTrial], seeds: range, budget: str, folder: Path) -> list[Job]:
    """All runs that claims and peer trials need, seed by seed, so that a run cut short has whole seeds."""
    arms = [(arm, budget, False) for claim in claims for arm in claim.arms.values()]
    arms += [(trial.arm(), "posted", peer) for trial in trials for peer in (False, True)]
    jobs: dict[Path, Job] = {}
    for seed in seeds:
        for arm, of, peer in arms:
            path = folder / arm.folder(of) / f"{'peer,' if peer else ''}seed={seed}"
            jobs[path] = Job(config_of(arm, of, seed), path, peer)
    return list(jobs.values())


def config_of(arm: Arm, budget: str, seed: int) -> Config:
    """The config of one run: on one device, as a worker has one core."""
    return override(validate(load_config(arm.config)), {**arm.changes(budget), "seed": str(seed), "placement": "one"})


def judge_claim(claim: Claim, budget: str, folder: Path) -> dict[str, Any]:
    """What the seeds in a folder say of a claim; seeds of which an arm is missing do not count."""
    found = {name: _outcomes(folder, arm, budget, "seed=") for name, arm in claim.arms.items()}
    seeds = sorted(set.intersection(*(set(outcomes) for outcomes in found.values())))
    numbers = {seed: {arm: found[arm][seed]["numbers"] for arm in found} for seed in seeds}
    shown = [seed for seed in seeds if claim.holds(numbers[seed])]
    used = [found[arm][seed]["data"] for seed in seeds for arm in found]
    lengths = {name: _length(arm, budget) for name, arm in claim.arms.items()}
    short = sorted({length for length in lengths.values() if " of " in length})
    return {
        "id": claim.id, "post": claim.post, "says": claim.says, "printed": claim.printed, "config": claim.config, "why": claim.why,
        "seeds": seeds, "shown": shown, "verdict": verdict(len(shown), len(seeds)) if seeds else "not run",
        "limits": [*_data_limits(claim, used), *short] if seeds else [],
        "interval": _share_interval(len(shown), len(seeds)), "lengths": lengths, "data": _data_words(used),
        "gauges": [_gauge(gauge, [numbers[seed][gauge.arm].get(gauge.number) for seed in seeds]) for gauge in claim.gauges],
    }  # fmt: skip


def _data_limits(claim: Claim, used: Sequence[Mapping[str, Any]]) -> list[str]:
    config = config_of(next(iter(claim.arms.values())), "posted", 0)
    trained = {(data.get("train") or {}).get("sha256"): data for data in used}
    if len(trained) > 1:
        return ["on several data sets"]
    strange = [data for data in trained.values() if not is_posts_data(config, data)]
    return [f"on {data['train']['count']:,} digits that are not the post's" for data in strange]


def _data_words(used: Sequence[Mapping[str, Any]]) -> str:
    parts = dict.fromkeys(str(Provenance(**part)) for data in used for part in data.values())
    return "; ".join(parts) or "drawn at each step"


def judge_trial(trial: PeerTrial, folder: Path) -> dict[str, Any]:
    """Our seeds beside the peer's: for each number both distributions, a two-sample test and one of equivalence."""
    arm = trial.arm()
    ours, peers = (_outcomes(folder, arm, "posted", prefix) for prefix in ("seed=", "peer,seed="))
    used = [outcome["data"] for side in (ours, peers) for outcome in side.values()]
    same = len({(data.get("train") or {}).get("sha256") for data in used}) <= 1
    sides = (ours, peers)
    return {
        "config": trial.config, "length": _length(arm, "posted"), "ours": len(ours), "peers": len(peers), "data": _data_words(used),
        "same_data": same, "diverged": [sum("diverged" in outcome for outcome in side.values()) for side in sides],
        "rows": [
            _compare(label, margin, _numbers(ours, number), _numbers(peers, number), same)
            for number, (label, margin) in trial.numbers.items()
        ],
    }  # fmt: skip


def _numbers(outcomes: Mapping[int, Mapping[str, Any]], number: str) -> list[float]:
    return [outcome["numbers"][number] for outcome in outcomes.values() if number in outcome["numbers"]]


def _compare(label: str, margin: float, ours: list[float], peers: list[float], same_data: bool) -> dict[str, Any]:
    """Equivalent: the 90 % interval of the difference of means lies within the margin (two one-sided tests, 5 %)."""
    from scipy.stats import mannwhitneyu, ttest_ind

    row: dict[str, Any] = {"label": label, "margin": margin, "ours": ours, "peer": peers, "p": None, "shift": None}
    if not same_data:
        return row | {"finding": "not the same data"}
    if min(len(ours), len(peers)) < 2:
        return row | {"finding": "too few"}
    interval = ttest_ind(ours, peers, equal_var=False).confidence_interval(1 - 2 * LEVEL)
    low, high = float(interval.low), float(interval.high)
    finding = "equivalent" if max(-low, high) <= margin else "differs" if low > margin or high < -margin else "open"
    return row | {"p": float(mannwhitneyu(ours, peers).pvalue), "shift": [low, high], "finding": finding}


def _outcomes(folder: Path, arm: Arm, budget: str, prefix: str) -> dict[int, dict[str, Any]]:
    """Whole outcomes of an arm by seed; of each only if it is of the very config that its folder's name says."""
    found = {}
    runs = folder / arm.folder(budget)
    for path in runs.iterdir() if runs.is_dir() else ():
        seed = re.fullmatch(f"{prefix}(0|[1-9][0-9]{{0,18}})", path.name)
        outcome = read_outcome(path) if seed else None
        if seed and outcome and not drift_of(outcome[0], config_of(arm, budget, int(seed[1]))):
            found[int(seed[1])] = outcome[1]
    return dict(sorted(found.items()))


def _gauge(gauge: Any, values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    middle = {"median": statistics.median(known), "least": min(known), "most": max(known)} if known else {}
    return {
        "label": gauge.label,
        "low": gauge.low,
        "high": gauge.high,
        "values": list(values),
        **middle,
    }


def _share_interval(shown: int, seeds: int) -> list[float]:
    from scipy.stats import binomtest

    if not seeds:
        return [0.0, 1.0]
    interval = binomtest(shown, seeds).proportion_ci(1 - 2 * LEVEL)
    return [float(interval.low), float(interval.high)]


def _length(arm: Arm, budget: str) -> str:
    """Such as "200 epochs", "10 of 200 epochs" or "2,400 steps"."""
    posted, config = validate(load_config(arm.config)), config_of(arm, budget, 0)
    if config.steps:
        return f"{config.steps:,} steps"
    of = "" if config.epochs == posted.epochs else f"of {posted.epochs:g} "
    return f"{config.epochs:g} {of}epochs"


def write_ledger(folder: str | os.PathLike[str], budget: str = "posted") -> dict[str, Any]:
    """Judges everything that was run in a folder; writes ledger.json, ledger.md, ledger.png and reference.json there.

    Raises:
      UserError: There is nothing finished, or the files cannot be written.
    """
    from tfgan_lab.figures import png
    from tfgan_lab.posts.reference import write_reference
    from tfgan_lab.report import ledger_plots
    from tfgan_lab.report.ledger_text import markdown

    folder = Path(folder)
    refuse_foreign(*(folder / name for name in _WRITTEN))
    result: dict[str, Any] = {
        "rule": RULE, "known": KNOWN, "budget": budget,
        "claims": [judge_claim(claim, budget, folder) for claim in CLAIMS],
        "peers": [trial for trial in (judge_trial(trial, folder) for trial in PEER_TRIALS) if trial["ours"] and trial["peers"]],
    }  # fmt: skip
    if not result["peers"] and not any(claim["seeds"] for claim in result["claims"]):
        raise UserError(
            f"--workdir={folder} holds no finished run of a claim with --budget={budget}: omit --notrain, or name another."
        )
    try:
        write_atomically(folder / "ledger.json", json_bytes(result))
        write_atomically(folder / "ledger.md", markdown_bytes(markdown(result)))
        write_atomically(folder / "ledger.png", png(ledger_plots.ledger(result)))
        if result["peers"]:
            write_atomically(folder / "peers.png", png(ledger_plots.peers(result["peers"])))
        write_reference(folder, folder / "reference.json")
    except OSError as error:
        raise UserError(
            f"--workdir={folder} cannot be written: {error.strerror or error}. Fix its permissions or free space."
        ) from None
    return result


def last_budget(folder: str | os.PathLike[str]) -> str:
    """The budget of the ledger that was last written in a folder; "posted" if there is none."""
    try:
        path = Path(folder) / "ledger.json"
        budget = json.loads(path.read_text(encoding="utf-8"))["budget"] if is_ours(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return BUDGETS[0]
    return budget if budget in BUDGETS else BUDGETS[0]


def ledger(
    claims: Sequence[Claim], trials: Sequence[PeerTrial], seeds: range, budget: str, folder: str | os.PathLike[str],
    data_dir: str | None, workers: int,
) -> dict[str, Any]:  # fmt: skip
    """Trains what claims and trials need over seeds, then judges all that is in the folder.

    Args:
      claims, trials: Which (see `posts`); trials need PyTorch.
      seeds: Which.
      budget: "posted" or "short".
      folder: For all runs and the files of the ledger.
      data_dir: Where data is, if not to be found by itself.
      workers: Runs at a time.

    Returns:
      What is written to ledger.json.

    Raises:
      UserError: As `train`; a folder with runs of other configs, or that another process writes; PyTorch is absent but
        asked for.
    """
    if trials:
        from tfgan_lab.parity.state_files import require_torch

        require_torch()
    folder = Path(folder)
    refuse_foreign(*(folder / name for name in _WRITTEN))
    with alone_in(folder, "ledger"):
        run_jobs(plan(claims, trials, seeds, budget, folder), data_dir, workers)
    return write_ledger(folder, budget)
