"""Files from others cannot run code, write elsewhere, or take all memory through our loaders."""

from __future__ import annotations

import ast
import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfgan_lab.errors import UserError
from tfgan_lab.export.loader import load_saved_model
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.parity.state_files import read_state
from tfgan_lab.system.arrays import read_arrays

PACKAGE = Path(__file__).resolve().parents[1] / "tfgan_lab"
MAY_USE = {
    "faces.py": {"joblib"},  # its processes, which pickle only between themselves
    "worker_pool.py": {"joblib"},  # as there; a Dask cluster is named by its user
    "config_files.py": {"exec"},  # a config file is a program that its user asks for: see docs/trust.md
}
BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
BANNED_CALLS = {"eval", "exec", "os.system", "keras.models.load_model", "keras.saving.load_model", "joblib.load"}


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.path, "run by somebody else"))


# The sources.


def faults_of(path: Path) -> Iterator[str]:
    """What a source imports or calls that may run what a file says."""
    may_use = MAY_USE.get(path.name, set())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from {name.split(".")[0] for name in names} & BANNED_MODULES - may_use
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            yield from {called} & BANNED_CALLS - may_use
            if keywords.get("allow_pickle", "" if called.endswith("np.load") else "False") != "False":
                yield f"{called}: allow_pickle=False is missing"
            if called in ("torch.load", "torch_load") and keywords.get("weights_only") != "True":
                yield f"{called}: weights_only=True is missing"
            if called.endswith(("extractall", ".extract")):
                yield f"{called}: archives are read in memory"
            if called == "tf.saved_model.load" and path.name != "loader.py":
                yield f"{called}: go through load_saved_model"


def test_no_loader_of_ours_unpickles_or_evaluates() -> None:
    sources = sorted(PACKAGE.rglob("*.py"))
    assert [(str(path.relative_to(PACKAGE)), fault) for path in sources for fault in faults_of(path)] == []


# Arrays.


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def test_object_arrays_are_refused_and_not_unpickled(tmp_path: Path) -> None:
    target = tmp_path / "written"
    array = np.empty(1, object)
    array[0] = Evil(target)
    (tmp_path / "state.npz").write_bytes(npz(**{"a.npy": npy(array, pickled=True)}))
    with pytest.raises(UserError, match="not numbers"):
        read_state(tmp_path / "state.npz")
    (tmp_path / "state.npz").write_bytes(pickle.dumps(Evil(target)))
    with pytest.raises(UserError, match="damaged or no .npz"):
        read_state(tmp_path / "state.npz")
    assert not target.exists()


def test_a_pickled_state_dict_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    target = tmp_path / "written"
    torch.save({"weight": Evil(target)}, tmp_path / "state.pt")
    for content in ((tmp_path / "state.pt").read_bytes(), pickle.dumps(Evil(target))):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(UserError, match="more than tensors"):
            read_state(tmp_path / "state.pt")
    assert not target.exists()


def test_archives_that_unpack_to_too_much_are_refused() -> None:
    bomb = npz(**{"a.npy": npy(np.zeros(50_000_000, np.uint8))})
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="more than"):
        read_arrays(bomb, most_bytes=10_000_000)
    header = npy(np.zeros(4)).replace(b"(4,)", b"(4000000000000,)"[:16])
    with pytest.raises(ValueError, match=r"cut short|header|magic|parse|shape"):
        read_arrays(npz(**{"a.npy": header}))


