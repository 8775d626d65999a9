"""Which PyTorch peer is a config's post, and how large it is made.

Only sizes (widths, filters, latents, set size, k) are taken from the config. All else is the post's: rates, dropout,
slopes, epsilons, losses, order of updates. So a config that departs from its post is found by parity. Post P003 can be
read with two initialisers: the config says which.
"""

from __future__ import annotations

from typing import Any

from tfgan_lab.compare.state_files import require_torch
from tfgan_lab.config import (
    MLP,
    Branch,
    ClassifierConfig,
    Config,
    ConvClassifier,
    ConvGenerator,
    GanConfig,
    SetDiscriminator,
)
from tfgan_lab.errors import UserError


def make_peer(config: Config, seed: int | None = None) -> Any:
    """The peer program (`torch_peers.program.PeerProgram`) of a config's post, in float32, as the post starts it.

    Args:
      config: Any config.
      seed: Of torch's global generator, from which start values are drawn; None leaves it alone.

    Raises:
      UserError: PyTorch is absent, or the post has no such program.
    """
    torch = require_torch()
    if seed is not None:
        torch.manual_seed(seed)
    if isinstance(config, ClassifierConfig):
        if not isinstance(config.classifier, ConvClassifier):
            raise UserError(
                f"{config.name} (post {config.post}): no post has a PyTorch program with a {config.classifier.kind}."
            )
        from tfgan_lab.compare.torch_peers import classifier

        return classifier.Program(filters=config.classifier.filters[0])
    return _make_gan(config)


def _make_gan(config: GanConfig) -> Any:
    from tfgan_lab.compare.torch_peers import cgan, cgan_layernorm, gaussian, learning_gan, mlp_gan, montage

    g, d, latent = config.generator, config.discriminator, config.latents.dim
    if config.game.real_batches > 1 or config.game.g_steps > 1:
        raise UserError(
            f"{config.name}: no post takes several G steps or fresh real batches: there is no PyTorch program to compare with."
        )
    match config.post, g, d:
        case "P000", MLP(), MLP():
            return mlp_gan.Program(latent=latent, hidden=g.hidden[0], k=config.game.d_steps)
        case "P002", MLP(), MLP():
            return learning_gan.Program(latent=latent, hidden=g.hidden[0])
        case "P001", ConvGenerator(), _:
            return montage.Program(latent=latent, filters=g.filters[0])
        case "P001", MLP(), MLP():
            return cgan_layernorm.Program(latent=latent, hidden=g.hidden[0])
        case "P004", MLP(), SetDiscriminator():
            return gaussian.Program(
                samples=d.set_size, hidden=g.hidden[0], exponent=d.exponent, raw=d.preprocess == "raw"
            )
        case "P003", MLP() | Branch(), _:
            name: Any = "concat" if isinstance(g, MLP) else "branch" if g.norm == "batch" else "paper"
            other: Any = {"mlp": "concat", "branch": "branch", "maxout": "maxout"}[d.kind]
            after = g.dropout_after_output and name == "concat"
            program = cgan.Program(
                generator=name,
                discriminator=other,
                latent=latent,
                dropout_after_output=after,
                normal_init=g.init.kernel == "normal",
            )
            if name == "paper" and g.init.kernel == d.init.kernel == "normal":
                # The post's normal_init(mean, std) takes them as arguments; for the paper's nets the config names its own.
                cgan.init_params(program.generator, std=g.init.std)
                cgan.init_params(program.discriminator, std=d.init.std)
            return program
    raise UserError(
        f"{config.name} (post {config.post}): its post has no PyTorch program with a {g.kind} generator and a {d.kind} discriminator."
    )
