"""A run in words, and the reference behind its curves: checked on curves whose meaning is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tfgan_lab.compare import posts
from tfgan_lab.compare import reference as reference_lib
from tfgan_lab.compare.posts import P002_LATE
from tfgan_lab.compare.reference import Band, Reference, reference_of
from tfgan_lab.config import override, validate
from tfgan_lab.experiments import load_config
from tfgan_lab.report import plots, style
from tfgan_lab.report.diagnosis import diagnose

DATA = {"train": {"sha256": posts._MNIST[0], "count": 60_000}, "test": {"count": 10_000}}
FEW = {"train": {"sha256": "0", "count": 4_500}, "test": {"count": 500}}


def config_of(name: str, **changes: str) -> Any:
    return override(validate(load_config(name)), {key.replace("__", "."): value for key, value in changes.items()})


def rows_of(p_real: float, p_fake: float, **more: float) -> list[dict[str, Any]]:
    train = {
        "d_loss": 1.0,
        "g_loss": 2.0,
        "d_loss_mean": 1.0,
        "g_loss_mean": 2.0,
        "p_real_mean": p_real,
        "p_fake_mean": p_fake,
    }
    rows = [
        {"kind": "train", "step": 10, "epoch": 1.0, **train},
        {"kind": "eval", "step": 10, "epoch": 1.0, "p_real": p_real, "p_fake": p_fake},
    ]
    return [*rows, {"kind": "metrics", "step": 10, "epoch": 1.0, **more}] if more else rows


@pytest.mark.parametrize(
    ("p_real", "p_fake", "says"),
    [(0.99, 0.01, "discriminator has won"), (0.7, 0.3, "leads, but has not won"), (0.52, 0.48, "Neither has won"), (0.498, 0.502, "Neither has won"), (0.3, 0.6, "is fooled")],
)  # fmt: skip
def test_who_leads(p_real: float, p_fake: float, says: str) -> None:
    text = " ".join(diagnose(config_of("mlp_gan"), rows_of(p_real, p_fake), DATA))
    assert says in text
    assert f"{p_real:.3f}" in text and f"{p_fake:.3f}" in text


def test_a_saturated_generator_gets_other_advice() -> None:
    assert "non_saturating" in " ".join(diagnose(config_of("mlp_gan:minimax"), rows_of(0.99, 0.01), DATA))


@pytest.mark.parametrize(
    ("digits", "says"), [(1.0, "has collapsed"), (3.0, "has collapsed"), (9.0, "has not collapsed")]
)
def test_collapse_is_said_with_its_numbers(digits: float, says: str) -> None:
    text = " ".join(diagnose(config_of("mlp_gan"), rows_of(0.6, 0.4, digits=digits, frechet=33.3), DATA))
    assert says in text
    assert f"{digits:.0f} of 10 digits" in text and "10,000 test digits, at most 2,000: 33.3" in text


def test_what_was_not_measured_is_said() -> None:
    assert "was not measured" in " ".join(diagnose(config_of("mlp_gan"), rows_of(0.6, 0.4), DATA))
    assert diagnose(config_of("mlp_gan"), [], DATA) == []


def test_smoothing_moves_what_winning_looks_like() -> None:
    """With smoothing 0.1 the best D gives real data 0.9."""
    assert "discriminator has won" in " ".join(diagnose(config_of("mlp_gan_smoothed"), rows_of(0.9, 0.001), DATA))
    assert "leads, but has not won" in " ".join(diagnose(config_of("mlp_gan"), rows_of(0.9, 0.001), DATA))


def test_a_classifier_gets_its_sentence() -> None:
    rows = [{"kind": "eval", "step": 1, "epoch": 1.0, "accuracy": 0.975}]
    assert diagnose(config_of("mnist_classifier"), rows, DATA)[0] == "It is right on 97.50% of 10,000 test images."


def prints(epochs: int) -> list[dict[str, Any]]:
    """The logged rows of so many epochs, all alike."""
    losses = {"d_loss": 0.9, "g_loss": 1.9, "d_loss_mean": 1.0, "g_loss_mean": 2.0}
    return [{"kind": "train", "step": e, "epoch": float(e), **losses} for e in range(1, epochs + 1)]


def test_other_data_has_no_reference() -> None:
    rows = prints(100)
    config = config_of("mlp_gan_smoothed")
    assert not reference_of(config, FEW).printed
    assert not reference_of(config, FEW).bands
    assert "the post's" not in " ".join(diagnose(config, rows, FEW))
    assert "the post's" in " ".join(diagnose(config, rows, DATA))


def test_two_ends_of_training_are_not_mixed() -> None:
    """95 epochs: only 90 to 95 stand beside the post's; 3 epochs are too few to say anything."""
    rows = prints(95)
    config = config_of("mlp_gan_smoothed")
    assert "epochs 90 to 95" in " ".join(diagnose(config, rows, DATA))
    assert "epochs 1 to 10" in " ".join(diagnose(config, rows[:40], DATA))
    assert "Printed" not in " ".join(diagnose(config, rows[:3], DATA))


