"""Where a result's numbers come from, for people: what was run on what, and how to repeat it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bench import registry
from bench.config import Config, RunConfig
from bench.errors import BenchError
from bench.features.protocol import PUBLISHED
from bench.features.turning import RESCORE
from bench.report.tables import Card
from bench.results.document import DAGGER, Document
from bench.video.sampling import CHOICES

BUILT = (
    "The result does not record its command. This one was built from its fields; settings that "
    "only bench.yaml had may be missing."
)
RECORDED = "The command as the result records it."
_SHORT = 12  # digits of a hash that are shown; the document has all


def card(document: Document, config: Config) -> Card:
    """What is shown of a result."""
    facts = [(name, text) for name, text in _facts(document) if text]
    title = f"{document.name} on {document.protocol}"
    if document.command:
        return Card(title, facts, shlex.join(document.command), RECORDED)
    return Card(title, facts, command(document, config), _note(document))


def _facts(document: Document) -> Iterator[tuple[str, str]]:
    settings = document.settings
    yield "Model", _joined(document.model, "name", "arch", "pretrained", "precision")
    yield "Weights", _hash(document.model.get("weights_sha256"))
    yield "Preprocessing", _words(document.model.get("preprocessing"))
    yield "Pooling", _words(document.model.get("pooling"))
    yield "Trained", _training(document.model)
    yield "Data", f"{document.source.name}{_hash(document.source.fingerprint, ', fingerprint ')}"
    yield "Answered", _coverage(document)
    if settings:
        decoders = ", ".join(settings.decoders or [])
        yield "Frames", ", by ".join(filter(None, [settings.plan or "", decoders]))
        yield "Intervals", f"95 %, {settings.resamples} resamples, seed {settings.seed}"
    if document.texts:
        yield "Texts", f"{document.texts.count}, {document.texts.truncated} cut"
    yield "Failed", ", ".join(f"{one.clip} ({one.kind})" for one in (document.failures or [])[:5])
    yield "Warnings", "; ".join(document.warnings)
    yield "Run", _when(document)
    environment = document.environment or {}
    yield "Machine", _joined(_part(environment, "hardware"), "cpu", "gpu", "machine")
    yield "Software", ", ".join(f"{k} {v}" for k, v in _part(environment, "packages").items())
    yield "Commit", _hash(environment.get("git_commit"), "")
    yield "Predictions", _hash(document.lines)


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _joined(data: dict[str, Any], *names: str) -> str:
    return ", ".join(filter(None, (_words(data.get(name)) for name in names)))


def _words(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _hash(value: Any, before: str = "SHA-256 ") -> str:
    return f"{before}{value[:_SHORT]}" if isinstance(value, str) and value else ""


def _training(model: dict[str, Any]) -> str:
    training = _part(_part(model, "adapter"), "training")
    said = [("on {}", "data"), ("{} epochs", "epochs"), ("seed {}", "seed")]
    return ", ".join(form.format(_words(training[key])) for form, key in said if key in training)


def _coverage(document: Document) -> str:
    coverage = document.coverage
    said = [f"{coverage.answered} of {coverage.expected} items", f"{coverage.clips} clips"]
    said += [f"{coverage.missing} missing"] if coverage.missing else []
    said += [f"{coverage.broken} broken"] if coverage.broken else []
    return ", ".join(said)


def _when(document: Document) -> str:
    seconds = (document.seconds or {}).get("total")
    took = f"{seconds:.1f} s" if seconds is not None else ""
    return ", ".join(filter(None, [document.started or "", took]))


# --- the command ---------------------------------------------------------------------------------


def command(document: Document, config: Config) -> str:
    """A command that gives the result again, for a shell."""
    task, source = document.task, document.source.name
    if document.kind:
        parts = ["bench", "score", "--task", task, "--source", source,
                 "--predictions", document.name, "--kind", document.kind]  # fmt: skip
        return shlex.join(parts)
    parts = ["bench", "run", "--task", task, "--model", document.name, "--source", source]
    for departure in document.departures:
        parts += _option(departure)
    limit = document.coverage.limit
    parts += ["--limit", str(limit)] if limit is not None else []
    for key, value in _settings(document, config).items():
        parts += ["--set", f"{task}.{key}={_yaml(value)}"]
    usual, settings = RunConfig(), document.settings
    if not settings:
        return shlex.join(parts)
    parts += ["--seed", str(settings.seed)] if settings.seed != usual.seed else []
    other = settings.resamples != usual.resamples
    before = f"BENCH_RUN_RESAMPLES={settings.resamples} " if other else ""
    return before + shlex.join(parts)


def _option(departure: str) -> list[str]:
    """The option that a protocol's departure was asked for with; what comes by itself has none."""
    if departure == PUBLISHED:
        return ["--protocol", PUBLISHED]
    if departure.startswith("re-ranked-"):
        return ["--rerank"]
    if departure in CHOICES:
        return ["--plan", departure]
    if match := re.fullmatch(r"(\d+) (frames|fps|tokens)", departure):
        named = {"frames": ["--frames"], "fps": ["--plan", "fps", "--frames"],
                 "tokens": ["--context"]}  # fmt: skip
        return [*named[match[2]], match[1]]
    if match := re.fullmatch(rf"{DAGGER}{RESCORE}-(.+)", departure):
        return ["--rescore", f"{RESCORE}:{match[1]}"]
    return []


def _settings(document: Document, config: Config) -> dict[str, Any]:
    """The task's settings that differ from those that the source would have unasked."""
    task, source = document.task, document.source.name
    try:
        recipe = registry.task_class(task).recipe
    except BenchError:  # of a package that is not installed here
        recipe = None
    known = config.tasks.get(task, {})
    usual = asdict(recipe()) if recipe else {}
    usual |= known.get("default", {}) | known.get(source, {})
    return {
        key: value for key, value in document.task_settings.items()
        if key not in usual or usual[key] != value
    }  # fmt: skip


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _note(document: Document) -> str:
    if document.kind:
        return f"{BUILT} The file of predictions is named as the result names it."
    if "raw mean" in document.departures:
        return f"{BUILT} The raw mean of frames is turned by bench sweep protocol alone."
    return BUILT
