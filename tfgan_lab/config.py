"""Typed configs: one definition of every field, checked all at once, to and from JSON.

A config file (see `configs/`) has `get_config(variant: str = "")` and returns a `GanConfig` or
a `ClassifierConfig`. Fields are documented where they stand; `--config.FIELD=VALUE` overrides
any of them on the command line, nested ones with dots (`--config.game.d_steps=5`).

Kinds of data stand in `tfgan_lab.data_kinds`, `image_data` and `number_data`; configs take them from here. This module
imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from tfgan_lab import fields
from tfgan_lab.config_checks import contradictions, line_faults
from tfgan_lab.data_kinds import Data, ImageData, NumberData, data_kind, of_its_kind  # noqa: F401
from tfgan_lab.errors import UserError, nearest
from tfgan_lab.fields import STRICT, Argument, Changes, Count, Epochs, Finite, NonNegative, Positive, Rate, Seed, Share
from tfgan_lab.image_data import Classes, Mnist, Montage, Stacked  # noqa: F401
from tfgan_lab.layer_base import KINDS, AnyLayer
from tfgan_lab.losses import known_loss
from tfgan_lab.number_data import Gaussian, Plane  # noqa: F401
from tfgan_lab.penalties import known_penalty

# Networks.


@dataclass(config=STRICT, kw_only=True, slots=True)
class Init:
    """How weights start. `torch` is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for kernel and bias."""

    kernel: Literal["torch", "xavier_normal", "glorot_uniform", "normal"]
    bias: Literal["torch", "zeros", "uniform"]
    std: NonNegative = 0.0  # of kernel="normal"
    bias_low: Finite = 0.0  # of bias="uniform"
    bias_high: Finite = 0.0


Layers = Annotated[list[AnyLayer], Field(min_length=1)]  # see `tfgan_lab.layers`


# Optimisers and the game.


@dataclass(config=STRICT, kw_only=True, slots=True)
class Adam:
    """Adam (Kingma & Ba, 2015). PyTorch adds epsilon after the bias correction, TensorFlow before."""

    learning_rate: Rate
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Rate = 1e-8
    epsilon_form: Literal["pytorch", "tensorflow"] = "pytorch"
    kind: Literal["adam"] = "adam"


@dataclass(config=STRICT, kw_only=True, slots=True)
class SGD:
    """SGD with momentum; the rate falls by `decay` a step, the momentum rises linearly (CGAN paper)."""

    learning_rate: Rate
    decay: Annotated[float, Field(ge=1, le=1e30, allow_inf_nan=False)] = 1.0
    min_learning_rate: NonNegative = 0.0
    momentum: Share = 0.0
    final_momentum: Share = 0.0
    momentum_steps: Count = 0  # steps from momentum to final_momentum
    kind: Literal["sgd"] = "sgd"


@dataclass(config=STRICT, kw_only=True, slots=True)
class KerasOptimizer:
    """Any optimiser of `keras.optimizers` by its name, such as "rmsprop", with arguments of its own."""

    # In lower case; here, so that a wrong name is found before Keras is imported.
    name: Literal[
        "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "ftrl", "lamb", "lion", "muon", "nadam", "rmsprop",
        "schedulefreeadamw", "sgd",
    ]  # fmt: skip
    learning_rate: Rate
    arguments: dict[str, Argument] = dataclasses.field(default_factory=dict)
    kind: Literal["keras"] = "keras"

    @property
    def before_the_sum(self) -> list[str]:
        """The arguments that Keras applies to a replica's own gradients: several would train another network than one."""
        names = {"clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps"}
        return sorted(name for name in names if self.arguments.get(name))


Optimizer = Annotated[Adam | SGD | KerasOptimizer, Field(discriminator="kind")]


