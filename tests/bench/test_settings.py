"""Plain data into settings: what has the type of its field passes, all else is named."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from bench.errors import UsageError
from bench.settings import settings_from


@dataclass(frozen=True)
class Some:
    """A field of every kind."""

    whole: int = 1
    decimal: float = 0.5
    switch: bool = True
    word: str = "a"
    may: int | None = None
    might: float | None = None


@pytest.mark.parametrize(
    ("key", "value"),
    [("whole", 0), ("decimal", 2), ("decimal", 0.25), ("switch", False), ("word", "b"),
     ("may", 3), ("may", None), ("might", 0.5), ("might", None)],
)  # fmt: skip
def test_what_fits_passes(key: str, value: object) -> None:
    assert getattr(settings_from(Some, {key: value}, "here"), key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [("whole", -1), ("whole", 1.5), ("whole", 2.0), ("whole", True), ("whole", "1"),
     ("decimal", math.nan), ("decimal", math.inf), ("decimal", -0.1), ("decimal", False),
     ("switch", 1), ("switch", "yes"), ("word", 1), ("may", 0.5), ("may", True), ("might", "x")],
)  # fmt: skip
def test_what_does_not_is_named_with_its_default(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^here: {key} cannot be .*; the default is "):
        settings_from(Some, {key: value}, "here")


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'wole' \(did you mean 'whole'\?\)"):
        settings_from(Some, {"wole": 1}, "here")
