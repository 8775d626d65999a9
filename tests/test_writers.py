"""Every verb that writes, among a user's files: it refuses to replace them, in one line, and leaves all as it was."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from runs import nothing_drawn
from users_files import FILE_KINDS, FOLDER_KINDS, ODD_NAMES, make, state

import tfgan_lab
from tfgan_lab import cli, pretrained
from tfgan_lab.cli.output import Output
from tfgan_lab.data import open_source
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.exported import in_words
from tfgan_lab.export.saved_model import read_facts
from tfgan_lab.parity.state_files import write_state
from tfgan_lab.parity.steps import write_json
from tfgan_lab.report.gallery import write_preview
from tfgan_lab.report.sample import write_samples
from tfgan_lab.studies import jobs, outcomes
from tfgan_lab.studies.outcome_files import keep_outcome
from tfgan_lab.system.files import is_ours
from tfgan_lab.training.restored import restore_run

GAN, LABELLED, NUMBERS, CLASSIFIER = "mlp_gan:smoke", "cgan_layernorm:smoke", "gaussian:smoke", "mnist_classifier:smoke"
# By what they write, with RUN for the folder of a run.
FILES = {
    "x.png": ["sample --workdir=RUN --num=4 --out=", "data --config=mlp_gan --config.data.source=embedded --out="],
    "x.npz": ["sample --workdir=RUN --num=4 --out=", "compare export-torch --workdir=RUN --out="],
    "x.pt": ["compare export-torch --workdir=RUN --out="],
    "x.json": ["evaluate --workdir=RUN --num=1000 --out=", "compare parity --config=gaussian --updates=1 --json="],
    "x.html": ["report --workdir=RUN --out=", "gallery --out="],
    "x.h5": ["data make-montage --num=1 --out="],
}
FILE_VERBS = [(verb, name) for name, verbs in FILES.items() for verb in verbs]
# All verbs ask one function, and tests/test_files.py shows it all kinds of file.
FEW_KINDS = ["file", "FIFO"]
FILE_CASES = [
    (verb, name, kind)
    for verb, name in FILE_VERBS
    for kind in (FILE_KINDS if "make-montage" in verb or (name == "x.npz" and "sample" in verb) else FEW_KINDS)
]
# By what they write into a folder that is there; `train` and `import-torch` take an empty one alone.
FOLDERS = {
    "sweep --config=gaussian:smoke --field=seed --values=0 --workdir=": ["sweep.md", "sweep.json", "sweep.png", "sweep.svg"],
    "study --config=gaussian:smoke --vary=steps=2 --workdir=": ["study.md", "study.json", "study.png", "study.svg", "study.html", "outcomes.jsonl"],
    "compare ledger --config=gaussian --workdir=": ["reference.json", "ledger.json", "ledger.md", "ledger.png", "peers.png"],
    "compare ledger --config=gaussian --notrain --workdir=": ["ledger.json", "reference.json"],
    "train --config=gaussian:smoke --workdir=": ["thesis.tex"],
    "compare import-torch --config=gaussian:smoke --state_dict=RUN/state.npz --workdir=": ["thesis.tex"],
}  # fmt: skip
FOLDER_VERBS = [(verb, name) for verb, names in FOLDERS.items() for name in names]
# That make a folder of their own, by a file that is in it then.
MAKERS = {
    "export --workdir=RUN --out=": "saved_model.pb",
    "train --config=gaussian:smoke --config.steps=2 --workdir=": "report.html",
    "train --config=gaussian:smoke --config.steps=2 --config.num_seeds=2 --workdir=": "seeds.json",
    "sweep --config=gaussian:smoke --config.steps=2 --field=seed --values=0 --workdir=": "sweep.svg",
    "compare import-torch --config=gaussian:smoke --state_dict=RUN/state.npz --workdir=": "config.json",
    "compare ledger --config=gaussian --seeds=1 --workdir=": "ledger.md",
    "study --config=gaussian:smoke --vary=steps=2 --seeds=1 --workdir=": "study.md",
}
# Where nobody says where: with CLASSIFIER, RUN for a folder of its run.
PLACES = [
    ("sample --num=4 --workdir=RUN", "RUN/drawn.png"),
    ("report --workdir=RUN", "RUN/report.html"),
    ("sample --pretrained=gaussian", "drawn.png"),
    ("gallery", "gallery.html"),
    ("report --workdir=RUN --workdir=other", "report.html"),
    ("evaluate --num=500 --workdir=RUN", "RUN/metrics.json"),
    ("evaluate --num=500 --saved_model=RUN/export", "RUN/export.metrics.json"),
    ("evaluate --workdir=CLASSIFIER", "CLASSIFIER/metrics.json"),
    *((f"evaluate --workdir=CLASSIFIER --out={out}/x.json", f"{out}/{name}") for out, name in [("a", "confusion.png"), ("b", "scores.svg")]),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(trained: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the Gaussian of its own, with its generator's state_dict in it."""
    folder = tmp_path_factory.mktemp("writers") / "run"
    shutil.copytree(trained(NUMBERS), folder)
    assert cli.main(["compare", "export-torch", f"--workdir={folder}", f"--out={folder / 'state.npz'}"]) == 0
    return folder


