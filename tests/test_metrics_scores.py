"""Classifier score, label accuracy and mode histogram against loops and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgan_lab.errors import UserError
from tfgan_lab.metrics import classifier_score, label_accuracy, mode_histogram


def dirichlet(seed: int, n: int = 50, k: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.3), n)


def test_classifier_score_is_a_loop_of_kl():
    table = dirichlet(0)
    marginal = table.mean(axis=0)
    total = 0.0
    for row in table:
        total += sum(p * math.log(p / q) for p, q in zip(row, marginal, strict=True) if p > 0)
    assert classifier_score(table) == pytest.approx(math.exp(total / len(table)), rel=1e-9)


def test_classifier_score_reaches_its_ends():
    assert classifier_score(np.eye(10)[np.arange(200) % 10]) == pytest.approx(10, rel=1e-9)
    assert classifier_score(np.full((20, 10), 0.1)) == pytest.approx(1, rel=1e-9)
    assert classifier_score(np.eye(10)[np.zeros(20, int)]) == pytest.approx(1, rel=1e-9)
    # Four of ten classes, evenly.
    assert classifier_score(np.eye(10)[np.arange(40) % 4]) == pytest.approx(4, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_classifier_score_properties(seed):
    table = dirichlet(seed)
    rng = np.random.default_rng(seed)
    score = classifier_score(table)
    assert 1 <= score <= 4
    shuffled = table[rng.permutation(50)][:, rng.permutation(4)]
    assert classifier_score(shuffled) == pytest.approx(score, rel=1e-9)
    # Blending every row with the marginal can only take information away.
    assert classifier_score(0.5 * table + 0.5 * table.mean(axis=0)) < score


def test_classifier_score_bias_is_as_documented():
    rng = np.random.default_rng(0)
    scores = [classifier_score(np.eye(10)[rng.integers(0, 10, 100)]) for _ in range(300)]
    assert np.mean(scores) == pytest.approx(10 * (1 - 9 / 200), rel=0.005)


def test_label_accuracy_counts_by_hand():
    wanted = np.array([0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 0, 2, 1, 0, 3])
    got = label_accuracy(predicted, wanted, num_classes=4)
    assert got.overall.value == pytest.approx(4 / 6)
    assert [None if e is None else e.value for e in got.per_class] == [
        pytest.approx(2 / 3),
        0.5,
        None,
        1.0,
    ]
    assert got.overall.low < 4 / 6 < got.overall.high


def test_label_accuracy_interval_is_wilsons_formula():
    wanted = np.zeros(200, int)
    predicted = np.where(np.arange(200) < 190, 0, 1)
    z, n, p = 1.959963984540054, 200, 0.95
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    got = label_accuracy(predicted, wanted).overall
    assert got.low == pytest.approx((centre - half) / (1 + z * z / n), rel=1e-6)
    assert got.high == pytest.approx((centre + half) / (1 + z * z / n), rel=1e-6)


def test_mode_histogram_against_scipy_entropy():
    from scipy.stats import entropy

    predicted = np.repeat([0, 1, 3], [50, 30, 20])
    data = np.repeat([0, 1, 2, 3], [10, 20, 30, 40])
    got = mode_histogram(predicted, 4, data)
    assert got.counts == (50, 30, 0, 20)
    assert got.missing == (2,)
    assert got.kl_uniform == pytest.approx(entropy([50, 30, 0, 20], [1, 1, 1, 1]), rel=1e-9)
    assert got.kl_data == pytest.approx(entropy([50, 30, 0, 20], [10, 20, 30, 40]), rel=1e-9)
    assert mode_histogram(predicted, 4).kl_data is None


def test_rare_classes_can_count_as_missing():
    predicted = np.repeat([0, 1, 2], [500, 490, 10])
    assert mode_histogram(predicted, 3).missing == ()
    assert mode_histogram(predicted, 3, rare=0.1).missing == (2,)
    # The data has few of class 2 as well.
    assert mode_histogram(predicted, 3, np.repeat([0, 1, 2], [50, 49, 1]), rare=0.1).missing == ()


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=3, max_size=6), factor=st.integers(1, 4))
def test_mode_histogram_properties(counts, factor):
    k = len(counts)
    labels = np.repeat(np.arange(k), counts)
    got = mode_histogram(np.random.default_rng(0).permutation(np.repeat(labels, factor)), k, labels)
    assert got.kl_data == pytest.approx(0, abs=1e-12)
    assert 0 <= got.kl_uniform <= math.log(k)
    assert got.kl_uniform == pytest.approx(mode_histogram(labels, k).kl_uniform, abs=1e-12)
    assert mode_histogram(np.arange(k * factor) % k, k).kl_uniform == pytest.approx(0, abs=1e-12)
    assert mode_histogram(np.zeros(k, int), k).kl_uniform == pytest.approx(math.log(k), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: classifier_score(np.full((9, 10), 0.1)), "9 given, but this metric needs at least 10"),
        (lambda: classifier_score(np.random.default_rng(0).normal(size=(20, 10))), "not logits"),
        (lambda: classifier_score(np.full((20, 10), np.nan)), "NaN"),
        (lambda: classifier_score(np.ones((20, 1))), "two classes or more"),
        (lambda: label_accuracy([0, 1], [0, 10]), "class 10 at position 1 is outside 0..9"),
        (lambda: label_accuracy([0, -1], [0, 1]), "class -1 at position 1"),
        (lambda: label_accuracy([0, 1, 2], [0, 1]), "3 examples but wanted labels 2"),
        (lambda: label_accuracy(np.zeros((4, 10)), [0, 1, 2, 3]), "not a vector of class numbers"),
        (lambda: label_accuracy(np.zeros(0, int), np.zeros(0, int)), "at least 1"),
        (lambda: mode_histogram([0, 1, 2]), "needs at least 10"),
        (lambda: mode_histogram(np.arange(4), 4, [0, 1, 3]), "no example of class 2"),
        (lambda: mode_histogram(np.arange(4), 4, rare=1.0), "rare=1.0"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\\n" not in str(caught.value)
