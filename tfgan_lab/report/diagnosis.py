"""A run's curves in words: are these losses normal, has the discriminator won, has the generator collapsed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfgan_lab.config import Config, GanConfig, Plane
from tfgan_lab.evaluation.judge import doubt
from tfgan_lab.posts.reference import Reference, reference_of
from tfgan_lab.records import last_row

Rows = Sequence[Mapping[str, Any]]

_END = 0.1  # what is said of the end of training rests on so much of it
_WON, _LOST = 0.95, 0.05  # p_real above and p_fake below: nearly every image is told
_NEAR = 0.1  # of both probabilities to balance
_BY_HEART = 0.1  # more on training images than on unseen ones
_FEW = 0.3  # of the classes
_NARROW = 0.25  # of the target's standard deviation
_FEWEST_PRINTS = 5


def diagnose(config: Config, rows: Rows, data: Mapping[str, Any]) -> list[str]:
    """A few sentences about a run, each with the numbers that say so; none without rows of its metrics.jsonl.

    `data` are its provenances by split, as in run.json.
    """
    if not rows:
        return []
    reference = reference_of(config, data)
    if not isinstance(config, GanConfig):
        return [*_accuracy(rows, data), *_normal(reference, rows, {"accuracy": "its accuracy"}, "eval")]
    sentences = [*_losses(config, reference, rows), *_balance_of_power(config, reference, rows)]
    unsure = doubt(last_row(rows, "metrics").get("judge_accuracy", 1.0))
    return [*sentences, *_variety(config, rows, data), *([unsure] if unsure else [])]


def _end(rows: Rows) -> dict[str, float]:
    """Of the training rows, numbers over the last tenth of training: the last row may speak of a single step."""
    train = [row for row in rows if row["kind"] == "train"]
    if not train:
        return {}
    lengths = np.diff([row["step"] for row in train], prepend=0)
    begin = (1 - _END) * train[-1]["step"]
    end = [(row, length) for row, length in zip(train, lengths, strict=True) if row["step"] > begin]
    found = {"epoch": float(train[-1]["epoch"])}
    for key in (key for key in train[-1] if key.endswith("_mean")):
        values, weights = zip(*((row[key], length) for row, length in end if key in row), strict=True)
        found[key] = float(np.average(values, weights=weights))
    return found


def _accuracy(rows: Rows, data: Mapping[str, Any]) -> list[str]:
    last = last_row(rows, "eval")
    return [f"It is right on {last['accuracy']:.2%} of {_tested(data)}test images."] if "accuracy" in last else []


def _tested(data: Mapping[str, Any]) -> str:
    part = data.get("test")
    return f"{part['count']:,} " if isinstance(part, Mapping) and "count" in part else ""


def _losses(config: GanConfig, reference: Reference, rows: Rows) -> list[str]:
    sentences = _beside_prints(reference, rows)
    names = {"d_loss_mean": "the discriminator's loss", "g_loss_mean": "the generator's loss"}
    sentences += _normal(reference, rows, names, "train")
    last = _end(rows)
    if sentences or "d_loss_mean" not in last:
        return sentences
    balance = " and ".join(f"{reference.balance[key]:.3f}" for key in ("d_loss", "g_loss") if key in reference.balance)
    even = f"; a discriminator that cannot tell gives {balance}" if balance else ""
    return [
        f"Losses: discriminator {last['d_loss_mean']:.3f}, generator {last['g_loss_mean']:.3f}{even}. There are no earlier "
        f"runs of {config.name} as it is set here, on this data, to compare with."
    ]


def _beside_prints(reference: Reference, rows: Rows) -> list[str]:
    """The run's prints beside the post's, of the stretch of epochs that it reached last."""
    found, epochs = [], ""
    for key, name in (("d_loss", "discriminator"), ("g_loss", "generator")):
        theirs = dict(reference.printed.get(key, ()))
        ours = _last_stretch([row for row in rows if row["kind"] == "train" and key in row and row["epoch"] in theirs])
        if len(ours) < _FEWEST_PRINTS:
            continue
        post = [theirs[row["epoch"]] for row in ours]
        mine, median = statistics.median(row[key] for row in ours), statistics.median(post)
        inside = "inside" if min(post) <= mine <= max(post) else "outside"
        epochs = f"epochs {ours[0]['epoch']:g} to {ours[-1]['epoch']:g}"
        span = f"{min(post):.3f} to {max(post):.3f} (median {median:.3f})"
        found.append(f"the {name}'s is {mine:.3f}, {inside} of the post's {span}")
    return [f"Printed losses, median of {epochs}: {'; '.join(found)}."] if found else []


def _last_stretch(rows: Rows) -> Rows:
    """The rows after the last gap in their epochs."""
    gaps = [index for index in range(1, len(rows)) if rows[index]["epoch"] - rows[index - 1]["epoch"] > 1]
    return rows[gaps[-1] if gaps else 0 :]


def _normal(reference: Reference, rows: Rows, names: Mapping[str, str], kind: str) -> list[str]:
    last, found, bands = _end(rows) if kind == "train" else last_row(rows, kind), [], []
    for key, name in names.items():
        band = reference.bands.get(key)
        at = band.at(last["epoch"]) if band and key in last else None
        if band and at:
            place = "below" if last[key] < at[0] else "above" if last[key] > at[1] else "inside"
            found.append(f"{name} {last[key]:.3f} is {place} {at[0]:.3f} to {at[1]:.3f}")
            bands.append(band)
    if not found:
        return []
    # The chance that one more of the same kind is the least or the most of all.
    chance = f" By chance, 2 of {bands[-1].seeds + 1} normal runs lie outside of the range of {bands[-1].seeds}."
    outside = any(" is inside " not in said for said in found)
    return [f"Normal? At this epoch {' and '.join(found)}, which {bands[-1].source} saw.{chance if outside else ''}"]


def _balance_of_power(config: GanConfig, reference: Reference, rows: Rows) -> list[str]:
    train, test = _end(rows), last_row(rows, "eval")
    if not reference.probabilities:
        return [
            f"With game.loss={config.game.loss!r} the discriminator gives scores, no probabilities: p_real and p_fake are their "
            "sigmoids, and 0.5 is no balance."
        ]
    seen, real, fake = train.get("p_real_mean"), test.get("p_real"), test.get("p_fake")
    where = "on the test split"
    if real is not None and seen is not None and seen - real > _BY_HEART:
        return [
            f"The discriminator knows its training images by heart: it gives those {seen:.3f}, test images {real:.3f} and "
            f"generated ones {fake:.3f}. Use more data, dropout or fewer epochs."
        ]
    if real is None:
        real, fake, where = seen, train.get("p_fake_mean"), "on training batches of the last tenth of training"
    if real is None or fake is None:
        return []
    numbers = f"{where} it gives real data {real:.3f} and generated data {fake:.3f}"
    balance = reference.balance["p_real"]
    even = f"a discriminator that cannot tell gives both {balance:g}"
    # With smoothing s the best D gives real data 1 - s.
    if real >= _WON * (1 - config.game.smoothing) and fake <= _LOST:
        learns = "The minimax loss is flat there, so the generator hardly learns: use --config.game.loss=non_saturating"
        if config.game.loss == "non_saturating":
            learns = "From -log D(G(z)) the generator still learns, but slowly"
        weaker = "or make D weaker (a lower rate, dropout, label smoothing)"
        return [f"The discriminator has won: {numbers}. {learns}; {weaker}."]
    if abs(real - balance) < _NEAR and abs(fake - balance) < _NEAR:
        return [f"Neither has won: {numbers}; {even}."]
    if real < fake:
        return [f"The discriminator is fooled: {numbers}."]
    return [f"The discriminator leads, but has not won: {numbers}; {even}."]


def _variety(config: GanConfig, rows: Rows, data: Mapping[str, Any]) -> list[str]:
    if config.data.moments:
        return _spread(config, config.data.moments, last_row(rows, "eval"))
    if "energy_distance" in (judged := last_row(rows, "eval")):
        return [_on_the_plane(config, judged)]
    measured = last_row(rows, "metrics")
    if "digits" not in measured:
        do = "look at samples.png, or run `tfgan-lab evaluate`"
        return [f"Whether the generator has collapsed was not measured: {do}."]
    what, many, images = ("digit", "digits", "digits") if config.data.are_digits else ("class", "classes", "images")
    total = len(config.data.class_names)
    known = f" (right on {measured['judge_accuracy']:.1%} of real test images)" if config.judge else ""
    numbers = (
        f"the judge{known} finds {measured['digits']:.0f} of {total} {many} in 2,000 samples (Fréchet distance to "
        f"{_tested(data)}test {images}, at most 2,000: {measured['frechet']:.1f})"
    )
    if measured["digits"] <= max(1, _FEW * total):
        return [f"The generator has collapsed, or draws no {many} yet: {numbers}."]
    sentences = [f"The generator has not collapsed: {numbers}."]
    if config.num_labels and "label_accuracy" in measured:
        sentences.append(f"Asked for a {what}, it draws that {what} in {measured['label_accuracy']:.1%} of them.")
    return sentences


def _on_the_plane(config: GanConfig, last: Mapping[str, Any]) -> str:
    assert isinstance(config.data, Plane)
    distance = f"the energy distance to {config.data} is {last['energy_distance']:.4f} (2,500 samples)"
    if config.data.modes is None:
        return f"How near it is: {distance}."
    total = len(config.data.modes)
    found = f"{last['modes']:.0f} of {total} modes, and {last['high_quality']:.1%} of its samples near one; {distance}"
    lost = last["modes"] < total
    return f"The generator has {'lost modes' if lost else 'all modes'}: it draws {found}."


def _spread(config: GanConfig, target: tuple[float, float], last: Mapping[str, Any]) -> list[str]:
    if "fake_std" not in last:
        return []
    mean, std = target
    found = f"mean {last['fake_mean']:.2f} and standard deviation {last['fake_std']:.3f}"
    numbers = f"{found}, target {mean:g} and {std:.3g}"
    if last["fake_std"] < _NARROW * std:
        often = " As posted, 24 of 200 seeds did (200 to 399)." if config.name == "gaussian" else ""
        return [
            f"The generator has collapsed to nearly one number: {numbers}.{often} Try another --config.seed, in another --workdir."
        ]
    return [f"The generator has not collapsed to one number: {numbers}."]