@dataclass(config=STRICT, kw_only=True, slots=True)
class Game:
    """The knobs of the two-player step; the posts really differ in each of them."""

    first: Literal["discriminator", "generator"] = "discriminator"
    d_steps: Annotated[int, Field(gt=0, le=1000)] = 1  # k: discriminator updates per step
    g_steps: Annotated[int, Field(gt=0, le=1000)] = 1
    fresh_real: bool = False  # each of k > 1 updates sees its own real batch (else the same one)
    d_update: Literal["joint", "separate"] = "joint"  # real and fake in one D update, or one after the other
    d_batches: Literal["apart", "together"] = "apart"  # whether BatchNorm in D sees real and fake in one batch
    fakes: Literal["fresh", "shared"] = "fresh"  # shared: both players' updates use one set of fakes
    d_dropout_in_g_step: bool = True  # post P000 switches D to eval mode there
    d_loss: Literal["sum", "half_sum"] = "sum"
    smoothing: Share = 0.0  # one-sided: real labels are 1 - smoothing
    # What both players minimise: a name of `tfgan_lab.losses.LOSSES`, or a function of yours.
    loss: Annotated[str, BeforeValidator(known_loss)] = "non_saturating"
    # On D's gradient: a name of `tfgan_lab.penalties.PENALTIES`, or a function of yours; "" or "none": none.
    penalty: Annotated[str, BeforeValidator(known_penalty)] = ""
    penalty_weight: NonNegative = 10.0  # as in the papers of WGAN-GP, R1 and DRAGAN
    pack: Annotated[int, Field(gt=0, le=100)] = 1  # D judges so many examples at once, one behind the other (PacGAN)
    clip: NonNegative = 0.0  # the largest size of D's weights, cut after each of its updates (WGAN: 0.01); 0: any

    @property
    def real_batches(self) -> int:
        """How many real batches a step sees."""
        return self.d_steps if self.fresh_real else 1


@dataclass(config=STRICT, kw_only=True, slots=True)
class Latents:
    """The generator's noise: N(0, 1), U(-1, 1) ("uniform") or U(0, 1) ("unit_uniform")."""

    dim: Positive
    distribution: Literal["normal", "uniform", "unit_uniform"] = "normal"


@dataclass(config=STRICT, kw_only=True, slots=True)
class Every:
    """An interval: so many epochs, or so many steps; zero in both: only after the last step (metrics, moments: never)."""

    epochs: Epochs = 0.0
    steps: Count = 0

    def __post_init__(self) -> None:
        if self.steps:
            self.epochs = 0.0


@dataclass(config=STRICT, kw_only=True, slots=True)
class RunConfig:
    """What every experiment has."""

    name: Annotated[str, Changes.NAME]
    post: str  # the post it rebuilds, such as "P000"
    data: Annotated[Data, PlainValidator(of_its_kind)]
    batch_size: Positive  # global: over all replicas
    epochs: Annotated[Epochs, Changes.LENGTH] = 0.0
    # If not zero, it counts and `epochs` becomes 0; set by a flag, either clears the other.
    steps: Annotated[Count, Changes.LENGTH] = 0
    seed: Annotated[Seed, Changes.SEED] = 0
    # Trains seed, seed + 1, … at once, each in a run folder of its own.
    num_seeds: Annotated[int, Field(gt=0, le=500), Changes.SEED] = 1
    # A printed line and a row of metrics.jsonl.
    log: Annotated[Every, Changes.PICTURES] = dataclasses.field(default_factory=Every)
    # A str.format template over the row's values; "" prints nothing.
    log_line: Annotated[str, Changes.PRINTED] = "step {step}"
    # On the test split.
    evaluate: Annotated[Every, Changes.EVALUATIONS] = dataclasses.field(default_factory=Every)
    evaluate_line: Annotated[str, Changes.PRINTED] = ""
    # Which evaluations print it: those after a multiple of this, and the last.
    evaluate_print: Annotated[Every, Changes.PRINTED] = dataclasses.field(default_factory=Every)
    checkpoint: Annotated[Every, Changes.ASIDE] = dataclasses.field(default_factory=Every)
    keep_checkpoints: Annotated[Positive, Changes.ASIDE] = 2
    # See docs/scaling.md.
    placement: Annotated[Literal["auto", "one", "mirrored", "multi_worker"], Changes.PLACE] = "auto"
    # Of mirrored: on so many GPUs or, without any, logical CPU devices; 0: on all there are.
    replicas: Annotated[int, Field(ge=0, le=32), Changes.PLACE] = 0
    # xla: one program for tiny nets; equal to rounding, on one device.
    compile: Annotated[Literal["loop", "xla"], Changes.ROUNDING] = "loop"
    # bfloat16: of products and activations, for GPUs and CPUs that have it; weights, norms, losses stay float32.
    precision: Literal["float32", "bfloat16"] = "float32"
    # Same seed, same bits (same machine and thread count).
    deterministic: Annotated[bool, Changes.ROUNDING] = True
    # CPU kernels that are faster for convolutions, slower for small dense nets.
    onednn: Annotated[bool, Changes.ROUNDING] = False

    def __post_init__(self) -> None:
        if self.steps:
            self.epochs = 0.0

    @property
    def is_judged(self) -> bool:
        """Whether a classifier can judge its samples."""
        return False


