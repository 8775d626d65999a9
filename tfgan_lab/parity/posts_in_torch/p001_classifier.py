"""Post P001, MNIST CNN: a digit classifier with sigmoid scores, one image at a time, pixels in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import Chain, PeerProgram, one_hot, trains


class Classifier(Chain):
    """Images [B, 1, 28, 28] to one score in [0, 1] per class, [B, 10]."""

    def __init__(self, filters: int = 10) -> None:
        super().__init__(
            nn.Conv2d(1, filters, kernel_size=5, stride=2),  # [B, F, 12, 12]
            nn.LeakyReLU(0.02), nn.BatchNorm2d(filters),
            nn.Conv2d(filters, filters, kernel_size=3, stride=2),  # [B, F, 5, 5]
            nn.LeakyReLU(0.02), nn.BatchNorm2d(filters),
            nn.Flatten(), nn.Linear(25 * filters, 10), nn.Sigmoid(),
        )  # fmt: skip


class Program(PeerProgram):
    """One update against one-hot targets. `step(images, labels)`; the loss is called "loss"."""

    def __init__(self, *, filters: int = 10, lr: float = 1e-4) -> None:
        self.classifier = Classifier(filters)
        self.networks = {"classifier": self.classifier}
        self.optimizers = {"classifier": torch.optim.Adam(self.classifier.parameters(), lr=lr)}

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        return ()

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        outputs = self.classifier(real.reshape(len(real), 1, 28, 28))
        return {"loss": self.descend("classifier", F.binary_cross_entropy(outputs, one_hot(labels, outputs)))}


train = trains(Program, usual=1)
