"""Start-up: what a training needs is imported, and nothing else; in processes of their own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

_START = "import sys\nfrom tfgan_lab.system.runtime import start_tensorflow\nstart_tensorflow(threads=1)\n"


_PROGRAM = """
import gc, os
print(gc.isenabled(), gc.get_freeze_count())
print(os.environ["XLA_FLAGS"])
heavy = ("matplotlib", "pandas", "scipy", "sklearn", "tensorflow_datasets", "torch")
print([name for name in heavy if name in sys.modules])
from tfgan_lab.data import open_source
from tfgan_lab.config import Mnist
assert open_source(Mnist(source="embedded"), None).train.num == 4500
print([name for name in ("tensorflow_datasets", "matplotlib", "torch") if name in sys.modules])
import keras, sklearn.metrics, scipy.stats, matplotlib.pyplot
import tfgan_lab.trainer
print("tensorflow_datasets" in sys.modules, keras.backend.backend())
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """The lines that a process prints after its start."""
    ended = subprocess.run(
        [sys.executable, "-c", _START + _PROGRAM],
        capture_output=True, text=True, check=True, env={**os.environ, "XLA_FLAGS": ""},
    )  # fmt: skip
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_what_a_training_does_not_use_is_not_imported_and_can_be_imported_later(printed: list[str]) -> None:
    """Keras' helpers would bring pandas, scikit-learn, SciPy and pyplot; TFDS is for those who have data there."""
    assert printed[2:] == ["[]", "[]", "False tensorflow"]


def test_garbage_is_collected_again_after_the_imports(printed: list[str]) -> None:
    enabled, frozen = printed[0].split()
    assert enabled == "True"
    assert int(frozen) > 100_000


def test_a_users_own_xla_flags_win(printed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgan_lab.system import runtime

    assert "--xla_cpu_copy_insertion_use_region_analysis=true" in printed[1].split()
    own = "--xla_cpu_prefer_vector_width=128 --xla_cpu_copy_insertion_use_region_analysis=false"
    monkeypatch.setenv("XLA_FLAGS", own)
    runtime._tune_xla()
    assert os.environ["XLA_FLAGS"] == own


def test_flags_that_another_tensorflow_may_not_know_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgan_lab.system import runtime

    monkeypatch.setenv("XLA_FLAGS", "")
    for other in ("2.22.0", ""):
        monkeypatch.setattr(runtime, "tensorflow_version", lambda other=other: other)
        runtime._tune_xla()
        assert os.environ["XLA_FLAGS"] == ""


def test_nothing_is_traced_through_autograph() -> None:
    """It converts every function by way of its source, which takes several times as long as tracing."""
    package = Path(__file__).resolve().parents[1] / "tfgan_lab"
    found = 0
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "tf.function":
                found += 1
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("autograph") == "False", f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.FunctionDef) and "tf.function" in map(ast.unparse, node.decorator_list))
    assert found > 10


def test_a_keras_json_that_keras_cannot_read_is_one_line(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from tfgan_lab.errors import UserError
from tfgan_lab.system.runtime import start_tensorflow
for junk in ('{{"floatx": "float128"}}', "[1]", '"x"', '{{"epsilon": "x"}}', '{{"floatx": []}}'):
    Path({str(tmp_path / "keras.json")!r}).write_text(junk)
    try:
        start_tensorflow()
    except UserError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "KERAS_HOME": str(tmp_path)}
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all(line.startswith(f"{tmp_path}/keras.json cannot be read by Keras (") for line in lines)


def test_without_a_home_no_folder_is_made(tmp_path: Path) -> None:
    """As of a user id that no list of users has: Keras would make a folder that is called ~."""
    program = f"""
import os
os.chdir({str(tmp_path)!r})
os.environ.pop("KERAS_HOME", None)
os.path.expanduser = lambda path: path
from tfgan_lab.system.runtime import start_tensorflow
start_tensorflow(threads=1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
