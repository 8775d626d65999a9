"""What the players minimise: a table of losses on logits, per example [B], never averaged here (see `gan.py`).

With D = sigmoid(logits), sigmoid cross-entropy is -log D for target 1 and -log(1 - D) for target 0,
without ever taking the logarithm of a rounded probability. TensorFlow is loaded when a loss is computed: configs
are checked without it.

A loss of your own is one function and one row, in your config file too:

    LOSSES["mine"] = lambda: Loss(
        d={"d_real": lambda real, fake: …, "d_fake": lambda real, fake: …}, g=lambda real, fake: …
    )

or the function alone, `Game(loss=mine)`, with def mine() -> Loss.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tfgan_lab.errors import DEFINED_ELSEWHERE, UserError, nearest, own_name

Term = Callable[[Any, Any], Any]  # (real logits [B], fake logits [B]) -> [B]


@dataclasses.dataclass(frozen=True)
class Loss:
    """The losses of both players.

    Attributes:
      d: D's terms by the name under which they are reported; D minimises the sum of their means. A term "d_real" that
        looks at the real logits alone and "d_fake" at the fake ones alone can be minimised in separate updates.
      g: G's.
      paired: Its terms look at real and fake logits together: G's too, and D's cannot be taken apart.
    """

    d: Mapping[str, Term]
    g: Term
    paired: bool = False


def sigmoid_cross_entropy(logits: Any, target: float) -> Any:
    """-target log D - (1 - target) log(1 - D), stable for any logit; [B] -> [B].

    max(l, 0) - l * target + log(1 + exp(-|l|)), whose gradient is D - target everywhere, at zero too.
    """
    import tensorflow as tf

    logits = tf.convert_to_tensor(logits)
    return tf.nn.sigmoid_cross_entropy_with_logits(
        labels=tf.fill(tf.shape(logits), tf.constant(target, logits.dtype)), logits=logits
    )


def _positive_part(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.relu(x)


def _cross_entropy(smoothing: float) -> dict[str, Term]:
    """D's -log D(x) - log(1 - D(G(z))), with one-sided label smoothing (Salimans et al., 2016, section 3.4)."""
    return {
        "d_real": lambda real, fake: sigmoid_cross_entropy(real, 1.0 - smoothing),
        "d_fake": lambda real, fake: sigmoid_cross_entropy(fake, 0.0),
    }


def non_saturating(smoothing: float = 0.0) -> Loss:
    """G minimises -log D(G(z)) (Goodfellow et al., 2014, section 3, last paragraph)."""
    return Loss(_cross_entropy(smoothing), lambda real, fake: sigmoid_cross_entropy(fake, 1.0))


def minimax(smoothing: float = 0.0) -> Loss:
    """G minimises log(1 - D(G(z))), the value function itself (Goodfellow et al., 2014, equation 1)."""
    return Loss(_cross_entropy(smoothing), lambda real, fake: -sigmoid_cross_entropy(fake, 0.0))


def least_squares() -> Loss:
    """LSGAN: squared distances of the logits to 1 and 0, halved (Mao et al., 2017, equation 9)."""
    return Loss(
        {"d_real": lambda real, fake: 0.5 * (real - 1.0) ** 2, "d_fake": lambda real, fake: 0.5 * fake**2},
        lambda real, fake: 0.5 * (fake - 1.0) ** 2,
    )


def hinge() -> Loss:
    """D: max(0, 1 - D(x)) + max(0, 1 + D(G(z))), of logits; G: -D(G(z)) (Lim & Ye, 2017; Miyato et al., 2018)."""
    return Loss(
        {
            "d_real": lambda real, fake: _positive_part(1.0 - real),
            "d_fake": lambda real, fake: _positive_part(1.0 + fake),
        },
        lambda real, fake: -fake,
    )


def wasserstein() -> Loss:
    """WGAN: D: D(G(z)) - D(x), of logits; G: -D(G(z)) (Arjovsky et al., 2017, algorithm 1).

    It has a bottom only where D's slope is bounded: with `game.clip` or a gradient penalty. Then -d_loss estimates the
    Wasserstein distance, up to D's slope.
    """
    return Loss({"d_real": lambda real, fake: -real, "d_fake": lambda real, fake: fake}, lambda real, fake: -fake)


def relativistic() -> Loss:
    """RpGAN: a real example against a fake one, -log sigmoid(D(x) - D(G(z))) (Jolicoeur-Martineau, 2019, section 4.2).

    The loss of R3GAN (Huang et al., 2024, equation 2), which adds the penalty "r1_r2". In a conditional GAN the two of a
    pair need not have the same label: the fake's is drawn at random, whatever the real example's is.
    """
    return Loss(
        {"d_pair": lambda real, fake: sigmoid_cross_entropy(real - fake, 1.0)},
        lambda real, fake: sigmoid_cross_entropy(fake - real, 1.0),
        paired=True,
    )


LOSSES: dict[str, Callable[..., Loss]] = {
    "non_saturating": non_saturating,
    "minimax": minimax,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
}


_SHIPPED = frozenset(LOSSES)


def known_loss(value: Any) -> Any:
    """The name of a loss; a function that makes one becomes a row under its own name."""
    if inspect.isfunction(value):
        LOSSES[own_name(value, _SHIPPED)] = value
        return value.__name__
    return value


def has_targets(name: str) -> bool:
    """Whether that loss is a cross-entropy with targets for D's sigmoid, which smoothing moves.

    Only then is the sigmoid a probability of being real, and 1/2 what a D gives that cannot tell.
    """
    return "smoothing" in inspect.signature(LOSSES[name]).parameters


def faults(name: str, smoothing: float, d_update: str) -> list[str]:
    """Why a config's `game` cannot use that loss so; empty if it can. Computes nothing."""
    if name not in LOSSES:
        return [f"game.loss: there is no loss {name!r}.{nearest(name, LOSSES)} {DEFINED_ELSEWHERE}"]
    found = []
    if smoothing and not has_targets(name):
        found.append(f"game.smoothing is a target of cross-entropy, and game.loss={name!r} has none: set it to 0")
    if d_update == "separate" and LOSSES[name]().paired:
        found.append(f"game.loss={name!r} compares real with fake: it needs game.d_update='joint'")
    return found


def make_loss(name: str, smoothing: float = 0.0) -> Loss:
    """The loss of that name.

    Raises:
      UserError: No such loss, with the nearest names; smoothing where the loss has no targets.
    """
    if wrong := faults(name, smoothing, "joint"):
        raise UserError("; ".join(wrong))
    return LOSSES[name](smoothing=smoothing) if smoothing else LOSSES[name]()
