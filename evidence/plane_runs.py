"""Keeps a study's runs in the plane: a row for each in evidence/plane.jsonl, and their last points in one picture.

    tfgan-lab study --config=plane:ring8 --vary=loss=non_saturating --seeds=10 --workdir=runs/ring8
    tfgan-lab study --config=plane:grid25 --vary=loss=non_saturating --seeds=10 --workdir=runs/grid25
    python evidence/plane_runs.py runs/ring8 runs/grid25

`python docs/evidence.py` makes docs/tables.md of the rows.
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

from tfgan_lab.figures import STYLE
from tfgan_lab.report.plane_plots import panel
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.workdir import Workdir

STORE = Path(__file__).with_name("plane.jsonl")
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "tables.png"
_COLUMNS = 5


def main() -> None:
    """Writes rows and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path)
    runs = []
    for study in parser.parse_args().studies:
        found = [path.parent for path in sorted(study.glob("*/*/outcome.json"))]
        if not found:
            parser.error(f"{study} has no finished run of a study.")
        runs += found
    rows = [_row(run) for run in runs]
    write_atomically(STORE, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    _draw(runs, rows)


def _row(run: Path) -> dict[str, Any]:
    outcome = json.loads((run / "outcome.json").read_text(encoding="utf-8"))
    kept = ("seed", "step", "numbers", "seconds", "version", "commit", "date", "config")
    modes = {str(row["step"]): row["modes"] for row in Workdir(run).read_metrics() if row["kind"] == "eval"}
    return {"law": outcome["config"]["data"]["law"], "modes": modes, **{name: outcome[name] for name in kept}}


def _draw(runs: list[Path], rows: list[dict[str, Any]]) -> None:
    """Each law's seeds in rows of their own."""
    lines: list[list[int]] = []
    for law in dict.fromkeys(row["law"] for row in rows):
        of_law = [number for number, row in enumerate(rows) if row["law"] == law]
        lines += [of_law[start : start + _COLUMNS] for start in range(0, len(of_law), _COLUMNS)]
    with plt.rc_context(STYLE):
        size = (2.2 * _COLUMNS, 2.4 * len(lines))
        figure, axes = plt.subplots(len(lines), _COLUMNS, figsize=size, layout="constrained", squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        panels = [(axes[y, x], number) for y, line in enumerate(lines) for x, number in enumerate(line)]
        for axis, number in panels:
            run = runs[number]
            config: Any = Workdir(run).read_single_config()
            with np.load(max((run / "samples").glob("step-*.npz"))) as samples:
                panel(axis, samples["samples"], config)
            found = f"{rows[number]['numbers']['modes']:.0f} of {len(config.data.modes)} modes"
            axis.set_title(f"seed {config.seed}: {found}", fontsize=9)
        figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
