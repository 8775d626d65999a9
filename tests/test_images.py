"""Grids, PNG and GIF files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tfgan_lab import pictures


@pytest.mark.parametrize("value_range", ["unit", "tanh"])
def test_every_byte_survives_the_way_to_floats_and_back(value_range: str) -> None:
    pixels = np.arange(256, dtype=np.uint8)
    floats = pixels / np.float32(255)
    back = pictures.to_uint8(floats * 2 - 1 if value_range == "tanh" else floats, value_range)
    np.testing.assert_array_equal(back, pixels)


def test_values_outside_the_range_are_clipped() -> None:
    np.testing.assert_array_equal(pictures.to_uint8(np.array([-3.0, 7.0]), "unit"), [0, 255])
    np.testing.assert_array_equal(pictures.to_uint8(np.array([-3.0, 0.0, 7.0]), "tanh"), [0, 128, 255])


def test_a_grid_holds_its_images_row_by_row(rng: np.random.Generator) -> None:
    tiles = rng.integers(0, 256, (5, 4, 3, 1), np.uint8)
    picture = pictures.grid(tiles, columns=3, padding=2, background=7)
    assert picture.shape == (2 * 6 + 2, 3 * 5 + 2, 1)
    for index, tile in enumerate(tiles):
        top, left = 2 + index // 3 * 6, 2 + index % 3 * 5
        np.testing.assert_array_equal(picture[top : top + 4, left : left + 3], tile)
    assert (picture[8:12, 12:15] == 7).all(), "the place of a sixth image is background"


def test_a_grid_is_square_by_default_and_refuses_nothing_to_show() -> None:
    assert pictures.grid(np.zeros((16, 2, 2, 3), np.uint8), padding=0).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="N > 0"):
        pictures.grid(np.zeros((0, 2, 2, 1), np.uint8))


def test_enlarging_repeats_pixels() -> None:
    picture = np.array([[[0], [255]]], np.uint8)
    large = pictures.enlarge(picture, at_least=4)
    assert large.shape == (4, 8, 1)
    assert set(large[:, :4].ravel()) == {0}
    assert set(large[:, 4:].ravel()) == {255}


@pytest.mark.parametrize(("background", "channels"), [(0, 1), (0, 3), (250, 3)])
def test_each_row_has_its_name_at_its_left(background: int, channels: int) -> None:
    tiles = np.full((6, 28, 28, channels), 99, np.uint8)
    grid = pictures.grid(tiles, 2, background=background)
    named = pictures.name_rows(grid, ["0", "a\nb", "ankle boot"])
    np.testing.assert_array_equal(named[:, -grid.shape[1] :], grid)
    rows = np.split(named[:90, : -grid.shape[1]], 3)
    ink = [np.abs(row.astype(int) - background).sum() for row in rows]
    assert 0 < ink[0] < ink[1] < ink[2], "longer names, more ink"
    assert named[0, 0, 0] == background
    assert pictures.name_rows(grid, ()) is grid


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel(channels: int, rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (9, 7, channels), np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(pictures.png_bytes(picture))))
    np.testing.assert_array_equal(decoded.reshape(picture.shape), picture)


@pytest.mark.parametrize("last", [(250,), (250, 250, 250), (250, 30, 90)])
def test_a_gif_has_all_frames_and_rests_on_the_last(last: tuple[int, ...]) -> None:
    frames = [np.full((6, 6, len(last)), value, np.uint8) for value in (0, 120, last)]
    gif = Image.open(io.BytesIO(pictures.gif_bytes(frames, milliseconds=100, hold_last=900)))
    assert gif.n_frames == 3
    durations = []
    for index, frame in enumerate(frames):
        gif.seek(index)
        durations.append(gif.info["duration"])
        np.testing.assert_allclose(np.asarray(gif.convert("RGB"), int), frame + np.zeros((6, 6, 3)), atol=2)
    assert durations == [100, 100, 900]


def test_blues_runs_from_light_to_dark_and_gray_is_untouched() -> None:
    picture = np.array([[[0], [255]]], np.uint8)
    blue = pictures.colour(picture, "Blues")
    assert blue.shape == (1, 2, 3)
    assert blue[0, 0].min() > 240
    assert blue[0, 1, 2] > blue[0, 1, 0]
    assert pictures.colour(picture, "gray") is picture
