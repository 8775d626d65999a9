"""The genuine 70,000 digits: from idx files and from a TFDS copy prepared offline from the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tfgan_lab.data.mnist import load_mnist

pytestmark = pytest.mark.full_mnist


@pytest.fixture(scope="module")
def idx_splits(mnist_folder: Path) -> Any:
    return load_mnist("idx", str(mnist_folder))[0]


def test_the_splits_have_their_sizes(idx_splits: Any) -> None:
    sizes = {name: split.num for name, split in idx_splits.items()}
    assert sizes == {"train": 55_000, "validation": 5_000, "train+validation": 60_000, "test": 10_000}
    # As published: the digits' counts in the training and the test set.
    assert_array_equal(
        np.bincount(idx_splits["train+validation"].labels), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    )
    assert_array_equal(np.bincount(idx_splits["test"].labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    assert_array_equal(idx_splits["validation"].labels[:5], [5, 0, 4, 1, 9])


@pytest.mark.slow
def test_a_tfds_copy_prepared_without_a_network_has_the_same_digests(
    idx_splits: Any, mnist_folder: Path, tmp_path: Path
) -> None:
    if not (mnist_folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip("TFDS prepares MNIST from the four .gz files only")
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder("mnist", data_dir=str(tmp_path))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(mnist_folder)))
    splits, line = load_mnist("auto", str(tmp_path))
    assert "a prepared copy is in" in line
    for name in ("train+validation", "test"):  # the order differs, and so do train and validation
        assert splits[name].provenance.sha256 == idx_splits[name].provenance.sha256
    assert (splits["train"].num, splits["validation"].num) == (55_000, 5_000)
