"""The toy world's vocabulary and what happens in it: entities, events, clips, sentences.

Everything is a pure function of a seed. A clip is five events that share a cast (two actors, an
object, a vehicle) and a scene, so that entities persist as they do in a film.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

COLOURS = ("red", "blue", "green", "yellow", "white", "purple")
KINDS = ("man", "woman", "dog", "robot", "bird")
PEOPLE = ("man", "woman")
OBJECTS = ("ball", "box")
VEHICLES = ("car", "truck")
MANNERS = ("slowly", "quickly", "happily", "sadly")
# Scene -> the words that place an event in it.
SCENES = {
    "beach": "on the beach",
    "forest": "in the forest",
    "street": "in the street",
    "kitchen": "in the kitchen",
    "snow field": "in the snow field",
    "night road": "on the night road",
}


@dataclass(frozen=True, order=True)
class Entity:
    """Anything that plays a role, such as a red man; `colour` is empty for a plain thing."""

    colour: str
    kind: str

    @property
    def name(self) -> str:
        """Colour and kind, as in `red man`."""
        return f"{self.colour} {self.kind}".strip()


class Verb(NamedTuple):
    """A verb's words and roles. `patient` says what Arg1 is: actor, object, vehicle or ladder."""

    sense: str
    third: str
    gerund: str
    arg0: str
    arg1: str = ""
    patient: str = ""
    moves: bool = False  # whether it has a direction worth saying


