"""The store of outcomes: what every finished run gave, in one file, from which the ledger is judged and drawn.

A file of JSON lines: of an arm its config, of a run of that arm its outcome, of a config the span of its curves over
seeds. The repository's own is `evidence/outcomes.jsonl`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, from_dict, override, to_json
from tfgan_lab.config_files import load_config
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import UserError
from tfgan_lab.posts.claims import BUDGETS, CLAIMS, PEER_TRIALS, Arm
from tfgan_lab.posts.reference import curves_of
from tfgan_lab.studies.outcome_files import drift_of, is_whole, read_outcome
from tfgan_lab.system.files import refuse_foreign, shipped, write_atomically

PREFIXES = {"ours": "seed=", "peer": "peer,seed="}
_FACTS = ("seed", "numbers", "diverged", "step", "data", "minutes", "version", "commit", "date", "device")
_SEED = re.compile(r"0|[1-9][0-9]{0,18}")
_MARK = {"written_by": "tfgan-lab-output", "what": "outcomes of runs, for `tfgan-lab compare ledger --store`"}

Rows = dict[int, dict[str, Any]]  # outcomes by seed


@dataclasses.dataclass
class Store:
    """Outcomes of runs.

    Attributes:
      configs: Of each arm, by its folder's name: the config of one of its runs.
      outcomes: By arm and side, "ours" or "peer".
      curves: By config: what `reference.json` holds of it.
    """

    configs: dict[str, Config] = dataclasses.field(default_factory=dict)
    outcomes: dict[tuple[str, str], Rows] = dataclasses.field(default_factory=dict)
    curves: dict[str, Any] = dataclasses.field(default_factory=dict)

    def rows(self, arm: Arm, budget: str, side: str = "ours") -> Rows:
        """Outcomes of an arm by seed; none if they are of another config than the arm is today."""
        name = arm.folder(budget)
        kept = self.configs.get(name)
        if kept is None or drift_of(kept, config_of(arm, budget, kept.seed)):
            return {}
        return self.outcomes.get((name, side), {})

    def add(self, other: Store) -> None:
        """Takes the other's outcomes; of the same run, or of an arm that was another config, the other's alone."""
        for name, config in other.configs.items():
            kept = self.configs.get(name)
            self.configs[name] = config
            if kept is not None and drift_of(kept, override(config, {"seed": str(kept.seed)})):
                self.curves.pop(config.name, None)
                for side in PREFIXES:
                    self.outcomes.pop((name, side), None)
        for key, rows in other.outcomes.items():
            self.outcomes[key] = dict(sorted({**self.outcomes.get(key, {}), **rows}.items()))
        for name, found in other.curves.items():
            kept_curves = self.curves.get(name, {"epochs": 0, "seeds": 0})
            if (found["epochs"], found["seeds"]) >= (kept_curves["epochs"], kept_curves["seeds"]):
                self.curves[name] = found

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes it whole. Raises `UserError` if something else is there or it cannot be written."""
        refuse_foreign(path)
        lines: list[dict[str, Any]] = [_MARK]
        lines += [{"config_of_curves": name, **found} for name, found in sorted(self.curves.items())]
        for name, config in sorted(self.configs.items()):
            lines.append({"arm": name, "config": json.loads(to_json(config))})
            for side in PREFIXES:
                rows = self.outcomes.get((name, side), {})
                lines += [{"arm": name, "side": side, **_facts(row)} for row in rows.values()]
        text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
        write_atomically(Path(path), text.encode())


def config_of(arm: Arm, budget: str, seed: int) -> Config:
    """The config of one run: on one device, as a worker has one core."""
    return override(load_config(arm.config), {**arm.changes(budget), "seed": str(seed), "placement": "one"})


def all_arms() -> dict[str, tuple[Arm, str]]:
    """All arms of claims and of peers' trials with their budgets, by the names of their folders."""
    arms = [(arm, budget) for claim in CLAIMS for arm in claim.arms.values() for budget in BUDGETS]
    arms += [(trial.arm(), "posted") for trial in PEER_TRIALS]
    return {arm.folder(budget): (arm, budget) for arm, budget in arms}


def of_runs(folder: str | os.PathLike[str]) -> Store:
    """What the finished runs in a ledger's folder gave: each only if it is of the very config that its place says."""
    store = Store(curves=curves_of(folder))
    for name, (arm, budget) in all_arms().items():
        runs = Path(folder) / name
        for path in sorted(runs.iterdir()) if runs.is_dir() else ():
            prefix, _, seed = path.name.rpartition("=")
            side = next((side for side, said in PREFIXES.items() if said == f"{prefix}="), None)
            outcome = read_outcome(path) if side and _SEED.fullmatch(seed) else None
            if side is None or outcome is None or drift_of(outcome[0], config_of(arm, budget, int(seed))):
                continue
            store.configs.setdefault(name, outcome[0])
            store.outcomes.setdefault((name, side), {})[int(seed)] = row_of(outcome[1])
    for key, rows in store.outcomes.items():
        store.outcomes[key] = dict(sorted(rows.items()))
    return store


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _FACTS if name in row}


def row_of(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What the store keeps of an outcome. A peer's seconds are those of all seeds that were trained together with it."""
    row, seconds = _facts(outcome), outcome.get("train_seconds", outcome.get("seconds", 0))
    row["minutes"] = round(seconds / outcome.get("seeds_together", 1) / 60, 3)
    return row | {"numbers": {name: float(f"{value:.6g}") for name, value in outcome["numbers"].items()}}


def read_store(path: str | os.PathLike[str]) -> Store:
    """Reads what `Store.write` wrote. Raises `UserError` naming the file, the line and what to do."""
    store = Store()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"--store={path} cannot be read: {error}. Name a store of outcomes.") from None
    for number, text in enumerate(lines, 1):
        try:
            _take(store, json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(
                f"--store={path} is no store of outcomes: line {number}: {why}. Name another file."
            ) from None
    return store


def _take(store: Store, line: dict[str, Any]) -> None:
    if "what" in line:
        return
    if "config_of_curves" in line:
        store.curves[line.pop("config_of_curves")] = line
    elif "config" in line:
        store.configs[line["arm"]] = from_dict(line["config"])
    else:
        key, row = (line["arm"], line["side"]), _facts(line)
        if line["side"] not in PREFIXES or not is_whole(row):
            raise ValueError("it is no whole outcome")
        for part in row["data"].values():
            str(Provenance(**part))
        store.outcomes.setdefault(key, {})[row["seed"]] = row


def data_words(used: Iterable[Mapping[str, Any]]) -> str:
    """The data of outcomes in words, each once; empty where they are drawn."""
    return "; ".join(dict.fromkeys(str(Provenance(**part)) for data in used for part in data.values()))


def own_store() -> Path:
    """The store that comes with the package."""
    return shipped("evidence") / "outcomes.jsonl"
