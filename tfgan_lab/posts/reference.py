"""What a run's curves should look like: the post's printed numbers, seeds of the same config, and theory.

`reference.json` holds, for configs of the ledger, the least and the most that its seeds saw at moments of training.
Each `tfgan-lab compare ledger` writes such a file into its folder; the one here is made of the repository's outcomes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfgan_lab.config import Changes, Config, GanConfig, differences
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.losses import has_targets
from tfgan_lab.posts.claims import BUDGETS, CLAIMS, P002_EARLY, P002_LATE, is_posts_data
from tfgan_lab.system.files import MARK
from tfgan_lab.training.workdir import Workdir

_FILE = Path(__file__).with_name("reference.json")
_MOMENTS = 40
_KEYS = {
    "train": ("d_loss_mean", "g_loss_mean", "fake_mean_mean", "fake_std_mean", "loss_mean"),
    "eval": ("p_real", "p_fake", "accuracy", "fake_mean", "fake_std"),
}


@dataclasses.dataclass(frozen=True)
class Band:
    """Where a curve was seen before.

    Attributes:
      source: Who saw it, such as "5 seeds of ours" or "the post's prints".
      points: (epoch, least, most), by epoch.
      seeds: How many saw it.
    """

    source: str
    points: tuple[tuple[float, float, float], ...]
    seeds: int

    def at(self, epoch: float) -> tuple[float, float] | None:
        """The band at an epoch, between its moments linear; None outside of them."""
        epochs, least, most = np.array(self.points).T
        if not epochs[0] <= epoch <= epochs[-1] * 1.001:
            return None
        return float(np.interp(epoch, epochs, least)), float(np.interp(epoch, epochs, most))


@dataclasses.dataclass(frozen=True)
class Reference:
    """All that is known of a config's curves.

    Attributes:
      bands: Of seeds of the same config, by key of metrics.jsonl.
      printed: The post's own numbers: (epoch, value) by key; empty where the post printed none.
      balance: By key, what a discriminator that cannot tell real from fake gives.
      losses: Which losses are plotted: the "mean" since the last row or, as post P002 prints and plots them, the "last"
        batch's.
      probabilities: Whether D's sigmoid is a probability of being real: the loss is a cross-entropy (or there is no D).
      classes: How many a judge can find.
    """

    bands: Mapping[str, Band]
    printed: Mapping[str, tuple[tuple[float, float], ...]]
    balance: Mapping[str, float]
    losses: Literal["mean", "last"] = "mean"
    probabilities: bool = True
    classes: int = 10


def reference_of(config: Config, data: Mapping[str, Any]) -> Reference:
    """The reference of a run: bands and prints only if config (but for seed and length) and data are those they are of.

    Args:
      config: The run's.
      data: Its provenances by split, as in run.json; {} where data is drawn at each step.
    """
    bands: dict[str, Band] = {}
    printed: dict[str, tuple[tuple[float, float], ...]] = {}
    if _is_faithful(config) and is_posts_data(config, data):
        kept = json.loads(_FILE.read_text(encoding="utf-8")).get(config.name) if _FILE.is_file() else None
        if kept:
            source = f"{kept['seeds']} seeds of this config"
            bands = {
                key: Band(source, tuple(map(tuple, points)), kept["seeds"]) for key, points in kept["bands"].items()
            }
        if config.name == "mlp_gan_smoothed":
            pairs = [*enumerate(P002_EARLY, 1), *enumerate(P002_LATE, 90)]
            for index, key in enumerate(("d_loss", "g_loss")):
                printed[key] = tuple((float(epoch), pair[index]) for epoch, pair in pairs)
    after_update = isinstance(config, GanConfig) and config.log_losses == "after_update"
    estimates = not isinstance(config, GanConfig) or has_targets(config.game.loss)
    losses: Literal["mean", "last"] = "last" if after_update else "mean"
    return Reference(bands, printed, _balance(config), losses, estimates, len(config.data.class_names) or 10)


def _is_faithful(config: Config) -> bool:
    try:
        own = load_config(config.name)
    except UserError:
        return False
    # Its data, wherever it comes from, is compared by digest.
    return not differences(own, config, *(what for what in Changes if what is not Changes.WEIGHTS))


def _balance(config: Config) -> dict[str, float]:
    """Losses of a discriminator that gives every image the same probability, the one that costs it least.

    With smoothing s it is p = (1 - s) / 2 (Goodfellow et al., 2014, proposition 1, with target 1 - s for real).
    """
    if not isinstance(config, GanConfig) or not has_targets(config.game.loss):
        return {}
    smoothing = config.game.smoothing
    p = (1 - smoothing) / 2
    d = -((1 - smoothing) * math.log(p) + (1 + smoothing) * math.log(1 - p))
    balance = {"d_loss": d / (2 if config.game.d_loss == "half_sum" else 1), "p_real": p, "p_fake": p}
    if config.game.loss == "non_saturating":
        balance["g_loss"] = -math.log(p)
    if config.data.moments:
        balance |= dict(zip(("fake_mean", "fake_std"), config.data.moments, strict=True))
    return balance


def reference_bytes(curves: Mapping[str, Any]) -> bytes:
    """The content of `reference.json`."""
    return (json.dumps({"written_by": MARK, **curves}, separators=(",", ":")) + "\n").encode()


def curves_of(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The bands of all faithful runs in a ledger's folder (longest arm of each config, two seeds or more)."""
    result: dict[str, Any] = {}
    arms = {(arm.config, arm.folder(budget)) for claim in CLAIMS for arm in claim.arms.values() for budget in BUDGETS}
    for name, arm in sorted(arms):
        found = (Workdir(path) for path in sorted((Path(folder) / arm).glob("seed=*")) if path.is_dir())
        runs = [run for run in found if _may_be_shown(run)]
        if len(runs) < 2:
            continue
        bands = _bands([run.read_metrics() for run in runs])
        length = max((points[-1][0] for points in bands.values()), default=0)
        if length > result.get(name, {}).get("epochs", 0):
            result[name] = {"seeds": len(runs), "epochs": length, "bands": bands}
    return result


def _may_be_shown(run: Workdir) -> bool:
    """Whether a run is finished, of a post's config as it is, and trained on the post's data."""
    if not run.exists() or not (run.export / "generator.json").is_file():
        return False
    config, data = run.read_config(), run.read_record().get("data", {})
    return _is_faithful(config) and is_posts_data(config, data)


def _bands(runs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[list[float]]]:
    bands = {}
    for kind, keys in _KEYS.items():
        for key in keys:
            curves = [{row["epoch"]: row[key] for row in rows if row["kind"] == kind and key in row} for rows in runs]
            epochs = sorted(set.intersection(*map(set, curves)))
            if epochs:
                # Each moment speaks for its neighbours too: single rows jump.
                parts = np.array_split(np.array(epochs), min(_MOMENTS, len(epochs)))
                bands[key] = [_span(curves, part) for part in parts]
    return bands


def _span(curves: Sequence[Mapping[float, float]], epochs: np.ndarray) -> list[float]:
    values = [curve[epoch] for curve in curves for epoch in epochs]
    return [float(f"{number:.5g}") for number in (epochs[-1], min(values), max(values))]
