"""Post P002, "Learning GAN", as a TensorFlow 1 program: a graph, a session, a feed_dict for every update."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
_Z, _UNITS, _PIXELS, _ALPHA, _SMOOTH, _RATE = 100, 128, 784, 0.01, 0.1, 0.002


class Program:
    """Generator 100-128-784, discriminator 784-128-1, Adam 0.002 for each, one set of latents for both updates."""

    def __init__(self, threads: int, seed: int = 0) -> None:
        graph = tf.Graph()
        with graph.as_default():
            v1.set_random_seed(seed)
            self.real = v1.placeholder(tf.float32, [None, _PIXELS])
            self.noise = v1.placeholder(tf.float32, [None, _Z])
            fakes = _generator(self.noise)
            real_logits, fake_logits = _discriminator(self.real, False), _discriminator(fakes, True)
            self.d_loss = _loss(real_logits, 1 - _SMOOTH) + _loss(fake_logits, 0.0)
            self.g_loss = _loss(fake_logits, 1.0)
            own = {role: [v for v in v1.trainable_variables() if v.name.startswith(role)] for role in "gd"}
            self.d_train = v1.train.AdamOptimizer(_RATE).minimize(self.d_loss, var_list=own["d"])
            self.g_train = v1.train.AdamOptimizer(_RATE).minimize(self.g_loss, var_list=own["g"])
            start = v1.global_variables_initializer()
        options = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
        self.session = v1.Session(graph=graph, config=options)
        self.session.run(start)


def train(images: np.ndarray, steps: int, program: Program, batch_size: int = 100) -> dict[str, Any]:
    """The post's inner loop on float32 images [N, 784] in [0, 1], kept in memory; "seconds" is of the loop alone."""
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    begin = time.perf_counter()
    for step in range(steps):
        place = step * batch_size % (len(images) - batch_size + 1)
        real = images[order[place : place + batch_size]] * 2 - 1
        noise = random.uniform(-1, 1, (batch_size, _Z))
        program.session.run(program.d_train, {program.real: real, program.noise: noise})
        program.session.run(program.g_train, {program.noise: noise})
    return {"steps": steps, "seconds": time.perf_counter() - begin}


def _dense(x: Any, units: int) -> Any:
    kernel = v1.get_variable("kernel", [x.shape[1], units], initializer=v1.glorot_uniform_initializer())
    return tf.matmul(x, kernel) + v1.get_variable("bias", [units], initializer=v1.zeros_initializer())


def _two_layers(x: Any, role: str, units: int, reuse: bool) -> Any:
    with v1.variable_scope(f"{role}/hidden", reuse=reuse):
        hidden = _dense(x, _UNITS)
    with v1.variable_scope(f"{role}/out", reuse=reuse):
        return _dense(tf.maximum(_ALPHA * hidden, hidden), units)


def _generator(noise: Any) -> Any:
    return tf.tanh(_two_layers(noise, "g", _PIXELS, False))


def _discriminator(images: Any, reuse: bool) -> Any:
    return _two_layers(images, "d", 1, reuse)


def _loss(logits: Any, target: float) -> Any:
    labels = tf.ones_like(logits) * target
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=labels))
