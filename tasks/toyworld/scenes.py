"""The toy world's six places, painted once a size; units of a 224-unit frame."""

from __future__ import annotations

from tasks.toyworld.sprites import Colour, Pen

_SKY: dict[str, tuple[Colour, Colour]] = {  # the sky's top and horizon colours
    "beach": ((96, 186, 246), (206, 236, 252)),
    "forest": ((150, 210, 214), (220, 240, 214)),
    "street": ((166, 196, 224), (226, 232, 240)),
    "kitchen": ((252, 238, 208), (246, 226, 190)),
    "snow field": ((176, 198, 226), (232, 240, 250)),
    "night road": ((14, 16, 50), (58, 54, 104)),
}
_FLOOR: dict[str, Colour] = {
    "beach": (242, 222, 160),
    "forest": (118, 172, 92),
    "street": (140, 142, 150),
    "kitchen": (214, 170, 122),
    "snow field": (238, 244, 252),
    "night road": (66, 68, 86),
}
HORIZON = 140.0


def paint_scene(pen: Pen, scene: str) -> None:
    """Sky, what stands at the horizon, and the floor."""
    top, low = _SKY[scene]
    for y in range(0, int(HORIZON), 4):
        part = y / HORIZON
        mix = tuple(round(a + (b - a) * part) for a, b in zip(top, low, strict=True))
        pen.poly(((0, y), (224, y), (224, y + 4), (0, y + 4)), (mix[0], mix[1], mix[2]), 0)
    pen.poly(((0, HORIZON), (224, HORIZON), (224, 224), (0, 224)), _FLOOR[scene], 0)
    _DETAILS[scene](pen)


def _beach(pen: Pen) -> None:
    pen.poly(((0, 112), (224, 112), (224, 142), (0, 146)), (44, 128, 204), 0)
    for x, y in ((20, 120), (80, 128), (140, 118), (190, 130)):
        pen.stroke(((x, y), (x + 16, y)), (190, 226, 246), 2)
    pen.oval(186, 34, 18, 18, (255, 230, 90), 0)
    pen.stroke(((30, 146), (34, 90)), (150, 110, 70), 5)
    for dx, dy in ((-24, 4), (-16, -16), (8, -22), (26, -6), (22, 10)):
        pen.stroke(((34, 90), (34 + dx, 90 + dy)), (60, 150, 80), 6)


def _forest(pen: Pen) -> None:
    for x, height in ((14, 96), (58, 76), (104, 100), (152, 80), (202, 104)):
        pen.poly(((x - 4, 146), (x + 4, 146), (x + 4, 124), (x - 4, 124)), (110, 78, 50), 0)
        for k in range(3):
            y, half = 130 - k * height * 0.26, 26 - 6 * k
            pen.poly(
                ((x - half, y), (x, y - height * 0.42), (x + half, y)), (52, 122 + 10 * k, 72), 0
            )
    for x in range(8, 224, 31):
        pen.stroke(((x, 176), (x + 3, 168), (x + 6, 176)), (88, 146, 70), 2)


def _street(pen: Pen) -> None:
    for x, y, paint in (
        (-6, 44, (196, 140, 112)),
        (66, 66, (150, 162, 178)),
        (142, 36, (206, 180, 136)),
    ):
        pen.poly(((x, y), (x + 68, y), (x + 68, 140), (x, 140)), paint, 1.2)
        for row in range(int(y) + 10, 124, 24):
            for column in (10, 30, 50):
                left = x + column
                window = ((left, row), (left + 11, row), (left + 11, row + 14), (left, row + 14))
                pen.poly(window, (232, 240, 250), 0.8)
    pen.poly(((0, 140), (224, 140), (224, 152), (0, 152)), (196, 196, 200), 0)
    for x in range(6, 224, 48):
        pen.stroke(((x, 212), (x + 24, 212)), (244, 244, 244), 3)


def _kitchen(pen: Pen) -> None:
    pen.poly(((18, 26), (78, 26), (78, 84), (18, 84)), (176, 218, 242), 2)
    pen.stroke(((48, 26), (48, 84)), (250, 250, 250), 3)
    pen.poly(((112, 84), (224, 84), (224, 144), (112, 144)), (150, 100, 62), 1.4)
    pen.poly(((106, 76), (224, 76), (224, 86), (106, 86)), (232, 226, 216), 1.4)
    for x in (130, 168, 206):
        pen.oval(x, 112, 3, 3, (236, 220, 180), 0)
    pen.poly(((136, 54), (164, 54), (160, 76), (140, 76)), (120, 126, 140), 1.4)
    for x in range(0, 224, 45):
        pen.stroke(((x, 144), (x - 20, 224)), (196, 150, 104), 1.6)


def _snow(pen: Pen) -> None:
    pen.poly(((0, 142), (60, 84), (110, 142)), (206, 218, 236), 0)
    pen.poly(((40, 103), (60, 84), (79, 107), (60, 100)), (252, 254, 255), 0)
    pen.poly(((96, 142), (168, 68), (240, 142)), (194, 208, 230), 0)
    pen.poly(((144, 93), (168, 68), (192, 93), (168, 86)), (252, 254, 255), 0)
    for k in range(26):  # steps that no small whole number fits, or the flakes stand in rows
        pen.oval((k * 61.8 + 9) % 224, (k * k * 7.3 + 5) % 136, 2.4, 2.4, (255, 255, 255), 0)
    for x in range(12, 224, 52):
        pen.stroke(((x, 170 + x % 30), (x + 22, 168 + x % 30)), (212, 224, 240), 2.4)


def _night(pen: Pen) -> None:
    pen.oval(38, 36, 17, 17, (248, 244, 210), 0)
    pen.oval(46, 31, 14, 14, (22, 22, 60), 0)
    for k in range(22):
        pen.oval((k * 53.7 + 17) % 224, (k * k * 5.9 + 6) % 104, 1.3, 1.3, (240, 240, 220), 0)
    pen.poly(
        ((0, 126), (50, 114), (120, 128), (180, 112), (224, 124), (224, 140), (0, 140)),
        (26, 34, 50),
        0,
    )
    pen.stroke(((196, 142), (196, 66), (176, 62)), (30, 30, 40), 4)
    pen.oval(174, 66, 8, 6, (255, 236, 150), 0)
    for x in range(0, 224, 56):
        pen.stroke(((x + 8, 184), (x + 38, 184)), (240, 214, 96), 4)


_DETAILS = {
    "beach": _beach, "forest": _forest, "street": _street, "kitchen": _kitchen,
    "snow field": _snow, "night road": _night,
}  # fmt: skip
