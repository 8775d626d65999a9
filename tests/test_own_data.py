"""A kind of data from outside of the package: opened, trained, resumed, drawn from, exported, reported and measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic.dataclasses import dataclass

from tfgan_lab import cli
from tfgan_lab.config import STRICT, Data, ImageData, Positive, data_kind, from_json, override, to_json, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data import OPENERS, Examples, Provenance, Source, open_source
from tfgan_lab.data.examples import digest
from tfgan_lab.errors import UserError
from tfgan_lab.layers import Dense, Reshape, Tanh


@dataclass(config=STRICT, kw_only=True, slots=True)
class Squares(ImageData):
    """Bright squares anywhere in small dark images."""

    num: Positive = 256
    side: Positive = 3
    pixels: Literal["tanh", "unit"] = "tanh"
    kind: Literal["squares"] = "squares"

    @property
    def shape(self) -> tuple[int, ...]:
        return (16, 16, 1)


def open_squares(data: Squares, data_dir: str | None) -> Source:
    images = np.zeros((data.num, *data.shape), np.uint8)
    for image, (top, left) in zip(
        images, np.random.default_rng(0).integers(0, 17 - data.side, (data.num, 2)), strict=True
    ):
        image[top : top + data.side, left : left + data.side] = 255
    provenance = Provenance("squares", "train", data.num, digest(images))
    return Source(Examples(data.num, data.shape, provenance, images), None, data.shape, f"data: {provenance}")


@pytest.fixture(autouse=True, scope="module")
def known() -> Iterator[None]:
    data_kind(Squares)
    OPENERS[Squares] = open_squares
    yield
    del Data.kinds["squares"], OPENERS[Squares]


def config_of(**changes: str) -> Any:
    config: Any = dataclasses.replace(validate(load_config("mlp_gan:smoke")), name="squares", data=Squares())
    config.generator[-3:] = [Dense(16 * 16), Tanh(), Reshape(16, 16, 1)]
    return override(config, {"steps": "4", "num_samples": "4", "batch_size": "16", "metrics.epochs": "0", **changes})


def test_a_config_holds_it_and_survives_json() -> None:
    config = config_of(**{"data.side": "5"})
    assert config.data == Squares(side=5)
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("data.sied", "3", "'side'"),
        ("data.side", "x", "data.side='x'"),
        ("metrics.steps", "2", "judge of digits"),
        ("num_labels", "10", "squares has none"),
    ],
)
def test_its_mistakes_are_one_line(field: str, value: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        config_of(**{field: value})


def test_a_kind_that_is_not_known_here_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_json(config_of())
    monkeypatch.delitem(Data.kinds, "squares")
    with pytest.raises(UserError, match="no kind of data 'squares'.*name that file with --config"):
        from_json(text)


def test_it_is_trained_resumed_exported_reported_and_measured(tmp_path: Path) -> None:
    from tfgan_lab.evaluation.exported import evaluate
    from tfgan_lab.export.saved_model import load_generator
    from tfgan_lab.report.sample import sample_run
    from tfgan_lab.trainer import train
    from tfgan_lab.training.workdir import Workdir

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(config_of(), whole)
    train(config_of(steps="2"), parts)
    train(config_of(), parts)
    drawn = [sample_run(folder, 4, 0)[0] for folder in (whole, parts)]
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].shape == (4, 16, 16, 1)
    np.testing.assert_allclose(load_generator(whole).sample(4, 0), drawn[0], atol=1e-5)
    assert (whole / "real_and_generated.png").is_file()
    assert "squares, train, n=256" in (whole / "report.html").read_text()
    assert Workdir(whole).read_record()["data"]["train"]["source"] == "squares"
    measured = {row["name"] for row in evaluate(whole, num=100)["metrics"]}
    assert "frechet_distance" in measured
    with pytest.raises(UserError, match="data.side: 3 -> 4"):
        train(config_of(**{"data.side": "4"}), whole)


def test_every_verb_takes_the_file_that_defines_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfgan_lab.trainer import train

    train(config_of(steps="2"), tmp_path / "run")
    file = tmp_path / "squares.py"
    file.write_text(
        "import test_own_data as own\nown.data_kind(own.Squares)\ndef get_config(): return own.config_of(steps='2')\n"
    )
    verbs = ["sample --num=4", "evaluate --num=100", "report", "export", f"compare export-torch --out={tmp_path}/g.npz"]
    for verb in [*verbs, "train"]:
        monkeypatch.delitem(Data.kinds, "squares")
        arguments = [*verb.split(), f"--workdir={tmp_path / 'run'}"]
        capsys.readouterr()
        assert cli.main(arguments) == 2, verb
        said = capsys.readouterr().err
        assert (said.count("\n"), "no kind of data 'squares'" in said) == (1, True)
        assert "name that file with --config" in said
        assert cli.main([*arguments, f"--config={file}"]) == 0, capsys.readouterr().err


def test_other_data_of_it_is_noticed(tmp_path: Path) -> None:
    first, other = (open_source(Squares(side=side), None) for side in (3, 4))
    assert first.provenance["train"].sha256 != other.provenance["train"].sha256
