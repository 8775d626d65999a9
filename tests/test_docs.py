"""The documents: their commands are run here or listed with a reason, the tutorial works, links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfgan_lab import cli
from tfgan_lab.data.examples import Examples

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNS = ("first_gan", "mlp_gan", "mlp_gan_smoothed", "cgan_layernorm", "cgan_concat", "cgan_branch")


def blocks(document: Path, *languages: str) -> list[tuple[str, str]]:
    """(language, text) of a document's fenced code."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, text) for language, text in found if language in languages]


def commands_of(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        command = re.split(r"\s{2,}[#(]|\s#\s", line)[0].strip()
        if command:
            yield command


LISTED = set(re.findall(r"^\| `(.+?)` \|", (ROOT / "tests" / "commands.md").read_text(encoding="utf-8"), re.MULTILINE))
COMMANDS = sorted(
    {c for d in DOCUMENTS if d.name != "tutorial.md" for _, text in blocks(d, "bash") for c in commands_of(text)}
)


def test_what_is_listed_stands_in_a_document() -> None:
    told = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    assert [command for command in LISTED if command not in told] == []


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", *sorted((ROOT / "docs").glob("p00*.md"))], ids=lambda d: d.name
)
def test_a_command_reads_a_run_that_a_command_above_it_makes(document: Path) -> None:
    made: set[str] = set()
    for command in (c for _, text in blocks(document, "bash") for c in commands_of(text)):
        folders = set(re.findall(r"--workdir=(\S+)", command))
        if " train" in command:
            config = re.search(r"--config=(\S+)", command)
            made |= folders or {f"runs/{(config[1] if config else 'first_gan').replace(':', '-')}"}
        elif command.startswith("tfgan-lab"):
            assert folders <= made, f"{command}: no command above makes it"


