"""outcome.json: the numbers of one finished run of the ledger, whole or not at all. Imports no TensorFlow."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, from_json, to_json
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import UserError
from tfgan_lab.system.files import json_bytes, read_bytes, refuse_foreign, write_atomically

_FILE = "outcome.json"


def keep_outcome(
    folder: Path, config: Config, numbers: dict[str, float], started: float, facts: dict[str, Any]
) -> dict[str, Any]:
    """Writes and returns the outcome of a run that began at `started` (of `time.perf_counter`)."""
    outcome = {
        "numbers": numbers, "seed": config.seed, **facts, "seconds": round(time.perf_counter() - started, 1),
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
        whole = all(isinstance(value, int | float) and math.isfinite(value) for value in outcome["numbers"].values())
        return (config, outcome) if whole and outcome["seed"] == config.seed else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError):
        return None
