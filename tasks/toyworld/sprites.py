"""The toy world's bodies and things as shapes: a pen that turns and mirrors, and what it draws.

Lengths are in units of a 224-unit frame, y downwards; a body stands with its feet at (0, 0) and
looks to the right before the pen mirrors it. `Pose` angles are in radians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

PAINT: dict[str, Colour] = {
    "red": (222, 54, 48), "blue": (52, 102, 226), "green": (58, 172, 84),
    "yellow": (244, 206, 56), "white": (246, 246, 248), "purple": (150, 74, 196),
    "": (150, 104, 60),
}  # fmt: skip
INK: Colour = (38, 34, 44)
SKIN: Colour = (246, 208, 170)
STEEL: Colour = (172, 178, 190)
ORANGE: Colour = (246, 148, 40)


@dataclass(frozen=True)
class Pose:
    """How a body holds itself. `stride` swings the legs, `front` and `back` raise the arms from
    hanging (0) to straight up (pi); `mood` is 1 for a smile, -1 for a frown; `asleep` shuts eyes.
    """

    stride: float = 0.0
    front: float = 0.4
    back: float = -0.3
    mood: int = 0
    asleep: bool = False
    kick: float = 0.0


class Pen:
    """Draws in local units on a canvas of `scale` pixels a unit.

    `at` is where the local origin lies in frame units, `face` 1 or -1 mirrors, `turn` rotates
    (radians, clockwise as seen), `zoom` enlarges.
    """

    def __init__(
        self,
        canvas: ImageDraw.ImageDraw,
        scale: float,
        at: Point = (0, 0),
        face: int = 1,
        turn: float = 0.0,
        zoom: float = 1.0,
    ) -> None:
        self.canvas = canvas
        self.scale = scale
        self._at = at
        self._x = (face * zoom * math.cos(turn), zoom * math.sin(turn))
        self._y = (-face * zoom * math.sin(turn), zoom * math.cos(turn))
        self._plain = turn == 0.0
        self._zoom = zoom

    def place(self, at: Point, face: int = 1, turn: float = 0.0, zoom: float = 1.0) -> Pen:
        """Another pen on the same canvas."""
        return Pen(self.canvas, self.scale, at, face, turn, zoom)

    def _pixel(self, point: Point) -> Point:
        x, y = point
        return (
            (self._at[0] + x * self._x[0] + y * self._y[0]) * self.scale,
            (self._at[1] + x * self._x[1] + y * self._y[1]) * self.scale,
        )

    def _width(self, units: float) -> int:
        return max(1, round(units * self._zoom * self.scale))

    def poly(self, points: Sequence[Point], fill: Colour, line: float = 1.3) -> None:
        """A filled polygon with an outline `line` units wide."""
        pixels = [self._pixel(point) for point in points]
        self.canvas.polygon(pixels, fill=fill)
        if line:
            self.canvas.line([*pixels, pixels[0]], fill=INK, width=self._width(line), joint="curve")

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """An outlined rectangle."""
        self.poly(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), fill)

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, line: float = 1.3
    ) -> None:
        """An outlined ellipse around (x, y)."""
        if self._plain or rx == ry:
            cx, cy = self._pixel((x, y))
            px, py = rx * self._zoom * self.scale, ry * self._zoom * self.scale
            width = self._width(line) if line else 0
            self.canvas.ellipse(
                (cx - px, cy - py, cx + px, cy + py), fill=fill, outline=INK, width=width
            )
            return
        steps = [k * math.tau / 24 for k in range(24)]
        self.poly([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in steps], fill, line)

    def stroke(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A thick line with round ends."""
        pixels = [self._pixel(point) for point in points]
        self.canvas.line(pixels, fill=fill, width=self._width(width), joint="curve")
        radius = self._width(width) / 2
        for x, y in (pixels[0], pixels[-1]):
            self.canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def limb(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A stroke with an outline."""
        self.stroke(points, INK, width + 2.4)
        self.stroke(points, fill, width)


def _face(pen: Pen, x: float, y: float, pose: Pose) -> None:
    """Eye and mouth of a head around (x, y) that looks to the right."""
    if pose.asleep:
        pen.stroke(((x + 1, y - 1), (x + 6, y - 1)), INK, 1.6)
    else:
        pen.oval(x + 4, y - 2, 1.9, 2.4, INK, 0)
    bend = 3.0 * pose.mood
    pen.stroke(((x, y + 5), (x + 4, y + 5 + bend * 0.8), (x + 8, y + 5 - bend * 0.5)), INK, 1.6)


def _tip(start: Point, angle: float, length: float) -> Point:
    """The end of a limb raised by `angle` from hanging, forwards."""
    return (start[0] + length * math.sin(angle), start[1] + length * math.cos(angle))


def _human(pen: Pen, paint: Colour, pose: Pose, woman: bool) -> None:
    hip, shoulder = (0.0, -34.0), (0.0, -60.0)
    trousers = (66, 70, 92)
    pen.limb((shoulder, _tip(shoulder, pose.back, 26)), SKIN, 5)
    for angle in (-pose.stride - 0.12, pose.stride + pose.kick + 0.08):  # never one leg
        knee = _tip(hip, angle + 0.15, 16)
        pen.limb((hip, knee, _tip(knee, angle - 0.1, 16)), SKIN if woman else trousers, 6)
    if woman:
        pen.poly(((-6, -66), (6, -66), (17, -22), (-17, -22)), paint)
    else:
        pen.poly(((-11, -66), (11, -66), (9, -30), (-9, -30)), paint)
    if woman:  # long hair, seen from the side
        pen.oval(-4, -78, 12, 16, (120, 66, 30))
    pen.oval(0, -78, 11, 12, SKIN)
    if woman:
        pen.poly(((-11, -78), (-9, -88), (0, -92), (10, -87), (3, -84)), (120, 66, 30), 0)
    else:
        pen.poly(((-11, -80), (-11, -91), (9, -92), (12, -84), (-4, -84)), (70, 46, 30))
    _face(pen, 0, -77, pose)
    pen.limb((shoulder, _tip(shoulder, pose.front, 27)), SKIN, 5)


def _robot(pen: Pen, paint: Colour, pose: Pose) -> None:
    pen.limb(((-11, -56), _tip((-11, -56), pose.back, 26)), STEEL, 5)
    for x, angle in ((-7, -pose.stride), (7, pose.stride + pose.kick)):
        foot = _tip((x, -26), angle, 24)
        pen.limb(((x, -26), foot), STEEL, 7)
        pen.box(foot[0] - 5, foot[1] - 3, foot[0] + 8, foot[1] + 3, STEEL)
    pen.box(-16, -64, 16, -26, paint)
    pen.box(-9, -56, 9, -46, (225, 228, 235))
    pen.stroke(((0, -86), (0, -98)), INK, 2)
    pen.oval(0, -99, 3.5, 3.5, ORANGE)
    pen.box(-13, -88, 13, -66, STEEL)
    for x in (-2, 8):
        pen.oval(x, -79, 3.2, 1 if pose.asleep else 3.2, (90, 235, 245))
    bend = 2.5 * pose.mood
    pen.stroke(((-4, -70), (3, -70 + bend), (10, -70)), INK, 1.8)
    pen.limb(((13, -56), _tip((13, -56), pose.front, 27)), STEEL, 5)


def _dog(pen: Pen, paint: Colour, pose: Pose) -> None:
    wag = (pose.front - 0.4) * 0.25
    pen.limb(((-24, -30), (-34, -40), _tip((-34, -40), 3.6 - wag, 10)), paint, 5)
    for x, angle in ((-18, -pose.stride), (-12, pose.stride), (14, -pose.stride)):
        pen.limb(((x, -20), _tip((x, -20), angle, 18)), paint, 5)
    pen.limb(
        ((19, -22), _tip((19, -22), pose.stride + max(pose.kick, pose.front - 0.4), 20)), paint, 5
    )
    pen.oval(0, -28, 27, 13, paint)
    pen.oval(26, -46, 13, 12, paint)
    pen.oval(37, -42, 8, 6, paint)
    pen.oval(44, -44, 2.6, 2.4, INK, 0)
    pen.poly(((18, -54), (12, -38), (22, -42)), (92, 62, 44))
    _face(pen, 26, -46, pose)


def _bird(pen: Pen, paint: Colour, pose: Pose) -> None:
    for x, angle in ((-4, -pose.stride), (5, pose.stride + pose.kick)):
        foot = _tip((x, -16), angle, 15)
        pen.stroke(((x, -16), foot, (foot[0] + 6, foot[1])), ORANGE, 3)
    pen.poly(((-18, -30), (-38, -40), (-36, -26)), paint)
    pen.oval(0, -30, 22, 17, paint)
    pen.poly(((24, -56), (40, -50), (24, -46)), ORANGE)
    pen.oval(16, -52, 12, 12, paint)
    _face(pen, 16, -52, pose)
    wing = _tip((-4, -34), pose.front - 1.2, 26)
    pen.poly(((6, -36), (-10, -38), (wing[0] - 6, wing[1])), paint)


def body(pen: Pen, kind: str, colour: str, pose: Pose) -> None:
    """Draw one of the five kinds of actors."""
    paint = PAINT[colour]
    if kind in ("man", "woman"):
        _human(pen, paint, pose, kind == "woman")
    else:
        {"robot": _robot, "dog": _dog, "bird": _bird}[kind](pen, paint, pose)


def thing(pen: Pen, kind: str, colour: str) -> None:
    """Draw an object, a vehicle or the ladder, its lowest point at the origin."""
    paint = PAINT[colour]
    if kind == "ball":
        pen.oval(0, -13, 13, 13, paint)
        pen.stroke(((-10, -17), (0, -13), (10, -17)), INK, 1.4)
    elif kind == "box":
        pen.box(-13, -25, 13, 0, paint)
        pen.stroke(((-13, -18), (13, -18)), INK, 1.4)
        pen.stroke(((0, -25), (0, -18)), INK, 1.4)
    elif kind == "ladder":
        for x in (-13, 13):
            pen.limb(((x, 0), (x, -132)), paint, 3.5)
        for step in range(8):
            pen.limb(((-13, -10 - 16 * step), (13, -10 - 16 * step)), paint, 3)
    else:
        if kind == "car":
            pen.poly(((-52, -12), (-52, -30), (34, -30), (50, -24), (52, -12)), paint)
        else:
            pen.box(-54, -48, 2, -10, paint)
            pen.poly(((4, -10), (4, -32), (40, -32), (52, -22), (52, -10)), paint)
        for x in (-30, 30):
            pen.oval(x, -10, 10, 10, INK)
            pen.oval(x, -10, 4, 4, STEEL, 0)


# How tall a body stands, and where its mouth and hands are, in units.
HEIGHT = {"man": 92, "woman": 92, "robot": 100, "dog": 58, "bird": 64}
REACH = {
    "man": (24, -52), "woman": (24, -52), "robot": (32, -48), "dog": (46, -36), "bird": (38, -46)
}  # fmt: skip
HALF = {"man": 16, "woman": 17, "robot": 18, "dog": 40, "bird": 32}
