"""`study`: every combination of some fields' values over seeds, and what comes out: a table, a picture, the outcomes."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, override
from tfgan_lab.studies.grid import Variant, full_names, try_all, variants
from tfgan_lab.studies.jobs import Job, alone_in, run_jobs
from tfgan_lab.studies.outcome_files import read_outcome
from tfgan_lab.studies.store import Store, data_words, row_of
from tfgan_lab.system.files import json_bytes, markdown_bytes, refuse_foreign, write_atomically
from tfgan_lab.system.runtime import start_for
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import of_post

CONFIDENCE = 0.95
_WRITTEN = ("study.json", "study.md", "study.svg", "study.png", "study.html", "outcomes.jsonl")
RULE = (
    f"Medians over seeds; in brackets the {CONFIDENCE:.0%} interval of the median by order statistics, which needs 6 seeds. "
    "Runs that diverged are counted, and have no numbers."
)


def study(
    config: Config, vary: Mapping[str, Sequence[str]], seeds: range, workdir: str | os.PathLike[str], data_dir: str | None = None,
    workers: int | str = 1, config_file: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Trains every combination of values with every seed, a run folder each, and compares the outcomes.

    Finished runs are not run again, unfinished ones are resumed. A run has one thread, whatever `workers` is.

    Args:
      config: Any config.
      vary: Values by field, as typed; of a field the last part of its name is enough where only one ends so.
      seeds: Which.
      workdir: Where the runs, study.json, study.md, study.png, study.html and outcomes.jsonl go.
      data_dir: Where data is, if not to be found by itself.
      workers: Runs at a time; or the address of a Dask scheduler, whose workers see the same folders.
      config_file: Where layers, data, losses or penalties of the config's own are defined.

    Returns:
      What is written to study.json.

    Raises:
      UserError: A wrong field or value, a combination that a config cannot be or that cannot be built (before anything is
        trained); a folder with runs of other configs, or that another process writes. A run that diverges is a result.
    """
    found = variants(config, full_names(config, vary))
    return train_all(config, found, seeds, Path(workdir), data_dir, workers, config_file)


