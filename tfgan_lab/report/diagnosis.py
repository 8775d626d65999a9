"""A run's curves in words: are these losses normal, has the discriminator won, has the generator collapsed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tfgan_lab.compare.reference import Reference, reference_of
from tfgan_lab.config import Config, GanConfig, Gaussian

Rows = Sequence[Mapping[str, Any]]

_WON, _LOST = 0.95, 0.05  # p_real above and p_fake below: nearly every image is told
_NEAR = 0.1  # of both probabilities to balance
_FEW_DIGITS = 3
_NARROW = 0.25  # of the target's standard deviation
_LAST_PRINTS = 11  # post P002's epochs 90 to 100


def diagnose(config: Config, rows: Rows) -> list[str]:
    """Sentences about a run, each with the numbers that say so.

    Args:
      config: The run's.
      rows: Of its metrics.jsonl.

    Returns:
      A few sentences; none without rows.
    """
    reference = reference_of(config)
    if not isinstance(config, GanConfig):
        return _normal(reference, rows, {"accuracy": "accuracy"}, "eval")
    return [*_losses(config, reference, rows), *_balance_of_power(config, reference, rows), *_variety(config, rows)]


def _last(rows: Rows, kind: str) -> Mapping[str, Any]:
    return next((row for row in reversed(rows) if row["kind"] == kind), {})


def _losses(config: GanConfig, reference: Reference, rows: Rows) -> list[str]:
    sentences = _beside_prints(reference, rows)
    names = {"d_loss_mean": "the discriminator's loss", "g_loss_mean": "the generator's loss"}
    sentences += _normal(reference, rows, names, "train")
    last = _last(rows, "train")
    if sentences or "d_loss_mean" not in last:
        return sentences
    balance = reference.balance
    return [
        f"Losses: discriminator {last['d_loss_mean']:.3f}, generator {last['g_loss_mean']:.3f}; a discriminator that cannot tell gives {balance['d_loss']:.3f}"
        + (f" and {balance['g_loss']:.3f}" if "g_loss" in balance else "")
        + f". There are no earlier runs of {config.name} as it is set here to compare with."
    ]


def _beside_prints(reference: Reference, rows: Rows) -> list[str]:
    """The run's prints beside the post's of the same epochs."""
    found = []
    for key, name in (("d_loss", "discriminator"), ("g_loss", "generator")):
        theirs = dict(reference.printed.get(key, ()))
        ours = [row for row in rows if row["kind"] == "train" and key in row and row["epoch"] in theirs][-_LAST_PRINTS:]
        if not ours:
            continue
        post = [theirs[row["epoch"]] for row in ours]
        mine = statistics.median(row[key] for row in ours)
        inside = "inside" if min(post) <= mine <= max(post) else "outside"
        epochs = f"epochs {ours[0]['epoch']:g} to {ours[-1]['epoch']:g}"
        found.append(
            f"the {name}'s is {mine:.3f}, {inside} of the post's {min(post):.3f} to {max(post):.3f} (median {statistics.median(post):.3f})"
        )
    return [f"Printed losses, median of {epochs}: {'; '.join(found)}."] if found else []


def _normal(reference: Reference, rows: Rows, names: Mapping[str, str], kind: str) -> list[str]:
    last, found, source = _last(rows, kind), [], ""
    for key, name in names.items():
        band = reference.bands.get(key)
        at = band.at(last["epoch"]) if band and key in last else None
        if band and at:
            place = "below" if last[key] < at[0] else "above" if last[key] > at[1] else "inside"
            found.append(f"{name} {last[key]:.3f} is {place} {at[0]:.3f} to {at[1]:.3f}")
            source = band.source
    return [f"Normal? At this epoch {' and '.join(found)}, which {source} saw."] if found else []


def _balance_of_power(config: GanConfig, reference: Reference, rows: Rows) -> list[str]:
    last = _last(rows, "eval")
    where = "on the test split" if "p_real" in last else "on the last training batches"
    if "p_real" not in last:
        train = _last(rows, "train")
        last = {key: train.get(f"{key}_mean") for key in ("p_real", "p_fake")}
    real, fake = last.get("p_real"), last.get("p_fake")
    if real is None or fake is None:
        return []
    numbers = f"{where} it gives real data {real:.3f} and generated data {fake:.3f}"
    balance = reference.balance["p_real"]
    if real >= _WON and fake <= _LOST:
        learns = (
            "From -log D(G(z)) the generator still learns, but slowly"
            if config.game.g_loss == "non_saturating"
            else "The minimax loss is flat there, so the generator hardly learns: use --config.game.g_loss=non_saturating"
        )
        return [
            f"The discriminator has won: {numbers}. {learns}; or make D weaker (a lower rate, dropout, label smoothing)."
        ]
    if real < fake:
        return [f"The discriminator is fooled: {numbers}."]
    if abs(real - balance) < _NEAR and abs(fake - balance) < _NEAR:
        return [f"Neither has won: {numbers}; {balance:g} for both would be a discriminator that cannot tell."]
    return [f"The discriminator leads, but has not won: {numbers}; {balance:g} for both would be a draw."]


def _variety(config: GanConfig, rows: Rows) -> list[str]:
    if isinstance(config.data, Gaussian):
        return _spread(config.data, _last(rows, "eval"))
    measured = _last(rows, "metrics")
    if "digits" not in measured:
        return [
            "Whether the generator has collapsed was not measured: look at samples.png, or run `tfgan-lab evaluate`."
        ]
    numbers = f"the judge finds {measured['digits']:.0f} of 10 digits in 2,000 samples (Fréchet distance {measured['frechet']:.1f})"
    if measured["digits"] <= _FEW_DIGITS:
        return [f"The generator has collapsed, or draws no digits yet: {numbers}."]
    sentences = [f"The generator has not collapsed: {numbers}."]
    if config.num_labels and "label_accuracy" in measured:
        sentences.append(f"Asked for a digit, it draws that digit in {measured['label_accuracy']:.1%} of them.")
    return sentences


def _spread(target: Gaussian, last: Mapping[str, Any]) -> list[str]:
    if "fake_std" not in last:
        return []
    numbers = f"mean {last['fake_mean']:.2f} and standard deviation {last['fake_std']:.3f}, target {target.mean:g} and {target.std:g}"
    if last["fake_std"] < _NARROW * target.std:
        return [
            f"The generator has collapsed to nearly one number: {numbers}. About one seed in five does: try another --config.seed."
        ]
    return [f"The generator has not collapsed: {numbers}."]
