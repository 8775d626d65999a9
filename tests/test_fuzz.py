"""Damaged and hostile files: readers answer with one line or data, never with a traceback, a hang or all memory.

Quick here. `TFGAN_LAB_FUZZ=100000 pytest tests/test_fuzz.py -s` also tries so many inputs in a row, spread over the
readers, and prints the counts.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tfgan_lab.config import to_json
from tfgan_lab.config_files import load_config
from tfgan_lab.data.idx import read_idx
from tfgan_lab.data.montage_hdf5 import open_hdf5
from tfgan_lab.errors import UserError
from tfgan_lab.training.workdir import Workdir

MANY = int(os.environ.get("TFGAN_LAB_FUZZ", "0"))
SECONDS = 20  # a reader that takes longer over a file of kilobytes hangs
MEMORY = 1500 * 2**20


def tries(count: int) -> settings:
    """How many inputs hypothesis makes."""
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


class Counts:
    """How many inputs were tried, and how many of them were refused."""

    def __init__(self) -> None:
        self.tried: dict[str, int] = {}
        self.refused: dict[str, int] = {}

    def read(self, name: str, reader: Callable[[], Any]) -> None:
        """Calls a reader on one input: data or `UserError` of one line."""
        self.tried[name] = self.tried.get(name, 0) + 1
        signal.alarm(SECONDS)
        try:
            reader()
        except UserError as error:
            assert "\n" not in str(error), repr(str(error))
            assert len(str(error)) < 2000
            self.refused[name] = self.refused.get(name, 0) + 1
        finally:
            signal.alarm(0)


@pytest.fixture(scope="module")
def counts() -> Iterator[Counts]:
    """Counts of this session; memory must not have grown beyond its bound."""

    def hangs(number: int, frame: Any) -> None:
        raise AssertionError(f"a reader takes more than {SECONDS} s")

    before, kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, Counts()
    handler = signal.signal(signal.SIGALRM, hangs)
    yield kept
    signal.signal(signal.SIGALRM, handler)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"\nfuzz: {sum(kept.tried.values()):,} inputs, {json.dumps(kept.tried)}, refused {json.dumps(kept.refused)}, memory +{grown / 2**20:.0f} MiB"
    )
    assert grown < MEMORY


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a disk would be most of the time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)


# Damage: what a kind of change does to the bytes of a good file.
NUMBERS = (
    b"\x00",
    b"\xff",
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"\x00" * 8,
    b"\x80" * 8,
)
change = st.tuples(
    st.sampled_from(("flip", "write", "insert", "cut", "drop", "double")), st.integers(0, 2**16), st.integers(1, 255),
    st.one_of(st.sampled_from(NUMBERS), st.binary(max_size=12)),
)  # fmt: skip
changes = st.lists(change, min_size=1, max_size=6)


def damaged(content: bytes, steps: list[tuple[str, int, int, bytes]]) -> bytes:
    found = bytearray(content)
    for kind, place, number, piece in steps:
        at = place % (len(found) + 1)
        if kind == "flip" and found:
            found[at % len(found)] ^= number
        elif kind == "write":
            found[at : at + len(piece)] = piece
        elif kind == "insert":
            found[at:at] = piece
        elif kind == "cut":
            del found[at:]
        elif kind == "drop":
            del found[at : at + number]
        elif kind == "double":
            found[at:at] = found[at : at + number]
    return bytes(found)


# idx.

_IMAGES = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (3, 28, 28)) + bytes(range(256)) * 9 + bytes(48)
_LABELS = bytes([0, 0, 8, 1]) + (5).to_bytes(4, "big") + bytes(5)


@seed(1)
@tries(150)
@given(good=st.sampled_from([(_IMAGES, (28, 28)), (_LABELS, ())]), packed=st.booleans(), steps=changes)
def test_idx(counts: Counts, folder: Path, good: Any, packed: bool, steps: Any) -> None:
    content, shape = good
    try_idx(counts, folder, gzip.compress(content, 1, mtime=0) if packed else content, shape, steps)


def try_idx(counts: Counts, folder: Path, content: bytes, shape: tuple[int, ...], steps: Any) -> None:
    (folder / "idx").write_bytes(damaged(content, steps))
    counts.read("idx", lambda: read_idx(folder / "idx", shape))


def test_a_gzip_bomb_is_not_unpacked(folder: Path) -> None:
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28))
    # Its end is missing: whoever unpacked all of it would say so, and not that it is too long.
    (folder / "bomb").write_bytes(gzip.compress(header + bytes(2**20), 1)[:-100])
    with pytest.raises(UserError, match="longer than its header says"):
        read_idx(folder / "bomb", (28, 28))


# config.json.

CONFIGS = [
    to_json(load_config(name)) for name in ("mlp_gan", "cgan_branch", "dcgan_montage", "gaussian", "mnist_classifier")
]


@seed(2)
@tries(60)
@given(content=st.sampled_from(CONFIGS), steps=changes)
def test_config_json_as_bytes(counts: Counts, folder: Path, content: str, steps: Any) -> None:
    try_config(counts, folder, content.encode(), steps)


def try_config(counts: Counts, folder: Path, content: bytes, steps: Any) -> None:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "config.json").write_bytes(damaged(content, steps))
    counts.read("config.json", Workdir(folder / "run").read_config)


# HDF5.


@pytest.fixture(scope="module")
def montages(folder: Path) -> list[bytes]:
    """Small files in the post's layout: plain, packed, in groups, encoded."""
    from PIL import Image

    image = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    contents = []
    for kind in ("plain", "packed", "group", "encoded"):
        with h5py.File(folder / "good.h5", "w") as file:
            group = file.create_group("montage") if kind == "group" else file
            for index in range(2):
                if kind == "encoded":
                    group.create_dataset(f"{index}.png", data=np.frombuffer(buffer.getvalue(), np.uint8))
                else:
                    packed = {"chunks": image.shape, "compression": "gzip"} if kind == "packed" else {}
                    group.create_dataset(f"{index}.png", data=image, **packed)
        contents.append((folder / "good.h5").read_bytes())
    return contents


