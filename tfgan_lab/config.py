"""Typed configs: one definition of every field, checked all at once, to and from JSON.

A config file (see `configs/`) has `get_config(variant: str = "")` and returns a `GanConfig` or
a `ClassifierConfig`. Fields are documented where they stand; `--config.FIELD=VALUE` overrides
any of them on the command line, nested ones with dots (`--config.game.d_steps=5`).

This module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from tfgan_lab.errors import UserError, nearest

_STRICT = ConfigDict(extra="forbid", validate_assignment=True)

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Positive, ...], Field(min_length=1)]
Paddings = tuple[Count, ...]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "linear"]
Norm = Literal["none", "batch", "layer"]


# Networks: what a model class in tfgan_lab.models is built from.


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Init:
    """How weights start. `torch` is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for kernel and bias."""

    kernel: Literal["torch", "xavier_normal", "glorot_uniform", "normal"]
    bias: Literal["torch", "zeros", "uniform"]
    std: NonNegative = 0.0  # of kernel="normal"
    bias_low: Finite = 0.0  # of bias="uniform"
    bias_high: Finite = 0.0


@dataclass(config=_STRICT, kw_only=True, slots=True)
class MLP:
    """Dense layers in a row; a conditional one concatenates the one-hot label to its input."""

    hidden: Widths
    activation: tuple[Activation, ...]  # one for all hidden layers, or one each
    init: Init
    output: Activation  # "linear" for discriminators: they return logits
    slope: NonNegative = 0.0  # of leaky_relu
    norm: Norm = "none"
    norm_first: bool = False  # normalise before the activation (else after it, as post P001 does)
    norm_from_layer: Count = 0  # hidden layers before this one are not normalised
    dropout: Share = 0.0  # after every hidden layer
    dropout_after_output: bool = False  # the ablation of post P003
    kind: Literal["mlp"] = "mlp"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Branch:
    """Input and one-hot label get a hidden layer each, are joined, and go through `joint`."""

    input_units: Positive
    label_units: Positive
    joint: Widths
    activation: Activation
    init: Init
    output: Activation
    slope: NonNegative = 0.0
    norm: Norm = "none"  # before the activation
    branch_dropout: Share = 0.0
    dropout: Share = 0.0  # after every joint layer
    dropout_after_output: bool = False
    kind: Literal["branch"] = "branch"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class MaxoutBranch:
    """The discriminator of Mirza & Osindero (2014): maxout layers for image, label and both joined."""

    input_units: Positive
    input_pieces: Positive
    label_units: Positive
    label_pieces: Positive
    joint_units: Positive
    joint_pieces: Positive
    init: Init
    dropout: Share = 0.0
    kind: Literal["maxout"] = "maxout"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class ConvGenerator:
    """Dense to a small image, then transposed convolutions (post P001, Generator.py)."""

    seed_size: Positive
    seed_channels: Positive
    filters: Widths  # the last is the image's channels
    kernel: Positive
    stride: Positive
    paddings: Paddings  # one per layer, as PyTorch's padding=
    activation: Activation
    init: Init
    output: Activation
    slope: NonNegative = 0.0
    output_norm: bool = True  # BatchNorm before the output activation, as posted
    sync_batch_norm: bool = True
    kind: Literal["conv_generator"] = "conv_generator"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class ConvDiscriminator:
    """Strided convolutions down to a flat vector and one logit (post P001, Discriminator.py)."""

    filters: Widths
    kernel: Positive
    stride: Positive
    paddings: Paddings
    activation: Activation
    init: Init
    slope: NonNegative = 0.0
    sync_batch_norm: bool = True
    kind: Literal["conv_discriminator"] = "conv_discriminator"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class SetDiscriminator:
    """Reads a whole set of numbers as one example (post P004)."""

    set_size: Positive
    preprocess: Literal["raw", "variances"]  # "variances": x and |x - mean|^exponent side by side
    hidden: Widths
    activation: Activation
    init: Init
    exponent: Rate = 2.0
    kind: Literal["set"] = "set"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class ConvClassifier:
    """Convolution, leaky ReLU, BatchNorm, twice; then one score per class (post P001, Classifier.py)."""

    filters: Widths
    kernels: Widths
    stride: Positive
    slope: NonNegative
    init: Init
    kind: Literal["conv_classifier"] = "conv_classifier"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class JudgeNet:
    """Convolution, BatchNorm, ReLU for each filter count; a dense layer, the features; one logit per class."""

    filters: Widths
    kernels: Widths  # one per convolution
    strides: Widths
    features: Positive
    init: Init
    dropout: Share = 0.0  # of the features
    kind: Literal["judge_net"] = "judge_net"


Generator = Annotated[MLP | Branch | ConvGenerator, Field(discriminator="kind")]
Discriminator = Annotated[
    MLP | Branch | MaxoutBranch | ConvDiscriminator | SetDiscriminator, Field(discriminator="kind")
]
Classifier = Annotated[ConvClassifier | JudgeNet, Field(discriminator="kind")]


# Data.


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Mnist:
    """28x28 grey digits (or any idx set of that shape)."""

    source: Literal["auto", "tfds", "idx", "embedded"] = "auto"
    train_split: Literal["train", "train+validation"] = "train+validation"
    pixels: Literal["tanh", "unit"] = "tanh"  # tanh: [-1, 1]; unit: [0, 1]
    kind: Literal["mnist"] = "mnist"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Montage:
    """RGB images, centre-cropped with the post's arithmetic."""

    crop: Positive
    size: Positive  # after the crop; the same, or smaller for the :small variants
    source: Literal["auto", "hdf5", "folder", "celeb_a", "faces"] = "auto"
    small_images: Literal["refuse", "resize"] = "refuse"  # images smaller than the crop
    memory_mb: Positive = 2048  # kept in memory when it fits in this, else streamed
    num_faces: Positive = 2000  # of the embedded faces
    faces_seed: Seed = 0  # which set of them: not the run's seed, so that all seeds train on the same data
    pixels: Literal["tanh", "unit"] = "unit"
    kind: Literal["montage"] = "montage"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Gaussian:
    """An endless stream of samples of a 1-D distribution."""

    mean: Finite
    std: Rate
    target: Literal["normal", "bimodal"] = "normal"  # bimodal: two normals of std at mean -/+ separation
    separation: NonNegative = 0.0
    kind: Literal["gaussian"] = "gaussian"


