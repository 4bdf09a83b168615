"""Numbers for values in order of appearance."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


def numbering() -> defaultdict[Any, int]:
    """A dict that numbers every new key it is asked for: 0, 1, 2, ..."""
    numbers: defaultdict[Any, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers
