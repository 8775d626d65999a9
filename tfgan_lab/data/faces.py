"""Composite cartoon faces, drawn: an image set that needs no download.

Every face is a pure function of (seed, index), like the random numbers of the training loop, so a set is
named by two integers and never has to be stored. A face is drawn `_OVERSAMPLE` times too large out of plain
polygons and averaged down, which is what smooths its edges.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from tfgan_lab.data.cartoon import features, hair, parts
from tfgan_lab.data.cartoon.parts import NECK, Look
from tfgan_lab.data.cartoon.pen import UNIT_HEIGHT, UNIT_WIDTH, Colour, Dice, Pen, mix

_OVERSAMPLE = 3
_SKINS: tuple[Colour, ...] = (
    (255, 224, 200), (250, 209, 178), (241, 194, 155), (229, 176, 133), (212, 152, 108),
    (190, 128, 84), (160, 102, 64), (128, 80, 50), (98, 62, 42), (74, 48, 36),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (28, 24, 28), (44, 32, 30), (66, 44, 34), (92, 58, 36), (122, 76, 42), (150, 70, 36), (186, 88, 36),
    (200, 148, 78), (226, 190, 118), (240, 220, 168), (150, 148, 150), (214, 212, 210),
)  # fmt: skip
_DYES: tuple[Colour, ...] = ((226, 96, 142), (72, 122, 206), (60, 164, 152), (136, 84, 178), (206, 52, 60))
_CLOTHES: tuple[Colour, ...] = (
    (214, 69, 65), (238, 134, 62), (246, 196, 84), (98, 168, 98), (52, 130, 124), (64, 120, 190),
    (48, 66, 112), (124, 88, 160), (222, 120, 156), (70, 72, 82), (236, 232, 224), (150, 110, 80),
)  # fmt: skip
_BEARDED = ("bald", "buzz", "short", "quiff", "spiky", "curly", "mohawk", "afro")


def draw_face(seed: int, index: int, height: int = UNIT_HEIGHT, width: int = UNIT_WIDTH) -> np.ndarray:
    """Draws one face.

    The same (seed, index) gives the same bits in every process; other releases of Pillow
    may round the edges of a polygon another way.

    Args:
      seed: Which set of faces, 0 or more.
      index: Which face of the set, 0 or more.
      height: Rows of the picture; 218 is the height of the post's images.
      width: Columns; 178 is the width of the post's images.

    Returns:
      uint8 [height, width, 3]; the head fills the middle 128x128 of a 218x178 picture.

    Raises:
      ValueError: If a number is negative or a side is smaller than one pixel.
    """
    if seed < 0 or index < 0 or height < 1 or width < 1:
        raise ValueError(f"draw_face: seed={seed}, index={index}, size {height}x{width}: out of range")
    dice = Dice(seed, index)
    look = _look(dice)
    image = Image.new("RGB", (width * _OVERSAMPLE, height * _OVERSAMPLE))
    zoom, shift = dice.span(1.06, 1.18), (dice.span(-3, 3), dice.span(0, 4))
    tilt = dice.span(-0.07, 0.07)
    trunk = Pen.centred(image, zoom, shift)
    head = trunk.tilted(tilt, NECK)

    parts.wall(image, dice)
    hair.scarf(head, look, behind=True)
    hair.back(head, look, dice)
    parts.body(trunk, look, dice)
    hair.locks(head, look, dice)
    parts.ears(head, look, dice)
    parts.head(head, look, dice)
    features.beard(head, look, dice)
    features.nose(head, look, dice)
    features.mouth(head, look, dice)
    features.eyes(head, look, dice)
    hair.front(head, look, dice)
    hair.scarf(head, look, behind=False)
    features.glasses(head, look, dice)
    hair.hat(head, look, dice)
    return np.asarray(image.reduce(_OVERSAMPLE))


def draw_faces(
    seed: int, num: int, height: int = UNIT_HEIGHT, width: int = UNIT_WIDTH, *, start: int = 0
) -> np.ndarray:
    """Draws faces `start` to `start + num - 1` of set `seed`: uint8 [num, height, width, 3]."""
    faces = np.empty((num, height, width, 3), np.uint8)
    for position in range(num):
        faces[position] = draw_face(seed, start + position, height, width)
    return faces


def _look(dice: Dice) -> Look:
    skin = mix(dice.pick(_SKINS), dice.pick(_SKINS), dice.span(0.0, 0.3))
    palette = _DYES if dice.chance(0.1) else _HAIRS
    # Hair of the skin's own colour would read as no hair at all.
    colour = dice.pick([each for each in palette if math.dist(each, skin) > 45])
    style, hat, chin = dice.weighted(hair.STYLES), dice.weighted(hair.HATS), dice.weighted(features.BEARDS)
    return Look(
        skin=skin,
        hair=mix(colour, dice.pick(_HAIRS), dice.span(0.0, 0.12)),
        cloth=dice.pick(_CLOTHES),
        accent=dice.pick(_CLOTHES),
        style=style,
        hat=hat,
        beard=chin if style in _BEARDED and hat not in ("scarf", "bow") else "none",
        rx=dice.span(34, 39),
        ry=dice.span(42, 47),
        jaw=dice.span(1.95, 2.7),
        taper=dice.span(0.0, 0.2),
        turn=dice.span(-3.5, 3.5),
        side=dice.pick((-1, 1)),
    )
