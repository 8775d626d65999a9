"""Post P001, CGAN: one digit at a time, LayerNorm, MNIST in [0, 1], three updates a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import Chain, PeerProgram, cross_entropy, one_hot, trains


class Discriminator(Chain):
    """Image [784] and one-hot label [10], or [B, ...] of both, to the probability [1] of being real."""

    def __init__(self, hidden: int = 200) -> None:
        super().__init__(
            nn.Linear(784 + 10, hidden), nn.LeakyReLU(0.02), nn.LayerNorm(hidden), nn.Linear(hidden, 1), nn.Sigmoid()
        )


class Generator(Chain):
    """Latents [100] and one-hot label [10], or [B, ...] of both, to an image [784] in [0, 1]."""

    def __init__(self, latent: int = 100, hidden: int = 200) -> None:
        super().__init__(
            nn.Linear(latent + 10, hidden), nn.LeakyReLU(0.02), nn.LayerNorm(hidden),
            nn.Linear(hidden, 784), nn.Sigmoid(),
        )  # fmt: skip


class Program(PeerProgram):
    """D on the reals, D on fakes (each its own optimiser step), G on new fakes with new labels.

    `step(images, labels, d_labels, d_latents, g_labels, g_latents)`. A batch of one goes in as vectors
    without a batch axis, as in the post. d_loss is the sum of the two D losses, which the post takes apart.
    """

    def __init__(self, *, latent: int = 100, hidden: int = 200, lr: float = 1e-4) -> None:
        self.latent = latent
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
        says = self.discriminator(_vector(real), _vector(one_hot(labels, real)))
        d_real = self.descend("discriminator", cross_entropy(says, 1.0))
        label = _vector(one_hot(d_labels, real))
        says = self.discriminator(self.generator(_vector(d_latents), label).detach(), label)
        d_fake = self.descend("discriminator", cross_entropy(says, 0.0))
        label = _vector(one_hot(g_labels, real))
        says = self.discriminator(self.generator(_vector(g_latents), label), label)
        g_loss = self.descend("generator", cross_entropy(says, 1.0))
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake, "g_loss": g_loss}


train = trains(Program, usual=1)


def _vector(batch: Tensor) -> Tensor:
    return batch[0] if len(batch) == 1 else batch
