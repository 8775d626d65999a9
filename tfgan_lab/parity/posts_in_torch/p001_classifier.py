"""Post P001, MNIST CNN: a digit classifier with sigmoid scores, one image at a time, pixels in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import PeerProgram, in_memory, one_hot, run


class Classifier(nn.Module):
    """Images [B, 1, 28, 28] to one score in [0, 1] per class, [B, 10]."""

    def __init__(self, filters: int = 10) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(1, filters, kernel_size=5, stride=2),  # [B, F, 12, 12]
            nn.LeakyReLU(0.02),
            nn.BatchNorm2d(filters),
            nn.Conv2d(filters, filters, kernel_size=3, stride=2),  # [B, F, 5, 5]
            nn.LeakyReLU(0.02),
            nn.BatchNorm2d(filters),
            nn.Flatten(),  # [B, 25 F]
            nn.Linear(25 * filters, 10),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


class Program(PeerProgram):
    """One update against one-hot targets. `step(images, labels)`; the loss is called "loss"."""

    def __init__(self, *, filters: int = 10, lr: float = 1e-4) -> None:
        self.criterion = nn.BCELoss()
        self.classifier = Classifier(filters)
        self.networks = {"classifier": self.classifier}
        self.optimizers = {"classifier": torch.optim.Adam(self.classifier.parameters(), lr=lr)}

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        return ()

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        outputs = self.classifier(real.reshape(len(real), 1, 28, 28))
        loss = self.criterion(outputs, one_hot(labels, outputs))
        self.optimizers["classifier"].zero_grad()
        loss.backward()
        self.optimizers["classifier"].step()
        return {"loss": loss}


def train(
    images: Tensor,
    labels: Tensor,
    steps: int,
    batch_size: int = 1,
    seed: int = 0,
    program: Program | None = None,
) -> dict[str, float]:
    """The post's loop over images [N, 28, 28] or [N, 784] in [0, 1] and integer labels [N]."""
    torch.manual_seed(seed)
    return run(program or Program(), in_memory(images, labels, batch_size), steps)
