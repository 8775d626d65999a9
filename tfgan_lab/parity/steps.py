"""Is it the same GAN as the post's? Both programs from the same weights, on the same batches, draws and masks.

`run_parity` copies one set of weights into our networks and into a post's PyTorch peer, feeds both the very same real
batches, latents, labels and dropout masks, and compares, in the order in which they come about: the laws of the start
values, each layer's output (training and evaluation), then for the first step each update's losses, gradients and new
weights, then weights, running statistics and losses after more steps. So the first row that is not ok names the cause.

Tolerances, on `relative` (see `Row`), and why:

  float64  1e-10 everywhere. Rounding is 1e-16; sums of a thousand products, a deep net and a hundred updates bring it
           to 1e-12 at most; the smallest fault looked for (Adam's epsilon, 1e-8 beside a gradient of 1e-3, at a rate of
           1e-4) leaves 1e-9. One exception, 1e-7: a bias before BatchNorm. BatchNorm takes it out again, so its
           gradient is nothing but rounding, 1e-15, which Adam divides by its epsilon, 1e-8. It moves by rate * 1e-7 an
           update in any direction, and the running mean after it follows; nothing else depends on it.
  float32  Forward and losses 5e-5, gradients 5e-4: rounding is 6e-8, and sums of a thousand products cancel. Weights
           1e-5, but after the first update (and always for a bias before BatchNorm) 2 * rate: Adam, without a memory
           yet, moves every weight by its rate in the direction of a gradient which, where it is only rounding, may
           point either way. Then each continues by itself, and a GAN of leaky units amplifies: a unit that one program
           rounds to just above zero and the other to just below changes a gradient by that unit's share. After a
           hundred steps two right programs may be far apart: two with nothing in common but their start would be 1.4
           times as far apart as training went (root mean squares). There, once the way is allowed, and up to step 10 a
           tenth of it. What is judged sharply is one more step which both do from our state, weights and optimiser
           memory copied.
           float32 shows that nothing breaks in the precision in use; the equality of programs is float64's to show.

One difference is real and known. Where |logit| > 27.6, PyTorch's BCELoss (posts P001, P004 and the paper's D) cuts the
gradient off (it divides by max(p (1 - p), 1e-12)), and log(sigmoid) of post P000 overflows; our losses on logits do
not. The networks here do not get there within the 100 steps (with batches of 8 instead of 100, cgan_maxout does at step
92: its rate is 0.1).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from tfgan_lab import config as config_lib
from tfgan_lab import data as data_lib
from tfgan_lab.config import SGD, GanConfig
from tfgan_lab.config_files import load_config
from tfgan_lab.layers import BatchNorm, Conv, ConvTranspose
from tfgan_lab.parity import laws
from tfgan_lab.parity.peers import make_peer
from tfgan_lab.parity.sides import Arrays, OurSide, TheirSide, Update, common_start
from tfgan_lab.system.files import json_bytes, refuse_foreign, write_atomically
from tfgan_lab.training.experiment import OPTIMIZERS, build

CONFIGS = (
    "mlp_gan", "mlp_gan_smoothed", "cgan_concat", "cgan_branch", "cgan_branch:branch_d", "cgan_maxout", "cgan_layernorm",
    "dcgan_montage", "gaussian", "mnist_classifier",
)  # fmt: skip
DType = Literal["float64", "float32"]
_FILTERS = 8  # of the 256: the geometry is as posted, the time is not
_ALLOWED = {
    "float64": {"forward": 1e-10, "loss": 1e-10, "gradient": 1e-10, "weights": 1e-10},
    "float32": {"forward": 5e-5, "loss": 5e-5, "gradient": 5e-4, "weights": 1e-5},
}
_ALLOWED_FREE = 1e-7  # float64: a bias before BatchNorm, and the running mean behind it
_APART_EARLY, _APART = 0.1, 1.0  # float32: of the way that training went, up to step 10 and later


@dataclasses.dataclass(frozen=True)
class Row:
    """One tensor at one stage."""

    stage: str  # such as "update 1 (discriminator): gradient"
    tensor: str  # such as "discriminator model.3.weight"
    max_abs: float  # largest absolute difference; for start values, largest distance of distribution functions
    # max_abs over the largest absolute value (of the tensor and 1; for gradients, of all the network's gradients, so that
    # one that is zero but for rounding is not judged by its rounding). For networks after several steps in float32: root
    # mean square difference over the root mean square change since the start.
    relative: float
    tolerance: float  # how large `relative` may be

    @property
    def ok(self) -> bool:
        """Whether it is within its tolerance."""
        return self.relative <= self.tolerance


def compared(
    stage: str, tensor: str, ours: Any, theirs: Any, allowed: float, most: float = 0.0, scale: float | None = None
) -> Row:
    """A row on two arrays that may differ by `allowed` of the scale (see `Row.relative`), or by `most`."""
    theirs = np.asarray(theirs)
    difference = float(np.abs(np.reshape(ours, theirs.shape) - theirs).max())
    scale = max(1.0, float(np.abs(theirs).max())) if scale is None else scale
    return Row(stage, tensor, difference, difference / scale, max(allowed, most / scale))


def start_rows(config: config_lib.Config, quantiles: laws.Laws) -> list[Row]:
    """Rows on our start values, against the laws of the post's."""
    return [
        Row("start values", f"{role} {name}", found, found, most)
        for role, name, found, most in laws.all_distances(config, quantiles)
    ]


