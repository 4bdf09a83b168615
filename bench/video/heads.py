"""What a file named as a video is by its first bytes: a failed download mostly says so itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.errors import plain

_HEAD = 512  # bytes
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")
_POINTER = b"version https://git-lfs"
_ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")


def common_folder(files: Iterable[Path]) -> Path | None:
    """The folder below which the files lie; None of no files."""
    folders = {str(path.parent) for path in files}
    return Path(os.path.commonpath(folders)) if folders else None


def not_a_video(path: Path) -> str:
    """What the file is instead of a video; empty for one that may be a video, and for a folder.

    No file of a container begins as text: what does is a message that was saved in its place.
    """
    if path.is_dir():
        return ""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return f"file that cannot be read ({plain(error)})"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for holds, what in (
        (not head, "empty file"),
        (start.startswith(_PAGES), "web page instead of a video"),
        (head.startswith(_POINTER), "pointer of Git LFS instead of a video (git lfs pull)"),
        (head.startswith(_ARCHIVES), "archive instead of a video"),
        (not any(head), "file that begins with zeros (a download that stopped)"),
        (_is_text(head), "text instead of a video"),
    ):
        if holds:
            return what
    return ""


def wrong_files(found: Mapping[str, Path]) -> list[tuple[str, int, str]]:
    """Of clips and their files those that are no videos: what they are, how many, the first id."""
    kinds: dict[str, list[str]] = {}
    for name, path in found.items():
        if what := not_a_video(path):
            kinds.setdefault(what, []).append(name)
    return [(what, len(names), names[0]) for what, names in kinds.items()]


def _is_text(head: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
