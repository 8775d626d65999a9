"""One replica and two replicas are the same training; random numbers are functions of (seed, stream, step)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from montages import stored
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tfgan_lab.config import Init, override
from tfgan_lab.data.pipeline import ImageBatches
from tfgan_lab.errors import UserError
from tfgan_lab.gan import global_mean
from tfgan_lab.layers import BatchNorm, Dropout, Pass
from tfgan_lab.networks import Network
from tfgan_lab.placement.strategy import make_strategy
from tfgan_lab.randomness import draw_labels, draw_latents, own_rows, sample_seed, step_seed, stream_key
from tfgan_lab.training.engine import Engine
from tfgan_lab.training.experiment import Experiment, build

INIT = Init(kernel="torch", bias="torch")
SEED = np.array([1, 2])  # no tensor: TensorFlow is started after collection

# Dropout, BatchNorm (in G, in D, in a classifier), labels, shared and fresh fakes, separate updates, several turns.
GAMES = {
    "dropout": ("mlp_gan:smoke", {"generator.2.rate": "0.5", "discriminator.3.rate": "0.5", "game.d_steps": "2"}),
    "shared": ("mlp_gan_smoothed:smoke", {}),
    "batch norm in both": ("mlp_gan_smoothed:batch_norm,hidden=16", {}),
    "conditional": ("cgan_branch:smoke", {"generator.0.layers.0.units": "9", "generator.0.label.0.units": "7"}),
    "maxout, sgd": (
        "cgan_maxout:smoke",
        {"generator.1.units": "20", "discriminator.1.layers.0.units": "8", "discriminator.2.units": "6"},
    ),
    "separate": ("cgan_layernorm:smoke", {"game.g_steps": "2"}),
    "fresh real": ("mlp_gan:fresh_real,hidden=9", {}),
    "classifier": ("mnist_classifier:smoke", {}),
}


def run(name: str, source: Any, placement: str, steps: int = 6) -> tuple[np.ndarray, Experiment, dict[str, np.ndarray]]:
    """Trains a game: its history, its experiment, and by role what the weights were before."""
    reference, changes = GAMES[name]
    # Adam divides by the gradient's size: a large epsilon, so that it does not make much of the last bit of a tiny one.
    adams = {
        f"{role}.epsilon": "1e-3"
        for role in ("g_optimizer", "d_optimizer", "optimizer")
        if hasattr(getattr(offline(reference), role, None), "epsilon")
    }
    config = override(offline(reference), changes | adams | {"batch_size": "12", "placement": placement})
    experiment = build(config, source)
    begun = {role: trained_weights(network) for role, network in experiment.networks.items()}
    history = Engine(experiment.strategy, experiment.task, experiment.batches).run(0, steps)
    return history, experiment, begun


def components(variable: Any) -> list[np.ndarray]:
    return [v.numpy() for v in getattr(variable, "values", (variable,))]


def trained_weights(network: Any) -> np.ndarray:
    """All of a network's weights that training moves, in a row."""
    return np.concatenate([components(variable)[0].ravel() for variable in network.trainable_variables])


@pytest.mark.parametrize(
    "name", [name if name == "conditional" else pytest.param(name, marks=pytest.mark.slow) for name in GAMES]
)
def test_two_replicas_train_as_one(name: str, small_source: Any) -> None:
    alone, one, begun = run(name, small_source, "one")
    together, two, _ = run(name, small_source, "mirrored")
    assert (one.strategy.num_replicas_in_sync, two.strategy.num_replicas_in_sync) == (1, 2)
    assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    for role, network in one.networks.items():
        assert not np.array_equal(trained_weights(network), begun[role]), f"{role} is not trained"
    for owner, variables in one.state().items():
        for single, mirrored in zip(variables, two.state()[owner], strict=True):
            first, second = components(mirrored)
            assert_array_equal(first, second, err_msg=f"{owner}: replicas diverge")
            if "optimizer" not in owner:
                assert_allclose(first, single.numpy(), atol=1e-5, rtol=1e-4, err_msg=owner)
    assert (
        two.optimizers[next(iter(two.optimizers))].state[0].numpy()
        == one.optimizers[next(iter(one.optimizers))].state[0].numpy()
    )


def test_replicas_see_different_rows_and_masks() -> None:
    """Else two replicas would be one with half of the batch."""
    strategy = make_strategy(offline("mlp_gan:smoke", placement="mirrored"))
    assert strategy.num_replicas_in_sync == 2

    def dropout(rows: int) -> Any:
        net = Network("net", [Dropout(0.5)], INIT, (8,), 0, 0)
        return Pass(training=True, seed=tf.constant(SEED[None])).run(net.nodes, tf.ones([rows, 8]))

    def draw() -> Any:
        z = draw_latents("normal", 3, 4, SEED)
        return z, draw_labels(10, 4, SEED), dropout(4)

    parts = strategy.run(tf.function(draw))
    whole = (
        draw_latents("normal", 3, 8, SEED),
        draw_labels(10, 8, SEED),
        dropout(8),
    )
    for part, all_rows in zip(parts, whole, strict=True):
        assert_array_equal(np.concatenate(strategy.experimental_local_results(part)), all_rows)


def test_global_mean_adds_up_over_replicas() -> None:
    strategy = make_strategy(offline("mlp_gan:smoke", placement="mirrored"))

    def share() -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return global_mean(tf.where(tf.equal(replica, 0), [1.0, 2.0, 3.0], [4.0, 5.0, 9.0]))

    assert_allclose(strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(tf.function(share)), axis=None), 4.0)


