"""Imports go down one way; one module reads flags; torch stays in parity/ and studies/; configs need only configs and layers."""

from __future__ import annotations

import ast
import collections
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tfgan_lab"
# From the bottom up: a module imports from its own part or from those above it in this list. Parts of one line know
# nothing of each other.
LAYERS = [
    ("errors", "words"),
    ("system",),
    ("philox", "fields", "losses", "penalties", "metrics", "averages", "spectral"),
    ("randomness", "plane_laws"),
    ("layer_base",),
    ("keras_models",),
    ("layers", "data_kinds"),
    ("image_data", "number_data", "config_checks"),
    ("config",),
    ("config_files", "pictures", "figures"),
    ("networks", "optimizers", "gan"),
    ("supervised",),
    ("data", "placement"),
    ("records", "pretrained"),
    ("export",),
    ("training",),
    ("posts", "parity", "evaluation"),
    ("report",),
    ("trainer",),
    ("studies",),
    ("api",),
    ("cli",),
    ("__main__",),
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "configs" not in path.relative_to(PACKAGE).parts)


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, inside a function) of every import of a file; a name taken from a package is a module if it is one."""
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
            for alias in node.names:
                # A module that is taken from a package is imported; nothing of the package's own is.
                name = f"{node.module}.{alias.name}"
                yield name if is_module(name) else node.module or "", id(node) in inside


def is_module(name: str) -> bool:
    """Whether it is a module, or a package, of ours."""
    path = ROOT.joinpath(*name.split("."))
    return name.startswith("tfgan_lab.") and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def where(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


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


def test_the_page_on_the_house_has_this_list() -> None:
    told = (ROOT / "docs" / "house.md").read_text(encoding="utf-8").partition("<!-- layers -->")[2].split("```")[1]
    lines = [re.split(r"\s{2,}", line)[0].split() for line in told.splitlines()[1:]]
    assert lines == [list(names) for names in LAYERS]


def test_imports_go_down() -> None:
    # The package's own __init__ is below all: the public names are loaded lazily, by name.
    level = {"__init__": -1} | LEVEL
    wrong = []
    for path in FILES:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        parts = {unit_of(module) for module, _ in imports_of(path) if module.startswith("tfgan_lab")} - {own}
        wrong += [(where(path), part) for part in sorted(parts) if LEVEL.get(part, -1) >= level[own]]
    assert wrong == []


def test_no_imports_run_in_a_circle() -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {name: {module for module, _ in imports_of(path)} & {*modules} - {name} for name, path in modules.items()}
    # The package's own names and its version are read by modules that it loads when they are asked for.
    graph["tfgan_lab"] = set()
    graphlib.TopologicalSorter(graph).prepare()


def test_no_two_modules_have_one_name() -> None:
    names = collections.Counter(path.stem for path in FILES if path.stem != "__init__")
    folders = [path.parent.name for path in FILES if path.stem == "__init__"]
    assert not [name for name, count in (names + collections.Counter(folders)).items() if count > 1]


def test_the_game_is_handed_its_networks() -> None:
    assert not [module for module, _ in imports_of(PACKAGE / "gan.py") if module.startswith("tfgan_lab.networks")]


def test_torch_is_only_in_parity_and_studies_and_there_inside_functions() -> None:
    wrong = []
    for path in FILES:
        parts = path.relative_to(PACKAGE).parts
        torch = [inside for module, inside in imports_of(path) if module.split(".")[0] == "torch"]
        if "posts_in_torch" not in parts and (not all(torch) or (torch and parts[0] not in ("parity", "studies"))):
            wrong.append(where(path))
    assert wrong == []


def test_only_the_command_line_reads_flags() -> None:
    readers = [
        path
        for path in FILES
        if any(module.startswith("absl") and "flags" in path.read_text() for module, _ in imports_of(path))
    ]
    reading = {path.parent for path in readers if "from absl import flags" in path.read_text()}
    assert reading == {PACKAGE / "cli"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda path: path.stem)
def test_configs_import_only_configs_and_layers(path: Path) -> None:
    wanted = {"tfgan_lab.config", "tfgan_lab.config_files", "tfgan_lab.layers", "__future__"}
    assert {module for module, _ in imports_of(path)} <= wanted


def test_training_knows_no_reporting() -> None:
    code = (
        "import sys, tfgan_lab.training.train, tfgan_lab.training.many_seeds\n"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('tfgan_lab.')}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "training" in loaded
    assert not {"report", "posts", "parity", "evaluation", "studies", "cli"} & {*loaded}
