"""bfloat16: products in half the bits, weights and losses in float32, and training that stays near the float32 one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose

from tfgan_lab.config import Config
from tfgan_lab.errors import UserError
from tfgan_lab.training.engine import Engine
from tfgan_lab.training.experiment import Experiment, build


def trained(config: Config, source: Any, steps: int) -> tuple[Experiment, np.ndarray]:
    experiment = build(config, source)
    return experiment, Engine(experiment.strategy, experiment.task, experiment.batches).run(0, steps)


@pytest.mark.parametrize(
    "reference",
    [
        "mlp_gan:smoke",
        *(pytest.param(f"{name}:smoke", marks=pytest.mark.slow) for name in ("cgan_layernorm", "cgan_branch", "cgan_maxout", "mnist_classifier")),
    ],
)  # fmt: skip
def test_bfloat16_trains_near_float32_with_float32_weights(reference: str, small_source: Any) -> None:
    changes = {"batch_size": "20"}
    exact, expected = trained(offline(reference, **changes), small_source, 8)
    rough, found = trained(offline(reference, precision="bfloat16", **changes), small_source, 8)
    assert_allclose(found, expected, rtol=0.1, atol=0.05)
    assert not np.array_equal(found, expected)
    for owner, variables in rough.state().items():
        assert {v.dtype for v in variables} <= {tf.float32, tf.int64}, owner
        for ours, theirs in zip(variables, exact.state()[owner], strict=True):
            assert ours.shape == theirs.shape
    images, labels = next(iter(rough.batches.dataset(0)))
    graph = tf.function(rough.task.play).get_concrete_function(tf.constant(0, tf.int64), images, labels).graph
    products = [op for op in graph.get_operations() if op.type in ("MatMul", "Conv2D")]
    assert products
    assert {op.outputs[0].dtype for op in products} == {tf.bfloat16}


def test_where_bfloat16_makes_no_sense_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"precision='bfloat16' would round .* float32"):
        offline("gaussian", precision="bfloat16")
    with pytest.raises(UserError, match="num_seeds=2 does not go with precision"):
        offline("mlp_gan", precision="bfloat16", num_seeds="2")
