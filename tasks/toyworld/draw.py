"""One moment of an event as a picture: `draw(event, u)`.

Scenes are painted once and kept; bodies are drawn at twice the size and averaged down, which makes
smooth edges. Coordinates are units of a 224-unit frame, the ground's front line at `GROUND`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

from bench.cache import atomic_path
from tasks.toyworld.scenes import paint_scene
from tasks.toyworld.sprites import HALF, HEIGHT, INK, REACH, Pen, Pose, body, thing
from tasks.toyworld.world import SCENES, VERBS, Entity, Event

UNITS = 224
GROUND = 200.0


def draw(event: Event, u: float, size: int = 224) -> Image.Image:
    """The event at `u` of its length (0 to 1) as an RGB image of `size` x `size` pixels."""
    image = _background(event.scene, size).copy()
    scale = 2 * size / UNITS
    stage = Stage(Pen(ImageDraw.Draw(image), scale), event, u)
    stage.play()
    return image.reduce(2)


@lru_cache(maxsize=16)
def _background(scene: str, size: int) -> Image.Image:
    image = Image.new("RGB", (2 * size, 2 * size))
    paint_scene(Pen(ImageDraw.Draw(image), 2 * size / UNITS), scene)
    return image


@dataclass
class Stage:
    """Puts the event's bodies on the picture. `u` is the event's time from 0 to 1."""

    pen: Pen
    event: Event
    u: float

    def __post_init__(self) -> None:
        rng = random.Random(self.event.seed)
        self.face = self.event.direction
        self.mid = UNITS / 2 + rng.uniform(-10, 10)
        self.floor = GROUND + rng.uniform(-5, 5)
        self.phase = rng.uniform(0, math.tau)
        # Manner is speed as well as a sign: slow movement covers less ground and swings less.
        self.speed = {"slowly": 0.45, "quickly": 1.5}.get(self.event.manner, 1.0)
        self.mood = {"happily": 1, "sadly": -1}.get(self.event.manner, 0)
        self.swing = math.sin(self.phase + self.u * math.tau * 2 * self.speed)

    def play(self) -> None:
        """Draw the bystander, the action and the sign of its manner, back to front."""
        other = self.event.bystander
        if other is not None:
            x = 30 if self.mid + self.face * 20 > UNITS / 2 else UNITS - 30
            pen = self.pen.place((x, 172), 1 if x < UNITS / 2 else -1, zoom=0.68)
            body(pen, other.kind, other.colour, Pose())
        head = _ACTIONS[self.event.verb](self)
        self._manner(head)

    # --- parts that actions are made of ---

    def drift(self, length: float) -> float:
        """Where a movement over `length` units stands now, from -half to half, in `face`."""
        return self.face * (self.u - 0.5) * length * min(self.speed, 1.3)

    def act(
        self,
        x: float,
        lift: float = 0.0,
        face: int = 0,
        turn: float = 0.0,
        pose: Pose | None = None,
        who: Entity | None = None,
    ) -> tuple[float, float]:
        """Draw a body at `x`, `lift` units above the floor; returns where its head's top is."""
        who = who or self.event.actor
        y = self.floor - lift
        pen = self.pen.place((x, y), face or self.face, turn * (face or self.face))
        body(pen, who.kind, who.colour, pose or Pose(mood=self.mood))
        return x, y - HEIGHT[who.kind]

    def walk(self, stride: float = 0.55, front: float = 0.5, back: float = -0.5) -> Pose:
        """A walking pose at this moment."""
        return Pose(stride * self.swing * min(self.speed, 1.2), front, back, self.mood)

    def patient(self) -> Entity:
        """Arg1 of an event whose verb has one."""
        assert self.event.patient is not None
        return self.event.patient

    def put(self, x: float, y: float) -> None:
        """Draw the thing or vehicle of the event with its foot at (x, y)."""
        item = self.patient()
        thing(self.pen.place((x, y), self.face), item.kind, item.colour)

    def gap(self) -> float:
        """Half the distance of two bodies that stand beside each other without touching."""
        return (HALF[self.event.actor.kind] + HALF[self.patient().kind]) / 2

    # --- manner ---

    def _manner(self, head: tuple[float, float]) -> None:
        x, y = head
        y = max(y, 34)
        pen = self.pen
        if self.event.manner == "quickly":  # speed lines behind the actor
            for k in range(5):
                start = x - self.face * (30 + 7 * (k % 2))
                row = y + 14 + 13 * k
                length = 26 + 8 * math.sin(self.phase + 9 * self.u + k)
                ends = ((start, row), (start - self.face * length, row))
                pen.stroke(ends, INK, 4.4)
                pen.stroke(ends, (255, 255, 255), 2.6)
        elif self.event.manner == "slowly":  # a snail keeps the pace
            at = (self.mid + self.drift(30), 219.0)
            snail = pen.place(at, self.face, zoom=1.15)
            snail.poly(((-18, 0), (-8, -6), (10, -6), (15, -15), (21, -14), (19, 0)), (206, 190, 120))
            snail.oval(-2, -11, 10, 10, (190, 112, 60))
            snail.oval(-1, -11, 5, 5, (230, 170, 110))
            snail.stroke(((17, -15), (20, -22)), INK, 1.6)
        elif self.event.manner == "happily":  # hearts rise from the head
            for k in range(3):
                rise = (self.u * 1.5 + k / 3) % 1
                heart = pen.place((x + (k - 1) * 18, y - 4 - 18 * rise))
                heart.poly(
                    ((0, 8), (-8, -1), (-7, -6), (-3, -7), (0, -3), (3, -7), (7, -6), (8, -1)),
                    (250, 80, 130),
                )
        else:  # a rain cloud of its own
            for k in range(4):
                fall = (self.u * 3 + k * 0.37) % 1
                drop = (x - 15 + 10 * k, y - 4 + 20 * fall)
                pen.stroke((drop, (drop[0] - 1, drop[1] + 5)), (60, 120, 230), 2.6)
            for dx, dy, radius in ((-12, 0, 9), (12, 0, 9), (0, -4, 12)):
                pen.oval(x + dx, y - 14 + dy, radius, radius, (104, 110, 126))
            pen.oval(x, y - 11, 17, 6, (104, 110, 126), 0)


