"""A config's name alone is faithful to its post: every number that the posts fix, and the lines that they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from catalogue import REFERENCES, offline

from tfgan_lab.config import differences, override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.data import open_source
from tfgan_lab.layers import (
    ELU,
    GELU,
    AppendDeviations,
    BatchNorm,
    ConcatLabel,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    Join,
    LayerNorm,
    LeakyReLU,
    Maxout,
    ReLU,
    Reshape,
    Sets,
    Sigmoid,
    Tanh,
)
from tfgan_lab.posts import claims
from tfgan_lab.studies.store import config_of
from tfgan_lab.training.experiment import make_batches

ADAM = {"kind": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "epsilon_form": "pytorch"}
TORCH_INIT = {"kernel": "torch", "bias": "torch"}

OWN = BatchNorm(statistics="own")


def montage_generator(unit: Any) -> list[Any]:
    return [
        Dense(363), unit, Reshape(11, 11, 3), ConvTranspose(256, 8, 2), OWN, unit, ConvTranspose(256, 8, 2), OWN, unit,
        ConvTranspose(3, 8, 2, padding=1), OWN, Sigmoid(),
    ]  # fmt: skip


def montage_discriminator(unit: Any) -> list[Any]:
    return [Conv(256, 8, 2), OWN, unit, Conv(256, 8, 2), OWN, unit, Conv(3, 8, 2), unit, Flatten(), Dense(1)]


# By config and dotted field; a group is compared by the fields that are given.
POSTS: dict[str, dict[str, Any]] = {
    "mlp_gan": {
        "post": "P000", "batch_size": 200, "epochs": 200.0, "data.pixels": "tanh", "data.train_split": "train+validation",
        "latents": {"dim": 100, "distribution": "normal"}, "num_labels": 0,
        "generator": [Dense(256), ReLU(), Dropout(0.1)] * 2 + [Dense(784), Tanh(), Reshape(28, 28, 1)],
        "discriminator": [Flatten()] + [Dense(256), LeakyReLU(0.01), Dropout(0.1)] * 2 + [Dense(1)],
        "g_init": {"kernel": "xavier_normal", "bias": "uniform", "bias_low": 0.1, "bias_high": 0.2},
        "d_init": {"kernel": "xavier_normal", "bias": "uniform", "bias_low": 0.1, "bias_high": 0.2},
        "g_optimizer": ADAM | {"learning_rate": 1e-4}, "d_optimizer": ADAM | {"learning_rate": 1e-4},
        "game": {
            "first": "discriminator", "d_steps": 1, "fresh_real": False, "d_update": "joint", "fakes": "fresh", "d_dropout_in_g_step": False,
            "d_loss": "sum", "smoothing": 0.0, "loss": "non_saturating",
        },
        "num_samples": 16, "evaluate_print.epochs": 20.0, "untrained": True,
    },
    "mlp_gan_smoothed": {
        "post": "P002", "batch_size": 100, "epochs": 100.0, "data.pixels": "tanh", "data.train_split": "train",
        "latents": {"dim": 100, "distribution": "uniform"},
        "generator": [Dense(128), LeakyReLU(0.01), Dense(784), Tanh(), Reshape(28, 28, 1)],
        "discriminator": [Flatten(), Dense(128), LeakyReLU(0.01), Dense(1)],
        "g_init": {"kernel": "glorot_uniform", "bias": "zeros"}, "d_init": {"kernel": "glorot_uniform", "bias": "zeros"},
        "g_optimizer": ADAM | {"learning_rate": 0.002, "epsilon_form": "tensorflow"},
        "d_optimizer": ADAM | {"learning_rate": 0.002, "epsilon_form": "tensorflow"},
        "game": {"first": "discriminator", "fakes": "shared", "d_update": "joint", "smoothing": 0.1, "d_loss": "sum", "loss": "non_saturating"},
        "log_losses": "after_update", "num_samples": 16,
    },
    "cgan_concat": {
        "post": "P003", "num_labels": 10, "batch_size": 4, "epochs": 50.0, "data.pixels": "tanh", "latents.dim": 100,
        "generator": [
            ConcatLabel(), *(one for units in (256, 512, 1200) for one in (Dense(units), LeakyReLU(0.2), Dropout(0.5))),
            Dense(784), Tanh(), Reshape(28, 28, 1),
        ],
        "discriminator": [
            Flatten(), ConcatLabel(), *(one for units in (1024, 512, 256) for one in (Dense(units), LeakyReLU(0.2), Dropout(0.3))), Dense(1),
        ],
        "g_init": {"kernel": "normal", "std": 0.02, "bias": "zeros"},
        "g_optimizer": ADAM | {"learning_rate": 2e-4, "beta_1": 0.5}, "d_optimizer": ADAM | {"learning_rate": 2e-4, "beta_1": 0.5},
        "game": {"first": "generator", "fakes": "shared", "d_loss": "half_sum", "d_update": "joint", "smoothing": 0.0},
        "log.steps": 100,
    },
    "cgan_concat:batched": {"batch_size": 100, "g_init": {"kernel": "normal", "std": 0.02}},
    "cgan_concat:torch_init": {"batch_size": 4, "g_init": TORCH_INIT, "d_init": TORCH_INIT},
    "cgan_branch": {
        "post": "P003", "num_labels": 10, "batch_size": 4, "epochs": 50.0, "log.steps": 100,
        "generator": [
            Join([Dense(256), BatchNorm(), ReLU()], label=[Dense(256), BatchNorm(), ReLU()]),
            *(one for units in (512, 1024) for one in (Dense(units), BatchNorm(), ReLU(), Dropout(0.2))), Dense(784), Tanh(), Reshape(28, 28, 1),
        ],
        "game": {"first": "generator", "fakes": "shared", "d_loss": "half_sum"},
    },
    "cgan_branch:batched": {"batch_size": 100, "g_init": {"kernel": "normal", "std": 0.02}},
    "cgan_branch:torch_init": {"batch_size": 4, "g_init": TORCH_INIT, "d_init": TORCH_INIT},
    "cgan_maxout": {
        "post": "P003", "num_labels": 10, "batch_size": 100, "latents.distribution": "unit_uniform", "data.pixels": "unit",
        "generator": [
            Join([Dense(200), ReLU(), Dropout(0.5)], label=[Dense(1000), ReLU(), Dropout(0.5)]), Dense(1200), ReLU(), Dropout(0.5),
            Dense(784), Sigmoid(), Reshape(28, 28, 1),
        ],
        "discriminator": [
            Flatten(), Join([Maxout(240, 5), Dropout(0.5)], label=[Maxout(50, 5), Dropout(0.5)]), Maxout(240, 4), Dropout(0.5), Dense(1),
        ],
        "g_optimizer": {"kind": "sgd", "learning_rate": 0.1, "decay": 1.00004, "min_learning_rate": 1e-6, "momentum": 0.5, "final_momentum": 0.7},
    },
    "cgan_layernorm": {
        "post": "P001", "num_labels": 10, "batch_size": 1, "epochs": 12.0, "data.pixels": "unit", "sample_colormap": "Blues",
        "latents": {"dim": 100, "distribution": "normal"},
        "generator": [ConcatLabel(), Dense(200), LeakyReLU(0.02), LayerNorm(), Dense(784), Sigmoid(), Reshape(28, 28, 1)],
        "discriminator": [Flatten(), ConcatLabel(), Dense(200), LeakyReLU(0.02), LayerNorm(), Dense(1)],
        "g_init": TORCH_INIT, "d_init": TORCH_INIT, "g_optimizer": ADAM | {"learning_rate": 1e-4},
        "game": {"first": "discriminator", "d_update": "separate", "fakes": "fresh", "d_loss": "sum"},
    },
    "dcgan_montage": {
        "post": "P001", "batch_size": 1, "data": {"crop": 128, "size": 128, "pixels": "unit"}, "latents": {"dim": 100, "distribution": "normal"},
        "generator": montage_generator(GELU()),
        "discriminator": montage_discriminator(GELU()),
        "g_init": TORCH_INIT, "g_optimizer": ADAM | {"learning_rate": 1e-4}, "game": {"d_update": "separate"},
    },
    "dcgan_montage:leaky_relu": {"generator": montage_generator(LeakyReLU(0.2)), "discriminator": montage_discriminator(LeakyReLU(0.2))},
    "mnist_classifier": {
        "post": "P001", "batch_size": 1, "epochs": 3.0, "data.pixels": "unit", "loss": "sigmoid",
        "classifier": [
            Conv(10, 5, stride=2), LeakyReLU(0.02), OWN, Conv(10, 3, stride=2), LeakyReLU(0.02), OWN, Flatten(), Dense(10),
        ],
        "init": TORCH_INIT,
        "optimizer": ADAM | {"learning_rate": 1e-4},
    },
    "gaussian": {
        "post": "P004", "batch_size": 100, "steps": 2400, "data": {"mean": 4.0, "std": 1.25, "target": "normal"},
        "latents": {"dim": 1, "distribution": "unit_uniform"},
        "generator": [Dense(50), ELU(), Dense(50), Sigmoid(), Dense(1)],
        "discriminator": [Sets(100), AppendDeviations(2.0), Dense(50), ELU(), Dense(50), ELU(), Dense(1)],
        "g_init": TORCH_INIT, "g_optimizer": ADAM | {"learning_rate": 2e-4}, "d_optimizer": ADAM | {"learning_rate": 2e-4},
        "game": {
            "first": "discriminator", "d_steps": 1, "g_steps": 1, "fresh_real": True, "d_update": "joint", "fakes": "fresh", "d_loss": "sum",
        },
        "log.steps": 100, "moments.steps": 10,
    },
    "gaussian:raw": {"discriminator": [Sets(100), Dense(50), ELU(), Dense(50), ELU(), Dense(1)]},
}  # fmt: skip


@pytest.mark.parametrize("reference", POSTS)
def test_the_posts_numbers(reference: str) -> None:
    config = validate(load_config(reference))
    for field, expected in POSTS[reference].items():
        found: Any = config
        for part in field.split("."):
            found = getattr(found, part)
        if isinstance(expected, dict):
            found = {name: getattr(found, name) for name in expected}
        assert found == expected, field


_K10, _MLP = {"game.d_steps": "10"}, "mlp_gan_smoothed"
_TORCH = {"g_init.kernel": "torch", "g_init.bias": "torch", "d_init.kernel": "torch", "d_init.bias": "torch"}


def _collapse(k: int) -> tuple[dict[str, Any], dict[tuple[str, str], tuple[float, float]]]:
    many = f"k={k}"
    bands = {(many, "top_share"): (0.9, 1), (many, "top_digit"): (1, 1), (many, "digit_like"): (0.5, 1)}
    return {"k=1": ("mlp_gan", {}), many: ("mlp_gan", {"game.d_steps": f"{k}"})}, bands | {("k=1", "digits"): (5, 10)}


# The ledger's promise: bands were fixed before its runs. By claim: arms (config and overrides), then bands.
CLAIMS: dict[str, tuple[dict[str, Any], dict[tuple[str, str], tuple[float, float]]]] = {
    "C000a.1": (
        {"run": ("mlp_gan", {})},
        {("run", "p_real_end"): (0.25, 0.75), ("run", "p_fake_end"): (0.25, 0.75), ("run", "gap_left"): (0, 0.5)},
    ),
    "C000a.2": (
        {"run": ("mlp_gan", {})},
        {("run", "p_real_end"): (0.4, 0.6), ("run", "p_fake_end"): (0.4, 0.6)},
    ),
    "C000b.1": _collapse(2),
    "C000b.2": _collapse(5),
    "C000b.3": _collapse(10),
    "C000c": (
        {"post's": ("mlp_gan", _K10), "WGAN": ("mlp_gan:wgan", _K10), "WGAN-GP": ("mlp_gan:wgan_gp", _K10)},
        {
            ("post's", "top_share"): (0.9, 1),
            ("WGAN", "digits"): (5, 10),
            ("WGAN-GP", "digits"): (5, 10),
            ("WGAN", "digit_like"): (0.25, 1),
            ("WGAN-GP", "digit_like"): (0.25, 1),
        },
    ),
    "C001a": ({"run": ("mnist_classifier", {})}, {("run", "accuracy"): (0.95, 1)}),
    "C001b": ({"run": ("cgan_layernorm", {})}, {("run", "label_accuracy"): (0.8, 1)}),
    "C001d": ({"GELU": ("cgan_conv:gelu", {}), "ReLU": ("cgan_conv", {})}, {("GELU/ReLU", "frechet"): (0, 0.9)}),
    "C001e": (
        {"convolution": ("cgan_conv", {}), "dense": ("cgan_conv:dense", {})},
        {("convolution/dense", "frechet"): (0, 0.5)},
    ),
    "C002a.1": (
        {"run": ("mlp_gan_smoothed", {})},
        {("run", "d_loss_end"): (0.814, 1.22), ("run", "g_loss_end"): (1.555, 2.333)},
    ),
    "C002a.2": (  # ten of its epochs since then: all that is judged, and the bits with which all of them begin
        {"run": ("mlp_gan_smoothed", {"epochs": "10"})},
        {("run", "d_loss_early"): (2.066, 6.197), ("run", "g_loss_early"): (2.206, 6.617)},
    ),
    "C002d": (
        {"with": (f"{_MLP}:batch_norm", {}), "without": (f"{_MLP}:two_hidden", {})},
        {("with/without", "frechet"): (0, 0.5)},
    ),
    "C002e": (
        {"flipped": (_MLP, {}), "minus": (_MLP, {"game.loss": "minimax"})},
        {("flipped/minus", "frechet"): (0, 0.5)},
    ),
    "C002f": (
        {
            "smoothed": (_MLP, {"epochs": "10"}),
            "unsmoothed": (_MLP, {"game.smoothing": "0.0", "epochs": "10"}),
        },  # as C002a.2
        {("smoothed/unsmoothed", "g_loss_early"): (0, 0.9)},
    ),
    "C002g": (
        {
            "both": (_MLP, {}),
            "not in G": (f"{_MLP}:linear_generator", {}),
            "not in D": (f"{_MLP}:linear_discriminator", {}),
        },
        {("both/not in G", "frechet"): (0, 0.5), ("both/not in D", "frechet"): (0, 0.5)},
    ),
    "C002h": (
        {"apart": (f"{_MLP}:batch_norm", {}), "together": (f"{_MLP}:batch_norm", {"game.d_batches": "together"})},
        {("apart/together", "frechet"): (0, 0.9)},
    ),
    "C003a.1": (
        {"with": ("cgan_concat:dropout_after_output", {}), "without": ("cgan_concat", {})},
        {("with", "label_accuracy"): (0, 0.2), ("without", "label_accuracy"): (0.5, 1)},
    ),
    "C003a.2": (
        {"with": ("cgan_concat:dropout_after_output", _TORCH), "without": ("cgan_concat:torch_init", {})},
        {("with", "label_accuracy"): (0, 0.2), ("without", "label_accuracy"): (0.5, 1)},
    ),
    "C003b.1": (
        {"concat": ("cgan_concat", {}), "branch": ("cgan_branch", {})},
        {("concat", "label_accuracy"): (0.5, 1), ("branch", "label_accuracy"): (0.5, 1)},
    ),
    "C003b.2": (
        {"concat": ("cgan_concat:torch_init", {}), "branch": ("cgan_branch:torch_init", {})},
        {("concat", "label_accuracy"): (0.5, 1), ("branch", "label_accuracy"): (0.5, 1)},
    ),
    "C004": ({"run": ("gaussian", {})}, {("run", "fake_mean"): (3.5, 4.5), ("run", "fake_std"): (0.95, 1.55)}),
    "T001": ({"run": ("first_gan", {})}, {("run", "label_accuracy"): (0.96, 1), ("run", "frechet"): (0, 3)}),
}
MARGINS = {"p_real": 0.05, "p_fake": 0.05, "frechet": 20.0, "d_loss_now": 0.2, "g_loss_now": 0.4, "accuracy": 0.02, "label_accuracy": 0.1, "top_share": 0.1, "digit_like": 0.1, "fake_mean": 0.5, "fake_std": 0.3}  # fmt: skip


def test_what_a_claim_asks_for_stays_as_it_was_fixed() -> None:
    found = {
        claim.id: (
            {name: (arm.config, dict(arm.overrides)) for name, arm in claim.arms.items()},
            {("/".join(filter(None, (g.arm, g.over))), g.number): (g.low, g.high) for g in claim.gauges},
        )
        for claim in claims.CLAIMS
    }
    assert found == CLAIMS
    for claim in claims.CLAIMS:
        for arm in claim.arms.values():
            run = config_of(arm, "posted", 7)
            assert override(run, dict(arm.overrides)) == run
            assert run.seed == 7
    assert all(
        margin == MARGINS[number] for trial in claims.PEER_TRIALS for number, (_, margin) in trial.numbers.items()
    )
    assert (claims.LEVEL, claims.MINORITY) == (0.05, 0.5)


# What a variant for tests may change: sizes, times and how often something is done. Nothing that is another code path.
MAY_SHRINK = re.compile(
    r"name|batch_size|epochs|steps|num_samples|compile|data\.(num|test_num|num_faces)|(generator|discriminator)\.\d+\.(units|filters|channels)"
    r"|(log|evaluate|evaluate_print|sample|checkpoint|metrics)\.(epochs|steps)"
)


@pytest.mark.parametrize("name", [reference for reference in REFERENCES if ":" not in reference])
def test_smoke_is_the_same_experiment_but_small(name: str) -> None:
    changed = differences(validate(load_config(name)), validate(load_config(f"{name}:smoke")))
    assert {line.split(":")[0] for line in changed if not MAY_SHRINK.fullmatch(line.split(":")[0])} == set()


NUMBER = r"-?\d+\.\d{4}"
LINES = {
    "mlp_gan": r"\(epoch \d+/\S+\) p_real: 0\.\d{6}, p_g: 0\.\d{6}",
    "mlp_gan_smoothed": rf"Epoch \d+/\S+\.\.\. Discriminator Loss: {NUMBER}\.\.\. Generator Loss: {NUMBER}",
    "cgan_concat": r"Train Epoch: \[\d+/\S+\]  Step: \[10/90\]  G loss: \d\.\d{5}  D loss: \d\.\d{5}",
    "cgan_layernorm": rf"epoch = 1  p_real: {NUMBER}  p_fake: {NUMBER}",
    "mnist_classifier": r"training epoch 1 of \S+  test accuracy: [01]\.\d{4}",
    "dcgan_montage": rf"step 2/4  D loss: {NUMBER}  G loss: {NUMBER}",
    "gaussian": rf"20: D: {NUMBER}/{NUMBER} G: {NUMBER} \(Real: \[{NUMBER}, {NUMBER}\], Fake: \[{NUMBER}, {NUMBER}\]\)",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_the_posts_lines_are_printed(name: str, trained: Any) -> None:
    lines = Path(f"{trained(f'{name}:smoke')}.out").read_text(encoding="utf-8").splitlines()
    assert any(re.fullmatch(LINES[name], line) for line in lines), "\n".join(lines)


def test_each_of_p004s_discriminator_steps_sees_a_new_set() -> None:
    config: Any = offline("gaussian", game__d_steps="2")
    numbers, _ = next(iter(make_batches(config, open_source(config.data, None)).dataset(0)))
    assert numbers.shape == (100, 2, 1)
    assert not (numbers[:, 0] == numbers[:, 1]).numpy().any()
