"""The package's laws of numbers and of points. TensorFlow is imported when they are drawn, not before."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from tfgan_lab.data_kinds import Data, NumberData, data_kind
from tfgan_lab.fields import STRICT, NonNegative, Rate
from tfgan_lab.layer_base import tf
from tfgan_lab.plane_laws import LAWS


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
    def _apart(self) -> float:
        return self.separation if self.target == "bimodal" else 0.0

    @property
    def moments(self) -> tuple[float, float]:
        return self.mean, math.hypot(self.std, self._apart)

    @property
    def span(self) -> tuple[float, float]:
        reach = self._apart + 4 * self.std
        return self.mean - reach, self.mean + reach

    def faults(self, config: Any) -> list[str]:
        faults = NumberData.faults(self, config)
        if self.std < 1e-5 * (abs(self.mean) + self._apart):
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
