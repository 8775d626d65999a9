"""A config's game as one writes it in JAX: networks as functions, optax, data on the device, many jitted steps a call.

It walks the same lists of layers; everything else is JAX's own: its random numbers (Philox by XLA: faster here than
threefry), its gradients, one fori_loop over steps with donated state. Running statistics of BatchNorm, which training
does not need, are left out, and rows are drawn with replacement: both save it work.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tfgan_lab.config import Adam

jax.config.update("jax_default_prng_impl", "unsafe_rbg")
Params = list[Any]


def make(layers: list[Any], shape: tuple[int, ...], num_labels: int, random: np.random.Generator) -> tuple[Params, Any]:
    """Start weights of a list of layers, and the shape [..] of what comes out."""
    params: Params = []
    for layer in layers:
        kind, width = type(layer).__name__, math.prod(shape)
        found: dict[str, Any] = {}
        if kind in ("Dense", "Maxout"):
            units = layer.units * getattr(layer, "pieces", 1)
            found = {"w": 0.02 * random.standard_normal((width, units), np.float32), "b": np.zeros(units, np.float32)}
            shape = (layer.units,)
        elif kind == "Conv":
            size = (layer.kernel_size, layer.kernel_size, shape[-1], layer.filters)
            found = {"w": 0.1 * random.standard_normal(size, np.float32), "b": np.zeros(layer.filters, np.float32)}
            shape = (*((n - layer.kernel_size) // layer.stride + 1 for n in shape[:2]), layer.filters)
        elif kind in ("BatchNorm", "LayerNorm"):
            found = {"w": np.ones(shape[-1:], np.float32), "b": np.zeros(shape[-1:], np.float32)}
        elif kind == "ConcatLabel":
            shape = (width + num_labels,)
        elif kind == "Join":
            x, x_shape = make(layer.layers, shape, num_labels, random)
            y, y_shape = make(layer.label, (num_labels,), num_labels, random)
            found, shape = {"x": x, "y": y}, (math.prod(x_shape) + math.prod(y_shape),)
        elif kind == "Flatten":
            shape = (width,)
        elif kind == "Sets":
            shape = (layer.size,)
        elif kind == "AppendDeviations":
            shape = (2 * width,)
        params.append(found)
    return params, shape


def apply(layers: list[Any], params: Params, x: Any, y: Any, key: Any, training: bool = True) -> Any:
    """The network's output on x [B, …] and one-hot labels y [B, K] or None."""
    for number, (layer, of) in enumerate(zip(layers, params, strict=True)):
        key_now = jax.random.fold_in(key, number)
        match type(layer).__name__:
            case "Dense":
                x = x @ of["w"] + of["b"]
            case "Maxout":
                x = (x @ of["w"] + of["b"]).reshape(len(x), layer.units, layer.pieces).max(-1)
            case "Conv":
                steps, names = (layer.stride, layer.stride), ("NHWC", "HWIO", "NHWC")
                x = jax.lax.conv_general_dilated(x, of["w"], steps, "VALID", dimension_numbers=names) + of["b"]
            case "BatchNorm" | "LayerNorm" as kind:
                axes = tuple(range(x.ndim - 1)) if kind == "BatchNorm" else -1
                mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
                x = (x - mean) * jax.lax.rsqrt(variance + layer.epsilon) * of["w"] + of["b"]
            case "LeakyReLU":
                x = jax.nn.leaky_relu(x, layer.negative_slope)
            case "ReLU":
                x = jax.nn.relu(x)
            case "ELU":
                x = jax.nn.elu(x)
            case "Tanh":
                x = jnp.tanh(x)
            case "Sigmoid":
                x = jax.nn.sigmoid(x)
            case "Dropout":
                if training:
                    kept = jax.random.bernoulli(key_now, 1 - layer.rate, x.shape)
                    x = jnp.where(kept, x / (1 - layer.rate), 0)
            case "ConcatLabel":
                x = jnp.concatenate([x, y], -1)
            case "Join":
                sides = ((layer.layers, of["x"], x), (layer.label, of["y"], y))
                x = jnp.concatenate(
                    [apply(*side, y, jax.random.fold_in(key_now, i)) for i, side in enumerate(sides)], -1
                )
            case "Sets":
                x = x.reshape(-1, layer.size)
            case "AppendDeviations":
                difference = x - jax.lax.stop_gradient(x.mean(-1, keepdims=True))
                x = jnp.concatenate([x, difference**layer.exponent], -1)
            case "Flatten":
                x = x.reshape(len(x), -1)
            case "Reshape":
                pass  # D flattens it again
            case other:
                raise NotImplementedError(f"the JAX peer has no {other}")
    return x


def _optimizer(of: Any) -> Any:
    if isinstance(of, Adam):
        return optax.adam(of.learning_rate, of.beta_1, of.beta_2, of.epsilon)
    return optax.sgd(of.learning_rate, of.momentum)


def _loss(logits: Any, target: float) -> Any:
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, target)).mean()


def program(config: Any, images: np.ndarray | None, labels: np.ndarray | None) -> Callable[[int], None]:
    """A function that runs n steps of a config's training.

    Args:
      config: Ours: a GAN of dense layers, or a classifier.
      images: uint8 [N, 28, 28, 1]; None for a law's numbers.
      labels: [N].
    """
    scale, shift = (2, -1) if config.data.pixels == "tanh" else (1, 0)
    data = None if images is None else jnp.asarray(images)
    numbers = None if labels is None else jnp.asarray(labels, jnp.int32)

    def batch(key: Any) -> tuple[Any, Any]:
        if data is None or numbers is None:
            return config.data.mean + config.data.std * jax.random.normal(key, (config.batch_size, 1)), None
        rows = jax.random.randint(key, (config.batch_size,), 0, len(data))
        x = data[rows].astype(jnp.float32) * (scale / 255) + shift
        return x, numbers[rows]

    state, step = (_gan if config.kind == "gan" else _classifier)(config, batch)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(state: Any, key: Any, steps: Any) -> Any:
        return jax.lax.fori_loop(0, steps, lambda i, state: step(state, jax.random.fold_in(key, i)), state)

    calls = 0

    def go(steps: int) -> None:
        nonlocal state, calls
        calls += 1
        state = jax.block_until_ready(run(state, jax.random.key(calls), steps))

    return go


