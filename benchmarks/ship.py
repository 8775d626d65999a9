"""Makes what the package ships of a finished run, in tfgan_lab/pretrained/: weights, and a model card with measured numbers.

python -m benchmarks.ship runs/cgan_concat --data_dir=MNIST_FOLDER
python -m benchmarks.ship runs/gaussian --note="What else its reader must know."
python docs/evidence.py        (the verdicts on the card)
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab import pretrained
from tfgan_lab.system.files import json_bytes, write_atomically
from tfgan_lab.system.runtime import start_tensorflow

_COMPARED = 256  # latents


def ship(run_folder: str, data_dir: str | None, note: str) -> None:
    """Writes the two files of a run, and measures the weights that they hold."""
    from tfgan_lab.evaluation.exported import evaluate
    from tfgan_lab.export.saved_model import GeneratorModule, describe, export_network, spread_labels
    from tfgan_lab.networks import drawn_from
    from tfgan_lab.randomness import draw_latents, sample_seed
    from tfgan_lab.report.page_run import repeat_command
    from tfgan_lab.training.restored import restore_run

    run = restore_run(run_folder)
    config: Any = run.config
    record, network = run.workdir.read_record(), drawn_from(run.networks)
    if record.get("data_dir"):
        record["data_dir"] = "MNIST_FOLDER"
    latents = draw_latents(config.latents.distribution, config.latents.dim, _COMPARED, sample_seed(0))
    labels = spread_labels(config.num_labels, _COMPARED) if config.num_labels else None
    exact = GeneratorModule(network, config).draw(latents, labels).numpy()
    content, stem = pretrained.packed(network.variables), config.name.replace(":", "_")
    card: dict[str, Any] = {
        "config": config.name, "post": config.post, "steps": run.step, "seed": config.seed, "trained_on": run.trained_on,
        "sha256": hashlib.sha256(content).hexdigest(), "note": note,
        "command": repeat_command(config, record, Path("runs", stem)),
        "packed_by": f"python -m benchmarks.ship runs/{stem}{' --data_dir=MNIST_FOLDER' if record.get('data_dir') else ''}",
        "versions": record.get("versions"), "fields": describe(config)["fields"],
    }  # fmt: skip
    home = pretrained.FOLDER
    with tempfile.TemporaryDirectory() as folder:  # the package gets both files, measured, or none
        pretrained.FOLDER = Path(folder)
        pretrained.file_of(config.name, "npz").write_bytes(content)
        pretrained.file_of(config.name, "json").write_bytes(json_bytes(card))
        found = pretrained.load(config.name)
        difference = np.abs(GeneratorModule(found.generator, config).draw(latents, labels).numpy() - exact)
        facts = {"step": run.step, "seed": config.seed, "trained_on": run.trained_on}
        export_network(config, found.generator, f"{folder}/generator", facts)
        result = evaluate(f"{folder}/generator", data_dir or run.workdir.data_dir(None))
        pretrained.FOLDER = home
    measured = {
        "rounding": {"largest": float(difference.max()), "mean": float(difference.mean()), "n": _COMPARED},
        "n": result["n"], "data": result["data"], "judge": (result.get("judge") or {}).get("line"),
        "metrics": result["metrics"], "ledger": {},
    }  # fmt: skip
    fields = card.pop("fields")  # the longest part comes last
    home.mkdir(exist_ok=True)
    write_atomically(pretrained.file_of(config.name, "npz"), content)
    write_atomically(pretrained.file_of(config.name, "json"), json_bytes(card | measured | {"fields": fields}))
    print(f"{config.name}: {len(content):,} bytes of weights; {measured['rounding']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="A finished run's folder.")
    parser.add_argument("--data_dir", help="Where the real data is, if not where it was for training.")
    parser.add_argument("--note", default="", help="What else the card says.")
    given = parser.parse_args()
    start_tensorflow(onednn=True)
    ship(given.run, given.data_dir, given.note)


if __name__ == "__main__":
    main()
