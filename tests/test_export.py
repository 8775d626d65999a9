"""Exported models: they load with TensorFlow alone and say what the live networks say."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from refusals import refusal
from scipy import special

from tfgan_lab.config import Mnist, override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data_kinds import label_of
from tfgan_lab.export import saved_model
from tfgan_lab.export.saved_model import LoadedGenerator, export_network, load_generator
from tfgan_lab.layers import BatchNorm
from tfgan_lab.networks import build_networks
from tfgan_lab.report.sample import sample_run
from tfgan_lab.training.restored import RestoredRun, restore_run

RUNS = ["mlp_gan:smoke", "cgan_layernorm:smoke", "gaussian:smoke", "mnist_classifier:smoke"]

# In a process that cannot import the package: every signature, at several batch sizes.
ALONE = """
import json, sys
sys.modules["tfgan_lab"] = None
import numpy as np
import tensorflow as tf
facts, arrays = {}, {}
for index, folder in enumerate(sys.argv[2:]):
    signatures = tf.saved_model.load(folder).signatures
    facts[folder] = sorted(signatures)
    if "sample" in signatures:
        labelled = "label" in signatures["sample"].structured_input_signature[1]
        for count in (1, 3, 70):
            given = dict(seed=tf.constant(7, tf.int64), count=tf.constant(count))
            for label in (-1, 3) if labelled else (-1,):
                more = dict(label=tf.constant(label)) if labelled else {}
                (drawn,) = signatures["sample"](**given, **more).values()
                arrays[f"{index}/sample/{count}/{label}"] = drawn.numpy()
        if "png" in signatures:
            files = signatures["png"](**given, **more)["png_bytes"].numpy()
            arrays[f"{index}/png"] = np.array([tf.io.decode_png(file).numpy() for file in files])
        z = signatures["serving_default"].structured_input_signature[1]["latents"].shape[1]
        latents = np.linspace(-1, 1, 5 * z, dtype=np.float32).reshape(5, z)
        labels = dict(labels=tf.constant([0, 1, 2, 9, 9])) if labelled else {}
        (drawn,) = signatures["serving_default"](latents=tf.constant(latents), **labels).values()
        arrays[f"{index}/serving"] = drawn.numpy()
    else:
        for count in (1, 6):
            images = np.linspace(0, 1, count * 784, dtype=np.float32).reshape(count, 28, 28, 1)
            for name, value in signatures["serving_default"](images=tf.constant(images)).items():
                arrays[f"{index}/{name}/{count}"] = value.numpy()
facts["modules"] = [name for name in sys.modules if name.startswith("tfgan_lab.")]
np.savez(sys.argv[1], **arrays)
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def alone(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """Signatures by folder, and what they said, of `RUNS` in a fresh process with TensorFlow alone."""
    out = tmp_path_factory.mktemp("alone") / "out.npz"
    folders = [str(trained(reference) / "export") for reference in RUNS]
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(out), *folders], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    with np.load(out) as arrays:
        return json.loads(ended.stdout.splitlines()[-1]), dict(arrays)


def test_signatures(alone: Any, trained: Any) -> None:
    facts, _ = alone
    assert facts.pop("modules") == []
    expected = [["png", "sample", "serving_default"]] * 2 + [["sample", "serving_default"], ["serving_default"]]
    assert [facts[str(trained(reference) / "export")] for reference in RUNS] == expected


@pytest.mark.parametrize("index", [0, 1, 2])
def test_tensorflow_alone_draws_what_the_run_draws(index: int, alone: Any, trained: Any) -> None:
    for count in (1, 3, 70):
        live, _ = sample_run(trained(RUNS[index]), count, 7)
        drawn = alone[1][f"{index}/sample/{count}/-1"]
        assert drawn.dtype == np.float32
        assert drawn.shape == ((count, 1) if index == 2 else (count, 28, 28, 1))
        assert_allclose(drawn, live, atol=1e-6)
        if index != 2:
            assert 0 <= drawn.min() < drawn.max() <= 1


