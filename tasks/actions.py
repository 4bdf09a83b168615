"""Zero-shot actions: a video's class by the similarity of its feature with names of classes.

Shared by every dataset: a subclass says which lists there are. One view: all frames of the clip's
plan, pooled once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.capabilities import Bounds
from bench.contracts import Adapter, Clip, Features, Metric, Scores, Source, Task
from bench.errors import BenchError
from bench.files.tensor_store import digest
from bench.files.untrusted import shown
from bench.metrics.bootstrap import Mean, Sample, Statistic, index_of, quotient
from bench.metrics.retrieval import best_of_rows, rank_of_own
from bench.settings import require, settings_from
from bench.video.sampling import Uniform
from tasks.action_files import (
    Actions,
    Labelled,
    class_folders,
    class_list,
    matched,
    video_list,
    words,
)
from tasks.lists import PublishedList, name_of
from tasks.retrieval import remarks_of_files
from tasks.sources import (
    GUIDES,
    VideoIndex,
    card_of,
    find_annotations,
    found_annotations,
    protocol_named,
    task_root,
)
from tasks.templates import class_features, templates_of

TOP = 5


@dataclass(frozen=True)
class Prompting:
    """Settings: `templates` is `default`, `averaged` or a file; see `tasks.templates`."""

    templates: str = "default"


@dataclass(frozen=True)
class SplitPrompting(Prompting):
    """Of a set with several published splits also `split`, from 1."""

    split: int = 1


@dataclass(repr=False)
class ActionTask(Task):
    """Videos of one action each. Subclasses set the class variables."""

    files: ClassVar[tuple[str, ...]]  # lists of videos; {split} stands for the setting
    class_files: ClassVar[tuple[str, ...]]  # lists of classes
    class_count: ClassVar[int]  # how many classes the set has
    lists: ClassVar[Sequence[PublishedList]]  # by its videos; the first is the published one
    # Ids of clips that are cut from something: a regular expression, whose group 1 names that;
    # LABEL stands for the class.
    cut_from: ClassVar[str] = ""
    version: ClassVar[int] = 1
    guides: ClassVar[Path] = GUIDES
    primary: ClassVar[str] = "top-1"
    recipe: ClassVar[type | None] = Prompting
    metrics: ClassVar[dict[str, Metric]] = {
        name: Metric("%", True) for name in ("top-1", "top-5", "mean-class")
    }
    columns: ClassVar[Sequence[str]] = tuple(metrics)
    overview: ClassVar[Sequence[str]] = ("top-1",)

    classes: list[str] = field(default_factory=list)  # in the order of their texts
    labels: dict[str, str] = field(default_factory=dict)  # the class of each clip

    @classmethod
    def published_protocol(cls) -> str:
        """The protocol of the published rows."""
        return f"{cls.name}/{cls.lists[0].name}"

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> ActionTask:
        """Classes, and videos of `source` with theirs; `limit` keeps the first videos."""
        where = f"settings of '{cls.name}'"
        settings: Any = settings_from(cls.recipe or Prompting, source.settings, where)
        templates, departure = templates_of(settings.templates)
        known = cls._known(settings, where)
        found, path = cls.read(source, settings)
        generated = card_of(source, cls.name) is not None
        classes, labelled = matched(found, None if generated else cls.class_count)
        few = not generated and len(classes) != cls.class_count
        fewer = f"{len(classes)} of {cls.class_count} classes" if few else ""
        protocol, said = cls._protocol(source, list(labelled.values()), known)
        everything, of_files = cls._clips(source, labelled)
        clips = everything[:limit]
        labels = {clip.id: labelled[clip.id].label for clip in clips}
        texts = [one.replace("{}", words(name)) for name in classes for one in templates]
        sizes = [clip.path.stat().st_size if clip.path else None for clip in clips]
        remarks = [*found.remarks, *said, *of_files]
        return cls(
            protocol=", ".join(filter(None, [protocol, fewer, departure])),
            source=source,
            fingerprint=digest(cls.name, cls.version, texts, list(labels.items()), sizes),
            clips=clips,
            texts=texts,
            plan=Uniform(12),
            expected=len(labelled),
            chance=chance(len(classes)),
            settings=asdict(settings),
            remarks=[f"{cls.name}: {remark}" for remark in remarks],
            annotations=path,
            classes=classes,
            labels=labels,
        )

    @classmethod
    def read(cls, source: Source, settings: Any) -> tuple[Actions, Path]:
        """The videos of a list with its classes, else those of folders of classes; and from where.

        DataError where there is neither.
        """
        names = [name.format(split=getattr(settings, "split", "")) for name in cls.files]
        root = source.videos or task_root(source, cls.name)
        path = found_annotations(source, cls.name, names)
        of_classes = cls.classes_file(source, path)
        classes = class_list(of_classes) if of_classes else {}
        if path is not None:
            return Actions(list(video_list(path, classes)), classes), path
        remarks: list[str] = []
        videos = class_folders(root, remarks)
        if not videos:
            find_annotations(source, cls.name, names)  # a DataError that names them
        remarks.append(f"no {' or '.join(names)}: the videos of all folders of classes are taken")
        return Actions(videos, classes, remarks), root

    @classmethod
    def classes_file(cls, source: Source, videos: Path | None) -> Path | None:
        """The list of classes: beside the list of `videos`, or anywhere below the root."""
        beside = (videos.parent / name for name in cls.class_files) if videos else ()
        found = next((path for path in beside if path.is_file()), None)
        plain = Source(source.name, source.root)
        return found or found_annotations(plain, cls.name, cls.class_files)

    @classmethod
    def _known(cls, settings: Any, where: str) -> Sequence[PublishedList]:
        """The published lists that may be read: of several splits the one that is set."""
        if not hasattr(settings, "split"):
            return cls.lists
        require(settings, {"split": 1 <= settings.split <= len(cls.lists)}, where)
        return cls.lists[settings.split - 1 : settings.split]

    @classmethod
    def _protocol(
        cls, source: Source, videos: Sequence[Labelled], known: Sequence[PublishedList]
    ) -> tuple[str, list[str]]:
        name, remarks = "", list[str]()
        if not card_of(source, cls.name):
            name, remarks = name_of([(one.video, one.label) for one in videos], known)
        return protocol_named(source, cls.name, name, {one.name for one in cls.lists}), remarks

    @classmethod
    def other_names(cls, video: str) -> Sequence[str]:
        """Names that copies give a video's file instead of its id, the likeliest first."""
        return ()

    @classmethod
    def _clips(cls, source: Source, labelled: dict[str, Labelled]) -> tuple[list[Clip], list[str]]:
        """A clip of every video, in the order of the list, and remarks on their files."""
        paths = {name: one.path for name, one in labelled.items()}
        remarks: list[str] = []
        if None in paths.values():
            index = VideoIndex.of(source, cls.name)
            paths, other_case = index.find_all(list(labelled))
            missing = [name for name, path in paths.items() if path is None]
            for name in missing:
                paths[name] = next(filter(None, map(index.find, cls.other_names(name))), None)
            remarks = remarks_of_files(paths, other_case, index)
            if others := [path for name in missing if (path := paths[name])]:
                remarks.append(
                    f"{len(others)} videos by another name, such as {others[0].name}: taken for "
                    "the cut clips"
                )
            if several := [name for name in paths if name in index.ambiguous]:
                remarks.append(f"several files for {len(several)} videos, the first {several[0]}")
        return [Clip(n, path, frames_fps=source.frames_fps) for n, path in paths.items()], remarks

    def caption(self, clip: str) -> str:
        """The clip's class, as words."""
        return words(self.labels[clip])

    def answer(self, features: Features, adapter: Adapter) -> Iterator[dict[str, Any]]:
        """A line a video: its class's rank among all classes, and the five most similar.

        A tie ranks the right class behind its equals.
        """
        names = [clip.id for clip in self.clips if clip.id in features.clips]
        videos = np.stack([adapter.pool(features.clips[name]) for name in names])
        texts = class_features(features.texts, len(self.classes))
        # In float64, rounded: equal features tie exactly on every machine.
        scores = (videos.astype(np.float64) @ texts.T.astype(np.float64)).astype(np.float32)
        if not np.isfinite(scores).all():
            raise BenchError(f"{adapter.name} on {self.name}: NaN or infinity; check the model")
        place = {name: n for n, name in enumerate(self.classes)}
        own = np.array([place[self.labels[name]] for name in names])
        own_scores = scores[np.arange(len(names)), own]
        ranks = rank_of_own(scores, own_scores, own)
        columns, best = best_of_rows(scores, min(TOP, len(self.classes)))
        for row, name in enumerate(names):
            top = zip(columns[row].tolist(), best[row].tolist(), strict=True)
            yield {
                "item": name, "label": self.labels[name], "rank": int(ranks[row]),
                "score": float(own_scores[row]),
                "top": [[self.classes[column], score] for column, score in top],
            }  # fmt: skip

    def questions(self) -> Iterator[dict[str, Any]]:
        """The class of every video."""
        return ({"item": clip.id, "label": self.labels[clip.id]} for clip in self.clips)

    @classmethod
    def cluster(cls, line: dict[str, Any]) -> str:
        """What the clip is cut from, or the clip itself."""
        label = r"[\W_]*".join(map(re.escape, re.split(r"[\W_]+", str(line["label"]))))
        form = cls.cut_from.replace("LABEL", label)
        found = re.fullmatch(form, line["item"], re.IGNORECASE) if form else None
        return found[1] if found else super().cluster(line)

    @classmethod
    def common(
        cls, first: list[dict[str, Any]], second: list[dict[str, Any]]
    ) -> tuple[Bounds, Bounds]:
        """The videos that both answered: a rank among classes does not depend on the others."""
        labels = [{line["item"]: line["label"] for line in lines} for lines in (first, second)]
        both = labels[0].keys() & labels[1].keys()
        if any(labels[0][item] != labels[1][item] for item in both):
            raise ValueError("other classes of the same videos")
        one, two = ([line for line in lines if line["item"] in both] for lines in (first, second))
        return (one, one), (two, two)

    @classmethod
    def sample(cls, predictions: Iterable[dict[str, Any]]) -> Sample:
        """Every metric as a function of how often each cluster of videos is drawn."""
        lines = _checked(predictions)
        ranks = np.array([line["rank"] for line in lines])
        cluster, clusters = index_of([cls.cluster(line) for line in lines])
        group, _ = index_of([line["label"] for line in lines])
        count = np.bincount(cluster, minlength=clusters).astype(np.float64)
        statistics: dict[str, Statistic] = {
            f"top-{k}": Mean(100.0 * np.bincount(cluster, ranks <= k, clusters), count, share=True)
            for k in (1, TOP)
        }
        statistics["mean-class"] = _mean_of_classes(cluster, group, 100.0 * (ranks == 1))
        return Sample(clusters, statistics)

    @classmethod
    def score(cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int) -> Scores:
        """Top-1, top-5 and the mean over classes of top-1; intervals over clusters of videos."""
        lines = _checked(predictions)
        hits = {k: 100.0 * float(np.mean([line["rank"] <= k for line in lines])) for k in (1, TOP)}
        of_class: dict[str, list[bool]] = {}
        for line in lines:
            of_class.setdefault(line["label"], []).append(line["rank"] == 1)
        mean = 100.0 * float(np.mean([np.mean(found) for found in of_class.values()]))
        metrics = {"top-1": hits[1], "top-5": hits[TOP], "mean-class": mean}
        return Scores(metrics, cls.sample(lines).intervals(resamples, seed), len(lines))


