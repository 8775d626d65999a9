"""Eyes, brows, nose, mouth, beard and glasses of a cartoon face."""

from __future__ import annotations

import numpy as np

from tfgan_lab.data.cartoon.parts import CY, INK, WHITE, Look, head_outline
from tfgan_lab.data.cartoon.pen import (
    Colour,
    Dice,
    Pen,
    Points,
    both_sides,
    dark,
    ellipse,
    light,
    mix,
    shifted,
    smooth,
)

_Pair = tuple[float, float]
BEARDS = {"none": 6.0, "full": 1.4, "stubble": 1.2, "goatee": 0.7, "circle": 0.8, "moustache": 0.9}
_EYES = {"open": 5.0, "dot": 1.3, "smiling": 1.0, "sleepy": 1.0, "wink": 0.6, "lashes": 2.2}
_MOUTHS = {
    "line": 2.0, "smirk": 1.0, "laugh": 2.0, "teeth": 2.0, "lips": 2.4, "oh": 0.6, "flat": 0.7, "sad": 0.5,
    "tongue": 0.5,
}  # fmt: skip
_IRISES: tuple[Colour, ...] = (
    (62, 38, 26), (92, 56, 32), (124, 84, 44), (88, 120, 66), (70, 132, 120), (74, 128, 180), (110, 128, 146),
)  # fmt: skip
_LIPS: tuple[Colour, ...] = ((196, 60, 72), (176, 72, 78), (214, 84, 104), (150, 52, 60))
_FRAMES: tuple[Colour, ...] = (
    INK, (120, 60, 40), (180, 40, 60), (50, 80, 150), (196, 160, 80), (90, 90, 96),
)  # fmt: skip


def eyes(pen: Pen, look: Look, dice: Dice) -> None:
    """Both eyes with brows above them."""
    y = CY + 2 + dice.span(-1, 2)
    gap = look.rx * dice.span(0.40, 0.48)
    rx, ry = dice.span(6.2, 8.2), dice.span(4.2, 7.2)
    gaze = dice.span(-2.6, 2.6), dice.span(-0.8, 0.8)
    iris, kind = dice.pick(_IRISES), dice.weighted(_EYES)
    for sign in (-1, 1):
        eye = pen.at(sign * gap + look.turn, y, sign)
        look_x = gaze[0] * sign  # The pen runs outwards, the gaze goes one way.
        if kind == "smiling" or (kind == "wink" and sign == look.side):
            eye.stroke([(-rx, 1.5), (0, -3.2), (rx, 1.5)], 2.6, INK)
        elif kind == "dot":
            eye.oval(look_x * 0.4, 0, 3.4, 4.4, INK)
            eye.oval(look_x * 0.4 + 1.2 * sign, -1.6, 1.1, 1.1, WHITE)
        else:
            _open_eye(eye, look, (rx, ry), (look_x, gaze[1]), iris, kind, sign)
    _brows(pen, look, dice, y, gap, ry)


def _open_eye(pen: Pen, look: Look, size: _Pair, gaze: _Pair, iris: Colour, kind: str, sign: int) -> None:
    (rx, ry), (px, py) = size, gaze
    lid = [(-rx, 0.4), (-rx * 0.55, -ry * 0.82), (0, -ry), (rx * 0.55, -ry * 0.82), (rx, 0.4)]
    white = smooth([*lid, (rx * 0.5, ry * 0.75), (0, ry * 0.9), (-rx * 0.5, ry * 0.75)])
    radius = min(rx, ry) * 0.78 + 0.6
    shapes: list[tuple[Points, Colour]] = [
        (white, WHITE),
        (ellipse(px, py, radius, radius), dark(iris, 0.3)),
        (ellipse(px, py, radius * 0.84, radius * 0.84), iris),
        (ellipse(px, py, radius * 0.48, radius * 0.48), INK),
        (
            ellipse(px + sign * radius * 0.36, py - radius * 0.4, radius * 0.26, radius * 0.26),
            (255, 255, 255),
        ),
    ]
    if kind == "sleepy":
        shapes.append(([(-12, -12), (12, -12), (12, -0.6), (-12, -0.6)], dark(look.skin, 0.12)))
        lid = [(-rx, 0), (0, -0.6), (rx, 0)]
    pen.inside(white, shapes)
    pen.stroke(lid, 2.6 if kind == "lashes" else 1.7, INK, taper=0.4)
    if kind == "lashes":
        for k in (0.55, 0.95):
            root = ry * (1.15 - 0.9 * k)
            pen.stroke([(rx * k, -root), (rx * k + 3.2, -root - 2.6)], 1.5, INK)


