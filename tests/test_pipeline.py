"""Batches are a pure function of (seed, step): every epoch a permutation, any step reachable at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from montages import stored

from tfgan_lab.config import Gaussian
from tfgan_lab.data.examples import Examples, Provenance
from tfgan_lab.data.numbers import NumberBatches
from tfgan_lab.data.pipeline import ImageBatches, to_floats
from tfgan_lab.errors import UserError
from tfgan_lab.training.seeds import SeedsBatches


def numbered(num: int) -> Examples:
    """Images [num, 2, 2, 1] whose pixels tell their index, labels index % 10."""
    images = np.zeros((num, 2, 2, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(num) % 256, np.arange(num) // 256
    return Examples(
        num, (2, 2, 1), Provenance("numbers", "train", num, ""), images, np.arange(num, dtype=np.int32) % 10
    )


def batches_of(num: int, batch_size: int, per_step: int = 1, seed: int = 0, **changes: Any) -> ImageBatches:
    return ImageBatches(dataclasses.replace(numbered(num), **changes), batch_size, per_step, "unit", seed)


def indices_of(images: Any) -> np.ndarray:
    pixels = np.rint(np.asarray(images) * 255).astype(int)
    return pixels[..., 0, 0, 0] + 256 * pixels[..., 0, 1, 0]


def first(batches: Any, start: int, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(x), np.asarray(y)) for x, y in batches.dataset(start).take(number)]


@pytest.mark.parametrize(("num", "batch_size"), [(40, 8), (300, 100), (7, 7), (5, 1)])
def test_an_epoch_shows_every_example_once(num: int, batch_size: int) -> None:
    batches = batches_of(num, batch_size)
    for epoch in range(3):
        seen = [
            indices_of(images) for images, _ in first(batches, epoch * batches.steps_per_epoch, batches.steps_per_epoch)
        ]
        assert sorted(np.concatenate(seen)) == list(range(num))


def test_what_does_not_fill_a_batch_is_left_out_of_that_epoch_but_not_for_good() -> None:
    batches = batches_of(43, 8)
    assert batches.steps_per_epoch == 5
    epochs = [np.concatenate([indices_of(x) for x, _ in first(batches, 5 * epoch, 5)]) for epoch in range(8)]
    for seen in epochs:
        assert len(set(seen)) == 40
    assert set(np.concatenate(epochs)) == set(range(43))


def test_labels_go_with_their_images() -> None:
    for images, labels in first(batches_of(90, 9), 0, 10):
        np.testing.assert_array_equal(indices_of(images) % 10, labels)


def test_order_differs_between_epochs_and_seeds_and_is_shuffled() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = batches_of(200, 10, seed=seed)
        return list(np.concatenate([indices_of(x) for x, _ in first(batches, 20 * epoch, 20)]))

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert orders[0] == order(0, 0)
    for i, one in enumerate(orders):
        assert abs(np.corrcoef(one, range(200))[0, 1]) < 0.25, "hardly shuffled"
        assert one not in orders[:i]
        for other in orders[:i]:
            assert np.mean(np.equal(one, other)) < 0.05


@pytest.mark.parametrize("start", [1, 6, 23])
def test_starting_at_a_step_equals_running_to_it(start: int) -> None:
    batches = batches_of(50, 8)
    for (x, y), (x2, y2) in zip(first(batches, 0, start + 4)[start:], first(batches, start, 4), strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


def test_each_turn_of_a_step_sees_its_own_real_batch() -> None:
    batches = batches_of(60, 5, per_step=3)
    assert batches.steps_per_epoch == 4
    seen = []
    for images, labels in first(batches, 0, 4):
        assert images.shape == (5, 3, 2, 2, 1)
        assert labels.shape == (5, 3)
        np.testing.assert_array_equal(indices_of(images) % 10, labels)
        seen.append(indices_of(images).ravel())
    assert sorted(np.concatenate(seen)) == list(range(60))


@pytest.mark.parametrize("per_step", [1, 2])
def test_streamed_examples_come_as_resident_ones_do(per_step: int, tmp_path: Path) -> None:
    resident = batches_of(48, 6, per_step)
    streamed = batches_of(48, 6, per_step, images=stored(resident.examples.images, tmp_path))
    assert resident.in_memory and not streamed.in_memory
    for (x, y), (x2, y2) in zip(first(resident, 3, 9), first(streamed, 3, 9), strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


def test_examples_without_labels_get_zeros() -> None:
    ((_, labels),) = first(batches_of(20, 5, labels=None), 0, 1)
    np.testing.assert_array_equal(labels, np.zeros(5, np.int32))


@pytest.mark.parametrize(("value_range", "low"), [("unit", 0.0), ("tanh", -1.0)])
def test_pixels_span_their_range(value_range: str, low: float) -> None:
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(to_floats(pixels, value_range), np.linspace(low, 1, 256), atol=1e-6)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"batch_size: a step takes 12 examples but the split has 10 .*smaller --config\.batch_size"
    ):
        batches_of(10, 6, per_step=2)


@pytest.mark.parametrize("kind", ["in memory", "streamed", "numbers", "of several seeds"])
def test_no_iterator_is_waited_for_at_its_end(kind: str, tmp_path: Path) -> None:
    """Whoever deletes the iterator of a dataset that TensorFlow tunes waits for its thread, at times for a minute."""
    numbers, images = NumberBatches(Gaussian(mean=4.0, std=1.25), 4, 1, seed=0), batches_of(8, 4)
    batches: Any = {
        "in memory": images,
        "streamed": batches_of(8, 4, images=stored(numbered(8).images, tmp_path)),
        "numbers": numbers,
        "of several seeds": SeedsBatches((numbers, numbers)),
    }[kind]
    assert batches.dataset(0).options().autotune.enabled is False


def test_the_gaussian_stream_has_the_moments_asked_for_and_starts_anywhere() -> None:
    batches = NumberBatches(Gaussian(mean=4.0, std=1.25), 100, 1, seed=3)
    sets = np.concatenate([x for x, _ in first(batches, 0, 400)])
    assert sets.shape == (40_000, 1)
    # Four standard errors: 1.25 / 200 for the mean, 1.25 / 283 for the deviation.
    assert sets.mean() == pytest.approx(4, abs=0.025)
    assert sets.std() == pytest.approx(1.25, abs=0.018)
    np.testing.assert_array_equal(first(batches, 7, 1)[0][0], first(batches, 0, 8)[7][0])
    assert not np.array_equal(first(batches, 0, 1)[0][0], first(batches, 1, 1)[0][0])


def test_the_bimodal_target_has_two_equal_humps() -> None:
    data = Gaussian(mean=1.0, std=0.1, target="bimodal", separation=2.0)
    numbers = data.draw([20_000], tf.constant([1, 2], tf.int64)).numpy()
    left, right = numbers[numbers < 1], numbers[numbers > 1]
    assert len(left) / len(numbers) == pytest.approx(0.5, abs=0.015)
    for hump, centre in ((left, -1), (right, 3)):
        assert hump.mean() == pytest.approx(centre, abs=0.005)
        assert hump.std() == pytest.approx(0.1, abs=0.004)
