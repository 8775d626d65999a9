"""The command line on real runs: sample, export, data, train; exit codes and what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from runs import fingerprint, nothing_drawn

from tfgan_lab import cli
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.parity import steps
from tfgan_lab.report.sample import sample_run, write_samples

GAN, LABELLED, NUMBERS, CLASSIFIER = "mlp_gan:smoke", "cgan_layernorm:smoke", "gaussian:smoke", "mnist_classifier:smoke"


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command that must end with 0; returns what it printed."""

    def call(*arguments: Any) -> str:
        assert cli.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return call


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command that must end with 2 and one line on stderr; returns the line."""

    def call(*arguments: Any) -> str:
        assert cli.main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("tfgan-lab: ")
        assert error.count("\n") == 1
        return error

    return call


def test_sample_writes_a_picture_and_says_what_it_is(trained: Any, tell: Any, tmp_path: Path) -> None:
    out = tmp_path / "new" / "grid.png"
    said = tell("sample", f"--workdir={trained(GAN)}", "--num=10", "--seed=7", f"--out={out}")
    assert said.count("\n") == 1
    assert all(word in said for word in ("10 samples", "seed 7", GAN, "20 steps", str(out)))
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        width, height = picture.size
        assert width % (4 * 28 + 5 * 2) == 0, "10 in rows of 4, enlarged by whole pixels"
        assert height % (3 * 28 + 4 * 2) == 0


def test_sample_writes_arrays_that_equal_the_library_and_the_export(trained: Any, tell: Any, tmp_path: Path) -> None:
    tell("sample", f"--workdir={trained(GAN)}", "--num=10", "--seed=7", f"--out={tmp_path / 'a.npz'}")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["samples"]
        drawn = arrays["samples"]
    assert_array_equal(drawn, sample_run(trained(GAN), 10, 7)[0])
    assert_allclose(drawn, load_generator(trained(GAN)).sample(10, 7), atol=1e-6)


def test_the_same_seed_gives_the_same_file(trained: Any, tell: Any, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        tell("sample", f"--workdir={trained(GAN)}", "--num=4", f"--seed={seed}", f"--out={tmp_path / name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_sample_of_a_label_and_of_all_in_turn(trained: Any, tell: Any, tmp_path: Path) -> None:
    for name, flags in (("three", ["--label=3"]), ("all", [])):
        tell("sample", f"--workdir={trained(LABELLED)}", "--num=20", *flags, f"--out={tmp_path / name}.npz")
    three, every = (np.load(tmp_path / f"{name}.npz")["samples"] for name in ("three", "all"))
    assert_allclose(three[3::10], every[3::10], atol=1e-6)
    assert np.abs(three[4::10] - every[4::10]).max() > 1e-3
    tell("sample", f"--workdir={trained(LABELLED)}", "--label=3", f"--out={tmp_path / 'post.png'}")
    with Image.open(tmp_path / "post.png") as picture:  # the post's plot_images: 2 rows of 3, in its colours
        assert picture.size[0] * (2 * 30 + 2) == picture.size[1] * (3 * 30 + 2)
        assert picture.mode == "RGB"


@pytest.mark.parametrize("each", [1, 4])
def test_every_row_of_a_drawn_picture_is_a_label(each: int, tmp_path: Path) -> None:
    """Samples come with the labels in turn; these are as bright as their label, and their copies as each other."""
    drawn = np.tile(np.arange(10, dtype=np.float32) / 10, each)[:, None, None, None] * np.ones(
        (1, 28, 28, 1), np.float32
    )
    run: Any = SimpleNamespace(config=offline("cgan_concat"), step=1)
    write_samples(drawn, tmp_path / "drawn.png", run)
    with Image.open(tmp_path / "drawn.png") as picture:
        pixels = np.asarray(picture.convert("L")).astype(int)
    height = pixels.shape[0] / 10
    left = pixels.shape[1] - each * height  # where the names of the rows end
    cells = [[pixels[int((i + 0.5) * height), int(left + (j + 0.5) * height)] for j in range(each)] for i in range(10)]
    inked = [pixels[int(i * height) : int((i + 1) * height), : int(left)] for i in range(10)]
    assert all(np.ptp(margin) > 100 for margin in inked)
    assert_allclose(cells, np.repeat(np.arange(10)[:, None] * 25.5, each, axis=1), atol=1)


def test_sample_of_numbers_is_a_plot_or_an_array(trained: Any, tell: Any, tmp_path: Path) -> None:
    for ending in ("png", "npz"):
        tell("sample", f"--workdir={trained(NUMBERS)}", "--num=300", f"--out={tmp_path / 'n'}.{ending}")
    assert np.load(tmp_path / "n.npz")["samples"].shape == (300, 1)
    with Image.open(tmp_path / "n.png") as picture:
        picture.verify()


def test_what_sample_cannot_draw_is_one_line(trained: Any, refuse: Any, tmp_path: Path) -> None:
    assert "no labels" in refuse("sample", f"--workdir={trained(GAN)}", "--label=3", f"--out={tmp_path / 'x.png'}")
    for label in ("12", "10", "-1"):
        assert "0 to 9" in refuse(
            "sample", f"--workdir={trained(LABELLED)}", f"--label={label}", f"--out={tmp_path / 'x.png'}"
        )
    assert "classifier" in refuse("sample", f"--workdir={trained(CLASSIFIER)}", f"--out={tmp_path / 'x.png'}")
    assert "holds no run" in refuse("sample", f"--workdir={tmp_path / 'none'}", f"--out={tmp_path / 'x.png'}")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refuse("sample", f"--workdir={trained(GAN)}", f"--out={tmp_path / 'file' / 'x.png'}")
    assert not (tmp_path / "x.png").exists()


def test_sample_passes_over_a_damaged_checkpoint_and_says_so(trained: Any, tell: Any, tmp_path: Path) -> None:
    shutil.copytree(trained(GAN), tmp_path / "run")
    (path,) = (tmp_path / "run" / "checkpoints").glob("ckpt-20.data*")
    path.write_bytes(path.read_bytes()[:100])
    said = tell("sample", f"--workdir={tmp_path / 'run'}", "--num=2", f"--out={tmp_path / 'x.npz'}")
    assert "ckpt-20 is damaged" in said
    assert "after 10 steps" in said


def test_export_writes_a_checked_model(trained: Any, tell: Any, refuse: Any, tmp_path: Path) -> None:
    said = tell("export", f"--workdir={trained(GAN)}", f"--out={tmp_path / 'model'}")
    assert "largest difference" in said
    assert_allclose(
        load_generator(tmp_path / "model").sample(3, 1), load_generator(trained(GAN)).sample(3, 1), atol=1e-6
    )
    assert "holds no run" in refuse("export", f"--workdir={tmp_path / 'none'}")


def test_data_says_what_would_be_taken(tell: Any, refuse: Any, tmp_path: Path) -> None:
    said = tell("data", "--config=mlp_gan", "--config.data.source=embedded", f"--out={tmp_path / 'digits.png'}")
    assert "n=4,500" in said
    assert "sha256" in said
    with Image.open(tmp_path / "digits.png") as picture:
        picture.verify()
    assert "N(4, 1.25^2)" in tell("data", "--config=gaussian")
    assert "no MNIST" in refuse("data", "--config=mlp_gan", f"--data_dir={tmp_path}")
    assert "not a folder" in refuse("data", "--config=mlp_gan", f"--data_dir={tmp_path / 'none'}")


def test_train_takes_the_config_of_its_folder_and_refuses_another(
    trained: Any, tell: Any, refuse: Any, tmp_path: Path
) -> None:
    shutil.copytree(trained(GAN), tmp_path / "run")
    before = fingerprint(tmp_path / "run")
    said = tell("train", f"--workdir={tmp_path / 'run'}")
    assert fingerprint(tmp_path / "run") == before
    assert "already trained" in said
    assert "tfgan-lab sample" in said
    assert "g_optimizer.learning_rate: 0.0001 -> 0.5" in refuse(
        "train", f"--workdir={tmp_path / 'run'}", "--config.g_optimizer.learning_rate=0.5"
    )
    assert "another config" in refuse("train", f"--workdir={tmp_path / 'run'}", "--config=cgan_concat:smoke")
    with nothing_drawn():
        said = tell("train", f"--workdir={tmp_path / 'run'}", "--config.steps=30")
    assert "resuming at step 20" in said
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 30


def test_train_says_what_the_user_must_fix(refuse: Any, tmp_path: Path) -> None:
    run = f"--workdir={tmp_path / 'run'}"
    embedded = ("train", "--config=mlp_gan:smoke", "--config.data.source=embedded")
    assert "batch_size" in refuse(*embedded, "--config.batch_size=4501", run)
    assert "--data_dir" in refuse(
        "train", "--config=mlp_gan:smoke", "--config.data.source=idx", f"--workdir={tmp_path / 'other'}"
    )
    (tmp_path / "mine.txt").write_text("")
    assert "not empty" in refuse(*embedded, f"--workdir={tmp_path}")


def test_divergence_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--config=gaussian:smoke",
        "--config.g_optimizer.learning_rate=1e30",
        "--config.steps=300",
        f"--workdir={tmp_path / 'run'}",
    ]
    assert cli.main(["train", *flags]) == 3
    error = capsys.readouterr().err
    assert " at step " in error
    assert "learning_rate" in error
    assert error.count("\n") == 1


def test_parity_that_does_not_hold_ends_with_2_and_keeps_its_rows(
    refuse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [steps.Row("update 1", "weight", 0.0, 0.0, 1e-10), steps.Row("update 2", "bias", 0.5, 0.5, 1e-10)]
    monkeypatch.setattr(steps, "run_parity", lambda *_: rows)
    line = refuse("compare", "parity", "--config=gaussian", f"--json={tmp_path}/rows.json")
    assert "first in update 2: bias" in line
    written = json.loads((tmp_path / "rows.json").read_text())
    assert not written["same"] and [row["ok"] for row in written["rows"]] == [True, False]