Data = Annotated[Mnist | Montage | Gaussian, Field(discriminator="kind")]


# Optimisers and the game.


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Adam:
    """Adam (Kingma & Ba, 2015). PyTorch adds epsilon after the bias correction, TensorFlow before."""

    learning_rate: Rate
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Rate = 1e-8
    epsilon_form: Literal["pytorch", "tensorflow"] = "pytorch"
    kind: Literal["adam"] = "adam"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class SGD:
    """SGD with momentum; the rate falls by `decay` a step, the momentum rises linearly (CGAN paper)."""

    learning_rate: Rate
    decay: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    min_learning_rate: NonNegative = 0.0
    momentum: Share = 0.0
    final_momentum: Share = 0.0
    momentum_steps: Count = 0  # steps from momentum to final_momentum
    kind: Literal["sgd"] = "sgd"


Optimizer = Annotated[Adam | SGD, Field(discriminator="kind")]


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Game:
    """The knobs of the two-player step; the posts really differ in each of them."""

    first: Literal["discriminator", "generator"] = "discriminator"
    d_steps: Positive = 1  # k: discriminator updates per step
    g_steps: Positive = 1
    fresh_real: bool = False  # each of the k updates sees its own real batch (else the same one)
    d_update: Literal["joint", "separate"] = "joint"  # real and fake in one D update, or one after the other
    fakes: Literal["fresh", "shared"] = "fresh"  # shared: both players' updates use one set of fakes
    d_dropout_in_g_step: bool = True  # post P000 switches D to eval mode there
    d_loss: Literal["sum", "half_sum"] = "sum"
    smoothing: Share = 0.0  # one-sided: real labels are 1 - smoothing
    g_loss: Literal["non_saturating", "minimax"] = "non_saturating"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Latents:
    """The generator's noise: N(0, 1), U(-1, 1) ("uniform") or U(0, 1) ("unit_uniform")."""

    dim: Positive
    distribution: Literal["normal", "uniform", "unit_uniform"] = "normal"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class Every:
    """An interval: so many epochs, or so many steps; zero in both means never."""

    epochs: NonNegative = 0.0
    steps: Count = 0


