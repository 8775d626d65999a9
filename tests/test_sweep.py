"""The sweep: one run for each value, finished ones left alone, divergence as a result, a table and a picture."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from PIL import Image
from runs import nothing_drawn

from tfgan_lab import cli, trainer
from tfgan_lab import data as data_lib
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.evaluation.judge import load_judge
from tfgan_lab.evaluation.pieces import draw
from tfgan_lab.metrics import classifier_score
from tfgan_lab.studies import sweep as sweep_lib
from tfgan_lab.studies.grid import folder_name
from tfgan_lab.studies.sweep import markdown, sweep
from tfgan_lab.system.files import json_bytes, write_atomically
from tfgan_lab.training.workdir import Workdir


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sweep")
    with nothing_drawn():
        return folder, sweep(
            offline("mlp_gan:smoke", steps="4", evaluate__steps="2"), "game.d_steps", ["1", "3"], folder
        )


def test_each_value_has_its_own_run(swept: Any) -> None:
    folder, result = swept
    assert [run["value"] for run in result["runs"]] == ["1", "3"]
    for run in result["runs"]:
        own = json.loads((folder / run["folder"] / "config.json").read_text(encoding="utf-8"))
        assert own["game"]["d_steps"] == int(run["value"])
        assert own["steps"] == 4
    written = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    assert written.items() >= json.loads(json.dumps(result)).items()


def test_the_numbers_are_the_runs_own(swept: Any) -> None:
    folder, result = swept
    for run in result["runs"]:
        rows = [json.loads(line) for line in (folder / run["folder"] / "metrics.jsonl").read_text().splitlines()]
        last = [row for row in rows if row["kind"] == "eval"][-1]
        assert (run["p_real"], run["p_fake"]) == (last["p_real"], last["p_fake"])
        from tfgan_lab.export.saved_model import load_generator

        opinion = load_judge()(draw(load_generator(folder / run["folder"]).sample, 1000, 0, 1000))
        assert run["digits"] == (np.bincount(opinion.labels, minlength=10) > 10).sum()
        assert run["classifier_score"] == classifier_score(opinion.probabilities)


def test_a_judge_that_does_not_know_the_data_counts_nothing(
    swept: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels turned by one stand for another data set of the shape of digits."""
    folder, result = swept
    config, run = (
        offline("mlp_gan:smoke", steps="4", evaluate__steps="2"),
        Workdir(folder / result["runs"][0]["folder"]),
    )
    open_source = data_lib.open_source

    def other(data: Any, data_dir: str | None) -> Any:
        source: Any = open_source(data, data_dir)
        return dataclasses.replace(source, test=dataclasses.replace(source.test, labels=(source.test.labels + 1) % 10))

    assert set(sweep_lib._judged(config, run, None)) == {"digits", "classifier_score"}
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(data_lib, "open_source", other)
    assert sweep_lib._judged(config, run, None) == {}
    assert "The judge is wrong on" in capsys.readouterr().out


def test_the_table_and_the_picture(swept: Any) -> None:
    folder, result = swept
    text = (folder / "sweep.md").read_text(encoding="utf-8")
    assert text.startswith(markdown(result) + "\n")
    assert text.splitlines()[0] == "| game.d_steps | p_real | p_fake | digits | classifier_score |"
    assert [line.split(" | ")[0] for line in text.splitlines()[2:4]] == ["| 1", "| 3"]
    assert "more than a tenth of an even share of 1,000 samples" in text
    with Image.open(folder / "sweep.png") as picture:
        assert min(picture.size) > 500


def refuse_to_train(*_: Any) -> None:
    raise AssertionError("trained again")


