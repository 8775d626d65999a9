"""Arrays to pictures: value ranges, grids, PNG and GIF files."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from tfgan_lab.errors import printable, shortened
from tfgan_lab.system.files import MARK, read_bytes


def to_uint8(images: np.ndarray, value_range: str) -> np.ndarray:
    """Floats in "unit" [0, 1] or "tanh" [-1, 1] to uint8, rounded; values outside are clipped."""
    unit = (np.asarray(images, np.float64) + 1) / 2 if value_range == "tanh" else np.asarray(images, np.float64)
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def grid(images: np.ndarray, columns: int | None = None, padding: int = 2, background: int = 0) -> np.ndarray:
    """Tiles images uint8 [N, H, W, C] row by row, with so many pixels of the background between and around them.

    Returns:
      uint8 [rows * (H + padding) + padding, …, C]; without `columns` the smallest square that holds all.
    """
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"grid needs images [N, H, W, C] with N > 0, got {images.shape}")
    number, height, width, channels = images.shape
    columns = min(number, columns or math.ceil(math.sqrt(number)))
    rows = math.ceil(number / columns)
    canvas = np.full(
        (rows * (height + padding) + padding, columns * (width + padding) + padding, channels), background, np.uint8
    )
    for index, image in enumerate(images):
        top = padding + (index // columns) * (height + padding)
        left = padding + (index % columns) * (width + padding)
        canvas[top : top + height, left : left + width] = image
    return canvas


def enlarge(picture: np.ndarray, at_least: int = 400) -> np.ndarray:
    """Repeats pixels so that small grids are easy to look at; never blurs."""
    factor = max(1, math.ceil(at_least / picture.shape[0]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def name_rows(picture: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A grid [H, W, C] of rows of one height with their names in a margin at its left: uint8 [H, margin + W, C]."""
    if not names:
        return picture
    from matplotlib import get_data_path

    names = [shortened(printable(name), 20) for name in names]
    height = len(picture) / len(names)
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", round(min(max(height * 0.45, 8), 28)))
    gap = int(font.size) // 2
    margin = Image.new("L", (math.ceil(max(map(font.getlength, names))) + 2 * gap, len(picture)))
    for row, name in enumerate(names):
        place = (margin.width - gap, (row + 0.5) * height)
        ImageDraw.Draw(margin).text(place, name, fill=255, font=font, anchor="rm")
    paper = picture[0, 0].astype(np.float64)  # the grid's own background, and on it ink that can be read
    share = np.asarray(margin)[..., None] / 255  # [H, margin, 1]
    ink = 255.0 if paper.mean() < 128 else 0.0
    return np.concatenate([np.rint(paper + share * (ink - paper)).astype(np.uint8), picture], axis=1)


def colour(picture: np.ndarray, colormap: str) -> np.ndarray:
    """A grey picture [H, W, 1] in a matplotlib colormap: uint8 [H, W, 3]; "gray" leaves it as it is."""
    if colormap == "gray" or picture.shape[-1] != 1:
        return picture
    from matplotlib import colormaps

    return np.rint(colormaps[colormap](picture[..., 0])[..., :3] * 255).astype(np.uint8)


def png_bytes(picture: np.ndarray) -> bytes:
    """Encodes uint8 [H, W, C] as PNG."""
    buffer, facts = io.BytesIO(), PngImagePlugin.PngInfo()
    facts.add_text("Software", MARK)
    _pil(picture).save(buffer, "PNG", pnginfo=facts)
    return buffer.getvalue()


def img(picture: np.ndarray, alt: str, names: Sequence[str] = ()) -> str:
    """A picture as an HTML element, enlarged, for a notebook; `names` are those of its rows."""
    content = base64.b64encode(png_bytes(name_rows(enlarge(picture), names))).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{content}">'


def from_png(content: bytes) -> np.ndarray:
    """A PNG as uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        return np.asarray(picture.convert("RGB"))


def read_png(path: Path) -> np.ndarray | None:
    """A PNG file as uint8 [H, W, 3]; None if it is missing or damaged."""
    try:
        return from_png(read_bytes(path))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def gif_bytes(pictures: Sequence[np.ndarray], milliseconds: int = 150, hold_last: int = 1500) -> bytes:
    """Encodes uint8 pictures as an endless animation that rests on the last one."""
    frames = [_indexed(picture) for picture in pictures]
    durations = [milliseconds] * (len(frames) - 1) + [hold_last]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, disposal=1)
    return buffer.getvalue()


def _indexed(picture: np.ndarray) -> Image.Image:
    """A picture of 256 colours; grey ones are that already, and looking for the best takes long."""
    if (picture == picture[..., :1]).all():
        return _pil(picture[..., :1])
    return _pil(picture).convert("P", palette=Image.Palette.ADAPTIVE)


def _pil(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
