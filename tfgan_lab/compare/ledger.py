"""The ledger of claims: every claim's runs over seeds, and what they say, in Markdown, JSON and a picture.

Runs live in FOLDER/ARM/seed=N and are shared by the claims that need the same ones; peers in FOLDER/ARM/peer,seed=N. What is
finished is not run again, what was cut short is resumed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tfgan_lab.compare.outcome_files import read_outcome
from tfgan_lab.compare.posts import CLAIMS, LEVEL, PEER_TRIALS, RULE, Arm, Claim, PeerTrial, is_posts_data, verdict
from tfgan_lab.config import Config, Gaussian, differences, from_json, override, to_json, validate
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import UserError
from tfgan_lab.experiments import load_config
from tfgan_lab.images import write_atomically

BUDGETS = ("posted", "short")
_RUNS_A_WORKER = 8  # then a fresh process takes over, so that memory does not grow


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
        drift = differences(found[0], self.config)
        if drift:
            raise UserError(
                f"{self.folder} holds a run of another config ({'; '.join(drift[:4])}): use another --workdir."
            )
        return True


def plan(claims: Sequence[Claim], trials: Sequence[PeerTrial], seeds: int, budget: str, folder: Path) -> list[Job]:
    """All runs that claims and peer trials need, seed by seed, so that a run cut short has whole seeds."""
    arms = [(arm, budget, False) for claim in claims for arm in claim.arms.values()]
    arms += [(trial.arm(), "posted", peer) for trial in trials for peer in (False, True)]
    jobs: dict[Path, Job] = {}
    for seed in range(seeds):
        for arm, of, peer in arms:
            path = folder / arm.folder(of) / f"{'peer,' if peer else ''}seed={seed}"
            jobs[path] = Job(config_of(arm, of, seed), path, peer)
    return list(jobs.values())


def config_of(arm: Arm, budget: str, seed: int) -> Config:
    """The config of one run."""
    return override(validate(load_config(arm.config)), {**arm.changes(budget), "seed": str(seed)})


def run_jobs(jobs: Sequence[Job], data_dir: str | None, workers: int) -> None:
    """Runs what is not done yet, `workers` at a time, each in a process of one thread.

    Raises:
      UserError: A run could not start, or a worker was killed; what is finished stays.
    """
    todo = [job for job in jobs if not job.done()]
    if not todo:
        return
    workers = min(workers, len(todo))
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, max_tasks_per_child=_RUNS_A_WORKER
    )
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="run", disable=not sys.stderr.isatty())
    with pool, bar:
        futures = {pool.submit(_run, to_json(job.config), str(job.folder), job.peer, data_dir): job for job in todo}
        try:
            for future in concurrent.futures.as_completed(futures):
                job, (error, line) = futures[future], future.result()
                if error:
                    raise UserError(error)
                bar.update()
                tqdm.write(f"{job.folder}: {line}", file=sys.stdout)
                sys.stdout.flush()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                raise UserError(
                    "a worker of the ledger was killed (out of memory?): run the same command again to go on, with a smaller --jobs if need be."
                ) from None
            raise


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    from tfgan_lab.runtime import start_tensorflow

    # One thread each: bits depend on the number of threads, and a ledger must not depend on --jobs.
    start_tensorflow(threads=1)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # many networks in one process are many traces


def _run(config: str, folder: str, peer: bool, data_dir: str | None) -> tuple[str, str]:
    """One run in a worker: (error, line). What a run prints goes to its own log."""
    from tfgan_lab.compare import outcomes
    from tfgan_lab.compare.state_files import require_torch

    path = Path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f"{path.name}.log").open("w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        try:
            if peer:
                require_torch().set_num_threads(1)
            found = (outcomes.peer_outcome if peer else outcomes.our_outcome)(from_json(config, folder), path, data_dir)
        except UserError as error:
            return str(error), ""
        except KeyboardInterrupt:
            return f"{folder}: interrupted. Run the same command again to go on.", ""
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found["numbers"].items())
    return "", f"{numbers or found['diverged']} ({found['seconds']:.0f} s)"


def judge_claim(claim: Claim, budget: str, folder: Path) -> dict[str, Any]:
    """What the seeds in a folder say of a claim; seeds of which an arm is missing do not count."""
    found = {name: _outcomes(folder / arm.folder(budget), "seed=") for name, arm in claim.arms.items()}
    seeds = sorted(set.intersection(*(set(outcomes) for outcomes in found.values())))
    numbers = {seed: {arm: found[arm][seed]["numbers"] for arm in found} for seed in seeds}
    shown = [seed for seed in seeds if claim.holds(numbers[seed])]
    stands = verdict(len(shown), len(seeds)) if seeds else "not run"
    one = found[next(iter(found))][seeds[0]] if seeds else {}
    real = not seeds or is_posts_data(one.get("data", {}))
    arms = {name: _length(arm, budget) for name, arm in claim.arms.items()}
    limits = [] if real else [f"on {one['data']['train']['count']:,} digits that are not the post's"]
    limits += [f"{length} ({name})" for name, length in arms.items() if " of " in length]
    return {
        "id": claim.id, "post": claim.post, "says": claim.says, "printed": claim.printed, "config": claim.config, "why": claim.why,
        "seeds": seeds, "shown": shown, "verdict": stands, "limits": limits if seeds else [],
        "interval": _share_interval(len(shown), len(seeds)), "lengths": arms,
        "data": "; ".join(str(Provenance(**part)) for part in one.get("data", {}).values()) or "drawn anew at each step",
        "gauges": [_gauge(gauge, [numbers[seed][gauge.arm].get(gauge.number) for seed in seeds]) for gauge in claim.gauges],
    }  # fmt: skip


def judge_trial(trial: PeerTrial, folder: Path) -> dict[str, Any]:
    """Our seeds beside the peer's: for each number both distributions and a two-sample test."""
    from scipy.stats import mannwhitneyu

    arm = trial.arm()
    ours, peers = (_outcomes(folder / arm.folder("posted"), prefix) for prefix in ("seed=", "peer,seed="))
    rows = []
    for number, label in trial.numbers.items():
        sides = [
            [outcome["numbers"][number] for outcome in side.values() if number in outcome["numbers"]]
            for side in (ours, peers)
        ]
        p = float(mannwhitneyu(*sides).pvalue) if all(sides) else None
        rows.append({"label": label, "ours": sides[0], "peer": sides[1], "p": p})
    some = next(iter(ours.values()), {})
    return {
        "config": trial.config, "length": _length(arm, "posted"), "rows": rows, "ours": len(ours), "peers": len(peers),
        "data": "; ".join(str(Provenance(**part)) for part in some.get("data", {}).values()) or "drawn anew at each step",
    }  # fmt: skip


