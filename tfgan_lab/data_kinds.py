"""Kinds of data: what each is, and what can be said of it before any is loaded.

There are two families, images and numbers. A kind of your own is a class in any file: a dataclass like those below, with
a `kind` of its own, made known to configs by `data_kind`. What else it needs:

  ImageData   A row of `tfgan_lab.data.OPENERS`: what loads it.
  NumberData  Its law, as the methods `draw` and `law`.
  Data, else  Its facts (`output`, …), and a row in each table where kinds differ: `tfgan_lab.data.OPENERS`, what
              loads it (`tfgan_lab.data.numbers.open_data` takes any that has `draw`);
              `tfgan_lab.training.evaluator.EVALUATORS`, what judges a run in training;
              `tfgan_lab.evaluation.exported.MEASURES`, what is measured of an exported generator;
              `tfgan_lab.report.drawings.DRAWINGS`, how it is drawn.

What a table holds for a class, it holds for that class' subclasses, too (`of_kind`). Configs take these classes from
`tfgan_lab.config`. TensorFlow is imported when numbers are drawn, not before.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from tfgan_lab.errors import DEFINED_ELSEWHERE, UserError, nearest, shortened
from tfgan_lab.fields import STRICT, Changes, NonNegative, Positive, Rate, Seed
from tfgan_lab.layer_base import tf
from tfgan_lab.plane_laws import LAWS

MOMENTS = ("real_mean", "real_std", "fake_mean", "fake_std")
# What the ten classes of idx sets are called.
_CLASSES = {
    "digits": tuple("0123456789"),
    "fashion": ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
}  # fmt: skip


class Data:
    """A kind of data: its numbers, and what can be said of it before any is loaded."""

    __slots__ = ()
    kinds: ClassVar[dict[str, type[Data]]] = {}  # all that are known
    kind: str
    pixels: str  # "tanh": [-1, 1]; "unit": [0, 1]; "none": numbers as they are
    output: ClassVar[str]  # what a SavedModel calls the samples that it draws
    kept_as: ClassVar[str] = "float32"  # the dtype in which samples are kept through training
    has_labels: ClassVar[bool] = False  # 0, 1, 2, …: see `class_names`
    are_digits: ClassVar[bool] = False  # that the shipped judge reads
    is_endless: ClassVar[bool] = False  # drawn from a law as it is needed, which its text names: nothing is loaded
    batch_is_one_example: ClassVar[bool] = False  # to D, which reads a batch as one set
    reports_moments: ClassVar[bool] = False  # every training step reports `MOMENTS`
    judged_by: ClassVar[tuple[str, ...]] = ()  # what is known of a GAN in training

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: [H, W, C], or [1] for numbers."""
        raise NotImplementedError

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the labels 0, 1, 2, … are called; those beyond it are called by their numbers."""
        return ()

    @property
    def moments(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the law that numbers are drawn from."""
        return None

    def shipped(self) -> Self:
        """The same kind, small, as far as possible of what the package brings: for comparisons."""
        return self

    def faults(self, config: Any) -> list[str]:
        """What a GAN on such data cannot be; `config` is the `GanConfig`."""
        faults = []
        if config.num_labels and not self.has_labels:
            faults.append(f"num_labels needs labelled data: {self.kind} has none")
        if (config.metrics.epochs or config.metrics.steps) and not self.are_digits:
            faults.append("metrics (in training) are by a judge of digits: data must be mnist")
        if config.untrained and (config.num_labels or self.output != "images"):
            faults.append("untrained (post P000) is for images without labels")
        return faults


class ImageData(Data):
    """Images [H, W, C], stored as uint8."""

    __slots__ = ()
    output: ClassVar[str] = "images"
    kept_as: ClassVar[str] = "uint8"
    judged_by: ClassVar[tuple[str, ...]] = ("p_real", "p_fake")


