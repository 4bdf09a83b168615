"""Plain data into a frozen dataclass of settings, with every mistake named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from bench.errors import UsageError, nearest

Settings = TypeVar("Settings")


def settings_from(cls: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """`cls(**values)` where keys are known and values have the type of the field's default.

    A whole number stands for a decimal one; a field whose default is None takes numbers, decimal
    ones if its annotation says float. A class variable `aliases` maps other names to fields.
    UsageError says `where` and names the nearest known key.
    """
    values = _by_field(values, getattr(cls, "aliases", {}), where)
    known = {field.name: field for field in fields(cls) if field.default is not MISSING}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise UsageError(
                f"{where}: unknown setting '{key}'{nearest(key, list(known))}; "
                f"known: {', '.join(known)}"
            )
        if not _fits(value, known[key]):
            raise UsageError(
                f"{where}: {key} cannot be {value!r}; the default is {known[key].default}"
            )
    return cls(**values)


def _by_field(values: Mapping[str, Any], aliases: Mapping[str, str], where: str) -> dict[str, Any]:
    """`values` by the names of fields. UsageError where a setting is given by both of its names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = aliases.get(key, key)
        if name in found:
            both = " and ".join(one for one in values if aliases.get(one, one) == name)
            raise UsageError(f"{where}: {both} are one setting; give one of them")
        found[name] = value
    return found


def require(settings: object, rules: Mapping[str, bool], where: str) -> None:
    """UsageError for the first field of `settings` whose rule does not hold."""
    for name, holds in rules.items():
        if not holds:
            raise UsageError(f"{where}: {name} cannot be {getattr(settings, name)!r}")


def _fits(value: Any, field: Field[Any]) -> bool:
    default = field.default
    if default is None:
        if value is None:
            return True
        default = 0.0 if "float" in str(field.type) else 0
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        whole = isinstance(value, int)
        decimal = isinstance(default, float) and isinstance(value, float) and math.isfinite(value)
        return (whole or decimal) and value >= 0
    return isinstance(value, type(default))