def train_all(
    config: Config, found: Sequence[Variant], seeds: range, folder: Path, data_dir: str | None, workers: int | str, config_file: str | None,
    rescued: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """As `study`, of variants; `rescued` judges forks by the result, and what it gives stands there under "rescue"."""
    refuse_foreign(*(folder / name for name in _WRITTEN))
    jobs = [job for seed in seeds for job in (_job(one, seed, folder) for one in found)]
    first = [job for job in jobs[: len(found)] if not job.done()]
    if first:
        start_for(first[0].config)
        starts = {job.folder: job.start for job in first if job.start}
        try_all({job.folder: job.config for job in first}, data_dir, starts=starts)
    with alone_in(folder, "study"):
        run_jobs(jobs, data_dir, workers, config_file)
        return _write(config, found, seeds, folder, rescued)


def _job(variant: Variant, seed: int, folder: Path) -> Job:
    config = override(variant.config, {"seed": str(seed), "placement": "one"})
    return Job(config, folder / variant.folder / f"seed={seed}", peer=False, start=variant.start)


def _write(
    config: Config, found: Sequence[Variant], seeds: range, folder: Path, rescued: Callable[[Mapping[str, Any]], dict[str, Any]] | None
) -> dict[str, Any]:  # fmt: skip
    from tfgan_lab.figures import write_figure
    from tfgan_lab.report import study_plots
    from tfgan_lab.report.page import write_study_page
    from tfgan_lab.report.page_run import repeat_command

    store, rows, used, commands = Store(), [], [], []
    for one in found:
        outcomes = {}
        for seed in seeds:
            job = _job(one, seed, folder)
            kept = read_outcome(job.folder) if job.done() else None
            if kept is not None:
                store.configs.setdefault(one.folder, kept[0])
                outcomes[seed] = row_of(kept[1])
        store.outcomes[one.folder, "ours"] = outcomes
        rows.append({"values": one.values, "folder": one.folder, **_summary(outcomes)})
        used += [outcome["data"] for outcome in outcomes.values()]
        run = _job(one, seeds[0], folder)
        commands.append(repeat_command(run.config, Workdir(run.folder).read_record(), run.folder))
    result: dict[str, Any] = {
        "config": config.name, "post": config.post, "seeds": [*seeds], "data": data_words(used) or "; ".join(dict.fromkeys(str(one.config.data) for one in found)), "rule": RULE,
        "fields": [*found[0].values], "numbers": list(dict.fromkeys(name for row in rows for name in row["numbers"])), "rows": rows,
    }  # fmt: skip
    store.write(folder / "outcomes.jsonl")
    if rescued:
        result["rescue"] = rescued(result)
    write_atomically(folder / "study.json", json_bytes(result))
    write_atomically(folder / "study.md", markdown_bytes(markdown(result)))
    write_figure(folder, "study", study_plots.by_step(result) if rescued else study_plots.dots_of_seeds(result))
    title = f"A rescue of {result['rescue']['from']}" if rescued else f"{config.name}: {', '.join(result['fields'])}"
    write_study_page(folder, title, tables(result), commands)
    return result


def _summary(outcomes: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Of one combination: how many seeds there are, how many diverged, and of each number what the seeds gave."""
    whole = {seed: outcome["numbers"] for seed, outcome in outcomes.items() if "diverged" not in outcome}
    names = dict.fromkeys(name for numbers in whole.values() for name in numbers)
    values = {name: [numbers[name] for numbers in whole.values() if name in numbers] for name in names}
    return {
        "n": len(outcomes), "diverged": len(outcomes) - len(whole),
        "numbers": {name: {**_median(found), "mean": statistics.fmean(found), "values": found} for name, found in values.items()},
    }  # fmt: skip


def _median(values: Sequence[float]) -> dict[str, float]:
    """The median, and its interval by order statistics if there are values enough for one."""
    from scipy.stats import quantile_test

    ends = quantile_test(values).confidence_interval(CONFIDENCE)
    interval = {"low": float(ends.low), "high": float(ends.high)}
    return {"median": statistics.median(values)} | (interval if all(map(math.isfinite, interval.values())) else {})


def markdown(result: Mapping[str, Any]) -> str:
    """The tables of a study, in Markdown."""
    lines = []
    for table in tables(result):
        rows = [table["head"], ["---"] * len(table["head"]), *table["rows"]]
        lines += [*(f"| {' | '.join(row)} |" for row in rows), "", table["told"], ""]
    return "\n".join(lines[:-1])


def tables(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of a study, "head", "rows" and what is "told" below: of a rescue who was saved, and of all what came out."""
    diverged = ["diverged"] if any(row["diverged"] for row in result["rows"]) else []
    rows = [
        [*row["values"].values(), str(row["n"]), *(str(row[name]) for name in diverged), *(_text(row["numbers"].get(name)) for name in result["numbers"])]
        for row in result["rows"]
    ]  # fmt: skip
    seeds = result["seeds"]
    told = f"{result['config']} ({of_post(result['post'])}), seeds {seeds[0]} to {seeds[-1]}. {result['rule']} Data: {result['data']}."
    numbers = {"head": [*result["fields"], "seeds", *diverged, *result["numbers"]], "rows": rows, "told": told}
    return [*([_saved(result["rescue"])] if "rescue" in result else []), numbers]


def _saved(rescue: Mapping[str, Any]) -> dict[str, Any]:
    first = rescue["cures"][0]
    return {
        "head": [*first["values"], *(f"from step {step:,}" for step in first["saved"]), "saves up to step"],
        "rows": [
            [*cure["values"].values(), *(f"{held} of {n}" for held, n in cure["saved"].values()), f"{cure['until'] or '-'}"]
            for cure in rescue["cures"]
        ],
        "told": f"Forks of {rescue['from']}: how many seeds are saved {rescue['further']:,} steps later, that is, have {rescue['criterion']}. "
        "The last column is the latest step from which more than half are.",
    }  # fmt: skip


def _text(number: Mapping[str, float] | None) -> str:
    if number is None:
        return "-"
    interval = f" [{number['low']:.4g}, {number['high']:.4g}]" if "low" in number else ""
    return f"{number['median']:.4g}{interval}"
