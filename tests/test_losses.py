"""The losses against their formulas in float64, and their gradients against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tfgan_lab.losses import GENERATOR_LOSSES, fake_loss, minimax, non_saturating, real_loss, sigmoid_cross_entropy

LOGITS = np.linspace(-12, 12, 49)
D = 1 / (1 + np.exp(-LOGITS))  # D(x), what the posts' formulas speak of


def test_losses_are_the_posts_logarithms() -> None:
    given_logits = tf.constant(LOGITS, tf.float64)
    assert_allclose(real_loss(given_logits), -np.log(D), rtol=1e-9)
    assert_allclose(fake_loss(given_logits), -np.log(1 - D), rtol=1e-9)
    assert_allclose(non_saturating(given_logits), -np.log(D), rtol=1e-9)
    assert_allclose(minimax(given_logits), np.log(1 - D), rtol=1e-9)
    assert set(GENERATOR_LOSSES) == {"non_saturating", "minimax"}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_smoothing_moves_the_real_target_alone(smoothing: float) -> None:
    expected = -(1 - smoothing) * np.log(D) - smoothing * np.log(1 - D)
    assert_allclose(real_loss(tf.constant(LOGITS, tf.float64), smoothing), expected, rtol=1e-9)
    # Its least value is where D(x) = 1 - smoothing, not at certainty.
    if smoothing:
        assert_allclose(D[np.argmin(expected)], 1 - smoothing, atol=0.06)


@pytest.mark.parametrize("loss", [real_loss, fake_loss, non_saturating, minimax, lambda x: real_loss(x, 0.1)])
def test_losses_are_per_example_and_finite_at_extremes(loss: Any) -> None:
    logits = tf.constant([-1000.0, -100.0, 0.0, 100.0, 1000.0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        values = loss(logits)
    assert values.shape == (5,)
    assert values.dtype == tf.float32
    assert np.isfinite(values).all()
    gradient = tape.gradient(values, logits).numpy()
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient) <= 1).all()


def test_extremes_have_their_values() -> None:
    extremes = tf.constant([-1000.0, 1000.0])
    assert_allclose(real_loss(extremes), [1000, 0], atol=1e-6)
    assert_allclose(fake_loss(extremes), [0, 1000], atol=1e-6)
    assert_allclose(minimax(extremes), [0, -1000], atol=1e-6)
    assert_allclose(real_loss(extremes, 0.1), [900, 100], rtol=1e-6)


def test_certain_answers_keep_their_precision() -> None:
    """log(1 - D) through a rounded probability would be 0 or -inf here."""
    assert_allclose(fake_loss(tf.constant([-50.0])), np.exp(-50.0), rtol=1e-5)
    assert_allclose(real_loss(tf.constant([50.0])), np.exp(-50.0), rtol=1e-5)


@pytest.mark.parametrize("logits", [LOGITS[LOGITS != 0], np.zeros(1)], ids=["elsewhere", "at zero"])
@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        (real_loss, lambda d: d - 1),
        (lambda x: real_loss(x, 0.1), lambda d: d - 0.9),
        (fake_loss, lambda d: d),
        (non_saturating, lambda d: d - 1),
        (minimax, lambda d: -d),
    ],
    ids=["real", "smoothed", "fake", "non_saturating", "minimax"],
)
def test_gradients_are_the_closed_forms(loss: Any, gradient: Any, logits: np.ndarray) -> None:
    x = tf.constant(logits, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values = loss(x)
    assert_allclose(tape.gradient(values, x), gradient(1 / (1 + np.exp(-logits))), rtol=1e-9)


@given(st.floats(-700, 700), st.floats(0, 1))
def test_cross_entropy_against_logaddexp(logit: float, target: float) -> None:
    expected = target * np.logaddexp(0, -logit) + (1 - target) * np.logaddexp(0, logit)
    assert_allclose(sigmoid_cross_entropy(tf.constant([logit], tf.float64), target), [expected], rtol=1e-9, atol=1e-300)
    assert sigmoid_cross_entropy(tf.constant([logit], tf.float64), target)[0] >= 0
