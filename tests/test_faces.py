"""The embedded faces: pure functions of (seed, index), varied, and in the middle of the picture."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from tfgan_lab.data.cartoon import features, hair
from tfgan_lab.data.faces import draw_face, draw_faces


def test_a_face_is_a_picture_of_the_posts_size() -> None:
    face = draw_face(0, 0)
    assert face.shape == (218, 178, 3)
    assert face.dtype == np.uint8
    assert face.std() > 20


def test_the_same_numbers_give_the_same_face_in_another_process() -> None:
    program = (
        "import hashlib; from tfgan_lab.data.faces import draw_faces;"
        "print(hashlib.sha256(draw_faces(7, 4).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == hashlib.sha256(draw_faces(7, 4).tobytes()).hexdigest()


def test_a_face_does_not_depend_on_the_ones_drawn_before() -> None:
    together = draw_faces(3, 5, 109, 89)
    for index in (4, 0, 2):
        np.testing.assert_array_equal(together[index], draw_face(3, index, 109, 89))
    np.testing.assert_array_equal(draw_faces(3, 2, 109, 89, start=3), together[3:])


def test_no_two_faces_are_alike() -> None:
    faces = [draw_face(seed, index, 55, 45) for seed in (0, 1) for index in range(100)]
    assert len({face.tobytes() for face in faces}) == len(faces)
    apart = np.abs(np.stack(faces[:100]).astype(float) - np.stack(faces[100:])).mean(axis=(1, 2, 3))
    assert apart.min() > 8  # Levels of 255: unlike, not merely not equal.


def test_every_style_hat_and_beard_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in (hair.STYLES, hair.HATS, features.BEARDS):
        for kind in list(table):
            with monkeypatch.context() as patch:
                for other in table:
                    patch.setitem(table, other, float(other == kind))
                assert draw_face(5, 1, 55, 45).std() > 10, kind


def test_the_head_fills_the_middle_crop() -> None:
    """How often each pixel of the crop is not the colour of the wall beside it."""
    crops = draw_faces(0, 60)[:, 45:173, 25:153].astype(float)
    wall = crops[:, 20:60, :3].mean(axis=(1, 2), keepdims=True)
    drawn = (np.abs(crops - wall).max(axis=3) > 25).mean(axis=0)  # [128, 128]
    assert drawn[20:110, 34:94].mean() > 0.85
    assert 0.5 < (drawn > 0.5).mean() < 0.95


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 120), (120, 40), (64, 64)])
def test_any_size(height: int, width: int) -> None:
    assert draw_face(0, 0, height, width).shape == (height, width, 3)


@pytest.mark.parametrize("arguments", [(-1, 0), (0, -1), (0, 0, 0, 10), (0, 0, 10, 0)])
def test_numbers_out_of_range_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        draw_face(*arguments)


def test_no_colliding_streams() -> None:
    """(seed, index) pairs that a naive mixing of the two numbers would confuse."""
    pairs = [(0, 1), (1, 0), (2**32, 0), (0, 2**32), (2**32 + 1, 0), (1, 1)]
    assert len({draw_face(seed, index, 22, 18).tobytes() for seed, index in pairs}) == len(pairs)
