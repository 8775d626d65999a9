"""What a config, or a game, cannot be though each of its fields is valid: faults that no single field shows."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from tfgan_lab.data_kinds import MOMENTS
from tfgan_lab.errors import nearest
from tfgan_lab.layer_base import every_layer
from tfgan_lab.layers import Sets
from tfgan_lab.losses import faults as loss_faults
from tfgan_lab.losses import make_loss
from tfgan_lab.penalties import faults as penalty_faults

_FORMAT = re.compile(r"[<>^]?[ +-]?\d{0,2},?(\.\d{1,2})?[a-zA-Z%]?")
_STEP = 2**31  # of any size: a format such as "c" takes small numbers only
# What stands in every line beside its row's numbers.
PLACE: dict[str, Any] = {"kind": "train"} | dict.fromkeys(
    ("step", "steps", "step_in_epoch", "steps_per_epoch", "epoch", "epochs"), _STEP
)


def line_faults(config: Any) -> list[str]:
    """Why a line that a config prints cannot be filled in from its row."""
    if config.kind == "classifier":
        logged, evaluated = ["loss", "accuracy"], ["accuracy"]
    else:
        evaluated = [*config.data.judged_by]
        logged = ["d_loss", *make_loss(config.game.loss, config.game.smoothing).d, "g_loss", "p_real", "p_fake"]
        logged += ["penalty"] if config.game.penalty else []
        logged += MOMENTS if config.data.reports_moments else ()
    logged += [f"{name}_mean" for name in logged]
    faults = template_faults("log_line", config.log_line, logged)
    return faults + template_faults("evaluate_line", config.evaluate_line, evaluated)


def contradictions(config: Any) -> list[str]:
    """Faults that no single field shows."""
    faults = []
    if config.epochs == 0 and config.steps == 0:
        faults.append("epochs and steps are both 0: set one of them")
    if config.num_seeds > 1:
        faults += many_seeds_faults(config)
    if config.replicas and config.placement != "mirrored":
        faults.append(f"replicas={config.replicas} goes with placement=mirrored, not placement={config.placement}")
    for name in ("g_init", "d_init", "init"):
        start = getattr(config, name, None)
        if start is not None and start.kernel == "normal" and not start.std:
            faults.append(f"{name}.kernel='normal' with std=0 starts every weight at 0: set {name}.std")
    if config.kind == "classifier":
        if not config.data.has_labels:
            faults.append(f"a classifier needs labelled data: {config.data.kind} has none")
        return faults
    faults += config.data.faults(config)
    for role, layers in (("generator", config.generator), ("discriminator", config.discriminator)):
        readers = [one.kind for one in every_layer(layers) if one.takes_labels]
        if readers and not config.num_labels:
            faults.append(f"{role}: {readers[0]} takes labels: num_labels must not be 0")
        if config.num_labels and not readers:
            faults.append(
                f"num_labels={config.num_labels}, but no layer of {role} takes labels: add ConcatLabel(), or Join"
            )
    sets = [one for one in config.discriminator if isinstance(one, Sets)]
    if config.data.batch_is_one_example != bool(sets):
        faults.append("numbers (data such as gaussian) and a discriminator of Sets go together")
    if sets and config.batch_size != sets[0].size:
        faults.append(
            f"batch_size must equal the size of the discriminator's Sets, {sets[0].size}: one set is one example"
        )
    mixing = [name for one in every_layer(config.discriminator) for name in one.mixing]
    faults += game_faults(config.game, config.precision, mixing, config.num_labels)
    if config.batch_size % config.game.pack:
        faults.append(f"batch_size={config.batch_size} is no multiple of game.pack={config.game.pack}: use one")
    if config.game.pack > 1 and sets:
        faults.append(
            "game.pack does not go with Sets, which are packs already: use larger ones, and batch_size as large"
        )
    if config.log_losses == "after_update" and config.game.real_batches > 1:
        faults.append(
            f"log_losses='after_update' is of a step's one real batch, but game.fresh_real takes {config.game.real_batches}: "
            "use log_losses='step'"
        )
    return faults


def game_faults(
    game: Any, precision: str = "float32", mixing: Sequence[str] = (), num_labels: int = 0
) -> list[str]:  # fmt: skip
    """Why a `tfgan_lab.config.Game` cannot be played; `mixing` names D's layers that make one output of several examples."""
    faults = loss_faults(game.loss, game.smoothing, game.d_update)
    faults += penalty_faults(game.penalty, game.d_update, precision, mixing)
    if game.pack > 1 and num_labels:
        faults.append(f"game.pack={game.pack} packs examples of several labels, but num_labels={num_labels}: omit one")
    if game.first == "generator" and game.fakes != "shared":
        faults.append("game.first='generator' (post P003) goes with game.fakes='shared'")
    if game.fakes == "shared" and (game.d_update == "separate" or game.d_steps * game.g_steps > 1):
        faults.append("game.fakes='shared' needs one joint D update and one G update per step")
    if game.d_batches == "together" and game.d_update == "separate":
        faults.append("game.d_batches='together' is of one D update on real and fake: it needs game.d_update='joint'")
    return faults


def many_seeds_faults(config: Any) -> list[str]:
    """Why several seeds of a config cannot be trained in one graph."""
    remedy = "for other configs: tfgan-lab sweep --field=seed --values=0,1,2"
    if config.kind == "classifier":
        return [f"num_seeds={config.num_seeds} is for GANs ({remedy})"]
    single = [one.kind for one in every_layer([*config.generator, *config.discriminator]) if not one.stacks]
    if single:
        return [f"num_seeds={config.num_seeds} does not go with a layer of kind {single[0]!r} ({remedy})"]
    if config.precision != "float32":
        return [f"num_seeds={config.num_seeds} does not go with precision={config.precision!r}: use float32"]
    if "keras" in (config.g_optimizer.kind, config.d_optimizer.kind):
        return [
            f"num_seeds={config.num_seeds} does not go with an optimizer of kind 'keras', which may mix seeds ({remedy})"
        ]
    if config.game.real_batches > 1 or config.placement not in ("auto", "one"):
        return [f"num_seeds={config.num_seeds} does not go with game.fresh_real or several replicas ({remedy})"]
    return []


def template_faults(name: str, template: str, numbers: Sequence[str]) -> list[str]:
    """What is wrong with the template in field `name`, found by filling it in as training will, from a row of `numbers`.

    `str.format` would reach attributes of its values and pad to any width, and a config.json may be anybody's.
    """
    values: Mapping[str, Any] = dict.fromkeys(numbers, 0.5) | PLACE
    try:
        parts = [part[1:] for part in string.Formatter().parse(template)]
        for field, form, conversion in parts:
            if field is None:
                continue
            if conversion or not field.isidentifier() or not _FORMAT.fullmatch(form or ""):
                return [f"{name}: {{{field}{':' if form else ''}{form}}} is no number's name and format"]
            if field not in values:
                return [f"{name}: there is no number {field!r}.{nearest(field, values)}"]
        template.format(**values)
    except (ValueError, OverflowError) as error:
        return [f"{name}={template[:60]!r}: {error}"]
    return []
