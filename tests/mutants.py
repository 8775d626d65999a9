"""Puts random faults into a copy of the package, one at a time, and says which of them pytest's tests find.

    python tests/mutants.py --num=30 --seed=0 [--slow] [--modules=losses,gan]

A fault is an operator, a comparison, a condition or a number that was changed in a function. The tests that name the
changed module run first, then the others, without PyTorch; `--slow` runs the slow tier for what lives. A fault that
lives is either one that no user could notice, or a test that is missing: read each.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 1200  # seconds; a loop without end is found, too
_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Fault:
    """A piece of a module's source, and what stands there instead."""

    path: Path  # from the repository's root
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        shorter = [" ".join(text.split())[:60] for text in (self.old, self.new)]
        return f"{self.path}:{self.line}: {shorter[0]} -> {shorter[1]}"


def changed(node: ast.AST) -> ast.AST | None:
    """The node with its fault, or None where there is nothing to change."""
    other = copy.deepcopy(node)
    match other:
        case ast.BinOp() | ast.BoolOp() if type(other.op) in _OTHER:
            other.op = _OTHER[type(other.op)]()  # type: ignore[assignment]
        case ast.Compare() if type(other.ops[0]) in _OTHER:
            other.ops[0] = _OTHER[type(other.ops[0])]()  # type: ignore[assignment]
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            return other.operand
        case ast.IfExp():
            other.body, other.orelse = other.orelse, other.body
        case ast.Constant(value=bool()):
            other.value = not other.value
        case ast.Constant(value=int() | float()):
            other.value = other.value + 1
        case _:
            return None
    return other


def expressions(tree: ast.AST) -> Iterator[ast.AST]:
    """What is computed in functions: no annotations, no messages."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                todo: list[ast.AST] = [statement]
                while todo:
                    node = todo.pop()
                    if isinstance(node, ast.JoinedStr | ast.Raise | ast.FunctionDef | ast.AnnAssign):
                        continue
                    if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: both are as long
                        continue
                    yield node
                    todo += ast.iter_child_nodes(node)


def faults_of(path: Path) -> list[Fault]:
    """All faults that can be put into a module."""
    text = (ROOT / path).read_text(encoding="utf-8")
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in expressions(ast.parse(text)):
        other = changed(node)
        if other is not None:
            start, end = (
                starts[row - 1] + column  # type: ignore[operator]
                for row, column in ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
            )
            old = text.encode()[start:end].decode()
            found.append(Fault(path, node.lineno, start, end, old, f"({ast.unparse(other)})"))  # type: ignore[attr-defined]
    return found


def test_files(module: Path) -> tuple[list[str], list[str]]:
    """Test files that name a module, and the others."""
    dotted = ".".join(module.with_suffix("").parts)
    names = re.compile(rf"{re.escape(dotted)}\b|from {re.escape(dotted.rpartition('.')[0])} import .*\b{module.stem}\b")
    near, far = [], []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        is_near = module.stem in path.stem or names.search(path.read_text(encoding="utf-8"))
        (near if is_near else far).append(f"tests/{path.name}")
    return near, far


def fails(copy_of: Path, files: list[str], tier: str) -> str:
    """The first test that fails, "" if none does."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-m", tier, *files]
    environment = {**os.environ, "PYTHONPATH": str(copy_of)}
    try:
        ended = subprocess.run(
            command, cwd=copy_of, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"nothing ended in {LIMIT} s"
    if ended.returncode in (0, 5):  # 5: none of the files has a test of this tier
        return ""
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    return named[1] if named else " ".join(ended.stdout.splitlines()[-1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", default="", help="stems, such as losses,gan (default: all)")
    parser.add_argument("--slow", action="store_true", help="what lives is tried on the slow tier, too")
    flags = parser.parse_args()
    modules = [path.relative_to(ROOT) for path in sorted((ROOT / "tfgan_lab").rglob("*.py"))]
    if flags.modules:
        modules = [path for path in modules if path.stem in flags.modules.split(",")]
    faults = [fault for module in modules for fault in faults_of(module)]
    chosen = random.Random(flags.seed).sample(faults, min(flags.num, len(faults)))
    print(f"{len(faults):,} faults can be put into {len(modules)} modules; {len(chosen)} of them, seed {flags.seed}")
    lived = 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # some tests give up root's rights
        copy_of = Path(folder) / "copy"
        shutil.copytree(ROOT, copy_of, ignore=shutil.ignore_patterns(".git", "runs", "__pycache__", ".*_cache"))
        for fault in chosen:
            text = (ROOT / fault.path).read_bytes()
            (copy_of / fault.path).write_bytes(text[: fault.start] + fault.new.encode() + text[fault.end :])
            near, far = test_files(fault.path)
            by = (near and fails(copy_of, near, "not slow and not torch")) or fails(
                copy_of, far, "not slow and not torch"
            )
            if not by and flags.slow:
                slowly = (near and fails(copy_of, near, "slow")) or fails(copy_of, far, "slow")
                by = f"slow tier: {slowly}" if slowly else ""
            (copy_of / fault.path).write_bytes(text)
            named = by.removeprefix("slow tier: ").partition("[")[0]
            if "::" in named and fails(copy_of, [named], "slow or not slow"):
                sys.exit(f"{named} fails without a fault, too.")
            lived += not by
            print(f"{'LIVES' if not by else 'found'}  {fault}  {by}", flush=True)
    print(f"{len(chosen) - lived} of {len(chosen)} found")


if __name__ == "__main__":
    main()