def test_one_mode_of_two_is_not_the_target() -> None:
    """A normal of std s at m -/+ d has variance s^2 + d^2."""
    config = config_of("gaussian:bimodal")
    spread = np.hypot(config.data.std, config.data.separation)
    text = " ".join(
        diagnose(config, [{"kind": "eval", "step": 1, "epoch": 1.0, "fake_mean": 4.0, "fake_std": 0.24 * spread}], {})
    )
    assert "has collapsed to nearly one number" in text
    assert f"{spread:.3g}" in text
    assert "20 seeds" not in text


@pytest.mark.parametrize(("std", "says"), [(0.01, "collapsed to nearly one number"), (1.1, "has not collapsed")])
def test_a_gaussian_that_collapsed(std: float, says: str) -> None:
    rows = [{"kind": "eval", "step": 1, "epoch": 1.0, "fake_mean": 4.0, "fake_std": std}]
    assert says in " ".join(diagnose(config_of("gaussian"), rows, DATA))


def test_p002s_prints_stand_beside_ours() -> None:
    """Our prints a little below the post's least D loss: outside; G at its median: inside."""
    rows = [
        {
            "kind": "train",
            "step": e,
            "epoch": float(e),
            "d_loss": 0.9,
            "g_loss": 1.9438,
            "d_loss_mean": 1.0,
            "g_loss_mean": 2.0,
        }
        for e in range(1, 101)
    ]
    text = " ".join(diagnose(config_of("mlp_gan_smoothed"), rows, DATA))
    assert "epochs 90 to 100" in text
    assert "discriminator's is 0.900, outside of the post's 0.918 to 1.323 (median 1.017)" in text
    assert "generator's is 1.944, inside of the post's 1.382 to 2.197 (median 1.944)" in text


def test_variants_are_not_compared_with_the_posts_numbers() -> None:
    assert reference_of(config_of("mlp_gan_smoothed"), DATA).printed
    assert reference_of(config_of("mlp_gan_smoothed", seed="5", epochs="7", data__source="embedded"), DATA).printed
    assert not reference_of(config_of("mlp_gan_smoothed:batch_norm"), DATA).printed
    assert not reference_of(config_of("mlp_gan_smoothed", batch_size="50"), DATA).printed


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("d_loss", ["sum", "half_sum"])
def test_balance_is_the_least_loss_of_a_discriminator_that_cannot_tell(smoothing: float, d_loss: str) -> None:
    def loss(p: float) -> float:
        whole = -(1 - smoothing) * math.log(p) - smoothing * math.log(1 - p) - math.log(1 - p)
        return whole / (2 if d_loss == "half_sum" else 1)

    best = minimize_scalar(loss, bounds=(1e-3, 1 - 1e-3), method="bounded", options={"xatol": 1e-9})
    balance = reference_of(config_of("mlp_gan", game__smoothing=str(smoothing), game__d_loss=d_loss), DATA).balance
    np.testing.assert_allclose([balance["d_loss"], balance["p_real"]], [best.fun, best.x], rtol=1e-6)
    np.testing.assert_allclose(balance["g_loss"], -math.log(best.x), rtol=1e-6)


