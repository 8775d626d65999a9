"""The moving average of G's weights: against a float64 recursion, and what is drawn, judged and exported from it."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from runs import fingerprint, nothing_drawn, rows, train_bare, train_small
from test_training import stop_at

from tfgan_lab import cli, data
from tfgan_lab.config import from_json, override
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.parity.import_torch import export_torch, import_torch
from tfgan_lab.report.sample import sample_run
from tfgan_lab.training.engine import make_engine
from tfgan_lab.training.evaluator import make_evaluator
from tfgan_lab.training.experiment import Experiment, build
from tfgan_lab.training.loop import Interrupted
from tfgan_lab.training.many_seeds import ManySeeds
from tfgan_lab.training.restored import restore_run
from tfgan_lab.training.sampler import Sampler

DECAY, STEPS = 0.6, 20  # from step 14 on the decay counts, before it the warm-up
BATCH_NORM = "mlp_gan_smoothed:batch_norm,hidden=16"


def values(network: Any) -> list[np.ndarray]:
    return [v.numpy() for v in network.variables]


def build_small(source: Any, reference: str = BATCH_NORM, **changes: str) -> Experiment:
    config = offline(reference, **({"ema": str(DECAY), "batch_size": "12", "placement": "one"} | changes))
    return build(config, source)


def run(experiment: Experiment, compile: str, steps: int) -> Any:
    """Yields the metrics of one step after the other."""
    engine = make_engine(compile, experiment.strategy, experiment.task, experiment.batches)
    for step in range(steps):
        yield engine.run(step, 1)


def one_average(steps: list[list[np.ndarray]]) -> list[np.ndarray]:
    """The recursion in float64, from the values at the start and after each step."""
    average = [value.astype(np.float64) for value in steps[0]]
    for t, now in enumerate(steps[1:], 1):
        d = min(DECAY, t / (t + 9))
        average = [d * old + (1 - d) * value for old, value in zip(average, now, strict=True)]
    return average


@pytest.mark.parametrize(
    ("compile", "changes"),
    [
        ("loop", {}),
        ("xla", {}),
        pytest.param("loop", {"placement": "mirrored"}, marks=pytest.mark.slow),
        pytest.param(
            "loop", {"game__fakes": "fresh", "game__d_steps": "2", "game__g_steps": "3"}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_it_is_the_recursion(compile: str, changes: dict[str, str], small_source: Any) -> None:
    experiment = build_small(small_source, **changes)
    g, average = experiment.networks["generator"], experiment.networks["average"]
    assert {variable.trainable for variable in g.variables} == {True, False}, "BatchNorm's statistics, too"
    seen = [values(g)]
    for start, own in zip(values(g), values(average), strict=True):
        assert_array_equal(start, own)
    for _ in run(experiment, compile, STEPS):
        seen.append(values(g))
    for expected, found in zip(one_average(seen), values(average), strict=True):
        assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert max(np.abs(a - b).max() for a, b in zip(values(average), seen[-1], strict=True)) > 1e-3, "it is not G itself"
    for variable in experiment.state()["average"] if "placement" in changes else ():
        first, second = (replica.numpy() for replica in variable.values)  # type: ignore[attr-defined]
        assert_array_equal(first, second)


def test_it_changes_no_bit_of_the_game(small_source: Any) -> None:
    with_it, without = build_small(small_source), build_small(small_source, ema="0")
    assert "average" not in without.networks
    for a, b in zip(run(with_it, "loop", 3), run(without, "loop", 3), strict=True):
        assert_array_equal(a, b)
    for owner, variables in without.state().items():
        for a, b in zip(with_it.state()[owner], variables, strict=True):
            assert_array_equal(a.numpy(), b.numpy())


def test_each_of_many_seeds_has_the_average_it_has_alone(tmp_path: Path) -> None:
    config: Any = offline("gaussian:smoke", num_seeds="2", ema=str(DECAY))
    source = data.open_source(config.data, None)
    many = ManySeeds(config, source, tmp_path)
    many.run(0, 12)
    for index in range(2):
        alone = build(override(config, {"seed": str(index), "num_seeds": "1"}), source)
        list(run(alone, "loop", 12))
        many.load(index)
        for a, b in zip(many.slot.state()["average"], alone.state()["average"], strict=True):
            assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_average_is_what_is_sampled_and_judged(small_source: Any) -> None:
    experiment = build_small(small_source)
    list(run(experiment, "loop", 3))
    evaluate, sampler = make_evaluator(experiment), Sampler(experiment)
    judged, drawn = evaluate(3), sampler.draw(3)
    # Without it, G itself takes its place: only if its values are the average's are the numbers the same.
    average = experiment.networks.pop("average")
    assert evaluate(3)["p_fake"] == judged["p_fake"], "traced already"
    raw = make_evaluator(experiment)(3), Sampler(experiment).draw(3)
    assert raw[0]["p_fake"] != judged["p_fake"] and raw[0]["p_real"] == judged["p_real"]
    assert (raw[1] != drawn).any()
    for variable, value in zip(experiment.networks["generator"].variables, values(average), strict=True):
        variable.assign(value)
    assert make_evaluator(experiment)(3) == judged
    assert_array_equal(Sampler(experiment).draw(3), drawn)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with nothing_drawn():
        return train_small("cgan_layernorm:smoke", tmp_path_factory.mktemp("ema") / "run", ema="0.9")


def test_the_export_holds_the_average_and_raw_is_beside_it(averaged: Path, tmp_path: Path) -> None:
    restored, raw = restore_run(averaged), restore_run(averaged, raw=True)
    z, labels = tf.random.stateless_normal([5, 100], [1, 2]), tf.range(5)
    exported = tf.saved_model.load(str(averaged / "export")).signatures["serving_default"](latents=z, labels=labels)
    drawn = [net(z, labels) for net in (restored.networks["average"], raw.networks["generator"])]
    assert_allclose(exported["images"], drawn[0], atol=1e-5)
    assert np.abs(exported["images"] - drawn[1]).max() > 1e-3
    assert_allclose(load_generator(averaged).sample(8, seed=3), sample_run(averaged, 8, seed=3)[0], atol=1e-5)
    assert np.abs(sample_run(averaged, 8, seed=3)[0] - sample_run(averaged, 8, seed=3, raw=True)[0]).max() > 1e-3
    for role, network in (("average", "average"), ("generator", "generator"), (None, "average")):
        with np.load(export_torch(averaged, tmp_path / "net.npz", role)) as state:
            sizes = sorted(float(np.abs(array).sum()) for array in state.values())
        expected = sorted(float(np.abs(v.numpy()).sum()) for v in restored.networks[network].variables)
        assert_allclose(sizes, expected, rtol=1e-5)


def test_metrics_in_training_judge_both(embedded: dict[str, Any]) -> None:
    source = data.Source(embedded["train"], embedded["test"], "data: embedded digits")
    experiment = build_small(source)
    list(run(experiment, "loop", 2))
    found = Monitor(experiment)()
    assert found["frechet"] != found["raw_frechet"]
    del experiment.networks["average"]
    raw = Monitor(experiment)()
    assert {f"raw_{name}": value for name, value in raw.items() if name != "judge_accuracy"} == {
        name: value for name, value in found.items() if name.startswith("raw_")
    }


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small("gaussian:smoke", tmp_path_factory.mktemp("ema") / "numbers", ema="0.9")


def test_an_export_says_which_of_both_it_holds(numbers: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "run"
    shutil.copytree(numbers, folder)
    (folder / "export" / "generator.tflite").write_bytes(b"of the average")

    def said(*arguments: str) -> str:
        assert cli.main([*arguments, f"--workdir={folder}"]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    of_average, of_raw = "the average of the generator's weights", "the generator itself (--raw)"
    assert f"drawn from {of_average}\n" in said("evaluate", "--num=1000")
    note = f"its metrics are of {of_raw}"
    assert note not in (folder / "report.html").read_text()
    assert load_generator(folder).facts["raw"] is False and of_average in repr(load_generator(folder))
    assert "still holds" not in said("export")
    assert f"still holds generator.tflite of step 20 ({of_average}): export again" in said("export", "--raw")
    assert load_generator(folder).facts["raw"] is True and of_raw in repr(load_generator(folder))
    assert f"drawn from {of_raw}\n" in said("evaluate", "--num=1000")
    assert note in (folder / "report.html").read_text()


def test_the_page_says_that_an_average_is_drawn_and_judged(numbers: Path) -> None:
    assert "an average of the generator's weights (ema 0.9)" in html.unescape((numbers / "report.html").read_text())


def test_a_run_without_one_says_nothing_of_it(trained: Any) -> None:
    folder = trained("gaussian:smoke")
    assert "an average of" not in (folder / "report.html").read_text()
    assert "raw" not in (folder / "export" / "generator.json").read_text()
    assert repr(load_generator(folder)) == f"LoadedGenerator({str(folder / 'export')!r})"


def test_the_average_itself_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--role=average: .*import that\.$"):
        import_torch(tmp_path / "net.npz", offline("gaussian:smoke", ema="0.9"), tmp_path / "run", "average")


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_bare("gaussian:smoke", tmp_path / "whole", ema="0.9")
    with monkeypatch.context() as patch:
        stop_at(13, patch)
        with pytest.raises(Interrupted):
            train_bare("gaussian:smoke", tmp_path / "cut", ema="0.9")
    train_bare("gaussian:smoke", tmp_path / "cut", ema="0.9")
    assert fingerprint(tmp_path / "cut") == fingerprint(whole)
    assert [row["fake_mean"] for row in rows(whole) if row["kind"] == "eval"]


@pytest.mark.slow
def test_a_run_from_before_the_field_goes_on_and_one_with_another_decay_is_refused(
    tmp_path: Path, trained: Any
) -> None:
    config = offline("gaussian:smoke")
    folder = shutil.copytree(trained("gaussian:smoke"), tmp_path / "run")
    old = json.loads((folder / "config.json").read_text())
    del old["ema"], old["game"]["penalty"], old["game"]["penalty_weight"], old["game"]["clip"]
    assert from_json(json.dumps(old)) == config
    for path in (folder / "config.json", folder / "checkpoints" / "config.json"):
        path.write_text(json.dumps(old))
    train_bare("gaussian:smoke", folder)
    with pytest.raises(UserError, match=r"ema: 0.0 -> 0.9"):
        train_bare("gaussian:smoke", folder, ema="0.9")
    with pytest.raises(UserError, match="keeps no average of its generator's weights") as refused:
        restore_run(folder, raw=True)
    assert "\\n" not in str(refused.value)
    for wrong in ("1", "-0.1", "most"):
        with pytest.raises(UserError, match="ema"):
            override(config, {"ema": wrong})
