"""Training the situation head: once for a model's features and settings, resumable, kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from bench.contracts import Workplace
from bench.errors import BenchError
from bench.files.untrusted import well_formed
from bench.training import checkpoints
from tasks.vidsitu.annotations import Annotation
from tasks.vidsitu.head.inputs import Videos
from tasks.vidsitu.head.kinds import Head, head_of
from tasks.vidsitu.head.models import Queries
from tasks.vidsitu.head.settings import HeadSettings
from tasks.vidsitu.head.vocabulary import END, PAD, Vocabulary
from tasks.vidsitu.scoring.rules import ROLES, short_role

HEAD = "head.safetensors"


@dataclass(frozen=True)
class TrainingExamples:
    """N annotated videos: `verbs` int64 [N, P], `presence` float32 [N, P, R], and flat queries.

    `captions` are the token ids of query q, END included; the queries of video n are those from
    `starts[n]` to `starts[n + 1]`.
    """

    features: Videos
    verbs: torch.Tensor
    presence: torch.Tensor
    queries: Queries
    captions: list[list[int]]
    starts: list[int]

    def __len__(self) -> int:
        return len(self.verbs)


def training_examples(
    annotations: Sequence[Annotation],
    features: Videos,
    verbs: Sequence[str],
    vocabulary: Vocabulary,
    most: int,
    roles: int | None = None,
) -> TrainingExamples:
    """Of one annotation a video; captions of at most `most` tokens, END included.

    With `roles`, of so many of an event, the first ones.
    """
    places = {verb: place for place, verb in enumerate(verbs)}
    presence = torch.zeros(len(annotations), len(annotations[0].events), len(ROLES))
    rows: list[tuple[int, int, int]] = []
    captions, starts = [], [0]
    for video, annotation in enumerate(annotations):
        for event, annotated in enumerate(annotation.events):
            for key, value in annotated.arguments[:roles]:
                role = ROLES.index(short_role(key))
                presence[video, event, role] = 1
                rows.append((video, event, role))
                captions.append([*vocabulary.encode(value, most - 1), END])
        starts.append(len(rows))
    queried = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
    return TrainingExamples(
        features,
        torch.tensor([[places[event.verb_id] for event in a.events] for a in annotations]),
        presence, Queries(queried[:, 0], queried[:, 1], queried[:, 2]), captions, starts,
    )  # fmt: skip


def loss_of(head: Head, data: TrainingExamples, videos: torch.Tensor, device: str) -> torch.Tensor:
    """Cross entropy of verbs, of role presence and of captions, summed; `videos` are places.

    Of role presence only by a head that predicts it.
    """
    picked = torch.cat([torch.arange(data.starts[v], data.starts[v + 1]) for v in videos.tolist()])
    place = torch.repeat_interleave(
        torch.arange(len(videos)),
        torch.tensor([data.starts[v + 1] - data.starts[v] for v in videos.tolist()]),
    )
    features = data.features.take(videos, device)
    events, whole = head.contextualize(features)
    verbs, roles = head.classify(events)
    loss = functional.cross_entropy(verbs.flatten(0, 1), data.verbs[videos].flatten().to(device))
    if roles is not None:
        loss = loss + functional.binary_cross_entropy_with_logits(
            roles, data.presence[videos].to(device)
        )
    if len(picked):
        queried = Queries(place.to(device), data.queries.event[picked].to(device),
                        data.queries.role[picked].to(device))  # fmt: skip
        captions = [data.captions[q] for q in picked.tolist()]
        padded = torch.full((len(captions), max(map(len, captions))), PAD)
        for row, ids in enumerate(captions):
            padded[row, : len(ids)] = torch.tensor(ids)
        loss = loss + head.caption_loss(
            head.describe(features, events, whole, queried), padded.to(device)
        )
    return loss


def train_head(
    head: Head,
    data: TrainingExamples,
    settings: HeadSettings,
    place: Workplace,
    judge: Callable[[], float] | None,
) -> dict[str, Any]:
    """Train `head` in place, resuming the checkpoint in `place.folder`; returns how it went.

    One checkpoint an epoch; from it the bits are those of a training never stopped. With `judge`,
    which values the head as it is, the epoch of the highest value is kept. BenchError for a loss
    that is not finite.
    """
    if settings.drop_last and len(data) < settings.batch_videos:
        raise BenchError(
            f"vidsitu: {len(data)} training clips are no batch of {settings.batch_videos}, and "
            "incomplete ones are dropped; set vidsitu.drop_last=false, or a smaller batch_videos"
        )
    optimizer = torch.optim.AdamW(  # without decay this is Adam
        head.parameters(), settings.learning_rate, (0.9, settings.beta2),
        weight_decay=settings.weight_decay,
    )  # fmt: skip
    record: dict[str, Any] = {"epochs": 0, "losses": [], "judged": [], "seconds": 0.0}
    record = checkpoints.restore(place.folder, head, optimizer) or record
    while record["epochs"] < settings.epochs:
        began = time.monotonic()
        place.progress.start(f"head, epoch {record['epochs'] + 1}/{settings.epochs}", len(data))
        with _deterministic(place.device):
            loss = _epoch(head, optimizer, data, settings, record["epochs"], place)
        record["losses"].append(loss)
        record["epochs"] += 1
        if judge is not None:
            record["judged"].append(judge())
            if record["judged"][-1] == max(record["judged"]):
                checkpoints.save_best(place.folder, head, {})
        record["seconds"] += time.monotonic() - began
        checkpoints.save(place.folder, head, optimizer, record)
    if judge is not None:
        checkpoints.restore_best(place.folder, head)
    return record


@contextmanager
def _deterministic(device: str) -> Iterator[None]:
    """The same bits every time: threads otherwise add up an index's gradients in any order.

    Some of CUDA's operations have no such form; there PyTorch only warns.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device.startswith("cuda"))
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


