"""Hostile data files: every reader returns or refuses in one line; fuzzed, and the finds kept."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.data import attempt, contents, in_place_of_file
from tests.faults.readers import READERS, Reader

CORPUS = Path(__file__).with_name("corpus")
named = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


@named
def test_the_good_file_is_read(reader: Reader, tmp_path: Path) -> None:
    assert attempt(reader, tmp_path, reader.good) == "read"


@named
def test_hostile_files(reader: Reader, tmp_path: Path) -> None:
    for place, (fault, content) in enumerate(contents(reader)):
        try:
            attempt(reader, tmp_path / str(place), content)
        except Exception as error:
            raise AssertionError(f"{fault}: {content[:80]!r}: {error!r}") from error


@named
def test_no_file_but_something_else(reader: Reader, tmp_path: Path) -> None:
    in_place_of_file(reader, tmp_path)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: path.name)
def test_what_fuzzing_found_stays_mended(path: Path, tmp_path: Path) -> None:
    (reader,) = (one for one in READERS if one.name == path.parent.name)
    attempt(reader, tmp_path, path.read_bytes())


@pytest.mark.slow
@named
def test_fuzzed(reader: Reader, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Good files cut, joined and overwritten; JSON of any shape with the words of a good one."""
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies as st

    folder = tmp_path_factory.mktemp("fuzz")
    pieces = st.one_of(st.binary(max_size=8), st.sampled_from(
        [reader.good[at : at + 12] for at in range(0, len(reader.good), 5)] or [b""]
    ))  # fmt: skip
    content = st.one_of(
        st.lists(pieces, max_size=20).map(b"".join),
        st.tuples(st.integers(0, len(reader.good)), st.binary(max_size=6)).map(
            lambda cut: reader.good[: cut[0]] + cut[1] + reader.good[cut[0] + len(cut[1]) :]
        ),
    )
    if reader.kind == "json":
        words = st.sampled_from(_words(json.loads(reader.good.split(b"\n")[0]))) | st.text(
            max_size=5
        )
        scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
        trees = st.recursive(
            scalars, lambda inner: st.lists(inner, max_size=6)
            | st.dictionaries(words, inner, max_size=8), max_leaves=25,
        )  # fmt: skip
        content = content | trees.map(lambda tree: json.dumps(tree).encode())

    @hypothesis.settings(
        max_examples=60, derandomize=True, database=None, deadline=timedelta(seconds=10),
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(content)
    def run(given: bytes) -> None:
        attempt(reader, folder, given)

    run()


def _words(value: object) -> list[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, dict):
        return [*value, *(word for child in value.values() for word in _words(child))]
    if isinstance(value, list):
        return [word for child in value for word in _words(child)] or [""]
    return [value] if isinstance(value, str) else [""]
