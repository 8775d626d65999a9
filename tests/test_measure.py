"""What `evaluate` is made of: the targets' laws, draws, halves, random features, rows of the table."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from montages import stored
from refusals import refusal
from scipy import integrate, optimize, stats

from tfgan_lab.config import Gaussian
from tfgan_lab.data.examples import Examples, Provenance
from tfgan_lab.evaluation import accuracy, colours, digits, distribution
from tfgan_lab.evaluation.colours import RandomFeatures
from tfgan_lab.evaluation.pieces import draw, labels_of
from tfgan_lab.evaluation.rows import Metric, lines, table
from tfgan_lab.metrics import Estimate


def test_samples_are_drawn_in_pieces_and_labels_in_turn() -> None:
    seen: list[tuple[int, int]] = []

    def sample(num: int, seed: int) -> np.ndarray:
        seen.append((num, seed))
        return np.full((num, 2, 2, 1), 1.0000002, np.float32)

    drawn = draw(sample, 25, seed=3, piece=10)
    assert drawn.shape == (25, 2, 2, 1)
    assert drawn.max() == 1
    assert [num for num, _ in seen] == [10, 10, 5]
    assert len({seed for _, seed in seen}) == 3
    np.testing.assert_array_equal(labels_of(25, 10, 10), [*range(10), *range(10), *range(5)])


def test_digits_are_drawn_when_they_are_more_than_one_percent() -> None:
    labels = np.repeat(np.arange(10), [500, 300, 100, 50, 20, 11, 10, 9, 0, 0])
    assert digits.classes_drawn(labels, 10) == 6


def test_rows_keep_their_order_and_cut_intervals_at_the_smallest_value() -> None:
    metrics = {"b": Metric("B", "lower"), "a": Metric("A", "higher", None), "c": Metric("C", "as real")}
    column = {"a": Estimate(0.1, -0.2, 0.4, "normal"), "b": Estimate(0.1, -0.2, 0.4, "normal"), "c": None}
    rows = table(metrics, {"generated": column, "real": {"b": 3.0}})
    assert [row["name"] for row in rows] == ["b", "a"]
    assert (rows[0]["generated"]["low"], rows[1]["generated"]["low"]) == (0.0, -0.2)
    assert rows[0]["real"] == {"value": 3.0}
    text = lines(rows)
    assert len(text) == 3
    assert text[0].split("  ")[-1] == "better"
    assert "untrained" not in text[0]
    assert text[1].split() == ["B", "0.1", "[0,", "0.4]", "3", "lower"]
    assert text[2].split() == ["A", "0.1", "[-0.2,", "0.4]", "-", "higher"]


BIMODAL = Gaussian(mean=4.0, std=0.5, target="bimodal", separation=2.0)


@pytest.mark.parametrize(
    "data", [Gaussian(mean=-2.0, std=0.5), BIMODAL, Gaussian(mean=0.0, std=1.0, target="bimodal", separation=0.7)]
)
def test_the_targets_law_is_that_of_its_density(data: Gaussian) -> None:
    shift = data.separation if data.target == "bimodal" else 0.0

    def density(x: float) -> float:
        return (stats.norm.pdf(x, data.mean - shift, data.std) + stats.norm.pdf(x, data.mean + shift, data.std)) / 2

    ends, inner = (data.mean - 12, data.mean + 12), [data.mean - shift, data.mean, data.mean + shift]

    def moment(power: int) -> float:
        return integrate.quad(lambda x: (x - data.mean) ** power * density(x), *ends, points=inner)[0]

    law = data.law()
    mean, variance, skewness, kurtosis = law.stats("mvsk")
    assert (mean, skewness) == (data.mean, 0)
    assert data.moments == pytest.approx((mean, math.sqrt(variance)), rel=1e-12)
    assert variance == pytest.approx(moment(2), rel=1e-8)
    assert kurtosis == pytest.approx(moment(4) / moment(2) ** 2 - 3, abs=1e-7)
    for x in (data.mean - 1.3, data.mean, data.mean + 0.4):
        assert law.cdf(np.array([x]))[0] == pytest.approx(
            integrate.quad(density, ends[0], x, points=inner)[0], abs=1e-9
        )
    for u in (1e-6, 0.03, 0.4, 0.77, 1 - 1e-6):
        exact = optimize.brentq(lambda x, u=u: law.cdf(np.array([x]))[0] - u, *ends, xtol=1e-12)
        assert law.ppf(np.array([u]))[0] == pytest.approx(exact, abs=1e-3 if 0.49 < u < 0.51 else 2e-5)


def test_a_sample_of_the_target_scores_as_one(rng: np.random.Generator) -> None:
    side = np.where(rng.random(50_000) < 0.5, 2.0, 6.0)
    column: Any = distribution.column(rng.normal(side, 0.5), BIMODAL, seed=0)
    assert column["wasserstein"].value < 0.06
    assert column["kolmogorov_smirnov"].value < 1.95 / math.sqrt(50_000)  # exceeded once in 1,000
    assert column["kurtosis"].value == pytest.approx(BIMODAL.law().stats("sk")[1], abs=0.02)
    other: Any = distribution.column(rng.normal(4, 2.06, 50_000), BIMODAL, seed=0)
    assert other["wasserstein"].value > 0.3
    assert other["kolmogorov_smirnov"].value > 0.1


def test_a_collapsed_generator_has_no_shape() -> None:
    column = distribution.column(np.full((5_000, 1), 3.0, np.float32), Gaussian(mean=4.0, std=1.25), seed=0)
    assert column["skewness"] is None
    assert column["kurtosis"] is None
    mean: Any = column["mean"]
    assert mean.value == 3


def test_two_halves_share_no_image_and_are_the_same_streamed_or_not(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (151, 16, 16, 3)).astype(np.uint8)
    faces = Examples(151, (16, 16, 3), Provenance("noise", "train", 151, "0"), images)
    first, second = colours.two_halves(faces, 1000, seed=1)
    assert len(first) == len(second) == 75
    assert len({image.tobytes() for image in (*first, *second)}) == 150
    streamed = dataclasses.replace(faces, images=stored(images, tmp_path))
    for a, b in zip((first, second), colours.two_halves(streamed, 1000, seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(colours.two_halves(faces, 7, seed=1)[0]) == 7
    for few in (1, 145):
        examples = Examples(few, (16, 16, 3), Provenance("noise", "train", few, "0"), images[:few])
        assert f"n={few}, sha256 0: too few to be measured" in refusal(lambda: colours.two_halves(examples, 9, seed=1))  # noqa: B023


def test_random_features_are_the_same_every_time_and_see_colours() -> None:
    images = np.random.default_rng(3).random((60, 16, 16, 3)).astype(np.float32)
    features = RandomFeatures()(images)
    assert features.shape == (60, 64)
    np.testing.assert_array_equal(features, RandomFeatures()(images))
    np.testing.assert_allclose(RandomFeatures()(images[::-1]), features[::-1], rtol=1e-4, atol=1e-6)
    redder = images * np.array([1, 0.5, 0.5], np.float32)
    assert np.abs(RandomFeatures()(redder).mean(0) - features.mean(0)).max() > 5 * features.std(0).max() / math.sqrt(60)


def test_the_confusion_matrix_has_the_truth_in_its_rows() -> None:
    answers = accuracy.Answers(np.eye(3)[[0, 1, 1, 2, 2]], np.array([0, 0, 1, 1, 2]))
    np.testing.assert_array_equal(answers.confusion, [[1, 1, 0], [0, 1, 1], [0, 0, 1]])
