"""Where examples come from (`mnist`, `montage`, `gaussian` streams) and the tf.data chain (`pipeline`)."""

from __future__ import annotations

import dataclasses

from tfgan_lab.config import Gaussian, Mnist, Montage
from tfgan_lab.data.examples import Examples, Provenance


@dataclasses.dataclass(frozen=True)
class Source:
    """The splits an experiment uses.

    Attributes:
      train: What it is trained on (None for endless streams).
      test: What it is judged on; None where there is no such split.
      shape: Shape of one example, [H, W, C] or [1].
      chosen: One line: which source was taken, and why.
    """

    train: Examples | None
    test: Examples | None
    shape: tuple[int, ...]
    chosen: str

    @property
    def provenance(self) -> dict[str, Provenance]:
        """By split name."""
        return {
            name: part.provenance for name, part in (("train", self.train), ("test", self.test)) if part is not None
        }


def open_source(data: Mnist | Montage | Gaussian, data_dir: str | None = None) -> Source:
    """Loads what a config's data names.

    Args:
      data: The config's data.
      data_dir: A folder or file given by flag; for MNIST else $TFGAN_LAB_DATA_DIR.

    Raises:
      UserError: The data cannot be had; one line with the remedy.
    """
    if isinstance(data, Gaussian):
        return Source(None, None, shape_of(data), f"data: {describe_target(data)}, drawn as it is needed")
    if isinstance(data, Mnist):
        from tfgan_lab.data.mnist import load_mnist

        splits, chosen = load_mnist(data.source, data_dir)
        return Source(splits[data.train_split], splits["test"], shape_of(data), chosen)
    from tfgan_lab.data import montage

    examples = montage.load(
        data.source, data_dir or "", crop=data.crop, size=data.size, num=data.num_faces, seed=data.faces_seed,
        small=data.small_images, memory_mb=data.memory_mb,
    )  # fmt: skip
    return Source(examples, None, shape_of(data), f"data: {examples.provenance}")


def shape_of(data: Mnist | Montage | Gaussian) -> tuple[int, ...]:
    """Shape of one example: [H, W, C], or [1] for numbers; known without loading anything."""
    match data:
        case Mnist():
            return (28, 28, 1)
        case Montage():
            return (data.size, data.size, 3)
    return (1,)


def describe_target(data: Gaussian) -> str:
    """The Gaussian post's target in words, such as "N(4, 1.25^2)"."""
    if data.target == "bimodal":
        left, right = data.mean - data.separation, data.mean + data.separation
        return f"half N({left:g}, {data.std:g}^2), half N({right:g}, {data.std:g}^2)"
    return f"N({data.mean:g}, {data.std:g}^2)"


__all__ = ["Examples", "Provenance", "Source", "describe_target", "open_source", "shape_of"]
