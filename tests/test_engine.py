"""Chunks: traced once, cut anywhere with the same bits; and the program of XLA takes the steps of TensorFlow's loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab import data
from tfgan_lab.config import Gaussian, override
from tfgan_lab.errors import UserError
from tfgan_lab.training import engine as engines
from tfgan_lab.training.engine import Engine, XlaEngine, make_engine
from tfgan_lab.training.experiment import Experiment, build

TINY = ["gaussian", "cgan_layernorm", "mnist_classifier"]


def experiment_of(reference: str, source: Any, **changes: str) -> Experiment:
    config = offline(reference, **changes)
    return build(config, data.open_source(config.data, None) if isinstance(config.data, Gaussian) else source)


def engine_of(experiment: Experiment, compile: str) -> Engine:
    return make_engine(compile, experiment.strategy, experiment.task, experiment.batches)


def weights_of(experiment: Experiment) -> list[np.ndarray]:
    return [variable.numpy() for variables in experiment.state().values() for variable in variables]


@pytest.mark.parametrize("reference", ["gaussian:smoke", pytest.param("mlp_gan:smoke", marks=pytest.mark.slow)])
def test_a_step_is_traced_once_however_long_the_chunks_are(
    reference: str, small_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, traces = experiment_of(reference, small_source), []
    play = experiment.task.play
    monkeypatch.setattr(experiment.task, "play", lambda *args: (traces.append(1), play(*args))[1])
    engine = engine_of(experiment, "loop")
    for first, number in ((0, 1), (1, 2), (3, 7), (0, 4), (4, 1)):
        engine.run(first, number)
    assert len(traces) == 1


def test_a_program_of_xla_takes_steps_without_labels_reads_tf_data_and_enters_the_strategy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny, entered = experiment_of("gaussian:smoke", None), []
    run = tiny.strategy.run
    monkeypatch.setattr(
        type(tiny.strategy), "run", lambda _, step, args: (entered.append(step.__name__), run(step, args))[1]
    )
    engine = engine_of(tiny, "xla")
    found = engine.run(0, 2)
    assert found.shape == (2, len(tiny.task.metric_names))
    assert np.isfinite(found).all() and not np.array_equal(found[0], found[1])
    assert entered == ["_step_on"]
    assert isinstance(engine._chunks, tf.data.Iterator)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("reference", TINY)
def test_the_program_of_xla_takes_the_steps_of_the_loop(
    reference: str, small_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_XLA_STEPS", 8)
    loop, xla = (experiment_of(reference, small_source) for _ in range(2))
    ours = engine_of(xla, "xla")
    program, counts = ours._program, []  # type: ignore[attr-defined]
    ours._program = lambda *args: (counts.append(int(args[-1])), program(*args))[1]  # type: ignore[attr-defined]
    found = np.concatenate([ours.run(0, 1), ours.run(1, 19)])
    assert counts == [1, 8, 8, 4], "noise is made for 8 steps at once, from the first on"
    assert program.experimental_get_tracing_count() == 1
    expected = engine_of(loop, "loop").run(0, 20)
    assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-6)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for ours_now, theirs in zip(weights_of(xla), weights_of(loop), strict=True):
        assert_allclose(ours_now, theirs, rtol=1e-3, atol=1e-5)
    assert not np.array_equal(found[0], found[-1])


@pytest.mark.slow
def test_the_program_of_xla_may_be_cut_anywhere(small_source: Any) -> None:
    whole, cut = (experiment_of("gaussian", small_source) for _ in range(2))
    history = engine_of(whole, "xla").run(0, 30)
    first = engine_of(cut, "xla").run(0, 13)
    resumed = engine_of(cut, "xla").run(13, 17)
    assert_array_equal(np.concatenate([first, resumed]), history)
    for one, other in zip(weights_of(whole), weights_of(cut), strict=True):
        assert_array_equal(one, other)


def test_chunks_made_at_once_hold_the_batches_of_the_dataset(small_source: Any) -> None:
    for reference in ("mlp_gan:fresh_real", "cgan_layernorm", "gaussian"):
        batches = experiment_of(
            reference, small_source, **({} if reference == "gaussian" else {"batch_size": "7"})
        ).batches
        images, labels = batches.chunk(tf.range(11, 31, dtype=tf.int64))
        for step, expected in zip(range(20), batches.dataset(11), strict=False):
            found = batches.batch(images[step], labels[step])
            for ours, theirs in zip(found, expected, strict=True):
                assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dim", ["2", "20000"])
def test_noise_made_at_once_keeps_to_its_bytes(dim: str, small_source: Any) -> None:
    """Latents of 20,000 numbers for 50 examples are 4 MB: two turns of two steps fill the 16 MB of a chunk."""
    experiment = experiment_of("mlp_gan:smoke", small_source, **{"latents.dim": dim, "placement": "one"})
    engine = make_engine("xla", experiment.strategy, experiment.task, experiment.batches)
    assert isinstance(engine, XlaEngine)
    engine._fetch(0)
    made = sum(part.numpy().nbytes for part in tf.nest.flatten(engine._made) if part is not None)
    assert engine._size == 2 if dim == "20000" else engine._size > 100
    assert made <= 1.01 * engines._XLA_BYTES


def test_compile_takes_two_values() -> None:
    with pytest.raises(UserError, match=r"compile='llvm'.*'loop' or 'xla'"):
        override(offline("gaussian"), {"compile": "llvm"})
