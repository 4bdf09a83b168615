"""Pairs of a true and a false caption of a clip, shared by every set: a subclass makes the pairs.

A model is right where the true caption scores higher, strictly; chance is 50 % (docs/pairs.md).
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from bench.capabilities import Bounds, Gallery
from bench.contracts import (
    Adapter,
    Check,
    Clip,
    Features,
    Metric,
    Scores,
    Source,
    Task,
    normalise,
)
from bench.errors import BenchError, DataError
from bench.files.tensor_store import digest
from bench.files.untrusted import shown
from bench.metrics.bootstrap import Sample, index_of
from bench.metrics.pairs import (
    CHANCE,
    MEAN,
    is_right,
    metric_name,
    pair_metrics,
    pair_statistics,
)
from bench.video.sampling import PerEvent
from tasks.caption_pairs import CaptionPair, as_json, items_of
from tasks.sources import GUIDES, VideoIndex
from tasks.vidsitu.annotations import EVENTS, FRAMES
from tasks.vidsitu.lines import cluster_of

Lines = list[dict[str, Any]]
Made = TypeVar("Made", bound="PairsTask")


def readings(tests: Iterable[str]) -> dict[str, Metric]:
    """The metrics of a set of these tests, in the order of its board: their mean stands first."""
    return {name: Metric("%", True) for name in (MEAN, *map(metric_name, tests))}


@dataclass(repr=False)
class PairsTask(Task):
    """Pairs of captions of VidSitu's clips, of which four frames an event are looked at.

    Subclasses set the class variables and `load`. `tests` are what a pair may test; those of
    `control` are not in the mean. A set of `parts` asks about events, each by its own frames.
    """

    tests: ClassVar[tuple[str, ...]]
    control: ClassVar[tuple[str, ...]] = ()
    primary: ClassVar[str] = MEAN
    guides: ClassVar[Path] = GUIDES

    pairs: list[CaptionPair] = field(default_factory=list)

    @classmethod
    @abstractmethod
    def load(cls, source: Source, limit: int | None = None) -> PairsTask:
        """The pairs of `source` and their clips; `limit` keeps those of the first clips."""

    @classmethod
    def of(
        cls: type[Made],
        source: Source,
        pairs: Sequence[CaptionPair],
        protocol: str,
        index: VideoIndex,
        limit: int | None,
        remarks: Iterable[str] = (),
        annotations: Path | None = None,
    ) -> Made:
        """The task of `pairs`, whose clips `index` finds. DataError where there are none."""
        if not pairs:
            raise DataError(f"{annotations}: no pairs can be made of it; check the file")
        ids = list(dict.fromkeys(pair.clip for pair in pairs))[:limit]
        wanted = set(ids)
        clips = [Clip(name, index.find(name), frames_fps=source.frames_fps) for name in ids]
        sizes = [clip.path.stat().st_size if clip.path else None for clip in clips]
        kept = [pair for pair in pairs if pair.clip in wanted]
        texts = list(dict.fromkeys(text for pair in kept for text in (pair.true, pair.false)))
        rows = [(pair.clip, pair.test, pair.event, pair.true, pair.false) for pair in kept]
        return cls(
            protocol=protocol,
            source=source,
            fingerprint=digest(cls.name, cls.version, rows, sizes),
            clips=clips,
            texts=texts,
            plan=PerEvent(FRAMES, len(EVENTS)),
            expected=len(pairs),
            chance={MEAN: CHANCE} | {metric_name(pair.test): CHANCE for pair in kept},
            remarks=[f"{cls.name}: {remark}" for remark in remarks],
            annotations=annotations,
            pairs=kept,
        )  # fmt: skip

    @classmethod
    def check(cls, source: Source) -> Check:
        """As any task's, with the number of pairs of each test."""
        from bench.checks import check_of

        task = cls.load(source)
        found, counts = check_of(task, source), Counter(pair.test for pair in task.pairs)
        found.facts["pairs"] = ", ".join(f"{one} {counts[one]}" for one in cls.tests)
        return found

    @classmethod
    def gallery(cls) -> Gallery:
        """Both captions, each model's scores of them, and the frames."""
        from tasks import pairs_gallery

        return pairs_gallery

    @classmethod
    def pairs_of(cls, source: Source) -> str:
        """All pairs as the text of a file that a source may name as the task's annotations."""
        return as_json(cls.load(source).pairs)

    @classmethod
    def common(cls, first: Lines, second: Lines) -> tuple[Bounds, Bounds]:
        """The pairs that both answered; see `bench.capabilities.SharesItems`."""
        asked = [{line["item"]: (line["true"], line["false"]) for line in lines}
                 for lines in (first, second)]  # fmt: skip
        both = asked[0].keys() & asked[1].keys()
        if any(asked[0][item] != asked[1][item] for item in both):
            raise ValueError("other captions of the same pairs")
        one, two = ([line for line in lines if line["item"] in both] for lines in (first, second))
        return (one, one), (two, two)

    def caption(self, clip: str) -> str:
        """The first caption that is true of the clip."""
        return next(pair.true for pair in self.pairs if pair.clip == clip)

    def pool(self, features: np.ndarray, adapter: Adapter) -> np.ndarray:
        """Frame features [T, D], or a video model's one, -> the feature [D] of length 1."""
        return adapter.pool(features)

    def answer(self, features: Features, adapter: Adapter) -> Iterator[dict[str, Any]]:
        """A line a pair, test by test: both captions and their scores, cosines with the clip."""
        texts = normalise(features.texts).astype(np.float64)
        place = {text: row for row, text in enumerate(self.texts)}
        of_clip: dict[str, list[tuple[dict[str, Any], CaptionPair]]] = defaultdict(list)
        for question, pair in zip(self.questions(), self.pairs, strict=True):
            of_clip[pair.clip].append((question, pair))
        lines: Lines = []
        for clip in (clip.id for clip in self.clips if clip.id in features.clips):
            seen = self._seen(features.clips[clip], adapter)
            for question, pair in of_clip[clip]:
                part = pair.part if self.parts > 1 else None
                captions = texts[[place[pair.true], place[pair.false]]]
                # Formed in float64 and rounded: equal features tie exactly.
                scores = (captions @ seen[part].astype(np.float64)).astype(np.float32)
                line = {**question, "scores": scores.tolist()}
                lines.append(line if part is None else {**line, "part": [part, self.parts]})
        yield from sorted(lines, key=lambda line: self.tests.index(line["test"]))
        yield from self._warnings(lines)

    def questions(self) -> Iterator[dict[str, Any]]:
        """Both captions of every pair."""
        for item, pair in zip(items_of(self.pairs), self.pairs, strict=True):
            yield {"item": item, "test": pair.test, "clip": pair.clip, "event": pair.event,
                   "true": pair.true, "false": pair.false}  # fmt: skip

    def _warnings(self, lines: Lines) -> Iterator[dict[str, str]]:
        """BenchError where no line is of a test that counts."""
        if {line["test"] for line in lines} <= set(self.control):
            raise BenchError(
                f"{self.name}: none of the {len(lines)} pairs answered counts, all are of "
                f"{', '.join(self.control)}; take more clips"
            )
        if ties := sum(line["scores"][0] == line["scores"][1] for line in lines):
            yield {
                "warning": f"{self.name}: {ties} of {len(lines)} pairs have two equal scores and "
                "count as wrong: the model cannot tell their captions apart, or reads no word that "
                "differs"
            }

    def _seen(self, features: np.ndarray, adapter: Adapter) -> dict[int | None, np.ndarray]:
        """The feature [D] of the clip as a whole, under None, and of each part of it."""
        if adapter.is_video_model:
            rows, whole = [features[part : part + 1] for part in range(self.parts)], features[-1:]
        else:
            rows, whole = np.split(features, self.parts), features
        given: dict[int | None, np.ndarray] = {None: whole, **dict(enumerate(rows))}
        return {part: self.pool(one, adapter) for part, one in given.items()}

    @classmethod
    def cluster(cls, line: dict[str, Any]) -> str:
        """The YouTube video: pairs of one are no independent draws."""
        return cluster_of(line["clip"])

    @classmethod
    def sample(cls, predictions: Iterable[dict[str, Any]]) -> Sample:
        """Every accuracy as a function of how often each YouTube video is drawn."""
        tests, right, lines = cls._judged(predictions)
        cluster, clusters = index_of([cls.cluster(line) for line in lines])
        return Sample(clusters, pair_statistics(tests, right, cluster, clusters, cls.control))

    @classmethod
    def score(cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int) -> Scores:
        """Accuracy of each test, and their mean; intervals over YouTube videos."""
        tests, right, lines = cls._judged(predictions)
        metrics = pair_metrics(tests, right, cls.control)
        return Scores(metrics, cls.sample(lines).intervals(resamples, seed), len(lines))

    @classmethod
    def _judged(cls, predictions: Iterable[dict[str, Any]]) -> tuple[list[str], np.ndarray, Lines]:
        """Test and bool [N] of every pair, and the lines, in order of test and item.

        ValueError for an unknown test and for scores that are none.
        """
        lines = [line for line in predictions if "warning" not in line]
        if odd := next((line["test"] for line in lines if line["test"] not in cls.tests), None):
            raise ValueError(f"unknown test {shown(odd)}")
        lines.sort(key=lambda line: (cls.tests.index(line["test"]), str(line["item"])))
        scores = np.array([line["scores"] for line in lines], np.float64)
        return [line["test"] for line in lines], is_right(scores), lines
