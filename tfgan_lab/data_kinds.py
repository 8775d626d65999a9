"""Kinds of data: what each is, and what can be said of it before any is loaded.

There are two families, images and numbers. A kind of your own is a class in any file: a dataclass like the
package's own, with a `kind` of its own, made known to configs by `data_kind`. What else it needs:

  ImageData   A row of `tfgan_lab.data.OPENERS`: what loads it.
  NumberData  Its law, as the methods `draw` and `law`.
  Data, else  Its facts (`output`, …), and a row in each table where kinds differ: `tfgan_lab.data.OPENERS`, what
              loads it (`tfgan_lab.data.numbers.open_data` takes any that has `draw`);
              `tfgan_lab.training.evaluator.EVALUATORS`, what judges a run in training;
              `tfgan_lab.evaluation.exported.MEASURES`, what is measured of an exported generator;
              `tfgan_lab.report.drawings.DRAWINGS`, how it is drawn.

What a table holds for a class, it holds for that class' subclasses, too (`of_kind`). The package's own are in
`tfgan_lab.image_data` and `tfgan_lab.number_data`; configs take all of them from `tfgan_lab.config`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

from pydantic import TypeAdapter

from tfgan_lab.errors import DEFINED_ELSEWHERE, UserError, nearest, refuse_shipped, shortened

MOMENTS = ("real_mean", "real_std", "fake_mean", "fake_std")


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
        """What the labels 0, 1, 2, … are called: a name for each class; () for any number of classes without names."""
        return ()

    def called(self, number: int) -> tuple[str, ...]:
        """What so many labels are called."""
        names = self.class_names[:number]
        return (*names, *map(str, range(len(names), number)))

    @property
    def moments(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the law that numbers are drawn from."""
        return None

    def shipped(self) -> Self:
        """The same kind, small, as far as possible of what the package brings: for comparisons."""
        return self

    @property
    def reads_files(self) -> bool:
        """Whether a `--data_dir` is looked at."""
        return not self.is_endless and getattr(self, "source", "") not in ("embedded", "faces")

    def faults(self, config: Any) -> list[str]:
        """What a GAN on such data cannot be; `config` is the `GanConfig`."""
        faults = []
        if config.num_labels and not self.has_labels:
            faults.append(f"num_labels needs labelled data: {self.kind} has none")
        if config.num_labels > len(self.class_names) > 0:
            faults.append(
                f"num_labels={config.num_labels}, but {self.kind} has {len(self.class_names)} classes: use that, or 0"
            )
        if (config.metrics.epochs or config.metrics.steps) and not config.is_judged:
            faults.append(
                "metrics (in training) are by a judge of digits: data must be mnist, or judge name one of its classes"
            )
        if (config.moments.epochs or config.moments.steps) and not self.reports_moments:
            faults.append(f"moments (post P004) are of numbers: {self.kind} has none")
        if config.judge and not self.class_names:
            faults.append(f"judge needs labelled data: {self.kind} has no classes")
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
    """Makes a kind of data known to configs, by its `kind`. Raises `UserError` if the package has one of that name."""
    kind = made.__dataclass_fields__["kind"].default  # type: ignore[attr-defined]
    refuse_shipped(made, Data.kinds.get(kind), f"data of kind {kind!r}")
    Data.kinds[kind] = made
    return made


def of_kind(table: Mapping[type[Data], _Value], data: Data, name: str) -> _Value:
    """What a table holds for the class of some data, or for the nearest class above it.

    Raises:
      UserError: It holds nothing for them; `name` is what the table is called.
    """
    for kind in type(data).__mro__:
        if kind in table:
            return table[kind]
    raise UserError(
        f"data.kind={data.kind!r}: {name} has no row for it: derive it from ImageData or NumberData, or add one."
    )


def label_of(given: int | str, names: Sequence[str]) -> int:
    """The label that a number means, or a class name in any case; the labels 0, 1, 2, … are called `names`.

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


def of_its_kind(value: Any) -> Data:
    """A config's field `data`, of a kind that is known by now. Raises ValueError or pydantic's ValidationError."""
    if isinstance(value, Data):
        return value
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in Data.kinds:
        where = "" if kind is None else f" {DEFINED_ELSEWHERE}"
        raise ValueError(f"no kind of data {shortened(repr(kind))}.{nearest(str(kind), Data.kinds)}{where}")
    return TypeAdapter[Data](Data.kinds[kind]).validate_python(dict(value))
