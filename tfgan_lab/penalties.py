"""Penalties on D's gradient, and a bound on its weights: what a discriminator is held to beside its loss.

A penalty is a function of |grad D|^2 [B], the squared norms of the gradients of D's logits by its inputs, at points that
it names. TensorFlow is loaded when one is computed: configs are checked without it.

A penalty of your own is one row, in your config file too:

    PENALTIES["mine"] = Penalty(lambda real, fakes, noise: {"real": real}, lambda squares: squares**2)

or a function that makes it, `Game(penalty=mine)`, with def mine() -> Penalty.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tfgan_lab.errors import DEFINED_ELSEWHERE, UserError, nearest, own_name


@dataclasses.dataclass(frozen=True)
class Noise:
    """What points are made with, drawn from the run's seed.

    Attributes:
      share: U(0, 1), one for each example: [B, 1, …].
      each: Draws U(0, 1) for each number: [B, …].
      deviation: The standard deviation of all numbers of a global batch [B, …], in a shape that it can be multiplied by.
    """

    share: Any
    each: Callable[[], Any]
    deviation: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Penalty:
    """One penalty.

    Attributes:
      points: (real [B, …], fakes [B, …], noise) -> where gradients are taken, [B, …] each: under "real" those at which
        D gets the real examples' labels and dropout, under "fake" the fakes'.
      size: Squared norms [B] -> what D minimises, [B]; its mean over the global batch, times `game.penalty_weight`. Of
        two sets of points it is the sum.
    """

    points: Callable[[Any, Any, Noise], Mapping[str, Any]]
    size: Callable[[Any], Any]


def _between(real: Any, fakes: Any, noise: Noise) -> dict[str, Any]:
    """Between a real example and a fake one, anywhere on the line (Gulrajani et al., 2017, algorithm 1)."""
    return {"real": fakes + noise.share * (real - fakes)}


def _near_real(real: Any, fakes: Any, noise: Noise) -> dict[str, Any]:
    """Around real examples: x + share * 0.5 * std(x) * U(0, 1), as the program of Kodali et al. perturbs them."""
    return {"real": real + noise.share * (0.5 * noise.deviation(real)) * noise.each()}


def _norms(squares: Any) -> Any:
    import tensorflow as tf

    return tf.sqrt(tf.maximum(squares, 1e-20))  # at zero a square root has no slope


def two_sided(squares: Any) -> Any:
    """(|grad D| - 1)^2."""
    return (_norms(squares) - 1) ** 2


def one_sided(squares: Any) -> Any:
    """max(0, |grad D| - 1)^2: a smaller slope costs nothing."""
    import tensorflow as tf

    return tf.nn.relu(_norms(squares) - 1) ** 2


def half_square(squares: Any) -> Any:
    """|grad D|^2 / 2."""
    return squares / 2


PENALTIES: dict[str, Penalty] = {
    # Gulrajani et al., 2017, equation 3; weight 10.
    "wgan_gp": Penalty(_between, two_sided),
    # The same, section 4, as WGAN-LP of Petzka et al., 2018, equation 7.
    "wgan_gp_one_sided": Penalty(_between, one_sided),
    # Mescheder et al., 2018, equations 9 and 10; weight gamma, 10 there.
    "r1": Penalty(lambda real, fakes, noise: {"real": real}, half_square),
    "r2": Penalty(lambda real, fakes, noise: {"fake": fakes}, half_square),
    # Both: R3GAN (Huang et al., 2024, section 2).
    "r1_r2": Penalty(lambda real, fakes, noise: {"real": real, "fake": fakes}, half_square),
    # DRAGAN (Kodali et al., 2017, algorithm 1); weight 10.
    "dragan": Penalty(_near_real, two_sided),
}


_SHIPPED = frozenset(PENALTIES)


def known_penalty(value: Any) -> Any:
    """The name of a penalty ("" for "none"); of a function that makes one the result becomes a row under the function's name."""
    if inspect.isfunction(value):
        PENALTIES[own_name(value, _SHIPPED)] = value()
        return value.__name__
    return "" if value == "none" else value


def make_penalty(name: str) -> Penalty | None:
    """The penalty of that name; None for "". Raises `UserError`, with the nearest names, if there is none."""
    if name and name not in PENALTIES:
        raise UserError(_unknown(name))
    return PENALTIES[name] if name else None


def clip_weights(variables: Iterable[Any], most: float) -> None:
    """w = min(max(w, -most), most) (WGAN: Arjovsky et al., 2017, algorithm 1). In a replica context, or outside of any."""
    import tensorflow as tf

    for variable in variables:
        clipped = tf.clip_by_value(variable.read_value(), -most, most)
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=clipped)  # of each replica its own copy


def faults(name: str, d_update: str, precision: str, mixing: Sequence[str]) -> list[str]:
    """Why a GAN cannot have that penalty so; `mixing` names D's layers that make one output of several examples."""
    if not name:
        return []
    if name not in PENALTIES:
        return [_unknown(name)]
    found = []
    if d_update == "separate":
        found.append(f"game.penalty={name!r} is of one D update on real and fake: it needs game.d_update='joint'")
    if precision != "float32":
        found.append(f"game.penalty={name!r} is too coarse in precision={precision!r}: use float32")
    if mixing:
        found.append(
            f"game.penalty={name!r} is of each example's own gradient, but the discriminator's layer {mixing[0]!r} mixes examples: omit one"
        )
    return found


def _unknown(name: str) -> str:
    return f"game.penalty: there is no penalty {name!r}.{nearest(name, PENALTIES)} {DEFINED_ELSEWHERE}"
