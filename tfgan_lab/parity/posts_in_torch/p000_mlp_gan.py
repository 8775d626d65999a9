"""Post P000, "Generative Adversarial Nets part3": an MLP GAN with dropout on MNIST in [-1, 1]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tfgan_lab.parity.posts_in_torch.program import Batch, Chain, MaskedDropout, PeerProgram, in_memory, run


class Generator(Chain):
    """Latents [B, 100] to images [B, 784] in [-1, 1]."""

    def __init__(self, latent: int = 100, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(latent, hidden), nn.ReLU(), MaskedDropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), MaskedDropout(dropout),
            nn.Linear(hidden, 784), nn.Tanh(),
        )  # fmt: skip


class Discriminator(Chain):
    """Images [B, 784] to probabilities [B, 1] of being real."""

    def __init__(self, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(784, hidden), nn.LeakyReLU(), MaskedDropout(dropout),
            nn.Linear(hidden, hidden), nn.LeakyReLU(), MaskedDropout(dropout),
            nn.Linear(hidden, 1), nn.Sigmoid(),
        )  # fmt: skip


def init_params(model: nn.Module) -> None:
    """Matrices Xavier normal, biases U(0.1, 0.2), as the post has it."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_normal_(parameter)
        else:
            nn.init.uniform_(parameter, 0.1, 0.2)


class Program(PeerProgram):
    """k updates of D on one real batch, then one of G with D in eval mode.

    `step(images, None, z_1, ..., z_k, z_g)`; d_real, d_fake and d_loss are those of the last D update.
    Masks: generator 2 for each of its k + 1 passes; discriminator per D update 2 for the reals,
    then 2 for the fakes (none in the G step).
    """

    def __init__(
        self, *, latent: int = 100, hidden: int = 256, dropout: float = 0.1, lr: float = 1e-4, k: int = 1
    ) -> None:
        self.latent, self.k = latent, k
        self.generator = Generator(latent, hidden, dropout)
        self.discriminator = Discriminator(hidden, dropout)
        init_params(self.generator)
        init_params(self.discriminator)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {role: torch.optim.Adam(net.parameters(), lr=lr) for role, net in self.networks.items()}

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        return tuple(torch.randn(batch_size, self.latent) for _ in range(self.k + 1))

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        *d_latents, g_latents = draws
        self.generator.train()
        self.discriminator.train()
        real = real.reshape(len(real), -1)  # [B, 784]
        for z in d_latents:
            p_real = self.discriminator(real)
            p_fake = self.discriminator(self.generator(z))
            loss_real = -1 * torch.log(p_real)
            loss_fake = -1 * torch.log(1.0 - p_fake)
            loss_d = self.descend("discriminator", (loss_real + loss_fake).mean())

        self.discriminator.eval()
        p_fake = self.discriminator(self.generator(g_latents))
        loss_g = self.descend("generator", -1 * torch.log(p_fake).mean())
        return {"d_real": loss_real.mean(), "d_fake": loss_fake.mean(), "d_loss": loss_d, "g_loss": loss_g}


def train(
    images: Tensor, labels: Tensor, steps: int, batch_size: int = 200, seed: int = 0, program: Program | None = None,
    loader: bool = False,
) -> dict[str, float]:  # fmt: skip
    """The post's loop; `loader` feeds it as posted: a shuffling `DataLoader` that makes a tensor of each digit.

    Images are [N, 28, 28] or [N, 784], float32 in [-1, 1]; with `loader`, N is a multiple of `batch_size`. The labels [N]
    are loaded and not used, as in the post.
    """
    torch.manual_seed(seed)
    feed = _loaded(images, labels, batch_size) if loader else in_memory(images, labels, batch_size)
    return run(program or Program(), feed, steps)


class _PostedDigits(Dataset[tuple[Tensor, int]]):
    """What the post's `torchvision.datasets.MNIST` with ToTensor and Normalize(0.5, 0.5) does for every example.

    torchvision is not needed for it: these are its calls, in its order.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.data = ((images.reshape(len(images), 28, 28) + 1) * 127.5).round().to(torch.uint8)
        self.targets = labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, target = Image.fromarray(self.data[index].numpy()), int(self.targets[index])
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(picture.size[1], picture.size[0], 1)
        unit = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)  # [1, 28, 28]
        mean, std = torch.as_tensor([0.5])[:, None, None], torch.as_tensor([0.5])[:, None, None]
        return unit.clone().sub_(mean).div_(std), target


def _loaded(images: Tensor, labels: Tensor, batch_size: int) -> Iterator[Batch]:
    batches = DataLoader(_PostedDigits(images, labels), batch_size, shuffle=True)
    while True:
        yield from batches