def chance(classes: int) -> dict[str, float]:
    """Expected metrics of random scores among so many classes."""
    one = 100.0 / classes
    return {"top-1": one, "top-5": one * min(TOP, classes), "mean-class": one}


def _checked(predictions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines in order of item. ValueError for a rank that is none, and for no lines."""
    lines = sorted((line for line in predictions if "warning" not in line),
                   key=lambda line: str(line["item"]))  # fmt: skip
    if not lines:
        raise ValueError("no lines: nothing was answered")
    for line in lines:
        if type(line["rank"]) is not int or line["rank"] < 1:
            raise ValueError(f"rank {shown(line['rank'])} of {line['item']}")
    return lines


def _mean_of_classes(cluster: np.ndarray, group: np.ndarray, values: np.ndarray) -> Statistic:
    """Mean over classes of the mean of item `values`; a class that no resample draws is left out.

    `cluster` and `group` number each item's cluster and class. Most clusters have one class: what
    is kept of them is sparse.
    """
    from scipy.sparse import csr_array

    total = csr_array((values, (group, cluster)))
    count = csr_array((np.ones(len(values)), (group, cluster)))

    def statistic(weights: np.ndarray) -> np.ndarray:
        number = count @ weights.T
        means = quotient(total @ weights.T, number)
        found: np.ndarray = quotient(means.sum(axis=0), (number > 0).sum(axis=0))
        return found

    return statistic
