"""Finding a dataset's files where people keep them, without ever leaving its folder."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bench.contracts import Source
from bench.errors import DataError
from bench.files.untrusted import read_json
from bench.video.folders import IMAGES

# Earlier ones win where a clip is there twice: what decodes fastest and seeks best comes first.
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".ts",
          ".3gp", ".mts")  # fmt: skip
DEPTH = 3
GUIDES = Path(__file__).with_name("guides.yaml")  # of `bench data guide`


def find_annotations(source: Source, task: str, names: Sequence[str]) -> Path:
    """The annotation file: as configured, or by name at most three folders below the root.

    DataError says what is missing and how to name it.
    """
    found = found_annotations(source, task, names)
    if found is None:
        raise DataError(
            f"{source.root}: no {' or '.join(names)} found there; give the file as "
            f"'annotations' of {task} in a source of bench.yaml; `bench data guide {task}` says "
            "where to get it"
        )
    return found


def found_annotations(source: Source, task: str, names: Sequence[str]) -> Path | None:
    """As `find_annotations`; None where none is configured, nor found."""
    if source.annotations is not None:
        if source.annotations.is_dir():
            raise DataError(
                f"{source.annotations}: a folder; name the file in it, or give the folder as "
                f"'root' of sources.{source.name}"
            )
        if not source.annotations.is_file():
            raise DataError(f"{source.annotations}: no such file; check sources.{source.name}")
        return source.annotations
    return search(task_root(source, task), names) or search(source.root, names)


def task_root(source: Source, task: str) -> Path:
    """`root/task` where a root holds several tasks, else the root itself."""
    return source.root / task if (source.root / task).is_dir() else source.root


def search(root: Path, names: Sequence[str]) -> Path | None:
    """The first of `names` that lies at most three folders below `root`; earlier names win."""
    found: dict[str, Path] = {}
    for folder, folders, files in walk(root):
        if len(folder.relative_to(root).parts) >= DEPTH:
            folders.clear()
        for name in set(names) & set(files):
            found.setdefault(name, folder / name)
        if names[0] in found:
            break
    return next((found[name] for name in names if name in found), None)


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk` in a fixed order, through links too: data often lies on another disk.

    Every real folder is entered once, so that a loop of links cannot trap the walk.
    """
    entered: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        """Folders below may be another's, such as lost+found; the data's own may not."""
        if error.filename == str(root):
            raise DataError(f"{root}: {_unlisted(error)}")

    for where, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        status = Path(where).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders.sort()
        yield Path(where), folders, files


def _unlisted(error: OSError) -> str:
    """Why a folder cannot be listed, with the remedy."""
    if isinstance(error, FileNotFoundError):
        return "no such folder; check the source in bench.yaml"
    if isinstance(error, NotADirectoryError):
        return "a file, not a folder; give the folder that holds it"
    return f"cannot be listed ({error.strerror}); check its permissions"


def protocol_of(source: Source, task: str, published: str, items: int, whole: int = 1000) -> str:
    """The protocol of a set of which no more than its size is known, `whole` for the published one.

    Any other size is named as such.
    """
    name = published if items == whole else f"{items} items"
    return protocol_named(source, task, name, {published})


def protocol_named(source: Source, task: str, name: str, published: Collection[str]) -> str:
    """The name under which results are ranked; `name` for a set that carries no card.

    A generated set carries a card `source.json` with its own protocol, such as `toy`, which cannot
    be one of the `published` ones. It may lie beside one task's files or at the root for all.
    """
    if card := card_of(source, task):
        claimed = _card_protocol(card)
        return f"{task}/generated-{claimed}" if claimed in published else f"{task}/{claimed}"
    return f"{task}/{name}"


def card_of(source: Source, task: str) -> Path | None:
    """The card `source.json` of a generated set; None for any other set."""
    cards = (folder / "source.json" for folder in (task_root(source, task), source.root))
    return next((card for card in cards if card.is_file()), None)


