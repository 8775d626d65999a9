"""Imports go down one way; one module reads flags; torch stays in compare/; configs need only the config module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tfgan_lab"
# From the bottom up: a module imports from its own layer or from one below.
LAYERS = [
    (
        "errors",
        "files",
        "cache",
        "fields",
        "layers",
        "templates",
        "words",
        "config",
        "philox",
        "randomness",
        "losses",
        "images",
        "runtime",
        "arrays",
        "saved_models",
        "metrics",
    ),
    ("networks", "data", "optimizers", "records", "export"),
    ("gan", "seeds", "supervised", "training"),
    (
        "trainer",
        "evaluation",
        "judge",
        "measure",
        "convert",
        "doctor",
        "sample",
        "sweep",
        "report",
        "compare",
        "experiments",
        "api",
    ),
    ("cli", "__main__"),
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "configs" not in path.relative_to(PACKAGE).parts)


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, inside a function) of every import of a file; names taken from a package are modules too if they are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", id(node) in inside
            if node.module == "tfgan_lab":
                for alias in node.names:
                    yield f"tfgan_lab.{alias.name}", id(node) in inside


def unit_of(module: str) -> str:
    """The part of the package that a layer lists: its first name below tfgan_lab."""
    return module.split(".")[1] if module.startswith("tfgan_lab.") else ""


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {
        path.stem if path.is_file() else path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or path.is_dir()
    }
    assert parts - {"__init__", "__pycache__", "configs"} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_goes_up(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        # The public names are loaded lazily, by name: no import of the package stands there.
        assert not [module for module, _ in imports_of(path) if module.startswith("tfgan_lab")]
        own = "errors"
    upward = [module for module, _ in imports_of(path) if LEVEL.get(unit_of(module), -1) > LEVEL[own]]
    assert not upward, f"{path.name} of layer {LEVEL[own]} imports {upward}"


def test_the_game_is_handed_its_networks() -> None:
    assert not [module for module, _ in imports_of(PACKAGE / "gan.py") if module.startswith("tfgan_lab.networks")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_only_in_compare_and_there_inside_functions(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    torch = [inside for module, inside in imports_of(path) if module.split(".")[0] == "torch"]
    if "torch_peers" not in parts:
        assert all(torch), "torch is imported when the module is"
        assert parts[0] == "compare" or not torch


def test_only_the_command_line_reads_flags() -> None:
    readers = [
        path
        for path in FILES
        if any(module.startswith("absl") and "flags" in path.read_text() for module, _ in imports_of(path))
    ]
    reading = {path.parent for path in readers if "from absl import flags" in path.read_text()}
    assert reading == {PACKAGE / "cli"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda path: path.stem)
def test_configs_import_only_the_config_and_its_layers(path: Path) -> None:
    assert {module for module, _ in imports_of(path)} <= {"tfgan_lab.config", "tfgan_lab.layers", "__future__"}


def test_training_knows_no_reporting() -> None:
    code = (
        "import sys, tfgan_lab.training.train, tfgan_lab.training.many_seeds\n"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('tfgan_lab.')}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "training" in loaded
    assert not {"report", "compare", "sweep", "evaluation", "measure", "judge", "cli"} & {*loaded}
