"""Plain data into settings: what has the type of its field passes, all else is named."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import pytest

from adapters.srl_settings import SRLSettings
from bench.errors import UsageError
from bench.settings import settings_from
from bench.training.settings import TrainSettings


@dataclass(frozen=True)
class Some:
    """A field of every kind, one with a second name."""

    aliases: ClassVar[dict[str, str]] = {"lora_whole": "whole"}

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


def test_a_standard_name_is_as_good_as_ours() -> None:
    assert settings_from(Some, {"lora_whole": 3}, "here") == Some(whole=3)
    with pytest.raises(UsageError, match="here: whole and lora_whole are one setting"):
        settings_from(Some, {"whole": 3, "lora_whole": 3}, "here")
    with pytest.raises(UsageError, match="whole cannot be -1"):
        settings_from(Some, {"lora_whole": -1}, "here")


def test_every_alias_is_of_a_setting() -> None:
    for cls in (TrainSettings, SRLSettings):
        names = {field.name for field in fields(cls)}
        assert set(cls.aliases.values()) <= names and not set(cls.aliases) & names
    given = {"max_grad_norm": 1.0, "gradient_accumulation_steps": 2, "train_fraction": 0.5}
    found = settings_from(TrainSettings, given, "here")
    assert (found.clip_gradient, found.accumulate, found.share) == (1.0, 2, 0.5)
