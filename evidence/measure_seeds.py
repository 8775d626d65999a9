"""Measures the ledger's finished runs on digits by the metrics of `tfgan-lab evaluate`: a row for each seed.

    python evidence/measure_seeds.py --workdir=runs/ledger --data_dir=MNIST_FOLDER mlp_gan cgan_concat,epochs=2

10,000 samples of each run against the 10,000 test digits; of conditional runs also the 1-NN error with 50,000. "real"
is training digits in the samples' place. Rows go to evidence/measured.jsonl, and those that are there are not measured
again; `python docs/evidence.py` tells them.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from tfgan_lab.studies.outcome_files import commit
from tfgan_lab.system.files import write_atomically
from tfgan_lab.system.runtime import start_tensorflow

STORE = Path(__file__).with_name("measured.jsonl")
REAL, OF_MANY = "real", "nearest_neighbour_error_50000"
NUM, MANY, _PIECE = 10_000, 50_000, 1000  # samples; of the 1-NN error; drawn at a time


def rows() -> dict[tuple[str, int], dict[str, Any]]:
    """What was measured, by arm and seed."""
    lines = STORE.read_text(encoding="utf-8").splitlines() if STORE.exists() else []
    return {(row["arm"], row["seed"]): row for row in map(json.loads, lines)}


def measure(run: Path | None, data_dir: str) -> dict[str, Any]:
    """Numbers by the names of `evaluate`'s metrics, of a run or of real digits, and what they are of."""
    from tfgan_lab import data, metrics
    from tfgan_lab.config import Mnist
    from tfgan_lab.evaluation import digits
    from tfgan_lab.evaluation.judge import load_judge
    from tfgan_lab.evaluation.pieces import draw, labels_of
    from tfgan_lab.export.saved_model import load_generator
    from tfgan_lab.training.workdir import Workdir

    config: Any = None if run is None else Workdir(run).read_single_config()
    source, judge = data.open_source(config.data if config else Mnist(), data_dir), load_judge()
    real = digits.real_digits(source, judge, 0)
    about = {"judge": judge.facts["sha256"], "data": {name: part.sha256 for name, part in source.provenance.items()}}
    if run is None:
        images, asked = real.train[:MANY], real.train_labels[:MANY]
        column = digits.real_column(NUM, True, real, judge, 0)
    else:
        generator = load_generator(run)
        about["step"] = generator.facts["step"]
        asked = labels_of(MANY, config.num_labels, _PIECE) if config.num_labels else None
        images = draw(generator.sample, NUM if asked is None else MANY, 0, _PIECE)
        column = digits.samples_column(images[:NUM], None if asked is None else asked[:NUM], real, judge, 0)
    numbers = {name: getattr(number, "value", number) for name, number in column.numbers.items()}
    if asked is not None:
        numbers[OF_MANY] = metrics.nearest_neighbour_error(images, asked, real.test, real.test_labels).value
    rounded = {name: float(f"{value:.6g}") for name, value in numbers.items()}
    return {"numbers": rounded, **about, "commit": commit(), "date": datetime.date.today().isoformat()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arms", nargs="+", help="folders of the ledger, such as cgan_concat,epochs=2")
    parser.add_argument("--workdir", type=Path, required=True, help="of the ledger: ARM/seed=N")
    parser.add_argument("--data_dir", required=True, help="MNIST's idx files")
    given = parser.parse_args()
    start_tensorflow(threads=1)
    for arm in given.arms:
        exported = sorted((given.workdir / arm).glob("seed=*/export/saved_model.pb"))
        if not exported and arm != REAL:
            parser.error(f"{given.workdir / arm} has no run seed=N with a generator in export/.")
        for run in [None] if arm == REAL else [path.parents[1] for path in exported]:
            key = arm, int(run.name.partition("=")[2]) if run else 0
            if key in rows():
                continue
            found = {"arm": arm, "seed": key[1], **measure(run, given.data_dir)}
            print(f"{arm}, seed {key[1]}: {found['numbers']}", flush=True)
            kept = dict(sorted({**rows(), key: found}.items()))
            write_atomically(
                STORE, "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept.values()).encode()
            )


if __name__ == "__main__":
    main()