Head = tuple[float, float]


def _chase(s: Stage) -> Head:
    x = s.mid + s.drift(70)
    gap = s.gap() + 16
    s.act(x + s.face * gap, pose=Pose(-0.8 * s.swing, 2.4, 2.2), who=s.patient())
    hop = 5 * abs(s.swing)
    return s.act(x - s.face * gap, hop, turn=0.16, pose=s.walk(0.9, 1.4, 1.1))


def _approach(s: Stage) -> Head:
    gap = s.gap()
    s.act(s.mid + s.face * (gap + 24), face=-s.face, who=s.patient())
    return s.act(s.mid - s.face * (gap + 26) + s.drift(60) + s.face * 8, pose=s.walk(0.5, 0.9))


def _leave(s: Stage) -> Head:
    # The one left looks after the one who goes: both face the same way, far and further apart.
    s.act(s.mid - s.face * 66, pose=Pose(front=1.9, mood=-1), who=s.patient())
    return s.act(s.mid + s.face * 34 + s.drift(62), pose=s.walk(0.55))


def _hold(s: Stage) -> Head:
    dx, dy = REACH[s.event.actor.kind]
    head = s.act(s.mid, pose=Pose(0, 1.45, 1.3, s.mood))
    s.put(s.mid + s.face * (dx + 8), s.floor + dy + 6 + 1.5 * s.swing)
    return head


def _throw(s: Stage) -> Head:
    fly = min(max(s.u * 1.25 - 0.1, 0), 1)
    x = s.mid - s.face * 56
    head = s.act(x, turn=0.12, pose=Pose(0.4, 2.5 - 1.1 * fly, -1.0, s.mood))
    arc = 62 * math.sin(math.pi * fly) + 66 * (1 - fly)
    s.put(x + s.face * (28 + 112 * fly), s.floor - arc)
    return head


def _kick(s: Stage) -> Head:
    roll = min(max(s.u * 1.3 - 0.25, 0), 1)
    x = s.mid - s.face * 50
    lean = 1.25 if s.u < 0.75 else 0.6
    head = s.act(x, turn=-0.16, pose=Pose(-0.15, -0.8, 1.3, s.mood, kick=lean))
    s.put(x + s.face * (42 + 92 * roll), s.floor - 14 * math.sin(math.pi * roll))
    return head


def _carry(s: Stage) -> Head:
    x = s.mid + s.drift(70)
    height = HEIGHT[s.event.actor.kind]
    s.act(x, pose=s.walk(0.4, 2.95, 2.95))
    # Lying across the carrier's head, small enough to stay in the picture.
    item = s.patient()
    lying = item.kind in ("man", "woman", "robot")
    at = (x + s.face * -36 * lying, s.floor - height - 8 * lying)
    pen = s.pen.place(at, s.face, math.pi / 2 * s.face * lying, zoom=0.8)
    body(pen, item.kind, item.colour, Pose())
    return x + s.face * 10, s.floor - height - 22