class NumberData(Data):
    """An endless stream of numbers from a law that is known; D reads a batch of them as one set (post P004)."""

    __slots__ = ()
    pixels: ClassVar[str] = "none"  # type: ignore[misc]  # no field of it
    output: ClassVar[str] = "numbers"
    is_endless: ClassVar[bool] = True
    batch_is_one_example: ClassVar[bool] = True
    reports_moments: ClassVar[bool] = True
    judged_by: ClassVar[tuple[str, ...]] = ("fake_mean", "fake_std")

    def draw(self, shape: list[int], seed: Any) -> Any:
        """Numbers of the law: float32 [..., *shape] for seeds int64 [..., 2]; `tfgan_lab.philox` makes bits of seeds."""
        raise NotImplementedError

    def law(self) -> Any:
        """The law as a distribution of `scipy.stats`, of which `cdf`, `ppf` and `stats` are used."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def moments(self) -> tuple[float, float]:
        mean, variance = self.law().stats("mv")
        return float(mean), math.sqrt(variance)

    @property
    def span(self) -> tuple[float, float]:
        """From where to where nearly all numbers lie: what a histogram shows at least."""
        low, high = self.law().ppf([1e-4, 1 - 1e-4])
        return float(low), float(high)

    def faults(self, config: Any) -> list[str]:
        faults = Data.faults(self, config)
        if config.precision == "bfloat16":
            faults.append("precision='bfloat16' would round numbers to their first three digits: use float32")
        if config.num_samples == 1:
            faults.append("num_samples must be 2 at least: one number has no histogram")
        return faults


_Kind = TypeVar("_Kind", bound=type)
_Value = TypeVar("_Value")


def data_kind(made: _Kind) -> _Kind:
    """Makes a kind of data known to configs, by its `kind`."""
    Data.kinds[made.__dataclass_fields__["kind"].default] = made  # type: ignore[attr-defined]
    return made


def of_kind(table: Mapping[type[Data], _Value], data: Data, name: str) -> _Value:
    """What a table holds for the class of some data, or for the nearest class above it.

    Args:
      table: By class.
      data: The config's data.
      name: What the table is called, for the message.

    Raises:
      UserError: It holds nothing for them.
    """
    for kind in type(data).__mro__:
        if kind in table:
            return table[kind]
    raise UserError(
        f"data.kind={data.kind!r}: {name} has no row for it: derive it from ImageData or NumberData, or add one."
    )


def label_of(given: int | str, names: Sequence[str]) -> int:
    """The label that a class name means (in any case), or a number.

    Args:
      given: What a user asked for.
      names: What the labels 0, 1, 2, … are called.

    Raises:
      UserError: There is no such label.
    """
    lowered, text = [name.casefold() for name in names], str(given).strip()
    if text.casefold() in lowered:
        return lowered.index(text.casefold())
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    if text.removeprefix("-").isdecimal():
        raise UserError(f"--label={text}: labels are 0 to {len(names) - 1}.")
    raise UserError(f"--label={text}: there is no such class.{nearest(text, names)}")


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Mnist(ImageData):
    """28x28 grey digits (or any idx set of that shape)."""

    source: Annotated[Literal["auto", "tfds", "idx", "embedded"], Changes.DATA] = "auto"
    train_split: Literal["train", "train+validation"] = "train+validation"
    classes: Annotated[Literal["digits", "fashion"], Changes.PRINTED] = "digits"  # what its labels are called
    pixels: Literal["tanh", "unit"] = "tanh"  # tanh: [-1, 1]; unit: [0, 1]
    kind: Literal["mnist"] = "mnist"
    has_labels: ClassVar[bool] = True
    are_digits: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:
        return (28, 28, 1)

    @property
    def class_names(self) -> tuple[str, ...]:
        return _CLASSES[self.classes]

    def shipped(self) -> Self:
        return dataclasses.replace(self, source="embedded", classes="digits")


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Stacked(ImageData):
    """Three digits as the colours of one image, drawn once and at random: 1,000 modes (Metz et al., 2017, section 3.3)."""

    num: Annotated[int, Field(ge=1000, le=1_000_000)]  # training images
    test_num: Annotated[int, Field(ge=1000, le=1_000_000)]  # images of test digits
    source: Annotated[Literal["auto", "tfds", "idx", "embedded"], Changes.DATA] = "auto"
    train_split: Literal["train", "train+validation"] = "train+validation"
    draw_seed: Seed = 0  # which images: not the run's seed, so that all seeds train on the same data
    pixels: Literal["tanh", "unit"] = "tanh"
    kind: Literal["stacked"] = "stacked"

    @property
    def shape(self) -> tuple[int, ...]:
        return (28, 28, 3)

    @property
    def digits(self) -> Mnist:
        """What they are made of."""
        return Mnist(source=self.source, train_split=self.train_split)

    def shipped(self) -> Self:
        return dataclasses.replace(self, source="embedded", num=1000, test_num=1000)


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Classes(ImageData):
    """Images in folders or HDF5 groups, one for each class, or in idx files; the square in the middle of each, resized."""

    names: Annotated[list[Annotated[str, Field(min_length=1, max_length=60)]], Field(min_length=2, max_length=10)]
    side: Annotated[int, Field(ge=4, le=512)]
    colour: bool = False
    # Of each class, kept apart to judge on; where there are folders train and test, those are the splits.
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    pixels: Literal["tanh", "unit"] = "tanh"
    kind: Literal["classes"] = "classes"
    has_labels: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.side, self.side, 3 if self.colour else 1)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.names)

    def faults(self, config: Any) -> list[str]:
        faults = ImageData.faults(self, config)
        faults += [f"data.names: {name} is there twice" for name in sorted({*self.names}) if self.names.count(name) > 1]
        if config.num_labels not in (0, len(self.names)):
            faults.append(f"num_labels={config.num_labels}, but data.names are {len(self.names)}: use that, or 0")
        return faults


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Montage(ImageData):
    """RGB images, centre-cropped with the post's arithmetic."""

    crop: Positive
    size: Positive  # after the crop; the same, or smaller for the :small variants
    source: Annotated[Literal["auto", "hdf5", "folder", "celeb_a", "faces"], Changes.DATA] = "auto"
    small_images: Literal["refuse", "resize"] = "refuse"  # images smaller than the crop
    memory_mb: Annotated[Positive, Changes.PLACE] = 2048  # kept in memory when it fits in this, else streamed
    num_faces: Positive = 2000  # of the embedded faces
    faces_seed: Seed = 0  # which set of them: not the run's seed, so that all seeds train on the same data
    pixels: Literal["tanh", "unit"] = "unit"
    kind: Literal["montage"] = "montage"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size, self.size, 3)

    def shipped(self) -> Self:
        return dataclasses.replace(self, source="faces", num_faces=16)


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Gaussian(NumberData):
    """A normal law, or half of one and half of another."""

    mean: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
    std: Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
    target: Literal["normal", "bimodal"] = "normal"  # bimodal: two normals of std at mean -/+ separation
    separation: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    kind: Literal["gaussian"] = "gaussian"

    def __str__(self) -> str:
        """Such as "N(4, 1.25^2)"."""
        if self.target == "bimodal":
            left, right = self.mean - self.separation, self.mean + self.separation
            return f"half N({left:g}, {self.std:g}^2), half N({right:g}, {self.std:g}^2)"
        return f"N({self.mean:g}, {self.std:g}^2)"

    def draw(self, shape: list[int], seed: Any) -> Any:
        from tfgan_lab import philox

        numbers = self.mean + self.std * philox.normal(shape, seed)
        if self.target == "bimodal":
            coins = philox.uniform(shape, seed + tf.constant([1, 0], tf.int64)) < 0.5
            numbers += tf.where(coins, self.separation, -self.separation)
        return numbers

    def law(self) -> Any:
        if self.target == "bimodal":
            from tfgan_lab.metrics.distributions import TwoNormals

            return TwoNormals(self.mean, self.std, self.separation)
        from scipy.stats import norm

        return norm(self.mean, self.std)

    @property
    def moments(self) -> tuple[float, float]:
        return self.mean, math.hypot(self.std, self.separation if self.target == "bimodal" else 0.0)

    @property
    def span(self) -> tuple[float, float]:
        reach = self.separation + 4 * self.std
        return self.mean - reach, self.mean + reach

    def faults(self, config: Any) -> list[str]:
        faults = NumberData.faults(self, config)
        if self.std < 1e-5 * (abs(self.mean) + self.separation):
            faults.append(
                f"data.std={self.std} is lost in float32 beside data.mean and data.separation: use a larger one"
            )
        return faults


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Plane(Data):
    """Points of the plane, drawn from a law of `tfgan_lab.plane_laws` as they are needed."""

    law: Literal["ring8", "grid25", "swiss_roll", "checkerboard", "two_moons"]
    size: Rate  # ring8: radius; grid25: from mode to mode; checkerboard: a square's side; others: times scikit-learn's
    std: NonNegative  # of the normal noise around it
    kind: Literal["plane"] = "plane"
    pixels: ClassVar[str] = "none"  # type: ignore[misc]  # no field of it
    output: ClassVar[str] = "points"
    is_endless: ClassVar[bool] = True

    def __str__(self) -> str:
        """Such as "ring8 (8 normals on a circle, size 1, std 0.01)"."""
        return f"{self.law} ({LAWS[self.law].says}, size {self.size:g}, std {self.std:g})"

    def draw(self, shape: list[int], seed: Any) -> Any:
        """Points of the law: float32 [..., *shape] for seeds int64 [..., 2]; the last of `shape` is 2."""
        from tfgan_lab import philox

        return self.size * LAWS[self.law].draw(shape[:-1], seed) + self.std * philox.normal(shape, seed)

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    @property
    def modes(self) -> Any:
        """The centres of its normals, float64 [M, 2]; None for a curve or an area."""
        modes = LAWS[self.law].modes
        return None if modes is None else self.size * modes

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Where nearly all points lie: (left, right, bottom, top)."""
        left, right, bottom, top = (self.size * end for end in LAWS[self.law].box)
        reach = 4 * self.std
        return left - reach, right + reach, bottom - reach, top + reach

    @property
    def judged_by(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*(("modes", "high_quality") if self.modes is not None else ()), "energy_distance")

    def faults(self, config: Any) -> list[str]:
        faults = Data.faults(self, config)
        if config.precision == "bfloat16":
            faults.append("precision='bfloat16' would round points to their first three digits: use float32")
        if self.modes is not None and not self.std:
            faults.append(f"data.std=0: the modes of {self.law} would be points that no sample hits: use a larger one")
        return faults


def of_its_kind(value: Any) -> Data:
    """A config's field `data`, of a kind that is known by now. Raises ValueError or pydantic's ValidationError."""
    if isinstance(value, Data):
        return value
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in Data.kinds:
        where = "" if kind is None else f" {DEFINED_ELSEWHERE}"
        raise ValueError(f"no kind of data {shortened(repr(kind))}.{nearest(str(kind), Data.kinds)}{where}")
    return TypeAdapter[Data](Data.kinds[kind]).validate_python(dict(value))
