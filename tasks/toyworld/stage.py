"""The stage of one picture: where the event's bodies stand and the signs of its manner.

Coordinates are units of a 224-unit frame; the ground's front line lies near `GROUND`.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from tasks.toyworld.sprites import HALF, HEIGHT, INK, Pen, Pose, body, thing
from tasks.toyworld.world import Entity, Event

UNITS = 224
GROUND = 200.0
Head = tuple[float, float]  # the top of the actor's head, where signs are drawn


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

    def bystander(self) -> None:
        """Draw the actor without a role, smaller and further off, out of the action's way."""
        other = self.event.bystander
        if other is not None:
            # Things fly forwards from an actor at the back, so there the room is in front.
            side = self.face if self.event.verb in ("throw", "kick") else -self.face
            x = UNITS / 2 + side * 88
            pen = self.pen.place((x, 172), 1 if x < UNITS / 2 else -1, zoom=0.68)
            body(pen, other.kind, other.colour, Pose())

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

    def manner(self, head: Head) -> None:
        """Draw the sign of the manner around the top of the actor's head."""
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
            snail.poly(
                ((-18, 0), (-8, -6), (10, -6), (15, -15), (21, -14), (19, 0)), (206, 190, 120)
            )
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
                pen.stroke((drop, (drop[0] - 1, drop[1] + 5)), (60, 120, 230), 2.8)
            for dx, dy, radius in ((-12, 0, 9), (12, 0, 9), (0, -4, 12)):
                pen.oval(x + dx, y - 14 + dy, radius, radius, (104, 110, 126))
            pen.oval(x, y - 11, 17, 6, (104, 110, 126), 0)