@dataclass(config=_STRICT, kw_only=True, slots=True)
class RunConfig:
    """What every experiment has."""

    name: str
    post: str  # the post it rebuilds, such as "P000"
    data: Data
    batch_size: Positive  # global: over all replicas
    epochs: NonNegative = 0.0
    steps: Count = 0  # if not zero, it counts and `epochs` does not
    seed: Seed = 0
    log: Every = dataclasses.field(default_factory=Every)  # a printed line and a row of metrics.jsonl
    log_line: str = "step {step}"  # a str.format template over the row's values; "" prints nothing
    evaluate: Every = dataclasses.field(default_factory=Every)  # on the test split
    evaluate_line: str = ""
    evaluate_print: Every = dataclasses.field(default_factory=Every)  # how often that line is printed
    checkpoint: Every = dataclasses.field(default_factory=Every)
    keep_checkpoints: Positive = 2
    placement: Literal["auto", "one", "mirrored"] = "auto"
    deterministic: bool = True  # same seed, same bits (same machine and thread count)
    onednn: bool = False  # CPU kernels that are faster for convolutions, slower for small dense nets


@dataclass(config=_STRICT, kw_only=True, slots=True)
class GanConfig(RunConfig):
    """A generator, a discriminator and their game."""

    generator: Generator
    discriminator: Discriminator
    latents: Latents
    g_optimizer: Optimizer
    d_optimizer: Optimizer
    game: Game
    log_losses: Literal["step", "after_update"] = "step"  # the step's own losses, or (post P002) its batch's after the update
    num_labels: Count = 0  # 10: a conditional GAN on digits; 0: unconditional
    sample: Every = dataclasses.field(default_factory=Every)
    metrics: Every = dataclasses.field(default_factory=Every)  # digits drawn and Fréchet distance of 2,000 samples, by the judge
    num_samples: Positive = 64  # images in each sample grid (Gaussian: numbers in each histogram)
    sample_colormap: Literal["gray", "Blues"] = "gray"
    kind: Literal["gan"] = "gan"


@dataclass(config=_STRICT, kw_only=True, slots=True)
class ClassifierConfig(RunConfig):
    """A digit classifier."""

    classifier: Classifier
    optimizer: Optimizer
    loss: Literal["sigmoid", "softmax"] = "sigmoid"  # sigmoid: each class's score against its one-hot target (post P001)
    shift: Count = 0  # training images are moved by up to so many pixels either way
    kind: Literal["classifier"] = "classifier"


Config = GanConfig | ClassifierConfig
_ADAPTER: TypeAdapter[Config] = TypeAdapter(Annotated[Config, Field(discriminator="kind")])


def validate(config: Config) -> Config:
    """Checks a config as a whole and returns it with every value converted to its type.

    Raises:
      UserError: naming every fault, one after the other.
    """
    return from_dict(dataclasses.asdict(config))


def from_dict(values: Mapping[str, Any]) -> Config:
    """Builds a config from nested dicts. Raises `UserError` that names every fault."""
    try:
        config = _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        raise UserError("config: " + "; ".join(_explain(fault) for fault in error.errors())) from None
    faults = _contradictions(config)
    if faults:
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
    return from_dict(values)


def override(config: Config, assignments: Mapping[str, str]) -> Config:
    """Returns a copy with dotted fields set from text, as typed on the command line.

    Args:
      config: Any config.
      assignments: For example ``{"game.d_steps": "5", "generator.hidden": "(64, 64)"}``.

    Raises:
      UserError: An unknown field (with the nearest valid names) or a value of the wrong type.
    """
    values = dataclasses.asdict(config)
    for path, text in assignments.items():
        node: Any = values
        *parents, leaf = path.split(".")
        for depth, part in enumerate([*parents, leaf]):
            if not isinstance(node, dict) or part not in node:
                where = ".".join(parents[:depth])
                names = node if isinstance(node, dict) else ()
                remedy = nearest(part, names) if names else f" {where} is a single value."
                raise UserError(f"--config.{path}: there is no field {part!r}" + (f" in {where}." if where else ".") + remedy)
            if depth < len(parents):
                node = node[part]
        if isinstance(node[leaf], dict):
            raise UserError(f"--config.{path} is a group of fields: set one of them, such as --config.{path}.{next(iter(node[leaf]))}.")
        if leaf == "kind":
            raise UserError(f"--config.{path} cannot be overridden: write a config file to use another {parents[-1] if parents else 'config'}.")
        node[leaf] = _literal(text) if isinstance(node[leaf], tuple) else text
    return from_dict(values)