def test_member_names_are_names_and_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    members = {"../out.npy": npy(np.ones(2)), "/abs.npy": npy(np.ones(2)), "a/../../b.npy": npy(np.ones(2))}
    found = read_arrays(npz(**members))
    assert set(found) == {"../out", "/abs", "a/../../b"}
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_what_numpy_writes_is_read_back(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.array(3, np.int64),
        "c": np.asfortranarray(np.eye(3)),
        "d": np.zeros((0, 2)),
    }
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = read_arrays(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


# SavedModels.


class Model(tf.Module):
    """Somebody else's: its signature does what `act` does."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.weight = tf.Variable(2.0)
        self.act = act

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "seed"), tf.TensorSpec([], tf.int32, "count")])
    def sample(self, seed: Any, count: Any) -> dict[str, tf.Tensor]:
        return {"images": self.act(tf.fill([count, 2, 2, 1], self.weight))}


def save(model: tf.Module, folder: Path) -> Path:
    tf.saved_model.save(model, str(folder), signatures={"sample": model.sample})
    return folder


def writing(target: Path) -> Any:
    def act(images: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.io.write_file(str(target), "run by somebody else")]):
            return tf.identity(images)

    return act


def reading(images: tf.Tensor) -> tf.Tensor:
    return images + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def calling_python(images: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda x: x, [images], tf.float32), images.shape)


def deep(act: Any) -> Any:
    """The same, in a branch of a conditional in a loop in a function."""

    def loop(images: tf.Tensor) -> tf.Tensor:
        inner = tf.function(lambda x: tf.cond(tf.reduce_sum(x) > -1.0, lambda: act(x), lambda: x))
        return tf.while_loop(lambda i, x: i < 1, lambda i, x: (i + 1, tf.reshape(inner(x), tf.shape(x))), [0, images])[
            1
        ]

    return loop


def test_a_saved_model_of_arithmetic_is_loaded(tmp_path: Path) -> None:
    save(Model(lambda images: tf.tanh(images) * 2.0), tmp_path / "model")
    images = load_generator(tmp_path / "model").sample(3, 0)
    np.testing.assert_allclose(images, np.full((3, 2, 2, 1), 2 * np.tanh(2.0)), rtol=1e-6)


@pytest.mark.parametrize("act", ["write", "read", "python", "deep write", "print"])
def test_a_saved_model_that_acts_is_refused(act: str, tmp_path: Path) -> None:
    target = tmp_path / "written"

    def printing(images: tf.Tensor) -> tf.Tensor:
        tf.print("x", output_stream=f"file://{target}")
        return images

    acts = {
        "write": (writing(target), "WriteFile"), "read": (reading, "ReadFile"), "python": (calling_python, "PyFunc"),
        "deep write": (deep(writing(target)), "WriteFile"), "print": (printing, "PrintV2"),
    }  # fmt: skip
    folder = save(Model(acts[act][0]), tmp_path / "model")
    with pytest.raises(UserError, match=f"not loaded.*{acts[act][1]}") as caught:
        load_generator(folder)
    assert "\\n" not in str(caught.value)
    assert not target.exists()


def test_what_runs_while_loading_is_refused(tmp_path: Path) -> None:
    class WithTable(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            (tmp_path / "words.txt").write_text("a\nb\n")
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    str(tmp_path / "words.txt"),
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
                -1,
            )

        @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "seed"), tf.TensorSpec([], tf.int32, "count")])
        def sample(self, seed: Any, count: Any) -> dict[str, tf.Tensor]:
            return {"images": tf.cast(tf.fill([count, 1], self.table.lookup(tf.constant("a"))), tf.float32)}

    folder = save(WithTable(), tmp_path / "model")
    with pytest.raises(UserError, match="not loaded.*an object of kind"):
        load_saved_model(folder)


def test_a_graph_of_tensorflow_1_is_refused(tmp_path: Path) -> None:
    """Its start-up op would run at once."""
    target = tmp_path / "written"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None])
        start = tf.io.write_file(str(target), "run by somebody else")
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "model"))
        builder.add_meta_graph_and_variables(session, ["serve"], main_op=start)
        del x
        builder.save()
    with pytest.raises(UserError, match="TensorFlow 1"):
        load_saved_model(tmp_path / "model")
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x08\x01"])
def test_a_damaged_saved_model_is_one_line(content: bytes, tmp_path: Path) -> None:
    folder = save(Model(tf.identity), tmp_path / "model")
    (folder / "saved_model.pb").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged|not loaded") as caught:
        load_saved_model(folder)
    assert "\\n" not in str(caught.value)
