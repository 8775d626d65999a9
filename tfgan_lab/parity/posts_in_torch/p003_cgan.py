"""Post P003, the conditional GAN: three generators, three discriminators, generator first, MNIST.

"concat" and "branch" are the post's code; "paper" and "maxout" the networks of Mirza & Osindero
(2014, section 4.1), which the post describes and misses in the implementations it found.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfgan_lab.parity.posts_in_torch.program import MaskedDropout, PeerProgram, one_hot, trains


def fc_layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """A hidden layer of the post: linear, leaky ReLU 0.2, dropout."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(0.2, inplace=True), MaskedDropout(dropout))


class ConcatGenerator(nn.Module):
    """Latents [B, 100] and one-hot labels [B, 10], joined at the input, to images [B, 784] in [-1, 1]."""

    def __init__(self, latent: int = 100, dropout: float = 0.5, dropout_after_output: bool = False) -> None:
        super().__init__()
        self.fc1 = fc_layer(latent + 10, 256, dropout)
        self.fc2 = fc_layer(256, 512, dropout)
        self.fc3 = fc_layer(512, 1200, dropout)
        self.fc_out = nn.Sequential(nn.Linear(1200, 784), nn.Tanh())
        if dropout_after_output:
            self.fc_out.append(MaskedDropout(dropout))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = torch.cat((z, labels), -1)  # [B, 110]
        return self.fc_out(self.fc3(self.fc2(self.fc1(x))))


class BranchGenerator(nn.Module):
    """A hidden layer each for latents and labels, then joined; batch norm everywhere."""

    def __init__(self, latent: int = 100, dropout: float = 0.2) -> None:
        super().__init__()
        self.fc1_1 = nn.Linear(latent, 256)
        self.fc1_1_bn = nn.BatchNorm1d(256)
        self.fc1_2 = nn.Linear(10, 256)
        self.fc1_2_bn = nn.BatchNorm1d(256)
        self.fc2 = nn.Linear(512, 512)
        self.fc2_bn = nn.BatchNorm1d(512)
        self.fc3 = nn.Linear(512, 1024)
        self.fc3_bn = nn.BatchNorm1d(1024)
        self.fc4 = nn.Linear(1024, 784)
        self.dropout = MaskedDropout(dropout)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = F.relu(self.fc1_1_bn(self.fc1_1(z)))
        y = F.relu(self.fc1_2_bn(self.fc1_2(labels)))
        x = torch.cat([x, y], 1)  # [B, 512]
        x = self.dropout(F.relu(self.fc2_bn(self.fc2(x))))
        x = self.dropout(F.relu(self.fc3_bn(self.fc3(x))))
        return torch.tanh(self.fc4(x))


class PaperGenerator(nn.Module):
    """The paper's: 200 and 1000 ReLU units, jointly 1200, sigmoid to [0, 1]; dropout after all three."""

    def __init__(self, latent: int = 100, dropout: float = 0.5) -> None:
        super().__init__()
        self.fc_z = nn.Linear(latent, 200)
        self.fc_y = nn.Linear(10, 1000)
        self.joint = nn.Linear(1200, 1200)
        self.out = nn.Linear(1200, 784)
        self.dropout = MaskedDropout(dropout)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.fc_z(z)))
        y = self.dropout(F.relu(self.fc_y(labels)))
        joint = self.dropout(F.relu(self.joint(torch.cat([x, y], 1))))  # [B, 1200]
        return torch.sigmoid(self.out(joint))


class ConcatDiscriminator(nn.Module):
    """Images [B, 784] and one-hot labels [B, 10], joined at the input, to logits [B, 1]."""

    criterion = nn.BCEWithLogitsLoss()

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.fc1 = fc_layer(794, 1024, dropout)
        self.fc2 = fc_layer(1024, 512, dropout)
        self.fc3 = fc_layer(512, 256, dropout)
        self.fc_out = nn.Sequential(nn.Linear(256, 1))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = torch.cat((images, labels), -1)  # [B, 794]
        return self.fc_out(self.fc3(self.fc2(self.fc1(x))))


class BranchDiscriminator(nn.Module):
    """Images and labels embedded apart, then joined, as the post suggests; the sizes 512 + 512 are ours."""

    criterion = nn.BCEWithLogitsLoss()

    def __init__(self, dropout: float = 0.3, embedding: int = 512) -> None:
        super().__init__()
        self.fc1_1 = fc_layer(784, embedding, dropout)
        self.fc1_2 = fc_layer(10, embedding, dropout)
        self.fc2 = fc_layer(2 * embedding, 512, dropout)
        self.fc3 = fc_layer(512, 256, dropout)
        self.fc_out = nn.Sequential(nn.Linear(256, 1))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = torch.cat([self.fc1_1(images), self.fc1_2(labels)], 1)  # [B, 1024]
        return self.fc_out(self.fc3(self.fc2(x)))