def differences(old: Config, new: Config) -> list[str]:
    """Names every field in which two configs differ, as "field: old -> new"."""
    before, after = _flat(dataclasses.asdict(old)), _flat(dataclasses.asdict(new))
    return [
        f"{key}: {before.get(key, '(absent)')} -> {after.get(key, '(absent)')}"
        for key in sorted(before | after)
        if before.get(key, "(absent)") != after.get(key, "(absent)")
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def _literal(text: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = tuple(part.strip() for part in text.split(","))
    return value if isinstance(value, tuple | list) else (value,)


def _explain(fault: Any) -> str:
    kinds = {"gan", "classifier", "mlp", "branch", "maxout", "conv_generator", "conv_discriminator", "set",
             "conv_classifier", "judge_net", "mnist", "montage", "gaussian", "adam", "sgd"}  # fmt: skip
    field = ".".join(str(part) for part in fault["loc"] if part not in kinds) or "config"
    if fault["type"] == "extra_forbidden" or fault["type"] == "unexpected_keyword_argument":
        return f"there is no field {field!r}"
    if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"field {field!r} is missing"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{field}={fault['input']!r}: {message}"


def _contradictions(config: Config) -> list[str]:
    """Faults that no single field shows."""
    faults = []
    if config.epochs == 0 and config.steps == 0:
        faults.append("epochs and steps are both 0: set one of them")
    if isinstance(config, ClassifierConfig):
        if not isinstance(config.data, Mnist):
            faults.append("a classifier needs labelled data: data must be mnist")
        judge = config.classifier
        if isinstance(judge, JudgeNet) and not len(judge.filters) == len(judge.kernels) == len(judge.strides):
            faults.append("classifier.filters, kernels and strides need one entry per convolution each")
        return faults
    conditional = {"branch", "maxout"}
    if config.num_labels == 0 and {config.generator.kind, config.discriminator.kind} & conditional:
        faults.append("branch and maxout networks take labels: num_labels must not be 0")
    if config.num_labels and not isinstance(config.data, Mnist):
        faults.append("num_labels needs labelled data: data must be mnist")
    if (config.metrics.epochs or config.metrics.steps) and not isinstance(config.data, Mnist):
        faults.append("metrics (in training) are by a judge of digits: data must be mnist")
    if isinstance(config.data, Gaussian) != (config.discriminator.kind == "set"):
        faults.append("gaussian data and a 'set' discriminator go together")
    if config.discriminator.kind == "set" and config.batch_size != config.discriminator.set_size:
        faults.append("batch_size must equal discriminator.set_size: one set is one example")
    if config.game.first == "generator" and config.game.fakes != "shared":
        faults.append("game.first='generator' (post P003) goes with game.fakes='shared'")
    if config.game.fakes == "shared" and (config.game.d_update == "separate" or config.game.d_steps * config.game.g_steps > 1):
        faults.append("game.fakes='shared' needs one joint D update and one G update per step")
    if config.game.fresh_real and config.game.d_steps == 1:
        faults.append("game.fresh_real needs game.d_steps > 1")
    for role, net in (("generator", config.generator), ("discriminator", config.discriminator)):
        if isinstance(net, MLP) and len(net.activation) not in (1, len(net.hidden)):
            faults.append(f"{role}.activation needs one entry, or one for each of the {len(net.hidden)} hidden layers")
        if isinstance(net, ConvGenerator | ConvDiscriminator) and len(net.paddings) != len(net.filters):
            faults.append(f"{role}.paddings needs {len(net.filters)} entries, one per layer")
    return faults
