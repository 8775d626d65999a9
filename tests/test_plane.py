"""Points of the plane: their laws, what is counted of them, their pictures, and every verb on a run of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab import cli, pictures
from tfgan_lab.config import Plane, override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data import open_source
from tfgan_lab.errors import UserError
from tfgan_lab.figures import png
from tfgan_lab.metrics import energy_distance, mode_coverage
from tfgan_lab.plane_laws import LAWS
from tfgan_lab.randomness import sample_seed

NUM = 4000


def config_of(variant: str = "smoke", **changes: str) -> Any:
    return override(validate(load_config(f"plane:{variant}")), {k.replace("__", "."): v for k, v in changes.items()})


def points_of(data: Plane, number: int = NUM, seed: int = 0) -> np.ndarray:
    return data.draw([number, 2], sample_seed(seed)).numpy()


def test_the_laws_are_those_that_a_config_names() -> None:
    assert set(get_args(get_type_hints(Plane)["law"])) == set(LAWS)
    assert [config_of(law).data.law for law in LAWS] == [*LAWS]


@pytest.mark.parametrize("law", ["swiss_roll", "two_moons"])
def test_a_law_is_scikit_learns(law: str) -> None:
    from sklearn.datasets import make_moons, make_swiss_roll

    roll = lambda: make_swiss_roll(NUM, noise=0.3, random_state=0)[0][:, [0, 2]]
    theirs = roll() if law == "swiss_roll" else make_moons(NUM, noise=0.3, random_state=0)[0]
    ours = points_of(Plane(law=law, size=1.0, std=0.3))
    spread = theirs.std()
    assert abs(energy_distance(theirs, ours)) < 0.0025 * spread
    assert energy_distance(theirs, ours + np.array([0.2 * spread, 0])) > 0.01 * spread


@pytest.mark.parametrize(("law", "size", "std"), [("ring8", 1.0, 0.01), ("grid25", 2.0, 0.05)])
def test_a_mixtures_modes_are_the_papers_and_equally_frequent(law: Any, size: float, std: float) -> None:
    data = Plane(law=law, size=size, std=std)
    points = points_of(data)
    if law == "grid25":
        expected = {(i, j) for i in range(-4, 5, 2) for j in range(-4, 5, 2)}
    else:
        expected = {(round(math.cos(a), 6), round(math.sin(a), 6)) for a in np.arange(8) * math.pi / 4}
    assert {tuple(np.round(mode, 6) + 0.0) for mode in data.modes} == {tuple(np.add(mode, 0.0)) for mode in expected}
    found = mode_coverage(points, data.modes, std)
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.006)
    share = NUM / len(data.modes)
    assert ((found.counts - share) ** 2 / share).sum() < 2.5 * len(data.modes), "chi-squared of equal shares"
    nearest = data.modes[np.linalg.norm(points[:, None] - data.modes, axis=-1).argmin(axis=1)]
    assert_allclose((points - nearest).std(axis=0), std, rtol=0.05)


def test_a_checkerboard_fills_every_other_square() -> None:
    x, y = points_of(Plane(law="checkerboard", size=2.0, std=0.0)).T
    squares, counts = np.unique(np.stack([np.floor(x / 2), np.floor(y / 2)]), axis=1, return_counts=True)
    assert squares.shape[1] == 8 and np.abs(squares + 0.5).max() == 1.5
    assert {*(squares.sum(axis=0) % 2)} == {0.0}
    assert counts.min() > 0.8 * NUM / 8


@pytest.mark.parametrize("law", LAWS)
def test_a_batch_is_a_function_of_seed_and_step(law: str) -> None:
    config = config_of(law, batch_size="7")
    batches = open_source(config.data, None).batches(config.data, 7, 1, config.seed)
    first = [points.numpy() for points, _ in batches.dataset(0).take(4)]
    assert_array_equal(next(iter(batches.dataset(3)))[0], first[3])
    assert np.abs(first[3] - first[2]).max() > 0
    assert_array_equal(batches.chunk(tf.range(4, dtype=tf.int64))[0], np.stack(first))
    even = open_source(config.data, None).batches(config.data, 8, 1, config.seed)
    halves = [next(iter(even.dataset(2, (index, 2))))[0] for index in (0, 1)]
    assert_array_equal(np.concatenate(halves), next(iter(even.dataset(2)))[0], "of two workers, each reads its half")
    left, right, bottom, top = config.data.box
    points = points_of(config.data)
    inside = (points >= [left, bottom]).all(axis=1) & (points <= [right, top]).all(axis=1)
    assert inside.mean() > 0.999


def test_what_is_counted() -> None:
    modes = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    found = mode_coverage([[0, 0.29], [0, -0.1], [0.31, 0], [9, 0], [20.2, 0.2]], modes, 0.1)
    assert found.counts.tolist() == [2, 0, 1]
    assert (found.modes, found.high_quality) == (2, 0.6)
    x, y = np.array([[0.0, 0], [3, 4]]), np.array([[0.0, 0], [0, 1], [0, 2]])
    across = np.mean([math.dist(a, b) for a in x for b in y])
    assert energy_distance(x, y) == pytest.approx(2 * across - 5 - (1 + 1 + 2) / 3)
    law = Plane(law="two_moons", size=1.0, std=0.05)
    same = [energy_distance(points_of(law, 500, seed), points_of(law, 500, seed + 50)) for seed in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(40), "of one law 0 on average"
    with pytest.raises(UserError, match="at most 20,000"):
        energy_distance(np.zeros([20_001, 2]) + np.arange(20_001)[:, None], x)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.law": "ring9"}, "'ring8'"),
        ({"data.std": "0"}, "points that no sample hits"),
        ({"data.std": "-1"}, "data.std"),
        ({"precision": "bfloat16"}, "use float32"),
        ({"num_labels": "3"}, "plane has none"),
        ({"metrics.steps": "3"}, "judge of digits"),
        ({"evaluate_line": "{p_real}"}, "p_real"),
    ],
)
def test_its_mistakes_are_one_line(changes: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config_of(**changes)


@pytest.mark.parametrize(
    ("loss", "pack"), [("non_saturating", 1), ("wasserstein", 1), ("relativistic", 1), ("relativistic", 3)]
)
def test_arrows_are_minus_the_gradient_of_gs_loss(loss: str, pack: int) -> None:
    """A D of packs sees each point beside the same real ones."""
    from tfgan_lab.report import plane_plots
    from tfgan_lab.training.experiment import build

    config = config_of(game__loss=loss, game__pack=str(pack), batch_size="12")
    experiment = build(config, open_source(config.data, None))
    # Of a smooth D: finite differences must not step over the kinks of its ReLUs.
    experiment.networks["discriminator"] = lambda x, labels, training: tf.reduce_sum(tf.sin(2 * x), axis=1)
    spots = np.array([[0.3, -0.2], [1.0, 0.4]])
    logits, pull = plane_plots._of_d(experiment, spots)
    beside = np.sin(2 * plane_plots.real_points(config, pack - 1)).sum() if pack > 1 else 0
    assert_allclose(logits, np.sin(2 * spots).sum(axis=1) + beside, rtol=1e-5)
    real = tf.constant(np.sin(2 * plane_plots.real_points(config, 2)).sum(axis=1) + beside, tf.float32)
    lost = lambda x: experiment.task.loss.g(real, tf.constant(np.sin(2 * x).sum(axis=1) + beside, tf.float32)).numpy()
    for axis, step in enumerate(np.eye(2) * 1e-2):
        assert_allclose(pull[:, axis], -(lost(spots + step) - lost(spots - step)) / 2e-2, atol=2e-3)
    assert pictures.from_png(png(plane_plots.surface(experiment, spots, 3))).shape[2] == 3


@pytest.mark.slow
def test_every_verb_takes_a_run_of_it(
    trained: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("plane:smoke")
    for name in ("samples.png", "surface.png", "film.gif", "surface.gif", "curves.png", "samples/surface-00000010.png"):
        assert (run / name).is_file(), name
    page = (run / "report.html").read_text()
    assert "8 normals on a circle" in page and "Whether the generator has collapsed was not measured" not in page
    assert cli.main(["sample", f"--workdir={run}", "--num=7", f"--out={tmp_path}/x.npz"]) == 0
    assert np.load(tmp_path / "x.npz")["samples"].shape == (7, 2)
    assert cli.main(["sample", f"--workdir={run}", f"--out={tmp_path}/x.png"]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", f"--workdir={run}", f"--out={tmp_path}/x.json", "--num=300"]) == 0
    said = capsys.readouterr().out
    assert "modes recovered, of 8" in said and "share within 3 std of a mode" in said
    assert cli.main(["report", f"--workdir={run}", f"--out={tmp_path}/x.html"]) == 0
    sweep = ["sweep", "--config=plane:smoke", "--config.steps=2", "--field=data.law", "--values=ring8,two_moons"]
    assert cli.main([*sweep, "--config.evaluate.steps=2", f"--workdir={tmp_path}/sweep"]) == 0
    table = (tmp_path / "sweep" / "sweep.md").read_text()
    assert "| data.law | modes | high_quality | energy_distance |" in table
