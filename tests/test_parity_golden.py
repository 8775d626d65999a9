"""Every config against what its post's PyTorch program computed: kept records, no PyTorch needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import golden_parity as golden
import numpy as np
import pytest

from tfgan_lab.parity import laws
from tfgan_lab.parity.steps import CONFIGS, first_difference

FILE = Path(__file__).parent / "golden" / "parity.json"


@pytest.fixture(scope="module")
def records() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def test_there_is_a_small_record_of_every_config(records: dict[str, Any]) -> None:
    assert list(records) == list(CONFIGS)
    assert FILE.stat().st_size < 200_000


@pytest.mark.parametrize("name", CONFIGS)
def test_our_program_does_what_the_posts_did(name: str, records: dict[str, Any]) -> None:
    rows = golden.check(name, records[name])
    assert first_difference(rows) is None
    assert sum("loss" in row.stage for row in rows) == (3 if name == "mnist_classifier" else 12)


@pytest.mark.parametrize(("where", "by"), [("losses", 1e-9), ("weights", 1e-9), ("start", 1.0)])
def test_a_record_that_differs_is_noticed(where: str, by: float, records: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(records["gaussian"]))
    if where == "losses":
        changed["losses"][2]["g_loss"] += by
    else:
        numbers = changed[where]["generator"]["map2.weight"]
        changed[where]["generator"]["map2.weight"] = [number + by for number in numbers]
    first = first_difference(golden.check("gaussian", changed))
    expected = {
        "losses": ("step 3: loss", "g_loss"),
        "weights": ("weights after 3 steps", "generator map2.weight"),
        "start": ("start values", "generator map2.weight"),
    }
    assert first is not None
    assert (first.stage, first.tensor) == expected[where]


def test_laws_of_start_values() -> None:
    draw, levels, n = np.random.default_rng(1), np.linspace(0, 1, 17), 80_000
    uniform, normal = (
        np.quantile(numbers, levels).tolist() for numbers in (draw.uniform(-1, 1, n), draw.normal(size=n))
    )

    def wrong(numbers: np.ndarray, law: list[float]) -> bool:
        found, most = laws.distance(numbers, law)
        return found > most

    assert not wrong(draw.uniform(-1, 1, n), uniform)
    assert not wrong(draw.uniform(-1, 1, 10), uniform)
    assert wrong(draw.uniform(-0.96, 0.96, n), uniform)
    assert wrong(draw.normal(0, 1 / np.sqrt(3), n), uniform)  # the same variance
    assert not wrong(draw.normal(size=n), normal)
    cut = draw.normal(size=2 * n)
    assert wrong(cut[np.abs(cut) < 2][:n] / 0.87962566, normal)  # Keras' truncated normal, of the same variance
    assert wrong(np.zeros(n), normal)  # a missing initialiser
    assert wrong(np.zeros(4), normal)
    assert wrong(draw.uniform(-1, 1, n), [0.0] * 17)
    assert not wrong(np.zeros(1), [0.0] * 17)
