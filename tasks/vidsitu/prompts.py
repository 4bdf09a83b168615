"""Dense prompts from semantic roles, and their verb-role hard negatives (METHOD 2 and 4).

One wording for positives and negatives: the verb is the sense's lemma (`drive.01` -> `drive`), a
role is named as the dataset names it for that verb, in the order of the annotation.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tasks.vidsitu.annotations import Annotation, Event

_NUMBERED = re.compile(r"(Arg[0-5])\b")
_BRACKETS = re.compile(r"\((.+)\)")


def dense_prompt(event: Event) -> str:
    """`In this photo, the action is VERB where, the ROLE is VALUE , ... .` as published."""
    told = [
        f"the {role_name(key)} is {' '.join(value.split())}"
        for key, value in event.arguments
        if value.strip()
    ]
    start = f"In this photo, the action is {lemma(event)}"
    return f"{start} where, {' , '.join(told)} ." if told else f"{start} ."


def role_name(key: str) -> str:
    """The text in an argument's brackets; `scene of the event` for the scene."""
    found = _BRACKETS.search(key)
    return " ".join((found[1] if found else key.lower()).split())


def lemma(event: Event) -> str:
    """The verb without its sense number, in words."""
    return event.verb_id.rpartition(".")[0].replace("_", " ") or event.verb_id


@dataclass(frozen=True)
class RoleNames:
    """How the dataset names each verb's numbered arguments: verb id -> {Arg0: `Arg0 (driver)`}."""

    keys: dict[str, dict[str, str]]

    @classmethod
    def of(cls, annotations: Iterable[Annotation]) -> RoleNames:
        """The most frequent key of each verb and argument; equals in alphabetical order."""
        counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for annotation in annotations:
            for event in annotation.events:
                for key, _ in event.arguments:
                    if numbered := _NUMBERED.match(key):
                        counts[event.verb_id][numbered[1]][key] += 1
        return cls(
            {
                verb: {
                    slot: min(keys, key=lambda key: (-keys[key], key))
                    for slot, keys in slots.items()
                }
                for verb, slots in sorted(counts.items())
            }
        )


def hard_negatives(event: Event, names: RoleNames, count: int, seed: str) -> list[Event]:
    """`count` events with another verb and its role names; all values stay, and what is no
    numbered argument (direction, manner, scene) keeps its name.

    Only verbs that name every numbered argument of the event are taken, each once while there are
    enough. Where no other verb names them all, those that name most are. The same `seed` gives the
    same negatives, whatever else is asked. Empty where the data knows no other verb.
    """
    slots = {found[1] for key, _ in event.arguments if (found := _NUMBERED.match(key))}
    own = lemma(event)
    fitting: dict[int, list[str]] = defaultdict(list)
    for verb, keys in names.keys.items():
        if lemma(replace(event, verb_id=verb)) != own:
            fitting[len(slots & keys.keys())].append(verb)
    if not fitting:
        return []
    candidates = fitting[max(fitting)]
    generator = random.Random(seed)
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += generator.sample(candidates, min(count - len(chosen), len(candidates)))
    return [_with_verb(event, verb, names.keys[verb]) for verb in chosen]


def _with_verb(event: Event, verb: str, keys: dict[str, str]) -> Event:
    def renamed(key: str) -> str:
        numbered = _NUMBERED.match(key)
        return keys.get(numbered[1], key) if numbered else key

    return Event(verb, verb, tuple((renamed(key), value) for key, value in event.arguments))


def negative_prompts(
    annotation: Annotation, names: RoleNames, count: int, seed: int
) -> list[list[str]]:
    """Hard negative prompts of every event, [P][count]; deterministic for a seed and a segment."""
    return [
        [
            dense_prompt(negative)
            for negative in hard_negatives(
                event, names, count, f"{seed} {annotation.segment} {place}"
            )
        ]
        for place, event in enumerate(annotation.events)
    ]
