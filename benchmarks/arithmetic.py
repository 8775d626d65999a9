"""How much arithmetic a step needs, and how fast this machine's best matrix product is."""

from __future__ import annotations

import time
from typing import Any


def peak_gflops() -> float:
    """The fastest of several TensorFlow matrix products, with the threads that it was started with."""
    import tensorflow as tf

    best = 0.0
    for rows, inner, columns in ((200, 784, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 1024, 1024)):
        a, b = (tf.random.stateless_normal(shape, [1, 2]) for shape in ([rows, inner], [inner, columns]))
        product = tf.function(tf.matmul)
        product(a, b)
        for _ in range(3):
            number = max(1, int(2e9 / (rows * inner * columns)))
            started = time.perf_counter()
            for _ in range(number):
                product(a, b)
            best = max(best, 2e-9 * rows * inner * columns * number / (time.perf_counter() - started))
    return best


def step_gflop(built: Any) -> float | None:
    """Matrix products that one step of an experiment needs, in 1e9 operations; None for convolutions.

    A layer's pass forward, the gradient of its weights and that of its inputs take a product each; what nobody needs is
    not counted: the gradient of a net's inputs where they are data or noise, D's weights in G's step, G in D's step.
    """
    config = built.config
    if config.kind != "gan" or any("conv" in layer.kind for layer in [*config.generator, *config.discriminator]):
        return None
    kernels = {
        role: [[int(size) for size in v.shape] for v in network.trainable_variables if len(v.shape) == 2]
        for role, network in built.networks.items()
    }
    whole = {role: sum(2 * a * b for a, b in shapes) for role, shapes in kernels.items()}
    first = {role: 2 * shapes[0][0] * shapes[0][1] for role, shapes in kernels.items()}
    rows = config.batch_size
    judged = 1 if config.data.batch_is_one_example else rows  # to D
    game, g, d = config.game, whole["generator"], whole["discriminator"]
    d_update = 2 * judged * (3 * d - first["discriminator"]) + (rows * g if game.fakes == "fresh" else 0)
    g_update = rows * (3 * g - first["generator"]) + judged * 2 * d
    return (game.d_steps * d_update + game.g_steps * g_update) / 1e9
