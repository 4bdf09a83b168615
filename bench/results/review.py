"""What of a result handed in can be checked, what that gave, and what cannot be checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.capabilities import HasQuestions
from bench.config import PRECISIONS, Config
from bench.contracts import Task
from bench.errors import BenchError, DataError, printable
from bench.files.untrusted import MISFITS, shown
from bench.metrics.bootstrap import RULES
from bench.results.comparison import Evidence, verified
from bench.results.document import Document
from bench.results.files import load_predictions

OK, DIFFERS, UNCHECKED = "ok", "differs", "not checked"
NUMBERS = "numbers"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `state` is `OK`, `DIFFERS` or `UNCHECKED`, and `said` says why."""

    what: str
    state: str
    said: str


def review(path: Path, document: Document, evidence: Evidence, config: Config) -> list[Finding]:
    """Numbers, data, questions, model and origin of the result at `path`.

    DataError where its numbers cannot be computed again at all.
    """
    lines = load_predictions(path, document)  # raises where they are not its own
    now = evidence.task_now(document)
    return [
        _numbers(path, document, evidence),
        _data(document, evidence, now),
        _questions(lines, now),
        _model(document, config),
        _origin(document),
    ]


def _numbers(path: Path, document: Document, evidence: Evidence) -> Finding:
    if reasons := evidence.unscorable(document):
        return Finding(NUMBERS, UNCHECKED, ", ".join(reasons))
    try:
        count, wrong = verified(path, document)
    except MISFITS as error:
        raise DataError(f"{path}: its numbers cannot be computed again ({error})") from error
    if wrong:
        said = "; ".join([f"{len(wrong)} of {count} metrics", *wrong[:5]])
        return Finding(NUMBERS, DIFFERS, said)
    older = document.settings and document.settings.intervals != RULES
    rest = "; its intervals are of older rules, not compared" if older else ""
    coverage = document.coverage
    said = f"{count} metrics, computed again from the predictions for {coverage.answered} of "
    said += f"{coverage.expected} items"
    return Finding(NUMBERS, OK, said + rest)


def _data(document: Document, evidence: Evidence, now: Task | None) -> Finding:
    if now is None:
        name = printable(document.source.name)
        return Finding("data", UNCHECKED, f"source '{name}' is not available; give --source")
    if reasons := evidence.changed(document):
        said = f"not those of '{now.source.name}': {', '.join(reasons)}"
        return Finding("data", DIFFERS, said)
    return Finding(
        "data", OK,
        f"list, annotations and video files are those of '{now.source.name}', by the hash of texts "
        "and file sizes; what is seen in the videos is not compared",
    )  # fmt: skip


def _questions(lines: list[dict[str, Any]], now: Task | None) -> Finding:
    """Whether each line has a question of the data, once, with their ground truth."""
    if not isinstance(now, HasQuestions):
        why = "needs the data" if now is None else f"the task {now.name} does not list them"
        return Finding("questions", UNCHECKED, why)
    known = {one["item"]: json.loads(json.dumps(one)) for one in now.questions()}
    odd = [line["item"] for line in lines if not _is_asked(line, known.get(line["item"]))]
    if odd:
        said = f"{len(odd)} of {len(lines)} are not those of the data, the first {shown(odd[0])}"
        return Finding("questions", DIFFERS, said)
    if again := len(lines) - len({line["item"] for line in lines}):
        return Finding("questions", DIFFERS, f"{again} of {len(lines)} are answered twice")
    said = f"all {len(lines)} are those of '{now.source.name}', with its ground truth"
    return Finding("questions", OK, said)


def _is_asked(line: dict[str, Any], question: dict[str, Any] | None) -> bool:
    """Whether a line has all that the data say of its item."""
    return question is not None and all(line.get(key) == one for key, one in question.items())


def _model(document: Document, config: Config) -> Finding:
    """The fingerprint of the model of this name here. A foreign name is never taken for a path."""
    name, kept = document.name, document.model.get("fingerprint")
    if document.settings and document.settings.published:
        return Finding("model", UNCHECKED, "run as published, where fingerprints may be others")
    if name not in registry.model_names(config):
        said = f"{shown(name)} is no name in bench.yaml here: a file or a model of its author"
        return Finding("model", UNCHECKED, said)
    if problem := registry.model_problem(name, config):
        return Finding("model", UNCHECKED, problem)
    run = config.run
    if (precision := document.model.get("precision")) in PRECISIONS:
        run = replace(run, precision=precision)
    try:
        own = registry.load_adapter(name, replace(config, run=run)).fingerprint
    except BenchError as error:
        return Finding("model", UNCHECKED, str(error))
    if own != kept:
        said = f"{name} has the fingerprint {shown(kept)} there and {own} here"
        return Finding("model", DIFFERS, said)
    return Finding("model", OK, f"{name} here has the same fingerprint (weights, preprocessing, "
                                "precision)")  # fmt: skip


def _origin(document: Document) -> Finding:
    recorded = "run it again" if document.command else "no command is recorded to run it again"
    said = f"whether that model gave these predictions for these videos: {recorded}"
    return Finding("origin", UNCHECKED, said)
