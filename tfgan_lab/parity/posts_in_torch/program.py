"""What all peers share: one step on given arrays, and the loop over data in memory."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.dropout import queue_masks

Batch = tuple[Tensor, Tensor | None]


class PeerProgram(ABC):
    """A post's networks and optimisers, and its inner loop's body.

    Attributes:
      networks: By role: "generator" and "discriminator", or "classifier".
      optimizers: By the same roles.
    """

    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    @abstractmethod
    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        """Draws what one step needs besides data, from torch's global generator, in the post's order."""

    @abstractmethod
    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        """One pass of the post's inner loop, on tensors of the networks' dtype."""

    def step(
        self, real: Any, labels: Any, *draws: Any, masks: Mapping[str, Sequence[Any]] | None = None
    ) -> dict[str, float]:
        """Does exactly one step of the post's inner loop on explicit arrays.

        Args:
          real: The real batch, first axis B, in the post's own range; channels first for colour.
          labels: Integer classes [B]; None where the post uses none.
          *draws: All latents and random labels (integers [B]) of the step, as `draw` orders them.
          masks: By role of the network, its dropout keep-masks (0/1) in the order of its
            train-mode layers over the step. Roles omitted drop at random.

        Returns:
          The losses by name, as the post computes them and before the update they lead to.
        """
        dtype = next(next(iter(self.networks.values())).parameters()).dtype
        tensors = [_tensor(array, dtype) for array in (real, *draws)]
        classes = None if labels is None else _tensor(labels, dtype)
        with ExitStack() as stack:
            for role, queue in (masks or {}).items():
                stack.enter_context(queue_masks(self.networks[role], [_tensor(mask, dtype) for mask in queue]))
            losses = self.update(tensors[0], classes, *tensors[1:])
        return {name: float(loss.detach()) for name, loss in losses.items()}


def one_hot(labels: Tensor | None, like: Tensor) -> Tensor:
    """Integer classes [B] as one-hot rows [B, 10] of the dtype of `like`."""
    if labels is None:
        raise ValueError("this program needs labels")
    return F.one_hot(labels, num_classes=10).to(like.dtype)  # [B, 10]


def in_memory(images: Tensor, labels: Tensor | None, batch_size: int) -> Iterator[Batch]:
    """Whole batches for ever, in a new random order each epoch; an epoch's rest is omitted.

    Raises:
      ValueError: There are fewer images than a batch takes.
    """
    if len(images) < batch_size:
        raise ValueError(f"a batch of {batch_size} from {len(images)} images")
    while True:
        order = torch.randperm(len(images))
        for index in order[: len(images) // batch_size * batch_size].split(batch_size):
            yield images[index], None if labels is None else labels[index]


def run(program: PeerProgram, feed: Iterable[Batch], steps: int) -> dict[str, float]:
    """Runs `steps` steps with the program's own draws.

    Returns:
      The last step's losses, "steps", and "seconds": the wall time of the loop alone.
    """
    losses: dict[str, Tensor] = {}
    begin = time.perf_counter()
    for _, (real, labels) in zip(range(steps), feed, strict=False):
        losses = program.update(real, labels, *program.draw(len(real)))
    seconds = time.perf_counter() - begin
    return {name: float(loss.detach()) for name, loss in losses.items()} | {
        "steps": steps,
        "seconds": seconds,
    }


def _tensor(array: Any, dtype: torch.dtype) -> Tensor:
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.array(array))
    return tensor.to(dtype) if tensor.is_floating_point() else tensor.long()
