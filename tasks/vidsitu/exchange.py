"""Events with other values in their roles, such as agent and patient exchanged (docs/pairs.md).

What acts (is Arg0) in an event of a video counts as one of its living things.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tasks.vidsitu.annotations import Annotation, Event
from tasks.vidsitu.prompts import dense_prompt
from tasks.vidsitu.scoring.rules import short_role

Roles = dict[str, str]  # short role -> value


def roles_of(annotation: Annotation) -> list[Roles]:
    """Of each event its values by short role, of which the first of a role counts."""
    found = []
    for event in annotation.events:
        roles: Roles = {}
        for key, value in event.arguments:
            if words := " ".join(value.split()):
                roles.setdefault(short_role(key), words)
        found.append(roles)
    return found


def changed(event: Event, roles: Roles) -> Event:
    """The event with other values of the roles."""
    changes = dict(roles)
    arguments = tuple(
        (key, changes.pop(short_role(key), value) if value.strip() else value)
        for key, value in event.arguments
    )
    return replace(event, arguments=arguments)


def living(video: Iterable[Roles]) -> dict[str, str]:
    """The living things of a video, each once, by their `plain` names."""
    return different(roles.get("Arg0", "") for roles in video)


def exchanged(video: Sequence[Roles], place: int) -> Roles:
    """Arg0 and Arg1 of the event at `place` exchanged, where both are living things of the video;
    empty elsewhere."""
    agent, patient = video[place].get("Arg0", ""), video[place].get("Arg1", "")
    both = {plain(agent), plain(patient)}
    if len(both) < 2 or not both <= living(video).keys():
        return {}
    return {"Arg0": patient, "Arg1": agent}


def exchanged_prompts(annotation: Annotation) -> list[str]:
    """Of every event its dense prompt with agent and patient exchanged, or an empty text."""
    video = roles_of(annotation)
    return [
        dense_prompt(changed(event, roles)) if (roles := exchanged(video, place)) else ""
        for place, event in enumerate(annotation.events)
    ]


def different(values: Iterable[str]) -> dict[str, str]:
    """Values that are not empty, each once whatever its case, by their `plain` names."""
    return {plain(value): value for value in values if value}


def plain(value: str) -> str:
    """What two values that differ in case alone have in common."""
    return value.casefold()
