"""A run: what it leaves, that it is repeatable, and that a cut one ends as an uninterrupted one, bit for bit."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from PIL import Image
from runs import fingerprint, nothing_drawn, rows, train_bare, train_small, weights

from tfgan_lab.config import from_json, override
from tfgan_lab.config_files import config_names
from tfgan_lab.data import mnist
from tfgan_lab.errors import TrainingDiverged, UserError
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.report.sample import sample_run
from tfgan_lab.trainer import train
from tfgan_lab.training import experiment, loop
from tfgan_lab.training import train as plain
from tfgan_lab.training.engine import Engine
from tfgan_lab.training.loop import Interrupted
from tfgan_lab.training.run import Run
from tfgan_lab.training.sampler import saved_samples
from tfgan_lab.training.workdir import Workdir, checkpoint_steps

SMOKES = [f"{name}:smoke" for name in config_names()]


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch, number: int = signal.SIGINT) -> None:
    """Signals this process once when so many steps are done, which no chunk, row or checkpoint ends with by itself."""
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0.0)  # chunks of one step
    run = Engine.run

    def signalling(self: Engine, first_step: int, num_steps: int) -> np.ndarray:
        history = run(self, first_step, num_steps)
        if first_step + num_steps == step:
            # Else the signal would end the tests.
            assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler), "nobody listens"
            signal.raise_signal(number)
        return history

    monkeypatch.setattr(Engine, "run", signalling)


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(smoke, marks=() if smoke in ("mlp_gan:smoke", "cgan_layernorm:smoke") else pytest.mark.slow)
        for smoke in SMOKES
    ],
)
def test_a_run_stopped_between_checkpoints_goes_on_bit_for_bit(
    reference: str, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir, step = tmp_path / "run", 13 if offline(reference).steps == 20 else 3
    with monkeypatch.context() as patch:
        stop_at(step, patch)
        with pytest.raises(Interrupted) as caught:
            train_small(reference, workdir)
    assert caught.value.code == 130
    assert f"--workdir={workdir}" in str(caught.value)
    assert checkpoint_steps(workdir / "checkpoints")[-1] == step
    assert not (workdir / "export").exists()
    train_small(reference, workdir)
    assert f"resuming at step {step}" in capsys.readouterr().out
    assert fingerprint(workdir) == fingerprint(trained(reference))
    if (workdir / "samples.png").exists():
        assert (workdir / "samples.png").read_bytes() == (trained(reference) / "samples.png").read_bytes()
    assert_whole(workdir, offline(reference))
    assert_tensorboard_holds_every_number_once(workdir)


def assert_whole(workdir: Path, config: Any) -> None:
    """A run has come to its end: its rows are numbers, its pictures are there, and its export draws what it draws."""
    found = rows(workdir)
    assert found[-1]["step"] == config.steps
    assert all(np.isfinite(value) for row in found for value in row.values() if isinstance(value, float))
    for picture in ("curves.png", *(() if config.kind == "classifier" else ("samples.png", "film.gif"))):
        assert (workdir / picture).stat().st_size > 1000
    if config.kind == "classifier":
        assert (workdir / "export" / "saved_model.pb").is_file()
        return
    drawn, run = sample_run(workdir, 7, seed=3)
    assert run.step == config.steps
    np.testing.assert_allclose(load_generator(workdir).sample(7, seed=3), drawn, atol=1e-5)
    assert drawn.shape[0] == 7
    assert drawn.std() > 0


def test_sigterm_saves_too_and_says_so_with_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(3, patch, signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            train_bare("gaussian:smoke", tmp_path)
    assert caught.value.code == 75, "saved, run me again: no shell uses it for a death by a signal"
    assert checkpoint_steps(tmp_path / "checkpoints") == [3]


@pytest.mark.slow
def test_another_seed_gives_other_bits(trained: Any, tmp_path: Path) -> None:
    """That the same seed gives the same bits is below: `test_training_alone_leaves_bits_without_pictures`."""
    other = train_bare("mlp_gan:smoke", tmp_path, seed="1")
    assert fingerprint(other) != fingerprint(trained("mlp_gan:smoke"))


@pytest.mark.slow
def test_a_longer_run_goes_on_from_a_shorter_one(trained: Any, tmp_path: Path) -> None:
    train_bare("gaussian:smoke", tmp_path, steps="10")
    train_bare("gaussian:smoke", tmp_path, steps="20")
    assert fingerprint(tmp_path) == fingerprint(trained("gaussian:smoke"))


def test_training_a_finished_run_again_changes_nothing(trained: Any, tmp_path: Path) -> None:
    workdir = shutil.copytree(trained("mlp_gan:smoke"), tmp_path / "run")
    before = fingerprint(workdir)
    train_bare("mlp_gan:smoke", workdir)
    assert fingerprint(workdir) == before
    assert [session["to"] for session in json.loads((workdir / "run.json").read_text())["sessions"]] == [20]


def test_what_a_gan_leaves(trained: Any) -> None:
    workdir = trained("mlp_gan:smoke")
    assert from_json((workdir / "config.json").read_text()) == offline("mlp_gan:smoke")
    names = {path.name for path in workdir.iterdir() if not path.name.startswith(".")}
    assert names >= {
        "config.json", "run.json", "metrics.jsonl", "checkpoints", "samples", "tensorboard", "export", "curves.png", "film.gif", "real.png",
        "samples.png", "real_and_generated.png", "evolution.png",
    }  # fmt: skip
    for path in workdir.glob("**/*.png"):
        with Image.open(path) as picture:
            picture.verify()
    with Image.open(workdir / "film.gif") as film:
        assert film.n_frames == 3
    assert [path.name for path in sorted((workdir / "samples").glob("*.npz"))] == [
        f"step-{step:08d}.npz" for step in (0, 10, 20)
    ]
    with np.load(workdir / "samples" / "step-00000020.npz") as arrays:
        assert arrays["samples"].shape == (16, 28, 28, 1)
    assert not [
        path for path in workdir.rglob("*") if path.name.startswith(".") and path.name not in (".lock", ".owner")
    ], "no temporary files"
    assert checkpoint_steps(workdir / "checkpoints") == [10, 20]


def test_the_record_says_where_the_numbers_come_from(trained: Any, embedded: Any) -> None:
    record = json.loads((trained("mlp_gan:smoke") / "run.json").read_text())
    assert record["data"]["train"] == vars(embedded["train+validation"].provenance)
    assert record["data"]["test"]["count"] == 500
    assert len(record["data"]["test"]["sha256"]) == 64
    assert {"tensorflow", "keras", "numpy", "python", "tfgan_lab"} <= set(record["versions"])
    assert record["total_steps"] == 20
    assert record["steps_per_epoch"] == 4500 // 50
    assert record["devices"]


def test_rows_of_the_metrics(trained: Any) -> None:
    found = rows(trained("mlp_gan:smoke"))
    assert [(row["kind"], row["step"]) for row in found] == [("train", 10), ("eval", 10), ("train", 20), ("eval", 20)]
    for row in found:
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float))
        assert 0 < row["p_real"] < 1
        assert 0 < row["p_fake"] < 1
        assert row["epoch"] == row["step"] / 90
    assert found[0]["d_loss"] == pytest.approx(found[0]["d_real"] + found[0]["d_fake"], rel=1e-6)
    moments, logged = rows(trained("gaussian:smoke"))[:2]
    sets = {name: logged[name] for name in ("real_mean", "real_std", "fake_mean", "fake_std")}
    assert moments == {"kind": "moments", "step": 10, "epoch": 0.1, **sets}
    assert {"d_real", "d_fake", "g_loss"} <= set(logged)
    assert "accuracy" in rows(trained("mnist_classifier:smoke"))[-1]


@pytest.mark.parametrize("reference", ["mlp_gan:smoke", "gaussian:smoke", "mnist_classifier:smoke"])
def test_a_line_takes_the_names_of_its_row_and_no_others(trained: Any, reference: str) -> None:
    """A name that the row has not would end the run at its first line."""
    config, found = offline(reference), {row["kind"]: set(row) for row in rows(trained(reference))}
    for field, row in (("log_line", found["train"]), ("evaluate_line", found["eval"])):
        for name in {"nosuch", "kind"}.union(*found.values()):
            if name in row:
                override(config, {field: f"{{{name}}}"})
            else:
                with pytest.raises(UserError, match=f"{field}.*{name}"):
                    override(config, {field: f"{{{name}}}"})


def test_a_run_begun_with_a_wrong_line_is_continued_with_another(trained: Any, tmp_path: Path) -> None:
    shutil.copytree(trained("mlp_gan:smoke"), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"log_line": "{nosuch}"}))
    before, begun = fingerprint(tmp_path / "run"), Workdir(tmp_path / "run").read_config()
    with pytest.raises(UserError, match="log_line.*nosuch"):
        train(begun, tmp_path / "run")
    assert fingerprint(tmp_path / "run") == before
    plain.train(override(begun, {"log_line": "step {step}", "steps": "23"}), tmp_path / "run")
    assert rows(tmp_path / "run")[-1]["step"] == 23


def test_means_in_a_row_are_over_its_own_steps() -> None:
    window = loop.Window(["a", "b"], np.zeros(3))
    window.add(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    window.add(np.array([[5.0, 12.0]], np.float32))
    assert window.take() == {"a": 5.0, "b": 12.0, "a_mean": 3.0, "b_mean": 6.0}
    window.add(np.array([[7.0, 8.0]], np.float32))
    assert window.take() == {"a": 7.0, "b": 8.0, "a_mean": 7.0, "b_mean": 8.0}


@pytest.mark.parametrize(
    ("epochs", "steps", "expected"), [(0.0, 0, 0), (1.0, 0, 90), (0.25, 0, 22), (2.0, 7, 7), (0.0, 5, 5), (0.001, 0, 1)]
)
def test_intervals_in_steps(epochs: float, steps: int, expected: int) -> None:
    from tfgan_lab.config import Every

    assert loop.interval_of(Every(epochs=epochs, steps=steps), 90) == expected


def test_damaged_samples_of_early_steps_are_omitted(tmp_path: Path) -> None:
    config: Any = offline("mlp_gan:smoke")
    for step in (0, 10, 20, 30, 40):
        np.savez_compressed(tmp_path / f"step-{step:08d}.npz", samples=np.full((16, 28, 28, 1), step, np.uint8))
    content = (tmp_path / "step-00000010.npz").read_bytes()
    (tmp_path / "step-00000010.npz").write_bytes(content[:60])
    (tmp_path / "step-00000020.npz").write_bytes(b"")
    np.savez_compressed(tmp_path / "step-00000030.npz", samples=np.zeros((16, 28, 28, 3), np.uint8))
    np.savez_compressed(tmp_path / "step-00000050.npz", samples=np.zeros((16, 28, 28, 1)))
    np.savez_compressed(tmp_path / "step-00000060.npz", other=np.zeros((16, 28, 28, 1), np.uint8))
    found = saved_samples(tmp_path, config)
    assert [step for step, _ in found] == [0, 40]
    assert (found[1][1] == 40).all()


# TensorBoard.


def events(workdir: Path) -> tuple[dict[str, list[tuple[int, float]]], list[int]]:
    """Scalars by tag as (step, value), and the steps of the sample pictures, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(workdir / "tensorboard"), size_guidance={"tensors": 0})
    reader.Reload()
    scalars: dict[str, list[tuple[int, float]]] = {}
    for tag in reader.Tags()["tensors"]:
        if tag != "samples" and not tag.startswith("_hparams_"):
            scalars[tag] = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in reader.Tensors(tag)]
    drawn = reader.Tensors("samples") if "samples" in reader.Tags()["tensors"] else []
    return scalars, [event.step for event in drawn]