def _brows(pen: Pen, look: Look, dice: Dice, y: float, gap: float, ry: float) -> None:
    colour = dark(look.hair, 0.3) if sum(look.hair) > 240 else mix(look.hair, look.skin, 0.12)
    width, lift = dice.span(2.0, 5.0), ry + dice.span(5.0, 8.0)
    arch, slope = dice.span(0.5, 4.0), dice.span(-2.6, 2.6)
    raised = dice.span(2, 4) if dice.chance(0.15) else 0.0
    for sign in (-1, 1):
        brow = pen.at(sign * gap + look.turn, y - lift - (raised if sign == look.side else 0.0), sign)
        brow.stroke([(-8, slope), (1, -arch), (9, 1 - slope * 0.5)], width, colour, taper=0.45)


def nose(pen: Pen, look: Look, dice: Dice) -> None:
    """One of five noses."""
    pen = pen.at(look.turn * 1.5, CY + dice.span(14, 18), look.side)
    width, shade = dice.span(4, 6.5), dark(look.skin, 0.24)
    kind = dice.pick(("button", "hook", "wedge", "arc", "nostrils"))
    if kind == "button":
        pen.oval(0, 0, width, width * 0.8, dark(look.skin, 0.15))
        pen.oval(-1, -1.2, width * 0.72, width * 0.5, look.skin)
    elif kind == "hook":
        pen.stroke([(0, -13), (1.5, -5), (width, 1), (1, 3)], 2.0, shade)
    elif kind == "wedge":
        pen.blob([(-1.5, -9), (1.5, -9), (width, 1), (0, 3.4), (-width, 1)], dark(look.skin, 0.14))
    elif kind == "arc":
        pen.stroke([(-width, 0), (-width * 0.4, 2.6), (width * 0.4, 2.6), (width, 0)], 2.0, shade)
    else:
        pen.oval(0, -1, width, width * 0.62, dark(look.skin, 0.08))
        for sign in (-1, 1):
            pen.oval(sign * 2.4, 1, 1.4, 1.0, dark(look.skin, 0.42))


def mouth(pen: Pen, look: Look, dice: Dice) -> None:
    """One of nine mouths."""
    pen = pen.at(look.turn * 1.2, CY + look.ry * dice.span(0.60, 0.67))
    half, curve, depth = dice.span(8, 14), dice.span(2, 6), dice.span(7, 11)
    lip = mix(look.skin, dice.pick(_LIPS), dice.span(0.45, 0.9))
    kind = dice.weighted(_MOUTHS)
    if kind in ("line", "flat", "sad", "smirk"):
        bend = {"line": 0.5, "flat": 0.0, "sad": -0.4, "smirk": 0.35}[kind] * curve
        skew = 2.4 * look.side if kind == "smirk" else 0.0
        pen.stroke([(-half, skew - bend), (0, bend), (half, -bend - skew)], 2.6, dark(lip, 0.35), taper=0.3)
        pen.stroke([(-4, bend + 5), (4, bend + 5)], 1.6, dark(look.skin, 0.16), taper=0.8)
    elif kind == "lips":
        pen.blob([(-half, 0), (-4, -3.6), (0, -2.2), (4, -3.6), (half, 0), (0, curve * 0.8)], dark(lip, 0.12))
        pen.blob([(-half, 0), (0, 0.6), (half, 0), (half * 0.5, 4.4), (0, 5.6), (-half * 0.5, 4.4)], lip)
        pen.stroke([(-half, 0), (-4, 0.4), (0, 1.2), (4, 0.4), (half, 0)], 1.3, dark(lip, 0.5))
    elif kind == "oh":
        pen.oval(0, 1, 5.4, 6.4, lip)
        pen.oval(0, 1, 3.4, 4.4, (112, 28, 40))
    else:
        _open_mouth(pen, kind, half, depth * (0.65 if kind == "teeth" else 1.0), dark(lip, 0.25))