def _hit(s: Stage) -> Head:
    gap = s.gap() + 14
    blow = max(math.sin(s.u * math.tau * 2 * s.speed + s.phase), 0)
    s.act(s.mid + s.face * gap, face=-s.face, turn=-0.25 * blow, who=s.patient())
    head = s.act(s.mid - s.face * gap, turn=0.15 * blow, pose=Pose(0.35, 1.7, -0.8, s.mood))
    at = (s.mid + s.face * 4, s.floor - 46)
    burst = []
    for k in range(16):
        radius = (24 if k % 2 else 11) * (0.75 + 0.35 * blow)
        burst.append(
            (at[0] + radius * math.cos(k * math.tau / 16), at[1] + radius * math.sin(k * math.tau / 16))
        )
    s.pen.poly(burst, (255, 226, 60))
    return head


def _push(s: Stage) -> Head:
    x = s.mid + s.drift(60)
    gap = s.gap() + 4
    s.act(x + s.face * gap, turn=0.3, pose=Pose(0.1, 2.2, 2.0), who=s.patient())
    return s.act(x - s.face * gap, turn=0.34, pose=s.walk(0.8, 1.5, 1.3))


def _jump(s: Stage) -> Head:
    up = abs(math.sin(math.pi * (s.u * 2 * max(s.speed, 0.5)) + s.phase))
    s.pen.oval(s.mid, s.floor, 24 - 10 * up, 4, (70, 70, 80), 0)
    return s.act(s.mid, 10 + 56 * up, pose=Pose(0.75 * up, 2.6, 2.4, s.mood))


def _fall(s: Stage) -> Head:
    # From the top to the floor; head first, legs in the air.
    x, y = s.mid, 60 + 100 * min(s.u * (0.6 + 0.5 * s.speed), 1)
    actor = s.event.actor
    turn = (2.0 + 0.9 * s.u) * s.face
    for dx in (-26, 0, 26):
        s.pen.stroke(((x + dx, y - 48), (x + dx, y - 70)), (250, 250, 255), 3)
    middle = HEIGHT[actor.kind] / 2
    at = (x - middle * math.sin(turn), y + middle * math.cos(turn))
    pose = Pose(0.6, 2.4, -2.2, s.mood)
    body(s.pen.place(at, s.face, turn), actor.kind, actor.colour, pose)
    return x, y - 30


def _climb(s: Stage) -> Head:
    thing(s.pen.place((s.mid + s.face * 16, s.floor)), "ladder", "")
    lift = 8 + 52 * min(s.u * (0.4 + 0.6 * s.speed), 1)
    return s.act(s.mid - s.face * 4, lift, turn=0.1, pose=s.walk(0.5, 2.2 + 0.4 * s.swing, 1.8))


def _dance(s: Stage) -> Head:
    for k, x in enumerate((-62, 58)):
        y = 66 + 8 * math.sin(s.phase + s.u * 9 + k)
        note = s.pen.place((s.mid + x, y))
        note.stroke(((5, 0), (5, -24), (15, -18)), (250, 250, 250), 5.5)
        note.stroke(((5, 0), (5, -24), (15, -18)), INK, 3)
        note.oval(0, 0, 6, 4.5, INK, 0)
    pose = Pose(0.5 * s.swing, 2.1 + s.swing, 2.1 - s.swing, s.mood)
    return s.act(s.mid + 6 * s.swing, 5 * abs(s.swing), turn=0.3 * s.swing, pose=pose)


def _wave(s: Stage) -> Head:
    pose = Pose(0, 2.5 + 0.45 * s.swing, -0.2, s.mood)
    x, y = s.act(s.mid, pose=pose)
    for k in (0, 1):  # marks of the moving hand
        hand = s.pen.place((x + s.face * (30 + 7 * k), y + 10 - 2 * k), s.face)
        hand.stroke(((0, -8), (4, 0), (0, 8)), (255, 255, 255), 2.6)
    return x, y