@pytest.fixture(scope="module")
def folder(trained: Any, embedded: dict[str, Examples], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: MNIST as idx files, and a trained run of each config that the documents work on."""
    folder = tmp_path_factory.mktemp("user")
    write_idx(folder / "MNIST_FOLDER", embedded)
    for name in RUNS:
        shutil.copytree(trained(f"{name}:smoke"), folder / "runs" / name)
    shutil.copytree(trained("cgan_layernorm:smoke"), folder / "runs" / "cgan_layernorm-batched")
    shutil.copytree(folder / "runs" / "first_gan" / "export", folder / "generator")
    return folder


def write_idx(folder: Path, splits: dict[str, Examples]) -> None:
    folder.mkdir()
    for split, file, count in (("train", "train", 5500), ("test", "t10k", 500)):
        images, labels = splits[split].images, splits[split].labels
        assert images is not None and labels is not None
        rows = np.random.default_rng(0).integers(0, len(images), count)
        header = np.array([2051, count, 28, 28], ">i4").tobytes()
        (folder / f"{file}-images-idx3-ubyte").write_bytes(header + images[rows].tobytes())
        header = np.array([2049, count], ">i4").tobytes()
        (folder / f"{file}-labels-idx1-ubyte").write_bytes(header + labels[rows].astype(np.uint8).tobytes())


def shrunk(words: list[str]) -> list[str]:
    """A command of the documents, small: smoke variants or few steps, few samples; files are in the user's folder.

    Full MNIST's configs are read and checked as they are: that each trains is tested in `test_training.py`.
    """
    if words[0] == "train" and "--data_dir=MNIST_FOLDER" in words and "--config=mlp_gan" not in words:
        return [*words, "--dry_run"]
    small = []
    for word in words:
        name, _, value = word.partition("=")
        if name == "--config" and not value.endswith(".py"):
            if ":" not in value:
                word += ":smoke"
            else:  # a variant is what the command is about
                small += ["--config.steps=4", "--config.batch_size=10"]
                small += ["--config.data.num_faces=40"] if value.startswith("dcgan_montage") else []
        if name == "--num" and int(value) > 300:
            word = "--num=300" if words[0] == "evaluate" else "--num=8"
        if name == "--config.num_seeds":
            word = f"{name}=2"
        if name == "--values":
            word = f"{name}={','.join(value.split(',')[:2])}"
        if name in ("--config.epochs", "--config.steps"):
            word = "--config.steps=10"
        if value in ("MNIST_FOLDER", "FOLDER_WITH_MNIST"):
            word = f"{name}=MNIST_FOLDER"
        small.append(word)
    verb = words[0]
    if verb in ("train", "sweep") and not any(word.startswith(("--config=", "--workdir=")) for word in words):
        small.append("--config=first_gan:smoke")
    if (
        verb == "train"
        and any(word.startswith("--config=") for word in words)
        and not any(w.startswith("--workdir=") for w in words)
    ):
        small.append("--workdir=runs/" + "_".join(re.sub(r"\W", "", word) for word in words))
    if verb == "evaluate" and not any(word.startswith("--num=") for word in words):
        small.append("--num=300")
    if words[:2] == ["compare", "parity"]:
        small.append("--updates=1")
    return small


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=pytest.mark.torch if " compare " in command else ())
        for command in COMMANDS
        if command not in LISTED
    ],
)
def test_a_command_of_the_documents_works(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    assert words[0] == "tfgan-lab", f"tests/commands.md must list {command!r}, or this test must learn to run it"
    if words[1] == "compare":
        if importlib.util.find_spec("torch") is None:
            pytest.skip("PyTorch is not installed: the torch extra")
        if "import-torch" in words:
            assert (
                cli.main(
                    ["compare", "export-torch", f"--workdir={folder / 'runs' / 'mlp_gan'}", f"--out={folder / 'G.pt'}"]
                )
                == 0
            )
    if any(form in command for form in ("litert", "onnx")) and importlib.util.find_spec("tf2onnx") is None:
        pytest.skip("converters are not installed: the litert and onnx extras")
    if "format=serving" in command and importlib.util.find_spec("tensorflow_serving") is None:
        pytest.skip("tensorflow-serving-api is not installed: the serving extra")
    for word in words:
        if word.endswith(".h5") and "--data_dir" in word:
            cli.main(["data", "make-montage", "--num=20", f"--out={folder / word.partition('=')[2]}", "--overwrite"])
    monkeypatch.chdir(folder)
    assert cli.main(shrunk(words[1:])) == 0


def notebook_of(document: Path) -> Any:
    """A document as a notebook of Python, with its bash blocks as %%bash cells."""
    import jupytext

    kernel = "---\njupyter:\n  kernelspec: {name: python3, language: python, display_name: Python 3}\n---\n\n"
    return jupytext.reads(kernel + document.read_text(encoding="utf-8"), fmt="md")


def test_the_notebook_is_the_tutorial() -> None:
    """If not: python tests/test_docs.py writes it."""
    import nbformat

    found = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    sources = lambda notebook: [(cell.cell_type, cell.source) for cell in notebook.cells]
    assert sources(found) == sources(notebook_of(ROOT / "docs" / "tutorial.md"))
    assert not any(cell.get("outputs") for cell in found.cells)


@pytest.mark.slow
def test_the_tutorial_works_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a notebook, in an empty folder; a command that fails, or an assertion, ends it."""
    import nbclient
    import nbformat

    (tmp_path / "strict").write_text("set -e\n")
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "strict"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for made in ("runs/short/report.html", "grid.png", "digits.npz", "both.html"):
        assert (tmp_path / made).stat().st_size > 1000


def test_the_readmes_own_loop_works() -> None:
    text = next(text for _, text in blocks(ROOT / "README.md", "python") if "gan.step" in text)
    assert sum(bool(line) for line in text.splitlines()) <= 15
    names: dict[str, Any] = {}
    exec(compile(text.replace("range(2000)", "range(3)"), "README.md", "exec"), names)
    assert {*names["row"]} == {"d_loss", "d_real", "d_fake", "g_loss", "p_real", "p_fake"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, heading = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), f"{document.name} links to {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{document.name} links to {target}, of {sorted(anchors)}"


def test_what_is_told_of_the_claims_is_what_the_outcomes_give() -> None:
    """docs/ledger.md, README, the posts' pages and reference.json: none of them edited by hand."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("evidence", ROOT / "docs" / "evidence.py")
    assert spec is not None and spec.loader is not None
    evidence = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(evidence)
    for path, content in evidence.texts(evidence.read_store(evidence.own_store())).items():
        assert path.read_bytes() == content, f"{path.name}: run `python docs/evidence.py`"


def test_every_post_has_a_page_and_every_claim_stands_on_it() -> None:
    from tfgan_lab.posts.claims import CLAIMS

    for claim in CLAIMS:
        if claim.post == "-":  # the package's own: README and the ledger tell it
            continue
        assert f"- {claim.id}: " in (ROOT / "docs" / f"{claim.post.lower()}.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    import nbformat

    nbformat.write(notebook_of(ROOT / "docs" / "tutorial.md"), ROOT / "docs" / "tutorial.ipynb")
