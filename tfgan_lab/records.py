"""What a run writes into run.json, generator.json and metrics.jsonl, told from what anyone may have put there since."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfgan_lab.data.examples import Provenance

_PROVENANCE = {field.name for field in dataclasses.fields(Provenance)}
_LARGEST = 3.4028234663852886e38  # of float32, in which all is computed
_SESSION = {"from", "to", "seconds"}
_KINDS = ("train", "eval", "metrics", "moments")
# Of these a row has both or none.
_PAIRS = ({"d_loss_mean", "g_loss_mean"}, {"p_real", "p_fake"}, {"fake_mean", "fake_std"}, {"digits", "frechet"})


def is_row(row: Any) -> bool:
    """Whether it is a row of metrics.jsonl: a kind, a step, an epoch, and finite numbers by name."""
    return (
        isinstance(row, dict)
        and row.get("kind") in _KINDS
        and _is_count(row.get("step"))
        and "epoch" in row
        and all(pair <= row.keys() or not pair & row.keys() for pair in _PAIRS)
        and all(_is_number(value) for name, value in row.items() if name != "kind")
    )


def last_row(rows: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """The last row of a kind; empty if there is none."""
    return next((row for row in reversed(rows) if row["kind"] == kind), {})


def numbers_of(row: Mapping[str, Any]) -> dict[str, float]:
    """What a row measured, without where it stands."""
    return {name: value for name, value in row.items() if isinstance(value, float) and name != "epoch"}


def known_facts(record: Any) -> dict[str, Any]:
    """A JSON object without the facts that are not of the kind that a run writes under that name; other names stay."""
    facts = record if isinstance(record, dict) else {}
    return {name: fact for name, fact in facts.items() if _FACTS.get(name, lambda fact: True)(fact)}


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    return _is_count(value) or (type(value) is float and abs(value) <= _LARGEST)


def _is_provenance(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and _PROVENANCE - {"detail"} <= set(part) <= _PROVENANCE
        and all(_is_count(value) if name == "count" else isinstance(value, str) for name, value in part.items())
    )


def _is_imported(part: Any) -> bool:
    counters = part.get("counters") if isinstance(part, dict) else None
    return isinstance(counters, dict) and all(map(_is_count, counters.values()))


def _are_texts(fact: Any) -> bool:
    return isinstance(fact, list) and all(isinstance(text, str) for text in fact)


def _is_data(fact: Any) -> bool:
    return isinstance(fact, dict) and all(isinstance(part, str) or _is_provenance(part) for part in fact.values())


_FACTS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("data", "trained_on"), _is_data),
    **dict.fromkeys(("data_dir", "config_file"), lambda fact: fact is None or isinstance(fact, str)),
    "sessions": lambda fact: (
        isinstance(fact, list)
        and all(isinstance(s, dict) and set(s) == _SESSION and all(map(_is_number, s.values())) for s in fact)
    ),
    "imported": lambda fact: isinstance(fact, dict) and all(map(_is_imported, fact.values())),
    "fork": lambda fact: (
        isinstance(fact, dict)
        and set(fact) == {"from", "step", "changed", "notes"}
        and isinstance(fact["from"], str)
        and _is_count(fact["step"])
        and all(map(_are_texts, (fact["changed"], fact["notes"])))
    ),
    "fields": lambda fact: isinstance(fact, dict),
    "class_names": _are_texts,
    "versions": lambda fact: isinstance(fact, dict) and all(isinstance(value, str) for value in fact.values()),
    **dict.fromkeys(("command", "machine"), lambda fact: isinstance(fact, str)),
    **dict.fromkeys(("total_steps", "steps_per_epoch", "cores", "diverged", "step", "seed", "num_labels"), _is_count),
}
