"""Post P001, CGAN: one digit at a time, LayerNorm, MNIST in [0, 1], three updates a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import PeerProgram, in_memory, one_hot, run


class Discriminator(nn.Module):
    """Image [784] and one-hot label [10], or [B, ...] of both, to the probability [1] of being real."""

    def __init__(self, hidden: int = 200) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(784 + 10, hidden),
            nn.LeakyReLU(0.02),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, 1),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.model(torch.cat((images, labels), -1))


class Generator(nn.Module):
    """Latents [100] and one-hot label [10], or [B, ...] of both, to an image [784] in [0, 1]."""

    def __init__(self, latent: int = 100, hidden: int = 200) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(latent + 10, hidden),
            nn.LeakyReLU(0.02),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, 784),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.model(torch.cat((z, labels), -1))


class Program(PeerProgram):
    """D on the reals, D on fakes (each its own optimiser step), G on new fakes with new labels.

    `step(images, labels, d_labels, d_latents, g_labels, g_latents)`. A batch of one goes in as vectors
    without a batch axis, as in the post. d_loss is the sum of the two D losses, which the post takes apart.
    """

    def __init__(self, *, latent: int = 100, hidden: int = 200, lr: float = 1e-4) -> None:
        self.latent = latent
        self.criterion = nn.BCELoss()
        self.generator = Generator(latent, hidden)
        self.discriminator = Discriminator(hidden)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {role: torch.optim.Adam(net.parameters(), lr=lr) for role, net in self.networks.items()}

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        d_labels, d_latents = torch.randint(10, (batch_size,)), torch.randn(batch_size, self.latent)
        g_labels, g_latents = torch.randint(10, (batch_size,)), torch.randn(batch_size, self.latent)
        return d_labels, d_latents, g_labels, g_latents

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        d_labels, d_latents, g_labels, g_latents = draws
        real = real.reshape(len(real), -1)  # [B, 784]
        d_real = self._train_d(_vector(real), _vector(one_hot(labels, real)), 1.0)
        label = _vector(one_hot(d_labels, real))
        d_fake = self._train_d(self.generator(_vector(d_latents), label).detach(), label, 0.0)
        g_loss = self._train_g(_vector(g_latents), _vector(one_hot(g_labels, real)))
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}

    def _train_d(self, images: Tensor, labels: Tensor, target: float) -> Tensor:
        outputs = self.discriminator(images, labels)
        loss = self.criterion(outputs, torch.full_like(outputs, target))
        self.optimizers["discriminator"].zero_grad()
        loss.backward()
        self.optimizers["discriminator"].step()
        return loss

    def _train_g(self, z: Tensor, labels: Tensor) -> Tensor:
        outputs = self.discriminator(self.generator(z, labels), labels)
        loss = self.criterion(outputs, torch.ones_like(outputs))
        self.optimizers["generator"].zero_grad()
        loss.backward()
        self.optimizers["generator"].step()
        return loss


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


def _vector(batch: Tensor) -> Tensor:
    return batch[0] if len(batch) == 1 else batch