@dataclass(config=STRICT, kw_only=True, slots=True)
class GanConfig(RunConfig):
    """A generator, a discriminator and their game."""

    generator: Layers  # latents to images
    discriminator: Layers  # images to one logit
    g_init: Init
    d_init: Init
    latents: Latents
    g_optimizer: Optimizer
    d_optimizer: Optimizer
    game: Game
    log_losses: Literal["step", "after_update"] = "step"  # the step's own, or (P002) its batch's after the update
    num_labels: Annotated[int, Field(ge=0, le=1000)] = 0  # 10: a conditional GAN on digits; 0: unconditional
    # Decay a step of a moving average of G's weights, which is then sampled, evaluated and exported; 0: none.
    ema: Share = 0.0
    sample: Annotated[Every, Changes.PICTURES] = dataclasses.field(default_factory=Every)
    # The run folder of a classifier of this data, by which `metrics` and `evaluate` judge; "": the package's, of digits.
    judge: Annotated[str, Field(max_length=1000), Changes.ASIDE] = ""
    # The judge's numbers of 2,000 samples.
    metrics: Annotated[Every, Changes.ASIDE] = dataclasses.field(default_factory=Every)
    # Images in each sample grid, or numbers in each histogram.
    num_samples: Annotated[Positive, Changes.PICTURES] = 64
    # fresh: others at each moment, as posts P000 and P002 draw.
    sample_latents: Annotated[Literal["fixed", "fresh"], Changes.PICTURES] = "fixed"
    # Post P000: what D says of an untrained pair's images, with PyTorch's start values.
    untrained: Annotated[bool, Changes.PICTURES] = False
    # Post P004: of both sets, kept for its picture.
    moments: Annotated[Every, Changes.PICTURES] = dataclasses.field(default_factory=Every)
    sample_colormap: Annotated[Literal["gray", "Blues"], Changes.PICTURES] = "gray"
    kind: Literal["gan"] = "gan"

    @property
    def label_names(self) -> tuple[str, ...]:
        """What its labels are called, in order; empty for an unconditional GAN."""
        return self.data.called(self.num_labels)

    @property
    def is_judged(self) -> bool:
        """Whether a classifier can judge its samples: the package's of digits, or the one that `judge` names."""
        return self.data.are_digits or bool(self.judge)


@dataclass(config=STRICT, kw_only=True, slots=True)
class ClassifierConfig(RunConfig):
    """A classifier of digits, or of other labelled images."""

    classifier: Layers  # images to a logit for each class; what the last layer sees are the features
    init: Init
    optimizer: Optimizer
    loss: Literal["sigmoid", "softmax"] = "sigmoid"  # sigmoid: each score against its one-hot target (post P001)
    shift: Annotated[int, Field(ge=0, lt=28)] = 0  # training images are moved by up to so many pixels either way
    kind: Literal["classifier"] = "classifier"


Config = GanConfig | ClassifierConfig
_ADAPTER: TypeAdapter[Config] = TypeAdapter(Annotated[Config, Field(discriminator="kind")])


def validate(config: Config) -> Config:
    """Checks a config as a whole and returns it with every value converted to its type.

    Raises:
      UserError: naming every fault, one after the other.
    """
    return _refuse(line_faults, from_dict(dataclasses.asdict(config)))


def from_dict(values: Mapping[str, Any]) -> Config:
    """Builds a config from nested dicts. Raises `UserError` that names every fault.

    The lines that it prints are not filled in here, so that a run begun with a wrong one can be read and given another.
    """
    if any(isinstance(values.get(role), Mapping) for role in ("generator", "discriminator", "classifier")):
        raise UserError(
            "config: its networks are not lists of layers; earlier versions described them otherwise: train the run again, "
            "or use the version that made it (its run.json names it)."
        )
    try:
        config = _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        raise UserError(f"config: {explain(error)}") from None
    return _refuse(contradictions, config)


def _refuse(check: Callable[[Config], list[str]], config: Config) -> Config:
    """The config itself. Raises `UserError` with what a check finds in it."""
    if faults := check(config):
        raise UserError("config: " + "; ".join(faults))
    return config


