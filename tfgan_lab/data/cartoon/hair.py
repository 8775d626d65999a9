"""Hair and hats of a cartoon face."""

from __future__ import annotations

import numpy as np

from tfgan_lab.data.cartoon.parts import CY, Look
from tfgan_lab.data.cartoon.pen import Colour, Dice, Pen, both_sides, dark, ellipse, light, mirrored, smooth

STYLES: dict[str, float] = {
    "bald": 0.5, "buzz": 0.8, "short": 1.4, "quiff": 1.2, "spiky": 0.9, "curly": 1.2, "mohawk": 0.3,
    "afro": 1.0, "bob": 1.3, "long": 1.6, "wavy": 1.4, "ringlets": 1.0, "bun": 0.9, "tail": 0.8,
    "pigtails": 0.6,
}  # fmt: skip
HATS: dict[str, float] = {
    "none": 12.0, "beanie": 0.9, "cap": 0.9, "brim": 0.7, "band": 0.8, "bow": 0.5, "phones": 0.5, "scarf": 0.5,
}  # fmt: skip
COVERING = ("beanie", "cap", "brim", "scarf")  # Hats that hide the crown.


def _even(*right: tuple[float, float]) -> list[tuple[float, float]]:
    """A symmetric hairline from its right half and its middle."""
    return [*right, *((-x, y) for x, y in right[-2::-1])]


# Hairlines from the right temple to the left one: x in half widths of the head, y in half heights.
_LINES: dict[str, list[tuple[float, float]]] = {
    "round": _even((1.0, 0.0), (0.9, -0.42), (0.55, -0.62), (0.0, -0.67)),
    "fringe": _even((1.0, 0.06), (0.88, -0.3), (0.45, -0.36), (0.0, -0.38)),
    "centre": _even((1.0, 0.1), (0.86, -0.2), (0.5, -0.5), (0.0, -0.82)),
    "peak": _even((1.0, 0.0), (0.88, -0.5), (0.46, -0.72), (0.0, -0.56)),
    "receding": _even((1.0, 0.0), (0.84, -0.5), (0.62, -0.84), (0.0, -0.72)),
    "side": [(1.0, 0.0), (0.9, -0.42), (0.5, -0.76), (0.1, -0.56), (-0.4, -0.38), (-0.84, -0.3), (-1.0, 0.06)],
    "sweep": [(1.0, 0.1), (0.86, -0.14), (0.55, -0.3), (0.1, -0.48), (-0.5, -0.7), (-0.9, -0.44), (-1.0, 0.0)],
    "choppy": [(1.0, 0.06), (0.72, -0.44), (0.56, -0.24), (0.3, -0.46), (0.08, -0.26), (-0.2, -0.46),
               (-0.4, -0.26), (-0.66, -0.46), (-1.0, 0.06)],
}  # fmt: skip
_LINES_OF: dict[str, tuple[str, ...]] = {
    "buzz": ("round", "peak", "receding"),
    "short": ("side", "round", "fringe", "choppy", "receding"),
    "quiff": ("round", "peak", "side"),
    "spiky": ("choppy", "round", "peak"),
    "curly": ("round", "fringe", "peak"),
    "afro": ("round", "round", "peak"),
    "bun": ("round", "side", "centre"),
    "tail": ("side", "sweep", "fringe"),
}
_GROWTH = {"buzz": 1.02, "short": 1.08, "curly": 1.12, "afro": 1.18, "spiky": 1.05, "ringlets": 1.16}
_LONG_LINES = ("fringe", "side", "centre", "sweep", "centre", "choppy")


def _crown(look: Look, grow: float, kind: str, start: float = 176, end: float = 364) -> np.ndarray:
    """The outer edge of the hair from the left temple over the top to the right one. [N, 2]"""
    degrees = np.linspace(start, end, 61)
    angle = np.radians(degrees)
    radius = np.full_like(angle, grow)
    lift = np.sin(np.clip((degrees - 180) / 180, 0, 1) * np.pi)
    if kind in ("curly", "afro", "ringlets"):
        radius += 0.07 * np.abs(np.sin(np.radians(degrees - start) * 6))
    elif kind == "spiky":
        radius += 0.26 * lift * (1 - np.abs(((degrees - 180) / 22) % 1 * 2 - 1))
    elif kind == "quiff":
        radius += 0.3 * np.exp(-(((degrees - 270 - 24 * look.side) / 34) ** 2))
    else:
        radius += 0.05 * lift
    return np.stack([look.rx * radius * np.cos(angle), CY + look.ry * radius * np.sin(angle)], axis=1)


