"""Nearest training neighbours and the signs of copying, against loops and planted copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import memorisation, nearest_training_neighbours


def normals(seed: int, n: int, d: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_neighbours_are_those_of_the_loop():
    x, t = normals(0, 30), normals(1, 50)
    distance, index = nearest_training_neighbours(x, t, k=3)
    for i, row in enumerate(x):
        ordered = sorted((float(np.sqrt(((row - other) ** 2).sum())), j) for j, other in enumerate(t))[:3]
        assert distance[i] == pytest.approx([d for d, _ in ordered], rel=1e-12)
        assert index[i].tolist() == [j for _, j in ordered]


def test_float32_copies_have_distance_zero():
    t = (normals(2, 200, 784) + 100).astype(np.float32)
    distance, index = nearest_training_neighbours(t[50:60].reshape(10, 28, 28), t.reshape(200, 28, 28))
    assert (distance == 0).all()
    assert index[:, 0].tolist() == list(range(50, 60))


def test_a_copier_is_seen():
    t, h = normals(3, 300), normals(4, 200)
    got = memorisation(t[:100] + 1e-3 * normals(5, 100), t, h)
    assert got.distance_ratio < 0.01
    assert got.closer == 1
    assert got.copied.value == 1
    assert got.copied_held_out.value == 0
    assert got.neighbours.tolist() == list(range(100))


def test_an_honest_generator_is_not():
    got = memorisation(normals(6, 500), normals(7, 500), normals(8, 500))
    assert got.distance_ratio == pytest.approx(1, abs=0.05)
    assert got.closer == pytest.approx(0.5, abs=0.08)
    assert got.copied.value == 0


def test_blur_is_not_copying():
    t = normals(9, 300)
    got = memorisation(0.1 * normals(10, 200), t, normals(11, 200))
    assert got.distance_ratio < 0.9
    assert got.closer > 0.9
    assert got.copied.value == 0


def test_half_of_the_samples_copied():
    t = normals(12, 300)
    got = memorisation(np.concatenate([t[:50], normals(13, 50)]), t, normals(14, 200))
    assert got.copied.value == 0.5
    assert got.copied.low < 0.5 < got.copied.high


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
def test_properties(seed, scale):
    y, t, h = normals(seed, 20, 3), normals(seed + 1, 30, 3), normals(seed + 2, 25, 3)
    plain = memorisation(y, t, h)
    scaled = memorisation(scale * y, scale * t, scale * h)
    assert scaled.distance_ratio == pytest.approx(plain.distance_ratio, rel=1e-9)
    assert (scaled.closer, scaled.copied) == (plain.closer, plain.copied)
    assert scaled.distances == pytest.approx(scale * plain.distances, rel=1e-9)
    order = np.random.default_rng(seed).permutation(30)
    assert memorisation(y, t[order], h).closer == plain.closer
    held_out = nearest_training_neighbours(h, t)[0][:, 0]
    medians = sorted(plain.distances)[9:11], sorted(held_out)[12]
    assert plain.distance_ratio == pytest.approx(np.mean(medians[0]) / medians[1], rel=1e-12)
    pairs = np.sign(held_out[np.newaxis, :] - plain.distances[:, np.newaxis])
    assert plain.closer == pytest.approx(((pairs + 1) / 2).mean(), rel=1e-12)
    assert memorisation(h, t, h).closer == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nearest_training_neighbours(normals(0, 3), normals(1, 3), k=4),
            "training examples: 3 given",
        ),
        (lambda: nearest_training_neighbours(normals(0, 3), normals(1, 3), k=0), "k=0"),
        (lambda: nearest_training_neighbours(normals(0, 3, 5), normals(1, 3)), "20 numbers each"),
        (lambda: memorisation(normals(0, 1), normals(1, 9), normals(2, 9)), "generated examples: 1 given"),
        (lambda: memorisation(normals(0, 9), normals(1, 9), normals(2, 9, 7)), "held-out examples have 7"),
        (lambda: memorisation(normals(0, 9), normals(1, 9), normals(1, 9)), "also training examples"),
        (lambda: memorisation(normals(0, 9), np.zeros((9, 20)), normals(1, 9)), "all 9 rows are equal"),
        (lambda: memorisation(normals(0, 9), normals(1, 9), np.full((9, 20), np.nan)), "held-out.*NaN"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
