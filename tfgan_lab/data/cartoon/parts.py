"""What several parts of a cartoon face must agree on, and its parts but for features and hair."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from tfgan_lab.data.cartoon.pen import Colour, Dice, Pen, both_sides, dark, ellipse, light, mix, shifted, smooth

WHITE: Colour = (250, 249, 246)
INK: Colour = (38, 28, 36)
CY = -6.0  # Height of the middle of the head, in face units; the eyes lie a little below it.
_WALLS: tuple[Colour, ...] = (
    (242, 196, 196), (248, 220, 184), (250, 238, 190), (206, 232, 196), (186, 226, 222), (186, 212, 240),
    (206, 200, 238), (234, 202, 230), (222, 222, 226), (120, 170, 190), (236, 160, 120), (110, 120, 160),
)  # fmt: skip
_PATTERNS = {"plain": 5.0, "disc": 2.0, "stripes": 1.0, "dots": 1.0, "bokeh": 1.0, "floor": 1.0}
NECK = (0.0, 40.0)  # What the head tilts about.


@dataclasses.dataclass(frozen=True)
class Look:
    """What several parts of one face must agree on.

    Attributes:
      skin: Colour of the skin.
      hair: Colour of hair, brows and beard.
      cloth: Colour of what is worn.
      accent: Colour of hat, tie, stripes and scarf.
      style: A key of `hair.STYLES`.
      hat: A key of `hair.HATS`.
      beard: A kind of beard, or "none".
      rx: Half the width of the head, in face units.
      ry: Half its height.
      jaw: Exponent of the superellipse that is its lower half: 2 is round, more is square.
      taper: How much the chin narrows.
      turn: How far the features lie to one side, in face units.
      side: +1 or -1: the side of partings, winks and tails.
    """

    skin: Colour
    hair: Colour
    cloth: Colour
    accent: Colour
    style: str
    hat: str
    beard: str
    rx: float
    ry: float
    jaw: float
    taper: float
    turn: float
    side: int


def wall(image: Image.Image, dice: Dice) -> None:
    """What is behind the head: a gradient, with a pattern on some."""
    top = dice.pick(_WALLS)
    tint: Colour = dice.pick(((255, 255, 255), (60, 60, 100)))
    bottom = mix(dice.pick((top, dice.pick(_WALLS))), tint, dice.span(0.0, 0.35))
    rows = np.linspace(0.0, 1.0, image.height)[:, None]
    ramp = np.rint(np.array(top) * (1 - rows) + np.array(bottom) * rows).astype(np.uint8)  # [H, 3]
    image.paste(Image.fromarray(ramp[:, None, :]).resize(image.size, Image.Resampling.NEAREST))
    _pattern(Pen.centred(image), dice, mix(light(top, 0.3), bottom, 0.3), dark(bottom, 0.08))


def _pattern(pen: Pen, dice: Dice, faint: Colour, shade: Colour) -> None:
    kind = dice.weighted(_PATTERNS)
    if kind == "disc":
        pen.oval(0, CY, 60, 60, faint)
    elif kind == "stripes":
        for left in range(-240, 240, 34):
            pen.fill([(left, -400), (left + 14, -400), (left + 94, 400), (left + 80, 400)], faint)
    elif kind == "dots":
        for row in range(-10, 11):
            for column in range(-8, 9):
                pen.oval(column * 24 + 12 * (row % 2), row * 21, 4, 4, faint)
    elif kind == "bokeh":
        for _ in range(9):
            x, y, radius = dice.span(-90, 90), dice.span(-110, 60), dice.span(8, 26)
            pen.oval(x, y, radius, radius, light(faint, dice.span(0.0, 0.5)))
    elif kind == "floor":
        pen.fill([(-900, 60), (900, 60), (900, 900), (-900, 900)], shade)


def head_outline(look: Look) -> np.ndarray:
    """The outline of the head, clockwise from three o'clock. [72, 2]"""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    cosine, sine = np.cos(angles), np.sin(angles)
    power = 2 / np.where(sine > 0, look.jaw, 2.15)
    x = np.sign(cosine) * np.abs(cosine) ** power
    y = np.sign(sine) * np.abs(sine) ** power
    x *= 1 - look.taper * np.maximum(y, 0) ** 2
    return np.stack([look.rx * x, CY + look.ry * y], axis=1)


