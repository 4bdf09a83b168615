"""Zero-shot text-to-video retrieval, shared by every dataset: a subclass only reads its file."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.capabilities import Bounds, Gallery, Matching
from bench.contracts import (
    Adapter,
    Clip,
    Features,
    Metric,
    Scores,
    Source,
    Task,
    normalise,
)
from bench.errors import BenchError
from bench.files.tensor_store import digest
from bench.files.untrusted import shown
from bench.metrics.bootstrap import Sample, index_of
from bench.metrics.reranking import nearest, reranked
from bench.metrics.resampling import Statistics, rank_statistics
from bench.metrics.retrieval import Ranking, metrics_of_ranks, ranks_from_features
from bench.video.sampling import Uniform
from tasks.captions import Pair as Pair
from tasks.captions import Pairs as Pairs
from tasks.captions import check_pairs as check_pairs
from tasks.captions import paragraphs, subtitles_of, with_plain_ids
from tasks.lists import PublishedList, name_of
from tasks.sources import GUIDES, VideoIndex, card_of, find_annotations, protocol_named

NEAR = 3  # missing videos for which a near name is looked for
_DIRECTIONS = {"t2v": "", "v2t": "v2t/"}
_READING = {
    "R@1": Metric("%", True), "R@5": Metric("%", True), "R@10": Metric("%", True),
    "MdR": Metric("rank", False), "MnR": Metric("rank", False),
}  # fmt: skip


@dataclass(repr=False)
class RetrievalTask(Task):
    """Sentences and the videos they describe. Subclasses set the class variables and `read`."""

    files: ClassVar[tuple[str, ...]]  # names of the annotation file; earlier ones are preferred
    published: ClassVar[str]  # the published protocol's name
    # The lists that have a name. Without any, 1,000 pairs count as the published ones, unverified.
    lists: ClassVar[Sequence[PublishedList]] = ()
    joins: ClassVar[bool] = False  # whether the sentences of a video are one paragraph
    # Ids of clips that are cut from something: a regular expression, whose group 1 names that.
    cut_from: ClassVar[str] = ""
    version: ClassVar[int] = 1
    guides: ClassVar[Path] = GUIDES
    reranks: ClassVar[bool] = True
    rescores: ClassVar[bool] = True
    primary: ClassVar[str] = "R@1"
    metrics: ClassVar[dict[str, Metric]] = {
        prefix + name: metric
        for prefix in _DIRECTIONS.values()
        for name, metric in _READING.items()
    }

    columns: ClassVar[Sequence[str]] = (*_READING, "v2t/R@1", "v2t/R@10")
    overview: ClassVar[Sequence[str]] = ("R@1", "R@10", "MdR")

    owners: list[str] = field(default_factory=list)  # the right clip of each text
    clusters: dict[str, str] = field(default_factory=dict)  # of clips that the file says one of
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
    def common(
        cls, first: list[dict[str, Any]], second: list[dict[str, Any]]
    ) -> tuple[Bounds, Bounds]:
        """The queries of the videos that both answered, ranked among these."""
        from tasks.retrieval_common import common

        return common(first, second)

    @classmethod
    @abstractmethod
    def read(cls, path: Path) -> list[Pair]:
        """The pairs of the annotation file. DataError names file and line."""

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> RetrievalTask:
        """Pairs and videos of `source`; `limit` keeps the first videos with all their sentences."""
        path = find_annotations(source, cls.name, cls.files)
        read = cls.read(path)
        remarks = list(getattr(read, "remarks", ()))
        plain = [replace(one, video=cls.canonical(one.video)) for one in with_plain_ids(read)]
        remarks += check_pairs(plain, path)
        pairs, said = paragraphs(plain) if cls.joins else (plain, [])
        remarks += said
        protocol, said = cls._protocol(source, pairs)
        index = VideoIndex.of(source, cls.name)
        everything, of_files = cls._clips(source, index, pairs)
        remarks += said + of_files
        clips = everything[:limit]
        kept = {clip.id for clip in clips}
        sizes = [clip.path.stat().st_size if clip.path else None for clip in clips]
        texts = [pair.sentence for pair in pairs if pair.video in kept]
        owners = [pair.video for pair in pairs if pair.video in kept]
        subtitles = subtitles_of(read, plain, kept)
        parts = [[clip.id, clip.start, clip.end] for clip in clips if clip.end is not None]
        beside = [one for one in (subtitles, parts or None) if one is not None]
        return cls(
            protocol=protocol,
            source=source,
            fingerprint=digest(cls.name, cls.version, texts, owners, sizes, *beside),
            clips=clips,
            texts=texts,
            plan=Uniform(12),
            expected=len(pairs),
            chance=chance(Counter(owners)),
            remarks=[f"{cls.name}: {remark}" for remark in remarks],
            owners=owners,
            clusters={pair.video: pair.cluster for pair in pairs if pair.cluster},
            ambiguous=[clip.id for clip in clips if clip.id in index.ambiguous],
            annotations=path,
            subtitles=subtitles,
        )

    @classmethod
    def canonical(cls, video: str) -> str:
        """A plain id in the spelling of the published list, where copies have several."""
        return video

    @classmethod
    def other_names(cls, video: str) -> Sequence[str]:
        """Names that copies give a video's file instead of its id, the likeliest first."""
        return ()

    @classmethod
    def _clips(
        cls, source: Source, index: VideoIndex, pairs: Sequence[Pair]
    ) -> tuple[list[Clip], list[str]]:
        """The clip of every video in the order of the file, and remarks on their files.

        One that no file holds by itself may be a part of a whole video's.
        """
        parts = {pair.video: pair.part for pair in pairs}
        paths, other_case = index.find_all(list(parts))
        clips = []
        for video, part in parts.items():
            names = cls.other_names(video) if paths[video] is None else ()
            paths[video] = paths[video] or next(filter(None, map(index.find, names)), None)
            start, end = 0.0, None
            if paths[video] is None and part and (whole := index.find(part[0])):
                paths[video], start, end = whole, part[1], part[2]
            clips.append(Clip(video, paths[video], start, end, source.frames_fps))
        return clips, remarks_of_files(paths, other_case, index)

    @classmethod
    def _protocol(cls, source: Source, pairs: Sequence[Pair]) -> tuple[str, list[str]]:
        """The protocol of the pairs, and what is to be said about its name."""
        lists = cls.lists or (PublishedList(cls.published, 1000),)
        name, remarks = "", list[str]()
        if not card_of(source, cls.name):
            name, remarks = name_of([(pair.video, pair.sentence) for pair in pairs], lists)
        return protocol_named(source, cls.name, name, {one.name for one in lists}), remarks

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
        if self.joins and (cut := adapter.count_truncated(self.texts)):
            yield {
                "warning": f"{self.name}: {cut} of {len(self.texts)} paragraphs are longer than "
                f"{adapter.name} reads, and are cut"
            }
        names = [clip.id for clip in self.clips if clip.id in features.clips]
        place = {name: i for i, name in enumerate(names)}
        queried = [i for i, owner in enumerate(self.owners) if owner in place]
        videos = np.stack([adapter.pool(features.clips[name]) for name in names])
        texts = normalise(features.texts[queried])
        owner = np.array([place[self.owners[i]] for i in queried])
        try:
            if features.matching is None:
                device = getattr(adapter, "device", "cpu")
                ranking = ranks_from_features(
                    texts, videos, owner, device=device, temperature=features.temperature
                )
            else:
                ranking = _reranked(features.matching, texts, videos, owner, queried, names)
        except ValueError as error:
            raise BenchError(f"{adapter.name} on {self.name}: {error}; check the model") from error
        asked = {question["item"]: question for question in self.questions()}
        tops = zip(ranking.t2v_top.tolist(), ranking.t2v_top_scores.tolist(), strict=True)
        for row, (i, top) in enumerate(zip(queried, tops, strict=True)):
            yield {
                **asked[f"t2v {i}"],
                "rank": int(ranking.t2v[row]), "score": float(ranking.scores[row]),
                "top": [[names[j], score] for j, score in zip(*top, strict=True)],
            }  # fmt: skip
        tops = zip(ranking.v2t_top.tolist(), ranking.v2t_top_scores.tolist(), strict=True)
        for row, (video, top) in enumerate(zip(ranking.videos.tolist(), tops, strict=True)):
            yield {
                **asked[f"v2t {names[video]}"],
                "rank": int(ranking.v2t[row]), "score": float(ranking.v2t_scores[row]),
                "top": [[names[j], score] for j, score in zip(*top, strict=True)],
            }  # fmt: skip

    def questions(self) -> Iterator[dict[str, Any]]:
        """Every sentence and every video, with its ground truth and what that is drawn with."""
        of = {name: {"cluster": cluster} for name, cluster in self.clusters.items()}
        for i, (text, owner) in enumerate(zip(self.texts, self.owners, strict=True)):
            yield {"item": f"t2v {i}", "direction": "t2v", "query": i, "text": text,
                   "target": owner, **of.get(owner, {})}  # fmt: skip
        for name in (clip.id for clip in self.clips):
            yield {"item": f"v2t {name}", "direction": "v2t", "query": name, "target": name,
                   **of.get(name, {})}  # fmt: skip

    def chance_of(self, predictions: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Chance among the answered videos: fewer than were asked for where some have no frames."""
        queries = [line for line in predictions if line["direction"] == "t2v"]
        return chance(Counter(line["target"] for line in queries))

    @classmethod
    def cluster(cls, line: dict[str, Any]) -> str:
        """What the clip is cut from, what the annotations say, or the video itself.

        Captions of one video are no independent draws, nor are clips of one film.
        """
        film = re.fullmatch(cls.cut_from, line["target"]) if cls.cut_from else None
        return film[1] if film else str(line.get("cluster", line["target"]))

    @classmethod
    def sample(cls, predictions: Iterable[dict[str, Any]]) -> Sample:
        """Every metric as a function of how often each cluster of videos is drawn."""
        found = _by_direction(predictions)
        names = [cls.cluster(line) for _, lines in found.values() for line in lines]
        cluster, clusters = index_of(names)
        statistics: Statistics = {}
        for prefix, (ranks, _) in found.items():
            own, cluster = cluster[: len(ranks)], cluster[len(ranks) :]
            for name, one in rank_statistics(ranks, own, clusters).items():
                statistics[prefix + name] = one
        return Sample(clusters, statistics)

    @classmethod
    def score(cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int) -> Scores:
        """Recall and ranks in both directions; intervals over clusters of videos."""
        lines = [line for line in predictions if "warning" not in line]
        ranks = {prefix: ranks for prefix, (ranks, _) in _by_direction(lines).items()}
        metrics = {
            prefix + name: value
            for prefix, found in ranks.items()
            for name, value in metrics_of_ranks(found).items()
        }
        return Scores(metrics, cls.sample(lines).intervals(resamples, seed), len(ranks[""]))


def _reranked(
    matching: Matching,
    texts: np.ndarray,
    videos: np.ndarray,
    owner: np.ndarray,
    queried: Sequence[int],
    names: Sequence[str],
) -> Ranking:
    """The best videos of each text and texts of each video, ranked by the matching head.

    `queried` are the texts' places in the task, `names` the videos' ids.
    """
    of_text = nearest(texts, videos, matching.top)
    of_video = nearest(videos, texts, matching.top)
    pairs = [(queried[text], names[video]) for text, row in enumerate(of_text.tolist())
             for video in row]  # fmt: skip
    pairs += [(queried[text], names[video]) for video, row in enumerate(of_video.tolist())
              for text in row]  # fmt: skip
    scores = matching.scores(pairs)
    first, second = scores[: of_text.size], scores[of_text.size :]
    return reranked(owner, (of_text, first.reshape(of_text.shape)),
                    (of_video, second.reshape(of_video.shape)))  # fmt: skip


def _by_direction(
    predictions: Iterable[dict[str, Any]],
) -> dict[str, tuple[np.ndarray, list[dict[str, Any]]]]:
    """Metric prefix -> ranks and lines of that direction's queries, in order of item.

    ValueError for a rank that is none among the videos, or among the texts, of the lines.
    """
    lines = sorted(predictions, key=lambda line: str(line["item"]))
    found = {}
    for direction, prefix in _DIRECTIONS.items():
        chosen = [line for line in lines if line["direction"] == direction]
        # Each video ranks the texts, and each text the videos.
        last = max(len(lines) - len(chosen), len({line["target"] for line in lines}))
        for line in chosen:
            if type(line["rank"]) is not int or not 1 <= line["rank"] <= last:
                raise ValueError(f"rank {shown(line['rank'])} of {line['item']} among {last}")
        found[prefix] = np.array([line["rank"] for line in chosen]), chosen
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


def remarks_of_files(
    paths: dict[str, Path | None], other_case: list[str], index: VideoIndex
) -> list[str]:
    """Ids in other case than their file, and of missing videos the first that has a near name."""
    remarks = []
    if other_case:
        remarks.append(f"{len(other_case)} ids in another case than their file, as {other_case[0]}")
    missing = [video for video, path in paths.items() if path is None]
    near = ((video, index.near(video)) for video in missing[:NEAR])
    if found := next((f"{video}{name}" for video, name in near if name), ""):
        remarks.append(f"no file for {len(missing)} videos, as {found}")
    return remarks
