"""Probes: an event's dense prompt against itself with one thing changed (docs/pairs.md).

Made of the first annotation of each segment; the same seed makes the same probes, whichever other
segments are asked about.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from tasks.caption_pairs import CaptionPair
from tasks.vidsitu.annotations import EVENTS, Annotation, Event
from tasks.vidsitu.exchange import (
    Roles,
    changed,
    different,
    exchanged,
    living,
    plain,
    roles_of,
)
from tasks.vidsitu.prompts import RoleNames, dense_prompt, hard_negatives, lemma
from tasks.vidsitu.scoring.rules import short_role

# Of these a value of another video is taken: role by test.
OF_OTHERS = {"scene": "AScn", "manner": "AMnr", "direction": "ADir"}
TESTS = ("verb", "agent-patient", "agent", "patient", *OF_OTHERS, "order")
TRIES = 100  # values of other videos that are looked at for one that says something else
# Words that two values may share and still say different things.
SMALL = frozenset(("a", "an", "the", "in", "on", "at", "of", "to", "into", "by", "with", "and",
                   "or", "from", "his", "her", "their", "is", "are"))  # fmt: skip


def probes_of(
    annotations: Mapping[str, Sequence[Annotation]], segments: Sequence[str], seed: int
) -> Iterator[CaptionPair]:
    """The probes of the segments in order, event by event; see docs/pairs.md for each test.

    `annotations` are those of the whole split: their verbs name the roles of verb negatives, and
    their values of scene, manner and direction are put in other videos' places.
    """
    names = RoleNames.of(one for group in annotations.values() for one in group)
    first = {segment: annotations[segment][0] for segment in segments}
    pools = {
        test: sorted({value for one in first.values() for roles in roles_of(one)
                      if (value := roles.get(role))})
        for test, role in OF_OTHERS.items()
    }  # fmt: skip
    for segment, annotation in first.items():
        yield from _of_events(annotation, names, pools, seed)
        yield from _orders(segment, annotation)


def _of_events(
    annotation: Annotation, names: RoleNames, pools: Mapping[str, Sequence[str]], seed: int
) -> Iterator[CaptionPair]:
    """The probes of single events."""
    video = roles_of(annotation)
    for place, event in enumerate(annotation.events):
        key = f"{seed} {annotation.segment} {place}"
        false = {
            **{test: dense_prompt(one) for test, one in _negatives(event, names, key)},
            **{test: dense_prompt(changed(event, roles))
               for test, roles in _changes(video, place, pools, key)},
        }  # fmt: skip
        true = dense_prompt(event)
        for test in TESTS:
            if test in false:
                yield CaptionPair(annotation.segment, test, EVENTS[place], true, false[test])


def _negatives(event: Event, names: RoleNames, key: str) -> list[tuple[str, Event]]:
    """The first verb-role negative, as training has them; none where no other verb is known."""
    return [("verb", one) for one in hard_negatives(event, names, 1, key)]


def _changes(
    video: Sequence[Roles], place: int, pools: Mapping[str, Sequence[str]], key: str
) -> Iterator[tuple[str, Roles]]:
    """What each test changes of the event's roles, for the tests that can be made of it."""
    own = video[place]
    agent, patient = own.get("Arg0", ""), own.get("Arg1", "")
    alive = living(video)
    taken = {plain(value) for value in own.values()}
    if roles := exchanged(video, place):
        yield "agent-patient", roles
    others = [value for one, value in alive.items() if one not in taken]
    if agent and others:
        yield "agent", {"Arg0": _chosen(others, key, "agent")}
    patients = [
        value for one, value in different(roles.get("Arg1", "") for roles in video).items()
        if one not in taken and (one in alive) == (plain(patient) in alive)
    ]  # fmt: skip
    if patient and patients:
        yield "patient", {"Arg1": _chosen(patients, key, "patient")}
    for test, role in OF_OTHERS.items():
        # A false scene is that of no event of the video; manner and direction are the event's own.
        said = [roles.get(role, "") for roles in (video if test == "scene" else [own])]
        if own.get(role) and (other := _other(pools[test], said, f"{key} {test}")):
            yield test, {role: other}


def _orders(segment: str, annotation: Annotation) -> Iterator[CaptionPair]:
    """Neighbouring events told in the wrong order, where each verb is that of one event only."""
    verbs = Counter(map(lemma, annotation.events))
    for place in range(len(EVENTS) - 1):
        one, two = annotation.events[place : place + 2]
        if verbs[lemma(one)] == verbs[lemma(two)] == 1:
            event = f"({EVENTS[place]}, {EVENTS[place + 1]})"
            yield CaptionPair(segment, "order", event, _told(one, two), _told(two, one))


def _told(first: Event, then: Event) -> str:
    """Two events in one prompt, by verb, agent and patient alone: texts are cut at 77 tokens."""
    one, two = (
        dense_prompt(replace(event, arguments=tuple(
            (key, value) for key, value in event.arguments if short_role(key) in ("Arg0", "Arg1")
        ))) for event in (first, then)
    )  # fmt: skip
    return f"{one.removesuffix(' .')} , then {two.removeprefix('In this photo, ')}"


def _other(pool: Sequence[str], said: Collection[str], key: str) -> str:
    """A value that shares no word with what is said; empty where none is found."""
    words = frozenset().union(*map(_words, said))
    drawn = random.Random(key).sample(pool, min(TRIES, len(pool)))
    return next((value for value in drawn if not words & _words(value)), "")


def _words(value: str) -> frozenset[str]:
    found = frozenset(re.findall(r"\w+", value.casefold()))
    return found - SMALL or found


def _chosen(values: Sequence[str], key: str, test: str) -> str:
    return random.Random(f"{key} {test}").choice(sorted(values))