def run_parity(
    config_reference: str | config_lib.Config, dtype: DType = "float64", updates: int = 100, batch: int | None = None
) -> list[Row]:
    """Compares a config with its post's PyTorch program, step by step.

    Args:
      config_reference: A name (`CONFIGS`, or any of a post with a peer), "path.py:variant", or a config. The
        montage's 256 filters become 8; data is what the package brings; all else stays.
      dtype: The precision of both programs.
      updates: Steps of the game, > 0; weights are compared after 1, 10, 100, 1000, … and the last.
      batch: Examples a step; by default the config's, but at most 8 with Adam.

    Returns:
      A row per stage and tensor, in the order in which they come about.

    Raises:
      UserError: PyTorch is absent, the post has no such program, or its networks have other tensors.
    """
    config = parity_config(config_reference, batch)
    with dtype_policy(dtype):
        source = data_lib.open_source(config.data, None)
        theirs = TheirSide(make_peer(config, 0), config, dtype)
        ours = OurSide(build(config, source))
        comparison = _Comparison(ours, theirs, dtype)
    starts = start_rows(config, laws.posts_laws(config))
    with dtype_policy(dtype):
        return starts + comparison.rows(updates)


def parity_config(config_reference: str | config_lib.Config, batch: int | None = None) -> Any:
    """The config that is compared: the one named, small and on data that needs no network."""
    given = load_config(config_reference) if isinstance(config_reference, str) else config_reference
    config: Any = config_lib.validate(given)
    if isinstance(config, GanConfig):
        config.ema = 0.0  # no post has one, and it changes no weight of the players
        config.generator, config.discriminator = _as_compared(config.generator), _as_compared(config.discriminator)
    else:
        config.classifier = _evaluated_as_pytorch(config.classifier)
    config.data = config.data.shipped()
    if not config.data.batch_is_one_example:
        fast = isinstance(config, GanConfig) and isinstance(config.g_optimizer, SGD)  # learning: see above
        config.batch_size = batch or (config.batch_size if fast else min(config.batch_size, 8))
    config.placement = "one"
    return config_lib.validate(config)


def _as_compared(layers: list[Any]) -> list[Any]:
    """With few filters; the last convolution's stay, which may be the image's channels."""
    found = _evaluated_as_pytorch(layers)
    for place in [place for place, one in enumerate(found) if isinstance(one, Conv | ConvTranspose)][:-1]:
        found[place] = dataclasses.replace(found[place], filters=min(found[place].filters, _FILTERS))
    return found


def _evaluated_as_pytorch(layers: list[Any]) -> list[Any]:
    """With PyTorch's evaluation mode in BatchNorm."""
    return [dataclasses.replace(one, statistics="running") if isinstance(one, BatchNorm) else one for one in layers]


