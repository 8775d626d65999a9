"""Post P001, Montage DCGAN: 128x128 RGB in [0, 1], one image at a time, every pass in train mode."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import Chain, PeerProgram, cross_entropy, trains


class Discriminator(Chain):
    """Images [B, 3, 128, 128] to probabilities [B, 1] of being real."""

    def __init__(self, filters: int = 256) -> None:
        super().__init__(
            nn.Conv2d(3, filters, kernel_size=8, stride=2),  # [B, F, 61, 61]
            nn.BatchNorm2d(filters), nn.GELU(),
            nn.Conv2d(filters, filters, kernel_size=8, stride=2),  # [B, F, 27, 27]
            nn.BatchNorm2d(filters), nn.GELU(),
            nn.Conv2d(filters, 3, kernel_size=8, stride=2),  # [B, 3, 10, 10]
            nn.GELU(), nn.Flatten(), nn.Linear(3 * 10 * 10, 1), nn.Sigmoid(),
        )  # fmt: skip


class Generator(Chain):
    """Latents [B, 100] to images [B, 3, 128, 128] in [0, 1]."""

    def __init__(self, latent: int = 100, filters: int = 256) -> None:
        super().__init__(
            nn.Linear(latent, 3 * 11 * 11), nn.GELU(), nn.Unflatten(1, (3, 11, 11)),  # [B, 3, 11, 11]
            nn.ConvTranspose2d(3, filters, kernel_size=8, stride=2),  # [B, F, 28, 28]
            nn.BatchNorm2d(filters), nn.GELU(),
            nn.ConvTranspose2d(filters, filters, kernel_size=8, stride=2),  # [B, F, 62, 62]
            nn.BatchNorm2d(filters), nn.GELU(),
            nn.ConvTranspose2d(filters, 3, kernel_size=8, stride=2, padding=1),  # [B, 3, 128, 128]
            nn.BatchNorm2d(3), nn.Sigmoid(),
        )  # fmt: skip


class Program(PeerProgram):
    """D on the reals, D on fakes (each its own optimiser step), G on new fakes.

    `step(images, None, d_latents, g_latents)`. d_loss is the sum of the two D losses, which the post
    takes apart.
    """

    def __init__(self, *, latent: int = 100, filters: int = 256, lr: float = 1e-4) -> None:
        self.latent = latent
        self.generator = Generator(latent, filters)
        self.discriminator = Discriminator(filters)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {role: torch.optim.Adam(net.parameters(), lr=lr) for role, net in self.networks.items()}

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        return torch.randn(batch_size, self.latent), torch.randn(batch_size, self.latent)

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        d_latents, g_latents = draws
        d_real = self.descend("discriminator", cross_entropy(self.discriminator(real), 1.0))
        fakes = self.generator(d_latents).detach()
        d_fake = self.descend("discriminator", cross_entropy(self.discriminator(fakes), 0.0))
        g_loss = self.descend("generator", cross_entropy(self.discriminator(self.generator(g_latents)), 1.0))
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}


train = trains(Program, usual=1)
