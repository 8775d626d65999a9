"""A row of the evaluation's table: one metric of the samples, and of what stands beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfgan_lab.metrics import Estimate

Number = Estimate | float | None
COLUMNS = ("generated", "real", "untrained")


@dataclasses.dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
      label: In the table.
      better: "lower", "higher", or "as real": the nearer to the real column.
      low: The smallest value there is; an interval is cut off there.
    """

    label: str
    better: Literal["lower", "higher", "as real"]
    low: float | None = 0.0


def table(metrics: Mapping[str, Metric], columns: Mapping[str, Mapping[str, Number]]) -> list[dict[str, Any]]:
    """Rows as plain values, in the order of `metrics`; a metric that no column has is omitted.

    The columns, numbers by metric's name, are "generated", "real" (real data in the samples' place) and "untrained" (an
    untrained generator's samples).
    """
    rows = []
    for name, metric in metrics.items():
        numbers = {column: _plain(columns.get(column, {}).get(name), metric.low) for column in COLUMNS}
        if any(numbers.values()):
            rows.append({"name": name, "label": metric.label, "better": metric.better, **numbers})
    return rows


def _plain(number: Number, low: float | None) -> dict[str, Any] | None:
    if number is None:
        return None
    if not isinstance(number, Estimate):
        return {"value": float(number)}
    values = dataclasses.asdict(number)
    if low is not None:
        values["low"] = max(values["low"], low)
    return values


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as text, a heading and a line for each row, columns aligned; a column that no row fills is omitted."""
    headings = {"generated": "this model [95 % interval]", "real": "real data instead", "untrained": "untrained"}
    shown = {column: heading for column, heading in headings.items() if any(row[column] for row in rows)}
    cells = [["metric", *shown.values(), "better"]]
    for row in rows:
        numbers = (in_text(row[column], brackets=column == "generated") if row[column] else "-" for column in shown)
        cells.append([row["label"], *numbers, row["better"]])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def in_text(number: Mapping[str, Any], brackets: bool = True) -> str:
    """A number of a row, with its interval if it has one."""
    value = f"{number['value']:.4g}"
    return f"{value} [{number['low']:.4g}, {number['high']:.4g}]" if brackets and "low" in number else value
