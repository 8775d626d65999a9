"""Precision, recall, density, coverage and the 1-NN tests against loops over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import (
    nearest_neighbour_error,
    precision_recall_density_coverage,
    two_sample_accuracy,
)


def normals(seed: int, n: int, d: int = 3, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def loop_prdc(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float, float, float]:
    def radius(rows, i):
        return sorted(np.linalg.norm(rows[i] - rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    x_radius = [radius(x, i) for i in range(len(x))]
    y_radius = [radius(y, i) for i in range(len(y))]
    gap = [[np.linalg.norm(a - b) for b in y] for a in x]
    n, m = len(x), len(y)
    precision = sum(any(gap[i][j] <= x_radius[i] for i in range(n)) for j in range(m)) / m
    recall = sum(any(gap[i][j] <= y_radius[j] for j in range(m)) for i in range(n)) / n
    density = sum(gap[i][j] <= x_radius[i] for i in range(n) for j in range(m)) / (k * m)
    coverage = sum(any(gap[i][j] <= x_radius[i] for j in range(m)) for i in range(n)) / n
    return precision, recall, density, coverage


def values(got) -> tuple[float, float, float, float]:
    return got.precision.value, got.recall.value, got.density.value, got.coverage.value


@pytest.mark.parametrize("k", [1, 3, 5])
def test_prdc_is_the_loop_over_pairs(k):
    x, y = normals(0, 40), normals(1, 30, shift=1.6)
    got = precision_recall_density_coverage(x, y, k=k)
    assert values(got) == pytest.approx(loop_prdc(x, y, k), rel=1e-12)
    assert 0.1 < got.precision.value < 1
    assert 0.1 < got.recall.value < 1


def test_prdc_by_blocks_is_prdc_at_once(monkeypatch):
    from tfgan_lab.metrics import neighbours

    x, y = normals(2, 300), normals(3, 250, shift=0.5)
    whole = precision_recall_density_coverage(x, y)
    # One row of 250 float64 distances is 0.002 MiB: many blocks.
    monkeypatch.setattr(neighbours, "CHUNK_MIB", 0.02)
    assert precision_recall_density_coverage(x, y) == whole


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_prdc_properties(seed, scale, shift):
    x, y = normals(seed, 30), normals(seed + 1, 25, shift=0.5)
    same = precision_recall_density_coverage(x, x)
    assert (same.precision.value, same.recall.value, same.coverage.value) == (1, 1, 1)
    assert 1 <= same.density.value <= 1.2
    plain = values(precision_recall_density_coverage(x, y, k=3))
    rng = np.random.default_rng(seed)
    shuffled = precision_recall_density_coverage(x[rng.permutation(30)], y[rng.permutation(25)], k=3)
    assert values(shuffled) == pytest.approx(plain, rel=1e-12)
    moved = precision_recall_density_coverage(scale * x + shift, scale * y + shift, k=3)
    assert values(moved) == pytest.approx(plain, rel=1e-12)
    swapped = precision_recall_density_coverage(y, x, k=3)
    assert swapped.precision.value == plain[1]
    assert swapped.recall.value == plain[0]


def test_prdc_tells_apart_what_it_should():
    modes = normals(4, 400, 2, scale=0.1) + np.repeat([[0, 0], [10, 10]], 200, axis=0)
    one_mode = normals(5, 400, 2, scale=0.1)
    got = precision_recall_density_coverage(modes, one_mode)
    assert got.precision.value > 0.9
    assert got.recall.value == pytest.approx(0.5, abs=0.05)
    assert got.coverage.value == pytest.approx(0.5, abs=0.05)
    far = precision_recall_density_coverage(modes, one_mode + 1000)
    assert values(far) == (0, 0, 0, 0)
    collapsed = precision_recall_density_coverage(modes, np.zeros((400, 2)))
    assert collapsed.recall.value == 0


def test_coverage_and_density_of_equal_laws_are_as_documented():
    got = precision_recall_density_coverage(normals(6, 3000, 2), normals(7, 3000, 2), k=3)
    assert got.coverage.value == pytest.approx(1 - 2**-3, abs=0.03)
    assert got.density.value == pytest.approx(1, abs=0.06)


def loop_nearest(rows: np.ndarray, point: np.ndarray, skip: int = -1) -> int:
    return min((float(((row - point) ** 2).sum()), i) for i, row in enumerate(rows) if i != skip)[1]


def test_nearest_neighbour_error_is_the_loop():
    generated, test = normals(8, 60), normals(9, 50)
    rng = np.random.default_rng(10)
    g_labels, t_labels = rng.integers(0, 3, 60), rng.integers(0, 3, 50)
    wrong = sum(g_labels[loop_nearest(generated, x)] != label for x, label in zip(test, t_labels, strict=True))
    got = nearest_neighbour_error(generated, g_labels, test, t_labels, num_classes=3)
    assert got.value == wrong / 50
    assert got.low < got.value < got.high


def test_nearest_neighbour_error_of_known_cases():
    centres = np.array([[0.0, 0], [10, 0], [0, 10]])
    labels = np.arange(90) % 3
    test = centres[labels] + normals(11, 90, 2)
    assert nearest_neighbour_error(test, labels, test, labels, num_classes=3).value == 0
    swapped = nearest_neighbour_error(test, (labels + 1) % 3, test, labels, num_classes=3)
    assert swapped.value == 1
    # A generator that never draws class 2 loses exactly that third.
    drawn = labels < 2
    assert nearest_neighbour_error(test[drawn], labels[drawn], test, labels, num_classes=3).value == 1 / 3


def test_two_sample_accuracy_is_the_loop():
    x, y = normals(12, 40), normals(13, 40, shift=0.8)
    pooled = np.concatenate([x, y])
    hits = [(loop_nearest(pooled, row, i) < 40) == (i < 40) for i, row in enumerate(pooled)]
    got = two_sample_accuracy(x, y)
    assert got.accuracy.value == np.mean(hits)
    assert got.real.value == np.mean(hits[:40])
    assert got.generated.value == np.mean(hits[40:])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_two_sample_accuracy_properties(seed):
    x, y = normals(seed, 30), normals(seed + 1, 30, shift=1.0)
    order = np.random.default_rng(seed).permutation(30)
    plain = two_sample_accuracy(x, y)
    assert two_sample_accuracy(x[order], y[order[::-1]]) == plain
    assert two_sample_accuracy(y, x).real == plain.generated
    assert two_sample_accuracy(x, x + 1e-6).accuracy.value == 0
    assert two_sample_accuracy(x, x + 1000).accuracy.value == 1


def test_two_sample_accuracy_of_equal_laws_is_a_half():
    got = two_sample_accuracy(normals(14, 2000, 2), normals(15, 2000, 2))
    assert got.accuracy.value == pytest.approx(0.5, abs=0.04)


def test_images_are_flattened():
    x, y = normals(16, 20, 48).reshape(20, 4, 4, 3), normals(17, 20, 48).reshape(20, 4, 4, 3)
    assert two_sample_accuracy(x, y) == two_sample_accuracy(x.reshape(20, 48), y.reshape(20, 48))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: precision_recall_density_coverage(normals(0, 5), normals(1, 9)), "real examples: 5 given"),
        (
            lambda: precision_recall_density_coverage(normals(0, 9), normals(1, 5)),
            "generated examples: 5 given",
        ),
        (lambda: precision_recall_density_coverage(normals(0, 9), normals(1, 9), k=0), "k=0"),
        (lambda: precision_recall_density_coverage(np.ones((9, 3)), normals(1, 9)), "all 9 rows are equal"),
        (lambda: precision_recall_density_coverage(normals(0, 9), np.full((9, 3), np.inf)), "infinite"),
        (lambda: two_sample_accuracy(normals(0, 9), normals(1, 8)), "9 examples but generated examples 8"),
        (lambda: two_sample_accuracy(normals(0, 9), normals(1, 9, 2)), "same feature extractor"),
        (
            lambda: nearest_neighbour_error(
                normals(0, 9), np.zeros(8, int), normals(1, 9), np.zeros(9, int), num_classes=2
            ),
            "one each",
        ),
        (
            lambda: nearest_neighbour_error(
                normals(0, 9), np.full(9, 2), normals(1, 9), np.zeros(9, int), num_classes=2
            ),
            "generated labels: class 2 at position 0",
        ),
        (
            lambda: nearest_neighbour_error(normals(0, 9), np.zeros(9, int), normals(1, 9), np.zeros(9, int)),
            "generated labels: 9 given, but this metric needs at least 10",
        ),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)