def test_a_finished_run_is_not_run_again(
    swept: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, result = swept
    monkeypatch.setattr(trainer, "train", refuse_to_train)
    again = sweep(offline("mlp_gan:smoke", steps="4", evaluate__steps="2"), "game.d_steps", ["1", "3"], folder)
    assert again == result
    assert capsys.readouterr().out.count("already finished") == 2
    with pytest.raises(AssertionError, match="trained again"):
        sweep(offline("mlp_gan:smoke", steps="6", evaluate__steps="2"), "game.d_steps", ["1"], folder)


def test_a_run_without_its_export_is_gone_on_with(swept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = swept
    (folder / "game.d_steps=1" / "export").rename(folder / "away")
    monkeypatch.setattr(trainer, "train", refuse_to_train)
    try:
        with pytest.raises(AssertionError, match="trained again"):
            sweep(offline("mlp_gan:smoke", steps="4", evaluate__steps="2"), "game.d_steps", ["1"], folder)
    finally:
        (folder / "away").rename(folder / "game.d_steps=1" / "export")


def test_a_run_that_diverges_is_a_result(swept: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def diverge(config: Any, workdir: Path, data_dir: str | None) -> None:
        Path(workdir).mkdir(parents=True)
        raise TrainingDiverged("d_loss became nan at step 3: the run is stopped")

    monkeypatch.setattr(trainer, "train", diverge)
    result = sweep(offline("mlp_gan:smoke"), "game.d_steps", ["7"], tmp_path)
    assert result["runs"] == [
        {"value": "7", "folder": "game.d_steps=7", "diverged": "diverged: d_loss became nan at step 3"}
    ]
    assert (tmp_path / "sweep.png").is_file()
    both = {**result, "runs": [*swept[1]["runs"], *result["runs"]]}
    assert markdown(both).count("diverged") == 4


def test_a_folder_that_holds_another_run_is_found_before_anything_is_trained(
    swept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = swept
    monkeypatch.setattr(trainer, "train", refuse_to_train)
    with pytest.raises(UserError, match="game.d_steps=3 holds a run of another config.*seed: 0 -> 5"):
        sweep(offline("mlp_gan:smoke", steps="4", seed="5"), "game.d_steps", ["2", "3"], folder)


@pytest.mark.slow
@pytest.mark.parametrize(("reference", "field", "values", "columns"), [
    ("gaussian:smoke", "data.std", ["0.5", "2"], {"fake_mean", "fake_std"}),
    ("mnist_classifier:smoke", "seed", ["0", "1"], {"accuracy"}),
])  # fmt: skip
def test_any_field_of_any_config(
    reference: str, field: str, values: Sequence[str], columns: set[str], tmp_path: Path
) -> None:
    with nothing_drawn():
        result = sweep(offline(reference, steps="4"), field, values, tmp_path)
    for run in result["runs"]:
        assert set(run) - {"value", "folder"} == columns
    assert result["rule"] == ""
    assert (tmp_path / "sweep.png").stat().st_size > 5000


@pytest.mark.slow
def test_placements_are_swept_like_any_field(tmp_path: Path) -> None:
    """One device, then two replicas, in one process."""
    config = offline("mlp_gan:smoke", steps="4", evaluate__steps="4")
    with nothing_drawn():
        result = sweep(config, "placement", ["one", "mirrored"], tmp_path)
    one, mirrored = result["runs"]
    assert mirrored["p_real"] == pytest.approx(one["p_real"], abs=1e-3)
    assert mirrored["p_fake"] == pytest.approx(one["p_fake"], abs=1e-3)
    assert json.loads((tmp_path / "placement=mirrored" / "run.json").read_text())["replicas"] == 2


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("game.d_stepz", ["1"], "'d_steps'"),
        ("game.d_steps", ["1", "many"], "game.d_steps"),
        ("game.d_steps", ["1", "1"], "none twice"),
        ("game.d_steps", [], "at least one value"),
        ("game", ["1"], "group of fields"),
        ("onednn", ["true", "false"], "once in a process.*--config.onednn=VALUE"),
        ("deterministic", ["true", "false"], "once in a process"),
        ("num_seeds", ["1", "2"], "--field=seed"),
        ("batch_size", ["50", "4501"], "batch_size"),
        ("data.source", ["embedded", "idx"], "--data_dir"),
        ("log_line", ["a/b", "a:b"], "none twice"),
    ],
)
def test_a_mistake_is_found_before_anything_is_trained(
    field: str, values: Sequence[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "train", refuse_to_train)
    with pytest.raises(UserError, match=expected):
        sweep(offline("mlp_gan:smoke"), field, values, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("game.d_steps", "5", "game.d_steps=5"),
        ("generator.0.units", "64", "generator.0.units=64"),
        ("name", "../up", "name=.._up"),
        ("log_line", "x" * 999, "log_line=" + "x" * 51 + "-" + hashlib.sha256(b"x" * 999).hexdigest()[:12]),
    ],
)
def test_folders_are_named_after_field_and_value(field: str, value: str, name: str) -> None:
    assert folder_name(field, value) == name


@pytest.mark.parametrize(
    ("given", "values"), [("1,5, 20", ["1", "5", "20"]), ("64,64;256,256", ["64,64", "256,256"]), ("64,64;", ["64,64"])]
)
def test_the_command_splits_its_values(
    given: str, values: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Any] = {}

    def note(config: Any, field: str, listed: Sequence[str], workdir: str, data_dir: str | None) -> dict[str, Any]:
        seen.update(field=field, values=listed, workdir=workdir, seed=config.seed)
        return {"runs": [], "field": field, "config": "", "post": "", "seed": 0, "rule": ""}

    monkeypatch.setattr(sweep_lib, "sweep", note)
    assert (
        cli.main(["sweep", "--config=mlp_gan:smoke", "--field=game.d_steps", f"--values={given}", "--config.seed=3"])
        == 0
    )
    assert seen == {"field": "game.d_steps", "values": values, "workdir": "runs/mlp_gan-smoke-game.d_steps", "seed": 3}
    assert "sweep.png" in capsys.readouterr().out


def test_a_folder_is_a_sweeps_from_its_first_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(variant: Any, folder: Path, data_dir: str | None) -> None:
        assert json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["runs"] == []
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_lib, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        sweep(offline("mlp_gan:smoke", steps="4", evaluate__steps="2"), "game.d_steps", ["1"], tmp_path)


def test_a_finished_sweeps_table_stays_until_it_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    write_atomically(tmp_path / "sweep.json", done := json_bytes({"runs": [1]}))
    monkeypatch.setattr(sweep_lib, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        sweep(offline("mlp_gan:smoke", steps="4", evaluate__steps="2"), "game.d_steps", ["1"], tmp_path)
    assert (tmp_path / "sweep.json").read_bytes() == done


def test_values_that_all_diverge_stand_in_the_table() -> None:
    result = {
        "runs": [{"value": "9", "folder": "x", "diverged": "diverged: d_loss"}],
        "field": "g_optimizer.learning_rate",
    }
    assert "| 9 | diverged: d_loss |" in markdown(result | {"config": "c", "post": "P000", "seed": 0, "rule": ""})