VERBS = {
    "chase": Verb("chase.01", "chases", "chasing", "chaser", "thing chased", "actor", True),
    "approach": Verb(
        "approach.01", "approaches", "approaching", "approacher", "entity approached", "actor", True
    ),
    "leave": Verb("leave.01", "leaves", "leaving", "entity leaving", "entity left", "actor", True),
    "hold": Verb("hold.01", "holds", "holding", "holder", "thing held", "object"),
    "throw": Verb("throw.01", "throws", "throwing", "thrower", "thing thrown", "object", True),
    "kick": Verb("kick.01", "kicks", "kicking", "kicker", "thing kicked", "object", True),
    "carry": Verb("carry.01", "carries", "carrying", "carrier", "thing carried", "actor", True),
    "hit": Verb("hit.01", "hits", "hitting", "hitter", "thing hit", "actor"),
    "push": Verb("push.01", "pushes", "pushing", "pusher", "thing pushed", "actor", True),
    "jump": Verb("jump.03", "jumps", "jumping", "jumper"),
    "fall": Verb("fall.01", "falls", "falling", "thing falling"),
    "climb": Verb("climb.01", "climbs", "climbing", "climber", "thing climbed", "ladder"),
    "dance": Verb("dance.01", "dances", "dancing", "dancer"),
    "wave": Verb("wave.01", "waves", "waving", "waver"),
    "speak": Verb("speak.01", "speaks to", "speaking to", "talker", "hearer", "actor"),
    "look": Verb("look.01", "looks at", "looking at", "looker", "thing looked at", "actor"),
    "sleep": Verb("sleep.01", "sleeps", "sleeping", "sleeper"),
    "drive": Verb("drive.01", "drives", "driving", "driver", "vehicle", "vehicle", True),
}
# What an annotator may take a verb for when they disagree with the others.
CONFUSED = {
    "chase": ("approach", "leave"), "approach": ("chase", "look"), "leave": ("chase", "push"),
    "hold": ("carry", "throw"), "throw": ("hold", "kick"), "kick": ("throw", "hit"),
    "carry": ("hold", "push"), "hit": ("push", "speak"), "push": ("chase", "hit"),
    "jump": ("dance", "fall"), "fall": ("jump", "sleep"), "climb": ("jump", "hold"),
    "dance": ("jump", "wave"), "wave": ("dance", "speak"), "speak": ("look", "wave"),
    "look": ("speak", "approach"), "sleep": ("fall", "look"), "drive": ("leave", "carry"),
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """Two seconds of the world. `direction` is 1 for right, -1 for left.

    `bystander` stands in the picture without a role, as people do in real footage; `seed` moves
    things by a few pixels so that no two pictures are equal.
    """

    verb: str
    actor: Entity
    patient: Entity | None
    direction: int
    manner: str
    scene: str
    bystander: Entity | None = None
    seed: int = 0

    @property
    def side(self) -> str:
        """The direction in words."""
        return "right" if self.direction > 0 else "left"


@dataclass(frozen=True)
class Cast:
    """What persists through a clip: two actors, an object, a vehicle and the scene."""

    actors: tuple[Entity, Entity]
    thing: Entity
    vehicle: Entity
    scene: str


ACTORS = tuple(Entity(colour, kind) for colour in COLOURS for kind in KINDS)
# Casts are dealt to the data sets from one pack of 2,610 (pair of actors, scene), so that no two
# sets share one. The shares do not depend on how many are drawn: a small world is the start of a
# large one.
_SHARES = {
    "msrvtt": 150, "lsmdc": 150, "valid": 400,
    "testvb": 100, "testsrl": 100, "testevrel": 100, "train": 1610,
}  # fmt: skip


def deal(split: str, count: int, seed: int) -> list[Cast]:
    """The first `count` casts of a split; more than its share begins again with other objects."""
    pack = [(pair, scene) for pair in combinations(ACTORS, 2) for scene in SCENES]
    random.Random(f"deal {seed}").shuffle(pack)
    start = 0
    for name, size in _SHARES.items():
        if name == split:
            break
        start += size
    rng = random.Random(f"things {split} {seed}")
    casts = []
    for index in range(count):
        (first, second), scene = pack[start + index % _SHARES[split]]
        thing = Entity(rng.choice(COLOURS), rng.choice(OBJECTS))
        vehicle = Entity(rng.choice(COLOURS), rng.choice(VEHICLES))
        casts.append(Cast((first, second), thing, vehicle, scene))
    return casts


def make_event(rng: random.Random, cast: Cast, verb: str | None = None) -> Event:
    """A random event of this cast; the actor without a role stands by."""
    verb = verb or rng.choice(list(VERBS))
    actor, other = rng.sample(cast.actors, 2)
    wanted = VERBS[verb].patient
    patients = {
        "actor": other,
        "object": cast.thing,
        "vehicle": cast.vehicle,
        "ladder": Entity("", "ladder"),
    }
    return Event(
        verb=verb,
        actor=actor,
        patient=patients.get(wanted),
        direction=rng.choice((-1, 1)),
        manner=rng.choice(MANNERS),
        scene=cast.scene,
        bystander=None if wanted == "actor" else other,
        seed=rng.randrange(1 << 30),
    )


def make_clip(rng: random.Random, cast: Cast) -> tuple[Event, ...]:
    """Five events of one cast; neighbouring events differ in their verb."""
    events: list[Event] = []
    while len(events) < 5:
        event = make_event(rng, cast)
        if not events or events[-1].verb != event.verb:
            events.append(event)
    return tuple(events)


def make_group(rng: random.Random, cast: Cast, size: int = 12) -> list[Event]:
    """Events that only verb, roles, direction or manner tell apart: pairs that differ in one thing.

    The cast is in every picture, so nouns alone cannot tell one video of the group from another.
    """
    events: list[Event] = []
    for verb in rng.sample(list(VERBS), size // 2):
        event = make_event(rng, cast, verb)
        events += [event, _vary(rng, event)]
    return events


def _vary(rng: random.Random, event: Event) -> Event:
    """The same event with its roles swapped, its direction turned or another manner."""
    changes = ["manner", "roles"] + (["direction"] if VERBS[event.verb].moves else [])
    change = rng.choice(changes)
    seed = rng.randrange(1 << 30)
    if change == "direction":
        return replace(event, direction=-event.direction, seed=seed)
    if change == "manner":
        others = [manner for manner in MANNERS if manner != event.manner]
        return replace(event, manner=rng.choice(others), seed=seed)
    if event.bystander is not None:
        return replace(event, actor=event.bystander, bystander=event.actor, seed=seed)
    assert event.patient is not None  # an event without a bystander has both actors in it
    return replace(event, actor=event.patient, patient=event.actor, seed=seed)


def sentence(event: Event, style: int, subject: str | None = None) -> str:
    """One English sentence that says all of the event; `style` 0 to 3 picks the word order.

    `subject` replaces the actor's words, as LSMDC's SOMEONE does.
    """
    verb = VERBS[event.verb]
    who = subject or f"a {event.actor.name}"
    whom = f" a {event.patient.name}" if event.patient else ""
    way = f" to the {event.side}" if verb.moves else ""
    where = SCENES[event.scene]
    return (
        f"{who} {event.manner} {verb.third}{whom}{way} {where}",
        f"{who} {verb.third}{whom}{way} {event.manner} {where}",
        f"{where} {who} {verb.third}{whom} {event.manner}{way}",
        f"{who} is {event.manner} {verb.gerund}{whom}{way} {where}",
    )[style % 4]


def roles(event: Event) -> dict[str, str]:
    """VidSitu's argument keys and values, in the order in which annotators fill them."""
    verb = VERBS[event.verb]
    found = {f"Arg0 ({verb.arg0})": event.actor.name}
    if event.patient:
        found[f"Arg1 ({verb.arg1})"] = event.patient.name
    if verb.moves:
        found["ArgM (direction)"] = event.side
    found["ArgM (manner)"] = event.manner
    found["Scene of the Event"] = event.scene
    return found


def prompt(event: Event) -> str:
    """The dense prompt of METHOD.md section 2, with the verb's first word (`speaking`)."""
    parts = [
        f"the {key[key.find('(') + 1 : -1] if '(' in key else key.lower()} is {value}"
        for key, value in roles(event).items()
    ]
    action = VERBS[event.verb].gerund.split()[0]
    return f"In this photo, the action is {action} where, {' , '.join(parts)} ."


def make_groups(split: str, count: int, seed: int) -> list[list[Event]]:
    """`count` groups of 12 events; no two events of all groups say the same thing."""
    said: set[str] = set()
    groups = []
    for index, cast in enumerate(deal(split, count, seed)):
        rng = random.Random(f"{split} {seed} {index}")
        group = make_group(rng, cast)
        # Two casts may share an actor: draw again when both had it do the same thing.
        while said & {sentence(event, 0) for event in group}:
            group = make_group(rng, cast)
        said |= {sentence(event, 0) for event in group}
        groups.append(group)
    return groups


def scaled(number: int, scale: float) -> int:
    """How many are drawn at a scale of the whole: at least one."""
    return max(1, round(number * scale))
