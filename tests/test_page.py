"""A run's page: self-contained, readable with and without sight; and what it says of a damaged run."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist

from tfgan_lab import cli
from tfgan_lab.config import flattened, override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import exported
from tfgan_lab.figures import png
from tfgan_lab.networks import build_generator
from tfgan_lab.report import plots
from tfgan_lab.report.browser_net import latent_directions
from tfgan_lab.report.page import MOST_BYTES, report
from tfgan_lab.report.page_pictures import _nearest, between
from tfgan_lab.report.page_run import repeat_command
from tfgan_lab.training.workdir import Workdir

GAN, LABELLED, NUMBERS, CLASSIFIER = "mlp_gan:smoke", "cgan_layernorm:smoke", "gaussian:smoke", "mnist_classifier:smoke"


class Page(HTMLParser):
    """Elements of a page, as (tag, attributes), and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.size = path.stat().st_size
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(tmp_path: Path, *workdirs: Path) -> Page:
    return Page(report(list(workdirs), str(tmp_path / "page.html")))


def copied(run: Path, tmp_path: Path, name: str = "run") -> Path:
    shutil.copytree(run, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "reference", [GAN, LABELLED, NUMBERS, CLASSIFIER, pytest.param("dcgan_montage:smoke", marks=pytest.mark.slow)]
)
def test_a_training_leaves_a_whole_page(reference: str, trained: Any) -> None:
    page = Page(trained(reference) / "report.html")
    assert page.size < MOST_BYTES
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action"):
            assert re.match(r"data:|#|$", attributes.get(name) or ""), attributes
    assert not re.search(r"@import|url\((?!#)", " ".join(page.words))
    assert all(image["alt"] and image["width"] and image["height"] for image in page.all("img"))
    assert all(chart.get("aria-label") for chart in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    targets = [link["href"] for link in page.all("a")] + [
        f"#{label['for']}" for label in page.all("label") if "for" in label
    ]
    assert {str(target)[1:] for target in targets} <= set(ids)
    assert page.all("html")[0]["lang"] == "en"
    assert f"tfgan-lab train --config={reference}" in page.text


def test_it_says_what_was_trained_on_what(trained: Any) -> None:
    page, record = Page(trained(GAN) / "report.html"), Workdir(trained(GAN)).read_record()
    train = record["data"]["train"]
    for said in (
        train["source"],
        f"n={train['count']:,}",
        train["sha256"][:12],
        "finished: 20 steps",
        "batch 50",
        "post P000",
    ):
        assert said in page.text
    for heading in (
        "Samples, through training",
        "Play with the generator",
        "Curves",
        "Walks between latents",
        "Nearest training neighbours",
    ):
        assert heading in page.text


def test_each_kind_of_run_shows_what_is_its_own(trained: Any) -> None:
    labelled = Page(trained(LABELLED) / "report.html")
    asked = [image["alt"] for image in labelled.all("img") if "asked for the label" in str(image["alt"])]
    assert [str(alt)[-1] for alt in asked] == list("0123456789")
    assert "0 1 2 3 4 5 6 7 8 9 generated" in labelled.text, "the rows of the samples have names"
    assert "Densities, real and generated" in Page(trained(NUMBERS) / "report.html").text
    answers = Page(trained(CLASSIFIER) / "report.html")
    assert "Which classes it takes for which" in answers.text
    assert "Play with the generator" not in answers.text


@pytest.mark.parametrize(
    "changes", [{}, {"game.d_steps": "3"}, {"generator.2.rate": "0.4", "seed": "5"}, {"log_line": "it's {step}"}]
)
def test_the_printed_command_says_the_same_config_again(changes: dict[str, str], tmp_path: Path) -> None:
    config = override(validate(load_config("mlp_gan:smoke")), changes)
    config.name = "mlp_gan:smoke"
    words = shlex.split(repeat_command(config, {"data_dir": "/some where"}, tmp_path))
    assert words[:2] == ["tfgan-lab", "train"] and "--data_dir=/some where" in words
    flags = dict(word[2:].split("=", 1) for word in words[2:])
    again = override(
        validate(load_config(flags["config"])), {k[7:]: v for k, v in flags.items() if k.startswith("config.")}
    )
    assert flattened(again) == flattened(config)


def test_a_config_that_is_not_the_packages_is_repeated_as_it_was_typed(tmp_path: Path) -> None:
    config = validate(load_config("mlp_gan:smoke"))
    config.name = "my_gan"
    assert (
        repeat_command(config, {"command": "/venv/bin/tfgan-lab train --config=my_gan.py"}, tmp_path)
        == "tfgan-lab train --config=my_gan.py"
    )
    for odd in ("it's", ""):
        assert repeat_command(config, {"command": odd}, tmp_path) == "tfgan-lab train --config=my_gan"


def test_a_name_that_is_no_utf8_can_stand_on_a_page(tmp_path: Path) -> None:
    config, odd = validate(load_config("mlp_gan:smoke")), os.fsdecode(b"/caf\xe9")
    for name, record in (("mlp_gan:smoke", {"data_dir": odd}), ("my_gan", {"command": f"tfgan-lab train {odd}"})):
        config.name = name
        assert rb"/caf\xe9" in repeat_command(config, record, tmp_path).encode()


def test_several_runs_stand_side_by_side_with_what_differs(trained: Any, tmp_path: Path) -> None:
    other = copied(trained(GAN), tmp_path, "other")
    fields = json.loads((other / "config.json").read_text())
    fields["game"]["d_steps"], fields["seed"] = 7, 3
    for folder in (other, other / "checkpoints"):
        (folder / "config.json").write_text(json.dumps(fields))
    page = page_of(tmp_path, trained(GAN), other)
    table = page.text[page.text.index("What differs in their configs") : page.text.index("Samples, through")]
    assert "game.d_steps 1 7" in table and "seed 0 3" in table and "batch_size" not in table
    assert len(page.all("canvas")) == 2
    together = page.text.partition("All runs on common axes")[2].partition("losses, ")[0]
    together = together.rpartition(trained(GAN).name)[0]  # that heads its own
    assert together.count(trained(GAN).name) == together.count(" other") > 3
    with pytest.raises(UserError, match="named twice"):
        report([other, other])


def test_several_runs_of_one_config_say_so(trained: Any, tmp_path: Path) -> None:
    assert "these runs have the same config" in page_of(tmp_path, trained(GAN), copied(trained(GAN), tmp_path)).text


def test_metrics_stand_beside_their_floors(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path)
    row = {
        "name": "recall",
        "label": "recall (k=5)",
        "better": "higher",
        "generated": {"value": 0.25, "low": 0.2, "high": 0.3},
        "real": {"value": 0.95},
        "untrained": None,
    }
    (run / "metrics.json").write_text(json.dumps({"metrics": [row]}))
    assert "recall (k=5) 0.25 [0.2, 0.3] 0.95 – higher" in page_of(tmp_path, run).text
    (run / "metrics.json").write_text(json.dumps({"metrics": [row], "model": {"step": 7}}))
    assert "its metrics are of step 7" in page_of(tmp_path, run).text
    (run / "metrics.json").write_text('{"metrics": 3')
    assert "There are no metrics yet" in page_of(tmp_path, run).text


def test_evaluate_brings_the_page_up_to_date(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(trained(GAN), tmp_path)
    row = {
        "name": "recall",
        "label": "recall (k=5)",
        "better": "higher",
        "generated": {"value": 0.25},
        "real": None,
        "untrained": None,
    }

    def measured(*_: Any) -> dict[str, Any]:
        (run / "metrics.json").write_text(json.dumps({"metrics": [row]}))
        return {}

    monkeypatch.setattr(exported, "evaluate", measured)
    monkeypatch.setattr(exported, "print_table", lambda _: None)
    assert cli.main(["evaluate", f"--workdir={run}"]) == 0
    assert "recall (k=5) 0.25" in Page(run / "report.html").text


def test_a_run_without_its_pictures_and_checkpoints_says_what_there_is(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path)
    for name in ("checkpoints", "samples", "export"):
        shutil.rmtree(run / name)
    page = page_of(tmp_path, run)
    assert "no checkpoint yet" in page.text and "nothing can be drawn from it yet" in page.text
    assert "Curves" in page.text and "Play with" not in page.text


def test_a_run_that_has_only_begun(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(trained(GAN) / "config.json", tmp_path / "run")
    assert "no checkpoint yet" in page_of(tmp_path, tmp_path / "run").text


def test_numbers_far_off_and_a_slow_machine_are_no_reason_for_a_word(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(0, 10)
    monkeypatch.setattr("matplotlib.legend.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    real = rng.normal(4, 1.25, 500).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for far in (4, 1e30, -1e30):
            png(plots.densities(real, np.full(500, far, np.float32), "far", ""))
    assert next(ticks) > 30, "the legend looked at the clock"


def test_a_users_matplotlibrc_changes_no_picture(rng: np.random.Generator) -> None:
    drawn = rng.normal(4, 1.25, (2, 500)).astype(np.float32)
    pictures = []
    for own in ({}, {"text.usetex": True, "figure.figsize": (1, 1), "font.size": 50}):
        with matplotlib.rc_context(own):
            pictures.append(png(plots.densities(*drawn, "own", "")))
    assert pictures[0] == pictures[1]


def test_a_damaged_sample_file_or_row_is_left_out(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path)
    (run / "samples" / "step-00000010.npz").write_bytes(b"PK no zip")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert "finished: 20 steps" in page_of(tmp_path, run).text


def test_a_running_run_says_so(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path)
    Workdir(run).write_record(total_steps=30)
    program = "import sys; from tfgan_lab.training.workdir import Workdir; w = Workdir(sys.argv[1]); w.claim(); print('claimed', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "claimed\n"
        assert Workdir(run).is_being_written()
        assert "running: step 20 of 30" in page_of(tmp_path, run).text
        writer.communicate("")
    assert not Workdir(run).is_being_written()
    assert "stopped at step 20 of 30" in page_of(tmp_path, run).text
    Workdir(run).write_record(total_steps=20)
    assert "finished: 20 steps" in page_of(tmp_path, run).text


def test_data_that_is_gone_or_other_data_leave_a_note(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path)
    record = json.loads((run / "run.json").read_text())
    record["data"]["train"]["sha256"] = "0" * 64
    (run / "run.json").write_text(json.dumps(record))
    page = page_of(tmp_path, run)
    assert "the data found here is other data" in page.text and "Nearest training neighbours" not in page.text
    assert "Samples, through training" in page.text


@pytest.mark.parametrize(("make", "said"), [
    (lambda folder: folder.mkdir(), "is empty: train a run in it"),
    (lambda folder: None, "holds no run"),
    (lambda folder: (folder.mkdir(), (folder / "notes.txt").write_text("mine")), "holds no run"),
    (lambda folder: (folder.mkdir(), (folder / "config.json").write_text("{")), "is not a config"),
])  # fmt: skip
def test_what_is_no_run_gets_one_line(make: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "folder")
    assert cli.main(["report", f"--workdir={tmp_path / 'folder'}"]) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1
    assert not list(tmp_path.rglob("*.html"))


def test_a_sweep_stands_for_its_runs(trained: Any, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    copied(trained(GAN), sweep, "seed=0"), copied(trained(GAN), sweep, "seed=1")
    (sweep / "sweep.json").write_text("{}")
    assert "2 runs side by side" in page_of(tmp_path, sweep).text


def test_names_are_text_and_never_markup(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path, "<script>alert(1)<script>")
    page = page_of(tmp_path, run)
    assert "<script>alert(1)<script>" in page.text
    assert len(page.all("script")) == len(Page(trained(GAN) / "report.html").all("script"))


def test_the_file_must_be_named_as_a_page(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.html"):
        report([trained(GAN)], str(tmp_path / "page.pdf"))


def test_a_walk_keeps_to_the_sphere_and_starts_and_ends_where_it_says(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 50))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    path = between(a, b, np.linspace(0, 1, 7), "normal")
    assert_allclose(path[[0, -1]], [a, b], rtol=1e-12)
    assert_allclose(np.linalg.norm(path, axis=1), np.linalg.norm(a), rtol=1e-12)
    assert_allclose(between(a, b, np.array([0.25]), "uniform")[0], 0.75 * a + 0.25 * b)


def test_the_nearest_training_images_are_those_of_all_distances(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (4500, 3, 3, 1), np.uint8)
    rows = np.concatenate([images[[7, 4321]].reshape(2, -1) / 255, rng.random((20, 9))])
    index, distance = _nearest(rows, images)
    every = cdist(rows, images.reshape(len(images), -1) / 255)
    assert index[:2].tolist() == [7, 4321]
    assert (index == every.argmin(axis=1)).all()
    assert_allclose(distance, every.min(axis=1), atol=1e-12)


@pytest.mark.parametrize(("units", "wanted"), [(50, 6), (3, 3)])
def test_the_directions_move_the_first_layer_most(units: int, wanted: int) -> None:
    config: Any = override(validate(load_config("mlp_gan:smoke")), {"generator.0.units": str(units)})
    network: Any = build_generator(config)
    kernel = network.variables[0].numpy().astype(np.float64)  # [Z, units]
    found = np.array(latent_directions(network))
    assert_allclose(np.linalg.norm(found @ kernel, axis=1), np.linalg.svd(kernel)[1][:wanted], rtol=1e-3)
    assert_allclose(found @ found.T, np.eye(wanted), atol=1e-3)


def test_a_claim_shows_the_verdict_of_its_ledger_and_else_that_there_is_none(trained: Any, tmp_path: Path) -> None:
    run = copied(trained(GAN), tmp_path / "ledger" / "mlp_gan", "seed=0")
    said = "C000a.2: p_real and p_fake both arrive at 0.5. Verdict:"
    assert (
        f"{said} one run judges nothing: tfgan-lab compare ledger --config=C000a.2 asks" in page_of(tmp_path, run).text
    )
    claim = {
        "id": "C000a.2",
        "verdict": "reproduced",
        "limits": ["5 of 100 epochs"],
        "shown": [0, 1, 2, 3, 4],
        "seeds": [0, 1, 2, 3, 4, 5],
    }
    (tmp_path / "ledger" / "ledger.json").write_text(json.dumps({"claims": [claim]}))
    assert f"{said} reproduced, 5 of 100 epochs (5 of 6 seeds)." in page_of(tmp_path, run).text
    (tmp_path / "ledger" / "ledger.json").write_text('{"claims": [{"id"')
    assert "one run judges nothing" in page_of(tmp_path, run).text


def test_it_says_in_words_what_training_said(trained: Any) -> None:
    from tfgan_lab.report.diagnosis import diagnose

    folder = Workdir(trained(GAN))
    sentences = diagnose(folder.read_config(), folder.read_metrics(), folder.read_record()["data"])
    text = Page(trained(GAN) / "report.html").text
    assert sentences and all(sentence.replace("`", "").split(".")[0] in text for sentence in sentences)
