"""Distances to the training data and the signs of copying, against loops and planted copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import memorisation


def normals(seed: int, n: int, d: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def loop_distances(x: np.ndarray, t: np.ndarray) -> list[list[float]]:
    """Distances to the two nearest training examples."""
    return [sorted(float(np.sqrt(((row - other) ** 2).sum())) for other in t)[:2] for row in x]


def closer(got) -> float:
    return float((got.distances[:, np.newaxis] < got.held_out).mean())


def test_distances_and_copies_are_those_of_the_loop():
    t, h = normals(1, 50, 3), normals(2, 40, 3)
    y = np.concatenate([normals(0, 30, 3), t[:10] + 0.1 * normals(3, 10, 3)])
    got, nearest = memorisation(y, t, h), loop_distances(y, t)
    assert got.distances == pytest.approx([first for first, _ in nearest], rel=1e-12)
    assert got.held_out == pytest.approx([first for first, _ in loop_distances(h, t)], rel=1e-12)
    assert got.copied.value == np.mean([3 * first <= second for first, second in nearest])
    assert 0 < got.copied.value < 1


def test_float32_copies_have_distance_zero():
    t = (normals(2, 200, 784) + 100).astype(np.float32).reshape(200, 28, 28)
    h = (normals(3, 20, 784) + 100).astype(np.float32).reshape(20, 28, 28)
    h[4] = t[7]
    got = memorisation(t[50:60], t, h)
    assert (got.distances == 0).all()
    assert np.flatnonzero(got.held_out == 0).tolist() == [4]


def test_a_copier_is_seen():
    t, h = normals(3, 300), normals(4, 200)
    got = memorisation(t[:100] + 1e-3 * normals(5, 100), t, h)
    assert got.distances.max() < 0.01 * got.held_out.min()
    assert got.copied.value == 1
    assert memorisation(h, t, normals(6, 200)).copied.value == 0


def test_an_honest_generator_is_not():
    got = memorisation(normals(6, 500), normals(7, 500), normals(8, 500))
    assert np.median(got.distances) == pytest.approx(np.median(got.held_out), rel=0.05)
    assert closer(got) == pytest.approx(0.5, abs=0.08)
    assert got.copied.value == 0


def test_blur_is_not_copying():
    t = normals(9, 300)
    got = memorisation(0.1 * normals(10, 200), t, normals(11, 200))
    assert np.median(got.distances) < 0.9 * np.median(got.held_out)
    assert closer(got) > 0.9
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
    assert scaled.copied == plain.copied
    assert scaled.distances == pytest.approx(scale * plain.distances, rel=1e-9)
    assert scaled.held_out == pytest.approx(scale * plain.held_out, rel=1e-9)
    order = np.random.default_rng(seed).permutation(30)
    shuffled = memorisation(y, t[order], h)
    assert shuffled.copied == plain.copied
    assert shuffled.distances == pytest.approx(plain.distances, rel=1e-12)
    same = memorisation(h, t, h)
    assert (same.distances == same.held_out).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memorisation(normals(0, 1), normals(1, 9), normals(2, 9)), "generated examples: 1 given"),
        (lambda: memorisation(normals(0, 9), normals(1, 1), normals(2, 9)), "training examples: 1 given"),
        (lambda: memorisation(normals(0, 9, 5), normals(1, 9), normals(2, 9)), "20 numbers each"),
        (lambda: memorisation(normals(0, 9), normals(1, 9), normals(2, 9, 7)), "held-out examples have 7"),
        (lambda: memorisation(normals(0, 9), normals(1, 9), normals(1, 9)), "also training examples"),
        (lambda: memorisation(normals(0, 9), np.zeros((9, 20)), normals(1, 9)), "all 9 rows are equal"),
        (lambda: memorisation(normals(0, 9), normals(1, 9), np.full((9, 20), np.nan)), "held-out.*NaN"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)
