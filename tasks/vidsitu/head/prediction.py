"""Verbs and role captions from features: train the head or take the kept one, then predict."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import torch

from bench.contracts import Adapter, Features, Workplace
from bench.errors import BenchError
from bench.files import locks
from bench.files.atomic import write_text
from bench.files.leftovers import sweep
from bench.files.tensor_store import digest
from bench.files.untrusted import read_bytes
from bench.metrics.verbs import TOP
from bench.training import checkpoints
from tasks.vidsitu.annotations import EVENTS, Annotation, verbs_by_frequency
from tasks.vidsitu.head.inputs import Videos, VideosOnDisk, videos_of
from tasks.vidsitu.head.kinds import Head, head_of
from tasks.vidsitu.head.models import Queries, VideoFeatures
from tasks.vidsitu.head.settings import WHISPERER, HeadSettings
from tasks.vidsitu.head.training import HEAD, keep_head, kept_head, train_head, training_examples
from tasks.vidsitu.head.vocabulary import Vocabulary
from tasks.vidsitu.scoring.rules import ROLES

VERSION = 2  # raise it when a head could come out otherwise
AT_ONCE = 64  # videos that are answered together


@dataclass(frozen=True)
class Answer:
    """Of one video: `verbs` [P][5], best first, their log probabilities, {event: {role: text}}."""

    verbs: list[list[str]]
    scores: list[list[float]]
    roles: dict[str, dict[str, str]]


@dataclass(frozen=True)
class HeadData:
    """What a head learns from and what it is to answer, by segment.

    `identity` hashes what decides the head beside them. `roles` are those [P][...] to describe, by
    their short names; None where they are to be predicted. `judge` values a set of answers, where
    an epoch is to be selected by it.
    """

    training: dict[str, Annotation]
    roles: dict[str, list[list[str]] | None]
    identity: str
    judge: Callable[[dict[str, Answer]], float] | None = None


@dataclass(frozen=True)
class Trained:
    """A head and what its outputs mean."""

    head: Head
    verbs: list[str]
    vocabulary: Vocabulary


def answer_all(
    data: HeadData,
    features: Features,
    adapter: Adapter,
    settings: HeadSettings,
    place: Workplace,
) -> dict[str, Answer]:
    """Answers of every segment to answer that has features, from a head trained on the others.

    Head and answers are kept in `place.folder` by the model's fingerprint, settings and seed.
    BenchError where too few training videos could be read.
    """
    training = {name: one for name, one in data.training.items() if name in features.clips}
    roles = {name: one for name, one in data.roles.items() if name in features.clips}
    if len(training) < 2:
        raise BenchError(
            f"vidsitu: {len(training)} of {len(data.training)} training clips could be read, and "
            "the situation head learns from them; see `bench data check vidsitu`"
        )
    # How captions are decoded is no part of what is trained, unless an epoch is chosen by them.
    own = settings.recorded()
    trained = own if data.judge else {**own, **dict.fromkeys(_decoding(settings))}
    learnt, queried = ([features.identity(name) for name in names] for names in (training, roles))
    key = digest("situation", VERSION, data.identity, adapter.fingerprint, trained, place.seed,
                 list(training), learnt, queried if data.judge else None)  # fmt: skip
    folder = place.folder / key[:2] / key
    path = folder / f"answers-{digest(own, roles, queried)}.json"
    sweep(folder)
    if (kept := _read_answers(path, roles)) is not None:
        return kept
    run = _Run(replace(data, training=training, roles=roles), features, adapter, settings,
               replace(place, folder=folder))  # fmt: skip
    with locks.locked(folder / HEAD, lambda: place.progress.warn("waiting for another run's head")):
        if (kept := _read_answers(path, roles)) is None:
            kept = run.answers(run.trained())
            text = json.dumps({name: asdict(answer) for name, answer in kept.items()})
            write_text(path, text)
    return kept


def _decoding(settings: HeadSettings) -> tuple[str, ...]:
    """Settings that change no weight: VideoWhisperer's head learns roles only to predict them."""
    return ("beam", "causal") if settings.head == WHISPERER else ("beam", "roles")


@dataclass(frozen=True)
class _Run:
    """One head: its data, all of it readable, its model and settings, and where it is kept."""

    data: HeadData
    features: Features
    adapter: Adapter
    settings: HeadSettings
    place: Workplace

    @cached_property
    def _queried(self) -> Videos:
        return self._seen(list(self.data.roles))

    def _seen(self, names: list[str]) -> Videos:
        return videos_of(names, self.features, self.adapter, self.settings, self.place.progress)

    def answers(self, trained: Trained) -> dict[str, Answer]:
        roles = list(self.data.roles.values())
        found = predict(trained, self._queried, roles, self.settings, self.place)
        return dict(zip(self.data.roles, found, strict=True))

    def trained(self) -> Trained:
        """The kept head, or one trained now."""
        settings, place, folder = self.settings, self.place, self.place.folder
        if (kept := kept_head(folder / HEAD)) is not None:
            head, facts = kept
            _clear(folder)  # a killed run may have kept the head and no more
            head.settings = settings  # which may decode otherwise
            vocabulary = Vocabulary.from_tokens(facts["tokens"])
            return Trained(head.to(place.device), facts["verbs"], vocabulary)
        annotations = list(self.data.training.values())
        verbs = verbs_by_frequency(annotations)
        captions = (v for a in annotations for e in a.events for _, v in e.arguments)
        vocabulary = Vocabulary.of(captions, settings.case == "kept")
        seen = self._seen(list(self.data.training))
        _ = self._queried  # what cannot be read of them is named before a head is trained
        torch.manual_seed(place.seed)
        head = head_of(
            settings, seen.dims, len(verbs), len(vocabulary), isinstance(seen, VideosOnDisk)
        ).to(place.device)
        trained = Trained(head, verbs, vocabulary)
        examples = training_examples(
            annotations, seen, verbs, vocabulary, head.longest_caption, head.most_roles
        )
        judge = self.data.judge
        value = (lambda: judge(self.answers(trained))) if judge else None
        record = train_head(head, examples, settings, place, value)
        keep_head(head, folder / HEAD, vocabulary, verbs, record)
        _clear(folder)
        return trained


