"""Which PyTorch peer is a config's post, and how large it is made.

Only sizes (widths, filters, latents, set size, k) are taken from the config. All else is the post's: rates, dropout,
slopes, epsilons, losses, order of updates. So a config that departs from its post is found by parity. Post P003 can be
read with two initialisers: the config says which.
"""

from __future__ import annotations

import importlib
from typing import Any

from tfgan_lab.config import ClassifierConfig, Config, GanConfig
from tfgan_lab.errors import UserError
from tfgan_lab.layer_base import Layer, every_layer
from tfgan_lab.layers import AppendDeviations, BatchNorm, Conv, ConvTranspose, Dense, Dropout, Join, Maxout, Sets
from tfgan_lab.losses import has_targets
from tfgan_lab.parity.state_files import require_torch


def make_peer(config: Config, seed: int | None = None) -> Any:
    """The peer program (`posts_in_torch.program.PeerProgram`) of a config's post, in float32, as the post starts it.

    `seed` is of torch's global generator, from which start values are drawn; None leaves it alone.

    Raises:
      UserError: PyTorch is absent, or the post has no such program.
    """
    torch = require_torch()
    if seed is not None:
        torch.manual_seed(seed)
    if isinstance(config, ClassifierConfig):
        if config.post != "P001":
            raise UserError(
                f"{config.name} (post {config.post}): no post has a PyTorch program with such a classifier."
            )
        return _module("p001_classifier").Program(filters=_first(config.classifier, Conv).filters)
    return _make_gan(config)


def _make_gan(config: GanConfig) -> Any:
    g, d, latent, game = config.generator, config.discriminator, config.latents.dim, config.game
    in_no_post = {
        "takes several G steps or fresh real batches": game.real_batches > 1 or game.g_steps > 1,
        "has an optimizer of kind 'keras'": "keras" in (config.g_optimizer.kind, config.d_optimizer.kind),
        "packs examples or normalises spectrally": game.pack > 1
        or any(getattr(one, "spectral_norm", False) for one in every_layer([*g, *d])),
        f"has game.loss={game.loss!r} with game.penalty={game.penalty!r} and game.clip={game.clip:g}": (
            not has_targets(game.loss) or game.penalty or game.clip
        ),
    }
    for what, it_is in in_no_post.items():
        if it_is:
            raise UserError(f"{config.name}: no post {what}: there is no PyTorch program to compare with.")
    match config.post:
        case "P000":
            return _module("p000_mlp_gan").Program(latent=latent, hidden=_first(g, Dense).units, k=game.d_steps)
        case "P002":
            return _module("p002_learning_gan").Program(latent=latent, hidden=_first(g, Dense).units)
        case "P001" if _first(g, ConvTranspose):
            return _module("p001_montage").Program(latent=latent, filters=_first(g, ConvTranspose).filters)
        case "P001":
            return _module("p001_cgan").Program(latent=latent, hidden=_first(g, Dense).units)
        case "P004":
            power, samples, hidden = _first(d, AppendDeviations), _first(d, Sets).size, _first(g, Dense).units
            exponent = {} if power is None else {"exponent": power.exponent}
            return _module("p004_gaussian").Program(samples=samples, hidden=hidden, raw=power is None, **exponent)
        case "P003":
            name = "concat" if _first(g, Join) is None else "paper" if _first(g, BatchNorm) is None else "branch"
            other = "concat" if _first(d, Join) is None else "branch" if _first(d, Maxout) is None else "maxout"
            after = name == "concat" and isinstance(g[-2], Dropout)
            module, normal = _module("p003_cgan"), config.g_init.kernel == "normal"
            program = module.Program(
                generator=name, discriminator=other, latent=latent, dropout_after_output=after, normal_init=normal
            )
            if name == "paper" and normal and config.d_init.kernel == "normal":
                # Arguments of the post's normal_init(mean, std); for the paper's nets the config names its own.
                module.init_params(program.generator, std=config.g_init.std)
                module.init_params(program.discriminator, std=config.d_init.std)
            return program
    raise UserError(f"{config.name} (post {config.post}): no post has a PyTorch program with such networks.")


def _module(name: str) -> Any:
    return importlib.import_module(f"tfgan_lab.parity.posts_in_torch.{name}")


def _first(layers: list[Layer], kind: type[Any]) -> Any:
    """The first layer of a kind, or None."""
    return next((one for one in every_layer(layers) if isinstance(one, kind)), None)
