"""`study --rescue`: forks a run at several of its steps with several cures, and says which of them still save it."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, Mnist, Plane, Stacked, flattened, override
from tfgan_lab.errors import UserError
from tfgan_lab.studies.grid import Variant, full_names, variants
from tfgan_lab.studies.study import train_all
from tfgan_lab.training.workdir import Workdir, checkpoint_steps

FORK = "fork"  # the column of steps


@dataclasses.dataclass(frozen=True)
class Saved:
    """When a fork counts as saved: a number of its outcome lies in a band (both ends included)."""

    number: str
    low: float
    high: float

    def __str__(self) -> str:
        ends = [f"at least {self.low:g}"] * math.isfinite(self.low) + [f"at most {self.high:g}"] * math.isfinite(
            self.high
        )
        return f"{self.number} {' and '.join(ends)}"

    def holds(self, numbers: Mapping[str, float]) -> bool:
        """Of a run's numbers; one that diverged has none."""
        return self.number in numbers and self.low <= numbers[self.number] <= self.high


def saved_as(text: str | None, config: Config) -> Saved:
    """The criterion that is typed, such as "digits=5..", "frechet=..40" or "fake_std=0.95..1.55"; half of the modes if none.

    Raises:
      UserError: It is no criterion, or none is typed for data without modes.
    """
    if text is None:
        data = config.data
        modes = {"digits": 10} if isinstance(data, Mnist) else {"modes": 1000} if isinstance(data, Stacked) else {}
        if isinstance(data, Plane) and data.modes is not None:
            modes = {"modes": len(data.modes)}
        for name, many in modes.items():
            return Saved(name, many / 2, math.inf)
        raise UserError(
            "--saved is missing: say which number tells that a run is saved, such as --saved=fake_std=0.95..1.55."
        )
    found = re.fullmatch(r"(\w+)=([^.]*(?:\.\d+)?)\.\.(.*)", text)
    try:
        low, high = (float(end or default) for end, default in zip(found.groups()[1:], ("-inf", "inf"), strict=True))  # type: ignore[union-attr]
        if low <= high and math.isfinite(low) + math.isfinite(high):
            return Saved(found[1], low, high)  # type: ignore[index]
    except (AttributeError, ValueError):
        pass
    raise UserError(
        f"--saved={text}: say NUMBER=LOW..HIGH, either end may be absent, such as digits=5.. or frechet=..40."
    )


def rescue(
    config: Config, run: str | os.PathLike[str], steps: Sequence[int], vary: Mapping[str, Sequence[str]], seeds: range,
    workdir: str | os.PathLike[str], saved: Saved, further: int = 0, data_dir: str | None = None, workers: int | str = 1,
    config_file: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Forks a run at each step with each combination of values, and without any, and trains each fork on with every seed.

    Args:
      config: The run's, or what it shall be changed to whatever the cure.
      run: Its folder.
      steps: Of checkpoints that it keeps; none for all of them.
      vary: The cures: values by field, as `tfgan_lab.studies.study.study` takes them.
      seeds: Which; of a fork a seed is the noise and the order of the data from there on.
      workdir, data_dir, workers, config_file: As there.
      saved: When a fork counts as saved.
      further: How many steps each fork trains; 0: as many as the run did.

    Returns:
      What is written to study.json; under "rescue" the seeds that were saved by cure and step.

    Raises:
      UserError: As `study`; a step that the run does not keep, a cure that its checkpoints cannot go on with, or a number
        that its outcomes do not have.
    """
    folder = Workdir(run)
    steps = steps or checkpoint_steps(folder.checkpoints)
    if not steps or len(set(steps)) < len(steps):
        raise UserError(
            "--steps: name no step twice." if steps else f"--from={run}: no folder of a run with checkpoints."
        )
    further = further or folder.read_record().get("total_steps") or steps[-1]
    names = full_names(config, vary)
    cures = variants(config, names)
    if all(one.config != config for one in cures):
        now = flattened(config)
        cures.insert(0, Variant({field: str(now[field]) for field in names}, config))
    place = os.path.abspath(run)
    found = [
        Variant(
            {FORK: str(step), **one.values}, override(one.config, {"steps": str(step + further)}), f"{place}@{step}"
        )
        for one in cures
        for step in steps
    ]
    data_dir = data_dir or folder.data_dir(None)
    return train_all(
        config,
        found,
        seeds,
        Path(workdir),
        data_dir,
        workers,
        config_file,
        lambda result: _rescued(result, run, saved, further),
    )


def _rescued(result: Mapping[str, Any], run: Any, saved: Saved, further: int) -> dict[str, Any]:
    if result["numbers"] and saved.number not in result["numbers"]:
        raise UserError(
            f"--saved: these runs have no number {saved.number!r}; they have: {', '.join(result['numbers'])}."
        )
    cures: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in result["rows"]:
        values = {field: value for field, value in row["values"].items() if field != FORK}
        cure = cures.setdefault(tuple(values.values()), {"values": values, "saved": {}, "until": None})
        held = sum(
            saved.holds({saved.number: value}) for value in row["numbers"].get(saved.number, {"values": []})["values"]
        )
        step = int(row["values"][FORK])
        cure["saved"][step] = [held, row["n"]]
        if 2 * held > row["n"] and step > (cure["until"] or -1):
            cure["until"] = step
    return {
        "from": os.fspath(run), "further": further, "number": saved.number, "criterion": str(saved),
        "band": [end if math.isfinite(end) else None for end in (saved.low, saved.high)], "cures": [*cures.values()],
    }  # fmt: skip
