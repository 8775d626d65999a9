"""Stateless random numbers, as TensorFlow's ops draw them or, where XLA compiles, by the same arithmetic.

Compiled by XLA, TensorFlow's own `stateless_*` ops give other numbers and are slow on CPUs. So inside `in_arithmetic`
the same numbers are computed from their definition (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3",
Philox 4x32-10; keys and counters as TensorFlow derives them from a seed): integers and uniform numbers to the bit,
normal ones to the last places of the logarithm, sine and cosine.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

_WORDS: contextvars.ContextVar[Any] = contextvars.ContextVar("philox_words", default=None)
_Words = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
# Logarithm, sine and cosine round otherwise where TensorFlow's kernels do not compute so many numbers at once (AVX-512):
# with whole multiples, what a seed gives does not depend on how many others stand beside it.
_ALIGNED = 16
_MANY = 4096  # From so many numbers of a seed on, calling TensorFlow's kernel for each seed is faster.


def in_arithmetic() -> contextlib.AbstractContextManager[None]:
    """What is traced inside draws by arithmetic, for XLA to fuse. Shapes must be known when it is traced."""
    return _by(lambda seed, count: _by_rounds(seed, -(-count // 4)))


def outside_of_xla() -> contextlib.AbstractContextManager[None]:
    """The same numbers for many seeds at once, by TensorFlow's kernels: integers and uniform numbers to the bit."""
    return _by(_words_outside)


@contextlib.contextmanager
def _by(words: Any) -> Iterator[None]:
    token = _WORDS.set(words)
    try:
        yield
    finally:
        _WORDS.reset(token)


def uniform(shape: Sequence[Any], seed: tf.Tensor, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """U(low, high): float32 [*shape] from a seed int64 [2]; from seeds [..., 2] [..., *shape], each as if alone."""
    if not _WORDS.get():
        return _each(lambda s: tf.random.stateless_uniform(shape, s, low, high, alg="philox"), seed)
    unit = _in_shape([_unit(word) for word in _words(seed, math.prod(shape))], seed, shape)
    return unit * (high - low) + low if (low, high) != (0.0, 1.0) else unit


def normal(shape: Sequence[Any], seed: tf.Tensor) -> tf.Tensor:
    """N(0, 1) by Box and Muller's method; shapes as in `uniform`."""
    if not _WORDS.get():
        return _each(lambda s: tf.random.stateless_normal(shape, s, alg="philox"), seed)
    units = [_unit(word) for word in _words(seed, math.prod(shape))]
    numbers = []
    for first, second in (units[:2], units[2:]):
        radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first, 1e-7)))
        # The angle's product is taken in double precision and rounded once, as in TensorFlow's kernel.
        angle = tf.cast(tf.cast(second, tf.float64) * (2 * math.pi), tf.float32)
        numbers += [tf.sin(angle) * radius, tf.cos(angle) * radius]
    return _in_shape(numbers, seed, shape)


def integers(shape: Sequence[Any], seed: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Integers low … high - 1: int32; shapes as in `uniform`."""
    if not _WORDS.get():
        return _each(lambda s: tf.random.stateless_uniform(shape, s, low, high, tf.int32, alg="philox"), seed)
    words = [word % tf.constant(high - low, tf.uint32) for word in _words(seed, math.prod(shape))]
    return low + tf.cast(_in_shape(words, seed, shape), tf.int32)


def _each(draw: Any, seed: tf.Tensor) -> tf.Tensor:
    return draw(seed) if len(seed.shape) == 1 else tf.stack([_each(draw, one) for one in tf.unstack(seed)])


def _in_shape(words: Sequence[tf.Tensor], seed: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    lead = seed.shape[:-1].as_list()
    flat = tf.reshape(tf.stack(words, axis=-1), [*lead, -1])  # [..., 4 * groups]
    return tf.reshape(flat[..., : math.prod(shape)], [*lead, *shape])


def _words(seed: tf.Tensor, count: int) -> _Words:
    """Four uint32 tensors [..., groups], of `count` numbers or some more: number i is word i % 4 of group i // 4."""
    return _WORDS.get()(seed, count)


def _words_outside(seed: tf.Tensor, count: int) -> _Words:
    groups = -(-count // (4 * _ALIGNED)) * _ALIGNED
    return _by_kernels(seed, groups) if count >= _MANY else _by_rounds(seed, groups)


def _by_kernels(seed: tf.Tensor, groups: int) -> _Words:
    def draw(one: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([groups, 4], one, None, None, tf.uint32, alg="philox")

    drawn = tf.map_fn(draw, tf.reshape(seed, [-1, 2]), fn_output_signature=tf.uint32)
    return tuple(tf.unstack(tf.reshape(drawn, [*seed.shape[:-1], groups, 4]), axis=-1))


def _by_rounds(seed: tf.Tensor, groups: int) -> _Words:
    first, second = tf.unstack(tf.cast(seed, tf.uint64)[..., None], axis=-2)  # [..., 1] each
    fixed = (_word(0x3EC8F720), _word(0x02461E29))
    key_0, key_1, counter_2, counter_3 = _ten_rounds((*_halves(first), *_halves(second), *fixed))
    group = tf.cast(tf.range(groups), tf.uint32)  # [groups]
    zero = tf.zeros_like(group)
    return _ten_rounds((group + tf.zeros_like(key_0), zero, counter_2 + zero, counter_3 + zero, key_0, key_1))


def _ten_rounds(state: Sequence[tf.Tensor]) -> _Words:
    """As a loop: ten rounds one by one XLA computes again for every use of a number, and they take longer to compile."""
    shape = tf.broadcast_static_shape(state[0].shape, state[4].shape)
    words = [tf.broadcast_to(word, shape) for word in state[:4]]
    a, b, c, d, *_ = tf.while_loop(lambda *_: True, _round, (*words, *state[4:]), maximum_iterations=10)
    return a, b, c, d


def _round(a: Any, b: Any, c: Any, d: Any, k: Any, m: Any) -> Sequence[tf.Tensor]:
    """Of the counter's four words and the key's two."""
    xor = tf.bitwise.bitwise_xor
    (low_a, high_a), (low_c, high_c) = _halves(_product(a, 0xD2511F53)), _halves(_product(c, 0xCD9E8D57))
    key = k + _word(0x9E3779B9), m + _word(0xBB67AE85)
    return xor(xor(high_c, b), k), low_c, xor(xor(high_a, d), m), low_a, *key


def _product(word: tf.Tensor, factor: int) -> tf.Tensor:
    return tf.cast(word, tf.uint64) * tf.constant(factor, tf.uint64)


def _halves(double: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    high = tf.bitwise.right_shift(double, tf.constant(32, tf.uint64))
    return tf.cast(double, tf.uint32), tf.cast(high, tf.uint32)


def _unit(word: tf.Tensor) -> tf.Tensor:
    """The low 23 bits as the fraction of a float in [1, 2), less 1."""
    fraction = tf.bitwise.bitwise_and(word, _word(0x7FFFFF))
    return tf.bitcast(tf.bitwise.bitwise_or(fraction, _word(127 << 23)), tf.float32) - 1.0


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)
