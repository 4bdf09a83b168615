"""Names of models, sources and settings as names of files: unequal everywhere, never too long."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from msgspec import structs

from bench.errors import BenchError
from bench.files.atomic import check_writable
from bench.results.document import Data
from bench.results.files import (
    LONGEST,
    Result,
    find_all,
    load,
    load_all,
    load_predictions,
    save,
    slug,
    stem,
)

ALIKE = ["Alpha", "alpha", "ALPHA", "é", "e\u0301", "É", "E\u0301", "ß", "ss", "SS", "ﬁ", "fi",
         "\u03c2", "\u03c3", "\u03a3", "\u01c5", "\u01c6", "\u0130", "i\u0307", "\u0131", "K", "k",
         "\u1e9e", "\u1fb3", "\u03b1\u03b9"]  # fmt: skip
LONG = ["a" * 80, "a" * 200, "a" * 201, "a" * 255, "a" * 256, "a" * 256 + "b", "é" * 100, "é" * 101,
        "é" * 190, "é" * 191, "\U0001d538" * 80, "\U0001d56c" * 80, "字" * 66, "字" * 67,
         "A " * 99, "A " * 98,
        "a" * 79 + "é /", "a" * 5000]  # fmt: skip
ODD = ["clip-b32", "a/b", "a b", "a\\b", "../x", "x", "", ".", "..", "-", "e", "a-b", "a\0b",
       "\udcff", "a\udcff", "a\udcfe", "\u202e", "con.", "con", "a\n"]  # fmt: skip


def test_every_name_has_a_file_of_its_own() -> None:
    """Also where case and the form of accents are ignored, and short enough to be written.

    With all that is put before and behind it, and on disk as well as in a list.
    """
    slugs = [slug(name) for name in [*ALIKE, *LONG, *ODD]]
    for form in ("NFC", "NFD"):
        folded = [unicodedata.normalize(form, one).casefold() for one in slugs]
        assert len({unicodedata.normalize(form, one) for one in folded}) == len(slugs)
    for one in slugs:
        assert Path(one).name == one and not one.startswith((".", "-"))
        assert len(one.encode()) <= LONGEST


@pytest.fixture
def result(kept: Path) -> Result:
    path = find_all(kept / "results")[0]
    return Result(load(path), load_predictions(path, load(path)))


@pytest.mark.parametrize(
    "name", ["clip-tiny", "clip-b32", "srlclip_1.5", "a" * 200, "é", "字", "a+b"]
)
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert slug(name) == stem(name) == name


def test_the_longest_names_can_be_written(result: Result, tmp_path: Path) -> None:
    """Of models, sources and settings, with another's data beside; each run has its own file."""
    document = result.document
    paths = []
    for mark in ("x", "y"):
        name = "\U0001d538" * 300 + mark
        long = structs.replace(
            document, model={**document.model, "name": name},
            source=Data(name, document.source.fingerprint),
            coverage=structs.replace(document.coverage, limit=10**6),
        )  # fmt: skip
        for value in (name, name + "z"):
            for data in (None, "other"):
                source = Data(name, data or long.source.fingerprint)
                kept = Result(structs.replace(long, source=source), result.predictions)
                variant = {f"setting_{number}": value for number in range(9)}
                paths.append(save(kept, tmp_path, variant))
                assert load(paths[-1]).name == name and load_predictions(paths[-1], load(paths[-1]))
    assert len(set(paths)) == 8 and set(find_all(tmp_path)) == set(paths)


def test_results_of_older_names_are_still_found(result: Result, tmp_path: Path) -> None:
    """A name with capitals was a file's as it is."""
    path = save(result, tmp_path)
    for file in path.parent.iterdir():
        file.rename(file.with_name(f"ViT-B-32{file.name.removeprefix(path.stem)}"))
    (found,) = load_all(tmp_path)
    assert found.metrics == result.document.metrics


def test_a_name_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    for path in (tmp_path / ("a" * 256), tmp_path / "new" / ("é" * 128) / "page.html"):
        with pytest.raises(BenchError, match="File name too long; choose a shorter name"):
            check_writable(path)
    check_writable(tmp_path / "new" / ("a" * 255))
    assert not list(tmp_path.iterdir())