def test_each_weight_is_saved_once(trained: Any) -> None:
    for reference in RUNS:
        run = restore_run(trained(reference))
        network = run.networks.get("generator") or run.networks["classifier"]
        saved = tf.train.list_variables(str(trained(reference) / "export" / "variables" / "variables"))
        sizes = [int(np.prod(shape)) for name, shape in saved if name.endswith("VARIABLE_VALUE")]
        assert sorted(sizes) == sorted(int(np.prod(v.shape)) for v in network.variables)


def test_images_are_clipped_whatever_the_output(trained: Any) -> None:
    run = restore_run(trained(RUNS[0]))
    module = saved_model.GeneratorModule(run.networks["generator"], run.config)
    module._generate = lambda latents, labels: tf.reshape(latents[:, :4], [-1, 2, 2, 1])
    drawn = module.draw(tf.constant([[-3.0, -1, 0, 3]]), None).numpy().ravel()
    assert_array_equal(drawn, [0, 0, 0.5, 1])


@pytest.mark.parametrize("labels", [[0, 10], [-1, 3], [2**31 - 1, 0]])
def test_labels_out_of_range_are_refused_by_every_signature(labels: list[int], trained: Any) -> None:
    signatures = tf.saved_model.load(str(trained(RUNS[1]) / "export")).signatures
    z = signatures["serving_default"].structured_input_signature[1]["latents"].shape[1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels are 0 to 9"):
        signatures["serving_default"](latents=tf.zeros([2, z]), labels=tf.constant(labels))
    wrong = next(label for label in labels if not -1 <= label < 10) if labels != [-1, 3] else -2
    for name in ("sample", "png"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels are 0 to 9"):
            signatures[name](seed=tf.constant(1, tf.int64), count=tf.constant(2), label=tf.constant(wrong))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_latents_are_served_as_the_live_network_answers(index: int, alone: Any, trained: Any) -> None:
    run = restore_run(trained(RUNS[index]))
    config: Any = run.config
    latents = np.linspace(-1, 1, 5 * config.latents.dim, dtype=np.float32).reshape(5, -1)
    labels = tf.constant([0, 1, 2, 9, 9]) if config.num_labels else None
    live = run.networks["generator"](tf.constant(latents), labels, training=False).numpy()
    live = (live + 1) / 2 if index == 0 else live
    assert_allclose(alone[1][f"{index}/serving"], live, atol=1e-6)


def test_a_label_is_drawn_by_itself_or_all_in_turn(alone: Any, trained: Any) -> None:
    in_turn, threes = alone[1]["1/sample/70/-1"], alone[1]["1/sample/70/3"]
    assert_allclose(threes[3::10], in_turn[3::10], atol=1e-6)
    assert np.abs(threes[4::10] - in_turn[4::10]).max() > 1e-3
    assert_allclose(threes[:3], sample_run(trained(RUNS[1]), 3, 7, label=3)[0], atol=1e-6)


@pytest.mark.parametrize("index", [0, 1])
def test_png_files_decode_to_the_samples(index: int, alone: Any) -> None:
    label = -1 if index == 0 else 3
    pixels, drawn = alone[1][f"{index}/png"], alone[1][f"{index}/sample/70/{label}"]
    assert pixels.dtype == np.uint8
    assert_allclose(pixels, drawn * 255, atol=0.501)


def test_png_bytes_are_png_for_other_readers(trained: Any) -> None:
    model = tf.saved_model.load(str(trained(RUNS[0]) / "export"))
    (content,) = model.signatures["png"](seed=tf.constant(1, tf.int64), count=tf.constant(1))["png_bytes"].numpy()
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (28, 28), "L")


def test_a_classifier_is_served_as_the_live_network_answers(alone: Any, trained: Any) -> None:
    images = np.linspace(0, 1, 6 * 784, dtype=np.float32).reshape(6, 28, 28, 1)
    logits = restore_run(trained(RUNS[3])).networks["classifier"](images, training=False).numpy()
    assert_allclose(alone[1]["3/logits/6"], logits, atol=1e-5)
    assert_allclose(alone[1]["3/scores/6"], 1 / (1 + np.exp(-logits.astype(np.float64))), atol=1e-5)
    assert alone[1]["3/scores/1"].shape == (1, 10)


@pytest.mark.parametrize(
    ("reference", "role"), [("dcgan_montage:smoke", "generator"), ("mnist_classifier:smoke", "classifier")]
)
def test_post_p001_draws_and_reads_one_by_one_in_training_mode(reference: str, role: str) -> None:
    """Its program never calls eval(): a sampler on running statistics is another network, and said to be one."""
    answers = {}
    statistics: Any
    for statistics in ("own", "running"):
        config: Any = offline(reference)
        layers = getattr(config, role)
        norms = [place for place, one in enumerate(layers) if isinstance(one, BatchNorm)]
        assert {layers[place].statistics for place in norms} == {"own"}
        for place in norms:
            layers[place] = BatchNorm(statistics=statistics)
        assert saved_model.describe(config)["fields"][role][norms[0]]["statistics"] == statistics
        network = build_networks(config)[role]
        inputs = tf.random.stateless_normal([3, *((100,) if role == "generator" else (28, 28, 1))], [0, 1])
        if role == "generator":
            answers[statistics] = saved_model.GeneratorModule(network, config).draw(inputs, None)
        else:
            answers[statistics] = saved_model.ClassifierModule(network, config).classify(inputs)["logits"]
    posts = tf.concat([network(one[None], training=True) for one in inputs], 0)
    assert_allclose(answers["own"], posts, atol=2e-5)
    assert np.abs(answers["running"] - posts).max() > 1e-3


@pytest.mark.parametrize(
    ("label", "labels"), [(-1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]), (0, [0] * 12), (7, [7] * 12)]
)
def test_the_labels_that_are_drawn(label: int, labels: list[int]) -> None:
    """A generator that draws its labels, 255ths of white."""
    generator: Any = lambda latents, labels, training: tf.reshape(
        tf.cast(labels, tf.float32) / 127.5 - 1, [-1, 1, 1, 1]
    )
    generator.variables = []
    drawn = saved_model.GeneratorModule(generator, offline("cgan_concat")).sample(3, 12, label)
    assert_allclose(drawn.numpy().ravel() * 255, labels, atol=1e-4)


