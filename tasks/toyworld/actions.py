"""How each verb looks: one function a verb puts the bodies on the stage for one moment.

Each returns where the actor's head is, for the sign of the manner.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tasks.toyworld.sprites import HEIGHT, INK, REACH, Pose, body, thing
from tasks.toyworld.stage import Head, Stage


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
    return x + s.face * 44, s.floor - height + 8


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
            (
                at[0] + radius * math.cos(k * math.tau / 16),
                at[1] + radius * math.sin(k * math.tau / 16),
            )
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
    s.pen.poly(
        ((x + s.face * 10, y + 6), (at[0] - 12, at[1] + 8), (at[0] + 6, at[1] + 12)),
        (255, 255, 255),
    )
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


ACTIONS: dict[str, Callable[[Stage], Head]] = {
    "chase": _chase, "approach": _approach, "leave": _leave, "hold": _hold, "throw": _throw,
    "kick": _kick, "carry": _carry, "hit": _hit, "push": _push, "jump": _jump, "fall": _fall,
    "climb": _climb, "dance": _dance, "wave": _wave, "speak": _speak, "look": _look,
    "sleep": _sleep, "drive": _drive,
}  # fmt: skip
