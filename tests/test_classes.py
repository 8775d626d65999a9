"""Labelled images in folders, HDF5 and idx files: splits, labels, what is refused, and GANs on a user's own classes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from catalogue import offline
from numpy.testing import assert_array_equal
from PIL import Image, ImageDraw
from test_mnist import idx

from tfgan_lab import cli, trainer
from tfgan_lab.config import Classes, from_json, override, to_json, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data import Examples, Provenance, open_source
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import accuracy
from tfgan_lab.evaluation import monitor as monitor_lib
from tfgan_lab.evaluation.judge import Judge, judge_for, load_judge
from tfgan_lab.evaluation.monitor import Monitor
from tfgan_lab.evaluation.rows import table
from tfgan_lab.export.saved_model import export_network
from tfgan_lab.networks import build_networks
from tfgan_lab.posts.reference import reference_of
from tfgan_lab.report import plots
from tfgan_lab.report.diagnosis import diagnose
from tfgan_lab.training.experiment import build

GREYS = {"dark": 20, "light": 220, "mid": 120}


def write_classes(root: Path, number: int = 10, names: Any = GREYS) -> Path:
    """Images of one grey for each class: 20 x 12 pixels of which the middle 12 x 12 are a little lighter."""
    for name in names:
        (root / name).mkdir(parents=True)
        for index in range(number):
            pixels = np.full((12, 20, 3), GREYS[name], np.uint8)
            pixels[:, 4:16] += index
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def as_hdf5(root: Path, kind: str = "encoded") -> Path:
    """The same images in a file with the same groups; `kind` as `tfgan_lab.data.montage_hdf5` calls them."""
    file = root.with_suffix(".h5")
    with h5py.File(file, "w") as written:
        for folder in sorted({path.parent for path in root.rglob("*.png")}):
            for index, path in enumerate(sorted(folder.iterdir())):
                content = np.frombuffer(path.read_bytes(), np.uint8)
                pixels = content if kind == "encoded" else np.asarray(Image.open(path))
                written[f"{folder.relative_to(root).as_posix()}/{index}.png"] = pixels
    return file


def write_idx(root: Path, side: int, channels: int, labels: Any = (0, 1, 2)) -> Path:
    """Six images for each label and split: bright ones of label 0, black ones of 1, grey ones of 2."""
    root.mkdir()
    for split in ("train", "t10k"):
        of = np.repeat(np.array(labels, np.uint8), 6)
        images = np.broadcast_to(
            np.array([220, 20, 120], np.uint8)[of % 3, None, None, None], (len(of), side, side, channels)
        )
        rank = 3 if channels == 1 else 4
        (root / f"{split}-images-idx{rank}-ubyte").write_bytes(idx(images[..., 0] if rank == 3 else images))
        (root / f"{split}-labels-idx1-ubyte").write_bytes(idx(of))
    return root


def data_of(**changes: Any) -> Classes:
    return Classes(**{"names": ["light", "dark", "mid"], "side": 8, **changes})


@pytest.mark.parametrize("kind", ["folders", "encoded", "arrays"])
def test_every_image_has_the_label_of_its_folder_and_one_split(kind: str, tmp_path: Path) -> None:
    root = write_classes(tmp_path / "c")
    root = root if kind == "folders" else as_hdf5(root, kind)
    source = open_source(data_of(), str(root))
    assert source.train is not None and source.test is not None
    assert (source.train.num, source.test.num, source.train.shape) == (24, 6, (8, 8, 1))
    seen = []
    for part in (source.train, source.test):
        values = part.images[:, 0, 0, 0]
        assert (part.images == values[:, None, None, None]).all(), "the middle alone, which is of one grey"
        assert_array_equal(part.labels, np.array([1, 2, 0])[np.digitize(values, [100, 200])])
        seen += values.tolist()
    assert sorted(seen) == sorted(grey + index for grey in GREYS.values() for index in range(10))
    assert "light 8" in source.train.provenance.detail
    again = open_source(data_of(), str(tmp_path / "c")).train  # the same from folders and from a file
    assert again is not None
    assert_array_equal(again.images, source.train.images)


@pytest.mark.parametrize("kind", ["folders", "encoded"])
def test_folders_train_and_test_are_the_splits(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "c"
    write_classes(root / "train", 5), write_classes(root / "test", 3)
    source = open_source(data_of(colour=True), str(root if kind == "folders" else as_hdf5(root)))
    assert source.train is not None and source.test is not None
    assert (source.train.num, source.test.num, source.train.shape) == (15, 9, (8, 8, 3))


@pytest.mark.parametrize("side", [8, 13])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colour", [False, True])
def test_idx_files_are_of_any_side_and_one_or_three_channels(
    side: int, channels: int, colour: bool, tmp_path: Path
) -> None:
    source = open_source(data_of(colour=colour), str(write_idx(tmp_path / "i", side, channels)))
    for part in (source.train, source.test):
        assert part is not None and part.labels is not None and part.provenance.source == "idx files in i"
        assert part.images.shape == (18, 8, 8, 3 if colour else 1)
        assert (part.images == np.array([220, 20, 120])[part.labels, None, None, None]).all()


@pytest.mark.parametrize(
    ("labels", "said"), [((0, 1, 2, 3), "holds label 3: labels must be 0 to 2"), ((0, 2), "has label 1 [(]dark[)]")]
)
def test_idx_files_of_other_classes_are_one_line(labels: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        open_source(data_of(), str(write_idx(tmp_path / "i", 8, 1, labels)))


def test_idx_images_of_two_channels_are_one_line(tmp_path: Path) -> None:
    write_idx(tmp_path / "i", 8, 1)
    (tmp_path / "i" / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((18, 8, 8, 2))))
    with pytest.raises(UserError, match=r"shape [(]8, 8, 2[)], expected [(]height, width[)], 1 or 3 channels"):
        open_source(data_of(), str(tmp_path / "i"))


def spoil(root: Path, how: str) -> None:
    match how:
        case "one image":
            for index in range(1, 10):
                (root / "mid" / f"{index}.png").unlink()
        case "no images":
            for path in (root / "mid").iterdir():
                path.unlink()
        case "another class":
            (root / "fish").mkdir()
        case "no class":
            for name in GREYS:
                (root / name).rename(root.parent / name)
        case "splits differ":
            write_classes(root / "train", 2), write_classes(root / "test", 2, ["dark", "light"])
        case "a cut image":
            for path in (root / "mid").iterdir():
                path.write_bytes(path.read_bytes()[:60])
        case "no folder":
            root.rename(root.parent / "away")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("one image", "mid holds one image: a class needs two at least"),
        ("no images", "mid: no PNG, JPEG or WebP images"),
        ("another class", "has the classes dark, fish, light, mid, but .*use :classes=dark[+]fish[+]light[+]mid"),
        ("no class", "has the classes [(]none[)], but"),
        ("splits differ", "train and test have other classes [(]only in train: mid[)]"),
        ("a cut image", "mid: "),
        ("no folder", "there is no such folder"),
    ],
)
def test_a_mistake_in_the_folders_is_one_line(how: str, said: str, tmp_path: Path) -> None:
    root = write_classes(tmp_path / "c")
    spoil(root, how)
    with pytest.raises(UserError, match=said) as caught:
        open_source(data_of(), str(root))
    assert "\\n" not in str(caught.value)


def test_a_mistake_in_a_file_of_classes_is_one_line(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "c")
    spoil(root, "one image")
    with pytest.raises(UserError, match="c.h5/mid holds one image"):
        open_source(data_of(), str(as_hdf5(root)))
    with h5py.File(tmp_path / "c.h5", "a") as file:
        file["fish"] = h5py.ExternalLink("elsewhere.h5", "/fish")  # no class: links are not followed
        del file["mid"]
    with pytest.raises(UserError, match="has the classes dark, light, but"):
        open_source(data_of(), str(tmp_path / "c.h5"))
    (tmp_path / "c.h5").write_text("x")
    with pytest.raises(UserError, match="not an HDF5 file"):
        open_source(data_of(), str(tmp_path / "c.h5"))
    write_classes(tmp_path / "all" / "train", 2), write_classes(tmp_path / "all" / "test", 2, ["dark"])
    with pytest.raises(UserError, match="train and test have other classes [(]only in train: light, mid[)]"):
        open_source(data_of(), str(as_hdf5(tmp_path / "all")))


CLASSES = "--config=cgan_conv:smoke,classes=light+dark+mid,side=8"


@pytest.mark.parametrize(
    ("how", "arguments", "said"),
    [
        ("one image", ["train", CLASSES], "mid holds one image"),
        ("splits differ", ["train", CLASSES], "only in train: mid"),
        ("", ["train", "--config=wgan:smoke", "--config.game.smoothing=0.1"], "game.smoothing"),
        ("", ["train", "--config=mlp_gan:smoke", "--config.discriminator.2.spectral_norm=true"], "no field"),
        ("no digits", ["train", "--config=stacked:smoke"], "has no 1 and no 2"),
        ("", ["train", CLASSES, "--config.num_labels=10"], "num_labels=10, but classes has 3 classes"),
        ("", ["train", "--config=mlp_gan:smoke", "--config.num_labels=12"], "num_labels=12, but mnist has 10 classes"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2(
    how: str, arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if how == "no digits":
        root = write_idx(tmp_path / "c", 28, 1, labels=(0,))
    else:
        root = write_classes(tmp_path / "c")
        spoil(root, how)
    place = [f"--data_dir={root}"] if how else []
    assert cli.main([*arguments, f"--workdir={tmp_path / 'run'}", *place]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_there_is_no_parity_on_other_data_than_the_posts() -> None:
    with pytest.raises(UserError, match="comparison with a post's program is on what the package brings"):
        data_of().shipped()


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("cgan_conv:classes=cat", "names=.*at least 2 items"),
        ("cgan_conv:classes=cat+dog+cat", "names=.*cat is there twice"),
        ("cgan_conv:classes=cat+dog,side=30", "multiple of 4"),
        ("cgan_conv:side=32", "go with classes"),
        ("cgan_conv:classes=" + "+".join(map(str, range(1001))), "names=.*at most 1000 items"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(reference: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        validate(load_config(reference))


def test_a_config_keeps_the_names() -> None:
    config: Any = validate(load_config("cgan_conv:classes=cat+dog,side=32,colour=True"))
    assert from_json(to_json(config)) == config
    assert (config.num_labels, config.label_names, config.data.shape) == (2, ("cat", "dog"), (32, 32, 3))
    with pytest.raises(UserError, match="num_labels=3, but classes has 2 classes"):
        override(config, {"num_labels": "3"})


def test_more_than_ten_classes_are_drawn_and_told_apart(tmp_path: Path) -> None:
    """Networks take their widths from the data; the table of a classifier has a row for each class, by its name."""
    names = [f"shade{k:02}" for k in range(12)]
    for k, name in enumerate(names):
        (tmp_path / "c" / name).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(np.full((8, 8), 20 * k + index, np.uint8)).save(tmp_path / "c" / name / f"{index}.png")
    config: Any = validate(load_config(f"cgan_conv:smoke,classes={'+'.join(names)},side=8"))
    source = open_source(config.data, str(tmp_path / "c"))
    networks = build(config, source).networks
    samples = networks["generator"](np.zeros((12, 64), np.float32), np.arange(12), training=False)
    assert samples.shape == (12, 8, 8, 1) and networks["discriminator"](samples, np.arange(12)).shape == (12,)
    assert (config.num_labels, config.num_samples, config.label_names) == (12, 120, tuple(names))
    larger = dataclasses.replace(config.data, side=28)
    with pytest.raises(UserError, match="classifier: its layers end in .10., not in 12 logits"):
        build(
            dataclasses.replace(offline("mnist_classifier:smoke"), data=larger),
            open_source(larger, str(tmp_path / "c")),
        )
    answers = accuracy.Answers(np.eye(12)[[*range(11), 3]], np.arange(12))
    rows = {
        row["label"]: row["generated"]
        for row in table(accuracy.metrics_for(names), {"generated": accuracy.column(answers)})
    }
    assert (rows["accuracy on class shade11"]["value"], rows["accuracy on class shade10"]["value"]) == (0, 1)
    test = Examples(12, (8, 8, 1), Provenance("shades", "test", 12, "0" * 64), np.zeros((12, 8, 8, 1), np.uint8))
    accuracy.write_pictures(tmp_path, answers, test, config)
    written = (tmp_path / "confusion.svg").read_text(encoding="utf-8")
    assert all(written.count(f">{name}</") >= 2 for name in names), "in its rows and in its columns"
    assert written.count(">1</") == 12 and ">0</" not in written, "a number for each pair that occurs"


def exported_judge(folder: Path, names: str, side: int = 16) -> Path:
    """The export of a judge that was never trained."""
    config: Any = validate(load_config(f"mnist_judge:classes={names},side={side}"))
    export_network(config, build_networks(config)["classifier"], folder, {"step": 0})
    return folder


def gan_on_classes(**changes: str) -> Any:
    config = validate(load_config("cgan_conv:smoke,classes=light+dark+mid,side=16"))
    return override(config, {key.replace("__", "."): value for key, value in changes.items()})


def test_a_judge_of_other_classes_or_sides_is_told_before_the_training(tmp_path: Path) -> None:
    folder = exported_judge(tmp_path / "judge", "light+dark+mid")
    config = gan_on_classes(judge=str(folder), metrics__steps="2")
    judge = judge_for(config)
    assert judge.facts["class_names"] == ["light", "dark", "mid"]
    assert judge(np.zeros((2, 16, 16, 1))).probabilities.shape == (2, 3)
    order = exported_judge(tmp_path / "order", "dark+light+mid")
    with pytest.raises(
        UserError, match="knows the classes dark, light, mid; the data's are light, dark, mid: name one"
    ):
        trainer.train(override(config, {"judge": str(order)}), tmp_path / "run")
    large = exported_judge(tmp_path / "large", "light+dark+mid", side=20)
    with pytest.raises(UserError, match=r"takes images .20, 20, 1., these are .16, 16, 1."):
        trainer.train(override(config, {"judge": str(large)}), tmp_path / "run")
    with pytest.raises(UserError, match="holds no exported classifier"):
        trainer.train(override(config, {"judge": str(tmp_path / "none")}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("reference", "changes", "said"),
    [
        ("cgan_conv:smoke,classes=a+b", {"metrics.steps": "2"}, "data must be mnist, or judge name one of its classes"),
        ("dcgan_montage:smoke", {"judge": "runs/judge"}, "judge needs labelled data: montage has no classes"),
    ],
)
def test_a_judge_goes_with_classes(reference: str, changes: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        override(validate(load_config(reference)), changes)


def test_a_monitor_counts_a_users_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_brightness(images: Any) -> dict[str, np.ndarray]:
        """Knows the classes by their greys; an untrained generator's images are all in the middle."""
        values = np.asarray(images).mean(axis=(1, 2, 3))
        of = np.array([1, 2, 0])[np.digitize(values, [0.3, 0.7])]
        return {"probabilities": np.eye(3)[of], "features": values[:, None], "scores": np.eye(3)[of]}

    config = gan_on_classes(judge="mine", metrics__steps="2")
    judge = Judge(by_brightness, (16, 16, 1), {"name": "mine", "sha256": "0" * 64})
    monkeypatch.setattr(monitor_lib, "judge_for", lambda config: judge)
    found = Monitor(build(config, open_source(config.data, str(write_classes(tmp_path / "c")))))()
    assert (found["judge_accuracy"], found["digits"]) == (1, 1)
    assert found["label_accuracy"] == pytest.approx(1 / 3, abs=1e-3)
    losses = {"d_loss_mean": 1.4, "g_loss": 0.7, "g_loss_mean": 0.7, "p_real_mean": 0.6, "p_fake_mean": 0.4}
    rows: Any = [{"kind": "train", "step": 2, "epoch": 1.0, **losses}]
    told = " ".join(diagnose(config, [*rows, {"kind": "metrics", "step": 2, "epoch": 1.0, **found}], {}))
    assert (
        "has collapsed, or draws no classes yet: the judge (right on 100.0% of real test images) finds 1 of 3" in told
    )
    figure = plots.curves(
        [*rows, {"kind": "metrics", "step": 2, "epoch": 1.0, **found}], "x", "y", reference_of(config, {})
    )
    assert "right on 100.0% of real images" in figure.axes[2].get_title()
    assert figure.axes[2].get_ylim()[1] == pytest.approx(3.15)


