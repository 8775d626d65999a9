"""The package's kinds of images."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from tfgan_lab.data_kinds import ImageData, data_kind
from tfgan_lab.errors import UserError
from tfgan_lab.fields import STRICT, Changes, Positive, Seed

# What the ten classes of idx sets are called.
_CLASSES = {
    "digits": tuple("0123456789"),
    "fashion": ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
}  # fmt: skip


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


def _distinct(names: list[str]) -> list[str]:
    if twice := [name for name in sorted({*names}) if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return names


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Classes(ImageData):
    """Images in folders or HDF5 groups, one for each class, or in idx files; the square in the middle of each, resized."""

    names: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=60)]], Field(min_length=2, max_length=1000), AfterValidator(_distinct)
    ]  # fmt: skip
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

    def shipped(self) -> Self:
        raise UserError(
            "data.kind=classes: a comparison with a post's program is on what the package brings, ten digits or faces: use "
            "another config."
        )

    def faults(self, config: Any) -> list[str]:
        faults = ImageData.faults(self, config)
        if 0 < config.num_labels < len(self.names):
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
