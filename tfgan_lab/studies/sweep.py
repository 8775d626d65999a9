"""`sweep`: one config trained once for each value of one field, and the outcomes side by side."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.config import Config, GanConfig
from tfgan_lab.errors import TrainingDiverged
from tfgan_lab.records import last_row, numbers_of
from tfgan_lab.studies.grid import Variant, finished, try_all, variants
from tfgan_lab.system.files import json_bytes, markdown_bytes, refuse_foreign, write_atomically
from tfgan_lab.system.runtime import start_for
from tfgan_lab.training.terminal import say
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import of_post

_NUM, _PIECE = 1_000, 1_000
RULE = f"digits: classes that are more than a tenth of an even share of {_NUM:,} samples, by the judge (of ten: 1 %)"


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
    config: Config, field: str, values: Sequence[str], workdir: str | os.PathLike[str], data_dir: str | None = None
) -> dict[str, Any]:
    """Trains a config for each value of a field and compares what comes out.

    Each value has its own run folder in `workdir`: an unfinished one is resumed, a finished one is left as it is.

    Args:
      config: Any config.
      field: A dotted field, such as "game.d_steps".
      values: As typed on the command line, such as ["1", "5", "20"].
      workdir: Where the runs, sweep.png, sweep.md and sweep.json go.
      data_dir: Where data is.

    Returns:
      What is written to sweep.json.

    Raises:
      UserError: An unknown field or wrong value, or a field that TensorFlow takes once in a process (before anything is
        trained); as `train`. A run that diverges is a result: it stands in the table.
    """
    found = variants(config, {field: values})
    start_for(found[0].config)
    folder = Path(workdir)
    refuse_foreign(*(folder / f"sweep.{ending}" for ending in ("json", "md", "svg", "png")))
    try_all({folder / one.folder: one.config for one in found}, data_dir)
    if not (folder / "sweep.json").exists():  # what it is, as long as it trains
        write_atomically(folder / "sweep.json", json_bytes({"config": config.name, "field": field, "runs": []}))
    outcomes = [_run(one, folder, data_dir) for one in found]
    result: dict[str, Any] = {
        "config": config.name, "post": config.post, "field": field, "rule": RULE if config.is_judged else "",
        "seed": config.seed, "data": Workdir(folder / outcomes[0].folder).read_record().get("data"),
        "runs": [{"value": o.value, "folder": o.folder, **o.numbers, **({"diverged": o.diverged} if o.diverged else {})} for o in outcomes],
    }  # fmt: skip
    write_atomically(folder / "sweep.json", json_bytes(result))
    write_atomically(folder / "sweep.md", markdown_bytes(markdown(result)))
    from tfgan_lab.evaluation.exported import in_words
    from tfgan_lab.figures import write_figure
    from tfgan_lab.report import study_plots

    provenance = "; ".join(in_words(part) for part in (result["data"] or {}).values())
    write_figure(folder, "sweep", study_plots.side_by_side(outcomes, field, config, provenance))
    return result


def markdown(result: dict[str, Any]) -> str:
    """The table of a sweep, in Markdown."""
    found = (name for run in result["runs"] for name in run if name not in ("value", "folder", "diverged"))
    names = list(dict.fromkeys(found)) or ["outcome"]
    lines = [f"| {' | '.join([result['field'], *names])} |", f"|{'---|' * (len(names) + 1)}"]
    for run in result["runs"]:
        cells = [f"{run[name]:.4g}" if name in run else run.get("diverged", "-") for name in names]
        lines.append(f"| {' | '.join([run['value'], *cells])} |")
    seed = "" if result["field"] == "seed" else f", seed {result['seed']}"
    facts = f"{result['config']} ({of_post(result['post'])}){seed}. {result['rule']}".rstrip()
    return "\n".join([*lines, "", facts])


def _run(variant: Variant, folder: Path, data_dir: str | None) -> Outcome:
    from tfgan_lab.trainer import train
    from tfgan_lab.training.sampler import saved_samples

    config, ((field, value),) = variant.config, variant.values.items()
    run, diverged = Workdir(folder / variant.folder), ""
    say(f"{field}={value}: {'already finished' if finished(run, config) else 'training'} in {run.path}")
    if not finished(run, config):
        try:
            train(config, run.path, data_dir)
        except TrainingDiverged as error:
            diverged = f"diverged: {str(error).split(':')[0]}"
            say(diverged)
    rows = run.read_metrics()
    numbers = {} if diverged else numbers_of(last_row(rows, "eval")) | _judged(config, run, data_dir)
    moments = saved_samples(run.samples, config) if isinstance(config, GanConfig) else []
    return Outcome(value, variant.folder, numbers, rows, moments[-1][1] if moments else None, diverged)


def _judged(config: Config, run: Workdir, data_dir: str | None) -> dict[str, float]:
    if not config.is_judged:
        return {}
    from tfgan_lab.data import open_source
    from tfgan_lab.evaluation.digits import classes_drawn
    from tfgan_lab.evaluation.judge import MUST_REACH, doubt, judge_for
    from tfgan_lab.evaluation.pieces import draw
    from tfgan_lab.export.saved_model import load_generator
    from tfgan_lab.metrics import classifier_score

    judge = judge_for(config)
    right = judge.accuracy(open_source(config.data, run.data_dir(data_dir)).test)
    if unsure := doubt(right):
        say(unsure)
    if right < MUST_REACH:
        return {}
    opinion = judge(draw(load_generator(run.path).sample, _NUM, config.seed, _PIECE))
    drawn = classes_drawn(opinion.labels, opinion.num_classes)
    return {"digits": float(drawn), "classifier_score": classifier_score(opinion.probabilities)}