def back(pen: Pen, look: Look, dice: Dice) -> None:
    """Hair behind the head and the body."""
    shade, covered = dark(look.hair, 0.22), look.hat in COVERING
    if look.hat == "scarf":
        return
    if look.style == "afro":
        ring = _crown(look, 1.22 if covered else dice.span(1.25, 1.5), "afro", 90, 450)
        pen.at(0, -7).fill(ring, shade)
    elif look.style == "bun" and not covered:
        bun = pen.at(0, CY - look.ry - 7)
        bun.oval(0, 0, 14, 12, shade)
        bun.stroke([(-8, -1), (0, -8), (9, -2)], 1.5, dark(shade, 0.2))
    elif look.style == "tail":
        tail = [(18, -34), (48, -30), (60, 4), (52, 44), (46, 14), (30, -8)]
        pen.at(0, CY, look.side).blob(tail, shade)
    elif look.style == "pigtails":
        for sign in (-1, 1):
            side = pen.at(0, CY, sign)
            side.blob([(32, -14), (48, -16), (60, 8), (54, 42), (44, 20)], shade)
            side.oval(39, -8, 4.5, 4.5, look.accent)
    elif look.style in ("bob", "long", "wavy", "ringlets"):
        pen.fill(_curtain(look, dice), shade)


def _curtain(look: Look, dice: Dice) -> np.ndarray:
    """Hair that hangs down behind the face."""
    bottom = CY + (look.ry * dice.span(0.72, 1.0) if look.style == "bob" else look.ry * dice.span(1.5, 2.3))
    spread = look.rx * (dice.span(1.12, 1.26) if look.style != "ringlets" else dice.span(1.3, 1.45))
    heights = np.linspace(CY - 4, bottom, 40)
    waves = {"wavy": 3.0, "ringlets": 4.5}.get(look.style, 0.0)
    wiggle = waves * np.abs(np.sin((heights - CY) / (11 if look.style == "wavy" else 7)))
    flare = np.linspace(0, dice.span(-4, 8), 40)
    edge = np.stack([spread + wiggle + flare, heights], axis=1)
    top = ellipse(0, CY - 4, spread, look.ry * 1.08, 180, 360)
    floor = [(edge[-1, 0] - 5, bottom + 4)]
    return np.concatenate([top, both_sides([*edge, *floor])])


def front(pen: Pen, look: Look, dice: Dice) -> None:
    """Hair over the forehead."""
    covered = look.hat in COVERING
    if look.style == "bald" or look.hat == "scarf" or (look.style == "mohawk" and covered):
        return
    if look.style == "mohawk":
        comb = [(8, 14), (12, -4), (9, -17), (0, -21)]
        pen.at(0, CY - look.ry).blob(both_sides(comb), look.hair)
        return
    kind = "short" if covered else look.style
    crown = _crown(look, _GROWTH.get(kind, 1.1) + dice.span(0.0, 0.05), kind)
    name = dice.pick(_LINES_OF.get(look.style, _LONG_LINES))
    line = np.array(_LINES[name]) * (look.rx * 1.01, look.ry) + (0, CY)
    if look.side < 0:
        line = mirrored(line)
    if name != "choppy":
        line = smooth(line, closed=False)
    pen.fill(np.concatenate([crown, line]), look.hair)
    if kind != "buzz" and not covered:
        _strands(pen, look, dice, crown, line[::-1])


def _strands(pen: Pen, look: Look, dice: Dice, crown: np.ndarray, line: np.ndarray) -> None:
    """A few darker strands and a bright one, from the crown towards the hairline."""
    shade, sheen = dark(look.hair, 0.25), light(look.hair, 0.25)
    for width, colour in ((1.8, shade), (1.8, shade), (1.8, shade), (2.6, sheen)):
        at = dice.span(0.15, 0.85)
        outer, inner = crown[int(at * len(crown))], line[int((at * 0.5 + 0.25) * len(line))]
        start, stop = outer + (inner - outer) * 0.2, outer + (inner - outer) * 0.85
        bow = (start + stop) / 2 + (3.0 if outer[0] > 0 else -3.0, 0.0)
        pen.stroke([start, bow, stop], width, colour, taper=0.9)


