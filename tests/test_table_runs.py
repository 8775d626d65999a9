"""What evidence/table_runs.py keeps of studies."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfgan_lab import cli
from tfgan_lab.config import to_json
from tfgan_lab.training.workdir import Workdir

SCRIPT = Path(__file__).parents[1] / "evidence" / "table_runs.py"


@pytest.mark.slow
def test_a_row_for_each_run_and_one_picture(
    trained: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = importlib.util.spec_from_file_location("table_runs", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    store = tmp_path / "tables.jsonl"
    monkeypatch.setattr(script, "STORE", store)

    def keep(*studies: str) -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["table_runs.py", *studies, f"--picture={tmp_path}/table.png"])
        script.main()
        assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
        return [json.loads(line) for line in store.read_text().splitlines()]

    command = ["study", "--config=plane:smoke", "--vary=loss=hinge,non_saturating", "--seeds=1", "--jobs=1"]
    assert cli.main([*command, f"--workdir={tmp_path}/plane"]) == 0
    rows = keep(f"{tmp_path}/plane")
    assert [row["config"]["game"]["loss"] for row in rows] == ["hinge", "non_saturating"]
    for row in rows:
        assert (row["seed"], row["step"]) == (0, 20)
        assert row["modes"].keys() == {"10", "20"} and row["modes"]["20"] == row["numbers"]["modes"]
    other = _altered(tmp_path / "plane", tmp_path / "other", seed=1)
    assert keep(other)[:2] == rows, "rows of other runs stay"
    oftener = _altered(tmp_path / "plane", tmp_path / "oftener", evaluate={"epochs": 0, "steps": 5})
    assert len(keep(oftener)) == 4, "the same runs, judged more often"
    images = tmp_path / "images" / "loss" / "seed=0"
    shutil.copytree(trained("stacked:smoke"), images)
    outcome = json.loads(next((tmp_path / "plane").glob("*/*/outcome.json")).read_text())
    config = json.loads(to_json(Workdir(images).read_single_config()))
    (images / "outcome.json").write_text(json.dumps({**outcome, "config": config}))
    assert keep(f"{tmp_path}/images")[-1]["modes"] == {}
    before = store.read_bytes()
    with pytest.raises(SystemExit) as ended:
        keep(other, f"{tmp_path}/nowhere")
    assert ended.value.code == 2 and store.read_bytes() == before
    assert "nowhere has no finished run" in capsys.readouterr().err


def _altered(study: Path, folder: Path, **fields: Any) -> str:
    """A copy of a study whose configs have other fields."""
    shutil.copytree(study, folder)
    for path in folder.glob("*/*/outcome.json"):
        outcome = json.loads(path.read_text())
        outcome["seed"] = fields.get("seed", outcome["seed"])
        path.write_text(json.dumps({**outcome, "config": {**outcome["config"], **fields}}))
    return str(folder)
