"""The run: load, encode, learn, answer, score. Each step keeps what it made (`bench.features`)."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from bench import distributed
from bench.capabilities import HasCeiling, ReadsFeatures
from bench.compute import use_threads
from bench.config import RunConfig
from bench.contracts import (
    Adapter,
    Failure,
    Features,
    Progress,
    Scores,
    Setup,
    Task,
    Workplace,
)
from bench.errors import BenchError
from bench.features.extraction import clip_features, text_features
from bench.features.on_disk import FeaturesOnDisk, features_on_disk
from bench.features.protocol import OWN, departures
from bench.features.reranking import Matching
from bench.features.turning import RAW_MEAN, Turned, admit
from bench.features.validation import StoredFeatures, collapsed
from bench.features.work import Silent, Work
from bench.files.tensor_store import digest
from bench.metrics.bootstrap import RULES
from bench.results.document import (
    Coverage,
    Data,
    Document,
    Published,
    Reading,
    Settings,
    Texts,
    finite,
    valued,
)
from bench.results.files import Result, environment
from bench.results.request import effective
from bench.video.tolerant import odd_clips

SAMPLE = 200  # videos whose features are held against each other: enough to see a collapse


def evaluate(
    adapter: Adapter,
    task: Task,
    run: RunConfig | None = None,
    progress: Progress | None = None,
    protocol: str = OWN,
    rerank: bool = False,
    turned: Turned | None = None,
) -> Result:
    """Run `adapter` on `task` and return the Result; nothing but the stores is written.

    `protocol` is the task's own, the same for every model, or `published`: frames and texts as the
    model was published with. A video that cannot be read becomes a named Failure and the run goes
    on; BenchError is raised when no video can be read or an adapter breaks its contract, UsageError
    for a model that was not published on the task. With `rerank` the best answers are ranked again
    by the model's matching head. What is `turned` of the protocol is named in the result's;
    UsageError for what cannot be.
    """
    turned = turned or Turned()
    setup, reranks = admit(adapter, task, protocol, rerank, turned)
    work = Work(adapter, task, run or RunConfig(), progress or Silent(), setup, reranks, turned)
    with work.as_set_up():
        return _evaluated(work)


def _evaluated(work: Work) -> Result:
    task = work.task
    began = time.perf_counter()
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    lines, warnings = answers(work)
    with work.stage("score"):
        scores = task.score(lines, resamples=work.run.resamples, seed=work.run.seed)
    bounds = (bound for both in scores.intervals.values() for bound in both)
    if not finite(*scores.metrics.values(), *bounds):
        raise BenchError(f"{task.name}: a metric or an interval is NaN or infinite; fix the task")
    work.seconds["total"] = time.perf_counter() - began
    try:
        document = _document(work, scores, lines, warnings, started)
        return Result(document, lines)
    except ValueError as error:
        raise BenchError(f"{task.name}: {error}; fix the task") from error


def _document(
    work: Work, scores: Scores, lines: list[dict[str, Any]], warnings: list[str], started: str
) -> Document:
    """Everything that is needed to believe the scores or to repeat them."""
    task, adapter, run = work.task, work.adapter, work.run
    queried = {clip.id for clip in task.clips}
    failures = [failure for failure in work.failures if failure.clip in queried]
    missing = sum(failure.kind == "missing" for failure in failures)
    times = {clip: times.tolist() for clip, (_, times) in work.read.items()}
    departed = [*task.departures(adapter), *departures(adapter, work.setup, work.reranks)]
    departed += work.turned.names(task)
    raw_mean = {"pooling": RAW_MEAN} if work.turned.raw_mean else {}
    return Document(
        task=task.name,
        task_version=task.version,
        protocol=", ".join([task.protocol, *departed]),
        source=Data(task.source.name, task.fingerprint),
        model={"name": adapter.name, "fingerprint": adapter.fingerprint, **adapter.describe(),
               **raw_mean},
        metrics=valued(scores.metrics, scores.intervals),
        metric_info={
            name: Reading(metric.unit, metric.higher_is_better)
            for name, metric in task.metrics.items()
        },
        primary=task.primary,
        coverage=Coverage(
            expected=task.expected, answered=scores.answered, clips=len(task.clips),
            missing=missing, broken=len(failures) - missing, limit=task.limit,
            support=len(task.support), support_failed=len(work.failures) - len(failures),
        ),
        chance=task.chance_of(lines),
        floor=task.floor,
        ceiling=task.ceiling_of(lines) if isinstance(task, HasCeiling) else UNSET,
        warnings=warnings,
        texts=_texts(work),
        settings=Settings(
            plan=work.plan.key, decoder=run.decoder,
            decoders=sorted({decoder for decoder, _ in work.read.values()}),
            timestamps=digest(times), resamples=run.resamples, seed=run.seed,
            intervals=RULES, batch_frames=run.batch_frames, task=task.settings,
            departures=departed or UNSET, published=_published(work.setup),
        ),
        configuration=effective(run, task.source),
        environment=environment(),
        started=started,
        encoded=work.encoded,
        seconds={name: round(value, 3) for name, value in work.seconds.items()},
        failures=failures,
    )  # fmt: skip


def _texts(work: Work) -> Texts:
    texts = work.task.texts if work.adapter.reads_texts else []
    return Texts(len(texts), work.adapter.count_truncated(texts))


def _published(setup: Setup | None) -> Published | UnsetType:
    if setup is None:
        return UNSET
    return Published(str(setup.preprocessing), setup.text_length, list(setup.remarks))


def answers(work: Work) -> tuple[list[dict[str, Any]], list[str]]:
    """The task's lines and what it warns of: all of a run but its scores."""
    task, adapter = work.task, work.adapter
    clips: StoredFeatures | FeaturesOnDisk
    if isinstance(adapter, ReadsFeatures):
        clips = features_on_disk(work, adapter)
    else:
        clips = clip_features(work)
    if not any(clip.id in clips for clip in task.clips):
        first = work.failures[0] if work.failures else Failure("-", "missing", "no clips")
        raise BenchError(
            f"{task.name}: none of {len(task.clips)} videos could be read; "
            + "; ".join([f"the first, {first.clip}: {first.kind}: {first.reason}", *task.remarks])
        )
    nothing = np.zeros((0, adapter.embed_dim), np.float32)
    features = Features(clips, text_features(work) if adapter.reads_texts else nothing)
    learnt = _learn(work, features)
    matching = Matching(work, work.reranks, clips) if work.reranks else None
    with work.stage("answer"):
        given = Features(clips, features.texts, learnt, matching, work.turned.temperature)
        lines = list(task.answer(given, adapter))
    warnings = [*task.remarks, *(line["warning"] for line in lines if "warning" in line)]
    warnings += _suspicions(work, features)
    for warning in warnings:
        work.progress.warn(warning)
    return [line for line in lines if "warning" not in line], warnings