def locks(pen: Pen, look: Look, dice: Dice) -> None:
    """Long hair that falls over the shoulders, in front of the body."""
    if look.style not in ("long", "wavy") or look.hat == "scarf" or not dice.chance(0.6):
        return
    bottom, waves = CY + look.ry * dice.span(1.4, 2.0), 2.5 if look.style == "wavy" else 0.6
    heights = np.linspace(CY - 6, bottom, 24)
    swing = waves * np.sin((heights - CY) / 8)
    close = np.linspace(0, 1, 24) ** 3 * look.rx * 0.17  # Locks end in a point.
    outer = np.stack([look.rx * 1.16 + swing - close, heights], axis=1)
    inner = np.stack([look.rx * 0.82 + swing + close, heights], axis=1)
    for sign in (-1, 1):
        pen.fill(np.concatenate([outer, inner[::-1]]) * (sign, 1), look.hair)


def hat(pen: Pen, look: Look, dice: Dice) -> None:
    """What is worn on the head; most heads are bare."""
    rx, ry, cloth = look.rx * 1.1, look.ry, look.accent
    brow, middle = pen.at(0, CY - ry * 0.5), pen.at(0, CY)
    if look.hat == "beanie":
        _beanie(brow, rx, ry, cloth, pompom=dice.chance(0.6))
    elif look.hat == "cap":
        brow.fill(ellipse(0, 0, rx, ry * 0.66, 180, 360), cloth)
        brow.at(0, 0, look.side).blob([(-22, -2), (20, -6), (58, 2), (54, 7), (10, 3)], dark(cloth, 0.25))
        brow.oval(0, -ry * 0.64, 2.5, 2.2, dark(cloth, 0.2))
    elif look.hat == "brim":
        brow.oval(0, -3, rx * 1.5, 9, dark(cloth, 0.2))
        half = [(rx * 0.94, -4), (rx * 0.9, -2 - ry * 0.5), (rx * 0.6, -13 - ry * 0.5), (0, -11 - ry * 0.5)]
        brow.fill(both_sides(smooth(half, closed=False)), cloth)
        brow.line(ellipse(0, -10, rx * 0.92, 5, 172, 8), 7, dark(cloth, 0.5))
        brow.line(ellipse(0, -3, rx * 1.48, 8, 172, 8), 3.0, cloth)
    elif look.hat == "band":
        middle.line(ellipse(0, 0, look.rx * 1.06, ry * 0.9, 200, 340), 6, cloth)
    elif look.hat == "bow":
        knot = middle.at(look.side * look.rx * 0.62, -ry * 0.86)
        for sign in (-1, 1):
            knot.at(0, 0, sign).blob([(0, 0), (14, -9), (15, 8)], cloth)
        knot.oval(0, 0, 4, 4.5, dark(cloth, 0.2))
    elif look.hat == "phones":
        middle.line(ellipse(0, 0, look.rx * 1.2, ry * 1.14, 183, 357), 5, dark(cloth, 0.45))
        for sign in (-1, 1):
            middle.oval(sign * look.rx * 1.12, 4, 7, 12, cloth)
            middle.oval(sign * look.rx * 1.16, 4, 4, 9, dark(cloth, 0.25))


def _beanie(pen: Pen, rx: float, ry: float, cloth: Colour, *, pompom: bool) -> None:
    pen.fill(ellipse(0, 0, rx, ry * 0.76, 180, 360), cloth)
    if pompom:
        pen.oval(0, -ry * 0.8, 8, 8, light(cloth, 0.5))
    cuff = ellipse(0, 8, rx + 1, 13, 186, 354)
    pen.line(cuff, 13, dark(cloth, 0.18))
    for x, y in cuff[::2]:
        pen.line([(x, y - 4), (x, y + 4)], 1.2, dark(cloth, 0.32))


def scarf(pen: Pen, look: Look, *, behind: bool) -> None:
    """A head scarf: a hood behind the head, then a rim around the face."""
    if look.hat != "scarf":
        return
    pen, rx, ry, cloth = pen.at(0, CY), look.rx, look.ry, look.accent
    if behind:
        half = [(1.5, 4.0), (1.5, 1.45), (1.15, 1.0), (1.22, 0.0), (0.9, -0.9), (0.4, -1.16), (0.0, -1.2)]
        pen.fill(both_sides(smooth(half, closed=False)) * (rx, ry), dark(cloth, 0.25))
        return
    outer, face = ellipse(0, 0, rx * 1.16, ry * 1.14), ellipse(0, 3, rx * 0.88, ry * 0.92, 360, 0)
    pen.fill(np.concatenate([outer, face]), cloth)
    chin = pen.at(0, ry * 0.9)
    chin.blob([(-rx * 0.95, -18), (0, 3), (rx * 0.95, -18), (rx * 1.25, 14), (10, 32), (-rx * 1.25, 14)], cloth)
    chin.stroke([(-rx * 0.9, -6), (0, 10), (rx * 0.95, -4)], 1.8, dark(cloth, 0.25), taper=0.6)