class Maxout(nn.Module):
    """The largest of `pieces` linear functions per unit; unit u owns rows u * pieces ... of the weight."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)  # [B, units]


class MaxoutDiscriminator(nn.Module):
    """The paper's: maxout 240x5 on images, 50x5 on labels, 240x4 on both; sigmoid; dropout after each."""

    criterion = nn.BCELoss()

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.maxout_x = Maxout(784, 240, 5)
        self.maxout_y = Maxout(10, 50, 5)
        self.joint = Maxout(290, 240, 4)
        self.out = nn.Linear(240, 1)
        self.dropout = MaskedDropout(dropout)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = self.dropout(self.maxout_x(images))
        y = self.dropout(self.maxout_y(labels))
        joint = self.dropout(self.joint(torch.cat([x, y], 1)))  # [B, 240]
        return torch.sigmoid(self.out(joint))


GENERATORS = {"concat": ConcatGenerator, "branch": BranchGenerator, "paper": PaperGenerator}
DISCRIMINATORS = {"concat": ConcatDiscriminator, "branch": BranchDiscriminator, "maxout": MaxoutDiscriminator}


def init_params(model: nn.Module, mean: float = 0.0, std: float = 0.02) -> None:
    """Normal matrices and zero biases on every linear layer: the post names it, but shows neither body nor call."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, mean, std)
            nn.init.zeros_(layer.bias)


def paper_schedule(step: int, momentum_steps: int) -> tuple[float, float]:
    """Learning rate and momentum of the paper at `step` (from 0).

    The rate falls from 0.1 by 1.00004 a step to 1e-6; the momentum rises from 0.5 to 0.7. The paper does
    not say over how many steps: linearly over `momentum_steps`.
    """
    return max(0.1 / 1.00004**step, 1e-6), 0.5 + 0.2 * min(step / momentum_steps, 1.0)


class Program(PeerProgram):
    """G first, then D on the reals and on the same fakes, half the sum of both losses.

    `step(images, labels, latents, fake_labels)`. Masks: generator one pass; discriminator three: the
    fakes (for G), the reals, the fakes again. With generator="paper" the discriminator is "maxout" unless
    named, latents are uniform in [0, 1), and plain SGD follows `paper_schedule`; else Adam.

    Args:
      generator: A name in `GENERATORS`.
      discriminator: A name in `DISCRIMINATORS`; by default "maxout" for "paper", else "concat".
      latent: Length of the latents.
      lr: Of Adam.
      betas: Of Adam.
      momentum_steps: See `paper_schedule`; by default 250 epochs (as in the first GAN's code) of 600 steps.
      dropout_after_output: The ablation of the post ("concat" only).
      normal_init: N(0, 0.02) for every matrix; else PyTorch's default, the other reading of the post.
    """

    def __init__(
        self,
        *,
        generator: Literal["concat", "branch", "paper"] = "concat",
        discriminator: Literal["concat", "branch", "maxout"] | None = None,
        latent: int = 100,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        momentum_steps: int = 150_000,
        dropout_after_output: bool = False,
        normal_init: bool = True,
    ) -> None:
        self.latent, self.paper = latent, generator == "paper"
        self.momentum_steps, self.steps_done = momentum_steps, 0
        numbers = {"dropout_after_output": True} if dropout_after_output else {}
        self.generator: nn.Module = GENERATORS[generator](latent, **numbers)
        self.discriminator: Any = DISCRIMINATORS[discriminator or ("maxout" if self.paper else "concat")]()
        if normal_init:
            init_params(self.generator)
            init_params(self.discriminator)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {
            role: torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5)
            if self.paper
            else torch.optim.Adam(net.parameters(), lr=lr, betas=betas)
            for role, net in self.networks.items()
        }

    def draw(self, batch_size: int) -> tuple[Tensor, ...]:
        noise = torch.rand if self.paper else torch.randn
        return noise(batch_size, self.latent), torch.randint(10, (batch_size,))

    def update(self, real: Tensor, labels: Tensor | None, *draws: Tensor) -> dict[str, Tensor]:
        z, fake_classes = draws
        if self.paper:
            self._schedule()
        criterion = self.discriminator.criterion
        real = real.reshape(len(real), -1)  # [B, 784]
        real_labels, fake_labels = one_hot(labels, real), one_hot(fake_classes, real)
        valid, fake = real.new_ones(len(real), 1), real.new_zeros(len(real), 1)

        fakes = self.generator(z, fake_labels)
        g_loss = self.descend("generator", criterion(self.discriminator(fakes, fake_labels), valid))
        d_real = criterion(self.discriminator(real, real_labels), valid)
        d_fake = criterion(self.discriminator(fakes.detach(), fake_labels), fake)
        d_loss = self.descend("discriminator", (d_real + d_fake) / 2)
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_loss, "g_loss": g_loss}

    def _schedule(self) -> None:
        """Sets both optimisers for this step, with the rate inside the velocity: v = m v - lr g, w += v.

        PyTorch keeps the rate outside (v = m v + g, w -= lr v); scaling m by the ratio of the last rate to
        this one makes both the same, and is what Keras and the paper's pylearn2 compute.
        """
        rate, momentum = paper_schedule(self.steps_done, self.momentum_steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["momentum"] = momentum * group["lr"] / rate
                group["lr"] = rate
        self.steps_done += 1


train = trains(Program, usual=4)
