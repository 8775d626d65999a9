"""The arithmetic draws what TensorFlow's ops draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab import philox
from tfgan_lab.randomness import step_seed, stream_key

SEEDS = [[stream_key(0, "a"), 0], [stream_key(1, "b"), 5_000_000_011], [-3, 2**62 + 1]]


def arithmetic_of(draw: Callable[..., Any], jit: bool, how: Any = philox.in_arithmetic) -> Callable[..., Any]:
    def traced(*given: Any) -> Any:
        with how():
            return draw(*given)

    program = tf.function(traced, jit_compile=jit, autograph=False)
    return lambda *given: tf.nest.map_structure(lambda x: x.numpy(), program(*given))


def by_arithmetic(draw: Callable[[], Any], jit: bool, how: Any = philox.in_arithmetic) -> np.ndarray:
    return arithmetic_of(draw, jit, how)()


@pytest.mark.parametrize("jit", [False, True])
def test_uniform_numbers_and_integers_are_tensorflows_to_the_bit(jit: bool) -> None:
    ops, shapes = tf.random.stateless_uniform, ([1], [7], [13, 3], [2, 5, 6])
    draw = lambda s, key: (philox.uniform(s, key), philox.integers(s, key, 0, 10), philox.uniform(s, key, -1.0, 1.0))
    program = arithmetic_of(lambda key: [draw(shape, key) for shape in shapes], jit)
    for key in tf.constant(SEEDS, tf.int64):
        for shape, (units, integers, symmetric) in zip(shapes, program(key), strict=True):
            expected = ops(shape, key, alg="philox").numpy()
            assert_array_equal(units, expected)
            assert_array_equal(philox.uniform(shape, key), expected)
            assert_array_equal(integers, ops(shape, key, 0, 10, tf.int32, alg="philox"))
            # One multiplication and one addition, which a compiler may round once.
            assert_allclose(symmetric, ops(shape, key, -1.0, 1.0, alg="philox"), rtol=0, atol=1e-7)


@pytest.mark.parametrize("jit", [False, True])
def test_normal_numbers_are_tensorflows_to_the_last_places(jit: bool) -> None:
    key = tf.constant(SEEDS[1], tf.int64)
    expected = tf.random.stateless_normal([20_001], key, alg="philox").numpy()
    found = by_arithmetic(lambda: philox.normal([20_001], key), jit)
    assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert (found == expected).mean() > 0.5


@pytest.mark.parametrize(("seed", "at"), [(1001, 14128), (1036, 12652), (1646, 13158)])
def test_the_ends_of_the_bell_are_tensorflows(seed: int, at: int) -> None:
    """Where a uniform number is 0, its logarithm is bounded: these places were searched for, one in 2^23 is such."""
    key = tf.constant([seed, 0], tf.int64)
    assert philox.uniform([16384], key)[at] == 0
    expected = tf.random.stateless_normal([16384], key, alg="philox").numpy()[at : at + 2]
    assert np.hypot(*expected) == pytest.approx(np.sqrt(-2 * np.log(1e-7)), rel=1e-6)
    assert_allclose(by_arithmetic(lambda: philox.normal([16384], key), jit=False)[at : at + 2], expected, rtol=2e-6)


def test_many_seeds_draw_as_each_alone() -> None:
    keys = tf.constant(SEEDS, tf.int64)
    for draw in (philox.uniform, philox.normal):
        alone = np.stack([draw([5, 2], key).numpy() for key in tf.unstack(keys)])
        assert_array_equal(draw([5, 2], keys), alone)
        assert_allclose(by_arithmetic(lambda d=draw: d([5, 2], keys), jit=False), alone, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("keys", [SEEDS[1], SEEDS], ids=["one seed", "three seeds"])
def test_a_loop_of_rounds_draws_the_same_bits(keys: Any) -> None:
    draw = lambda: philox.uniform([5, 7], tf.constant(keys, tf.int64))
    assert_array_equal(by_arithmetic(draw, False, philox.outside_of_xla), by_arithmetic(draw, jit=False))


@pytest.mark.parametrize("shape", [[3], [37, 9], [4100], [500, 254]])
def test_what_a_seed_draws_does_not_depend_on_those_beside_it(shape: list[int]) -> None:
    """TensorFlow's kernels round logarithm, sine and cosine otherwise where a vector register is not full."""
    seeds = step_seed(7, tf.range(5, dtype=tf.int64))
    for draw in (philox.normal, philox.uniform, lambda *given: philox.integers(*given, 0, 10)):
        all_five, last = (
            by_arithmetic(lambda s=s, d=draw: d(shape, s), False, philox.outside_of_xla) for s in (seeds, seeds[4:])
        )
        assert_array_equal(all_five[4:], last)
        assert_allclose(last[0], draw(shape, seeds[4]), rtol=2e-6, atol=2e-6)


def test_seeds_of_many_steps_are_those_of_each() -> None:
    steps = tf.constant([0, 1, 2**40], tf.int64)
    together = step_seed(7, steps)
    assert_array_equal(together, [step_seed(7, step).numpy() for step in steps])
