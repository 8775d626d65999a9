"""What all tests share: a quiet TensorFlow with two logical CPU devices, and small data; no network is needed."""

from __future__ import annotations

import collections
import contextlib
import gc
import inspect
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from hypothesis import settings
from montages import FACES, encoded

# The user's own data must not change what the tests see; the full_mnist tier asks for it by name.
GIVEN_DATA_DIR = os.environ.pop("TFGAN_LAB_DATA_DIR", None)
os.environ.setdefault("MPLBACKEND", "agg")

settings.register_profile("tests", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("tests")

# Importing TensorFlow takes seconds: these modules run without it.
_WITHOUT_TENSORFLOW = (
    "test_cache", "test_cli", "test_config", "test_faces", "test_files", "test_images", "test_layers_import", "test_mnist", "test_workdir",
    "test_metrics_distributions", "test_metrics_frechet", "test_metrics_intervals", "test_metrics_memorisation",
    "test_metrics_neighbours", "test_metrics_parzen", "test_style", "test_runtime", "test_signals", "test_worker_pool",
)  # fmt: skip
_started = False


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for processes that they start, for locks and for disks."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks what is skipped where PyTorch is not installed: its file or it itself asks for that."""
    code = inspect.unwrap(item.function).__code__  # type: ignore[attr-defined]
    if hasattr(item.module, "torch") or {"importorskip", "torch"} <= {*code.co_names, *code.co_consts}:  # type: ignore[attr-defined]
        item.add_marker("torch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first: whoever began one last would work on it alone."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish() -> None:
    """What is imported stays: looking through it at each collection of garbage takes a fifth of a second."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def tensorflow_started(request: pytest.FixtureRequest) -> None:
    """Starts TensorFlow once, before the first module that may use it; the tests of tf.distribute want two devices."""
    global _started
    if not _started and request.module.__name__.rpartition(".")[2] not in _WITHOUT_TENSORFLOW:
        from tfgan_lab.system.runtime import start_tensorflow

        start_tensorflow(logical_cpus=2)
        _started = True


@pytest.fixture(scope="session")
def embedded() -> dict[str, Any]:
    """All splits of the embedded digits."""
    from tfgan_lab.data.mnist import load_mnist

    return load_mnist("embedded", None)[0]


@pytest.fixture(scope="session")
def small_source(embedded: dict[str, Any]) -> Any:
    """200 embedded digits to train on, 100 to test on, 10 classes in both: a `tfgan_lab.data.Source`."""
    from tfgan_lab.data import Source
    from tfgan_lab.data.examples import Examples, Provenance, digest

    def part(split: str, every: int) -> Examples:
        images, labels = embedded[split].images[::every], embedded[split].labels[::every]
        provenance = Provenance("a few embedded digits", split, len(images), digest(images, labels))
        return Examples(len(images), images.shape[1:], provenance, images, labels)

    return Source(part("train", 20), part("test", 5), "data: a few embedded digits")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a config's run on embedded data, trained when it is first asked for; tests leave it as it is.

    All processes of the tests share it: whoever asks first trains, the others wait. What the training printed is beside
    the folder, in a file of its name with ".out".
    """
    from runs import train_small

    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    shared.mkdir(exist_ok=True)

    def run(reference: str) -> Path:
        folder = shared / reference.replace(":", "-")
        out = Path(f"{folder}.out")  # written last: it also says that the run is whole
        with filelock.FileLock(f"{folder}.lock"):
            if not out.exists():
                with contextlib.redirect_stdout(io.StringIO()) as said:  # a test's own output stays its own
                    train_small(reference, folder)
                out.write_text(said.getvalue(), encoding="utf-8")
        return folder

    return run


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The four real MNIST files, or a skip."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    folder = Path(GIVEN_DATA_DIR) if GIVEN_DATA_DIR else beside
    if not folder.is_dir():
        pytest.skip("full MNIST: set TFGAN_LAB_DATA_DIR to a folder with the four idx files")
    return folder


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the tests' own, where a test keeps files that no later run would use."""
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def nothing_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No TFDS copy in the usual place (which it returns), and a host that does not answer."""
    from tfgan_lab.data import mnist

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(mnist, "download_host_answers", lambda *_: False)
    return tmp_path / "tfds"


@pytest.fixture
def unprivileged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """File permissions count: root gives up its rights for the test."""
    tmp_path_factory.getbasetemp()  # made while it may be made
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A fixed stream of random numbers."""
    return np.random.default_rng(20)


@pytest.fixture
def montage_arrays(tmp_path: Path) -> Path:
    """Six small faces in the post's HDF5 layout."""
    import h5py

    path = tmp_path / "arrays.h5"
    with h5py.File(path, "w") as file:
        for index, face in enumerate(FACES):
            file.create_dataset(f"some/group/{index}.png", data=face, chunks=(9, 31, 2), compression="gzip")
    return path


@pytest.fixture
def montage_folder(tmp_path: Path) -> Path:
    """The same as PNG files, half of them in a folder below."""
    root = tmp_path / "pictures"
    (root / "b").mkdir(parents=True)
    for index, face in enumerate(FACES):
        (root / ("b" if index % 2 else ".") / f"{index}.png").write_bytes(encoded(face))
    return root
