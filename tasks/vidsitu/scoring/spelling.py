"""What a name in somebody's predictions means where it is not spelled as the official evaluator
reads it. That evaluator takes it for absent, without a word; here it is read or remarked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import DataError
from bench.files.untrusted import Ambiguous, shown
from tasks.vidsitu.annotations import EVENTS
from tasks.vidsitu.scoring.rules import ROLES, SCORED, short_role

RELATIONS = ("Causes", "Enables", "Reaction To", "NoRel", "Null")
_NAMED = 6  # names that a remark lists
_EVENT = re.compile(r"(?:ev|event)?([0-5])")
_LONG_ROLE = re.compile(r"arg[0-5m] ?\(.+\)", re.IGNORECASE)
_VERB = "vb_id"  # of an event in the official format, and read by no metric


def event_of(name: Any) -> str | None:
    """The event that a name plainly means; Ev0 is of somebody who counts from 0.

    >>> [event_of(name) for name in ("Ev2", "EV2", 2, "2", "event_2", "second")]
    ['Ev2', 'Ev2', 'Ev2', 'Ev2', 'Ev2', None]
    """
    found = _EVENT.fullmatch(_letters(str(name))) if type(name) in (str, int) else None
    return f"Ev{found[1]}" if found else None


def role_of(name: Any) -> str | None:
    """The short name of the role that a name plainly means, or `vb_id`.

    >>> [role_of(name) for name in ("ARG0", "Arg0 (driver)", "ArgM (location)", "VB_ID", "Scene")]
    ['Arg0', 'Arg0', 'ALoc', 'vb_id', None]
    """
    if not isinstance(name, str):
        return None
    if short := meant(name, (*ROLES, _VERB)):
        return short
    if _letters(name) == "sceneoftheevent":
        return "AScn"
    if not _LONG_ROLE.fullmatch(name.strip()):
        return None
    name = name.strip().lower()
    try:
        return short_role(f"{name[:3].capitalize()}{name[3].upper()} {name[4:].strip()}")
    except DataError:
        return None


def meant(name: str, known: Sequence[str]) -> str | None:
    """The one of `known` that has the name's letters, in any case and with any blanks.

    >>> meant("reaction_to", RELATIONS), meant("norel", RELATIONS), meant("None", RELATIONS)
    ('Reaction To', 'NoRel', None)
    """
    if name in known:
        return name
    found = [one for one in known if _letters(one) == _letters(name)]
    return found[0] if len(found) == 1 else None


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


@dataclass
class Names:
    """Official names of one kind, found in mappings of a file; what is spelled otherwise counted.

    `read` of them are what metrics read; `meaning` says what another spelling means.
    """

    what: str
    read: tuple[str, ...]
    meaning: Callable[[Any], str | None]
    ignored: tuple[str, ...] = ()
    found: int = 0
    otherwise: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    def of(self, given: Mapping[Any, Any], where: str) -> dict[str, Any]:
        """The values of `given` that metrics read, by official name.

        DataError where a name is given twice. One spelled officially counts, others beside it not.
        """
        if isinstance(given, Ambiguous) and given.twice:
            raise DataError(f"{where}: {shown(min(given.twice))} is given twice; keep one")
        exact = {name: given[name] for name in self.read if name in given}
        others: dict[str, Any] = {}
        for name in given:
            if isinstance(name, str) and (name in exact or name in self.ignored):
                continue
            meant = self.meaning(name)
            if meant in self.ignored:
                continue
            if meant not in self.read or meant in exact:
                self.unknown[shown(name)] += 1
            elif meant in others:
                raise DataError(f"{where}: {meant} is given twice, once as {shown(name)}; keep one")
            else:
                others[meant] = given[name]
                self.otherwise[f"{shown(name)} as {meant}"] += 1
        self.found += len(exact) + len(others)
        return exact | others

    def remarks(self) -> list[str]:
        """A line on what was read all the same, and one on what was not."""
        lines = []
        if self.otherwise:
            lines.append(
                f"{self.what} that the official evaluator takes for absent, read by their meaning: "
                f"{listed(self.otherwise)}"
            )
        if self.unknown:
            lines.append(
                f"unknown {self.what}, which no metric reads: {listed(self.unknown)}; "
                f"known are {', '.join(self.read)}"
            )
        return lines


def listed(counts: Counter[str]) -> str:
    """The most frequent names with their counts: `'Foo' (5 times), 'Bar' (once)`."""
    parts = [
        f"{name} ({'once' if count == 1 else f'{count} times'})"
        for name, count in counts.most_common(_NAMED)
    ]
    left = len(counts) - len(parts)
    return ", ".join(parts) + (f", and {left} more" if left else "")


def event_names() -> Names:
    """For the events of a prediction of roles."""
    return Names("events", EVENTS, event_of)


def role_names() -> Names:
    """For the roles of an event."""
    unscored = tuple(role for role in ROLES if role not in SCORED)
    return Names("roles", SCORED, role_of, (*unscored, _VERB))
