"""The examples in the docstrings of the metrics give what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import bench.metrics

MODULES = sorted(path.stem for path in Path(bench.metrics.__path__[0]).glob("[a-z]*.py"))
WITH_EXAMPLES = {"bootstrap", "coreference", "differences", "pairs", "retrieval", "rouge", "verbs"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    found = doctest.testmod(import_module(f"bench.metrics.{name}"))
    assert found.failed == 0
    assert (found.attempted > 0) == (name in WITH_EXAMPLES)