def assert_tensorboard_holds_every_number_once(workdir: Path) -> None:
    scalars, pictures = events(workdir)
    expected: dict[str, list[tuple[int, float]]] = {}
    for row in rows(workdir):
        for name, value in row.items():
            if isinstance(value, float) and name != "epoch":
                expected.setdefault(f"{row['kind']}/{name}", []).append((row["step"], pytest.approx(value, rel=1e-6)))
    assert scalars == expected
    drawn = sorted(int(path.stem[5:]) for path in workdir.glob("samples/step-*.npz"))
    assert pictures == drawn, "pictures drawn before the resume are there too"


# What must not continue.


class NanAt:
    """Batches whose images are NaN at one step."""

    def __init__(self, batches: Any, step: int) -> None:
        self.batches, self.step, self.steps_per_epoch = batches, step, batches.steps_per_epoch

    def dataset(self, first_step: int, part: tuple[int, int]) -> tf.data.Dataset:
        steps = tf.data.Dataset.range(first_step, tf.int64.max)
        spoilt = lambda step, data: (tf.where(tf.equal(step, self.step), np.nan, data[0]), data[1])
        return tf.data.Dataset.zip((steps, self.batches.dataset(first_step, part))).map(spoilt)


def test_nan_stops_the_run_names_the_step_and_keeps_the_last_good_checkpoint(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = experiment.make_batches
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "make_batches", lambda *arguments: NanAt(make(*arguments), 14))
        with pytest.raises(TrainingDiverged, match=r"nan at step 15\b") as caught:
            train_bare("mlp_gan:smoke", tmp_path)
    assert caught.value.code == 3
    assert "learning_rate" in str(caught.value)
    (session,) = Workdir(tmp_path).read_record()["sessions"]
    assert (session["from"], session["to"]) == (0, 10) and session["seconds"] > 0
    assert checkpoint_steps(tmp_path / "checkpoints")[-1] == 10
    train_bare("mlp_gan:smoke", tmp_path)  # with good data it continues as if nothing had happened
    assert fingerprint(tmp_path) == fingerprint(trained("mlp_gan:smoke"))


@pytest.mark.parametrize("rate", ["1e20", "1e30"])
def test_a_rate_that_blows_up_never_leaves_a_checkpoint_that_is_not_finite(rate: str, tmp_path: Path) -> None:
    """Weights can be infinite after a step whose losses were still finite."""
    with pytest.raises(TrainingDiverged, match="step [0-9]+"):
        train_bare(
            "mlp_gan:smoke", tmp_path, g_optimizer__learning_rate=rate, checkpoint__steps="1", keep_checkpoints="50"
        )
    kept = checkpoint_steps(tmp_path / "checkpoints")
    assert kept, "there is something to look at"
    for step in kept:
        for name, value in weights(tmp_path, step).items():
            assert np.isfinite(value).all(), f"{name} in checkpoint {step}"


def test_a_batch_larger_than_the_data_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"batch_size.*5,000.*4,500"):
        train_small("mlp_gan:smoke", tmp_path, batch_size="5000")
    with pytest.raises(UserError, match=r"batch_size.*6,000.*4,500"):
        train_small("mlp_gan:fresh_real", tmp_path / "other", batch_size="3000")


def test_an_invalid_config_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    config: Any = offline("mlp_gan:smoke")
    object.__setattr__(config, "steps", -5)
    with pytest.raises(UserError, match="steps"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_another_one_writes_is_refused(tmp_path: Path) -> None:
    folder = Workdir(tmp_path)
    folder.claim()
    with pytest.raises(UserError, match=f"being written by process {os.getpid()} on "):
        train_small("gaussian:smoke", tmp_path)
    folder.release()
    assert not (tmp_path / "config.json").exists()


def test_other_data_than_before_is_refused(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained("mlp_gan:smoke"), tmp_path / "run")
    load = mnist.load_mnist

    def without_the_last(source: str, data_dir: str | None) -> Any:
        splits, chosen = load(source, data_dir)
        part = splits["train+validation"]
        fewer = dataclasses.replace(part.provenance, count=part.num - 1, sha256="0" * 64)
        return splits | {"train+validation": dataclasses.replace(part, provenance=fewer)}, chosen

    monkeypatch.setattr(mnist, "load_mnist", without_the_last)
    with pytest.raises(UserError, match=r"other data.*n=4500.*n=4,499"):
        train_small("mlp_gan:smoke", tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(trained("mlp_gan:smoke"))


@pytest.mark.slow
def test_two_replicas_train_resume_and_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole run on two logical CPUs; post P002's print asks for losses outside of the compiled chunk."""
    reference = "mlp_gan_smoothed:batch_norm,hidden=16"
    changes = {"placement": "mirrored", "steps": "20", "batch_size": "50"}
    changes |= {"g_optimizer__epsilon": "1e-3", "d_optimizer__epsilon": "1e-3"}  # see test_distribution
    whole = train_small(reference, tmp_path / "whole", **changes)
    assert len(json.loads((whole / "run.json").read_text())["devices"]) == 2
    with monkeypatch.context() as patch:
        stop_at(13, patch)
        with pytest.raises(Interrupted):
            train_bare(reference, tmp_path / "cut", **changes)
    train_bare(reference, tmp_path / "cut", **changes)
    assert fingerprint(tmp_path / "cut") == fingerprint(whole)
    alone = train_bare(reference, tmp_path / "alone", **changes | {"placement": "one"})
    for ours, theirs in zip(rows(whole), rows(alone), strict=True):
        assert ours.pop("kind") == theirs.pop("kind")
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_training_returns_its_run(tmp_path: Path) -> None:
    with nothing_drawn():
        run = train(offline("cgan_concat:smoke"), tmp_path / "run")
    assert isinstance(run, Run)
    assert run.rows == rows(tmp_path / "run")
    assert len(run.frame()) == len(run.rows)
    assert run.samples().shape[1:] == (28, 28, 1) and run.samples().dtype == np.uint8
    assert (run.samples(0) != run.samples()).any()
    with pytest.raises(UserError, match="no samples of step 7"):
        run.samples(7)
    images = run.generator().sample(seed=1, count=3, label=2)
    assert images.shape == (3, 28, 28, 1)
    assert repr(run).startswith("Run(") and "cgan_concat" in repr(run)
    shown = run._repr_html_()
    assert "data:image/png;base64," in shown and "g_loss" in shown
    assert run.generator()._repr_html_().count("<img") == 1
    later = Run(tmp_path / "run")
    np.testing.assert_array_equal(later.samples(), run.samples())
    np.testing.assert_array_equal(later.generator().sample(1, 3, 2), images)


def test_an_exported_generator_shows_itself_in_a_notebook(trained: Any) -> None:
    images, numbers = (load_generator(trained(name))._repr_html_() for name in ("mlp_gan:smoke", "gaussian:smoke"))
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', images)
    with Image.open(io.BytesIO(base64.b64decode(picture))) as shown:
        assert shown.size[0] > 2 * shown.size[1] > 100, "two rows of ten"
    assert "export" in images
    assert "<img" not in numbers and numbers.count(", ") == 19


def test_a_notebook_gets_a_progress_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = {}
    for where in ("a pipe", "a notebook"):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        kernel = {"kernel": None} if where == "a notebook" else {}  # IPython on a terminal has a shell without one
        shell = types.SimpleNamespace(**kernel)
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda shell=shell: shell))
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
        train_bare("gaussian:smoke", tmp_path / where)
        bars[where] = sys.stderr.getvalue()
    assert "20/20" in bars["a notebook"] and "step/s" in bars["a notebook"]
    assert "20/20" not in bars["a pipe"]


def test_training_alone_leaves_bits_without_pictures(trained: Any, tmp_path: Path) -> None:
    """The bare `train` of `tfgan_lab.training` writes the same checkpoints, rows and samples, and no pictures.

    Also: the same seed gives the same bits.
    """
    train_bare("mlp_gan:smoke", tmp_path / "bare")
    assert fingerprint(tmp_path / "bare") == fingerprint(trained("mlp_gan:smoke"))
    left = {path.name for path in (tmp_path / "bare").iterdir() if not path.name.startswith(".")}
    assert left == {"config.json", "run.json", "metrics.jsonl", "checkpoints", "samples"}
    assert {path.suffix for path in (tmp_path / "bare" / "samples").iterdir()} == {".npz"}
