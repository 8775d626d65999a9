"""Post P004, "1D Gaussian Distribution Generation": D reads a hundred samples as one example."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import Batch, PeerProgram, cross_entropy, run


class Generator(nn.Module):
    """Noise [N, 1] in [0, 1) to samples [N, 1]."""

    def __init__(self, hidden: int = 50) -> None:
        super().__init__()
        self.map1 = nn.Linear(1, hidden)
        self.map2 = nn.Linear(hidden, hidden)
        self.map3 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.map1(x))
        x = torch.sigmoid(self.map2(x))
        return self.map3(x)


class Discriminator(nn.Module):
    """A preprocessed set [1, inputs] to the probability [1, 1] of being real."""

    def __init__(self, inputs: int = 200, hidden: int = 50) -> None:
        super().__init__()
        self.map1 = nn.Linear(inputs, hidden)
        self.map2 = nn.Linear(hidden, hidden)
        self.map3 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.map1(x))
        x = F.elu(self.map2(x))
        return torch.sigmoid(self.map3(x))


def decorate_with_diffs(data: Tensor, exponent: float) -> Tensor:
    """Appends (x - mean(x)) ** exponent to a set; the mean is a constant to the gradient."""
    mean = data.detach().mean(1, keepdim=True)
    return torch.cat([data, torch.pow(data - mean, exponent)], 1)  # [1, 2 N]


class Program(PeerProgram):
    """D on real and fake, gradients added up into one update; then G with new noise.

    `step(real, None, d_noise, g_noise)` with real [1, N] and noise [N, 1].
    """

    def __init__(
        self, *, samples: int = 100, hidden: int = 50, lr: float = 2e-4, exponent: float = 2.0, raw: bool = False
    ) -> None:
        self.samples, self.exponent, self.raw = samples, exponent, raw
        self.generator = Generator(hidden)
        self.discriminator = Discriminator(samples if raw else 2 * samples, hidden)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {role: torch.optim.Adam(net.parameters(), lr=lr) for role, net in self.networks.items()}

    def draw(self, batch_size: int = 1) -> tuple[Tensor, ...]:
        return torch.rand(self.samples, 1), torch.rand(self.samples, 1)

    def preprocess(self, data: Tensor) -> Tensor:
        return data if self.raw else decorate_with_diffs(data, self.exponent)

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        d_noise, g_noise = draws
        self.discriminator.zero_grad()
        d_real = cross_entropy(self.discriminator(self.preprocess(real)), 1.0)
        d_real.backward()
        fake = self.generator(d_noise).detach()
        d_fake = cross_entropy(self.discriminator(self.preprocess(fake.t())), 0.0)
        d_fake.backward()
        self.optimizers["discriminator"].step()
        says = self.discriminator(self.preprocess(self.generator(g_noise).t()))
        g_loss = self.descend("generator", cross_entropy(says, 1.0))
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}


def train(
    images: None = None, labels: None = None, steps: int = 2400, batch_size: int = 100, seed: int = 0,
    program: Program | None = None,
) -> dict[str, float]:  # fmt: skip
    """The post's loop. No data set: each step draws its real set, `batch_size` samples of N(4, 1.25^2)."""
    torch.manual_seed(seed)
    return run(program or Program(samples=batch_size), _normal_sets(batch_size), steps)


def _normal_sets(samples: int) -> Iterator[Batch]:
    while True:
        yield torch.normal(4.0, 1.25, (1, samples)), None