def _epoch(
    head: Head,
    optimizer: torch.optim.Optimizer,
    data: TrainingExamples,
    settings: HeadSettings,
    epoch: int,
    place: Workplace,
) -> float:
    """One pass in an order that seed and epoch fix; returns the mean loss."""
    head.train()
    generator = torch.Generator().manual_seed(place.seed * 100_003 + epoch)
    order = torch.randperm(len(data), generator=generator)
    losses = []
    for videos in order.split(settings.batch_videos):
        if settings.drop_last and len(videos) < settings.batch_videos:
            break
        optimizer.zero_grad()
        loss = loss_of(head, data, videos, place.device)
        loss.backward()
        norm = float(clip_grad_norm_(head.parameters(), settings.clip_gradient or math.inf))
        losses.append(float(loss.detach()))
        if not (math.isfinite(losses[-1]) and math.isfinite(norm)):
            raise BenchError(
                f"the situation head's loss is {losses[-1]}, its gradient {norm} in epoch "
                f"{epoch + 1}; check the model's features, or lower vidsitu.learning_rate"
            )
        optimizer.step()
        place.progress.advance(len(videos))
    return sum(losses) / len(losses)


def keep_head(
    head: Head,
    path: Path,
    vocabulary: Vocabulary,
    verbs: Sequence[str],
    record: dict[str, Any],
) -> None:
    """Write the trained head with all that rebuilding it takes."""
    facts = {
        "settings": asdict(head.settings), "dim": head.dim,
        "context_dim": head.context_dim, "objects": head.objects, "verbs": list(verbs),
        "tokens": vocabulary.tokens,
        **record,
    }  # fmt: skip
    checkpoints.write(path, head.trainable_state(), facts)


def kept_head(path: Path) -> tuple[Head, dict[str, Any]] | None:
    """What `keep_head` wrote; None where nothing is, or what it cannot have written."""
    with suppress(BenchError), well_formed(path, "move it away"):
        if (found := checkpoints.read(path)) is None:
            return None
        tensors, facts = found
        vocabulary = Vocabulary.from_tokens(facts["tokens"])
        head = head_of(
            HeadSettings(**facts["settings"]), (facts["dim"], facts["context_dim"]),
            len(facts["verbs"]), len(vocabulary), facts.get("objects", False),
        )  # fmt: skip
        head.load_trainable_state(tensors)
        if all(isinstance(verb, str) for verb in facts["verbs"]) and _all_finite(tensors):
            return head, facts
    return None


def _all_finite(tensors: dict[str, torch.Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())
