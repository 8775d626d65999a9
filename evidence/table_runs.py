"""Keeps a study's runs for docs/tables.md: a row for each in evidence/tables.jsonl, their last samples in one picture.

    tfgan-lab study --config=plane:ring8 --vary=loss=non_saturating --seeds=10 --workdir=runs/ring8
    python evidence/table_runs.py runs/ring8 --picture=ring8.png

Rows of other runs stay. `python docs/evidence.py` makes docs/tables.md of all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from tfgan_lab.config import Plane, from_dict
from tfgan_lab.figures import STYLE
from tfgan_lab.report.plane_plots import panel
from tfgan_lab.studies.outcome_files import drift_of
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.workdir import Workdir

STORE = Path(__file__).with_name("tables.jsonl")
_COLUMNS = 5


def main() -> None:
    """Writes rows and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path, help="folders of `tfgan-lab study`, of plane or stacked")
    parser.add_argument("--picture", type=Path, required=True, help="a .png, made of these runs alone")
    told = parser.parse_args()
    if told.picture.suffix != ".png" or not told.picture.parent.is_dir():
        parser.error(f"--picture={told.picture}: name a .png in a folder that is there.")
    runs = []
    for study in told.studies:
        found = [path.parent for path in sorted(study.glob("*/*/outcome.json"))]
        if not found:
            parser.error(f"{study} has no finished run of a study.")
        runs += found
    rows = [_row(run) for run in runs]
    kept = [row for row in _stored() if not any(_is_same(row, new) for new in rows)]
    ordered = sorted(kept + rows, key=lambda row: (row["config"]["name"], row["seed"]))
    write_atomically(STORE, "".join(f"{json.dumps(row)}\n" for row in ordered).encode())
    _draw(runs, rows, told.picture)


def _stored() -> list[dict[str, Any]]:
    return [json.loads(line) for line in STORE.read_text(encoding="utf-8").splitlines()] if STORE.exists() else []


def _is_same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether both are of one config and seed, however often it was judged."""
    return not [
        field for field in drift_of(from_dict(old["config"]), from_dict(new["config"])) if "evaluate" not in field
    ]


def _row(run: Path) -> dict[str, Any]:
    outcome = json.loads((run / "outcome.json").read_text(encoding="utf-8"))
    kept = ("seed", "step", "numbers", "seconds", "data", "version", "commit", "date", "config")
    judged = (row for row in Workdir(run).read_metrics() if row["kind"] == "eval" and "modes" in row)
    return {"modes": {str(row["step"]): row["modes"] for row in judged}, **{name: outcome[name] for name in kept}}


def _draw(runs: list[Path], rows: list[dict[str, Any]], picture: Path) -> None:
    """Each config's seeds in rows of their own; single runs side by side."""
    lines: list[list[int]] = []
    for name in dict.fromkeys(row["config"]["name"] for row in rows):
        of_name = [number for number, row in enumerate(rows) if row["config"]["name"] == name]
        lines += [of_name[start : start + _COLUMNS] for start in range(0, len(of_name), _COLUMNS)]
    if max(map(len, lines)) == 1:
        lines = [[number for (number,) in lines]]
    columns = max(map(len, lines))
    side = 2.2 if all(row["config"]["data"]["kind"] == "plane" for row in rows) else 4.0
    with plt.rc_context(STYLE):
        size = (side * columns, (side + 0.2) * len(lines))
        figure, axes = plt.subplots(len(lines), columns, figsize=size, layout="constrained", squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        panels = [(axes[y, x], number) for y, line in enumerate(lines) for x, number in enumerate(line)]
        for axis, number in panels:
            _panel(axis, runs[number], rows[number])
        figure.savefig(picture, dpi=100)


def _panel(axis: Any, run: Path, row: dict[str, Any]) -> None:
    config: Any = Workdir(run).read_single_config()
    found = f"seed {config.seed}: {row['numbers']['modes']:,.0f}"
    if isinstance(config.data, Plane):
        with np.load(max((run / "samples").glob("step-*.npz"))) as samples:
            panel(axis, samples["samples"], config)
        title = f"{found} of {len(config.data.modes)} modes"
    else:
        axis.imshow(plt.imread(max((run / "samples").glob("step-*.png"))), interpolation="nearest")
        title = f"{config.name}\n{found} of 1,000 modes"
    axis.set_title(title, fontsize=9)


if __name__ == "__main__":
    main()