def body(pen: Pen, look: Look, dice: Dice) -> None:
    """Shoulders, neck and what is worn."""
    neck, top = dice.span(12, 16), CY + look.ry + 12
    pen = pen.at(0, top)
    half = [(neck, 0), (neck + 14, 5), (46, 11), (68, 24), (82, 60)]
    shoulders = both_sides([*smooth(half, closed=False), (82 + dice.span(0, 14), 900)])
    kind = dice.pick(("crew", "vee", "shirt", "hood", "turtle", "stripes", "suit", "straps"))
    pen.fill(shoulders, look.skin if kind == "straps" else look.cloth)
    if kind == "straps":
        shirt = [(20, -5), (30, 0), (34, 22), (60, 60), (60, 900)]
        cut = [(19, -6), (14, 18), (0, 26)]
        pen.inside(shoulders, [(both_sides(shirt), look.cloth), (both_sides(cut), look.skin)])
    elif kind == "stripes":
        bands = [[(-99, y), (99, y), (99, y + 6), (-99, y + 6)] for y in range(6, 80, 13)]
        pen.inside(shoulders, [(band, look.accent) for band in bands])
    elif kind == "hood":
        pen.blob(both_sides([(6, -12), (neck + 16, -8), (neck + 24, 4), (0, 20)]), dark(look.cloth, 0.18))
    throat = both_sides([(neck, -40), (neck, 1), (neck * 0.7, 6), (0, 8)])
    pen.fill(throat, look.skin)
    pen.inside(throat, [(shifted(head_outline(look), look.turn, 6.0 - top), dark(look.skin, 0.2))])
    _collar(pen, look, neck, kind)


def _collar(pen: Pen, look: Look, neck: float, kind: str) -> None:
    """The neckline; `pen` is at the pit of the neck."""
    if kind in ("crew", "stripes"):
        rim = [(neck + 2, -2), (neck * 0.6, 7), (0.01, 10)]
        pen.stroke(both_sides(rim), 4, dark(look.cloth, 0.16))
    elif kind == "vee":
        pen.fill([(-neck, -1), (neck, -1), (0, 20)], look.skin)
        pen.line([(-neck - 1, -2), (0, 20), (neck + 1, -2)], 3.5, dark(look.cloth, 0.18))
    elif kind == "turtle":
        pen.blob(both_sides([(neck + 2, -9), (neck + 4, 2), (neck, 9), (0, 11)]), dark(look.cloth, 0.1))
        pen.stroke([(-neck - 1, -5), (0, -1), (neck + 1, -5)], 1.5, dark(look.cloth, 0.3))
    elif kind == "hood":
        for sign in (-1, 1):
            pen.stroke([(sign * 8, 9), (sign * 9, 18), (sign * 8, 30)], 2, WHITE)
    elif kind in ("suit", "shirt"):
        _shirt(pen, look, neck, suit=kind == "suit")


def _shirt(pen: Pen, look: Look, neck: float, *, suit: bool) -> None:
    linen = light(look.cloth, 0.72 if suit else 0.35)
    if suit:
        pen.fill([(-neck - 2, -2), (neck + 2, -2), (0, 44)], linen)
    pen.fill([(-neck, -2), (neck, -2), (0, 11)], look.skin)
    if suit:
        pen.fill([(-4, 9), (4, 9), (3, 15), (8, 60), (-8, 60), (-3, 15)], look.accent)
    else:
        pen.line([(0, 10), (0, 200)], 1.2, dark(look.cloth, 0.25))
        pen.oval(3.5, 19, 1.4, 1.4, dark(look.cloth, 0.35))
    for sign in (-1, 1):
        pen.at(0, 0, sign).fill([(neck - 1, -6), (neck + 5, 1), (9, 15), (0, 9)], linen)


def ears(pen: Pen, look: Look, dice: Dice) -> None:
    """Both ears, some with a ring."""
    size, ring = dice.span(7, 9.5), dice.chance(0.25)
    for sign in (-1, 1):
        ear = pen.at(sign * (look.rx - 0.5) - look.turn * 0.6, CY + 6, sign)
        ear.oval(0, 0, size * 0.72, size, dark(look.skin, 0.05))
        ear.oval(0.8, 0, size * 0.36, size * 0.58, dark(look.skin, 0.18))
        if ring:
            ear.oval(1.5, size + 1, 2.6, 2.6, (244, 204, 92))


def head(pen: Pen, look: Look, dice: Dice) -> None:
    """The head with its shading, cheeks and freckles."""
    outline = head_outline(look)
    pen.fill(outline, dark(look.skin, 0.13))
    pen.inside(outline, [(shifted(outline, -3.2 * look.side, -2.4), look.skin)])
    rosy = mix(look.skin, (232, 70, 76), dice.span(0.1, 0.3))
    blush, freckles = dice.chance(0.6), dice.chance(0.12)
    for sign in (-1, 1):
        x = sign * look.rx * 0.58 + look.turn
        if blush:
            pen.inside(outline, [(ellipse(x, CY + 16, 7.5, 5), rosy)])
        if freckles:
            for _ in range(6):
                pen.oval(x + dice.span(-6, 6), CY + 13 + dice.span(-4, 4), 0.8, 0.8, dark(look.skin, 0.25))
