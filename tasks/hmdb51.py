"""HMDB51: 51 actions, three published splits of 30 test videos a class (docs/sets.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.contracts import Source
from bench.errors import DataError
from bench.files.untrusted import read_text
from tasks.action_files import Actions, Labelled
from tasks.actions import ActionTask, SplitPrompting
from tasks.lists import PublishedList
from tasks.pair_rows import REMEDY
from tasks.sources import DEPTH, walk, without_ending

# Source, class, visible body, camera, people, side, quality, number.
CLIP = r"(.+)_LABEL_\w+_(?:cm|nm)_np\d_\w\w_(?:goo|med|bad)_\d+"
TEST = "2"  # what a split's file says behind a test video; 1 is training, 0 neither


class HMDB51(ActionTask):
    """A file a class, `brush_hair_test_split1.txt`; a list with numbers of classes; or folders."""

    name: ClassVar[str] = "hmdb51"
    files: ClassVar[tuple[str, ...]] = ("val{split}.txt",)
    class_files: ClassVar[tuple[str, ...]] = ("hmdb_51_labels.csv", "classInd.txt")
    class_count: ClassVar[int] = 51
    lists: ClassVar[Sequence[PublishedList]] = tuple(
        PublishedList(f"split-{split}", 1530) for split in (1, 2, 3)
    )
    cut_from: ClassVar[str] = CLIP
    recipe: ClassVar[type | None] = SplitPrompting
    citation: ClassVar[str] = (
        "Kuehne et al., HMDB: A Large Video Database for Human Motion Recognition, ICCV 2011"
    )
    licence: ClassVar[str] = "CC BY 4.0, as a copy on the hub and FiftyOne say"

    @classmethod
    def read(cls, source: Source, settings: Any) -> tuple[Actions, Path]:
        """The test videos of the split's files, else as any other set's."""
        ending = f"_test_split{settings.split}.txt"
        given = source.annotations
        root = given if given and given.is_dir() else source.root
        files = [path for path in _text_files(root) if path.name.endswith(ending)]
        if (given and given.is_file()) or not files:
            return super().read(source, settings)
        names = [path.name.removesuffix(ending) for path in files]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise DataError(f"{root}: {twice}{ending} is there twice; give one folder")
        videos = [
            one for path, name in zip(files, names, strict=True) for one in _tested(path, name)
        ]
        return Actions(videos, dict(enumerate(names))), files[0].parent


def _text_files(root: Path) -> list[Path]:
    found = []
    for where, folders, names in walk(root):
        if len(where.relative_to(root).parts) >= DEPTH:
            folders.clear()
        found += [where / name for name in names if name.endswith(".txt")]
    return sorted(found, key=lambda path: path.name)


def _tested(path: Path, label: str) -> Iterator[Labelled]:
    """The test videos of a class's file: a name and 0, 1 or 2 a line."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, _, use = line.strip().rpartition(" ")
        if line.strip() and use not in ("0", "1", TEST):
            raise DataError(f"{path}:{number}: no video and 0, 1 or 2; {REMEDY}")
        if use == TEST:
            yield Labelled(without_ending(name.strip()), label, f"{path}:{number}")
