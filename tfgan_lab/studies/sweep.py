"""`sweep`: one config trained once for each value of one field, and the outcomes side by side."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.config import Config, GanConfig, differences, override
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.system.files import json_bytes, markdown_bytes, refuse_foreign, write_atomically
from tfgan_lab.system.runtime import settings_of, start_for
from tfgan_lab.training.terminal import say
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import of_post

_NUM, _PIECE = 1_000, 1_000
RULE = f"digits: those that are more than 1 % of {_NUM:,} samples, by the judge"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one value.

    Attributes:
      value: As typed.
      folder: Its run folder's name.
      numbers: Plain values by name, in the table's order.
      rows: Of its metrics.jsonl.
      samples: The last samples that it drew in training (uint8 images, or numbers); None for a classifier.
      diverged: Why it has no result, or "".
    """

    value: str
    folder: str
    numbers: dict[str, float]
    rows: list[dict[str, Any]]
    samples: np.ndarray | None
    diverged: str = ""


def sweep(
    config: Config, field: str, values: Sequence[str], workdir: str | os.PathLike[str], data_dir: str | None = None,
    judge: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Trains a config for each value of a field and compares what comes out.

    Each value has its own run folder in `workdir`: an unfinished one is resumed, a finished one is left as it is.

    Args:
      config: Any config.
      field: A dotted field, such as "game.d_steps".
      values: As typed on the command line, such as ["1", "5", "20"].
      workdir: Where the runs, sweep.png, sweep.md and sweep.json go.
      data_dir: Where data is.
      judge: The run folder of a classifier that counts the digits; None for the shipped one.

    Returns:
      What is written to sweep.json.

    Raises:
      UserError: An unknown field or wrong value, or a field that TensorFlow takes once in a process (before anything is
        trained); as `train`. A run that diverges is a result: it stands in the table.
    """
    configs = _configs(config, field, values)
    start_for(next(iter(configs.values())))
    folder = Path(workdir)
    refuse_foreign(*(folder / f"sweep.{ending}" for ending in ("json", "md", "svg", "png")))
    _try_all(configs, field, folder, data_dir, judge)
    outcomes = [_run(one, field, value, folder, data_dir, judge) for value, one in configs.items()]
    result: dict[str, Any] = {
        "config": config.name, "post": config.post, "field": field, "rule": RULE if _draws_digits(config) else "",
        "seed": config.seed, "data": Workdir(folder / outcomes[0].folder).read_record().get("data"),
        "runs": [{"value": o.value, "folder": o.folder, **o.numbers, **({"diverged": o.diverged} if o.diverged else {})} for o in outcomes],
    }  # fmt: skip
    write_atomically(folder / "sweep.json", json_bytes(result))
    write_atomically(folder / "sweep.md", markdown_bytes(markdown(result)))
    from tfgan_lab.evaluation.exported import in_words
    from tfgan_lab.figures import write_figure
    from tfgan_lab.report import sweep_plots

    provenance = "; ".join(in_words(part) for part in (result["data"] or {}).values())
    write_figure(folder, "sweep", sweep_plots.side_by_side(outcomes, field, config, provenance))
    return result


def _configs(config: Config, field: str, values: Sequence[str]) -> dict[str, Config]:
    """The config of each value. Raises `UserError` for values that one process cannot train side by side."""
    if len({folder_name(field, value) for value in values}) != len(values) or not values:
        raise UserError(f"--values={','.join(values)}: name at least one value, and none twice.")
    configs = {value: override(config, {field: value}) for value in values}
    first, *others = [settings_of(one) for one in configs.values()]
    if any(other != first for other in others):
        raise UserError(
            f"--field={field}: TensorFlow takes it once in a process: use `tfgan-lab train --config.{field}=VALUE` for each value."
        )
    if any(one.num_seeds > 1 for one in configs.values()):
        raise UserError("num_seeds: a sweep trains one seed for each value: use --field=seed, or `tfgan-lab train`.")
    return configs


def _try_all(configs: dict[str, Config], field: str, folder: Path, data_dir: str | None, judge: str | None) -> None:
    """Builds what will be trained, so that a wrong value is found before the first run and not after it."""
    from tfgan_lab.data import open_source
    from tfgan_lab.evaluation.judge import load_judge
    from tfgan_lab.training.engine import make_engine
    from tfgan_lab.training.experiment import build

    if any(map(_draws_digits, configs.values())):
        load_judge(judge)
    sources: dict[str, Any] = {}
    for value, config in configs.items():
        run = Workdir(folder / folder_name(field, value))
        if not finished(run, config):
            of = str(config.data)
            sources = {of: sources.get(of) or open_source(config.data, data_dir)}  # one at a time: they may be large
            run.refuse_drift(config)
            built = build(config, sources[of])
            make_engine(config.compile, built.strategy, built.task, built.batches)


def markdown(result: dict[str, Any]) -> str:
    """The table of a sweep, in Markdown."""
    names = list(
        dict.fromkeys(name for run in result["runs"] for name in run if name not in ("value", "folder", "diverged"))
    )
    lines = [f"| {' | '.join([result['field'], *names])} |", f"|{'---|' * (len(names) + 1)}"]
    for run in result["runs"]:
        cells = [f"{run[name]:.4g}" if name in run else run.get("diverged", "-") for name in names]
        lines.append(f"| {' | '.join([run['value'], *cells])} |")
    seed = "" if result["field"] == "seed" else f", seed {result['seed']}"
    facts = f"{result['config']} ({of_post(result['post'])}){seed}. {result['rule']}".rstrip()
    return "\n".join([*lines, "", facts])


def folder_name(field: str, value: str) -> str:
    """The run folder of one value, such as "game.d_steps=5"; what is too long for a file system ends in a digest."""
    name = re.sub(r"[^\w.,=+-]+", "_", f"{field}={value}")
    return name if len(name) <= 80 else f"{name[:60]}-{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def _run(config: Config, field: str, value: str, folder: Path, data_dir: str | None, judge: str | None) -> Outcome:
    from tfgan_lab.trainer import train
    from tfgan_lab.training.sampler import saved_samples

    name = folder_name(field, value)
    run, diverged = Workdir(folder / name), ""
    say(f"{field}={value}: {'already finished' if finished(run, config) else 'training'} in {run.path}")
    if not finished(run, config):
        try:
            train(config, run.path, data_dir)
        except TrainingDiverged as error:
            diverged = f"diverged: {str(error).split(':')[0]}"
            say(diverged)
    rows = run.read_metrics()
    numbers = {} if diverged else _last_evaluation(rows) | _judged(config, run, data_dir, judge)
    moments = saved_samples(run.samples, config) if isinstance(config, GanConfig) else []
    return Outcome(value, name, numbers, rows, moments[-1][1] if moments else None, diverged)


def finished(run: Workdir, config: Config) -> bool:
    """Whether a run of this very config is there, trained to its end and exported."""
    if not run.exists() or differences(run.read_config(), config):
        return False
    from tfgan_lab.export.saved_model import read_facts

    step = read_facts(run.export).get("step")
    return step is not None and step == run.read_record().get("total_steps")


def _last_evaluation(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    last: dict[str, Any] = next((row for row in reversed(rows) if row["kind"] == "eval"), {})
    return {name: value for name, value in last.items() if isinstance(value, float) and name != "epoch"}


def _draws_digits(config: Config) -> bool:
    return isinstance(config, GanConfig) and config.data.are_digits


def _judged(config: Config, run: Workdir, data_dir: str | None, judge_path: str | None) -> dict[str, float]:
    if not _draws_digits(config):
        return {}
    from tfgan_lab.data import open_source
    from tfgan_lab.evaluation.digits import digits_drawn
    from tfgan_lab.evaluation.judge import MUST_REACH, doubt, load_judge
    from tfgan_lab.evaluation.pieces import draw
    from tfgan_lab.export.saved_model import load_generator
    from tfgan_lab.metrics import classifier_score

    judge = load_judge(judge_path)
    right = judge.accuracy(open_source(config.data, run.data_dir(data_dir)).test)
    if unsure := doubt(right):
        say(unsure)
    if right < MUST_REACH:
        return {}
    opinion = judge(draw(load_generator(run.path).sample, _NUM, config.seed, _PIECE))
    return {"digits": float(digits_drawn(opinion.labels)), "classifier_score": classifier_score(opinion.probabilities)}
