"""VidSitu as a task: the verb and the semantic roles of five events a video (docs/method.md 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.capabilities import Bounds, ContextualizesFrames, Exporter, Gallery, ReadsFeatures
from bench.contracts import (
    Adapter,
    Check,
    Clip,
    Features,
    Metric,
    Scores,
    Source,
    Task,
    Workplace,
)
from bench.errors import UsageError
from bench.files.tensor_store import checksum, digest
from bench.metrics.bootstrap import Sample
from bench.results.document import Document
from bench.video.sampling import PerEvent
from tasks.sources import GUIDES, protocol_of
from tasks.vidsitu.annotations import (
    EVENTS,
    FRAMES,
    VALID,
    VIDEOS,
    Annotation,
    Event,
    annotation_path,
    annotation_root,
    find_clips,
    label_path,
    load_annotations,
    load_split,
    load_votes,
    of_every_segment,
)
from tasks.vidsitu.baseline import ceiling, most_frequent
from tasks.vidsitu.check import check_tree
from tasks.vidsitu.events import NAMES as EVENT_NAMES
from tasks.vidsitu.events import EventTexts
from tasks.vidsitu.head.settings import MODEL, NO_STAGE_ONE, WHISPERER, HeadSettings
from tasks.vidsitu.lines import Truth, cluster_of, scored, truth_line
from tasks.vidsitu.names import ROLES, VERBS, ZERO_SHOT
from tasks.vidsitu.prompts import RoleNames, dense_prompt
from tasks.vidsitu.roles import given_roles
from tasks.vidsitu.scoring.rules import permuted
from tasks.vidsitu.zero_shot import Parts, by_prompts


@dataclass(repr=False)
class VidSitu(Task):
    """Verbs by a trained classifier and by prompt similarity alone, roles by a trained captioner.

    The head learns from the training split (`support`); nothing is selected on the split that is
    answered, unless the setting `select` says so. A hidden split is answered, never scored.
    """

    name: ClassVar[str] = "vidsitu"
    version: ClassVar[int] = 2  # 2: one head for every model, and whether events are distinguished
    primary: ClassVar[str] = "Vb@1"
    guides: ClassVar[Path] = GUIDES
    recipe: ClassVar[type | None] = HeadSettings
    floor: ClassVar[str] = "(most frequent)"
    parts: ClassVar[int] = len(EVENTS)
    needs_texts: ClassVar[bool] = False  # they give what is answered without training
    metrics: ClassVar[dict[str, Metric]] = {
        **{
            name: Metric("%", True)
            for name in (
                *VERBS.values(), *(ZERO_SHOT + verb for verb in VERBS.values()), *ROLES.values()
            )
        },
        **{
            name: Metric("rank", False) if name[-3:] in ("MdR", "MnR") else Metric("%", True)
            for name in EVENT_NAMES
        },
    }  # fmt: skip

    columns: ClassVar[Sequence[str]] = (
        "Vb@1", "Vb@5", "Rec@5", "zero-shot/Vb@1", "CIDEr", "CIDEr-Vb", "CIDEr-Arg", "LEA",
        "LEA-soft",
    )  # fmt: skip
    overview: ClassVar[Sequence[str]] = ("Vb@1", "CIDEr")
    citation: ClassVar[str] = (
        "Sadhu et al., Visual Semantic Role Labeling for Video Understanding, CVPR 2021, "
        "arXiv 2104.00990"
    )
    licence: ClassVar[str] = "MIT (its repository); the videos are YouTube's"

    root: Path = Path()  # of the annotation tree
    split: str = VALID
    head: HeadSettings = field(default_factory=HeadSettings)
    training_hash: str = ""  # hash of what the head learns from
    training: dict[str, Annotation] = field(default_factory=dict)
    truth: dict[str, Truth] = field(default_factory=dict)  # empty for a hidden split
    roles: dict[str, list[list[str]] | None] = field(default_factory=dict)
    events: EventTexts = field(default_factory=EventTexts)  # of the annotations that come first
    verbs: list[str] = field(default_factory=list)  # of the zero-shot prompts, in their order

    @classmethod
    def published_protocol(cls) -> str:
        """The public split that papers report."""
        return f"{cls.name}/{VALID}"

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> VidSitu:
        """The validation split; `limit` keeps the first videos of both splits."""
        return cls.load_split(source, VALID, limit)

    @classmethod
    def load_split(cls, source: Source, split: str, limit: int | None = None) -> VidSitu:
        """Any split to answer. DataError names the file; UsageError a setting of the head."""
        where = "settings of 'vidsitu'"
        head = HeadSettings.of(source.settings, where)
        root = annotation_root(source)
        annotations = load_annotations(root, "train")
        learnt = [name for name in load_split(root, "train") if name in annotations][:limit]
        training = {name: annotations[name][0] for name in learnt}
        everything = load_split(root, split)
        segments = everything[:limit]
        truth, first = _truth(root, everything) if split == VALID else ({}, {})
        verbs = sorted({event.verb_id for a in training.values() for event in a.events})
        found = find_clips(source, [*learnt, *segments])  # one walk through the videos
        support, clips = found[: len(learnt)], found[len(learnt) :]
        training_hash = _fingerprint([annotation_path(root, "train")], support)
        files = [annotation_path(root, split), label_path(root, split)]
        protocol = protocol_of(source, cls.name, split, len(everything), VIDEOS)
        shown = {name: truth[name] for name in segments} if truth else {}
        role_names = RoleNames.of(a for group in annotations.values() for a in group)
        events = EventTexts.of({name: first[name] for name in shown}, role_names)
        return cls(
            protocol=", ".join([protocol, *_departures(head)]),
            source=source,
            fingerprint=digest(training_hash, _fingerprint(files, clips)),
            clips=clips,
            texts=[*(dense_prompt(Event(verb, verb, ())) for verb in verbs), *events.texts],
            plan=PerEvent(FRAMES, len(EVENTS)),
            expected=len(everything),
            support=support,
            settings=head.recorded(),
            root=root,
            split=split,
            head=head,
            training_hash=training_hash,
            training=training,
            truth=shown,
            roles=given_roles(root, split, segments, truth),
            verbs=verbs,
            events=events,
        )

    @classmethod
    def check(cls, source: Source) -> Check:
        """Splits, videos and annotation faults; see `tasks.vidsitu.check`."""
        return check_tree(source, VIDEOS)

    def check_model(self, adapter: Adapter) -> None:
        """UsageError for a model whose frames or objects the head cannot see."""
        if self.head.stage_one == MODEL and not isinstance(adapter, ContextualizesFrames):
            raise UsageError(NO_STAGE_ONE.format(model=adapter.name))
        objects = isinstance(adapter, ReadsFeatures) and adapter.has_objects
        if objects and self.head.head != WHISPERER:
            raise UsageError(
                f"model '{adapter.name}' has objects, which VideoWhisperer's head alone sees; set "
                "vidsitu.head=videowhisperer, or give a folder without objects"
            )

    def learn(self, features: Features, adapter: Adapter, place: Workplace) -> Any:
        """The answers of a situation head trained on `support`; kept, so mostly only read."""
        from tasks.vidsitu.head.prediction import HeadData, answer_all

        def value(answers: dict[str, Any]) -> float:
            """CIDEr, as VideoWhisperer selects, or its mean with Vb@1, as the paper does."""
            lines = [
                {"item": name, "verbs": answer.verbs, "roles": answer.roles,
                 "truth": truth_line(self.truth[name])}
                for name, answer in answers.items()
            ]  # fmt: skip
            metrics = scored(lines).metrics()
            if self.head.select == "best-cider":
                return metrics["CIDEr"]
            return float(np.sqrt(metrics["Vb@1"] * metrics["CIDEr"]))

        judged = self.head.select != "last" and self.truth
        identity = self.fingerprint if judged else self.training_hash
        data = HeadData(self.training, self.roles, identity, value if judged else None)
        return answer_all(data, features, adapter, self.head, place)

    def answer(self, features: Features, adapter: Adapter) -> Iterator[dict[str, Any]]:
        """A line a video: verbs, zero-shot verbs, roles, ranks of events, and the truth of them."""
        names = [clip.id for clip in self.clips if clip.id in features.clips]
        zero_shot: Parts = {}
        ranks: Parts = {}
        if adapter.reads_texts:
            events = self.events if self.truth else None
            zero_shot, ranks = by_prompts(names, features, adapter, self.verbs, events)
        for name in names:
            answer = features.learnt[name]
            yield {
                "item": name,
                "verbs": answer.verbs,
                "scores": answer.scores,
                **zero_shot.get(name, {}),
                "roles": answer.roles,
                **ranks.get(name, {}),
                **({"truth": truth_line(self.truth[name])} if self.truth else {}),
            }

    def questions(self) -> Iterator[dict[str, Any]]:
        """What annotators say of every video."""
        return ({"item": name, "truth": truth_line(one)} for name, one in self.truth.items())

    def chance_of(self, predictions: Sequence[dict[str, Any]]) -> dict[str, float]:
        """The majority baseline on the answered videos; worked out now, for listing needs none."""
        truth = self._answered(predictions)
        return most_frequent(self.training.values(), truth) if truth and self.training else {}

    def ceiling_of(self, predictions: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Of verbs on the answered videos: one that no training clip has cannot be predicted."""
        truth = self._answered(predictions)
        return ceiling(self.training.values(), truth) if truth and self.training else {}

    def _answered(self, predictions: Sequence[dict[str, Any]]) -> dict[str, Truth]:
        answered = {line["item"] for line in predictions}
        return {name: one for name, one in self.truth.items() if name in answered}

    @classmethod
    def cluster(cls, line: dict[str, Any]) -> str:
        """The YouTube video."""
        return cluster_of(line["item"])

    @classmethod
    def sample(cls, predictions: Iterable[dict[str, Any]]) -> Sample:
        """Every metric as a function of how often each YouTube video is drawn."""
        return scored(predictions).sample()

    @classmethod
    def score(cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int) -> Scores:
        """The official numbers of the answered videos; intervals over their YouTube videos."""
        found = scored(predictions)
        intervals = found.sample().intervals(resamples, seed)
        return Scores(found.metrics(), intervals, len(found.clusters))

    # --- what it offers beside (bench.capabilities) -----------------------------------------------

    @classmethod
    def gallery(cls) -> Gallery:
        """Situations beside the ground truth, event by event."""
        from tasks.vidsitu import gallery

        return gallery

    @classmethod
    def common(
        cls, first: list[dict[str, Any]], second: list[dict[str, Any]]
    ) -> tuple[Bounds, Bounds]:
        """The videos that both answered; see `tasks.vidsitu.common`."""
        from tasks.vidsitu.common import common

        return common(first, second)

    @classmethod
    def exporter(cls) -> Exporter:
        """The official prediction format."""
        from tasks.vidsitu import export

        return export

    @classmethod
    def score_file(
        cls,
        source: Source,
        path: Path,
        kind: str | None,
        resamples: int,
        seed: int,
        also: Sequence[str],
    ) -> Document:
        """The official numbers of a prediction file; see `tasks.vidsitu.scoring.files`."""
        from tasks.vidsitu.scoring.files import score_file

        return score_file(source, path, kind, resamples, seed, also)

    @classmethod
    def prompts_of(
        cls, source: Source, split: str, limit: int, negatives: int, seed: int, format_: str
    ) -> str:
        """Dense prompts beside their negatives; see `tasks.vidsitu.show`."""
        from tasks.vidsitu.show import prompts_of

        return prompts_of(source, split, limit, negatives, seed, format_)

    @classmethod
    def training_sets(
        cls, source: Source, negatives: int, share: float, hold_out: float, seed: int
    ) -> tuple[Any, Any]:
        """Training and held-out events; see `tasks.vidsitu.training`."""
        from tasks.vidsitu.training import training_sets

        return training_sets(source, negatives, share, hold_out, seed)


def _departures(head: HeadSettings) -> list[str]:
    """What keeps results of other heads, and those of roles that were given, off a ranking."""
    found = ["VideoWhisperer's head"] if head.head == WHISPERER else []
    return found + (["roles predicted"] if head.roles == "predicted" else [])


def _truth(root: Path, segments: list[str]) -> tuple[dict[str, Truth], dict[str, Annotation]]:
    """Labels and permuted references, and of each segment the annotation that the file has first.

    The permutation runs over the whole split in its order.
    """
    groups = of_every_segment(root, load_annotations(root, VALID), segments, "annotations")
    votes = of_every_segment(root, load_votes(root, VALID), segments, "verb labels")
    truth = dict(zip(segments, map(Truth, votes, permuted(groups)), strict=True))
    return truth, {name: group[0] for name, group in zip(segments, groups, strict=True)}


def _fingerprint(files: list[Path], clips: list[Clip]) -> str:
    """Hash of annotation files and of the videos found."""
    hashes = [(path.name, checksum(path)) for path in files if path.is_file()]
    sizes = [(clip.id, clip.path.stat().st_size if clip.path else None) for clip in clips]
    return digest("vidsitu", VidSitu.version, hashes, sizes)
