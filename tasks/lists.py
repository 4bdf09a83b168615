"""Published lists of pairs, known by the hash of what is in them and not by their length."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.sources import without_ending

CUT = r"([\w-]{11})_\d+_\d+"  # the id of a YouTube video and two seconds of it
Listed = tuple[str, str]  # a video's id and a sentence


@dataclass(frozen=True)
class PublishedList:
    """A list that numbers are published on, and all that is known to recognise it by.

    `pairs` is the `list_hash` of its pairs, `videos` that of its ids alone, `form` a regular
    expression that its ids match: those of `clips` videos, or of a video a pair. What is not known
    is empty; without `pairs` the list counts as unverified, and results say so. Where only the
    number of videos is known, `items` is 0. `characters` are those of all its sentences.
    """

    name: str
    items: int
    pairs: str = ""
    videos: str = ""
    form: str = ""
    clips: int = 0
    characters: int = 0

    def matches(self, pairs: Sequence[Listed]) -> bool:
        """Whether all that is known of the list is true of `pairs`."""
        return (
            len(pairs) == (self.items or len(pairs))
            and (not (self.form or self.clips) or self._formed({video for video, _ in pairs}))
            and self.characters in (0, sum(len(sentence) for _, sentence in pairs))
            and (not self.videos or self.videos == videos_hash(pairs))
            and (not self.pairs or self.pairs == list_hash(_normal(*pair) for pair in pairs))
        )

    def _formed(self, videos: set[str]) -> bool:
        """Whether there are as many videos as there should, each with an id of the form, if any."""
        if len(videos) != (self.clips or self.items):
            return False
        return not self.form or all(re.fullmatch(self.form, one) for one in videos)


def list_hash(lines: Iterable[str]) -> str:
    """SHA-256 of the lines in sorted order, joined by line feeds: the order in a file is free."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def videos_hash(pairs: Iterable[Listed]) -> str:
    """The `list_hash` of the ids, each once, without a video's ending and in lower case."""
    return list_hash({_normal_id(video) for video, _ in pairs})


def _normal(video: str, sentence: str) -> str:
    """A line of the hash: id, tab, sentence in NFC and lower case with single blanks.

    Lower case is how CLIP's tokenizers read; punctuation stays, since they read that too.
    """
    return (
        f"{_normal_id(video)}\t{unicodedata.normalize('NFC', ' '.join(sentence.split())).lower()}"
    )


def _normal_id(video: str) -> str:
    return unicodedata.normalize("NFC", without_ending(video.strip())).lower()


def name_of(pairs: Sequence[Listed], known: Sequence[PublishedList]) -> tuple[str, list[str]]:
    """What a list is called in a protocol, and what is to be said about that.

    A known list has its name. Another of a known one's length is `other-N`, any other `N items`.
    """
    for one in known:
        if one.matches(pairs):
            return one.name, [] if one.pairs else [_unverified(one)]
    remarks = [
        f"the videos are those of {one.name}, the sentences are not"
        for one in known if one.videos and one.videos == videos_hash(pairs)
    ]  # fmt: skip
    alike = any(one.items == len(pairs) for one in known)
    return f"other-{len(pairs)}" if alike else f"{len(pairs)} items", remarks


def _unverified(one: PublishedList) -> str:
    count = f"{one.items:,} pairs" if one.items else f"{one.clips:,} videos"
    signs = [count, "ids of its form" if one.form else "",
             "its videos" if one.videos else "",
             f"{one.characters:,} characters in all" if one.characters else ""]  # fmt: skip
    return (
        f"taken for {one.name} by {' and '.join(filter(None, signs))}; "
        "no hash of its sentences is known, so that the list is not verified"
    )
