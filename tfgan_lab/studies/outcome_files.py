"""outcome.json: the numbers of one finished run of the ledger, whole or not at all. Imports no TensorFlow."""

from __future__ import annotations

import datetime
import functools
import json
import math
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfgan_lab import __version__
from tfgan_lab.config import Changes, Config, differences, from_json, to_json
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import UserError
from tfgan_lab.system.files import json_bytes, read_bytes, refuse_foreign, write_atomically

_FILE = "outcome.json"


def drift_of(found: Config, wanted: Config) -> list[str]:
    """Fields that change a run's weights or evaluations, and in which a finished one differs from what is wanted."""
    return differences(found, wanted, Changes.PRINTED, Changes.ASIDE, Changes.PICTURES, Changes.PLACE, Changes.ROUNDING)


def keep_outcome(
    folder: Path, config: Config, numbers: dict[str, float], started: float, facts: dict[str, Any]
) -> dict[str, Any]:
    """Writes and returns the outcome of a run that began at `started` (of `time.perf_counter`)."""
    outcome = {
        "numbers": numbers, "seed": config.seed, **facts, "seconds": round(time.perf_counter() - started, 1),
        "version": __version__, "commit": commit(), "date": datetime.date.today().isoformat(),
        "config": json.loads(to_json(config)),
    }  # fmt: skip
    refuse_foreign(folder / _FILE)
    write_atomically(folder / _FILE, json_bytes(outcome))
    return outcome


def read_outcome(folder: Path) -> tuple[Config, dict[str, Any]] | None:
    """The config and outcome in a folder, or None if there is no whole one."""
    try:
        outcome = json.loads(read_bytes(folder / _FILE))
        config = from_json(json.dumps(outcome["config"]), str(folder / _FILE))
        for part in outcome["data"].values():
            str(Provenance(**part))
        return (config, outcome) if is_whole(outcome) and outcome["seed"] == config.seed else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError):
        return None


def is_whole(outcome: Mapping[str, Any]) -> bool:
    """Whether all numbers of an outcome are numbers."""
    return all(isinstance(value, int | float) and math.isfinite(value) for value in outcome["numbers"].values())


@functools.cache
def commit() -> str:
    """The commit of the clone that this package is used from, with a + where it was changed; "" for an installed one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        said = [
            subprocess.run(["git", "-C", str(root), *asked], capture_output=True, text=True, timeout=20, check=True).stdout.strip()
            for asked in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{said[0]}{'+' if said[1] else ''}"
