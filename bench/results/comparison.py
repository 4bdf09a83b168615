"""What stands behind kept results: numbers computed again, their replicates, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from bench import registry
from bench.config import Config
from bench.contracts import Scores, Task
from bench.errors import BenchError, DataError
from bench.files.tensor_store import TensorStore, digest
from bench.files.untrusted import well_formed
from bench.metrics.bootstrap import RULES
from bench.progress import waiting
from bench.results.document import Document, Value, valued
from bench.results.files import kept_lines, load_predictions, predictions_path
from bench.results.kept import ANSWERED, are_replicates, are_scores
from bench.results.replicates import Found, packed, replicates_of, unpacked

Key = tuple[Path | None, bytes]


class Evidence:
    """Numbers, replicates and staleness of results that lie in files, each worked out once.

    A document that `found` has is of its file, and one that it has not of the first file with the
    same lines. Numbers and replicates are kept in the cache under the hash of the prediction lines.
    Data are compared with those of the source that each result names, or of `source` instead: then
    BenchError where that cannot be read.
    """

    def __init__(
        self,
        found: Iterable[tuple[Path, Document]],
        config: Config,
        source: str | None = None,
    ) -> None:
        self._found = [(path, document) for path, document in found if document.lines]
        self._by_document = {id(document): path for path, document in self._found}
        self._by_lines = {document.lines: path for path, document in reversed(self._found)}
        self._config, self._source = config, source
        self._store = TensorStore(config.run.cache_folder / "draws")
        self._checked: dict[Key, tuple[dict[str, Value], list[str]]] = {}
        self._sources: dict[tuple[str, str, str], Task | None] = {}
        self._replicates: dict[Key, Found | None] = {}
        self._stale: dict[Key, list[str]] = {}
        self._unfit: dict[Key, list[str]] = {}

    def path(self, document: Document) -> Path | None:
        """The file of a result, None where it keeps no predictions."""
        return self._by_document.get(id(document)) or self._by_lines.get(document.lines)

    def _key(self, document: Document) -> Key:
        """Of the file and all that it says: a copy has the same lines, or lacks them."""
        return self.path(document), msgspec.json.encode(document)

    def replicates(self, document: Document) -> Found | None:
        """Each metric in every bootstrap resample; None without predictions.

        Those of the same items and seed are paired, as `bench compare` needs them.
        """
        key = self._key(document)
        if key not in self._replicates:
            self._replicates[key] = self._resampled(document)
        return self._replicates[key]

    def _resampled(self, document: Document) -> Found | None:
        path, run = self.path(document), self._config.run
        if path is None or self.stale(document):
            return None
        task = registry.task_class(document.task)
        key = digest("replicates", RULES, task.name, task.version, document.lines, run.resamples,
                     run.seed)  # fmt: skip

        def made() -> dict[str, np.ndarray]:
            with well_formed(path, "run it again"):
                lines = load_predictions(path, document)
                return packed(replicates_of(task, lines, run.resamples, run.seed))

        return unpacked(self._kept(key, made, lambda found: are_replicates(found, run.resamples)))

    def _kept(
        self,
        key: str,
        make: Callable[[], dict[str, np.ndarray]],
        sound: Callable[[dict[str, np.ndarray]], bool],
    ) -> dict[str, np.ndarray]:
        """From the cache, or made; a cache that cannot be written keeps nobody from reading."""
        try:
            return self._store.kept(key, make, sound)
        except DataError:
            raise  # of the lines
        except BenchError:
            return make()

    def checked(self, document: Document) -> tuple[dict[str, Value], list[str]]:
        """The metrics that its lines give, and where the document says otherwise.

        Such as `R@1 31.0 kept, 25.7 computed`. What has no lines, or is stale by its lines or its
        task's version, cannot be checked: its metrics are the document's.
        """
        key = self._key(document)
        if key not in self._checked:
            self._checked[key] = self._check(document)
        return self._checked[key]

    def _check(self, document: Document) -> tuple[dict[str, Value], list[str]]:
        path, settings = self.path(document), document.settings
        if path is None or self.unscorable(document) or not _installed(document):
            return document.metrics, []
        if not settings:
            return document.metrics, ["no settings are kept with it, so no number can be checked"]
        task = registry.task_class(document.task)
        key = digest("scores", RULES, task.name, task.version, document.lines, settings.resamples,
                     settings.seed)  # fmt: skip
        try:
            kept = self._kept(key, lambda: _arrays(_scores(path, document)), are_scores)
        except DataError as error:
            return document.metrics, [f"its lines give no numbers ({error})"]
        answered = int(kept[ANSWERED][0])
        computed = {name: _value(kept[name]) for name in sorted(kept) if name != ANSWERED}
        ordered = {name: computed[name] for name in document.metrics if name in computed}
        return {**ordered, **computed}, [
            f"{name}{'' if side == 'value' else f' {side}'} {_short(one, other)} kept, "
            f"{_short(other, one)} computed"
            for name, side, one, other in differing(document, computed, answered)
        ]

    def stale(self, document: Document) -> list[str]:
        """Why a result no longer holds: its predictions, task version or data changed."""
        key = self._key(document)
        if key not in self._stale:
            self._stale[key] = self._reasons(document)
        return self._stale[key]

    def _reasons(self, document: Document) -> list[str]:
        return [*self.unscorable(document), *self.changed(document)]

    def changed(self, document: Document) -> list[str]:
        """What is other in its source's data now; nothing where that is not available."""
        reasons = []
        if now := self.task_now(document):
            if now.fingerprint != document.source.fingerprint:
                reasons.append("the data changed")
            protocol = ", ".join([now.protocol, *document.departures])
            if protocol != document.protocol:
                reasons.append(f"protocol {document.protocol}, now {protocol}")
            if now.expected != document.coverage.expected:
                reasons.append(f"{document.coverage.expected} items, now {now.expected}")
        return reasons

    def unscorable(self, document: Document) -> list[str]:
        """Why its lines no longer give its numbers: they changed, or the task's rules did."""
        key = self._key(document)
        if key not in self._unfit:
            self._unfit[key] = self._faults(document)
        return self._unfit[key]

    def _faults(self, document: Document) -> list[str]:
        reasons = []
        path = self.path(document)
        if path is not None and (problem := _predictions_problem(path, document)):
            reasons.append(problem)
        if not document.lines and not document.kind:
            reasons.append("no prediction lines were kept with it")
        # A task of a package that is not installed here: nothing to hold it to.
        if _installed(document):
            version = registry.task_class(document.task).version
            if version != document.task_version:
                reasons.append(f"task version {document.task_version}, now {version}")
        return reasons

    def task_now(self, document: Document) -> Task | None:
        """The task as its source gives it now; None where that is not available."""
        task, name = document.task, self._source or document.source.name
        known = {**self._config.sources, **dict.fromkeys(registry.generated_names())}
        # A scored file keeps its own source's path, and a foreign result's may be any.
        if document.kind or not (self._source or name in known):
            return None
        key = (task, name, digest(document.task_settings, document.coverage.limit))
        if key not in self._sources:
            self._sources[key] = self._load(task, name, document)
        return self._sources[key]

    def _load(self, task: str, name: str, document: Document) -> Task | None:
        try:
            source, _ = registry.source_for(task, name, self._config, document.task_settings)
            if registry.is_undrawn(task, source):
                return None
            return registry.load_task(task, source, document.coverage.limit)
        except BenchError:
            if self._source:
                raise
            return None


