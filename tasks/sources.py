"""Finding a dataset's files where people keep them, without ever leaving its folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from bench.contracts import Source
from bench.errors import DataError
from bench.video.decode import IMAGES

# Earlier ones win where a clip is there twice: what decodes fastest and seeks best comes first.
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".ts")
DEPTH = 3


def find_annotations(source: Source, task: str, names: Sequence[str]) -> Path:
    """The annotation file: as configured, or by name at most three folders below the root.

    DataError says what is missing and how to name it.
    """
    if source.annotations is not None:
        if not source.annotations.is_file():
            raise DataError(f"{source.annotations}: no such file; check sources.{source.name}")
        return source.annotations
    found = _search(_task_root(source, task), set(names))
    if not found:
        raise DataError(
            f"{source.root}: no {' or '.join(names)} found there; give the file as "
            f"'annotations' of {task} in a source of bench.yaml"
        )
    return found


def _task_root(source: Source, task: str) -> Path:
    """`root/task` where a root holds several tasks, else the root itself."""
    return source.root / task if (source.root / task).is_dir() else source.root


def _search(root: Path, names: set[str]) -> Path | None:
    for folder, folders, files in os.walk(root):
        folders.sort()
        if len(Path(folder).relative_to(root).parts) >= DEPTH:
            folders.clear()
        for name in sorted(names & set(files)):
            return Path(folder) / name
    return None


def protocol_of(source: Source, task: str, published: str, pairs: int) -> str:
    """The name under which results are ranked.

    A generated set carries a card `source.json` with its own protocol, such as `toy`; the published
    name is for sets of exactly 1,000 pairs; anything else is named by its size.
    """
    card = _task_root(source, task) / "source.json"
    if card.is_file():
        try:
            name = json.loads(card.read_text(encoding="utf-8"))["protocol"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{card}: no 'protocol' in it; draw or make the source again"
            ) from error
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,40}", name):
            raise DataError(f"{card}: 'protocol' must be one word of letters, digits and hyphens")
        return f"{task}/generated-{name}" if name == published else f"{task}/{name}"
    return f"{task}/{published if pairs == 1000 else f'{pairs} pairs'}"


class VideoIndex:
    """Clip id -> video file or folder of pictures, from one walk through the sub-folders.

    Links are followed to files and not to folders, so that a loop cannot trap the walk. DataError
    where the folder is not there.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of videos; check the source in bench.yaml")
        self.folder = folder
        self._paths: dict[str, Path] = {}
        best: dict[str, tuple[int, str]] = {}
        for where, folders, files in os.walk(folder):
            folders.sort()
            if where != str(folder) and any(_is_numbered(name) for name in files):
                self._paths.setdefault(Path(where).name, Path(where))
            for name in files:
                stem, suffix = Path(name).stem, Path(name).suffix
                if suffix.lower() in VIDEOS:
                    rank = (VIDEOS.index(suffix.lower()), str(Path(where) / name))
                    if stem not in best or rank < best[stem]:
                        best[stem] = rank
        self._paths.update({stem: Path(path) for stem, (_, path) in best.items()})

    @classmethod
    def of(cls, source: Source, task: str) -> VideoIndex:
        """The index of a source: its `videos`, else all below its root for the task."""
        return cls(source.videos or _task_root(source, task))

    def find(self, clip: str) -> Path | None:
        """The clip's file. Ids are compared with names found, never joined to a path."""
        return self._paths.get(clip)


def _is_numbered(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGES and Path(name).stem[-1:].isdigit()
