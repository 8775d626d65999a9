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
    runs = [path.parent for study in parser.parse_args().studies for path in sorted(study.glob("*/*/outcome.json"))]
    outcomes = [json.loads((run / "outcome.json").read_text(encoding="utf-8")) for run in runs]
    write_atomically(STORE, "".join(f"{json.dumps(_row(outcome))}\n" for outcome in outcomes).encode())
    _draw(runs, outcomes)


def _row(outcome: dict[str, Any]) -> dict[str, Any]:
    kept = ("seed", "step", "numbers", "seconds", "version", "commit", "date", "config")
    return {"law": outcome["config"]["data"]["law"], **{name: outcome[name] for name in kept}}


def _draw(runs: list[Path], outcomes: list[dict[str, Any]]) -> None:
    rows = -(-len(runs) // _COLUMNS)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, _COLUMNS, figsize=(2.2 * _COLUMNS, 2.4 * rows), layout="constrained")
        for axis in axes.flat[len(runs) :]:
            axis.set_axis_off()
        for axis, run, outcome in zip(axes.flat, runs, outcomes, strict=False):
            config: Any = Workdir(run).read_single_config()
            with np.load(max((run / "samples").glob("step-*.npz"))) as samples:
                panel(axis, samples["samples"], config)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.set_title(f"seed {config.seed}: {outcome['numbers']['modes']:.0f} modes", fontsize=9)
        figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
