"""What stands behind kept results: their bootstrap draws, and whether they still hold."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from bench import registry
from bench.config import Config
from bench.errors import BenchError, DataError
from bench.files.tensor_store import TensorStore, digest
from bench.files.untrusted import well_formed
from bench.results.document import Document, valued
from bench.results.files import kept_lines, load_predictions, predictions_path


class Evidence:
    """Draws and staleness of results that lie in files, each worked out once.

    Draws are kept in the cache under the hash of the prediction lines.
    """

    def __init__(self, found: Iterable[tuple[Path, Document]], config: Config) -> None:
        self._paths = {document.lines: path for path, document in found if document.lines}
        self._config = config
        self._store = TensorStore(config.run.cache_folder / "draws")
        self._sources: dict[tuple[str, str, str], str | None] = {}
        self._draws: dict[bytes, dict[str, np.ndarray] | None] = {}
        self._stale: dict[bytes, list[str]] = {}

    def path(self, document: Document) -> Path | None:
        """The file of a result, None where it keeps no predictions."""
        return self._paths.get(document.lines)

    def draws(self, document: Document) -> dict[str, np.ndarray] | None:
        """Each metric in every bootstrap resample, float64 [resamples]; None without predictions.

        Of the same items and seed draws are paired, as `bench compare` needs them.
        """
        key = _identity(document)
        if key not in self._draws:
            self._draws[key] = self._drawn(document)
        return self._draws[key]

    def _drawn(self, document: Document) -> dict[str, np.ndarray] | None:
        path, run = self.path(document), self._config.run
        if path is None or self.stale(document):
            return None
        task = registry.task_class(document.task)
        key = digest("draws", task.name, task.version, document.lines, run.resamples, run.seed)

        def drawn() -> dict[str, np.ndarray]:
            with well_formed(path, "run it again"):
                lines = load_predictions(path, document)
                return task.draws(lines, resamples=run.resamples, seed=run.seed)

        return {name: values.copy() for name, values in self._store.kept(key, drawn).items()}

    def stale(self, document: Document) -> list[str]:
        """Why a result no longer holds: its predictions, task version or data changed."""
        key = _identity(document)
        if key not in self._stale:
            self._stale[key] = self._reasons(document)
        return self._stale[key]

    def _reasons(self, document: Document) -> list[str]:
        reasons = []
        path = self.path(document)
        if path is not None and (problem := _predictions_problem(path, document)):
            reasons.append(problem)
        try:
            version = registry.task_class(document.task).version
            if version != document.task_version:
                reasons.append(f"task version {document.task_version}, now {version}")
        except BenchError:
            pass  # a task of a package that is not installed here: nothing to hold it to
        now = self.source_now(document)
        if now is not None and now != document.source.fingerprint:
            reasons.append("the data changed")
        return reasons

    def source_now(self, document: Document) -> str | None:
        """The fingerprint that the result's source has now; None where it is not available."""
        task, name = document.task, document.source.name
        known = {**self._config.sources, **dict.fromkeys(registry.generated_names())}
        if name not in known or document.kind:  # a scored file keeps its own source's path
            return None
        key = (task, name, digest(document.task_settings, document.coverage.limit))
        if key not in self._sources:
            self._sources[key] = self._fingerprint(task, name, document)
        return self._sources[key]

    def _fingerprint(self, task: str, name: str, document: Document) -> str | None:
        try:
            source, _ = registry.source_for(task, name, self._config, document.task_settings)
            if registry.is_undrawn(task, source):
                return None
            return registry.load_task(task, source, document.coverage.limit).fingerprint
        except BenchError:
            return None


def apart(first: np.ndarray, second: np.ndarray) -> tuple[bool, float, float]:
    """Whether paired draws differ, and the 95 % interval of second less first.

    They differ where the interval leaves zero out: the one rule of `bench compare` and of the
    marks on boards.
    """
    from bench.metrics.bootstrap import interval

    low, high = interval(second - first)
    return not low <= 0 <= high, low, high


def comparable(first: Document, second: Document) -> str:
    """What keeps two results from being compared, as `key one, but two`; empty if nothing does."""
    for key in ("task", "task_version", "protocol"):
        if (one := getattr(first, key)) != (other := getattr(second, key)):
            return f"{key} {other}, but {one}"
    if first.source.fingerprint != second.source.fingerprint:
        return "run on other data"
    return ""


def _identity(document: Document) -> bytes:
    """Of the whole document: two may keep the same lines, and one of them be of old data."""
    return msgspec.json.encode(document)


def _predictions_problem(path: Path, document: Document) -> str:
    try:
        lines = kept_lines(predictions_path(path, document))
    except DataError:
        return "predictions are gone"
    return "" if sha256(lines).hexdigest() == document.lines else "predictions changed"


def verified(path: Path, document: Document) -> tuple[int, list[str]]:
    """Recompute every number of a result from its kept lines; how many, and those that differ.

    Values and intervals, with the result's own resamples and seed, must be equal to 1e-9. DataError
    where no lines were kept or they changed.
    """
    lines = load_predictions(path, document)
    task = registry.task_class(document.task)
    settings = document.settings
    if not settings:
        raise DataError(f"{path}: no settings are kept with it; run it again")
    with well_formed(path, "run it again"):
        scores = task.score(lines, resamples=settings.resamples, seed=settings.seed)
    computed = valued(scores.metrics, scores.intervals)
    names = dict.fromkeys([*document.metrics, *computed])
    wrong = [
        f"{name}: {side} {one} is kept, {other} computed"
        for name in names
        for side in ("value", "low", "high")
        for one, other in [(getattr(document.metrics.get(name), side, None),
                            getattr(computed.get(name), side, None))]
        if not _same(one, other)
    ]  # fmt: skip
    answered = document.coverage.answered
    if answered != scores.answered:
        wrong.append(f"coverage: {answered} answered is kept, {scores.answered} computed")
    return len(names), wrong


def _same(one: float | None, two: float | None) -> bool:
    return one is two if one is None or two is None else abs(one - two) <= 1e-9
