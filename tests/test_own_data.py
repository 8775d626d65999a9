"""Kinds of data from outside of the package: opened, trained, resumed, drawn from, exported, reported and measured.

One of images, one of numbers, and one that is neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import tensorflow as tf
from pydantic.dataclasses import dataclass
from runs import nothing_drawn
from scipy import stats

from tfgan_lab import cli
from tfgan_lab.config import (
    STRICT,
    Data,
    ImageData,
    NumberData,
    Positive,
    Rate,
    data_kind,
    from_json,
    override,
    to_json,
    validate,
)
from tfgan_lab.config_files import load_config
from tfgan_lab.data import OPENERS, Examples, Provenance, Source, open_source
from tfgan_lab.data.examples import digest
from tfgan_lab.errors import UserError
from tfgan_lab.layers import Dense, Reshape, Tanh
from tfgan_lab.training import train as plain


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
    return Source(Examples(data.num, data.shape, provenance, images), None, f"data: {provenance}")


@dataclass(config=STRICT, kw_only=True, slots=True)
class Exponential(NumberData):
    """Waiting times."""

    scale: Rate = 2.0
    kind: Literal["exponential"] = "exponential"

    def __str__(self) -> str:
        return f"Exp({self.scale:g})"

    def draw(self, shape: list[int], seed: Any) -> Any:
        from tfgan_lab import philox

        return -self.scale * tf.math.log1p(-philox.uniform(shape, seed))

    def law(self) -> Any:
        return stats.expon(scale=self.scale)


@dataclass(config=STRICT, kw_only=True, slots=True)
class Points(Data):
    """Points of a plane, in a square."""

    kind: Literal["points"] = "points"
    pixels: ClassVar[str] = "none"
    output: ClassVar[str] = "points"
    is_endless: ClassVar[bool] = True
    judged_by: ClassVar[tuple[str, ...]] = ("inside",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def draw(self, shape: list[int], seed: Any) -> Any:
        from tfgan_lab import philox

        return philox.uniform(shape, seed)


@pytest.fixture(autouse=True, scope="module")
def known() -> Iterator[None]:
    data_kind(Squares), data_kind(Exponential), data_kind(Points)
    OPENERS[Squares] = open_squares
    yield
    del Data.kinds["squares"], Data.kinds["exponential"], Data.kinds["points"], OPENERS[Squares]


def numbers_config(**changes: str) -> Any:
    config: Any = dataclasses.replace(validate(load_config("gaussian:smoke")), name="exponential", data=Exponential())
    return override(config, {"steps": "4", "num_samples": "50", "checkpoint.steps": "2", **changes})


def points_config() -> Any:
    config = config_of(**{"evaluate.steps": "2", "sample.steps": "2", "untrained": "false"})
    generator, discriminator = [Dense(8), Tanh(), Dense(2)], [Dense(8), Tanh(), Dense(1)]
    return validate(
        dataclasses.replace(
            config,
            name="points",
            data=Points(),
            generator=generator,
            discriminator=discriminator,
            evaluate_line="{inside}",
        )
    )


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
    plain.train(config_of(steps="2"), parts)
    plain.train(config_of(), parts)
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


@pytest.mark.slow
def test_numbers_of_a_law_are_trained_resumed_exported_reported_and_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfgan_lab.evaluation.exported import evaluate
    from tfgan_lab.export.saved_model import load_generator
    from tfgan_lab.report.sample import sample_run
    from tfgan_lab.trainer import train
    from tfgan_lab.training.workdir import Workdir

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(numbers_config(**{"evaluate.steps": "2"}), whole)
    said = capsys.readouterr().out
    assert "10,000 generated numbers (seed 0): fake_mean" in said
    assert "Wasserstein-1 to Exp(2)" in said
    plain.train(numbers_config(steps="2"), parts)
    plain.train(numbers_config(), parts)
    drawn = [sample_run(folder, 4, 0)[0] for folder in (whole, parts)]
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].shape == (4, 1)
    np.testing.assert_allclose(load_generator(whole).sample(4, 0), drawn[0], atol=1e-5)
    kinds = [row["kind"] for row in Workdir(whole).read_metrics()]
    assert {"eval"} <= {*kinds} and {"fake_mean", "fake_std"} <= {*Workdir(whole).read_metrics()[kinds.index("eval")]}
    assert "Exp(2)" in (whole / "report.html").read_text()
    assert cli.main(["sample", f"--workdir={whole}", "--num=1", f"--out={tmp_path}/one.png"]) == 2
    assert "--num=1: a picture of these samples needs 2" in capsys.readouterr().err
    assert cli.main(["sample", f"--workdir={whole}", "--num=1", f"--out={tmp_path}/one.npz"]) == 0
    rows = {row["name"]: row for row in evaluate(whole, num=20_000)["metrics"]}
    assert [rows[name]["label"] for name in ("mean", "std", "skewness", "kurtosis")] == [
        "mean (target 2)", "standard deviation (target 2)", "skewness (target 2)", "excess kurtosis (target 6)"
    ]  # fmt: skip
    # Its own law's numbers are found to be of it, the generator's are not.
    assert rows["kolmogorov_smirnov"]["real"]["value"] < 0.02 < rows["kolmogorov_smirnov"]["generated"]["value"]
    assert rows["mean"]["real"]["value"] == pytest.approx(2, abs=0.06)


@pytest.mark.slow
def test_numbers_of_a_law_are_swept_over_seeds_and_trained_many_at_once(tmp_path: Path) -> None:
    from tfgan_lab.studies.sweep import sweep
    from tfgan_lab.trainer import train

    runs: Any = train(numbers_config(num_seeds="2", compile="loop"), tmp_path / "seeds")
    with nothing_drawn():
        alone = sweep(numbers_config(), "seed", ["1"], tmp_path / "alone")
    assert (tmp_path / "alone" / "sweep.png").is_file() and alone
    single = np.load(tmp_path / "alone" / "seed=1" / "samples" / "step-00000004.npz")["samples"]
    np.testing.assert_allclose(runs[1].samples(), single, atol=1e-5)


@pytest.mark.slow
def test_a_kind_that_is_neither_has_rows_in_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfgan_lab import pictures
    from tfgan_lab.data import numbers
    from tfgan_lab.evaluation.exported import MEASURES, Measure, evaluate
    from tfgan_lab.report.drawings import DRAWINGS, Drawing
    from tfgan_lab.report.sample import sample_run
    from tfgan_lab.trainer import train
    from tfgan_lab.training.evaluator import EVALUATORS

    class Scatter(Drawing):
        def picture(self, drawn: np.ndarray, config: Any, step: int) -> bytes:
            return pictures.png_bytes(np.full((len(drawn), 8, 1), step, np.uint8))

    def measure(subject: Any, source: Any, num: int | None, judge: str | None, seed: int) -> dict[str, Any]:
        return {"n": {"points": num}, "metrics": []}

    rows: list[tuple[Any, Any]] = [
        (OPENERS, numbers.open_data),
        (EVALUATORS, lambda experiment: lambda step: {"inside": step / 4}),
        (DRAWINGS, Scatter()),
        (MEASURES, Measure(measure)),
    ]
    for missing, (table, row) in zip(("OPENERS", "EVALUATORS", "DRAWINGS", "MEASURES"), rows, strict=True):
        with pytest.raises(UserError, match=f"data.kind='points': tfgan_lab.*{missing} has no row for it"):
            train(points_config(), tmp_path / missing)
        monkeypatch.setitem(table, Points, row)
    capsys.readouterr()
    train(points_config(), tmp_path / "run")
    assert "1.0\n" in capsys.readouterr().out
    assert sample_run(tmp_path / "run", 3, 0)[0].shape == (3, 2)
    assert evaluate(tmp_path / "run", num=5)["n"] == {"points": 5}
    assert pictures.read_png(tmp_path / "run" / "samples.png").shape[0] == 4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "made", "arguments"),
    [
        pytest.param("squares", "Squares", "config_of(steps='2')", marks=pytest.mark.slow),
        ("exponential", "Exponential", "numbers_config(steps='2')"),
    ],
)
def test_every_verb_takes_the_file_that_defines_it(
    kind: str,
    made: str,
    arguments: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain.train({"squares": config_of, "exponential": numbers_config}[kind](steps="2"), tmp_path / "run")
    file = tmp_path / f"{kind}.py"
    file.write_text(
        f"import test_own_data as own\nown.data_kind(own.{made})\ndef get_config(): return own.{arguments}\n"
    )
    verbs = ["export", "sample --num=4", f"compare export-torch --out={tmp_path}/g.npz"]
    if kind == "squares":  # that numbers are drawn and measured is tested above
        verbs += ["evaluate --num=100", "report", "train"]
    for verb in verbs:
        monkeypatch.delitem(Data.kinds, kind)
        arguments = [*verb.split(), f"--workdir={tmp_path / 'run'}"]
        capsys.readouterr()
        assert cli.main(arguments) == 2, verb
        said = capsys.readouterr().err
        assert (said.count("\n"), f"no kind of data '{kind}'" in said) == (1, True)
        assert "name that file with --config" in said
        with nothing_drawn():
            assert cli.main([*arguments, f"--config={file}"]) == 0, capsys.readouterr().err


def test_other_data_of_it_is_noticed() -> None:
    first, other = (open_source(Squares(side=side), None) for side in (3, 4))
    assert first.provenance["train"].sha256 != other.provenance["train"].sha256