def _open_mouth(pen: Pen, kind: str, half: float, depth: float, rim: Colour) -> None:
    corner = [(half * 0.62, depth * 0.62), (0, depth), (-half * 0.62, depth * 0.62)]
    gape = smooth([(-half, -2.5), (0, -1), (half, -2.5), *corner])
    pen.fill(gape, WHITE if kind == "teeth" else (112, 28, 40))
    if kind != "teeth":
        teeth = smooth([(-20, -6), (20, -6), (20, 1.2), (0, 2.2), (-20, 1.2)])
        pen.inside(gape, [(ellipse(0, depth + 1, half * 0.55, depth * 0.55), (226, 92, 100)), (teeth, WHITE)])
    if kind == "tongue":
        tongue = [(-4.5, depth - 3), (4.5, depth - 3), (4, depth + 4), (0, depth + 6), (-4, depth + 4)]
        pen.blob(tongue, (232, 98, 110))
    pen.line(np.concatenate([gape, gape[:1]]), 1.6, rim)


def beard(pen: Pen, look: Look, dice: Dice) -> None:
    """Drawn before the mouth, which lies on it."""
    y, chin = CY + look.ry * 0.62, CY + look.ry
    lip, colour = y - dice.span(7, 9), mix(look.hair, look.skin, 0.08)
    if look.beard in ("full", "stubble"):
        outline = head_outline(look)
        if look.beard == "stubble":
            colour = mix(look.skin, look.hair, 0.28)
        else:
            jaw = outline[np.arange(2, 35, 3)] * (1.03, 1.0) + (0, dice.span(1, 7))
            pen.fill(smooth(jaw, closed=False), colour)
        edge = [(99, CY - 2), (look.rx * 0.86, CY + 6), (look.rx * 0.72, y - 8), (12, lip - 2), (0, lip)]
        below = np.concatenate([smooth(both_sides(edge), closed=False), [(-99, 200), (99, 200)]])
        pen.inside(outline, [(shifted(below, look.turn, 0), colour)])
    if look.beard == "circle":
        ring = [
            (11, y - 4),
            (13, y + 8),
            (8, chin - 1),
            (-8, chin - 1),
            (-13, y + 8),
            (-11, y - 4),
            (0, lip + 1),
        ]
        pen.at(look.turn, 0).blob(ring, colour)
    if look.beard == "goatee":
        pen.oval(look.turn, chin - 3, 8, 8, colour)
    if look.beard in ("moustache", "circle"):
        end = 5 - dice.span(-3, 4)
        half = [(0, 1), (8, 0.5), (16, end), (9, 6), (0, 4.5)]
        pen.at(look.turn * 1.2, lip).blob(both_sides(half), colour)


def glasses(pen: Pen, look: Look, dice: Dice) -> None:
    """Round to square spectacles on about a quarter of the faces, some of them tinted."""
    if not dice.chance(0.27):
        return
    gap, frame, power = look.rx * 0.46, dice.pick(_FRAMES), dice.pick((1.0, 0.77, 0.45))
    rx, ry, tinted = gap - 2.2, dice.span(9.5, 12.5), dice.chance(0.25)
    angles = np.linspace(0, 2 * np.pi, 40)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lens = np.sign(ring) * np.abs(ring) ** power * (rx, ry)
    for sign in (-1, 1):
        side = pen.at(sign * gap + look.turn, CY + 2.5, sign)
        if tinted:
            glass = dark(frame, 0.55)
            glint = [(-rx * 0.7, ry), (-rx * 0.2, ry), (rx * 0.5, -ry), (0, -ry)]
            side.fill(lens, glass)
            side.inside(lens, [(glint, light(glass, 0.22))])
        side.line(lens, 2.2, frame)
        side.line([(rx, -1.5), (look.rx + 1 - gap - 1.4 * look.turn * sign, -3.0)], 2.0, frame)
    pen.at(look.turn, CY + 2.5).stroke([(rx - gap, -1), (0, -3), (gap - rx, -1)], 2.2, frame)
