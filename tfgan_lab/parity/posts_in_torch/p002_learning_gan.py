"""Post P002, "Learning GAN" (TensorFlow 1), as a PyTorch peer: one hidden layer each, MNIST in [-1, 1]."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import Chain, PeerProgram, trains


class Generator(Chain):
    """Latents [B, 100] to images [B, 784] in [-1, 1]."""

    def __init__(self, latent: int = 100, hidden: int = 128) -> None:
        super().__init__(nn.Linear(latent, hidden), nn.LeakyReLU(0.01), nn.Linear(hidden, 784), nn.Tanh())


class Discriminator(Chain):
    """Images [B, 784] to logits [B, 1]."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__(nn.Linear(784, hidden), nn.LeakyReLU(0.01), nn.Linear(hidden, 1))


def init_params(model: nn.Module) -> None:
    """tf.layers.dense's default: Glorot uniform matrices, zero biases."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)


def tf_adam(network: nn.Module, lr: float, epsilon: float = 1e-8) -> torch.optim.Adam:
    """Adam as tf.train.AdamOptimizer computes it.

    TensorFlow adds epsilon to sqrt(v) before the bias correction (the "epsilon hat" of Kingma & Ba, 2015,
    section 2), PyTorch after it: PyTorch's epsilon at step t is therefore epsilon / sqrt(1 - beta2^t).
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    count = 0

    def correct_epsilon(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        nonlocal count
        count += 1
        for group in optimizer.param_groups:
            group["eps"] = epsilon / (1.0 - group["betas"][1] ** count) ** 0.5

    optimizer.register_step_pre_hook(correct_epsilon)
    return optimizer


class Program(PeerProgram):
    """D, then G, with the same latents; G's pass comes after D's update. `step(images, None, z)`."""

    def __init__(self, *, latent: int = 100, hidden: int = 128, lr: float = 0.002, smooth: float = 0.1) -> None:
        self.latent, self.smooth = latent, smooth
        self.generator = Generator(latent, hidden)
        self.discriminator = Discriminator(hidden)
        init_params(self.generator)
        init_params(self.discriminator)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {role: tf_adam(net, lr) for role, net in self.networks.items()}

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        return (torch.rand(batch_size, self.latent) * 2 - 1,)

    def losses(self, real: Tensor, z: Tensor) -> dict[str, Tensor]:
        """All losses at the present weights; after an epoch's last step, what the post prints."""
        real = real.reshape(len(real), -1)  # [B, 784]
        return self._d_losses(real, z) | {"g_loss": self._g_loss(z)}

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        (z,) = draws
        d_losses = self._d_losses(real.reshape(len(real), -1), z)
        self.descend("discriminator", d_losses["d_loss"])
        return d_losses | {"g_loss": self.descend("generator", self._g_loss(z))}

    def _d_losses(self, real: Tensor, z: Tensor) -> dict[str, Tensor]:
        logits_real = self.discriminator(real)
        logits_fake = self.discriminator(self.generator(z).detach())
        d_real = F.binary_cross_entropy_with_logits(logits_real, torch.ones_like(logits_real) * (1 - self.smooth))
        d_fake = F.binary_cross_entropy_with_logits(logits_fake, torch.zeros_like(logits_fake))
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_real + d_fake}

    def _g_loss(self, z: Tensor) -> Tensor:
        logits_fake = self.discriminator(self.generator(z))
        return F.binary_cross_entropy_with_logits(logits_fake, torch.ones_like(logits_fake))


train = trains(Program, usual=100)