def _suspicions(work: Work, features: Features) -> list[str]:
    """What makes a run's numbers doubtful: features all alike, odd clips, clips not learnt from."""
    task, adapter, found = work.task, work.adapter, []
    answered = [clip.id for clip in task.clips if clip.id in features.clips]
    some = answered[:: 1 + len(answered) // SAMPLE]
    videos = np.stack([adapter.pool(features.clips[name]) for name in some])
    for what, given in (("videos", videos), ("texts", features.texts)):
        if len(given) and (fault := collapsed(given)):
            found.append(f"{adapter.name}: {what}: {fault}; check the model")
    found += odd_clips({clip: decoder for clip, (decoder, _) in work.read.items()}, task.name)
    ids = {clip.id for clip in task.clips}
    counts = [sum(work.sounds.get(one) == state for one in ids) for state in ("missing", "silent")]
    if any(counts):
        found.append(
            f"{adapter.name}: of {len(answered)} clips, {counts[0]} have no sound track and "
            f"{counts[1]} a silent one"
        )
    if lost := [failure for failure in work.failures if failure.clip not in ids]:
        found.append(
            f"{task.name}: {len(lost)} of {len(task.support)} clips to learn from could not be "
            f"read; the first, {lost[0].clip}: {lost[0].kind}: {lost[0].reason}"
        )
    return found


def _learn(work: Work, features: Features) -> Any:
    """What the task learns; of several processes the main one, and the others take it from disk."""
    folder = work.run.cache_folder / "learnt"
    place = Workplace(folder, work.run.torch_device, work.run.seed, work.progress)
    with work.stage("learn"):
        if work.task.support:  # a warm run has loaded no model that would have set them
            use_threads(work.run)
        if not distributed.is_main():
            distributed.barrier()
        learnt = work.task.learn(features, work.adapter, place)
        if distributed.is_main():
            distributed.barrier()
    return learnt