def _card_protocol(card: Path) -> str:
    remedy = "draw or make the source again"
    facts = read_json(card, remedy, largest=1 << 20)
    if not isinstance(facts, dict) or "protocol" not in facts:
        raise DataError(f"{card}: no 'protocol' in it; {remedy}")
    name = facts["protocol"]
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,40}", name):
        raise DataError(f"{card}: 'protocol' must be one word of letters, digits and hyphens")
    return name


class VideoIndex:
    """Clip id -> video file or folder of pictures, from one walk through the sub-folders.

    `ambiguous` holds the ids of which there are several files. A link to nothing is no file.
    DataError where the folder is not there.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            what = "a file, not a folder" if folder.exists() else "no such folder"
            raise DataError(f"{folder}: {what} of videos; check the source in bench.yaml")
        self.folder = folder
        self.ambiguous: set[str] = set()
        self._paths: dict[str, Path] = {}
        self._others: dict[str, str] = {}  # files that are no videos, by the name without ending
        best: dict[str, tuple[int, str]] = {}
        for where, _, files in walk(folder):
            if where != folder and any(is_numbered(name) for name in files):
                self._paths.setdefault(where.name, where)
            for name in files:
                stem, suffix = Path(name).stem, Path(name).suffix.lower()
                if suffix in IMAGES:
                    continue
                if suffix not in VIDEOS:
                    self._others.setdefault(stem, name)
                elif _is_file(where / name):
                    rank = (VIDEOS.index(suffix), str(where / name))
                    if stem in best:
                        self.ambiguous.add(stem)
                    best[stem] = min(rank, best.get(stem, rank))
        self._paths.update({stem: Path(path) for stem, (_, path) in best.items()})

    @classmethod
    def of(cls, source: Source, task: str) -> VideoIndex:
        """The index of a source: its `videos`, else all below its root for the task."""
        return cls(source.videos or task_root(source, task))

    def find(self, clip: str) -> Path | None:
        """The clip's file. Ids are compared with names found, never joined to a path."""
        return self._paths.get(clip)

    def find_all(self, clips: Sequence[str]) -> tuple[dict[str, Path | None], list[str]]:
        """The file of each clip, and the ids that are written in other case than their file.

        A file that differs in case is taken only where it is the only one and no other id's.
        """
        found = {clip: self.find(clip) for clip in clips}
        folded: dict[str, list[str]] = defaultdict(list)
        for name in self._paths:
            folded[name.casefold()].append(name)
        wanted = Counter(clip.casefold() for clip in found)
        other = [
            clip for clip, path in found.items()
            if path is None and wanted[clip.casefold()] == 1
            and len(folded.get(clip.casefold(), ())) == 1
        ]  # fmt: skip
        for clip in other:
            found[clip] = self._paths[folded[clip.casefold()][0]]
        return found, other

    def near(self, clip: str) -> str:
        """` (did you mean NAME?)` of a file that may be the missing clip's; else empty."""
        if clip in self._others:
            return f" (there is {self._others[clip]!r}, whose ending is not a video's)"
        whole = re.compile(rf"(?<![^\W_]){re.escape(clip)}(?![^\W_])", re.IGNORECASE)
        key, number = _letters(clip), _number(clip)
        for name in self._paths:
            if _letters(name) == key or whole.search(name) or (number and _number(name) == number):
                return f" (did you mean {self._paths[name].name!r}?)"
        return ""


def without_ending(name: str) -> str:
    """A clip's id as its file's name gives it: without `.mp4` or another video ending."""
    stem, _, ending = name.rpartition(".")
    return stem if f".{ending.lower()}" in VIDEOS else name


def _number(name: str) -> str:
    """The digits of a name where they are enough to tell it from others; else empty."""
    digits = re.sub(r"\D", "", name).lstrip("0")
    return digits if len(digits) > 2 else ""


def _letters(name: str) -> str:
    """A name without case, separators and leading zeros, to see which names are alike."""
    return re.sub(r"[\W_]|(?<!\d)0+(?=\d)", "", name.casefold())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may be listed but not entered
        return False


def is_numbered(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGES and Path(name).stem[-1:].isdigit()