@pytest.mark.parametrize("sync", [True, False])
def test_batch_norm_takes_the_statistics_it_is_told_to(sync: bool, rng: np.random.Generator) -> None:
    strategy = make_strategy(offline("mlp_gan:smoke", placement="mirrored"))
    with strategy.scope():
        nodes = Network("net", [BatchNorm(sync=sync)], INIT, (3,), 0, 0).nodes
    x = rng.normal(2, 3, (8, 3)).astype(np.float32)

    def call() -> tf.Tensor:
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        return Pass(training=True).run(nodes, tf.reshape(tf.constant(x), [2, 4, 3])[place])

    y = np.concatenate(strategy.experimental_local_results(strategy.run(tf.function(call))))
    groups = [x] if sync else [x[:4], x[4:]]
    expected = np.concatenate([(group - group.mean(0)) / np.sqrt(group.var(0) + 1e-5) for group in groups])
    assert_allclose(y, expected, atol=1e-5)
    moving_mean, moving_variance = (nodes[0].weights[name] for name in ("moving_mean", "moving_variance"))
    for values in (components(moving_mean.value), components(moving_variance.value)):
        assert_array_equal(values[0], values[1])
    assert_allclose(components(moving_mean.value)[0], 0.1 * x.mean(0), atol=1e-6)
    variance = np.mean([group.var(0, ddof=1) for group in groups], axis=0)
    assert_allclose(components(moving_variance.value)[0], 0.9 + 0.1 * variance, rtol=1e-5)


def test_what_is_made_for_replicas_is_on_all_of_them(small_source: Any) -> None:
    """An optimiser made outside of the scope gives no error: it steps once per replica, and they diverge."""
    experiment = build(offline("cgan_branch:smoke", placement="mirrored"), small_source)
    for owner, variables in experiment.state().items():
        for variable in variables:
            assert len(components(variable)) == 2, owner


def test_placement_that_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="placement=one"):
        make_strategy(offline("gaussian:smoke", placement="mirrored"))
    with pytest.raises(UserError, match="multiple of 2"):
        make_strategy(offline("mlp_gan:smoke", placement="mirrored", batch_size="7"))
    with pytest.raises(UserError, match=r"replicas=3, but there are 2 devices.*at most 2"):
        make_strategy(offline("mlp_gan:smoke", placement="mirrored", replicas="3", batch_size="12"))
    with pytest.raises(UserError, match="TF_CONFIG"):
        make_strategy(offline("mlp_gan:smoke", placement="multi_worker"))
    for placement in ("one", "auto"):  # CPUs are never split by themselves
        assert make_strategy(offline("mlp_gan:smoke", placement=placement)).num_replicas_in_sync == 1
    assert make_strategy(offline("mlp_gan:smoke", placement="mirrored")).num_replicas_in_sync == 2


def test_one_number_of_replicas_a_process() -> None:
    """TensorFlow would take a second strategy's collectives for the first one's, and fail in the middle of a chunk."""
    assert make_strategy(offline("mlp_gan:smoke", placement="mirrored")).num_replicas_in_sync == 2
    with pytest.raises(UserError, match="already runs on 2 replicas.*another process for 1"):
        make_strategy(offline("mlp_gan:smoke", placement="mirrored", replicas="1"))


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_parts_of_a_batch_are_the_batch(per_step: int, streamed: bool, small_source: Any, tmp_path: Path) -> None:
    """Two processes read half of each batch each, in the order of one."""
    examples = small_source.train
    if streamed:
        examples = dataclasses.replace(examples, images=stored(examples.images, tmp_path))
    batches = ImageBatches(examples, 8, per_step, "tanh", 5)
    whole = [next(iter(batches.dataset(3)))]
    parts = [next(iter(batches.dataset(3, (index, 2)))) for index in range(2)]
    for expected, first, second in zip(whole[0], *parts, strict=True):
        assert first.shape[0] == 4
        assert_array_equal(np.concatenate([first, second]), expected)


# Random numbers.


def test_stream_keys_are_distinct_and_fit_an_int64() -> None:
    keys = {
        stream_key(seed, stream)
        for seed in range(30)
        for stream in ("data", "latents/d0", "latents/d1", "labels/d0", "dropout/g/d0")
    }
    assert len(keys) == 150
    assert all(0 <= key < 2**63 for key in keys)
    assert stream_key(0, "data") == 2460214435513486726, "old runs could not be resumed"


def test_seeds_of_steps_are_distinct() -> None:
    seeds = {tuple(step_seed(stream_key(0, stream), step).numpy()) for stream in "ab" for step in range(20)}
    assert len(seeds) == 40
    assert_array_equal(step_seed(5, tf.constant(2**40, tf.int64)), [5, 2**40])


@pytest.mark.parametrize(
    ("distribution", "reference"),
    [("normal", stats.norm()), ("uniform", stats.uniform(-1, 2)), ("unit_uniform", stats.uniform(0, 1))],
)
def test_latents_have_their_distribution(distribution: str, reference: Any) -> None:
    z = draw_latents(distribution, 40, 500, SEED).numpy()
    assert z.shape == (500, 40)
    assert z.dtype == np.float32
    assert stats.kstest(z.ravel(), reference.cdf).pvalue > 0.001
    assert np.abs(np.corrcoef(z[:, :10].T) - np.eye(10)).max() < 0.2
    assert_array_equal(draw_latents(distribution, 40, 500, SEED), z)


def test_the_first_rows_of_a_large_draw_are_the_small_draw() -> None:
    assert_array_equal(draw_latents("normal", 5, 9, SEED)[:4], draw_latents("normal", 5, 4, SEED))
    assert_array_equal(own_rows(lambda shape: tf.zeros(shape), 3, 2), np.zeros((3, 2)))


def test_sample_seeds_are_apart_from_each_other() -> None:
    assert_array_equal(sample_seed(7), [7, 0])
    assert_array_equal(sample_seed(tf.constant(7), 1), [7, 1])