@pytest.fixture
def call(
    run: Path, trained: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a verb that ends in `--out=` with what it shall write; returns its exit code and what it said on stderr."""

    def of(verb: str, out: Path) -> tuple[int, str]:
        of_images = verb.startswith(("sample", "data"))
        words = verb.replace("RUN", str(trained(GAN) if of_images else run)).split()
        code = cli.main([*words[:-1], words[-1] + str(out)])
        return code, capsys.readouterr().err

    return of


@pytest.mark.parametrize(("verb", "name", "kind"), FILE_CASES)
def test_a_users_file_is_refused(verb: str, name: str, kind: str, call: Any, tmp_path: Path) -> None:
    make(kind, tmp_path / name)
    before = state(tmp_path)
    code, error = call(verb, tmp_path / name)
    assert (code, error.count("\n")) == (2, 1)
    assert str(tmp_path / name) in error
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    ("verb", "name"), [case for case in FILE_VERBS if case[0].startswith(("sample", "data", "compare"))]
)
def test_it_is_refused_before_tensorflow_is_started(
    verb: str, name: str, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("too late")

    make("file", tmp_path / name)
    for verbs in (cli.results, cli.inputs, cli.compare):
        monkeypatch.setattr(verbs, "start", refuse)
    assert call(verb, tmp_path / name)[0] == 2


def test_the_library_refuses_a_users_file_too(run: Path, tmp_path: Path) -> None:
    numbers, source = np.zeros([4, 1], np.float32), open_source(offline(GAN).data, None)
    writers: dict[str, Any] = {
        "x.png": lambda out: write_samples(numbers, out, restore_run(run), None),
        "y.png": lambda out: write_preview(source, out),
        "x.npz": lambda out: write_state(out, {"x": numbers}),
        "x.json": lambda out: write_json(out, []),
    }
    for name, write in writers.items():
        make("file", tmp_path / name)
        before = state(tmp_path)
        with pytest.raises(UserError, match=f"{name} is there already"):
            write(str(tmp_path / name))
        assert state(tmp_path) == before


@pytest.mark.parametrize("kind", FOLDER_KINDS)
def test_a_users_folder_is_no_place_for_an_export(kind: str, call: Any, tmp_path: Path) -> None:
    make(kind, tmp_path / "gen")
    make("folder", tmp_path / ".gen.x")
    before = state(tmp_path)
    code, error = call("export --workdir=RUN --out=", tmp_path / "gen")
    assert (code, error.count("\n")) == (2, 1)
    assert str(tmp_path / "gen") in error
    assert state(tmp_path) == before


@pytest.mark.parametrize("kind", FEW_KINDS)
@pytest.mark.parametrize(("verb", "name"), FOLDER_VERBS)
def test_a_folder_with_a_users_file_is_refused(verb: str, name: str, kind: str, call: Any, tmp_path: Path) -> None:
    make(kind, tmp_path / name)
    before = state(tmp_path)
    code, error = call(verb, tmp_path)
    assert (code, error.count("\n")) == (2, 1)
    assert str(tmp_path) in error
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("file", "notes"),
        ("folder", "variables/mine"),
        ("link", "generator.onnx"),
        ("FIFO", "generator.tflite"),
        ("another's", "generator.json"),
    ],
)
def test_an_export_is_replaced_only_if_it_is_ours_and_nothing_more(
    kind: str, name: str, call: Any, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "export", tmp_path / "gen")
    if kind == "another's":
        (tmp_path / "gen" / name).unlink()
    else:
        make(kind, tmp_path / "gen" / name)
    before = state(tmp_path)
    code, error = call("export --workdir=RUN --out=", tmp_path / "gen")
    assert (code, error.count("\n")) == (2, 1)
    assert state(tmp_path) == before


@pytest.mark.parametrize("kind", FEW_KINDS)
@pytest.mark.parametrize(("verb", "name"), PLACES)
def test_a_users_file_is_refused_where_nobody_said_where(
    verb: str, name: str, kind: str, run: Path, trained: Any, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    for folder, source in (("RUN", run), ("other", run), ("CLASSIFIER", trained(CLASSIFIER))):
        if folder in verb:
            shutil.copytree(source, tmp_path / folder, ignore=shutil.ignore_patterns("report.html", "metrics.json"))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    make(kind, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    before = state(tmp_path)
    assert cli.main(verb.split()) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), name in error) == (1, True), error
    assert state(tmp_path) == before


def a_users_folder(folder: Path) -> dict[str, Any]:
    """Fills a folder; returns its state."""
    for index, name in enumerate(ODD_NAMES):
        make(["file", "link", "FIFO", "folder", "export with notes"][index % 5], folder / name)
    return state(folder)


def test_no_verb_that_writes_is_left_out() -> None:
    tried = [*(verb for verb, _ in FILE_VERBS), *MAKERS]
    assert {name for name in cli.VERBS if not any(f"{verb} --".startswith(f"{name} --") for verb in tried)} == {
        "list",
        "doctor",
        "watch",
    }


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "sign"), MAKERS.items())
def test_what_makes_a_folder_leaves_a_users_files_around_it(
    verb: str, sign: str, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, and below a folder that is there, too."""
    monkeypatch.setattr(jobs, "run_calls", lambda call, calls, *_: [(i, call(*of)) for i, of in enumerate(calls)])
    facts = {"data": {}, "diverged": "NaN"}
    monkeypatch.setattr(outcomes, "our_outcome", lambda config, folder, *_: keep_outcome(folder, config, {}, 0, facts))
    before = a_users_folder(tmp_path)
    outs = [tmp_path / "[a]*", tmp_path / ODD_NAMES[3] / "\x1b[1m"]
    for out in outs:
        with nothing_drawn(but_the_page=True):
            assert call(verb, out) == (0, ""), out
        assert (out / sign).is_file()
        assert call(verb, out)[0] == (2 if "import" in verb else 0)
    ours = {str(path.relative_to(tmp_path)) for out in outs for path in (out, *out.rglob("*"))}
    assert {name: what for name, what in state(tmp_path).items() if name not in ours} == before


def test_every_verb_leaves_a_folder_full_of_a_users_files(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writes its own beside them, under an odd name, a second time over its own, which keeps its mode."""
    monkeypatch.setattr(pretrained, "names", lambda: ("gaussian",))  # a gallery of one
    before = a_users_folder(tmp_path)
    written = []
    for index, (verb, name) in enumerate([*FILE_VERBS, ("export --workdir=RUN --out=", "x")]):
        if find_spec("torch") is None and (name == "x.pt" or "parity" in verb):
            continue
        out = tmp_path / f"{ODD_NAMES[index]}{index}{Path(name).suffix}"
        assert call(verb, out) == (0, ""), verb
        written.append(out)
        if "make-montage" in verb:
            continue  # it asks for --overwrite
        assert out.is_dir() or is_ours(out)
        out.chmod(0o750 if out.is_dir() else 0o600)
        if "parity" not in verb:  # seconds
            assert call(verb, out) == (0, ""), f"again: {verb}"
        assert stat.S_IMODE(out.stat().st_mode) == (0o750 if out.is_dir() else 0o600)
    after = state(tmp_path)
    ours = {str(path.relative_to(tmp_path)) for out in written for path in (out, *out.rglob("*"))}
    assert {name: what for name, what in after.items() if name not in ours} == before


@pytest.mark.slow
def test_training_keeps_the_files_made_of_its_export(trained: Any, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(trained(NUMBERS), tmp_path / "run")
    litert = tmp_path / "run" / "export" / "generator.tflite"
    litert.write_bytes(b"of step 20")
    assert cli.main(["train", f"--workdir={tmp_path / 'run'}", "--config.steps=21"]) == 0
    assert "still holds generator.tflite of step 20: export again" in capsys.readouterr().out
    assert litert.read_bytes() == b"of step 20"


@pytest.mark.parametrize("door", ["command", "Python"])
def test_evaluating_brings_the_page_up_to_date(door: str, run: Path, tmp_path: Path, call: Any) -> None:
    shutil.copytree(run, tmp_path / "run")
    page = tmp_path / "run" / "report.html"
    assert "Wasserstein" not in page.read_text()
    tfgan_lab.evaluate(tmp_path / "run", num=1000, out=tmp_path / "elsewhere.json")
    assert "Wasserstein" not in page.read_text()
    if door == "command":
        assert call(f"evaluate --num=1000 --workdir={tmp_path}/", Path("run")) == (0, "")
    else:
        assert tfgan_lab.evaluate(tmp_path / "run", num=1000)["page"] == str(page)
    assert "Wasserstein" in page.read_text()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["n"] == {"numbers": 1000}
    page.write_text("the user's own")
    before = state(tmp_path)
    code, error = call(f"evaluate --num=500 --workdir={tmp_path}/", Path("run"))
    assert (code, error.count("\n")) == (2, 1)
    assert "report.html is there already" in error
    assert state(tmp_path) == before


def test_too_many_samples_for_one_file_are_refused_before_they_are_drawn(
    trained: Any, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr("tfgan_lab.report.sample.sample_run", refuse)
    code, error = call("sample --workdir=RUN --num=1000000 --out=", tmp_path / "x.png")
    assert (code, error.count("\n")) == (2, 1)
    assert "x.png can hold 74,565 of these samples" in error
    code, error = call(f"compare export-torch --workdir={trained(GAN)} --out=", tmp_path / "x.npz")
    assert code == 0
    with np.load(tmp_path / "x.npz") as arrays:
        assert "model.0.weight" in arrays.files


JUNK = {
    "no JSON": "{", "a list": "[1]", "null": "null", "deep": "[" * 100_000, "other kinds": json.dumps(
        {"step": "many", "fields": [], "num_labels": "ten", "trained_on": [], "config": 3, "post": {}, "latent_dim": None}
    ), "odd data": json.dumps({"step": 1, "trained_on": {"train": {"count": "x"}, "test": 3}}),
}  # fmt: skip


@pytest.mark.parametrize("junk", JUNK)
def test_of_a_junk_generator_json_nothing_odd_is_read(junk: str, tmp_path: Path) -> None:
    (tmp_path / "generator.json").write_text(JUNK[junk])
    facts = read_facts(tmp_path)
    assert facts.get("step", 1) == 1
    assert junk == "odd data" or facts == {}
    assert in_words(facts.get("trained_on", {}).get("train", "none")) in ("none", "{'count': 'x'}")


def test_a_junk_generator_json_ends_no_verb_in_a_traceback(run: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))
    for junk in ("other kinds", "odd data"):
        (tmp_path / "run" / "export" / "generator.json").write_text(JUNK[junk])
        assert cli.main(["evaluate", f"--workdir={tmp_path / 'run'}", "--num=500"]) == 0
        assert cli.main(["evaluate", f"--saved_model={tmp_path / 'run' / 'export'}", "--num=500"]) == 2
        assert "has no config in its generator.json" in capsys.readouterr().err
    assert cli.main(["export", f"--workdir={tmp_path / 'run'}"]) == 0
    assert read_facts(tmp_path / "run" / "export")["step"] == 20


def test_names_with_escapes_reach_no_terminal(call: Any, tmp_path: Path) -> None:
    make("file", tmp_path / "\x1b[31mred\x07.png")
    _, error = call("sample --workdir=RUN --num=4 --out=", tmp_path / "\x1b[31mred\x07.png")
    assert "\\x1b[31mred\\x07.png" in error
    assert "\x1b" not in error


def test_what_is_printed_holds_no_escapes() -> None:
    buffer = io.BytesIO()
    with Output(io.TextIOWrapper(buffer, "utf-8")) as output:
        print("\x1b[31mred.png…\nand\tmore\x07", file=output)
        assert buffer.getvalue().decode() == "\\x1b[31mred.png…\nand\\tmore\\x07\n"


def test_umask_is_obeyed(call: Any, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert call("sample --workdir=RUN --num=4 --out=", tmp_path / "x.png")[0] == 0
        assert call("export --workdir=RUN --out=", tmp_path / "x")[0] == 0
    finally:
        os.umask(before)
    assert not any(
        path.stat().st_mode & 0o077 for path in (tmp_path / "x.png", *(tmp_path / "x").rglob("*"), tmp_path / "x")
    )
