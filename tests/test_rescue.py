"""`study --rescue`: forks at several steps with several cures, each a run of the study; which are saved; mistakes first."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from catalogue import offline
from numpy.testing import assert_array_equal
from runs import nothing_drawn, weights

from tfgan_lab import cli
from tfgan_lab.config import Config, override
from tfgan_lab.errors import UserError
from tfgan_lab.studies import jobs as jobs_lib
from tfgan_lab.studies import study as study_lib
from tfgan_lab.studies.outcome_files import keep_outcome
from tfgan_lab.studies.rescue import Saved, rescue, saved_as
from tfgan_lab.training.train import train
from tfgan_lab.training.workdir import Workdir

HALF = Saved("modes", 4, math.inf)


def config_of() -> Config:
    changes = {"steps": "15", "checkpoint.steps": "5", "keep_checkpoints": "3", "placement": "one"}
    return override(offline("plane:smoke"), changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 15 steps that keeps those of steps 5, 10 and 15."""
    folder = tmp_path_factory.mktemp("rescue") / "run"
    train(config_of(), folder)
    return folder


@pytest.mark.parametrize(
    ("text", "config", "expected"),
    [
        (None, "mlp_gan", ("digits", 5, math.inf)), (None, "plane", ("modes", 4, math.inf)), (None, "stacked", ("modes", 500, math.inf)),
        ("digits=5..", "mlp_gan", ("digits", 5, math.inf)), ("frechet=..40", "mlp_gan", ("frechet", -math.inf, 40)),
        ("fake_std=0.95..1.55", "gaussian", ("fake_std", 0.95, 1.55)), ("d_loss=-1.5..-.5", "mlp_gan", ("d_loss", -1.5, -0.5)),
        (None, "gaussian", "--saved is missing"), *((wrong, "plane", "say NUMBER=LOW..HIGH") for wrong in ("modes", "modes=5", "=5..", "modes=..", "modes=9..5", "modes=x..", "modes=nan..5")),
    ],
)  # fmt: skip
def test_when_a_fork_counts_as_saved(text: str | None, config: str, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            saved_as(text, offline(config))
    else:
        assert saved_as(text, offline(config)) == Saved(*expected)


def test_both_ends_count_and_a_run_that_diverged_is_lost() -> None:
    band = Saved("x", 1, 2)
    assert [band.holds({"x": value}) for value in (0.9, 1, 2, 2.1)] == [False, True, True, False]
    assert not band.holds({})
    assert [str(one) for one in (band, HALF)] == ["x at least 1 and at most 2", "modes at least 4"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rescue"], "--rescue and --from=RUN go together"),
        (["--from=RUN"], "--rescue and --from=RUN go together"),
        (["--steps=5"], "--steps is of a rescue: it needs --rescue --from=RUN"),
        (["--rescue", "--from=nowhere"], "--from=nowhere: there is no run"),
        (["--rescue", "--from=RUN", "--steps=5,7"], "no such checkpoint in .*; there are those of steps 5, 10, 15"),
        (["--rescue", "--from=RUN", "--steps=5,5"], "--steps: name no step twice"),
        (["--rescue", "--from=RUN", "--steps=five"], "--steps=five: name steps"),
        (["--rescue", "--from=RUN", "--saved=modes"], "--saved=modes: say NUMBER=LOW..HIGH"),
        (["--rescue", "--from=RUN", "--further=0"], "further"),
        (["--rescue", "--from=RUN", "--vary=generator.0.units=7"], "keep that run's layers and their sizes"),
        (["--rescue", "--from=RUN@5"], "no folder of a run with checkpoints"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_anything_is_trained(
    flags: Sequence[str], said: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    def run_jobs(*_: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(study_lib, "run_jobs", run_jobs)
    command = ["study", "--vary=loss=hinge", *flags, f"--workdir={tmp_path}/x"]
    assert cli.main([flag.replace("RUN", str(run)) for flag in command]) == 2
    found = capsys.readouterr().err
    assert found.count("\n") == 1 and re.search(said, found), found
    assert not (tmp_path / "x").exists()


def invented(jobs: Sequence[Any], *_: Any) -> None:
    """Hinge saves a fork of step 5 with every seed and one of step 10 with one of three; wasserstein diverges."""
    for job in jobs:
        step, loss = int(job.start.rpartition("@")[2]), job.config.game.loss
        assert job.config.steps == step + 20
        modes = {5: 8.0, 10: 4.0 if job.config.seed == 1 else 3.0}[step] if loss == "hinge" else 1.0
        lost = {"diverged": "a loss became nan"} if loss == "wasserstein" else {}
        Workdir(job.folder).path.mkdir(parents=True)
        Workdir(job.folder).write_record(
            fork={"from": job.start.rpartition("@")[0], "step": step, "changed": [], "notes": []}
        )
        keep_outcome(
            job.folder, job.config, {} if lost else {"modes": modes}, 0, {"data": {}, "step": job.config.steps, **lost}
        )


def test_the_table_says_up_to_which_step_each_cure_saves(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study_lib, "run_jobs", invented)
    folder = tmp_path / "x"
    command = [
        "study",
        "--rescue",
        f"--from={run}",
        "--steps=5,10",
        "--further=20",
        "--vary=loss=hinge,wasserstein",
        "--seeds=3",
    ]
    assert cli.main([*command, f"--workdir={folder}"]) == 0, capsys.readouterr().err
    text = (folder / "study.md").read_text()
    assert text.splitlines()[:5] == [
        "| game.loss | from step 5 | from step 10 | saves up to step |", "| --- | --- | --- | --- |",
        "| non_saturating | 0 of 3 | 0 of 3 | - |", "| hinge | 3 of 3 | 1 of 3 | 5 |", "| wasserstein | 0 of 3 | 0 of 3 | - |",
    ]  # fmt: skip
    assert "saved 20 steps later, that is, have modes at least 4." in text and "| 10 | hinge | 3 | 0 | 3 |" in text
    page = (folder / "study.html").read_text()
    assert f"<h1>A rescue of {run}</h1>" in page and page.count("<table>") == 2 and "<td>1 of 3</td>" in page
    assert page.count('role="img"') == 1 and page.count(f"--from={run}@10 --workdir=") == 3
    result = json.loads((folder / "study.json").read_text())
    assert [cure["until"] for cure in result["rescue"]["cures"]] == [None, 5, None]
    assert (folder / "study.png").stat().st_size > 5000
    assert f"look at: {folder}/study.html" in capsys.readouterr().out
    monkeypatch.setattr(study_lib, "run_jobs", lambda jobs, *_: [job.done() for job in jobs])
    assert cli.main([*command, f"--workdir={folder}", "--saved=mode=1.."]) == 2
    assert "these runs have no number 'mode'; they have: modes" in capsys.readouterr().err
    moved = run.rename(run.parent / "other")
    command[2] = f"--from={moved}"
    assert cli.main([*command, f"--workdir={folder}"]) == 2, "forks of another run"
    moved.rename(run)
    assert "holds a run of another config (from: " in capsys.readouterr().err


def test_without_a_cure_a_fork_goes_on_as_its_run_did(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained for real: the fork of step 5 as it is has the run's own weights at step 15, that with a cure has others."""
    calls: list[Any] = []

    def run_jobs(jobs: Sequence[Any], data_dir: str | None, workers: int, config_file: str | None) -> None:
        groups = jobs_lib.groups_of(jobs)
        assert [len(group) for group in groups] == [1, 1]
        for job in jobs:
            with nothing_drawn():
                calls.append(jobs_lib._outcome(job, data_dir))

    monkeypatch.setattr(study_lib, "run_jobs", run_jobs)
    result = rescue(config_of(), run, [5], {"loss": ["hinge"]}, range(1), tmp_path / "x", HALF, further=10)
    assert len(calls) == 2 and [row["values"] for row in result["rows"]] == [
        {"fork": "5", "game.loss": "non_saturating"}, {"fork": "5", "game.loss": "hinge"}
    ]  # fmt: skip
    folders = [tmp_path / "x" / row["folder"] / "seed=0" for row in result["rows"]]
    assert [Workdir(folder).read_record()["fork"]["step"] for folder in folders] == [5, 5]
    as_it_is, cured = map(weights, folders)
    for name, value in weights(run).items():
        assert_array_equal(as_it_is[name], value, err_msg=name)
    assert any((cured[name] != value).any() for name, value in weights(run).items())
