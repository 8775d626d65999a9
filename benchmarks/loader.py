"""Montage images a second: ours against a PyTorch DataLoader that does the same decode and crop with two workers.

python -m benchmarks.loader [--images=600] [--rounds=5]

Both read the post's HDF5 layout (faces made here, 218 x 178 uint8) and crop 128 x 128 from the middle; ours from memory
and streamed: from the crops that loading keeps once for all runs, the time of which is printed. Wall time: workers are
processes. Last, by how much memory grows while batches of 200,000 images are read (a file with holes: no disk is
filled).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 600, "In the file.", lower_bound=64)
flags.DEFINE_integer("rounds", 5, "Alternating rounds.", lower_bound=1)
_CROP, BATCH = 128, 8


def write_file(path: Path, number: int) -> None:
    """The post's layout: members '0.png', '1.png', … of (H, W, 3) uint8."""
    import h5py

    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for index in range(number):
            file[f"{index}.png"] = random.integers(0, 256, (218, 178, 3), np.uint8)


def loader_rate(path: Path) -> Callable[[], float]:
    """Images a second of one epoch of the DataLoader."""
    import h5py
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Faces(Dataset[Any]):
        def __init__(self) -> None:
            self.file: Any = None

        def __len__(self) -> int:
            return FLAGS.images

        def __getitem__(self, index: int) -> Any:
            self.file = self.file or h5py.File(path, "r")
            image = np.array(self.file[f"{index}.png"])
            top, left = image.shape[0] // 2 - _CROP // 2, image.shape[1] // 2 - _CROP // 2
            cropped = image[top : top + _CROP, left : left + _CROP]
            return torch.from_numpy(np.ascontiguousarray(cropped.transpose(2, 0, 1))).float() / 255

    loader: Any = DataLoader(Faces(), BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    return lambda: rate(iter(loader), FLAGS.images // BATCH)


def our_rate(path: Path, memory_mb: int) -> Callable[[], float]:
    """Images a second of as many of our batches."""
    from tfgan_lab import data
    from tfgan_lab.config import Montage
    from tfgan_lab.data.pipeline import ImageBatches

    started = time.perf_counter()
    source = data.open_source(Montage(crop=_CROP, size=_CROP, source="hdf5", memory_mb=memory_mb), str(path))
    assert source.train is not None
    print(f"loading, in memory: {source.train.in_memory}: {time.perf_counter() - started:.2f} s")
    feed = iter(ImageBatches(source.train, BATCH, 1, "unit", 0).dataset(0))
    return lambda: rate(feed, FLAGS.images // BATCH)


def rate(feed: Iterator[Any], batches: int) -> float:
    """Images a second over so many batches."""
    started = time.perf_counter()
    for _ in range(batches):
        next(feed)
    return batches * BATCH / (time.perf_counter() - started)


def growth(path: Path, number: int, batches: int) -> float:
    """MiB by which this process grows while it reads random batches of so many streamed images."""
    import psutil

    from tfgan_lab.data.examples import Examples, Provenance
    from tfgan_lab.data.pipeline import ImageBatches
    from tfgan_lab.data.stored import StoredImages, store_images

    shape = (number, _CROP, _CROP, 3)
    store_images(path, [], shape)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + int(np.prod(shape)))
    examples = Examples(number, shape[1:], Provenance("holes", "train", number, ""), StoredImages(path))
    feed = iter(ImageBatches(examples, BATCH, 1, "unit", 0).dataset(0))
    rate(feed, batches // 10)
    before = psutil.Process().memory_info().rss
    rate(feed, batches)
    return (psutil.Process().memory_info().rss - before) / 2**20


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TFGAN_LAB_CACHE"] = folder
        path = Path(folder) / "faces.h5"
        write_file(path, FLAGS.images)
        sides = {
            "DataLoader, 2 workers": loader_rate(path),
            "ours, in memory": our_rate(path, 2048),
            "ours, streamed": our_rate(path, 1),
        }
        rounds = [{name: run() for name, run in sides.items()} for _ in range(FLAGS.rounds + 1)][1:]
        grown = growth(Path(folder) / "many.npy", 200_000, 5_000)
    for name in sides:
        ratios = [one[name] / one["DataLoader, 2 workers"] for one in rounds]
        speed = statistics.median(one[name] for one in rounds)
        print(
            f"{name:<22} {speed:>9,.0f} images/s {statistics.median(ratios):>6.2f}x  {min(ratios):.2f} – {max(ratios):.2f}"
        )
    print(f"memory, 200,000 images, 5,000 batches of {BATCH}: {grown:+.1f} MiB")


if __name__ == "__main__":
    app.run(main)
