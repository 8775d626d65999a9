"""The study: a grid of variants over seeds, mistakes before anything is trained, one table, one picture, a store of outcomes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from catalogue import offline

from tfgan_lab import cli
from tfgan_lab.config import from_json
from tfgan_lab.errors import UserError
from tfgan_lab.studies import grid, ledger
from tfgan_lab.studies import study as study_lib
from tfgan_lab.studies.jobs import alone_in
from tfgan_lab.studies.outcome_files import keep_outcome
from tfgan_lab.studies.store import read_store
from tfgan_lab.studies.study import markdown, study
from tfgan_lab.training.workdir import Workdir


def test_every_combination_is_a_variant_with_a_folder_of_its_own() -> None:
    found = grid.variants(
        offline("mlp_gan:smoke"), {"game.loss": ["hinge", "wasserstein"], "game.penalty": ["none", "r1"]}
    )
    assert [(one.config.game.loss, one.config.game.penalty) for one in found] == [  # type: ignore[union-attr]
        ("hinge", ""), ("hinge", "r1"), ("wasserstein", ""), ("wasserstein", "r1")
    ]  # fmt: skip
    assert found[1].folder == "game.loss=hinge,game.penalty=r1"
    long = {f"generator.{i}.negative_slope": "0." + "1" * 60 for i in range(6)}
    assert len(grid.Variant(long, found[0].config).folder) <= 255
    assert grid.Variant({}, found[0].config).folder == "as_it_is"


def test_the_last_part_of_a_field_is_enough_where_it_names_one() -> None:
    config = offline("mlp_gan:smoke")
    names = {"loss": "game.loss", "game.loss": "game.loss", "steps": "steps", "dim": "latents.dim"}
    assert {given: grid.full_name(config, given) for given in names} == names
    with pytest.raises(UserError, match=r"which of g_optimizer.beta_1, d_optimizer.beta_1\? Say the whole name"):
        grid.full_name(config, "beta_1")


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        (["--vary=lozz=1"], "Did you mean 'loss'"),
        (["--vary=loss=hinge,hingee"], "no loss 'hingee'"),
        (["--vary=loss=hinge,hinge"], "none twice"),
        (["--vary=loss="], "at least one value"),
        (["--vary=loss"], "--vary=FIELD=VALUE"),
        ([], "--vary is missing"),
        (["--vary=loss=hinge", "--vary=loss=wasserstein"], "once for each field"),
        (["--vary=loss=hinge", "--vary=game.loss=wasserstein"], "named twice"),
        (["--vary=seed=0,1"], "--seeds and --first_seed"),
        (["--vary=num_seeds=1,2"], "num_seeds"),
        (["--vary=onednn=true,false", "--vary=steps=1"], "once in a process.*--config.onednn=VALUE"),
        (["--vary=loss=minimax,relativistic", "--vary=d_update=joint,separate"], "game.loss=relativistic, game.d_update=separate: "),
        (["--vary=smoothing=0.1", "--vary=loss=minimax,wasserstein"], "game.smoothing=0.1, game.loss=wasserstein: "),
        (["--vary=batch_size=50,4501"], "batch_size: a step takes 4,501"),
        (["--vary=data.source=embedded,idx"], "--data_dir"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_anything_is_trained(
    vary: Sequence[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_jobs(*_: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(study_lib, "run_jobs", run_jobs)
    assert (
        cli.main(["study", "--config=mlp_gan:smoke", "--config.data.source=embedded", *vary, f"--workdir={tmp_path}/x"])
        == 2
    )
    found = capsys.readouterr().err
    assert found.count("\n") == 1 and re.search(said, found), found
    assert not (tmp_path / "x").exists()


def test_a_mistake_does_not_start_tensorflow() -> None:
    """It would print a screen of its own words first."""
    program = "import sys; from tfgan_lab import cli; cli.main(['study', '--vary=lozz=1']); print('tensorflow' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr.count("\n")) == ("False\n", 1), ended.stderr


def of_seed(job: Any) -> dict[str, float]:
    """Invented numbers: of hinge the seed, of wasserstein its hundredfold; seed 3 of it diverged."""
    return {"modes": float(job.config.seed) * (1 if job.config.game.loss == "hinge" else 100)}


@pytest.fixture
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Any], list[int]]:
    """A study whose runs are invented, twice: (folder, what the second returned, how many runs each had to do)."""
    todo: list[int] = []

    def run_jobs(jobs: Sequence[Any], *_: Any) -> None:
        left = [job for job in jobs if not job.done()]
        todo.append(len(left))
        for job in left:
            lost = job.config.seed == 3 and job.config.game.loss == "wasserstein"
            facts = {"data": {}, "step": 20, **({"diverged": "a loss became nan"} if lost else {})}
            keep_outcome(job.folder, job.config, {} if lost else of_seed(job), 0, facts)

    monkeypatch.setattr(study_lib, "run_jobs", run_jobs)
    monkeypatch.setattr(study_lib, "try_all", lambda *_, **__: None)
    for seeds in (2, 10):
        result = study(offline("plane:smoke"), {"loss": ["hinge", "wasserstein"]}, range(seeds), tmp_path)
    return tmp_path, result, todo


def test_what_is_finished_is_not_run_again(studied: Any) -> None:
    assert studied[2] == [4, 16]


def test_the_table_has_medians_intervals_and_those_that_diverged(studied: Any) -> None:
    folder, result, _ = studied
    hinge, wasserstein = result["rows"]
    assert (hinge["n"], hinge["diverged"], wasserstein["n"], wasserstein["diverged"]) == (10, 0, 10, 1)
    assert hinge["numbers"]["modes"]["values"] == [float(seed) for seed in range(10)]
    # Of 10 the 2nd and 9th: 1 - 2 * 11 / 1024 = 0.979, and the 3rd and 8th would be 0.891.
    assert {k: v for k, v in hinge["numbers"]["modes"].items() if k != "values"} == {
        "median": 4.5,
        "low": 1.0,
        "high": 8.0,
        "mean": 4.5,
    }
    text = (folder / "study.md").read_text()
    assert text.startswith(markdown(result) + "\n")
    assert text.splitlines()[0] == "| game.loss | seeds | diverged | modes |"
    assert text.splitlines()[2] == "| hinge | 10 | 0 | 4.5 [1, 8] |"
    assert text.splitlines()[3].startswith("| wasserstein | 10 | 1 | 500 [")
    assert "ring8 (8 normals" in text and "seeds 0 to 9" in text
    assert json.loads((folder / "study.json").read_text()).items() >= json.loads(json.dumps(result)).items()
    assert (folder / "study.png").stat().st_size > 5000
    page = (folder / "study.html").read_text()
    assert "<h1>plane:smoke: game.loss</h1>" in page and "<td>4.5 [1, 8]</td>" in page and page.count("<svg") == 1
    fields = "--config.placement=one --config.game.loss=hinge"
    command = f"tfgan-lab train --config=plane:smoke {fields} --workdir={folder}/game.loss=hinge/seed=0"
    assert re.findall("<code>(.*?)</code>", page)[0] == command
    assert not re.search(r'(src|href)="(?!data:|#)|@import', page)


def test_five_seeds_have_no_interval() -> None:
    assert study_lib._median([1, 2, 3, 4, 9]) == {"median": 3}
    assert set(study_lib._median([1, 2, 3, 4, 5, 9])) == {"median", "low", "high"}


def test_the_outcomes_are_a_store_as_the_ledgers(studied: Any) -> None:
    folder, _, _ = studied
    store = read_store(folder / "outcomes.jsonl")
    assert set(store.configs) == {"game.loss=hinge", "game.loss=wasserstein"}
    assert store.outcomes["game.loss=hinge", "ours"][7]["numbers"] == {"modes": 7.0}
    assert store.outcomes["game.loss=wasserstein", "ours"][3]["diverged"] == "a loss became nan"
    assert store.configs["game.loss=hinge"].steps == 20


def test_a_folder_with_runs_of_another_config_is_refused(studied: Any) -> None:
    folder, _, todo = studied
    with pytest.raises(UserError, match="holds a run of another config.*batch_size"):
        study(offline("plane:smoke", batch_size="60"), {"loss": ["hinge"]}, range(1), folder)
    assert len(todo) == 2


@pytest.mark.parametrize(
    ("what", "command"),
    [("study", ["study", "--config=gaussian:smoke", "--vary=steps=2"]), ("ledger", ["compare", "ledger", "--config=gaussian"])],
)  # fmt: skip
def test_a_folder_of_runs_is_one_commands_at_a_time(
    what: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (study_lib, ledger):
        monkeypatch.setattr(module, "run_jobs", lambda *_: pytest.fail("somebody else is at work here"))
    with alone_in(tmp_path, what):
        assert cli.main([*command, f"--workdir={tmp_path}"]) == 2
    assert capsys.readouterr().err == (
        f"tfgan-lab: --workdir={tmp_path} is in use by another {what}: wait for it, or name another folder.\n"
    )


@pytest.mark.slow
def test_runs_are_trained_by_workers_that_know_the_users_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from tfgan_lab.config_files import load_config\n"
        "from tfgan_lab.losses import LOSSES, hinge\n"
        "LOSSES['mine'] = hinge\n"
        "def get_config():\n"
        "    config = load_config('plane:smoke')\n"
        "    config.steps, config.onednn = 4, True\n"
        "    return config\n"
    )
    command = ["study", f"--config={file}", "--vary=loss=mine,hinge", "--jobs=2", f"--workdir={tmp_path}/s"]
    assert cli.main([*command, "--seeds=1"]) == 0, capsys.readouterr().err
    before = (tmp_path / "s" / "game.loss=mine" / "seed=0" / "outcome.json").read_bytes()
    assert cli.main([*command, "--seeds=2"]) == 0, capsys.readouterr().err
    assert (tmp_path / "s" / "game.loss=mine" / "seed=0" / "outcome.json").read_bytes() == before
    result = json.loads((tmp_path / "s" / "study.json").read_text())
    mine, hinge = (row["numbers"]["energy_distance"]["values"] for row in result["rows"])
    assert mine == hinge and len(mine) == 2, "the same loss by two names"
    own = from_json((tmp_path / "s" / "game.loss=hinge" / "seed=1" / "config.json").read_text())
    assert (own.seed, own.placement) == (1, "one")
    started = Workdir(tmp_path / "s" / "game.loss=hinge" / "seed=1").read_record()["started"]
    assert (started["onednn"], started["threads"], started["not_as_asked"]) == (True, 1, []), "as the config asks"
