"""Writes evidence/parity.jsonl: how far each config is from its post's PyTorch program, in float64 over 100 updates.

    python evidence/measure_parity.py          (needs the extra [torch])

The largest relative difference of all tensors; biases before BatchNorm, whose gradient is nothing but rounding, are
compared apart (`tfgan-lab compare parity` tells every tensor).
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from tfgan_lab.studies.outcome_files import commit
from tfgan_lab.system.files import write_atomically
from tfgan_lab.system.runtime import start_tensorflow

STORE = Path(__file__).with_name("parity.jsonl")
STAGES = {"forward": "forward", "loss": ": loss", "gradient": ": gradient", "weights": "after step 100: weights"}
_STRICT = 1e-10  # the tolerance of all other tensors


def main() -> None:
    start_tensorflow(threads=1)
    from tfgan_lab.parity.steps import CONFIGS, parity_config, run_parity

    lines = []
    for config in CONFIGS:
        rows = [row for row in run_parity(config) if row.tolerance <= _STRICT]
        largest = {
            name: float(f"{max(row.relative for row in rows if stage in row.stage):.1g}")
            for name, stage in STAGES.items()
        }
        about = {
            "batch": parity_config(config).batch_size,
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
        }
        lines.append(json.dumps({"config": config, **largest, **about}, separators=(",", ":")))
        print(lines[-1], flush=True)
    write_atomically(STORE, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
