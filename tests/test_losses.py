"""The losses against their formulas in float64, their gradients against finite differences, and the table's rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tfgan_lab.config import override
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.losses import LOSSES, Loss, make_loss, sigmoid_cross_entropy

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(scale=4, size=49), RNG.normal(scale=4, size=49)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# What the papers write, in probabilities or logits, as NumPy computes it: D's terms and G's loss.
WRITTEN: dict[str, Any] = {
    "non_saturating": (
        {"d_real": lambda r, f: -np.log(sigmoid(r)), "d_fake": lambda r, f: -np.log(1 - sigmoid(f))},
        lambda r, f: -np.log(sigmoid(f)),
    ),
    "minimax": (
        {"d_real": lambda r, f: -np.log(sigmoid(r)), "d_fake": lambda r, f: -np.log(1 - sigmoid(f))},
        lambda r, f: np.log(1 - sigmoid(f)),
    ),
    "least_squares": (
        {"d_real": lambda r, f: (r - 1) ** 2 / 2, "d_fake": lambda r, f: f**2 / 2},
        lambda r, f: (f - 1) ** 2 / 2,
    ),
    "hinge": (
        {"d_real": lambda r, f: np.maximum(0, 1 - r), "d_fake": lambda r, f: np.maximum(0, 1 + f)},
        lambda r, f: -f,
    ),
    "wasserstein": ({"d_real": lambda r, f: -r, "d_fake": lambda r, f: f}, lambda r, f: -f),
    "relativistic": ({"d_pair": lambda r, f: -np.log(sigmoid(r - f))}, lambda r, f: -np.log(sigmoid(f - r))),
}


def terms_of(loss: Loss) -> dict[str, Any]:
    return {**loss.d, "g": loss.g}


def test_every_loss_has_its_formula_here() -> None:
    assert set(WRITTEN) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_the_papers_formulas(name: str) -> None:
    d, g = WRITTEN[name]
    found = terms_of(make_loss(name))
    assert list(found) == [*d, "g"]
    for term, formula in {**d, "g": g}.items():
        values = found[term](tf.constant(REAL), tf.constant(FAKE))
        assert values.shape == REAL.shape, "per example, not averaged"
        assert_allclose(values, formula(REAL, FAKE), rtol=1e-9, err_msg=term)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name: str) -> None:
    # The hinge has corners; none of these logits is within a step of one.
    epsilon = 1e-6
    for term, function in terms_of(make_loss(name)).items():
        for position in (0, 1):
            logits = [tf.Variable(REAL), tf.Variable(FAKE)]
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(function(*logits))
            gradient = tape.gradient(value, logits[position])
            shifted = [[REAL, FAKE] for _ in range(2)]
            for sign, arguments in zip((1, -1), shifted, strict=True):
                arguments[position] = arguments[position] + sign * epsilon
            up, down = (np.asarray(function(*map(tf.constant, arguments))) for arguments in shifted)
            expected = (up - down) / (2 * epsilon)
            found = np.zeros_like(REAL) if gradient is None else gradient.numpy()
            assert_allclose(found, expected, atol=1e-7, err_msg=f"{term} by {('real', 'fake')[position]} logits")


def written_in_torch() -> dict[str, Any]:
    """D's terms and G's loss as programs in PyTorch write them."""
    functional = pytest.importorskip("torch").nn.functional
    bce = functional.binary_cross_entropy_with_logits

    def entropy(logits: Any, target: float) -> Any:
        return bce(logits, logits.new_full(logits.shape, target), reduction="none")

    def square(logits: Any, target: float) -> Any:
        return functional.mse_loss(logits, logits.new_full(logits.shape, target), reduction="none") / 2

    d_entropies = {"d_real": lambda r, f: entropy(r, 1.0), "d_fake": lambda r, f: entropy(f, 0.0)}
    return {
        "non_saturating": (d_entropies, lambda r, f: entropy(f, 1.0)),
        "minimax": (d_entropies, lambda r, f: -entropy(f, 0.0)),
        "least_squares": (
            {"d_real": lambda r, f: square(r, 1.0), "d_fake": lambda r, f: square(f, 0.0)},
            lambda r, f: square(f, 1.0),
        ),
        "hinge": (
            {"d_real": lambda r, f: functional.relu(1 - r), "d_fake": lambda r, f: functional.relu(1 + f)},
            lambda r, f: -f,
        ),
        "wasserstein": ({"d_real": lambda r, f: -r, "d_fake": lambda r, f: f}, lambda r, f: -f),
        "relativistic": (
            {"d_pair": lambda r, f: functional.softplus(f - r)},
            lambda r, f: functional.softplus(r - f),
        ),
    }


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_those_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    d, g = written_in_torch()[name]
    found = terms_of(make_loss(name))
    assert list(found) == [*d, "g"]
    for term, theirs in {**d, "g": g}.items():
        logits = [tf.Variable(REAL), tf.Variable(FAKE)]
        with tf.GradientTape() as tape:
            values = found[term](*map(tf.convert_to_tensor, logits))
        tensors = [torch.tensor(part, requires_grad=True) for part in (REAL, FAKE)]
        expected = theirs(*tensors)
        assert_allclose(values, expected.detach(), rtol=1e-12, atol=1e-14, err_msg=term)
        expected.sum().backward()
        for ours, tensor in zip(tape.gradient(values, logits), tensors, strict=True):
            assert (ours is None) == (tensor.grad is None)
            if ours is not None:
                assert_allclose(ours, tensor.grad, rtol=1e-12, atol=1e-14, err_msg=term)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_smoothing_moves_the_real_target_alone(smoothing: float) -> None:
    loss, D = make_loss("non_saturating", smoothing), sigmoid(REAL)
    expected = -(1 - smoothing) * np.log(D) - smoothing * np.log(1 - D)
    assert_allclose(loss.d["d_real"](tf.constant(REAL), None), expected, rtol=1e-9)
    assert_allclose(loss.d["d_fake"](None, tf.constant(FAKE)), -np.log(1 - sigmoid(FAKE)), rtol=1e-9)
    # Its least value is where D(x) = 1 - smoothing, not at certainty.
    grid = np.linspace(-6, 6, 241)
    least = grid[np.argmin(loss.d["d_real"](tf.constant(grid), None))]
    assert sigmoid(least) == pytest.approx(1 - smoothing, abs=0.01)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_finite_at_extremes(name: str) -> None:
    logits = tf.constant([-1000.0, -100.0, 0.0, 100.0, 1000.0])
    for function in terms_of(make_loss(name)).values():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            values = function(logits, tf.reverse(logits, [0]))
        assert values.dtype == tf.float32
        assert np.isfinite(values).all()
        gradient = tape.gradient(values, logits)
        assert gradient is not None and np.isfinite(gradient).all()


def test_logits_far_out_lose_no_digits() -> None:
    extremes = tf.constant([-1000.0, 1000.0])
    assert_allclose(sigmoid_cross_entropy(extremes, 1.0), [1000, 0], atol=1e-6)
    assert_allclose(sigmoid_cross_entropy(extremes, 0.0), [0, 1000], atol=1e-6)
    assert_allclose(sigmoid_cross_entropy(extremes, 0.9), [900, 100], rtol=1e-6)
    assert_allclose(sigmoid_cross_entropy(tf.constant([-50.0]), 0.0), np.exp(-50.0), rtol=1e-5)
    assert_allclose(sigmoid_cross_entropy(tf.constant([50.0]), 1.0), np.exp(-50.0), rtol=1e-5)


@given(st.floats(-30, 30), st.floats(0, 1))
def test_cross_entropys_gradient_is_d_minus_target(logit: float, target: float) -> None:
    logits = tf.constant([logit], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = sigmoid_cross_entropy(logits, target)
    assert_allclose(tape.gradient(loss, logits), sigmoid(np.array([logit])) - target, atol=1e-9)


def test_what_makes_no_sense_is_refused_in_one_line() -> None:
    config: Any = load_config("mlp_gan")
    for fields, words in [
        ({"game.loss": "hing"}, "there is no loss 'hing'. Did you mean 'hinge'"),
        ({"game.loss": "wassertein"}, "Did you mean 'wasserstein'"),
        ({"game.loss": "mine"}, "name that file with --config"),
        (
            {"log_losses": "after_update", "game.d_steps": "3", "game.fresh_real": "true"},
            "game.fresh_real takes 3: use log_losses='step'",
        ),
        *(
            ({"game.loss": name, "game.smoothing": "0.1"}, "game.smoothing is a target of cross-entropy")
            for name in ("least_squares", "hinge", "wasserstein", "relativistic")
        ),
        ({"game.loss": "relativistic", "game.d_update": "separate"}, "needs game.d_update='joint'"),
    ]:
        with pytest.raises(UserError) as refused:
            override(config, fields)
        assert words in str(refused.value)
        assert "\\n" not in str(refused.value)
    for harmless in ({"game.d_steps": "3"}, {"game.fresh_real": "true"}):
        assert override(config, {"log_losses": "after_update"} | harmless)