def _speak(s: Stage) -> Head:
    gap = s.gap() + 22
    s.act(s.mid + s.face * gap, face=-s.face, who=s.patient())
    pose = Pose(0, 1.2 + 0.3 * s.swing, -0.2, s.mood)
    x, y = s.act(s.mid - s.face * gap, pose=pose)
    at = (x + s.face * 44, y - 18)
    s.pen.poly(((x + s.face * 10, y + 6), (at[0] - 12, at[1] + 8), (at[0] + 6, at[1] + 12)), (255, 255, 255))
    s.pen.oval(*at, 27, 17, (255, 255, 255))
    for k in range(3):
        radius = 3.4 if int(s.u * 9 * s.speed) % 3 != k else 4.8
        s.pen.oval(at[0] + (k - 1) * 13, at[1], radius, radius, INK, 0)
    return x - s.face * 6, y


def _look(s: Stage) -> Head:
    gap = s.gap() + 32
    s.act(s.mid + s.face * gap, face=s.face, who=s.patient())
    x, y = s.act(s.mid - s.face * gap, pose=Pose(0, 2.3, -0.2, s.mood))
    eye = (x + s.face * 16, y + 14)
    for k in range(6):  # dots run along the line of sight
        step = (k + (s.u * 3 * s.speed) % 1) * 9
        s.pen.oval(eye[0] + s.face * step, eye[1] + step * 0.25, 2.8, 2.8, (255, 80, 190))
    return x, y


def _sleep(s: Stage) -> Head:
    actor = s.event.actor
    breath = 1.5 * s.swing
    s.pen.place((s.mid, s.floor)).box(-58, -6, 58, 4, (232, 220, 240))
    # People lie on their backs; a dog or a bird lies down on its belly.
    flat = actor.kind in ("man", "woman", "robot")
    at = (s.mid + s.face * 46, s.floor - 20 - breath) if flat else (s.mid, s.floor + 4 - breath)
    pose = Pose(1.4 * (not flat), 0.05, -0.05, s.mood, asleep=True)
    pen = s.pen.place(at, s.face, -math.pi / 2 * s.face * flat)
    body(pen, actor.kind, actor.colour, pose)
    head = s.mid - s.face * 30 if flat else s.mid + s.face * 20
    for k in range(3):
        size, rise = 6 + 3 * k, (s.u * s.speed + k * 0.3) % 1
        z = s.pen.place((head + 14 + 17 * k, s.floor - 62 - 22 * k - 6 * rise), zoom=size / 6)
        points = ((-4, -4), (4, -4), (-4, 4), (4, 4))
        z.stroke(points, (255, 255, 255), 3.6)
        z.stroke(points, (70, 70, 190), 2)
    return head - 10, s.floor - (46 if flat else 60)


def _drive(s: Stage) -> Head:
    x = s.mid + s.drift(80)
    seat = x + s.face * (-4 if s.patient().kind == "car" else 18)
    head = s.act(seat, 16, pose=Pose(0, 1.3, 1.1, s.mood))
    s.put(x, s.floor + 2)
    return head


_ACTIONS: dict[str, Callable[[Stage], Head]] = {
    "chase": _chase, "approach": _approach, "leave": _leave, "hold": _hold, "throw": _throw,
    "kick": _kick, "carry": _carry, "hit": _hit, "push": _push, "jump": _jump, "fall": _fall,
    "climb": _climb, "dance": _dance, "wave": _wave, "speak": _speak, "look": _look,
    "sleep": _sleep, "drive": _drive,
}  # fmt: skip


def contact_sheet(path: Path, size: int = 112) -> None:
    """Three moments of each verb as one PNG: six columns of verbs, their names below."""
    verbs, scenes = list(VERBS), list(SCENES)
    columns, name = 3, 16
    rows = -(-len(verbs) // columns)
    sheet = Image.new("RGB", (columns * (3 * size + 8), rows * (size + name)), (255, 255, 255))
    write = ImageDraw.Draw(sheet)
    rng = random.Random(2)
    from tasks.toyworld.world import MANNERS, deal, make_event, sentence

    for index, (verb, cast) in enumerate(zip(verbs, deal("train", len(verbs), 7), strict=True)):
        event = make_event(rng, cast, verb)
        x, y = index % columns * (3 * size + 8), index // columns * (size + name)
        for k, u in enumerate((0.1, 0.5, 0.9)):
            sheet.paste(draw(event, u).resize((size, size), Image.Resampling.LANCZOS), (x + k * size, y))
        write.text((x + 2, y + size + 2), sentence(event, 0), fill=INK)
    with atomic_path(path) as temporary:
        sheet.quantize(128).save(temporary, format="PNG", optimize=True)
