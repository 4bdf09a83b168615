"""Dense prompts from semantic roles, and their verb-role hard negatives (docs/method.md 2 and 4).

One wording for positives and negatives: the verb is the sense's lemma (`drive.01` -> `drive`), a
role is named as the dataset names it for that verb, in the order of the annotation.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from tasks.vidsitu.annotations import Annotation, Event

PUBLISHED_NEGATIVES = 4  # an event (docs/method.md 4)
_NUMBERED = re.compile(r"(Arg[0-5])\b")
_BRACKETS = re.compile(r"\((.+)\)")


def dense_prompt(event: Event) -> str:
    """`In this photo, the action is VERB where, the ROLE is VALUE , ... .` as published."""
    parts = [
        f"the {role_name(key)} is {' '.join(value.split())}"
        for key, value in event.arguments
        if value.strip()
    ]
    start = f"In this photo, the action is {lemma(event)}"
    return f"{start} where, {' , '.join(parts)} ." if parts else f"{start} ."


@lru_cache(maxsize=1 << 16)  # VidSitu has some thousands of keys, asked for half a million times
def role_name(key: str) -> str:
    """The text in an argument's brackets; `scene of the event` for the scene."""
    found = _BRACKETS.search(key)
    return " ".join((found[1] if found else key.lower()).split())


def lemma(event: Event) -> str:
    """The verb without its sense number, in words."""
    return _lemma(event.verb_id)


@lru_cache(maxsize=1 << 16)
def _lemma(verb_id: str) -> str:
    return verb_id.rpartition(".")[0].replace("_", " ") or verb_id


@dataclass(frozen=True)
class RoleNames:
    """How the dataset names each verb's numbered arguments: verb id -> {Arg0: `Arg0 (driver)`}."""

    keys: dict[str, dict[str, str]]
    _found: dict[tuple[frozenset[str], str], list[str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, annotations: Iterable[Annotation]) -> RoleNames:
        """The most frequent key of each verb and argument; equals in alphabetical order."""
        counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for annotation in annotations:
            for event in annotation.events:
                for key, _ in event.arguments:
                    if slot := _slot(key):
                        counts[event.verb_id][slot][key] += 1
        return cls(
            {
                verb: {
                    slot: min(keys, key=lambda key: (-keys[key], key))
                    for slot, keys in slots.items()
                }
                for verb, slots in sorted(counts.items())
            }
        )

    def candidates(self, slots: frozenset[str], own: str) -> list[str]:
        """The verbs of another lemma than `own` that name most of the numbered arguments `slots`.

        Looked for once for each of the few thousand pairs that a dataset has, not for each event.
        """
        if (slots, own) not in self._found:
            groups: dict[int, list[str]] = defaultdict(list)
            for verb, keys in self.keys.items():
                if _lemma(verb) != own:
                    groups[len(slots & keys.keys())].append(verb)
            self._found[slots, own] = groups[max(groups)] if groups else []
        return self._found[slots, own]


@lru_cache(maxsize=1 << 16)
def _slot(key: str) -> str:
    """`Arg0` of `Arg0 (driver)`; empty for what is no numbered argument."""
    found = _NUMBERED.match(key)
    return found[1] if found else ""


def hard_negatives(event: Event, names: RoleNames, count: int, seed: str) -> list[Event]:
    """`count` events with another verb and its role names; all values stay, and what is no
    numbered argument (direction, manner, scene) keeps its name.

    Only verbs that name every numbered argument of the event are taken, each once while there are
    enough. Where no other verb names them all, those that name most are. The same `seed` gives the
    same negatives, whatever else is asked. Empty where the data knows no other verb.
    """
    slots = frozenset(slot for key, _ in event.arguments if (slot := _slot(key)))
    candidates = names.candidates(slots, lemma(event))
    if not candidates:
        return []
    generator = random.Random(seed)
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += generator.sample(candidates, min(count - len(chosen), len(candidates)))
    return [_with_verb(event, verb, names.keys[verb]) for verb in chosen]


def _with_verb(event: Event, verb: str, keys: dict[str, str]) -> Event:
    named = tuple((keys.get(_slot(key), key), value) for key, value in event.arguments)
    return Event(verb, verb, named)


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
