"""VELOCITI's rows about toy clips: a true caption, and one that one thing makes false."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, permutations

from tasks.toyworld.world import ACTORS, MANNERS, VERBS, Event, sentence

Clip = tuple[Event, ...]
Captions = tuple[Sequence[int], str, str]  # the events they are of, the true and the false one
ROW = ("video_id", "test_name", "event", "pos", "neg", "in_subset")


def caption_rows(clips: Mapping[str, Clip], rng: random.Random) -> Iterator[tuple[object, ...]]:
    """A row a test for each clip that can have one, test by test; the first half is the subset."""
    for test, make in _TESTS.items():
        for index, (name, events) in enumerate(clips.items()):
            said = {sentence(event, 0) for event in events}  # true of another event: no false one
            if found := [captions for captions in make(events) if captions[2] not in said]:
                places, true, false = rng.choice(found)
                yield name, test, _event(places), true, false, index < len(clips) / 2
    everything = list(clips.items())
    for index, (name, events) in enumerate(everything):
        if others := [one for other, one in everything if other != name]:
            place, other = rng.randrange(len(events)), rng.choice(rng.choice(others))
            captions = sentence(events[place], 0), sentence(other, 0)
            yield name, "control", _event([place]), *captions, index < len(clips) / 2


def _event(places: Sequence[int]) -> str:
    names = [f"Ev{place + 1}" for place in places]
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def _of_one(clip: Clip, place: int, **changes: object) -> Captions:
    """An event as it is, and with something else in its place."""
    event = clip[place]
    return [place], sentence(event, 0), sentence(replace(event, **changes), 0)  # type: ignore[arg-type]


def _agent_random(clip: Clip) -> Iterator[Captions]:
    """By somebody who is nowhere in the clip."""
    cast = {one for event in clip for one in (event.actor, event.patient, event.bystander)}
    yield from (_of_one(clip, place, actor=actor) for place in range(len(clip))
                for actor in ACTORS if actor not in cast)  # fmt: skip


def _agent_bind(clip: Clip) -> Iterator[Captions]:
    """By the actor who stands by."""
    yield from (_of_one(clip, place, actor=event.bystander)
                for place, event in enumerate(clip) if event.bystander)  # fmt: skip


def _action_adv(clip: Clip) -> Iterator[Captions]:
    """Another verb that can be said of the same two, which the actor does nowhere in the clip."""
    for place, event in enumerate(clip):
        done = {other.verb for other in clip}
        yield from (_of_one(clip, place, verb=verb) for verb, words in VERBS.items()
                    if verb not in done and words.patient == VERBS[event.verb].patient)  # fmt: skip


def _action_manner(clip: Clip) -> Iterator[Captions]:
    """In another manner."""
    yield from (_of_one(clip, place, manner=manner) for place, event in enumerate(clip)
                for manner in MANNERS if manner != event.manner)  # fmt: skip


def _action_bind(clip: Clip) -> Iterator[Captions]:
    """What the other actor does in another event."""
    done = {(event.actor, event.verb) for event in clip}
    for one, two in permutations(range(len(clip)), 2):
        actor, other = clip[one].actor, clip[two]
        if actor not in (other.actor, other.patient) and (actor, other.verb) not in done:
            yield [one], sentence(clip[one], 0), sentence(replace(other, actor=actor), 0)


def _chrono(clip: Clip) -> Iterator[Captions]:
    """Two events in the other order."""
    verbs = [event.verb for event in clip]
    for one, two in pairwise(range(len(clip))):
        if verbs.count(verbs[one]) == verbs.count(verbs[two]) == 1:
            first, then = (sentence(clip[place], 0) for place in (one, two))
            yield [one, two], f"first {first}, then {then}", f"first {then}, then {first}"


def _coref(clip: Clip) -> Iterator[Captions]:
    """Whoever does one thing does another, which only the other actor does."""
    done = {(event.actor, event.verb) for event in clip}
    for one, two, three in permutations(range(len(clip)), 3):
        actor, other = clip[one].actor, clip[three].actor
        only_one = (other, clip[one].verb) not in done
        if clip[two].actor == actor != other and (actor, clip[three].verb) not in done and only_one:
            said = [_predicate(clip[place]) for place in (one, two, three)]
            true, false = (f"whoever {said[0]} also {also}" for also in said[1:])
            yield [one, two], true, false


def _predicate(event: Event) -> str:
    """What an event says without its actor, manner and place."""
    verb = VERBS[event.verb]
    return f"{verb.third} a {event.patient.name}" if event.patient else verb.third


_TESTS = {
    "agent_random": _agent_random, "agent_bind": _agent_bind, "action_adv": _action_adv,
    "action_manner": _action_manner, "action_bind": _action_bind, "chrono": _chrono,
    "coref": _coref,
}  # fmt: skip
