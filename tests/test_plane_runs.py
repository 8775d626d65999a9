"""What evidence/plane_runs.py keeps of a study in the plane."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tfgan_lab import cli

SCRIPT = Path(__file__).parents[1] / "evidence" / "plane_runs.py"


@pytest.mark.slow
def test_a_row_for_each_run_and_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["study", "--config=plane:smoke", "--vary=loss=hinge,non_saturating", "--seeds=1", "--jobs=1"]
    assert cli.main([*command, f"--workdir={tmp_path}/study"]) == 0
    spec = importlib.util.spec_from_file_location("plane_runs", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    store, picture = tmp_path / "plane.jsonl", tmp_path / "tables.png"
    monkeypatch.setattr(script, "STORE", store)
    monkeypatch.setattr(script, "PICTURE", picture)
    monkeypatch.setattr(sys, "argv", ["plane_runs.py", f"{tmp_path}/study"])
    script.main()
    rows = [json.loads(line) for line in store.read_text().splitlines()]
    assert [row["config"]["game"]["loss"] for row in rows] == ["hinge", "non_saturating"]
    for row in rows:
        assert (row["law"], row["seed"], row["step"]) == ("ring8", 0, 20)
        assert row["modes"].keys() == {"10", "20"} and row["modes"]["20"] == row["numbers"]["modes"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    before = store.read_bytes()
    monkeypatch.setattr(sys, "argv", ["plane_runs.py", f"{tmp_path}/study", f"{tmp_path}/nowhere"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 2 and store.read_bytes() == before
