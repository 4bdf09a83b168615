"""VidSitu's annotation files for toy clips: situations, verb votes and event relations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tasks.toyworld.world import CONFUSED, SCENES, VERBS, Event, roles

_RELATIONS = ("Causes", "Enables", "Reaction To", "NoRel")
_VOTES = 10


def annotate(clip: str, events: Sequence[Event], rng: random.Random, vary: bool) -> dict[str, Any]:
    """One annotator's situation of a clip, as in vsann files.

    `vary` words the values as people do, differently each time, and now and then names another
    verb or leaves the manner out.
    """
    situation: dict[str, Any] = {}
    for number, event in enumerate(events, 1):
        verb = event.verb
        arguments = roles(event)
        if vary:
            arguments = {key: _reword(key, value, rng) for key, value in arguments.items()}
            if rng.random() < 0.15:
                del arguments["ArgM (manner)"]
        sense = VERBS[verb].sense
        found: dict[str, Any] = {
            "vid_seg_int": clip,
            "VerbID": sense,
            "Verb": sense.split(".")[0],
            "Args": arguments,
            "Arg_List": {key: position for position, key in enumerate(arguments)},
        }
        if number != 3:  # relations are to the middle event
            found["EvRel"] = _relation(event, events[2], rng)
        situation[f"Ev{number}"] = found
    return situation


def vote(event: Event, rng: random.Random) -> list[str]:
    """Ten annotators' verb ids for one event: most agree, some take it for a similar verb."""
    near = CONFUSED[event.verb]
    return [
        VERBS[event.verb if rng.random() < 0.75 else rng.choice(near)].sense for _ in range(_VOTES)
    ]


def _reword(key: str, value: str, rng: random.Random) -> str:
    """The value in another annotator's words."""
    if key == "Scene of the Event":
        return rng.choice((value, value, SCENES[value], f"the {value}"))
    if key == "ArgM (direction)":
        return rng.choice((value, f"to the {value}"))
    colour, _, kind = value.partition(" ")
    if key.startswith("ArgM") or not kind:
        return value
    return rng.choice((value, value, f"the {value}", f"{kind} in {colour}"))


def _relation(event: Event, middle: Event, rng: random.Random) -> str:
    """A relation that the cast makes plausible: no shared actor, mostly no relation."""
    if event.actor != middle.actor:
        return rng.choice(("Reaction To", "NoRel", "NoRel"))
    return rng.choice(_RELATIONS)