def comparable(first: Document, second: Document, whole: bool = True) -> str:
    """What keeps two results from being compared, as `key one, but two`; empty if nothing does.

    Those that are compared as a `whole` must be of the same data; else of lists of one length.
    """
    for key in ("task", "task_version", "protocol"):
        if (one := getattr(first, key)) != (other := getattr(second, key)):
            return f"{key} {other}, but {one}"
    same = first.coverage.expected == second.coverage.expected
    if whole:
        same = first.source.fingerprint == second.source.fingerprint
    return "" if same else "run on other data"


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
    scores = _scores(path, document)
    computed = valued(scores.metrics, scores.intervals)
    wrong = [
        f"{name}: {side} {one} is kept, {other} computed"
        for name, side, one, other in differing(document, computed, scores.answered)
    ]
    return len({**document.metrics, **computed}), wrong


def differing(
    document: Document, computed: dict[str, Value], answered: int
) -> list[tuple[str, str, float | None, float | None]]:
    """Where a document differs from what was computed, by more than 1e-9.

    The metric, its side (value, low or high), what is kept and what is computed. Bounds that were
    made by older rules are not compared: they are what these rules gave.
    """
    current = not document.settings or document.settings.intervals == RULES
    sides = ("value", "low", "high") if current else ("value",)
    found: list[tuple[str, str, float | None, float | None]] = [
        (name, side, one, other)
        for name in {**document.metrics, **computed}
        for side in sides
        for one, other in [(getattr(document.metrics.get(name), side, None),
                            getattr(computed.get(name), side, None))]
        if not _same(one, other)
    ]  # fmt: skip
    if document.coverage.answered != answered:
        found.append(("coverage", ANSWERED, document.coverage.answered, answered))
    return found


def _scores(path: Path, document: Document) -> Scores:
    lines = load_predictions(path, document)
    settings = document.settings
    if not settings:
        raise DataError(f"{path}: no settings are kept with it; run it again")
    which = f"{document.name} on {document.protocol}"
    with well_formed(path, "run it again"), waiting(f"computing again: {which}"):
        task = registry.task_class(document.task)
        return task.score(lines, resamples=settings.resamples, seed=settings.seed)


def _arrays(scores: Scores) -> dict[str, np.ndarray]:
    """Numbers for the store: value, low and high a metric; NaN for a bound that there is not."""
    nothing = (np.nan, np.nan)
    found = {
        name: np.array([value, *scores.intervals.get(name, nothing)])
        for name, value in scores.metrics.items()
    }
    return {**found, ANSWERED: np.array([float(scores.answered)])}


def _value(numbers: np.ndarray) -> Value:
    value, low, high = map(float, numbers)
    return Value(value, low, high) if np.isfinite(low) else Value(value, None, None)


def _short(one: float | None, other: float | None) -> str:
    """A number as tables print it, with more digits where it would read as the other."""
    if one is None or isinstance(one, int):
        return str(one).lower()
    alike = other is not None and f"{one:.1f}" == f"{other:.1f}"
    return repr(one) if alike else f"{one:.1f}"


def _installed(document: Document) -> bool:
    try:
        return bool(registry.task_class(document.task))
    except BenchError:
        return False


def _same(one: float | None, two: float | None) -> bool:
    return one is two if one is None or two is None else abs(one - two) <= 1e-9
