"""Whoever kills a training, at whatever moment, loses nothing that was written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_rounds_of_kills_in_every_kind_of_write() -> None:
    """A few of the rounds of `python tests/kill_rounds.py --rounds=50`."""
    rounds = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_rounds.py")), "--rounds=3", "--seed=3"],
        capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert rounds.returncode == 0, rounds.stdout + rounds.stderr
    counts = json.loads(rounds.stdout.splitlines()[-1])
    assert counts["kills"] == 3
    assert counts["runs finished and equal"] >= 1
