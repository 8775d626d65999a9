"""Cartoon faces: an image set that needs no download, drawn by two libraries.

The parts are Pablo Stanley's Avataaars as `python-avatars` has them (MIT licence), drawn by resvg. Every face is a pure
function of (seed, index), like the random numbers of training, so a set is named by two integers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import python_avatars as avatars
import resvg_py
from joblib.externals.loky import get_reusable_executor
from PIL import Image

HEIGHT, WIDTH = 218, 178  # of the post's images
# The part of the avatar's canvas that is drawn: its head fills the middle 128 x 128 of the picture.
_CANVAS = 'width="264px" height="280px" viewBox="0 0 264 280"'
_VIEW = f'width="{WIDTH}" height="{HEIGHT}" viewBox="10 -44 244 299" preserveAspectRatio="xMidYMid slice"'
_GRAPHICS = [graphic for graphic in avatars.ClothingGraphic if graphic.name != "CUSTOM_TEXT"]  # text depends on fonts
_HATS, _BARE = 0.12, 0.5  # shares: of hats among tops, and of faces without glasses, and without beards
_FEW = 64  # faces: drawn before processes would have started, and held in memory at a time


def draw_face(seed: int, index: int) -> np.ndarray:
    """Draws face `index` of set `seed`, both 0 or more: uint8 [218, 178, 3], whose middle 128 x 128 the head fills.

    The same numbers give the same bits in every process; other releases of the two libraries may give others.
    """
    # Only `random` is used: the bits of Philox are fixed, other methods of a generator may change with NumPy.
    stream = np.random.SeedSequence(seed, spawn_key=(index,))
    chance = np.random.Generator(np.random.Philox(stream)).random

    def one_of(choices: Any) -> Any:
        choices = list(choices)
        return choices[int(chance() * len(choices))]

    hair = one_of(avatars.HairColor)
    avatar = avatars.Avatar(
        top=one_of(avatars.HatType if chance() < _HATS else avatars.HairType),
        hat_color=one_of(avatars.ClothingColor),
        eyebrows=one_of(avatars.EyebrowType),
        eyes=one_of(avatars.EyeType),
        nose=one_of(avatars.NoseType),
        mouth=one_of(avatars.MouthType),
        facial_hair=avatars.FacialHairType.NONE if chance() < _BARE else one_of(avatars.FacialHairType),
        skin_color=one_of(avatars.SkinColor),
        hair_color=hair,
        facial_hair_color=hair,
        accessory=avatars.AccessoryType.NONE if chance() < _BARE else one_of(avatars.AccessoryType),
        clothing=one_of(avatars.ClothingType),
        clothing_color=one_of(avatars.ClothingColor),
        shirt_graphic=one_of(_GRAPHICS),
    )
    wall = "#" + "".join(f"{int(96 + 160 * chance()):02x}" for _ in range(3))
    drawing = avatar.render().replace(_CANVAS, _VIEW, 1)
    png = resvg_py.svg_to_bytes(svg_string=drawing, width=WIDTH, height=HEIGHT, background=wall, skip_system_fonts=True)
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def draw_faces(seed: int, num: int) -> Iterator[np.ndarray]:
    """Draws the first faces of set `seed`, in their order, on all cores."""
    workers = 1 if num <= _FEW else joblib.cpu_count()
    try:
        with joblib.Parallel(n_jobs=workers) as parallel:
            for first in range(0, num, _FEW):
                indices = range(first, min(first + _FEW, num))
                yield from parallel(joblib.delayed(draw_face)(seed, index) for index in indices)
    finally:
        if workers > 1:
            get_reusable_executor().shutdown()  # else idle processes stay for minutes
