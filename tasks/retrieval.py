"""Zero-shot text-to-video retrieval, shared by every dataset: a subclass only reads its file."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.capabilities import Gallery
from bench.contracts import Adapter, Clip, Features, Metric, Scores, Source, Task, normalise
from bench.errors import BenchError, DataError
from bench.files.tensor_store import digest
from bench.metrics.bootstrap import interval, rank_draws
from bench.metrics.retrieval import metrics_of_ranks, ranks_from_features
from bench.video.sampling import Uniform
from tasks.sources import VideoIndex, find_annotations, protocol_of

LONGEST = 10_000  # characters of a sentence; beyond that the file was misread
_DIRECTIONS = {"t2v": "", "v2t": "v2t/"}
_READING = {
    "R@1": Metric("%", True), "R@5": Metric("%", True), "R@10": Metric("%", True),
    "MdR": Metric("rank", False), "MnR": Metric("rank", False),
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A sentence and the video it describes; `where` is its place in the file, for messages."""

    video: str
    sentence: str
    where: str


@dataclass
class RetrievalTask(Task):
    """Sentences and the videos they describe. Subclasses set the class variables and `read`."""

    files: ClassVar[tuple[str, ...]]  # names under which the annotation file circulates
    published: ClassVar[str]  # the published protocol's name, for sets of 1,000 pairs
    version: ClassVar[int] = 1
    primary: ClassVar[str] = "R@1"
    metrics: ClassVar[dict[str, Metric]] = {
        prefix + name: metric
        for prefix in _DIRECTIONS.values()
        for name, metric in _READING.items()
    }

    columns: ClassVar[Sequence[str]] = (*_READING, "v2t/R@1", "v2t/R@10")
    overview: ClassVar[Sequence[str]] = ("R@1", "R@10", "MdR")

    owners: list[str] = field(default_factory=list)  # the right clip of each text
    ambiguous: list[str] = field(default_factory=list)  # clips of which there are several files

    @classmethod
    def published_protocol(cls) -> str:
        """The protocol of the published rows."""
        return f"{cls.name}/{cls.published}"

    @classmethod
    def gallery(cls) -> Gallery:
        """Queries, their ground-truth video and each model's first."""
        from tasks import retrieval_gallery

        return retrieval_gallery

    @classmethod
    @abstractmethod
    def read(cls, path: Path) -> list[Pair]:
        """The pairs of the annotation file. DataError names file and line."""

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> RetrievalTask:
        """Pairs and videos of `source`; `limit` keeps the first videos with all their sentences."""
        path = find_annotations(source, cls.name, cls.files)
        pairs = cls.read(path)
        check_pairs(pairs, path)
        index = VideoIndex.of(source, cls.name)
        ids = list(dict.fromkeys(pair.video for pair in pairs))[:limit]
        kept = set(ids)
        clips = [Clip(i, index.find(i), frames_fps=source.frames_fps) for i in ids]
        sizes = [clip.path.stat().st_size if clip.path else None for clip in clips]
        texts = [pair.sentence for pair in pairs if pair.video in kept]
        owners = [pair.video for pair in pairs if pair.video in kept]
        return cls(
            protocol=protocol_of(source, cls.name, cls.published, len(pairs)),
            source=source,
            fingerprint=digest(cls.name, cls.version, texts, owners, sizes),
            clips=clips,
            texts=texts,
            plan=Uniform(12),
            expected=len(pairs),
            chance=chance(Counter(owners)),
            owners=owners,
            ambiguous=[i for i in ids if i in index.ambiguous],
            annotations=path,
        )

    def caption(self, clip: str) -> str:
        """The clip's first sentence."""
        return self.texts[self.owners.index(clip)]

    def answer(self, features: Features, adapter: Adapter) -> Iterator[dict[str, Any]]:
        """Ranks of every sentence among the answered videos, and of every video among captions."""
        if self.ambiguous:
            yield {
                "warning": f"{self.name}: several files for {len(self.ambiguous)} clips, the first "
                f"{self.ambiguous[0]}; one each was taken, by type and then by path"
            }
        names = [clip.id for clip in self.clips if clip.id in features.clips]
        place = {name: i for i, name in enumerate(names)}
        queried = [i for i, owner in enumerate(self.owners) if owner in place]
        videos = np.stack([adapter.pool(features.clips[name]) for name in names])
        texts = normalise(features.texts[queried])
        owner = np.array([place[self.owners[i]] for i in queried])
        try:
            ranking = ranks_from_features(texts, videos, owner)
        except ValueError as error:
            raise BenchError(f"{adapter.name} on {self.name}: {error}; check the model") from error
        tops = zip(ranking.t2v_top.tolist(), ranking.t2v_top_scores.tolist(), strict=True)
        for row, (i, top) in enumerate(zip(queried, tops, strict=True)):
            yield {
                "item": f"t2v {i}", "direction": "t2v", "query": i, "text": self.texts[i],
                "target": self.owners[i],
                "rank": int(ranking.t2v[row]), "score": float(ranking.scores[row]),
                "top": [[names[j], score] for j, score in zip(*top, strict=True)],
            }  # fmt: skip
        tops = zip(ranking.v2t_top.tolist(), ranking.v2t_top_scores.tolist(), strict=True)
        for row, (video, top) in enumerate(zip(ranking.videos.tolist(), tops, strict=True)):
            yield {
                "item": f"v2t {names[video]}", "direction": "v2t", "query": names[video],
                "target": names[video],
                "rank": int(ranking.v2t[row]), "score": float(ranking.v2t_scores[row]),
                "top": [[names[j], score] for j, score in zip(*top, strict=True)],
            }  # fmt: skip

    @classmethod
    def draws(
        cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int
    ) -> dict[str, np.ndarray]:
        """Every metric in each resample of the videos."""
        return {
            prefix + name: values
            for prefix, (ranks, targets) in _by_direction(predictions).items()
            for name, values in rank_draws(ranks, targets, resamples, seed).items()
        }

    @classmethod
    def score(cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int) -> Scores:
        """Recall and ranks in both directions; intervals resampled by video."""
        lines = [line for line in predictions if "warning" not in line]
        ranks = {prefix: ranks for prefix, (ranks, _) in _by_direction(lines).items()}
        metrics = {
            prefix + name: value
            for prefix, found in ranks.items()
            for name, value in metrics_of_ranks(found).items()
        }
        draws = cls.draws(lines, resamples=resamples, seed=seed)
        intervals = {name: interval(values) for name, values in draws.items()}
        return Scores(metrics, intervals, len(ranks[""]))