@contextmanager
def dtype_policy(dtype: str) -> Iterator[None]:
    """Makes Keras build and compute in another precision for as long as the block runs."""
    import keras

    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


class _Comparison:
    """Runs both sides and collects rows."""

    def __init__(self, ours: OurSide, theirs: TheirSide, dtype: DType) -> None:
        self.ours, self.theirs, self.dtype = ours, theirs, dtype
        self.config, self.roles = ours.config, list(ours.networks)
        self.allowed = _ALLOWED[dtype]
        self.found: list[Row] = []
        self.start = {
            role: common_start(role, {pair.name: pair.shape for pair in ours.pairs[role]}, dtype) for role in self.roles
        }
        self._reset()

    def rows(self, updates: int) -> list[Row]:
        batches = iter(self.ours.experiment.batches.dataset(0))
        for step in range(updates):
            images, labels = self._next(batches)
            if step == 0:
                for training in (True, False):
                    self._forward(images, labels, training)
                    self._reset()  # the running statistics moved
                self._watched_step(0, images, labels, "")
            else:
                mine, theirs = self.ours.step(step, images, labels), self.theirs.step(step, images, labels)
                if self._is_mark(step + 1, updates) and self.dtype == "float64":
                    for name, loss in theirs.items():
                        self._row(f"after step {step + 1}: loss", name, mine[name], loss, "loss")
            if self._is_mark(step + 1, updates):
                self._after(step + 1)
        if self.dtype == "float32" and updates > 1:
            for role in self.roles:
                self.theirs.take(role, self.ours.weights(role), self.ours.slots(role))
            self._watched_step(updates, *self._next(batches), f"step {updates + 1} from one state, ")
        return self.found

    def _next(self, batches: Iterator[Any]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = (part.numpy() for part in next(batches))
        return images.astype(self.dtype), labels

    @staticmethod
    def _is_mark(step: int, last: int) -> bool:
        return step == last or str(step).rstrip("0") == "1"

    def _reset(self) -> None:
        for role in self.roles:
            self.ours.load(role, self.start[role])
            self.theirs.load(role, self.start[role])

    def _forward(self, images: np.ndarray, labels: np.ndarray, training: bool) -> None:
        for role in self.roles:
            mine, theirs = (side.forward(role, images, labels, training) for side in (self.ours, self.theirs))
            for name, array in theirs.items():
                stage = f"forward ({'training' if training else 'evaluation'})"
                # Of a maxout layer theirs are the pieces, ours the largest of them: the next layer shows both.
                if mine[name].size == array.size:
                    self._row(stage, f"{role} {name}", mine[name], array, "forward")

    def _watched_step(self, step: int, images: np.ndarray, labels: np.ndarray, prefix: str) -> None:
        mine, my_updates = self.ours.watched_step(step, images, labels)
        theirs, their_updates = self.theirs.watched_step(step, images, labels)
        my_order, their_order = ([update.role for update in updates] for updates in (my_updates, their_updates))
        same = my_order == their_order
        order = f"{', '.join(my_order)} (the post: {', '.join(their_order)})"
        self.found.append(Row(f"{prefix}order of updates", order, float(not same), float(not same), 0.0))
        for number, (ours, their) in enumerate(zip(my_updates, their_updates, strict=False), 1):
            stage = f"{prefix}update {number} ({their.role})"
            for name in self._losses_before(their_order, number - 1):
                self._row(f"{stage}: loss", name, mine[name], theirs[name], "loss")
            self._one_update(stage, ours, their, their_order[:number].count(their.role), step == 0)

    def _losses_before(self, order: list[str], index: int) -> list[str]:
        """The losses which lead to an update and which no earlier update has part in."""
        role = order[index]
        if role != "discriminator":
            return ["g_loss" if role == "generator" else "loss"]
        if self.config.game.d_update == "separate":
            return ["d_fake", "d_loss"] if role in order[:index] else ["d_real"]
        return [] if role in order[index + 1 :] else ["d_real", "d_fake", "d_loss"]

    def _one_update(self, stage: str, ours: Update, theirs: Update, count: int, first: bool) -> None:
        if ours.role != theirs.role:
            return
        largest = max(float(np.abs(gradient).max()) for gradient in theirs.gradients.values())
        for name, gradient in theirs.gradients.items():
            mine = ours.gradients[name]
            self._row(f"{stage}: gradient", f"{theirs.role} {name}", mine, gradient, "gradient", 0.0, largest)
        one_way = 2 * count * self._step_size(theirs.role)
        free = max(one_way, _ALLOWED_FREE if self.dtype == "float64" else 0.0)
        self._weights(f"{stage}: weights", theirs.role, ours.weights, theirs.weights, one_way if first else 0.0, free)

    def _after(self, steps: int) -> None:
        for role in self.roles:
            ours, theirs, stage = self.ours.weights(role), self.theirs.weights(role), f"after step {steps}: weights"
            if self.dtype == "float64":
                self._weights(stage, role, ours, theirs, 0.0, _ALLOWED_FREE)
                continue
            apart = np.concatenate([(ours[name] - array).ravel() for name, array in theirs.items()])
            way = np.concatenate([(array - self.start[role][name]).ravel() for name, array in theirs.items()])
            share, most = _rms(apart) / _rms(way), _APART_EARLY if steps <= 10 else _APART
            self.found.append(Row(stage, f"{role}, all tensors", float(np.abs(apart).max()), share, most))

    def _step_size(self, role: str) -> float:
        """How far an update along a gradient of rounding may go: Adam's rate; with SGD as little as the gradient."""
        optimizer = getattr(self.config, OPTIMIZERS[role])
        return optimizer.learning_rate if self.dtype == "float32" and optimizer.kind == "adam" else 0.0

    def _weights(self, stage: str, role: str, ours: Arrays, theirs: Arrays, most: float, free: float) -> None:
        for name, array in theirs.items():
            may = free if name in self.ours.free[role] else most
            self._row(stage, f"{role} {name}", ours[name], array, "weights", may)

    def _row(self, stage: str, tensor: str, ours: Any, theirs: Any, kind: str, *bounds: Any) -> None:
        self.found.append(compared(stage, tensor, ours, theirs, self.allowed[kind], *bounds))


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.square(array, dtype=np.float64).mean()))


