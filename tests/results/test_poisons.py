"""Kept draws and numbers of results that we did not write are computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.config import Config, RunConfig
from bench.files.tensor_store import TensorStore
from bench.results.comparison import Evidence
from bench.results.files import load
from bench.results.kept import ANSWERED
from tests.poisons import OF_DRAWS, OF_SCORES, Entry

RESAMPLES = 50


def numbers(result: Path, cache: Path) -> tuple[dict[str, np.ndarray], object]:
    """A result's draws and what its lines give."""
    document = load(result)
    evidence = Evidence([(result, document)], Config(RunConfig(cache=cache, resamples=RESAMPLES)))
    draws = evidence.draws(document)
    assert draws is not None
    return draws, evidence.checked(document)


@pytest.mark.parametrize("poison", [*OF_DRAWS, *OF_SCORES])
def test_draws_and_numbers_not_written_by_us(kept: Path, tmp_path: Path, poison: str) -> None:
    result = min((kept / "results").rglob("*.json"))
    draws, checked = numbers(result, tmp_path)
    assert not checked[1] and {one.shape for one in draws.values()} == {(RESAMPLES,)}  # type: ignore[index]
    store, poisons = TensorStore(tmp_path / "draws"), OF_DRAWS if poison in OF_DRAWS else OF_SCORES
    for path in store.root.rglob("*.safetensors"):
        found = store.get(path.stem)
        assert found is not None
        if (ANSWERED in found[0]) == (poisons is OF_SCORES):
            poisons[poison](Entry(*found)).write(path)
            changed = path.read_bytes()
            again = numbers(result, tmp_path)
            assert again[1] == checked and again[0].keys() == draws.keys()
            assert all(np.array_equal(again[0][name], one) for name, one in draws.items())
            assert path.read_bytes() != changed  # made again, and kept