def to_json(config: Config) -> str:
    """The whole config as JSON text: enough to run it again (`from_json`)."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str, path: str = "config.json") -> Config:
    """Reads what `to_json` wrote. Raises `UserError` naming `path` and the faults."""
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("it holds no JSON object")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a config: {error}") from None
    try:
        return from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix('config: ')}") from None


def override(config: Config, assignments: Mapping[str, str]) -> Config:
    """Returns a copy with dotted fields set from text, as typed on the command line.

    Args:
      config: Any config.
      assignments: For example ``{"game.d_steps": "5", "generator.0.units": "64"}``.

    Raises:
      UserError: An unknown field (with the nearest valid names), a value of the wrong type, or both epochs and steps.
    """
    values = dataclasses.asdict(config)
    set_here: dict[str, str] = {}  # of each group: whether its epochs or its steps were set
    for path, text in assignments.items():
        *parents, leaf = path.split(".")
        node: Any = values
        for depth, part in enumerate(parents):
            node = node[_key(node, path, parents[:depth], part)]
        leaf = _key(node, path, parents, leaf)
        if isinstance(node[leaf], dict | list):
            if not node[leaf]:
                raise UserError(f"--config.{path} is an empty group of fields: write a config file to fill it.")
            example = ".".join([path, *_first_field(node[leaf])])
            raise UserError(f"--config.{path} is a group of fields: set one of them, such as --config.{example}.")
        if leaf == "kind":
            raise UserError(
                f"--config.{path} cannot be overridden: write a config file to use another {parents[-1] if parents else 'config'}."
            )
        node[leaf] = text
        if leaf in ("epochs", "steps") and not _is_zero(text):
            other = "steps" if leaf == "epochs" else "epochs"
            if set_here.setdefault(".".join(parents), leaf) != leaf:
                raise UserError(
                    f"--config.{path} and --config.{'.'.join([*parents, other])} exclude each other: set one."
                )
            node[other] = 0
    return _refuse(line_faults, from_dict(values))


def differences(old: Config, new: Config, *but: Changes) -> list[str]:
    """Names every field in which two configs differ, as "field: old -> new"; but those that change nothing but this."""
    before, after = flattened(old), flattened(new)
    return [
        f"{key}: {before.get(key, '(absent)')} -> {after.get(key, '(absent)')}"
        for key in sorted(before | after)
        if before.get(key, "(absent)") != after.get(key, "(absent)") and what_changes(new, key) not in but
    ]


def what_changes(config: Config, field: str) -> Changes:
    """What a dotted field changes: what it says itself, or the group that it is in."""
    part: Any = config
    for name in field.split("."):
        kind: Any = type(part)
        found = _said(kind, name)
        if found is not Changes.WEIGHTS or not dataclasses.is_dataclass(part := getattr(part, name, None)):
            return found
    return Changes.WEIGHTS


@functools.cache
def _said(part: type, name: str) -> Changes:
    hint = get_type_hints(part, include_extras=True).get(name)
    return next((said for said in getattr(hint, "__metadata__", ()) if isinstance(said, Changes)), Changes.WEIGHTS)


def flattened(config: Config) -> dict[str, Any]:
    """Every field by its dotted name, as `--config.FIELD` takes it."""
    return _flat(dataclasses.asdict(config))


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict | list):
        return {prefix[:-1]: values}
    flat: dict[str, Any] = {}
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        flat.update(_flat(value, f"{prefix}{key}."))
    return flat


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _key(node: Any, path: str, parents: list[str], part: str) -> Any:
    """The key of a part of a dotted path: a field of a group, or the place of a layer in a list."""
    where = ".".join(parents)
    if isinstance(node, list):
        if part.isdecimal() and int(part) < len(node):
            return int(part)
        remedy = f" It has {where}.0 to {where}.{len(node) - 1}." if node else " It is empty."
        raise UserError(f"--config.{path}: there is no {part!r} in {where}.{remedy}")
    if isinstance(node, dict) and part in node:
        return part
    remedy = f" {where} is a single value."
    if isinstance(node, dict):
        remedy = nearest(part, node) if node else ""
        remedy += " Write a config file to add an argument." if parents[-1:] == ["arguments"] else ""
    raise UserError(f"--config.{path}: there is no field {part!r}" + (f" in {where}." if where else ".") + remedy)


def _first_field(group: Any) -> list[str]:
    """The dotted path of a group's first field that is a single value."""
    if not isinstance(group, dict | list) or not group:
        return []
    key, value = next(iter(group.items())) if isinstance(group, dict) else (0, group[0])
    return [str(key), *_first_field(value)]


def explain(error: ValidationError) -> str:
    """All faults of a config, or of a part of one that a config file made, in one line."""
    parts = globals() | {kind.__name__: kind for kind in [*KINDS.values(), *Data.kinds.values()]}
    return fields.explain(error, parts.get(error.title, Config))