@seed(4)
@tries(100)
@given(which=st.integers(0, 3), steps=changes)
def test_hdf5(counts: Counts, folder: Path, montages: list[bytes], which: int, steps: Any) -> None:
    try_hdf5(counts, folder, montages[which], steps)


def try_hdf5(counts: Counts, folder: Path, content: bytes, steps: Any) -> None:
    (folder / "some.h5").write_bytes(damaged(content, steps))

    def read() -> None:
        source = open_hdf5(str(folder / "some.h5"), 8)
        try:
            for index in range(len(source.names)):
                source.read(index)
        finally:
            source.close()

    counts.read("HDF5", read)


# state_dict.


@pytest.fixture(scope="module")
def states() -> dict[str, list[bytes]]:
    """Good state_dicts by ending."""
    arrays = {"0.weight": np.ones((3, 2), np.float32), "0.bias": np.arange(3.0)}
    found: dict[str, list[bytes]] = {".npz": [], ".pt": []}
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        found[".npz"].append(buffer.getvalue())
    with contextlib.suppress(ImportError):
        import torch

        for zipped in (True, False):
            buffer = io.BytesIO()
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            torch.save(tensors, buffer, _use_new_zipfile_serialization=zipped)
            found[".pt"].append(buffer.getvalue())
    return found


@seed(5)
@tries(60)
@given(which=st.integers(0, 1), steps=changes)
def test_state_dict_npz(counts: Counts, folder: Path, states: Any, which: int, steps: Any) -> None:
    try_state(counts, folder, states, ".npz", which, steps)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@seed(6)
