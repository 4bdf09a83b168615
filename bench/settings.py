"""Plain data into a frozen dataclass of settings, with every mistake named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from bench.errors import UsageError, nearest

Settings = TypeVar("Settings")


def settings_from(cls: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """`cls(**values)` where keys are known and values have the type of the field's default.

    A whole number stands for a decimal one; a field whose default is None takes whole numbers.
    UsageError says `where` and names the nearest known key.
    """
    defaults = {
        field.name: field.default for field in fields(cls) if field.default is not MISSING  # type: ignore[arg-type]
    }  # fmt: skip
    for key, value in values.items():
        if key not in defaults:
            known = list(defaults)
            raise UsageError(
                f"{where}: unknown setting '{key}'{nearest(key, known)}; known: {', '.join(known)}"
            )
        if not _fits(value, defaults[key]):
            raise UsageError(f"{where}: {key} cannot be {value!r}; the default is {defaults[key]}")
    return cls(**values)


def require(settings: object, rules: Mapping[str, bool], where: str) -> None:
    """UsageError for the first field of `settings` whose rule does not hold."""
    for name, holds in rules.items():
        if not holds:
            raise UsageError(f"{where}: {name} cannot be {getattr(settings, name)!r}")


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        whole = isinstance(value, int)
        decimal = isinstance(default, float) and isinstance(value, float) and math.isfinite(value)
        return (whole or decimal) and value >= 0
    if default is None:
        return value is None or (isinstance(value, int) and value >= 0)
    return isinstance(value, type(default))