def _outcomes(folder: Path, prefix: str) -> dict[int, dict[str, Any]]:
    found = ((path, read_outcome(path)) for path in folder.glob(f"{prefix}*") if path.is_dir())
    return dict(sorted((int(path.name.removeprefix(prefix)), outcome[1]) for path, outcome in found if outcome))


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
    if isinstance(config.data, Gaussian) or config.steps:
        return f"{config.steps:,} steps"
    of = "" if config.epochs == posted.epochs else f"of {posted.epochs:g} "
    return f"{config.epochs:g} {of}epochs"


def write_ledger(folder: str | os.PathLike[str], budget: str = "posted") -> dict[str, Any]:
    """Judges everything that was run in a folder and writes ledger.json, ledger.md and ledger.png there."""
    from tfgan_lab.report import ledger_plots
    from tfgan_lab.report.ledger_text import markdown
    from tfgan_lab.report.style import write_figure

    folder = Path(folder)
    result: dict[str, Any] = {
        "rule": RULE, "budget": budget,
        "claims": [judge_claim(claim, budget, folder) for claim in CLAIMS],
        "peers": [trial for trial in (judge_trial(trial, folder) for trial in PEER_TRIALS) if trial["ours"] and trial["peers"]],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "ledger.json", (json.dumps(result, indent=1) + "\n").encode())
    write_atomically(folder / "ledger.md", (markdown(result) + "\n").encode())
    write_figure(folder, "ledger", ledger_plots.ledger(result))
    if result["peers"]:
        write_figure(folder, "peers", ledger_plots.peers(result["peers"]))
    return result


def ledger(
    claims: Sequence[Claim], trials: Sequence[PeerTrial], seeds: int, budget: str, folder: str | os.PathLike[str],
    data_dir: str | None, workers: int,
) -> dict[str, Any]:  # fmt: skip
    """Trains what claims and trials need over seeds 0 to `seeds` - 1, then judges all that is in the folder.

    Args:
      claims, trials: Which (see `posts`); trials need PyTorch.
      seeds: How many.
      budget: "posted" or "short".
      folder: For all runs and the three files of the ledger.
      data_dir: Where data is, if not to be found by itself.
      workers: Runs at a time.

    Returns:
      What is written to ledger.json.

    Raises:
      UserError: As `train`; a folder with runs of other configs; PyTorch is absent but asked for.
    """
    if trials:
        from tfgan_lab.compare.state_files import require_torch

        require_torch()
    run_jobs(plan(claims, trials, seeds, budget, Path(folder)), data_dir, workers)
    return write_ledger(folder, budget)
