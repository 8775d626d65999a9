"""What became of a training run, as numbers: of ours, and of a PyTorch peer measured by the same code."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab import data as data_lib
from tfgan_lab.config import Config, Stacked
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.evaluation import modes
from tfgan_lab.evaluation.judge import load_judge
from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.evaluation.pieces import draw, sampler_of
from tfgan_lab.networks import drawn_from
from tfgan_lab.studies.grid import finished
from tfgan_lab.studies.outcome_files import drift_of, keep_outcome
from tfgan_lab.training.evaluator import make_evaluator
from tfgan_lab.training.experiment import Experiment, build
from tfgan_lab.training.restored import restore_run
from tfgan_lab.training.workdir import Workdir

_LOSS_BATCHES = 20
_PIECE = 1000  # samples drawn at a time
_LAST = 20  # the end of a trace: its last twentieth
_WIDE = 0.5  # a gap between p_real and p_fake that can close
_FIRST_PRINTS, _LAST_PRINTS = 10, 11  # post P002's epochs 1 to 10 and 90 to 100
_NEAR, _BOTTOM = 10_000, 0.01  # training digits that a sample is compared with; the share of test digits that fail


def our_outcome(config: Config, folder: Path, data_dir: str | None, start: str | None = None) -> dict[str, Any]:
    """Trains a config in a folder, unless it is there already, and measures it; `start` is what it starts from.

    Returns:
      What is written to outcome.json: "numbers" by name (or "diverged"), "seed", "step", "data", "config", "seconds".
    """
    from tfgan_lab.trainer import train
    from tfgan_lab.training.train import refuse_other_data

    run, started = Workdir(folder), time.perf_counter()
    if diverged := run.read_record().get("diverged"):  # as one of many seeds in one graph
        facts = {**_facts(run), "diverged": f"a loss became infinite or NaN at step {diverged}"}
        return keep_outcome(folder, config, {}, started, facts)
    if not finished(run, config):
        try:
            train(config, folder, data_dir, start)
        except TrainingDiverged as error:
            return keep_outcome(folder, config, {}, started, {**_facts(run), "diverged": str(error).split(":")[0]})
    source = data_lib.open_source(config.data, run.data_dir(data_dir))
    refuse_other_data(f"--workdir={folder}", run.read_record(), source)
    experiment = build(config, source)
    restored = restore_run(folder)
    if restored.step != experiment.total_steps:
        raise UserError(f"{folder}: {'; '.join(restored.notes)} Delete that folder and run the same command again.")
    for role, network in restored.networks.items():
        for new, old in zip(experiment.networks[role].variables, network.variables, strict=True):
            new.assign(old)
    numbers = measure(experiment) | course_of_training(run.read_metrics())
    return keep_outcome(folder, config, numbers, started, _facts(run))


def peer_outcome(config: Config, folder: Path, data_dir: str | None) -> dict[str, Any]:
    """Trains a config's PyTorch peer by its own loop on the same data, and measures its weights in our networks.

    Weights that are there already, from `evidence/train_peers.py`, are measured as they are.
    """
    from tfgan_lab.parity import peer_weights
    from tfgan_lab.parity.weights import from_torch

    started = time.perf_counter()
    source = data_lib.open_source(config.data, data_dir)
    experiment = build(config, source)
    facts: dict[str, Any] = {
        "data": {name: vars(part) for name, part in source.provenance.items()},
        "step": experiment.total_steps,
    }
    if found := peer_weights.kept(folder):
        trained, about, states = found
        refuse_other_weights(folder, trained, config, about, facts)
        facts |= about
    else:
        train: Any = None if config.data.is_endless else source.train
        arrays, begun = () if train is None else (train.images, train.labels), time.perf_counter()
        states = peer_weights.train_peer(config, experiment.total_steps, *arrays)
        facts["train_seconds"] = round(time.perf_counter() - begun, 2)
    if not all(np.isfinite(array).all() for state in states.values() for array in state.values()):
        return keep_outcome(folder, config, {}, started, {**facts, "diverged": "a weight became NaN or infinite"})
    for role, network in experiment.networks.items():
        from_torch(network, states[role], config.post, f"the peer's {role}")
    return keep_outcome(folder, config, measure(experiment), started, facts)


def refuse_other_weights(
    folder: Path, trained: Config, config: Config, about: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Refuses a peer's kept weights that were trained otherwise, for another time or on other data than its run asks for.

    Raises:
      UserError: They are such.
    """
    drift = drift_of(trained, config)
    if about.get("step") != facts["step"]:
        drift.append(f"{about.get('step')} steps: {facts['step']}")
    if about.get("train_sha256") != (facts["data"].get("train") or {}).get("sha256"):
        drift.append("other training data")
    if drift:
        raise UserError(
            f"{folder / 'weights.npz'} is of another training ({'; '.join(drift[:4])}): delete that folder."
        )


