"""Tables of a page: in which fields configs differ, and what was measured, a column for each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfgan_lab import config as config_lib
from tfgan_lab.config import Changes

Table = dict[str, Any]


def config_table(runs: Sequence[Any]) -> Table | None:
    """The fields in which the runs' configs differ; None for one run, and where they do not."""
    fields = [config_lib.flattened(run.config) for run in runs]
    names = list(dict.fromkeys(name for one in fields for name in one))
    rows = []
    for name in names:
        values = [one.get(name, "–") for one in fields]
        unsaid = any(config_lib.what_changes(run.config, name) in (Changes.NAME, Changes.PRINTED) for run in runs)
        if not unsaid and any(value != values[0] for value in values):
            rows.append([name, *(_plain(value) for value in values)])
    if len(runs) == 1 or not rows:
        return None
    return {"head": ["field", *(run.name for run in runs)], "rows": rows}


def metrics_table(runs: Sequence[Any]) -> Table | None:
    """Every metric that was evaluated: of one run beside its floors, of several runs beside each other."""
    measured = [run for run in runs if run.metrics]
    if not measured:
        return None
    by_name = [{row["name"]: row for row in run.metrics} for run in measured]
    names = list(dict.fromkeys(name for one in by_name for name in one))
    heads = [run.name if len(runs) > 1 else "this model [95 % interval]" for run in measured]
    rows = []
    for name in names:
        first = next(one[name] for one in by_name if name in one)
        cells = [_number(one.get(name, {}).get("generated"), interval=True) for one in by_name]
        floors = [_number(first.get(column)) for column in ("real", "untrained")]
        rows.append([first["label"], *cells, *floors, first.get("better", "")])
    return {"head": ["metric", *heads, "real data instead", "untrained", "better"], "rows": rows}


def _number(number: Any, interval: bool = False) -> str:
    if not isinstance(number, dict) or "value" not in number:
        return "–"
    text = f"{number['value']:.4g}"
    return f"{text} [{number['low']:.4g}, {number['high']:.4g}]" if interval and "low" in number else text


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