@tries(20)
@given(which=st.integers(0, 1), steps=changes)
def test_state_dict_torch(counts: Counts, folder: Path, states: Any, which: int, steps: Any) -> None:
    if not states[".pt"]:
        pytest.skip("PyTorch's own files need PyTorch: pip install '.[torch]'")
    try_state(counts, folder, states, ".pt", which, steps)


def try_state(counts: Counts, folder: Path, states: Any, ending: str, which: int, steps: Any) -> None:
    from tfgan_lab.parity.state_files import read_state

    path = folder / f"state{ending}"
    path.write_bytes(damaged(states[ending][which], steps))
    counts.read(f"state_dict {ending}", lambda: read_state(path))


# Checkpoints.


@seed(7)
@tries(20)
@given(index=st.booleans(), steps=changes)
def test_checkpoints(counts: Counts, folder: Path, index: bool, steps: Any) -> None:
    try_checkpoint(counts, folder, index, steps)


def try_checkpoint(counts: Counts, folder: Path, index: bool, steps: Any) -> None:
    import tensorflow as tf

    from tfgan_lab.training.checkpoints import Checkpoints

    state = {"net": [tf.Variable(tf.range(40.0)), tf.Variable(3.0)]}
    place = folder / "checkpoints"
    if not (folder / "good.index").exists():
        Checkpoints(place, state, num_metrics=2, keep=3).save(7, np.ones(3))
        for path in place.iterdir():
            (folder / f"good{path.suffix}").write_bytes(path.read_bytes())
    names = {"index": "ckpt-7.index", "data": "ckpt-7.data-00000-of-00001"}
    for part, name in names.items():
        (good,) = folder.glob(f"good.{part}*")
        content = good.read_bytes()
        (place / name).write_bytes(damaged(content, steps) if (part == "index") == index else content)
    found = {"net": [tf.Variable(tf.zeros(40)), tf.Variable(0.0)]}

    def read() -> None:
        assert Checkpoints(place, found, num_metrics=2, keep=3).restore()[0] == 7
        np.testing.assert_array_equal(found["net"][0].numpy(), np.arange(40.0))

    counts.read("checkpoint", read)


# Many in a row.


def random_steps(chance: random.Random) -> list[tuple[str, int, int, bytes]]:
    """As `changes`, without what hypothesis takes to make them."""
    kinds = ("flip", "flip", "write", "write", "insert", "cut", "drop", "double")
    pieces = (*NUMBERS, chance.randbytes(chance.randrange(1, 12)))
    return [
        (chance.choice(kinds), int(2 ** chance.uniform(0, 16)), chance.randrange(1, 256), chance.choice(pieces))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6)))
    ]


@pytest.mark.skipif(not MANY, reason="set TFGAN_LAB_FUZZ=100000 to try so many inputs in a row (minutes)")
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_many(counts: Counts, folder: Path, montages: list[bytes], states: Any) -> None:
    chance = random.Random(8)
    idx = [
        (content, shape)
        for plain, shape in ((_IMAGES, (28, 28)), (_LABELS, ()))
        for content in (plain, gzip.compress(plain, mtime=0))
    ]
    readers: dict[str, tuple[int, Callable[[list[Any]], None]]] = {
        "idx": (35, lambda steps: try_idx(counts, folder, *chance.choice(idx), steps)),
        "config": (30, lambda steps: try_config(counts, folder, chance.choice(CONFIGS).encode(), steps)),
        "hdf5": (15, lambda steps: try_hdf5(counts, folder, chance.choice(montages), steps)),
        "npz": (16, lambda steps: try_state(counts, folder, states, ".npz", chance.randrange(2), steps)),
        "pt": (2, lambda steps: try_state(counts, folder, states, ".pt", chance.randrange(2), steps)),
        "checkpoint": (2, lambda steps: try_checkpoint(counts, folder, chance.random() < 0.5, steps)),
    }
    if not states[".pt"]:
        del readers["pt"]
    for share, reader in readers.values():
        for _ in range(MANY * share // 100):
            reader(random_steps(chance))