def _clear(folder: Path) -> None:
    """Remove the checkpoints of a head that is trained."""
    for name in (checkpoints.LAST, checkpoints.BEST):
        (folder / name).unlink(missing_ok=True)


@torch.no_grad()
def predict(
    trained: Trained,
    seen: Videos,
    roles: Sequence[list[list[str]] | None],
    settings: HeadSettings,
    place: Workplace,
) -> list[Answer]:
    """The head's answers for every video of `seen`, in batches of fixed composition."""
    head = trained.head.eval()
    found: list[Answer] = []
    place.progress.start("situations", len(roles))
    for part in torch.arange(len(roles)).split(AT_ONCE):
        features = seen.take(part, place.device)
        events, videos = head.contextualize(features)
        verb_logits, role_logits = head.classify(events)
        known = verb_logits.log_softmax(-1)[..., : len(trained.verbs)]
        best = known.topk(min(TOP, len(trained.verbs)))
        queried: list[list[list[str]]] = []
        for row, video in enumerate(part.tolist()):
            given = roles[video] if settings.roles == "given" else None
            if given is None and role_logits is not None:
                given = _likely(role_logits[row], head.role_order)
            queried.append([event[: head.most_roles] for event in _named(given, settings)])
        texts = _describe(trained, features, events, videos, queried)
        found += [
            Answer(
                [[trained.verbs[v] for v in event] for event in verbs],
                [[round(s, 4) for s in event] for event in scores],
                roles_of,
            )
            for verbs, scores, roles_of in zip(
                best.indices.tolist(), best.values.tolist(), texts, strict=True
            )
        ]
        place.progress.advance(len(part))
    return found


def _likely(logits: torch.Tensor, order: Sequence[str]) -> list[list[str]]:
    """Roles [P][...] of one video that are more likely there than not, in `order`.

    `logits` [P, R] are in that of `ROLES`.
    """
    return [[role for role in order if event[ROLES.index(role)] > 0] for event in logits.tolist()]


def _named(roles: list[list[str]] | None, settings: HeadSettings) -> list[list[str]]:
    if roles is None:
        raise BenchError(
            f"vidsitu: nothing names the roles, and the head {settings.head} was not trained to "
            "predict them; set vidsitu.roles=predicted"
        )
    return roles


def _describe(
    trained: Trained,
    features: VideoFeatures,
    events: torch.Tensor,
    videos: torch.Tensor,
    queried: list[list[list[str]]],
) -> list[dict[str, dict[str, str]]]:
    """{event: {role: text}} of each video; every event is there, with or without roles."""
    found: list[dict[str, dict[str, str]]] = [{name: {} for name in EVENTS} for _ in queried]
    rows = [
        (video, event, ROLES.index(role))
        for video, of_video in enumerate(queried)
        for event, of_event in enumerate(of_video)
        for role in of_event
    ]
    if not rows:
        return found
    places = torch.tensor(rows, device=events.device)
    queries = Queries(places[:, 0], places[:, 1], places[:, 2])
    described = trained.head.describe(features, events, videos, queries)
    for (video, event, role), ids in zip(rows, trained.head.spell(described), strict=True):
        found[video][EVENTS[event]][ROLES[role]] = trained.vocabulary.decode(ids)
    return found


def _read_answers(path: Path, asked: Collection[str]) -> dict[str, Answer] | None:
    """Kept answers to `asked`; None where there are none or others: they are made again."""
    try:
        kept = msgspec.json.decode(read_bytes(path), type=dict[str, Answer])
    except (BenchError, ValueError, RecursionError):
        return None
    whole = kept.keys() == set(asked) and all(map(_is_whole, kept.values()))
    return kept if whole else None


def _is_whole(answer: Answer) -> bool:
    """Whether there are verbs, as many scores, and roles of every event."""
    events = zip(answer.verbs, answer.scores, strict=False)
    return (
        len(answer.verbs) == len(answer.scores) == len(EVENTS)
        and all(verbs and len(verbs) == len(scores) for verbs, scores in events)
        and all(math.isfinite(score) for event in answer.scores for score in event)
        and answer.roles.keys() == set(EVENTS)
    )