@pytest.mark.parametrize(("pixels", "seen"), [("unit", [0.0, 0.25, 1.0]), ("tanh", [-1.0, -0.5, 1.0])])
def test_an_exported_classifier_sees_pixels_in_the_range_that_it_was_trained_on(pixels: str, seen: list[float]) -> None:
    network: Any = SimpleNamespace(
        variables=[], features=lambda images: images[:, 0, 0], logits=lambda features: features
    )
    config: Any = offline("mnist_classifier", data__pixels=pixels)
    images = tf.reshape(tf.constant([0.0, 0.25, 1.0]), [3, 1, 1, 1])
    said = saved_model.ClassifierModule(network, config).classify(images)
    assert_array_equal(said["logits"].numpy().ravel(), seen)


def test_probabilities_of_a_classifier_of_sigmoids_are_its_scores_over_their_sum() -> None:
    network: Any = SimpleNamespace(
        variables=[], features=lambda images: images[:, 0, 0], logits=lambda features: features
    )
    images = tf.reshape(tf.constant([0.1, 0.9, 0.4]), [1, 1, 1, 3])
    said = saved_model.ClassifierModule(network, offline("mnist_classifier")).classify(images)
    scores = special.expit(np.array([0.1, 0.9, 0.4]))
    assert_allclose(said["scores"].numpy()[0], scores, rtol=1e-6)
    assert_allclose(said["probabilities"].numpy()[0], scores / scores.sum(), rtol=1e-6)


