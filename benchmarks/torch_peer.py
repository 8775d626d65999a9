"""A config's game as one tunes it in PyTorch: losses on logits, fused Adam, D once on real and fake, no needless gradient.

It walks the same lists of layers as modules. Against the posts' programs (`tfgan_lab.parity.posts_in_torch`), which
keep what the posts wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tfgan_lab.config import Adam


class Net(nn.Module):
    """A list of layers on x [B, …] and one-hot labels [B, K] or None."""

    def __init__(self, layers: list[Any], shape: tuple[int, ...], num_labels: int) -> None:
        super().__init__()
        self.layers, self.parts = layers, nn.ModuleList()
        for layer in layers:
            width = math.prod(shape)
            match type(layer).__name__:
                case "Dense" | "Maxout":
                    part: Any = nn.Linear(width, layer.units * getattr(layer, "pieces", 1))
                    shape = (layer.units,)
                case "Conv":
                    part = nn.Conv2d(shape[-1], layer.filters, layer.kernel_size, layer.stride)
                    shape = (*((n - layer.kernel_size) // layer.stride + 1 for n in shape[:2]), layer.filters)
                case "BatchNorm":
                    part = (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[-1], layer.epsilon)
                case "LayerNorm":
                    part = nn.LayerNorm(shape[-1], layer.epsilon)
                case "Join":
                    part = nn.ModuleList(
                        [Net(layer.layers, shape, num_labels), Net(layer.label, (num_labels,), num_labels)]
                    )
                    shape = (part[0].width + part[1].width,)
                case other:
                    part = nn.Identity()
                    shape = {"ConcatLabel": (width + num_labels,), "Flatten": (width,)}.get(other, shape)
                    shape = (layer.size,) if other == "Sets" else (2 * width,) if other == "AppendDeviations" else shape
            self.parts.append(part)
        self.width = math.prod(shape)

    def forward(self, x: Any, y: Any = None) -> Any:
        for layer, part in zip(self.layers, self.parts, strict=True):
            match type(layer).__name__:
                case "Maxout":
                    x = part(x).view(len(x), layer.units, layer.pieces).amax(-1)
                case "LeakyReLU":
                    x = F.leaky_relu(x, layer.negative_slope)
                case "ReLU":
                    x = F.relu(x)
                case "ELU":
                    x = F.elu(x)
                case "Tanh":
                    x = torch.tanh(x)
                case "Sigmoid":
                    x = torch.sigmoid(x)
                case "Dropout":
                    x = F.dropout(x, layer.rate, self.training)
                case "ConcatLabel":
                    x = torch.cat([x, y], -1)
                case "Join":
                    x = torch.cat([part[0](x, y), part[1](y, y)], -1)
                case "Sets":
                    x = x.view(-1, layer.size)
                case "AppendDeviations":
                    x = torch.cat([x, (x - x.mean(-1, keepdim=True).detach()) ** layer.exponent], -1)
                case "Flatten":
                    x = x.flatten(1)
                case "Dense" | "Conv" | "BatchNorm" | "LayerNorm":
                    x = part(x)
                case "Reshape":
                    pass  # D flattens it again
                case other:
                    raise NotImplementedError(f"the tuned PyTorch peer has no {other}")
        return x


def _optimizer(of: Any, net: nn.Module) -> Any:
    parameters = net.parameters()
    if isinstance(of, Adam):
        return torch.optim.Adam(parameters, of.learning_rate, (of.beta_1, of.beta_2), of.epsilon, fused=True)
    return torch.optim.SGD(parameters, of.learning_rate, of.momentum, fused=True)


def program(config: Any, images: np.ndarray | None, labels: np.ndarray | None) -> Callable[[int], None]:
    """A function that runs n steps of a config's training, as `benchmarks.jax_peer.program`."""
    scale, shift = (2, -1) if config.data.pixels == "tanh" else (1, 0)
    data = None if images is None else torch.from_numpy(images).permute(0, 3, 1, 2).float() * (scale / 255) + shift
    if data is not None and config.kind == "gan":
        data = data.flatten(1)
    numbers = None if labels is None else torch.from_numpy(labels).long()

    def batch() -> tuple[Any, Any]:
        if data is None or numbers is None:
            return config.data.mean + config.data.std * torch.randn(config.batch_size, 1), None
        rows = torch.randint(len(data), (config.batch_size,))
        return data[rows], numbers[rows]

    step = (_gan if config.kind == "gan" else _classifier)(config, batch)

    def run(steps: int) -> None:
        for _ in range(steps):
            step()

    return run


def _classifier(config: Any, batch: Any) -> Callable[[], None]:
    net = Net(config.classifier, (28, 28, 1), 0)
    optimizer = _optimizer(config.optimizer, net)

    def step() -> None:
        images, labels = batch()
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step


def _gan(config: Any, batch: Any) -> Callable[[], None]:
    game, classes, rows = config.game, config.num_labels, config.batch_size
    g = Net(config.generator, (config.latents.dim,), classes)
    d = Net(config.discriminator, config.data.shape, classes)
    of_g, of_d = _optimizer(config.g_optimizer, g), _optimizer(config.d_optimizer, d)
    half = 0.5 if game.d_loss == "half_sum" else 1.0
    judged = 1 if config.data.batch_is_one_example else rows
    real_target, one, zero = (
        torch.full((judged, 1), 1.0 - game.smoothing),
        torch.ones(judged, 1),
        torch.zeros(judged, 1),
    )

    def latents() -> tuple[Any, Any]:
        shape, kind = (rows, config.latents.dim), config.latents.distribution
        z = torch.randn(shape) if kind == "normal" else torch.rand(shape)
        z = 2 * z - 1 if kind == "uniform" else z
        return z, F.one_hot(torch.randint(classes, (rows,)), classes).float() if classes else None

    def d_step(real: Any, real_y: Any, fake: Any, y: Any) -> None:
        if game.d_update == "joint":
            of_d.zero_grad()
            both_y = None if y is None else torch.cat([real_y, y])
            on_real, on_fake = d(torch.cat([real, fake]), both_y).chunk(2)
            bce = F.binary_cross_entropy_with_logits
            (half * (bce(on_real, real_target) + bce(on_fake, zero))).backward()
            of_d.step()
            return
        for x, labels, target in ((real, real_y, real_target), (fake, y, zero)):
            of_d.zero_grad()
            F.binary_cross_entropy_with_logits(d(x, labels), target).backward()
            of_d.step()

    def g_step(fake: Any, y: Any) -> None:
        d.requires_grad_(False).train(game.d_dropout_in_g_step)
        of_g.zero_grad()
        F.binary_cross_entropy_with_logits(d(fake, y), one).backward()
        of_g.step()
        d.requires_grad_(True).train()

    def step() -> None:
        real, labels = batch()
        real_y = F.one_hot(labels, classes).float() if classes else None
        z, y = latents()
        if game.fakes == "shared":
            fake = g(z, y)
            if game.first == "generator":
                g_step(fake, y)
            d_step(real, real_y, fake.detach(), y)
            if game.first == "discriminator":
                g_step(fake, y)
            return
        with torch.no_grad():
            fake = g(z, y)
        d_step(real, real_y, fake, y)
        z, y = latents()
        g_step(g(z, y), y)

    return step
