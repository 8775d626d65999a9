"""Pictures and numbers that the posts show beside their training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline

from tfgan_lab.data import open_source
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.networks import build_networks
from tfgan_lab.pictures import grid, to_uint8
from tfgan_lab.posts.reference import Reference, reference_of
from tfgan_lab.report import drawings, gallery, plots
from tfgan_lab.training.experiment import build
from tfgan_lab.training.loop import moments_of
from tfgan_lab.training.sampler import Sampler
from tfgan_lab.training.workdir import Workdir

NAMES = ["d_loss", "real_mean", "real_std", "fake_mean", "fake_std"]


def test_p000_looks_at_a_pair_that_pytorch_started(tmp_path: Path, small_source: Any) -> None:
    """The post printed 0.4857 0.4858 0.4861 0.4789 0.4847: before its own start values, dropout on."""
    experiment = build(offline("mlp_gan"), small_source)
    folder = Workdir(tmp_path)
    line = gallery.write_untrained(folder, experiment)
    beliefs = folder.read_record()["untrained"]
    assert line.endswith(" ".join(f"{p:.4f}" for p in beliefs)) and len(beliefs) == 5
    assert all(abs(p - 0.5) < 0.03 for p in beliefs)
    assert len(set(beliefs)) == 5, "dropout and latents differ"
    assert (tmp_path / "untrained.png").stat().st_size > 10_000
    # With the start values of the training that follows D would be surer of itself.
    nets: Any = build_networks(experiment.config)
    own = tf.sigmoid(nets["discriminator"](nets["generator"](tf.random.stateless_normal([200, 100], [0, 0]))))
    assert np.abs(own - 0.5).max() > 0.05


def test_p001s_samples_stand_on_two_statistics_side_by_side(small_source: Any) -> None:
    """Each image's own, as the post draws one image at a time in training mode, beside the running ones."""
    config: Any = offline("dcgan_montage:smoke")
    experiment = build(config, open_source(config.data))
    generator = experiment.networks["generator"]
    for variable in generator.variables:
        if "moving_variance" in variable.name:
            variable.assign(variable * 9)
    figure = drawings.on_two_statistics(experiment, "a run", "its data")
    assert figure is not None and figure.get_suptitle() == "a run: the same latents, two statistics in BatchNorm"
    titles = ["each image's own statistics (this run's)", "running statistics"]
    assert [axis.get_title() for axis in figure.axes] == titles
    own, running = (np.asarray(axis.get_images()[0].get_array()) for axis in figure.axes)
    z, _ = GeneratorModule(generator, config).inputs(config.seed, 16)
    alone = np.concatenate([generator(one[None], training=True) for one in z])
    assert np.abs(own.astype(int) - grid(to_uint8(alone, "unit"))).max() <= 1
    assert (own != running).mean() > 0.5
    assert drawings.on_two_statistics(build(offline("mlp_gan:smoke"), small_source), "a run", "") is None


def test_fresh_latents_are_others_at_each_moment(small_source: Any) -> None:
    fixed, fresh = (
        Sampler(build(offline("mlp_gan_smoothed", sample_latents=which), small_source)) for which in ("fixed", "fresh")
    )
    assert (fixed.draw(0) == fixed.draw(550)).all()
    assert (fresh.draw(550) == fresh.draw(550)).all()
    assert all((a != b).mean() > 0.5 for a, b in ((fresh.draw(0), fresh.draw(550)), (fresh.draw(0), fixed.draw(0))))


@pytest.mark.parametrize("cut", [1, 10, 13, 25])
def test_moments_are_kept_at_every_tenth_step_wherever_a_run_is_cut(cut: int) -> None:
    history = np.arange(25 * len(NAMES)).reshape(25, len(NAMES))
    kept = [*moments_of(NAMES, 0, history[:cut], 10), *moments_of(NAMES, cut, history[cut:], 10)]
    assert [step for step, _ in kept] == [10, 20]
    assert kept[1][1] == dict(zip(NAMES[1:], history[19, 1:], strict=True))
    assert not [*moments_of(NAMES, 0, history, 0)]


def test_p004s_normal_curves_reach_nine_deviations_from_their_own_means() -> None:
    rows = [
        {"step": 10 * i, "real_mean": 4.0, "real_std": 1.25, "fake_mean": float(i), "fake_std": 0.5}
        for i in range(1, 6)
    ]
    figure = plots.normal_curves(rows, "a run", "its data")
    drawn = [axis for axis in figure.axes if axis.get_lines()]
    assert [axis.get_title() for axis in drawn] == [f"step {row['step']}" for row in rows]
    real, fake = drawn[1].get_lines()
    for line, mean, std in ((real, 4.0, 1.25), (fake, 2.0, 0.5)):
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        assert (x[0], x[-1]) == (mean - 9 * std, mean + 9 * std)
        assert y.sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-6)


def test_p002s_plotted_losses_are_those_that_it_prints() -> None:
    rows = [
        {"kind": "train", "step": e, "epoch": float(e), "d_loss": 1.0 + e, "g_loss": 2.0 + e, "d_loss_mean": 8.0, "g_loss_mean": 9.0, "p_real_mean": 0.6, "p_fake_mean": 0.3}
        for e in (1, 2, 3)
    ]  # fmt: skip

    def plotted(reference: Reference) -> list[list[float]]:
        lines = plots.curves(rows, "t", "p", reference).axes[0].get_lines()
        return [
            list(map(float, line.get_ydata())) for line in lines if line.get_label() in ("discriminator", "generator")
        ]

    assert plotted(reference_of(offline("mlp_gan_smoothed"), {})) == [[2.0, 3.0, 4.0], [3.0, 4.0, 5.0]]
    assert plotted(reference_of(offline("mlp_gan"), {})) == [[8.0] * 3, [9.0] * 3]
