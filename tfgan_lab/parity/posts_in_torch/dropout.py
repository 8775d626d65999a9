"""Dropout whose masks can be given from outside, so that two frameworks can drop the same units."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn


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
