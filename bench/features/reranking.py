"""A model's matching head on chosen pairs of texts and clips, each clip's scores kept on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import distributed
from bench.capabilities import Reranks
from bench.contracts import Clip, Failure
from bench.errors import BenchError
from bench.features.extraction import decoding_limits, frame_store
from bench.features.on_disk import FeaturesOnDisk
from bench.features.validation import StoredFeatures
from bench.features.work import Work
from bench.files.tensor_store import TensorStore, digest

Job = tuple[Clip, list[int]]  # a clip, and the texts that it is matched with, ascending


class Matching:
    """Scores of pairs. Of several processes each makes those of its clips, and all read them.

    A clip's condition is made once, for all of its pairs; where the features were made in this run
    too, and by one encoding, it may be there already (`Work.conditions`). An interrupted run makes
    again what it had not finished: a clip's scores are those of one call, whatever was there.
    """

    def __init__(
        self, work: Work, adapter: Reranks, features: StoredFeatures | FeaturesOnDisk
    ) -> None:
        self._work, self._adapter, self._features = work, adapter, features
        self._clips = {clip.id: clip for clip in work.task.clips}
        self._frames = frame_store(work)
        self._store = TensorStore(work.run.cache_folder / "matches")
        self.top = adapter.rerank_top

    def scores(self, pairs: Sequence[tuple[int, str]]) -> np.ndarray:
        """float32 [N] of pairs of a text, by its place in `Task.texts`, and a clip by its id."""
        wanted: dict[str, set[int]] = {}
        for text, clip in pairs:
            wanted.setdefault(clip, set()).add(text)
        jobs = [(self._clips[clip], sorted(texts)) for clip, texts in wanted.items()]
        self._work.progress.start(f"{self._work.task.name}: pairs", len(jobs))
        kept = [self._kept(job) for job in jobs]
        lacking = [job for job, scores in zip(jobs, kept, strict=True) if scores is None]
        self._work.progress.advance(len(jobs) - len(lacking))
        self._make(lacking[distributed.rank() :: distributed.world()])
        distributed.barrier()
        found = {
            (text, clip.id): score
            for (clip, texts), scores in zip(jobs, kept, strict=True)
            for text, score in zip(
                texts, (self._made((clip, texts)) if scores is None else scores).tolist(),
                strict=True,
            )
        }  # fmt: skip
        return np.array([found[pair] for pair in pairs], np.float32)

    def _key(self, job: Job) -> str:
        clip, texts = job
        work = self._work
        said = [work.task.texts[text] for text in texts]
        return digest("matches", work.adapter.fingerprint, self._adapter.matching,
                      work.adapter.text_length, self._features.key(clip.id), said)  # fmt: skip

    def _kept(self, job: Job) -> np.ndarray | None:
        found = self._store.get(self._key(job))
        scores = found[0].get("scores") if found else None
        if scores is None or scores.dtype != np.float32 or scores.shape != (len(job[1]),):
            return None
        return scores if np.isfinite(scores).all() else None

    def _made(self, job: Job) -> np.ndarray:
        """What this process or another has just kept."""
        if (found := self._kept(job)) is None:
            path = self._store.path(self._key(job))
            raise BenchError(f"{path} vanished or was damaged during the run; run again")
        return found

    def _make(self, jobs: Sequence[Job]) -> None:
        work = self._work
        lacking = []
        for job in jobs:
            if job[0].id in work.conditions:
                self._finish(job, work.kept_condition(job[0]))
            else:
                lacking.append(job)
        if not lacking:
            return
        clips = [clip for clip, _ in lacking]
        with self._frames.fill(clips, *decoding_limits(work.run)) as decoded:
            for job, (clip, found) in zip(lacking, decoded, strict=True):
                if isinstance(found, Failure):
                    raise BenchError(
                        f"{clip.id} was read before and cannot be read again to be matched "
                        f"({found.kind}: {found.reason}); run again"
                    )
                self._finish(job, work.condition(self._adapter, (clip, found)))

    def _finish(self, job: Job, condition: np.ndarray) -> None:
        """Match a clip's texts with its condition, and keep the scores."""
        said = [self._work.task.texts[text] for text in job[1]]
        pairs = np.array([[place, 0] for place in range(len(said))], np.int64)
        scores = self._work.match(self._adapter, said, condition, pairs)
        self._store.put(self._key(job), {"scores": scores}, {})
        self._work.progress.advance()
