"""Charts of a run's page: matplotlib's SVG, set into the page so that it takes the page's font and colours."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tfgan_lab.figures import BLUE, STYLE, svg
from tfgan_lab.posts.reference import Reference
from tfgan_lab.report import plots

_INK = "#010203"  # stands for the page's own text colour
_PAGE_STYLE = STYLE | {
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.titlecolor": _INK, "grid.color": _INK, "grid.alpha": 0.15, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none", "axes.axisbelow": True, "axes.titlesize": 9.5, "legend.fontsize": 8,
}  # fmt: skip
_SIZE = (4.5, 3.1)


def curves(rows: Sequence[dict[str, Any]], key: str, reference: Reference, floors: plots.Panel | None) -> list[str]:
    """The panels of a run, an <svg> each: rows of metrics.jsonl, and behind them the reference.

    `key` sets the ids in them apart from those of other runs in the page; `floors` draws into a panel what real data
    scores.
    """
    return [_chart(panel, f"{key}-{index}", floors) for index, panel in enumerate(plots.panels(rows, reference))]


def common_curves(runs: Mapping[str, Sequence[dict[str, Any]]]) -> list[str]:
    """The curves of several runs, rows of metrics.jsonl by name, on common axes: an <svg> each."""
    return [_chart(panel, f"common-{index}") for index, panel in enumerate(plots.common_panels(runs))]


def densities(real: np.ndarray, fake: np.ndarray, key: str) -> str:
    """The Gaussian's two densities as <svg>; numbers, 1-D each."""

    def draw(axis: Any) -> None:
        axis.figure.subplots_adjust(left=0.11, right=0.985, top=0.97, bottom=0.15)
        plots.density_panel(axis, real, fake)

    return _chart(draw, key, layout=None)


def _chart(draw: plots.Panel, key: str, floors: plots.Panel | None = None, layout: str | None = "constrained") -> str:
    with plt.rc_context(_PAGE_STYLE):
        figure, axis = plt.subplots(figsize=_SIZE, layout=layout)
        draw(axis)
        if floors is not None:
            floors(axis)
    label = _in_words(figure)
    return for_page(svg(figure, _PAGE_STYLE).decode(), key, label)


def _in_words(figure: Any) -> str:
    """What a chart shows, for those who do not see it: its title, and from where to where each line goes."""
    title = figure.axes[0].get_title() or "probability densities of real and generated numbers"
    lines = [line for axis in figure.axes for line in axis.get_lines() if not line.get_label().startswith("_")]
    ends = [(line.get_label().replace("$", ""), np.asarray(line.get_ydata(), float)) for line in lines]
    if not figure.axes[0].get_title():
        return f"{title}: {', '.join(name for name, _ in ends)}"
    said = [f"{name} from {y[0]:.3g} to {y[-1]:.3g}" for name, y in ends if len(y) > 2]
    return f"{title}, by {figure.axes[0].get_xlabel()}: {'; '.join(said) or 'see the table'}"


def for_page(content: str, key: str, label: str) -> str:
    """An SVG file of matplotlib's as <svg>: `key` before its ids, as wide as there is room, in the page's colours."""
    head, body = content[content.index("<svg") :].split(">", 1)
    head = re.sub(r"\s(?:width|height)=\"[^\"]*\"", "", head)
    head = head.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"')
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{key}-", body)
    # The page's own colours, which follow its light or dark scheme.
    body = body.replace(_INK, "currentColor").replace(BLUE.lower(), "var(--accent)")
    return re.sub(r"\s*\n\s*", " ", f"{head}>{body}")
