"""Figures: the same bytes twice, PNG and SVG, text that stays text, colours that any eye tells apart."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tfgan_lab import figures
from tfgan_lab.report import plots

ROWS = [
    {"kind": "train", "step": step, "epoch": step / 10, "d_loss_mean": 1.4, "g_loss": 0.7, "g_loss_mean": 0.7 + step / 100, "p_real_mean": 0.6, "p_fake_mean": 0.4}
    for step in range(10, 60, 10)
]  # fmt: skip
PROVENANCE = "a few digits, train, n=200, sha256 0123456789ab; post P000, seed 7"

# Viénot, Brettel & Mollon (1999): linear RGB as people see it who lack the long- or the middle-wave cone.
WITHOUT_LONG = np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.0040, -0.0040, 1]])
WITHOUT_MIDDLE = np.array([[0.2925, 0.7075, 0], [0.2925, 0.7075, 0], [-0.0223, 0.0223, 1]])


def texts(content: bytes) -> list[str]:
    return [
        "".join(node.itertext()) for node in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_runs_are_drawn_on_common_axes_where_several_have_a_number() -> None:
    other = [row | {"d_loss_mean": 0.5} for row in ROWS[:2]] + [
        {"kind": "metrics", "step": 1, "epoch": 1, "frechet": 3}
    ]
    panels = plots.common_panels({"_a$b$": ROWS, "b": other})
    titles = {}
    for panel in panels:
        figure, axis = figures.plt.subplots()
        panel(axis)
        figure.canvas.draw()
        titles[axis.get_title()] = [tuple(line.get_ydata()) for line in axis.get_lines()]
        assert [text.get_text() for text in axis.get_legend().get_texts()] == [r" _a\$b\$", "b"]
        figures.plt.close(figure)
    assert titles["the discriminator's loss"] == [(1.4,) * 5, (0.5, 0.5)]
    assert not any("Fréchet" in title for title in titles), "one run alone has it"
    assert plots.common_panels({"alone": ROWS}) == []


def test_a_figure_is_written_as_png_and_svg_with_its_provenance_as_text(tmp_path: Path) -> None:
    assert figures.write_figure(tmp_path, "curves", plots.curves(ROWS, "a run", PROVENANCE)) == "curves.png"
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 1000
    written = texts((tmp_path / "curves.svg").read_bytes())
    assert "a run" in written
    assert PROVENANCE in " ".join(written)
    assert {"cross-entropy (nats)", "epoch"} <= set(written)


def test_the_same_figure_gives_the_same_bytes() -> None:
    for encode in (figures.png, figures.svg):
        first, second = (encode(plots.curves(ROWS, "a run", PROVENANCE)) for _ in range(2))
        assert first == second


def test_every_axis_is_labelled() -> None:
    figure = plots.curves(ROWS, "a run", PROVENANCE)
    for axis in figure.axes:
        assert axis.get_xlabel() and axis.get_ylabel()
    with Image.open(io.BytesIO(figures.png(figure))) as picture:
        assert picture.format == "PNG"


def lightness_and_hue(color: str, sight: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a colour as a kind of eye sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        sight @ linear, 0, 1
    )
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [np.eye(3), WITHOUT_LONG, WITHOUT_MIDDLE], ids=["all", "no long", "no middle"])
def test_lines_of_one_plot_differ_for_every_eye(sight: np.ndarray) -> None:
    seen = [lightness_and_hue(color, sight) for color in (figures.BLUE, figures.ORANGE, figures.GREEN, figures.GREY)]
    for a, b in itertools.combinations(seen, 2):
        assert np.linalg.norm(a - b) > 12  # CIE76; 2.3 is just noticeable