def write_shapes(root: Path) -> Path:
    """Circles, crosses and squares in noise, 70 of each, 16 x 16."""
    rng = np.random.default_rng(0)
    for name in ("circle", "cross", "square"):
        (root / name).mkdir(parents=True)
        for index in range(70):
            image = Image.new("L", (16, 16))
            x, y = rng.integers(5, 11, 2).tolist()
            pen, (left, top, right, bottom) = ImageDraw.Draw(image), (x - 4, y - 4, x + 4, y + 4)
            if name == "circle":
                pen.ellipse((left, top, right, bottom), fill=255)
            elif name == "square":
                pen.rectangle((left, top, right, bottom), fill=255)
            else:
                pen.line((left, top, right, bottom), fill=255, width=2)
                pen.line((left, bottom, right, top), fill=255, width=2)
            noisy = np.clip(0.8 * np.asarray(image) + rng.normal(20, 9, (16, 16)), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(root / name / f"{index}.png")
    return root


@pytest.mark.slow
def test_a_judge_of_a_users_classes_is_one_command_and_judges_runs_on_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From folders and from a file alike; its accuracy stands beside its numbers."""
    root, judge, run = write_shapes(tmp_path / "c"), tmp_path / "judge", tmp_path / "run"
    classes = "classes=circle+cross+square,side=16"
    shapes: Any = load_config(f"cgan_conv:{classes}")
    command = ["train", f"--config=mnist_judge:{classes}", f"--data_dir={root}", f"--workdir={judge}"]
    assert cli.main([*command, "--config.steps=120"]) == 0, capsys.readouterr().err
    assert "of 42 test images" in capsys.readouterr().out
    assert load_judge(judge).accuracy(open_source(shapes.data, str(root)).test) >= 0.9
    train = ["train", f"--config=cgan_conv:smoke,{classes}", f"--data_dir={as_hdf5(root)}", f"--workdir={run}"]
    assert cli.main([*train, f"--config.judge={judge}", "--config.metrics.steps=10"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "of 3 classes in 2,000 samples" in said
    assert "the judge (right on" in (run / "report.html").read_text()
    assert cli.main(["evaluate", f"--workdir={run}", "--num=60"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert (
        "of the test split here" in said
        and "label accuracy" in said
        and "classes by the judge, circle to square" in said
    )
    assert "trained on other images" not in said, "the same images, whether of folders or of an HDF5 file"
    assert json.loads((run / "metrics.json").read_text())["judge"]["class_names"] == ["circle", "cross", "square"]


@pytest.mark.slow
def test_a_gan_on_a_users_own_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, run = write_classes(tmp_path / "c"), tmp_path / "run"
    train = ["train", "--config=cgan_conv:smoke,classes=dark+light+mid,side=8,colour=True", f"--workdir={run}"]
    assert cli.main([*train, f"--data_dir={root}", "--config.steps=4"]) == 0, capsys.readouterr().err
    assert cli.main([*train, "--config.steps=6"]) == 0, "resumed, with the folder that run.json names"
    assert "class folders in c, train, n=24" in (run / "report.html").read_text()
    assert cli.main(["sample", f"--workdir={run}", "--label=light", "--num=3", f"--out={tmp_path}/x.npz"]) == 0
    assert np.load(tmp_path / "x.npz")["samples"].shape == (3, 8, 8, 3)
    capsys.readouterr()
    assert cli.main(["sample", f"--workdir={run}", "--label=fish", f"--out={tmp_path}/y.npz"]) == 2
    assert "no such class" in capsys.readouterr().err