def test_a_band_between_its_moments_and_outside() -> None:
    band = Band("3 seeds", ((1.0, 0.0, 1.0), (3.0, 1.0, 3.0)))
    assert band.at(2.0) == (0.5, 2.0)
    assert band.at(0.5) is None
    assert band.at(3.5) is None


def test_bands_hold_every_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made from two runs in a ledger's folder, read back for a third."""
    config = config_of("mlp_gan")
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        run = tmp_path / "mlp_gan" / f"seed={seed}"
        (run / "export").mkdir(parents=True)
        (run / "export" / "generator.json").write_text("{}")
        from tfgan_lab.training.workdir import Workdir

        Workdir(run).keep_config(config_of("mlp_gan", seed=str(seed)))
        Workdir(run).write_record(data=DATA)
        for epoch in range(1, 201):
            Workdir(run).append_metrics(
                {
                    "kind": "train",
                    "step": epoch,
                    "epoch": float(epoch),
                    "d_loss_mean": seed + rng.uniform(),
                    "g_loss_mean": 1.0,
                }
            )
    made = reference_lib.write_reference(tmp_path, tmp_path / "reference.json")
    assert made["mlp_gan"]["seeds"] == 2
    monkeypatch.setattr(reference_lib, "_FILE", tmp_path / "reference.json")
    band = reference_of(config, DATA).bands["d_loss_mean"]
    assert band.source == "2 seeds of this config"
    at = band.at(100.0)
    assert at is not None and 0 <= at[0] < 0.5 and 1.5 < at[1] <= 2
    rows = [{"kind": "train", "step": 1, "epoch": 100.0, "d_loss_mean": 2.5, "g_loss_mean": 1.0}]
    text = " ".join(diagnose(config, rows, DATA))
    assert "the discriminator's loss 2.500 is above" in text
    assert "the generator's loss 1.000 is inside 1.000 to 1.000" in text


def test_the_shipped_bands_are_of_configs_that_exist() -> None:
    kept = json.loads(reference_lib._FILE.read_text())
    assert set(kept) >= {"mlp_gan", "mlp_gan_smoothed", "gaussian", "mnist_classifier", "cgan_layernorm"}
    for name, entry in kept.items():
        assert entry["seeds"] >= 2
        reference = reference_of(config_of(name), DATA)
        assert set(reference.bands) == set(entry["bands"])
        for band in reference.bands.values():
            assert all(least <= most for _, least, most in band.points)


def test_the_figure_shows_prints_and_bands_once_in_its_legend() -> None:
    rows = [
        {"kind": "train", "step": e, "epoch": float(e), "d_loss": 1.0, "g_loss": 2.0, "d_loss_mean": 1.0, "g_loss_mean": 2.0, "p_real_mean": 0.6, "p_fake_mean": 0.3}
        for e in range(1, 101)
    ]  # fmt: skip
    printed = {"d_loss": tuple((90.0 + i, d) for i, (d, _) in enumerate(P002_LATE)), "g_loss": ((90.0, 2.0),)}
    band = Band("5 seeds", tuple((float(e), 0.9, 1.1) for e in range(1, 101)))
    reference = Reference({"d_loss_mean": band, "g_loss_mean": band}, printed, {"d_loss": 1.386, "g_loss": 0.693})
    figure = plots.curves(rows, "t", "p", reference)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels.count("5 seeds") == labels.count("the post's prints") == labels.count("D cannot tell") == 1
    assert style.png(figure).startswith(b"\x89PNG")
