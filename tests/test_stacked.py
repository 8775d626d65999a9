"""Stacked MNIST: its images, its modes and their KL, what it refuses, and a run of it."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from numpy.testing import assert_array_equal

from tfgan_lab import cli
from tfgan_lab.data import open_source
from tfgan_lab.data.mnist import stacked
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import modes
from tfgan_lab.evaluation.judge import load_judge


def test_every_colour_is_a_digit_of_its_split(embedded: dict[str, Any]) -> None:
    source = open_source(offline("stacked:smoke").data)
    assert source.train is not None and source.test is not None
    assert source.train.images.shape == source.test.images.shape == (1000, 28, 28, 3)
    for part, of in ((source.train, embedded["train+validation"]), (source.test, embedded["test"])):
        digits = {image.tobytes() for image in of.images}
        assert all(image[..., colour].tobytes() in digits for image in part.images[:50] for colour in range(3))
        assert (part.images[:, ..., 0] != part.images[:, ..., 1]).any(axis=(1, 2)).mean() > 0.9
    again = open_source(offline("stacked:smoke").data).train
    assert again is not None
    assert_array_equal(again.images, source.train.images)
    other = open_source(offline("stacked:smoke", data__draw_seed="1").data).train
    assert other is not None and other.provenance.sha256 != source.train.provenance.sha256


def test_too_few_digits_are_one_line(embedded: dict[str, Any]) -> None:
    train = embedded["train"]
    kept = ~np.isin(train.labels, [3, 7])
    few = dataclasses.replace(train, num=int(kept.sum()), images=train.images[kept], labels=train.labels[kept])
    with pytest.raises(UserError, match="has no 3 and no 7: stacked images are of all ten digits"):
        stacked(few, 1000, 0)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("data.num", "999", "data.num"),
        ("num_labels", "10", "stacked has none"),
        ("metrics.steps", "2", "must be mnist"),
    ],
)
def test_its_mistakes_are_one_line(field: str, value: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        offline("stacked:smoke", **{field: value})


def test_modes_are_the_digits_that_a_judge_reads(embedded: dict[str, Any]) -> None:
    test = embedded["test"]
    of = [np.flatnonzero(test.labels == digit)[:8] for digit in (4, 0, 7)]
    images = np.concatenate([test.images[rows] for rows in of], axis=-1) / np.float32(255)  # [8, 28, 28, 3]
    found = modes.modes_of(images, load_judge())
    assert (found == 407).mean() >= 7 / 8


def test_the_kl_is_of_shares_to_equal_ones() -> None:
    assert modes.kl_to_equal_shares(np.arange(1000).repeat(3)) == pytest.approx(0, abs=1e-12)
    assert modes.kl_to_equal_shares(np.full(50, 407)) == pytest.approx(math.log(1000))
    assert modes.kl_to_equal_shares(np.array([1, 1, 1, 2])) == pytest.approx(
        0.75 * math.log(750) + 0.25 * math.log(250)
    )
    drawn = np.random.default_rng(0).integers(1000, size=26_000)
    assert modes.kl_to_equal_shares(drawn) == pytest.approx(999 / 52_000, rel=0.15)


@pytest.mark.slow
def test_a_run_is_evaluated(
    trained: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfgan_lab.studies.outcomes import our_outcome

    run = shutil.copytree(trained("stacked:smoke"), tmp_path / "run")
    assert cli.main(["evaluate", f"--workdir={run}", "--num=600", f"--out={tmp_path}/m.json"]) == 0
    said = capsys.readouterr().out
    assert "modes recovered, of 1,000" in said and "KL of the modes to equal shares" in said
    monkeypatch.setattr(modes, "NUM", 600)
    numbers = our_outcome(offline("stacked:smoke"), run, None)["numbers"]
    assert {"modes", "kl_modes", "p_real", "p_fake"} <= set(numbers)