def first_difference(rows: list[Row]) -> Row | None:
    """The first row that is not ok: where to look."""
    return next((row for row in rows if not row.ok), None)


def format_table(rows: list[Row]) -> str:
    """One line per stage with its worst tensor, and a last one that names the first disagreement, if any."""
    stages = list(dict.fromkeys(row.stage for row in rows))
    width = max(len(stage) for stage in stages)
    lines = [f"{'stage':<{width}}  tensors  max abs   relative  tolerance       worst"]
    for stage in stages:
        those = [row for row in rows if row.stage == stage]
        worst = max(those, key=lambda row: row.relative / row.tolerance if row.tolerance else row.relative * 1e300)
        wrong = sum(not row.ok for row in those)
        verdict = f"{wrong} WRONG" if wrong else "ok"
        lines.append(
            f"{stage:<{width}}  {len(those):>7}  {worst.max_abs:.1e}   {worst.relative:.1e}   {worst.tolerance:.1e}   {verdict:<8} {worst.tensor}"
        )
    first = first_difference(rows)
    lines.append(
        "the same program, within the tolerances"
        if first is None
        else f"first difference: {first.stage}: {first.tensor}: {first.relative:.1e} > {first.tolerance:.1e}"
    )
    return "\n".join(lines)


def write_json(path: str | os.PathLike[str], rows: list[Row], **facts: Any) -> None:
    """Writes all rows (and facts such as config, dtype) as JSON, whole or not at all."""
    told = [dataclasses.asdict(row) | {"ok": row.ok} for row in rows]
    first = next((row for row in told if not row["ok"]), None)
    content = facts | {"same": first is None, "first_difference": first, "rows": told}
    refuse_foreign(path)
    write_atomically(path, json_bytes(content))
