"""What all peers share: one step on given arrays, dropout whose masks can be given, the loop over data in memory."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def descend(self, role: str, loss: Tensor) -> Tensor:
        """One update of a network's weights on a loss, which it returns."""
        self.optimizers[role].zero_grad()
        loss.backward()
        self.optimizers[role].step()
        return loss


class Chain(nn.Module):
    """Layers one after the other, under the posts' name `model`; several inputs are joined."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.model(inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1))


class MaskedDropout(nn.Dropout):
    """`nn.Dropout`, except inside `queue_masks`, where each call in train mode takes the next mask."""

    queue: deque[Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Returns `input` with units dropped and the kept ones scaled by 1 / (1 - p).

        Raises:
          ValueError: The queue is empty, or its next mask has another shape than `input`.
        """
        if self.queue is None or not self.training:
            return super().forward(input)
        if not self.queue:
            raise ValueError("too few dropout masks: the queue is empty")
        mask = self.queue.popleft()
        if mask.shape != input.shape:
            raise ValueError(f"a dropout mask has shape {tuple(mask.shape)}, its layer {tuple(input.shape)}")
        return input * mask.to(input.dtype) / (1.0 - self.p)


@contextmanager
def queue_masks(network: nn.Module, masks: Sequence[Tensor]) -> Iterator[None]:
    """Lets all dropout layers of `network` take `masks` from one queue while the context lasts.

    Args:
      network: Its `MaskedDropout` layers are the ones meant.
      masks: 0/1 tensors (1 keeps), in the order in which the layers run in train mode.

    Raises:
      ValueError: At the end, if masks are left over.
    """
    queue = deque(masks)
    layers = [layer for layer in network.modules() if isinstance(layer, MaskedDropout)]
    for layer in layers:
        layer.queue = queue
    try:
        yield
    finally:
        for layer in layers:
            layer.queue = None
    if queue:
        raise ValueError(f"{len(queue)} of {len(masks)} dropout masks were not used")


def cross_entropy(probabilities: Tensor, target: float) -> Tensor:
    """The posts' BCELoss against one target for all examples."""
    return F.binary_cross_entropy(probabilities, torch.full_like(probabilities, target))


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
    return {name: float(loss.detach()) for name, loss in losses.items()} | {"steps": steps, "seconds": seconds}


def trains(make: Callable[[], PeerProgram], usual: int) -> Callable[..., dict[str, float]]:
    """A post's `train`: its loop over examples in memory.

    Args:
      make: Makes the program, where none is given to be trained further.
      usual: The post's batch size.
    """

    def train(
        images: Tensor, labels: Tensor | None, steps: int, batch_size: int = usual, seed: int = 0,
        program: PeerProgram | None = None,
    ) -> dict[str, float]:  # fmt: skip
        """Over images [N, …] in the post's range and integer labels [N], which not all posts use; returns as `run`."""
        torch.manual_seed(seed)
        return run(program or make(), in_memory(images, labels, batch_size), steps)

    return train


def _tensor(array: Any, dtype: torch.dtype) -> Tensor:
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.array(array))
    return tensor.to(dtype) if tensor.is_floating_point() else tensor.long()