def _by_direction(
    predictions: Iterable[dict[str, Any]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Metric prefix -> ranks and target videos of that direction's queries, in order of item."""
    lines = sorted(predictions, key=lambda line: str(line["item"]))
    found = {}
    for direction, prefix in _DIRECTIONS.items():
        chosen = [line for line in lines if line["direction"] == direction]
        ranks = np.array([line["rank"] for line in chosen])
        found[prefix] = ranks, np.array([line["target"] for line in chosen])
    return found


def chance(captions: Counter[str]) -> dict[str, float]:
    """Expected metrics of random scores over the gallery; every rank is equally likely."""
    videos = len(captions)
    one_way = {
        **{f"R@{k}": 100.0 * min(k, videos) / videos for k in (1, 5, 10)},
        "MdR": (videos + 1) / 2,
        "MnR": (videos + 1) / 2,
    }
    if max(captions.values()) > 1:
        return one_way  # a group's best of several captions has no such simple expectation
    return {**one_way, **{f"v2t/{name}": value for name, value in one_way.items()}}


def check_pairs(pairs: list[Pair], path: Path) -> None:
    """Refuse what would make a score wrong: no pairs, empty fields, a pair given twice."""
    if not pairs:
        raise DataError(f"{path}: no pairs in it; fetch the file again")
    seen: dict[tuple[str, str], str] = {}
    for pair in pairs:
        if not pair.video or not pair.sentence.strip():
            raise DataError(f"{pair.where}: an empty id or sentence; correct the line")
        if len(pair.sentence) > LONGEST or len(pair.video) > 255:
            raise DataError(f"{pair.where}: a field far too long; check quotes and separators")
        if "/" in pair.video or "\\" in pair.video or pair.video in (".", ".."):
            raise DataError(f"{pair.where}: the id {pair.video!r} is a path; ids are plain names")
        if not pair.video.isprintable():
            raise DataError(f"{pair.where}: the id {pair.video!r} holds control characters")
        key = (pair.video, pair.sentence)
        if key in seen:
            raise DataError(f"{pair.where}: the same pair as {seen[key]}; remove one")
        seen[key] = pair.where