def measure(experiment: Experiment) -> dict[str, float]:
    """Numbers of an experiment's networks as they are.

    GANs on digits, or with a judge of their own: p_real, p_fake (test split), d_loss_now and g_loss_now (20 training batches), digits, kl_data,
    frechet, label_accuracy, top_digit, top_share and digit_like (2,000 samples). Numbers: fake_mean, fake_std (10,000). Stacked digits: modes, kl_modes
    (26,000). Classifiers: accuracy.
    """
    config: Any = experiment.config
    numbers = make_evaluator(experiment)(experiment.total_steps)
    if isinstance(config.data, Stacked):
        return numbers | _modes(experiment)
    if not config.is_judged:
        return numbers
    losses = tf.function(experiment.task.losses, autograph=False)
    found = []
    for step, (images, labels) in enumerate(experiment.batches.dataset(0).take(_LOSS_BATCHES)):
        if config.game.real_batches > 1:  # the one of D's first update
            images, labels = images[:, 0], labels[:, 0]
        found.append(losses(tf.constant(step, tf.int64), images, labels))
    for name in ("d_loss", "g_loss"):
        numbers[f"{name}_now"] = statistics.fmean(float(batch[name]) for batch in found)
    monitor = Monitor(experiment)
    judged = monitor()
    return numbers | judged | (_digits_of(monitor, experiment) if "digits" in judged else {})


def _modes(experiment: Experiment) -> dict[str, float]:
    """modes and kl_modes of stacked digits (26,000 samples), by the shipped judge."""
    config: Any = experiment.config
    drawn = draw(sampler_of(drawn_from(experiment.networks), config), modes.NUM, config.seed, _PIECE)
    found = modes.modes_of(drawn, load_judge())
    return {"modes": float(len(np.unique(found))), "kl_modes": modes.kl_to_equal_shares(found)}


def _digits_of(monitor: Monitor, experiment: Experiment) -> dict[str, float]:
    """top_digit and top_share (the class that the judge reads most often, and how often); digit_like of digits alone."""
    samples = monitor.samples()
    counts = np.bincount(monitor.judge(samples).labels)
    numbers = {"top_digit": float(counts.argmax()), "top_share": float(counts.max() / counts.sum())}
    if not experiment.config.data.are_digits:
        return numbers
    parts: Any = (experiment.source.train, experiment.source.test)
    train, test = (part.images[:_NEAR] / np.float32(255) for part in parts)
    return numbers | {"digit_like": digit_like(samples, train, test)}


def digit_like(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """The share of samples that are as near to a training digit as 99 % of the test digits are.

    Near is the cosine between pixels, whatever the brightness. Noise is not near: uniform, sparse or faint noise scores
    0, real digits with Gaussian noise of 0.2 of the range 0.93, of 0.4 0.21 (a judge of digits is certain of noise).

    Args:
      samples, train, test: [N, 28, 28, 1] in [0, 1].
    """
    directions = [part.reshape(len(part), -1) for part in (samples, train, test)]  # [N, 784]
    ours, near, real = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in directions)
    limit = np.quantile((real @ near.T).max(axis=1), _BOTTOM)
    return float(((ours @ near.T).max(axis=1) >= limit).mean())


def course_of_training(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Numbers of metrics.jsonl: p_real_end, p_fake_end (means of the last twentieth of the evaluations); gap_left (of the
    gap between both, the share of its largest that is left, if it was 0.5 once); d_loss_early, g_loss_early (largest
    of the first ten logged values, each one batch's), d_loss_end, g_loss_end (medians of the last eleven)."""
    numbers: dict[str, float] = {}
    traces = [row for row in rows if row["kind"] == "eval" and "p_real" in row]
    for name in ("p_real", "p_fake"):
        if traces:
            numbers[f"{name}_end"] = statistics.fmean(row[name] for row in traces[-max(1, len(traces) // _LAST) :])
    largest = max((abs(row["p_real"] - row["p_fake"]) for row in traces), default=0.0)
    if largest >= _WIDE:
        numbers["gap_left"] = abs(numbers["p_real_end"] - numbers["p_fake_end"]) / largest
    prints = [row for row in rows if row["kind"] == "train" and "g_loss" in row]
    for name in ("d_loss", "g_loss"):
        if prints:
            numbers[f"{name}_early"] = max(row[name] for row in prints[:_FIRST_PRINTS])
            numbers[f"{name}_end"] = statistics.median(row[name] for row in prints[-_LAST_PRINTS:])
    return numbers


def _facts(run: Workdir) -> dict[str, Any]:
    """Of run.json: what the run was trained on, not what is found now."""
    record = run.read_record()
    data = {name: part for name, part in record.get("data", {}).items() if isinstance(part, dict)}
    seconds = sum(session["seconds"] for session in record.get("sessions", []))
    return {"data": data, "step": record.get("total_steps"), "train_seconds": seconds, "cores": record.get("cores")}
