"""What no file beside the weights says of a model: its size, licence, paper and download."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bench.capabilities import Card
from bench.errors import MissingWeights

FACTS = Path(__file__).with_name("models.yaml")


def card(key: str, code: str, **known: Any) -> Card:
    """A card of what models.yaml says of weights and code by their keys, and what is `known`."""
    facts = _facts()
    return Card(**{"code": facts["code"].get(code, ""), **facts["weights"].get(key, {}), **known})


def found(find: Callable[[], Path]) -> Path | None:
    """What `find` finds; None where it says that the weights are not here."""
    try:
        return find()
    except MissingWeights:
        return None


@cache
def _facts() -> dict[str, dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is a tenth of the time
    found: dict[str, dict[str, Any]] = yaml.load(FACTS.read_text("utf-8"), loader)
    return found
