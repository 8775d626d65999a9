"""`evaluate`: real digits score as real, an untrained model as untrained; rows have floors; faults are one line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from catalogue import offline

from tfgan_lab import cli
from tfgan_lab.data.examples import Examples
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import colours, digits, exported
from tfgan_lab.evaluation.exported import evaluate, finish, print_table
from tfgan_lab.evaluation.judge import Judge, load_judge
from tfgan_lab.export.saved_model import export_network
from tfgan_lab.networks import build_networks
from tfgan_lab.training.workdir import Workdir

NUM = 200


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run folders of configs as they are before training: a config and an export."""
    made: dict[str, Path] = {}

    def make(reference: str, **changes: str) -> Path:
        key = f"{reference} {changes}"
        if key not in made:
            config: Any = offline(reference, **changes)
            folder = Workdir(tmp_path_factory.mktemp("run") / "run")
            folder.path.mkdir()
            folder.keep_config(config)
            network = build_networks(config)
            export_network(config, network.get("generator") or network["classifier"], folder.export, {"step": 0})
            made[key] = folder.path
        return made[key]

    return make


@pytest.fixture(scope="module")
def of_noise(untrained: Any) -> dict[str, Any]:
    """The evaluation of an untrained conditional generator."""
    return evaluate(untrained("cgan_concat:smoke"), num=NUM)


def numbers(result: dict[str, Any], column: str) -> dict[str, float]:
    return {row["name"]: row[column]["value"] for row in result["metrics"] if row[column] is not None}


def test_an_untrained_export_scores_as_its_own_floor(of_noise: dict[str, Any]) -> None:
    """The exported model and freshly made networks are two ways to the same samples."""
    generated, floor = numbers(of_noise, "generated"), numbers(of_noise, "untrained")
    assert set(generated) == set(floor) == set(digits.METRICS)
    for name, value in generated.items():
        assert value == pytest.approx(floor[name], rel=1e-3, abs=1e-3), name
    assert generated["label_accuracy"] == pytest.approx(0.1, abs=0.08)
    assert generated["digits_drawn"] <= 2
    assert generated["coverage"] == 0


def test_every_number_has_an_interval_around_it(of_noise: dict[str, Any]) -> None:
    for row in of_noise["metrics"]:
        for column in ("generated", "real", "untrained"):
            found = row[column]
            assert found["low"] <= found["value"] <= found["high"], (row["name"], column)
            assert found["confidence"] == 0.95


def test_what_stands_with_it(of_noise: dict[str, Any], embedded: dict[str, Any]) -> None:
    assert of_noise["n"] == {"samples": NUM, "test": 500, "real instead": NUM, "training": 4500}
    assert embedded["test"].provenance.sha256[:12] in of_noise["data"]["test"]
    assert of_noise["judge"]["sha256"] == load_judge().facts["sha256"]
    assert of_noise["judge"]["accuracy_here"] == pytest.approx(0.994, abs=0.006)
    written = json.loads(Path(of_noise["written"]).read_text(encoding="utf-8"))
    assert written["metrics"] == of_noise["metrics"]
    assert written["peak_memory_mb"] > 100