def _classifier(config: Any, batch: Any) -> tuple[Any, Any]:
    params, _ = make(config.classifier, (28, 28, 1), 0, np.random.default_rng(0))
    optimizer = _optimizer(config.optimizer)

    def loss(params: Params, x: Any, y: Any) -> Any:
        logits = apply(config.classifier, params, x, None, jax.random.key(0))
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def step(state: Any, key: Any) -> Any:
        params, memory = state
        updates, memory = optimizer.update(jax.grad(loss)(params, *batch(key)), memory)
        return optax.apply_updates(params, updates), memory

    return (params, optimizer.init(params)), step


def _gan(config: Any, batch: Any) -> tuple[Any, Any]:
    game, classes, rows = config.game, config.num_labels, config.batch_size
    random = np.random.default_rng(0)
    sides = {"g": (config.generator, (config.latents.dim,)), "d": (config.discriminator, config.data.shape)}
    params = {side: make(layers, shape, classes, random)[0] for side, (layers, shape) in sides.items()}
    optimizers = {"g": _optimizer(config.g_optimizer), "d": _optimizer(config.d_optimizer)}
    half = 0.5 if game.d_loss == "half_sum" else 1.0
    mixes = any(type(layer).__name__ == "BatchNorm" for layer in config.discriminator)

    def one_hot(labels: Any) -> Any:
        return jax.nn.one_hot(labels, classes) if classes else None

    def latents(key: Any) -> tuple[Any, Any]:
        shape, kind = (rows, config.latents.dim), config.latents.distribution
        z = jax.random.normal(key, shape) if kind == "normal" else jax.random.uniform(key, shape)
        z = 2 * z - 1 if kind == "uniform" else z
        asked = jax.random.randint(jax.random.fold_in(key, 1), (rows,), 0, classes) if classes else None
        return z, one_hot(asked)

    def fakes(g: Params, z: Any, y: Any, key: Any) -> Any:
        return apply(config.generator, g, z, y, key).reshape(rows, *config.data.shape)

    def logits(d: Params, x: Any, y: Any, key: Any, training: bool = True) -> Any:
        return apply(config.discriminator, d, x, y, key, training)

    def real_loss(d: Params, x: Any, y: Any, key: Any) -> Any:
        return _loss(logits(d, x, y, key), 1 - game.smoothing)

    def fake_loss(d: Params, x: Any, y: Any, key: Any) -> Any:
        return _loss(logits(d, x, y, key), 0.0)

    def d_loss(d: Params, real: Any, real_y: Any, fake: Any, fake_y: Any, key: Any) -> Any:
        if mixes:
            one, two = jax.random.split(key)
            return half * (real_loss(d, real, real_y, one) + fake_loss(d, fake, fake_y, two))
        both_y = None if real_y is None else jnp.concatenate([real_y, fake_y])
        out = logits(d, jnp.concatenate([real, fake]), both_y, key)
        on_real, on_fake = jnp.split(out, 2)
        return half * (_loss(on_real, 1 - game.smoothing) + _loss(on_fake, 0.0))

    def g_loss(g: Params, d: Params, z: Any, y: Any, keys: Any) -> tuple[Any, Any]:
        fake = fakes(g, z, y, keys[0])
        return _loss(logits(d, fake, y, keys[1], game.d_dropout_in_g_step), 1.0), fake

    def update(side: str, state: Any, gradients: Any) -> Any:
        params, memory = state[side]
        updates, memory = optimizers[side].update(gradients, memory)
        return state | {side: (optax.apply_updates(params, updates), memory)}

    def d_step(state: Any, real: Any, real_y: Any, fake: Any, fake_y: Any, key: Any) -> Any:
        if game.d_update == "joint":
            return update("d", state, jax.grad(d_loss)(state["d"][0], real, real_y, fake, fake_y, key))
        one, two = jax.random.split(key)
        state = update("d", state, jax.grad(real_loss)(state["d"][0], real, real_y, one))
        return update("d", state, jax.grad(fake_loss)(state["d"][0], fake, fake_y, two))

    def g_step(state: Any, z: Any, y: Any, keys: Any) -> tuple[Any, Any]:
        gradients, fake = jax.grad(g_loss, has_aux=True)(state["g"][0], state["d"][0], z, y, keys)
        return update("g", state, gradients), fake

    def step(state: Any, key: Any) -> Any:
        keys = jax.random.split(key, 8)
        real, real_labels = batch(keys[0])
        real_y = one_hot(real_labels)
        z, y = latents(keys[1])
        if game.fakes == "shared" and game.first == "generator":
            state, fake = g_step(state, z, y, keys[2:4])
            return d_step(state, real, real_y, fake, y, keys[4])
        state = d_step(state, real, real_y, fakes(state["g"][0], z, y, keys[2]), y, keys[4])
        z, y = (z, y) if game.fakes == "shared" else latents(keys[5])
        return g_step(state, z, y, keys[6:8])[0]

    return {side: (of, optimizers[side].init(of)) for side, of in params.items()}, step
