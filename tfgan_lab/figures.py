"""How all figures look: colour-blind safe, labelled, provenance below; PNG for screens, SVG for print."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # figures are files here; a display may not exist
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.style.core import STYLE_BLACKLIST

from tfgan_lab.system.files import MARK, write_atomically

# Okabe & Ito (2008): told apart with any colour vision.
BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#E69F00", "#009E73", "#999999", "#D55E00"
# On top of matplotlib's own: a user's matplotlibrc may ask for what is not installed, such as TeX.
_DEFAULTS = {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in STYLE_BLACKLIST}
STYLE: dict[str, Any] = {
    **_DEFAULTS,
    "figure.dpi": 120, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.alpha": 0.25, "font.size": 9, "axes.titlesize": 10, "legend.frameon": False,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, GREY]),
    # Text stays text: it can be searched, and set in the fonts of the paper around it.
    "svg.fonttype": "none", "svg.hashsalt": "tfgan_lab",
}  # fmt: skip


def png(figure: Figure) -> bytes:
    """Encodes a figure as PNG and closes it; the same figure gives the same bytes."""
    return _encoded(figure, "png", STYLE, {"Software": MARK})


def svg(figure: Figure, style: Mapping[str, Any] = STYLE) -> bytes:
    """Encodes a figure as SVG and closes it; the same figure gives the same bytes."""
    return _encoded(figure, "svg", style, {"Date": None, "Creator": None})


def write_figure(folder: Path, name: str, figure: Figure) -> str:
    """Writes NAME.png and NAME.svg; returns the first's name."""
    if engine := figure.get_layout_engine():
        with plt.rc_context(STYLE):
            engine.execute(figure)
        figure.set_layout_engine("none")  # laid out once for both: that takes as long as drawing
    write_atomically(folder / f"{name}.svg", _saved(figure, "svg", STYLE, {"Date": None, "Creator": MARK}))
    write_atomically(folder / f"{name}.png", png(figure))
    return f"{name}.png"


def finish(figure: Figure, title: str, provenance: str) -> Figure:
    """Puts a title above a figure and its provenance below."""
    figure.suptitle(title)
    return below(figure, provenance)


def below(figure: Figure, text: str, **keywords: Any) -> Figure:
    """Puts a small text below a figure, in lines that fit."""
    text = textwrap.fill(text, int(figure.get_figwidth() * 18))  # characters of 7 points in an inch
    figure.supxlabel(text, fontsize=7, color="#555555", **keywords)
    return figure


def spread(number: int, reach: float) -> np.ndarray:
    """By how much dots of one line are moved aside, by the golden ratio: always the same, and none hides another."""
    return (np.arange(number) * 0.618 % 1 - 0.5) * reach


def _encoded(figure: Figure, form: str, style: Mapping[str, Any], metadata: dict[str, str | None]) -> bytes:
    content = _saved(figure, form, style, metadata)
    plt.close(figure)
    return content


def _saved(figure: Figure, form: str, style: Mapping[str, Any], metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    with plt.rc_context(dict(style)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Creating legend")  # "can be slow": a busy machine's second is no news
        figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()