def test_the_seed_is_the_only_randomness(trained: Any) -> None:
    generator = load_generator(trained(RUNS[0]))
    first = generator.sample(4, 7)
    assert_array_equal(generator.sample(4, 7), first)
    assert_array_equal(generator.sample(9, 7)[:4], first)
    assert np.abs(generator.sample(4, 8) - first).max() > 1e-3


FASHION = Mnist(classes="fashion")


@pytest.mark.parametrize(
    ("given", "label"), [(7, 7), ("7", 7), ("sneaker", 7), ("Ankle Boot", 9), (" bag ", 8), ("0", 0)]
)
def test_a_label_is_its_number_or_its_classs_name(given: int | str, label: int) -> None:
    assert label_of(given, FASHION.class_names) == label
    config: Any = validate(override(load_config("cgan_concat"), {"data.classes": "fashion", "num_labels": "10"}))
    assert config.label_names[label] == FASHION.class_names[label]


def test_a_name_beats_a_number() -> None:
    """Folders may be called 7 and 3: the third digit of a name is no place in a list."""
    assert label_of("3", ("7", "3")) == 1


def test_a_generator_draws_a_class_by_its_name(trained: Any) -> None:
    generator = load_generator(trained(RUNS[1]))
    three = generator.sample(2, 7, label=3)
    assert generator.facts["class_names"] == list("0123456789")
    generator.facts["class_names"][3] = "dress"
    assert_array_equal(generator.sample(2, 7, label="dress"), three)


def test_what_lies_beside_the_model(trained: Any) -> None:
    facts = load_generator(trained("cgan_layernorm:smoke")).facts
    assert (facts["config"], facts["post"], facts["step"], facts["num_labels"]) == (
        "cgan_layernorm:smoke",
        "P001",
        20,
        10,
    )
    assert facts["image_shape"] == [28, 28, 1]
    assert "sha256" in facts["trained_on"]["train"]
    # So that TensorFlow's own reader finds it and others may read it.
    assert (trained("cgan_layernorm:smoke") / "export").stat().st_mode & 0o555 == 0o555


# What may go wrong.


def test_load_generator_takes_the_run_or_the_model_and_refuses_the_rest(trained: Any, tmp_path: Path) -> None:
    run = trained(RUNS[0])
    assert_array_equal(load_generator(run).sample(2, 0), load_generator(run / "export").sample(2, 0))
    assert "tfgan-lab export" in refusal(load_generator, tmp_path)
    assert str(tmp_path / "none") in refusal(load_generator, tmp_path / "none")
    assert "no signature 'sample'" in refusal(load_generator, trained(RUNS[3]))
    foreign = tf.Module()
    tf.saved_model.save(foreign, str(tmp_path / "foreign"))
    assert "exported by tfgan-lab" in refusal(load_generator, tmp_path / "foreign")


