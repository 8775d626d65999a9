"""The ends of what can be asked for: more than there is memory for, one image, one digit, a handful of test images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from runs import rows

from tfgan_lab.data import Source, open_source
from tfgan_lab.data.examples import Examples, digest
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.digits import real_digits
from tfgan_lab.evaluation.exported import evaluate
from tfgan_lab.evaluation.judge import load_judge
from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.trainer import train
from tfgan_lab.training import memory
from tfgan_lab.training.experiment import build
from tfgan_lab.training.memory import out_of_memory_in_one_line


def some(part: Examples, rows_: Any) -> Examples:
    """Those rows of a split."""
    images, labels = part.images[rows_], part.labels[rows_]  # type: ignore[index]
    return dataclasses.replace(part, num=len(images), images=images, labels=labels)


# Memory.


@pytest.mark.parametrize(
    ("reference", "changes", "said"),
    [
        ("mlp_gan:smoke", {"generator__0__units": "1000000000"}, "these networks would take 1,600.0 GB"),
        ("mlp_gan:smoke", {"latents__dim": "2000000000"}, "these networks would take 512.0 GB"),
        ("mlp_gan:smoke", {"num_samples": "1000000000"}, "num_samples=1,000,000,000 would take 10,608.0 GB"),
        ("gaussian:smoke", {"batch_size": "1000000000", "discriminator__0__size": "1000000000"}, "these networks"),
    ],
)
def test_what_no_machine_has_is_refused_with_its_size(
    reference: str, changes: dict[str, str], said: str, small_source: Any
) -> None:
    config = offline(reference, **changes)
    source = open_source(config.data, None) if config.data.is_endless else small_source
    with pytest.raises(UserError, match=said):
        build(config, source)


def test_weights_are_counted_with_what_training_keeps_of_each(
    small_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = offline("mlp_gan:smoke")
    networks = build(config, small_source).networks.values()
    needed = sum(4 * 4 * network.count_params() for network in networks)
    monkeypatch.setattr(memory, "memory_bytes", lambda: needed)
    build(config, small_source)
    monkeypatch.setattr(memory, "memory_bytes", lambda: needed - 1)
    with pytest.raises(UserError, match="smaller layers"):
        build(config, small_source)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9,9]\nHint: …"),
        np._core._exceptions._ArrayMemoryError((9, 9), np.dtype(np.float64)),  # type: ignore[attr-defined]
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_one_line(error: Exception) -> None:
    with pytest.raises(UserError, match="out of memory: .*smaller batch_size") as caught, out_of_memory_in_one_line():
        raise error
    assert "\\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "changes", "kernel"),
    [
        ("mnist_classifier:smoke", {"classifier__0__kernel_size": "50"}, 50),
        ("mnist_classifier:smoke", {"classifier__0__stride": "40"}, 3),
        ("mnist_judge:smoke", {"classifier__3__stride": "40"}, 3),
        ("cgan_conv:smoke", {"discriminator__0__kernel_size": "50"}, 50),
    ],
)
def test_a_kernel_that_is_larger_than_its_image_is_one_line(
    reference: str, changes: dict[str, str], kernel: int, small_source: Any
) -> None:
    with pytest.raises(UserError, match=f"a kernel of {kernel} x {kernel} .*smaller kernels"):
        build(offline(reference, **changes), small_source)


# Data.


def test_labels_beyond_num_labels_are_refused(small_source: Any) -> None:
    config = offline("cgan_concat:smoke", num_labels="3")
    with pytest.raises(UserError, match=r"num_labels=3.*label 9.*num_labels=10"):
        build(config, small_source)
    train_part, test_part = (some(part, part.labels < 3) for part in (small_source.train, small_source.test))
    build(config, dataclasses.replace(small_source, train=train_part, test=test_part))
    with pytest.raises(UserError, match=r"label 9"):
        build(config, dataclasses.replace(small_source, train=train_part))


def test_a_split_without_images_has_a_digest() -> None:
    assert digest(np.zeros((0, 28, 28, 1), np.uint8), np.zeros(0, np.int32)) == digest(np.zeros((0, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (lambda labels: np.arange(64), "64 test images"),
        (lambda labels: np.arange(1), "1 test images"),
        (lambda labels: labels != 7, "no 7"),
        (lambda labels: np.arange(80), ""),
    ],
)
def test_a_test_split_that_is_too_small_leaves_the_judges_accuracy_alone_and_says_so(
    kept: Any, why: str, small_source: Any
) -> None:
    order = np.random.default_rng(0).permutation(small_source.test.num)
    shuffled = some(small_source.test, order)
    source: Source = dataclasses.replace(small_source, test=some(shuffled, kept(shuffled.labels)))
    monitor = Monitor(build(offline("mlp_gan:smoke"), source))
    assert why in monitor.note
    found = monitor()
    if why:
        assert found.keys() == {"judge_accuracy"}
        with pytest.raises(UserError, match=why):
            real_digits(source, load_judge(), 0)
    else:
        assert monitor.note == ""
        assert found.keys() == {"judge_accuracy", "digits", "kl_data", "frechet"}
        real_digits(source, load_judge(), 0)


def test_a_training_split_that_is_too_small_to_stand_beside_samples_is_named(small_source: Any) -> None:
    source = dataclasses.replace(small_source, train=some(small_source.train, slice(0, 200, 3)))
    with pytest.raises(UserError, match="54 training images"):
        real_digits(source, load_judge(), 0)


def idx_folder(folder: Path, part: Examples) -> str:
    """The four idx files, with the same images for training and for the test."""
    for name in ("train", "t10k"):
        for kind, array in (("images-idx3", part.images[..., 0]), ("labels-idx1", part.labels)):  # type: ignore[index]
            head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["mlp_gan:smoke", "cgan_concat:smoke", "mnist_classifier:smoke"])
@pytest.mark.parametrize("what", ["one image", "one digit"])
def test_one_image_or_one_digit_in_all_is_trained_on(
    reference: str, what: str, small_source: Any, tmp_path: Path
) -> None:
    test = small_source.test
    part = some(test, slice(0, 1) if what == "one image" else test.labels == 3)
    changes = {"data__source": "auto", "batch_size": "1", "steps": "4", "evaluate__steps": "2"}
    if reference != "mnist_classifier:smoke":
        changes["metrics__steps"] = "4"
    train(offline(reference, **changes), tmp_path / "run", idx_folder(tmp_path, part))
    assert rows(tmp_path / "run")[-1]["step"] == 4
    if reference == "mnist_classifier:smoke":
        assert evaluate(tmp_path / "run")["n"] == {"test": part.num}
    else:
        with pytest.raises(UserError, match="test images"):
            evaluate(tmp_path / "run", num=100)
