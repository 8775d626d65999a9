"""The ledger of claims: every claim's runs over seeds, and what they say, in Markdown, JSON and a picture.

Runs live in FOLDER/ARM/seed=N and are shared by the claims that need the same ones; peers in FOLDER/ARM/peer,seed=N.
What is finished is not run again, what was cut short is resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
from tqdm import tqdm

from tfgan_lab.config import Changes, Config, GanConfig, differences, from_json, override, to_json, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import TrainingDiverged, UserError
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
from tfgan_lab.studies.outcome_files import read_outcome
from tfgan_lab.studies.worker_pool import run_calls
from tfgan_lab.system.files import is_ours, json_bytes, make_log, markdown_bytes, refuse_foreign, write_atomically

BUDGETS = ("posted", "short")
_WRITTEN = ("ledger.json", "ledger.md", "ledger.png", "peers.png", "reference.json")
_TOGETHER = 8  # seeds in one graph


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of one seed: ours, or the peer's."""

    config: Config
    folder: Path
    peer: bool

    def done(self) -> bool:
        """Whether its outcome is there. Raises `UserError` if the one there is of another config."""
        found = read_outcome(self.folder)
        if found is None:
            return False
        drift = drift_of(found[0], self.config)
        if drift:
            raise UserError(
                f"{self.folder} holds a run of another config ({'; '.join(drift[:4])}): use another --workdir."
            )
        return True


def drift_of(found: Config, wanted: Config) -> list[str]:
    """Fields that change a run's weights or evaluations, and in which a finished one differs from what is wanted."""
    return differences(found, wanted, Changes.PRINTED, Changes.ASIDE, Changes.PICTURES, Changes.PLACE, Changes.ROUNDING)


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


def groups_of(jobs: Sequence[Job]) -> list[list[Job]]:
    """What a worker does in one go: seeds of one arm that are trained in one graph, or a single run.

    Only nets so tiny that calling their kernels is the time gain by it: those that draw single numbers. The groups are whole eights of
    seeds whatever else is to be done, so that they do not depend on the number of workers.
    """
    groups: list[list[Job]] = []
    latest: dict[Path, list[Job]] = {}  # of each arm
    for job in jobs:
        seed, group = job.config.seed, latest.get(job.folder.parent)
        together = not job.peer and job.config.data.shape == (1,)
        if together and group and seed == group[-1].config.seed + 1 and seed % _TOGETHER:
            group.append(job)
            continue
        groups.append([job])
        if together:
            latest[job.folder.parent] = groups[-1]
    return groups


def run_jobs(jobs: Sequence[Job], data_dir: str | None, workers: int) -> None:
    """Runs what is not done yet, `workers` groups at a time, each in a process of one thread.

    Raises:
      UserError: A run could not be done, or all was stopped; what is finished stays.
    """
    todo = groups_of([job for job in jobs if not job.done()])
    refuse_foreign(*(_log_of(group[0].folder) for group in todo))
    left = sum(len(group) for group in todo)
    calls = [
        ([to_json(job.config) for job in group], [str(job.folder) for job in group], group[0].peer, data_dir)
        for group in todo
    ]
    bar = tqdm(total=len(jobs), initial=len(jobs) - left, unit="run", disable=not sys.stderr.isatty())
    with bar:
        for index, (error, lines) in run_calls(_run, calls, max(1, min(workers, len(todo))), _start_worker):
            if error:
                raise UserError(error)
            bar.update(len(todo[index]))
            for job, line in zip(todo[index], lines, strict=True):
                tqdm.write(f"{job.folder}: {line}", file=sys.stdout)
            sys.stdout.flush()


def _log_of(folder: str | os.PathLike[str]) -> Path:
    """What a group printed, by the folder of its first run."""
    return Path(f"{os.fspath(folder)}.log")


def _start_worker() -> None:
    from tfgan_lab.system.runtime import start_tensorflow

    # One thread each: bits depend on the number of threads, and a ledger must not depend on --jobs.
    start_tensorflow(threads=1)
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # it has no room for several runs at a time
    tf.get_logger().setLevel("ERROR")  # many networks in one process are many traces


def _run(configs: list[str], folders: list[str], peer: bool, data_dir: str | None) -> tuple[str, list[str]]:
    """A group's runs in a worker: (error, a line each). What they print goes to logs beside their folders."""
    from tfgan_lab.training.loop import Interrupted

    jobs = [Job(from_json(config, folder), Path(folder), peer) for config, folder in zip(configs, folders, strict=True)]
    try:
        make_log(log := _log_of(folders[0]))
        with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            if len(jobs) > 1:
                _train_together(jobs, data_dir)
            return "", [_outcome(job, data_dir) for job in jobs]
    except Interrupted:
        return "the ledger was stopped: run the same command again to continue.", []
    except UserError as error:
        return str(error), []
    except OSError as error:
        return f"{folders[0]} cannot be written: {error.strerror or error}. Name another --workdir or fix it.", []


def _train_together(jobs: Sequence[Job], data_dir: str | None) -> None:
    from tfgan_lab.training.many_seeds import train_seeds

    first, last = jobs[0], jobs[-1]
    assert isinstance(first.config, GanConfig)
    parent = first.folder.parent / f"seeds={first.config.seed}-{last.config.seed}"
    many = override(first.config, {"num_seeds": str(len(jobs))})
    assert isinstance(many, GanConfig)
    with contextlib.suppress(TrainingDiverged):  # of all seeds: an outcome like any other, which their records say
        train_seeds(many, parent, data_dir, runs=first.folder.parent)


def _outcome(job: Job, data_dir: str | None) -> str:
    from tfgan_lab.parity.state_files import require_torch
    from tfgan_lab.studies import outcomes

    if job.peer:
        require_torch().set_num_threads(1)
    measured = outcomes.peer_outcome if job.peer else outcomes.our_outcome
    found = measured(job.config, job.folder, data_dir)
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found["numbers"].items())
    return f"{numbers or found['diverged']} ({found['seconds']:.0f} s)"


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(str(folder / ".ledger.lock"))
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"--workdir={folder} is in use by another ledger: wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise UserError(
            f"--workdir={folder} cannot be written: {error.strerror or error}. Name another folder."
        ) from None
    with lock:
        run_jobs(plan(claims, trials, seeds, budget, folder), data_dir, workers)
    return write_ledger(folder, budget)
