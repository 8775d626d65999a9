"""What a network is built from: one dataclass per class in `tfgan_lab.models`, and the kinds of numbers they hold.

Use them by way of `tfgan_lab.config`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", validate_assignment=True)

# TensorFlow counts in 32 bits; a number that float32 would make infinite or zero is a typing mistake.
_MOST, _LARGE, _SMALL = 2**31 - 1, 1e30, 1e-30

Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(gt=0, le=_MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epochs = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-_LARGE, le=_LARGE, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=_LARGE, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=_SMALL, le=_LARGE, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Positive, ...], Field(min_length=1)]
Paddings = tuple[Count, ...]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "linear"]
Norm = Literal["none", "batch", "layer"]


@dataclass(config=STRICT, kw_only=True, slots=True)
class Init:
    """How weights start. `torch` is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for kernel and bias."""

    kernel: Literal["torch", "xavier_normal", "glorot_uniform", "normal"]
    bias: Literal["torch", "zeros", "uniform"]
    std: NonNegative = 0.0  # of kernel="normal"
    bias_low: Finite = 0.0  # of bias="uniform"
    bias_high: Finite = 0.0


@dataclass(config=STRICT, kw_only=True, slots=True)
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


@dataclass(config=STRICT, kw_only=True, slots=True)
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


@dataclass(config=STRICT, kw_only=True, slots=True)
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


@dataclass(config=STRICT, kw_only=True, slots=True)
class ConvGenerator:
    """Dense to a small image, then transposed convolutions (post P001, Generator.py); a label joins the latents."""

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


@dataclass(config=STRICT, kw_only=True, slots=True)
class ConvDiscriminator:
    """Strided convolutions down to a flat vector and one logit (post P001, Discriminator.py).

    A conditional one adds the flat vector's product with a vector of the label (Miyato & Koyama, 2018, eq. 3).
    """

    filters: Widths
    kernel: Positive
    stride: Positive
    paddings: Paddings
    activation: Activation
    init: Init
    slope: NonNegative = 0.0
    norm: Literal["batch", "none"] = "batch"  # after every convolution but the last
    sync_batch_norm: bool = True
    kind: Literal["conv_discriminator"] = "conv_discriminator"


@dataclass(config=STRICT, kw_only=True, slots=True)
class SetDiscriminator:
    """Reads a whole set of numbers as one example (post P004)."""

    set_size: Positive
    preprocess: Literal["raw", "variances"]  # "variances": x and (x - mean)^exponent side by side
    hidden: Widths
    activation: Activation
    init: Init
    exponent: Rate = 2.0  # if no whole number, of |x - mean|
    kind: Literal["set"] = "set"


@dataclass(config=STRICT, kw_only=True, slots=True)
class ConvClassifier:
    """Convolution, leaky ReLU, BatchNorm, twice; then one score per class (post P001, Classifier.py)."""

    filters: Widths
    kernels: Widths
    stride: Positive
    slope: NonNegative
    init: Init
    kind: Literal["conv_classifier"] = "conv_classifier"


@dataclass(config=STRICT, kw_only=True, slots=True)
class JudgeNet:
    """Convolution, BatchNorm, ReLU for each filter count; a dense layer, the features; one logit per class."""

    filters: Widths
    kernels: Widths  # one per convolution
    strides: Widths
    features: Positive
    init: Init
    dropout: Share = 0.0  # of the features
    kind: Literal["judge_net"] = "judge_net"