@pytest.mark.parametrize(
    "part", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
@pytest.mark.parametrize("damage", ["empty", "half", "gone"])
def test_a_damaged_model_is_one_line(part: str, damage: str, trained: Any, tmp_path: Path) -> None:
    shutil.copytree(trained(RUNS[0]) / "export", tmp_path / "model")
    path = tmp_path / "model" / part
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    assert str(tmp_path / "model") in refusal(load_generator, tmp_path / "model")


def test_labels_that_cannot_be_drawn_are_refused(trained: Any) -> None:
    assert "without labels" in refusal(load_generator(trained(RUNS[0])).sample, 2, 0, label=3)
    for label in (10, 12):
        assert f"label={label}" in refusal(load_generator(trained(RUNS[1])).sample, 2, 0, label=label)
        assert "0 to 9" in refusal(sample_run, trained(RUNS[1]), 2, 0, label=label)
    assert "0 to 9" in refusal(sample_run, trained(RUNS[1]), 2, 0, label=-1)
    assert "Did you mean" in refusal(label_of, "snaeker", FASHION.class_names)
    assert "no such class" in refusal(load_generator(trained(RUNS[1])).sample, 2, 0, label="sneaker")
    assert "no labels" in refusal(sample_run, trained(RUNS[0]), 2, 0, label=3)
    assert "classifier" in refusal(sample_run, trained(RUNS[3]), 2, 0)


def test_no_run_and_no_checkpoint_are_one_line(trained: Any, tmp_path: Path) -> None:
    assert "holds no run" in refusal(sample_run, tmp_path / "none", 2, 0)
    shutil.copy(trained(RUNS[0]) / "config.json", tmp_path)
    assert "no checkpoint yet" in refusal(sample_run, tmp_path, 2, 0)


@pytest.fixture
def run(trained: Any) -> RestoredRun:
    return restore_run(trained(RUNS[2]))


def test_exporting_again_replaces_the_old_model(run: RestoredRun, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for step in (1, 2):
        assert export_network(run.config, run.networks["generator"], folder, {"step": step}) <= 1e-5
        assert load_generator(folder).facts["step"] == step
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "no temporary folders"


def test_files_made_of_an_export_stay_beside_the_new_one(run: RestoredRun, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "model"
    export_network(run.config, run.networks["generator"], folder, {"step": 1})
    (folder / "generator.tflite").write_bytes(b"of step 1")
    (folder / "generator.tflite").chmod(0o640)
    export_network(run.config, run.networks["generator"], folder, {"step": 1})
    assert capsys.readouterr().out == ""
    export_network(run.config, run.networks["generator"], folder, {"step": 2})
    assert "model still holds generator.tflite of step 1: export again" in capsys.readouterr().out
    assert (folder / "generator.tflite").read_bytes() == b"of step 1"
    assert (folder / "generator.tflite").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("shape", [(20, 2), (20, 2, 2), (20, 4, 4, 2)], ids=str)
def test_what_is_neither_image_nor_number_is_shown_by_name_alone(shape: tuple[int, ...]) -> None:
    assert saved_model.shown("mine", np.ones(shape, np.float32)) == "<p><code>mine</code></p>"


def test_a_model_that_differs_from_the_live_one_is_not_put_in_place(
    run: RestoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    export_network(run.config, run.networks["generator"], folder, {"step": 1})
    for difference in (1e-3, float("nan")):
        monkeypatch.setattr(saved_model, "_compared", lambda *_, d=difference: (d, 0.5))
        with pytest.raises(AssertionError, match="differs"):
            export_network(run.config, run.networks["generator"], folder, {"step": 2})
        assert load_generator(folder).facts["step"] == 1


def test_the_comparison_sees_a_wrong_model(run: RestoredRun, tmp_path: Path) -> None:
    module: Any = saved_model.GeneratorModule(run.networks["generator"], run.config)
    tf.saved_model.save(module, str(tmp_path), signatures=module.signatures())
    saved = tf.saved_model.load(str(tmp_path))
    signature = saved.signatures["serving_default"]
    assert saved_model._compared(module, run.config, signature)[0] <= 1e-6
    for variable in run.networks["generator"].variables:
        variable.assign_add(tf.fill(variable.shape, 0.01))
    assert saved_model._compared(module, run.config, signature)[0] > 1e-4


def test_exporting_never_replaces_what_is_no_model(run: RestoredRun, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    for out in ("thesis", "notes.txt"):
        assert out in refusal(export_network, run.config, run.networks["generator"], tmp_path / out, {})
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "mine"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_one_line(run: RestoredRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(
        export_network, run.config, run.networks["generator"], tmp_path / "file" / "model", {}
    )


def test_a_loaded_generator_without_facts_still_draws(trained: Any, tmp_path: Path) -> None:
    shutil.copytree(trained(RUNS[0]) / "export", tmp_path / "model")
    (tmp_path / "model" / "generator.json").unlink()
    generator = LoadedGenerator(tmp_path / "model")
    assert generator.facts == {}
    assert generator.sample(1, 0).shape == (1, 28, 28, 1)