def test_the_table_shows_every_row_and_what_it_rests_on(
    of_noise: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(of_noise)
    printed = capsys.readouterr().out
    for metric in digits.METRICS.values():
        assert metric.label in printed
    for part in (
        "real data instead",
        "untrained",
        "samples n=200",
        of_noise["judge"]["sha256"][:12],
        "sha256",
        "Parzen: sigma",
        "s of CPU",
    ):
        assert part in printed


class Dealer:
    """Stands in for a perfect conditional generator: hands out real digits, the labels in turn."""

    def __init__(self, examples: Examples) -> None:
        images: Any = examples.images
        self.by_label = [images[examples.labels == k] / np.float32(255) for k in range(10)]
        self.used = 0

    def __call__(self, num: int, seed: int) -> np.ndarray:
        picked = [self.by_label[k % 10][(self.used + k) // 10 % len(self.by_label[k % 10])] for k in range(num)]
        self.used += num
        return np.stack(picked)


def test_real_digits_score_as_real(
    untrained: Any, embedded: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exported, "_sampler", lambda subject: Dealer(embedded["train"]))
    result = evaluate(untrained("cgan_concat:smoke"), num=400, out=tmp_path / "real.json")
    generated, real, floor = (numbers(result, column) for column in ("generated", "real", "untrained"))
    assert 0.97 <= generated["label_accuracy"] <= 1
    assert 0.04 <= generated["nearest_neighbour_error"] <= 0.25
    assert generated["digits_drawn"] == 10
    assert result["details"]["generated"]["digit_counts"] == pytest.approx([40] * 10, abs=2)
    # They are training digits, and the evaluation says so; the same of test digits would be chance.
    assert generated["copied"] == 1
    assert generated["closer_than_unseen"] == 1
    assert generated["neighbour_distance_ratio"] == 0
    assert real["copied"] == pytest.approx(0, abs=0.02)
    assert real["closer_than_unseen"] == pytest.approx(0.5, abs=0.1)
    for name in ("frechet_distance", "ms_ssim", "classifier_score", "precision", "recall", "density"):
        assert abs(generated[name] - real[name]) < 0.05 * abs(floor[name] - real[name]), name
    assert result["written"] == str(tmp_path / "real.json")


def test_a_saved_model_alone_is_enough(untrained: Any, tmp_path: Path, of_noise: dict[str, Any]) -> None:
    folder = untrained("cgan_concat:smoke")
    (folder / "export").rename(tmp_path / "generator")
    try:
        with pytest.raises(UserError, match="has no export yet"):
            evaluate(folder, num=NUM)
        result = evaluate(tmp_path / "generator", num=NUM)
    finally:
        (tmp_path / "generator").rename(folder / "export")
    assert numbers(result, "generated") == pytest.approx(numbers(of_noise, "generated"), rel=1e-4, abs=1e-6)
    assert (tmp_path / "generator.metrics.json").is_file()


def test_other_data_than_it_was_trained_on_is_said(
    untrained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "_classifier", lambda subject, source: {"notes": ["a note"]})
    folder = untrained("mnist_classifier:smoke")
    facts = folder / "export" / "generator.json"
    kept = facts.read_text(encoding="utf-8")
    same = vars(exported.data_lib.open_source(offline("mnist_classifier:smoke").data, None).train.provenance)
    try:
        for provenance, said in (
            (same, False),
            (same | {"source": "TFDS mnist"}, False),
            (same | {"sha256": "0" * 64}, True),
            ("idx files, train, n=55,000, sha256 12836e84d44e", True),
        ):
            facts.write_text(json.dumps(json.loads(kept) | {"trained_on": {"train": provenance}}), encoding="utf-8")
            notes = evaluate(folder, out=tmp_path / "metrics.json")["notes"]
            assert notes[0] == "a note"
            assert any("other data than it was trained on" in note for note in notes) == said
    finally:
        facts.write_text(kept, encoding="utf-8")


def test_a_judge_that_was_taught_other_images_is_named(embedded: dict[str, Any]) -> None:
    source = exported.data_lib.Source(embedded["train"], embedded["test"], "")
    same = vars(embedded["train"].provenance)
    other = same | {"sha256": "0" * 64}
    for taught, said in (
        ({"train": same}, False),
        (same, False),
        ({"train": other}, True),
        (other, True),
        (None, False),
    ):
        note = exported._taught_otherwise(SimpleNamespace(facts={"trained_on": taught}), source)  # type: ignore[arg-type]
        assert ("trained on other images" in note) == said


def test_the_reference_does_not_depend_on_the_order_of_the_data(embedded: dict[str, Any]) -> None:
    from tfgan_lab.data import Source

    source = Source(embedded["train"], embedded["test"], "")
    real = digits.real_digits(source, load_judge(), seed=0)
    assert len(set(real.test_labels[:40].tolist())) > 6  # the embedded digits are sorted by class
    assert len(real.parzen) == 800
    # Widths are never chosen on images that stand in for samples.
    stand_in = {image.tobytes() for image in real.train[: len(real.train) - len(real.parzen)]}
    assert not stand_in & {image.tobytes() for image in real.parzen}
    held_out, instead = real.unseen
    assert not {image.tobytes() for image in held_out} & {image.tobytes() for image in instead}


def test_parzen_chooses_its_width_as_the_papers_did(small_source: Any) -> None:
    import dataclasses

    train = small_source.train
    images = np.zeros((46_500, 28, 28, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(46_500) % 256
    images[45_000:46_000, 1, 1] = 7
    provenance = dataclasses.replace(train.provenance, source="idx files", count=len(images))
    full = Examples(len(images), (28, 28, 1), provenance, images, np.zeros(len(images), np.int32))
    real = digits.real_digits(dataclasses.replace(small_source, train=full), load_judge(), seed=0)
    assert len(real.parzen) == 1000
    assert (real.parzen[:, 1, 1] == np.float32(7 / 255)).all()
    assert real.parzen_source == "training images 50,000 to 50,999"


# Faults.


def test_faults_are_one_line(untrained: Any, tmp_path: Path) -> None:
    folder = untrained("cgan_concat:smoke")
    for arguments, expected in [
        ((tmp_path,), "neither a run"),
        ((folder, None, 40), "needs more than 64 examples"),
        ((folder, None, NUM, str(tmp_path)), "no exported classifier"),
        ((untrained("mnist_classifier:smoke"), None, 7), "--num=7 is of generators"),
        ((untrained("gaussian:smoke"), None, NUM, str(tmp_path)), "judges images that a generator draws"),
    ]:
        with pytest.raises(UserError, match=expected) as caught:
            evaluate(*arguments)
        assert "\\n" not in str(caught.value)


def test_a_judge_of_other_data_is_refused(untrained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Judge(
        lambda images: {
            "probabilities": np.eye(10)[np.full(len(images), 3)],
            "features": np.zeros((len(images), 2)),
            "scores": np.zeros((len(images), 10)),
        },
        (28, 28, 1),
        {"name": "clothes"},
    )
    monkeypatch.setattr(exported, "judge_for", lambda config, path: wrong)
    with pytest.raises(UserError, match="clothes is right on only 10% of these test images.*--judge"):
        evaluate(untrained("cgan_concat:smoke"), num=NUM)


@pytest.mark.parametrize(("wrong", "warned"), [(115, True), (0, False)])
def test_a_judge_that_is_often_wrong_here_is_used_with_a_warning(
    wrong: int, warned: bool, embedded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was trained a little on Fashion-MNIST: right on 77 % of its 500 test images."""
    test = embedded["test"]
    labels = np.where(np.arange(500) < wrong, (test.labels + 1) % 10, test.labels)
    real = SimpleNamespace(
        opinion=SimpleNamespace(labels=labels),
        test_labels=test.labels,
        test=test.images,
        train=[],
        parzen_source="some",
    )
    column = digits.Column({}, {"digit_counts": [20] * 10, "parzen_sigma": 0.2, "n": 200})
    monkeypatch.setattr(
        exported, "judge_for", lambda config, path: Judge(dict, (28, 28, 1), {"name": "mine", "sha256": "0" * 64})
    )
    monkeypatch.setattr(exported, "_sampler", lambda subject: lambda num, seed: np.zeros((num, 1)))
    monkeypatch.setattr(exported, "untrained_sampler", lambda config: lambda num, seed: np.zeros((num, 1)))
    monkeypatch.setattr(digits, "real_digits", lambda *_: real)
    monkeypatch.setattr(digits, "samples_column", lambda *_: column)
    monkeypatch.setattr(digits, "real_column", lambda *_: column)
    subject: Any = SimpleNamespace(config=offline("mlp_gan"))
    result = exported._by_judge(subject, None, 200, None, 0)
    assert f"right on {1 - wrong / 500:.2%} of the test split here" in result["judge"]["line"]
    assert any("wrong on 23% of the real test images" in note for note in result["notes"]) == warned


def test_nan_samples_are_named(untrained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        exported, "_sampler", lambda subject: lambda num, seed: np.full((num, 28, 28, 1), np.nan, np.float32)
    )
    with pytest.raises(UserError, match="NaN"):
        evaluate(untrained("cgan_concat:smoke"), num=NUM)


def test_an_export_without_its_config_is_refused(untrained: Any, tmp_path: Path) -> None:
    source = untrained("mlp_gan:smoke") / "export"
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes((source / "saved_model.pb").read_bytes())
    with pytest.raises(UserError, match="has no config in its generator.json"):
        evaluate(folder)


def test_the_two_ways_to_name_a_model_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--workdir=a", "--saved_model=b"]) == 2
    assert "exclude each other" in capsys.readouterr().err


# The Gaussian.


def test_the_gaussian_is_measured_on_100_000_numbers(untrained: Any) -> None:
    result = evaluate(untrained("gaussian:smoke"))
    assert result["n"] == {"numbers": 100_000}
    real = numbers(result, "real")
    assert real["mean"] == pytest.approx(4, abs=0.02)
    assert real["std"] == pytest.approx(1.25, abs=0.02)
    assert numbers(result, "generated") == pytest.approx(numbers(result, "untrained"), rel=1e-3, abs=1e-3)


# Montages.


@pytest.mark.slow
def test_a_montage_is_measured(untrained: Any) -> None:
    folder = untrained("dcgan_montage:smoke", data__num_faces="180")
    result = evaluate(folder)
    assert result["n"] == {"samples": 90, "real half": 90, "other real half": 90}
    generated, real = numbers(result, "generated"), numbers(result, "real")
    assert set(generated) == set(colours.METRICS)
    assert generated == pytest.approx(numbers(result, "untrained"), rel=1e-3, abs=1e-6)
    assert real["frechet_distance"] < 0.1 * generated["frechet_distance"]
    assert "never trained, seed 0" in "".join(result["notes"])
    with pytest.raises(UserError, match="judged by random features"):
        evaluate(folder, judge="runs/judge")


# Classifiers.


def test_a_classifier_is_counted_by_class(untrained: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = untrained("mnist_classifier:smoke")
    result = evaluate(folder)
    counts = np.array(result["details"]["confusion"])
    assert counts.sum() == 500
    np.testing.assert_array_equal(counts.sum(axis=1), 50)
    generated = numbers(result, "generated")
    assert generated["accuracy"] == pytest.approx(np.trace(counts) / 500)
    for k in range(10):
        assert generated[f"accuracy_{k}"] == pytest.approx(counts[k, k] / 50)
    for name in ("confusion.png", "scores.png"):
        assert (folder / name).stat().st_size > 5000
    print_table(result)
    assert "accuracy on class 7" in capsys.readouterr().out


def test_a_classifiers_accuracy_is_told_on_both_statistics_of_batch_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same weights; the one that the config takes is the accuracy itself."""
    monkeypatch.setattr(exported.accuracy, "write_pictures", lambda *_: [])
    for taken, other in (("own", "running"), ("running", "own")):
        config: Any = offline(
            "mnist_classifier:smoke", classifier__2__statistics=taken, classifier__5__statistics=taken
        )
        folder, network = Workdir(tmp_path / taken), build_networks(config)["classifier"]
        folder.path.mkdir()
        folder.keep_config(config)
        for variable in network.variables:
            if "moving" in variable.name:  # as if trained on other images: nobody could read on these
                variable.assign(np.linspace(1, 9, 10))
        export_network(config, network, folder.export, {"step": 0})
        generated = numbers(evaluate(folder.path), "generated")
        assert generated[f"accuracy_{taken}"] == generated["accuracy"] != generated[f"accuracy_{other}"]


# During and after training.


@pytest.mark.slow
def test_measuring_in_training_changes_no_bit_of_it(trained: Any, tmp_path: Path) -> None:
    from runs import rows as rows_of
    from runs import weights

    from tfgan_lab.trainer import train

    plain = trained("mlp_gan:smoke")
    measured = train(offline("mlp_gan:smoke", metrics__steps="10"), tmp_path / "measured")
    for (name, a), b in zip(weights(plain).items(), weights(measured.path).values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    rows = measured.rows
    assert [row for row in rows if row["kind"] != "metrics"] == rows_of(plain)
    found = [row for row in rows if row["kind"] == "metrics"]
    assert [row["step"] for row in found] == [10, 20]
    assert {"digits", "kl_data", "frechet"} <= set(found[-1])
    assert 1 <= found[-1]["digits"] <= 10
    assert (measured.path / "curves.png").stat().st_size > (plain / "curves.png").stat().st_size


def test_other_data_than_digits_has_no_metrics_in_training() -> None:
    with pytest.raises(UserError, match="by a judge of digits"):
        offline("gaussian:smoke", metrics__steps="10")


class Finished:
    """What `finish` reads of an experiment."""

    def __init__(self, config: Any, test: Any) -> None:
        self.config, self.source = config, self
        self.test = test


def test_a_finished_run_says_its_cheap_numbers(untrained: Any, embedded: dict[str, Any]) -> None:
    (line,) = finish(Workdir(untrained("gaussian:smoke")), Finished(offline("gaussian:smoke"), None))
    assert line.startswith("100,000 generated numbers: mean (target 4) ")
    assert "Kolmogorov-Smirnov" in line
    accuracy, own, running, pictures = finish(
        Workdir(untrained("mnist_classifier:smoke")), Finished(offline("mnist_classifier:smoke"), embedded["test"])
    )
    assert accuracy.startswith("accuracy 0.")
    assert own.startswith("accuracy, BatchNorm on each image's own statistics 0.")
    assert running.startswith("accuracy, BatchNorm on running statistics 0.")
    assert "confusion.png" in pictures
    assert finish(Workdir(untrained("mlp_gan:smoke")), Finished(offline("mlp_gan:smoke"), embedded["test"])) == []
