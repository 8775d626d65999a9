"""Variants of a config: every combination of the values of some fields, checked before any is trained."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, differences, flattened, override
from tfgan_lab.errors import UserError, nearest
from tfgan_lab.system.runtime import settings_of
from tfgan_lab.training.workdir import Workdir

_LONGEST = 200  # characters of a folder's name


@dataclasses.dataclass(frozen=True)
class Variant:
    """One combination.

    Attributes:
      values: By dotted field, as typed.
      config: With them.
      start: What its runs start from, "RUN@STEP"; "" for the config's start values.
    """

    values: dict[str, str]
    config: Config
    start: str = ""

    @property
    def folder(self) -> str:
        """Its folder's name, such as "game.loss=hinge,game.d_steps=5"; "as_it_is" where nothing is varied."""
        name = ",".join(itertools.starmap(folder_name, self.values.items())) or "as_it_is"
        return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{_digest(name)}"


def folder_name(field: str, value: str) -> str:
    """The run folder of one value, such as "game.d_steps=5"; what is too long for a file system ends in a digest."""
    name = re.sub(r"[^\w.,=+-]+", "_", f"{field}={value}")
    return name if len(name) <= 80 else f"{name[:60]}-{_digest(value)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def variants(config: Config, vary: Mapping[str, Sequence[str]]) -> list[Variant]:
    """Every combination of the values of some fields, the last field's changing fastest.

    Raises:
      UserError: No or equal values, an unknown field, a wrong value, what a config cannot be (with the combination), or
        what cannot be trained side by side.
    """
    for field, values in vary.items():
        if len({folder_name(field, value) for value in values}) != len(values) or not values:
            raise UserError(f"{field}={','.join(values)}: name at least one value, and none twice.")
    rows = [dict(zip(vary, row, strict=True)) for row in itertools.product(*vary.values())]
    found = [Variant(row, _with(config, row)) for row in rows]
    settings = [settings_of(one.config) for one in found]
    if any(one != settings[0] for one in settings):
        field = next((field for field in vary if field in settings[0]), next(iter(vary)))
        raise UserError(
            f"{field}: TensorFlow takes it once in a process: use `tfgan-lab train --config.{field}=VALUE` for each value."
        )
    if any(one.config.num_seeds > 1 for one in found):
        raise UserError("num_seeds: one seed is trained at a time here: use --field=seed, or `tfgan-lab train`.")
    return found


def _with(config: Config, values: Mapping[str, str]) -> Config:
    try:
        return override(config, values)
    except UserError as error:
        if len(values) == 1:
            raise
        said = ", ".join(itertools.starmap("{}={}".format, values.items()))
        raise UserError(f"{said}: {str(error).removeprefix('config: ')}") from None


def full_name(config: Config, field: str) -> str:
    """The dotted field that a user means: it itself, or the only one that ends so. Raises `UserError` with the nearest."""
    names = [*flattened(config)]
    ending = [name for name in names if name == field or name.endswith(f".{field}")]
    if field in names or len(ending) == 1:
        return field if field in names else ending[0]
    if ending:
        raise UserError(f"--vary={field}: which of {', '.join(ending)}? Say the whole name.")
    raise UserError(
        f"--vary={field}: there is no such field.{nearest(field, [*names, *(n.rpartition('.')[2] for n in names)])}"
    )


def full_names(config: Config, vary: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Values by `full_name`. Raises `UserError` if a field is named twice, or it is the seed."""
    names = {full_name(config, field): values for field, values in vary.items()}
    if len(names) < len(vary):
        raise UserError(f"--vary={', '.join(vary)}: a field is named twice.")
    if "seed" in names:
        raise UserError("--vary=seed: which seeds there are is said by --seeds and --first_seed.")
    return names


def finished(run: Workdir, config: Config) -> bool:
    """Whether a run of this very config is there, trained to its end and exported."""
    if not run.exists() or differences(run.read_config(), config):
        return False
    from tfgan_lab.export.saved_model import read_facts

    step = read_facts(run.export).get("step")
    return step is not None and step == run.read_record().get("total_steps")


def try_all(
    runs: Mapping[Path, Config],
    data_dir: str | None,
    starts: Mapping[Path, str] | None = None,
) -> None:
    """Builds what will be trained in these folders, so that a wrong value is found before the first run and not after it.

    Some start from a checkpoint, which must fit.

    Raises:
      UserError: What cannot be trained; data or a judge that is not there; a folder that holds another run.
    """
    from tfgan_lab.data import open_source
    from tfgan_lab.evaluation.judge import judge_for
    from tfgan_lab.training.engine import make_engine
    from tfgan_lab.training.experiment import build
    from tfgan_lab.training.forks import Start

    for config in [config for config in runs.values() if config.is_judged][:1]:
        judge_for(config)
    sources: dict[str, Any] = {}
    for folder, config in runs.items():
        run = Workdir(folder)
        if not finished(run, config):
            of = str(config.data)
            sources = {of: sources.get(of) or open_source(config.data, data_dir)}  # one at a time: they may be large
            run.refuse_drift(config)
            built = build(config, sources[of])
            if start := (starts or {}).get(folder):
                Start(start).into(built)
            make_engine(config.compile, built.strategy, built.task, built.batches)
