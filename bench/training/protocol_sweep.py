"""What each part of a protocol does to a model's numbers: one run for each turn of it, paired.

Frames are decoded once a file and features encoded once a protocol; both are kept, so that the same
command resumes an interrupted sweep.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import distributed, registry
from bench.config import PRECISIONS
from bench.contracts import Adapter, Task
from bench.errors import UsageError
from bench.features.turning import RESCORE, Turned, check_turned
from bench.files.atomic import check_writable, write_text
from bench.files.untrusted import well_formed
from bench.metrics.bootstrap import bounds
from bench.metrics.differences import holm, paired
from bench.metrics.dual_softmax import TEMPERATURE
from bench.results.document import DAGGER, Document
from bench.results.files import SWEEPS, load, load_predictions, save, slug, stem
from bench.results.replicates import Found, replicates_of
from bench.training.grids import PROTOCOL_SCHEMA, PROTOCOLS
from bench.video.sampling import CHOICES

if TYPE_CHECKING:
    from bench.config import Config
    from bench.progress import Bar

NAME = "protocol"  # what stands for a grid's name


@dataclass(frozen=True)
class Turn:
    """One row: `switch` is what is turned, `name` to what. An empty `precision` is the run's."""

    switch: str
    name: str
    turned: Turned = field(default_factory=Turned)
    precision: str = ""


TURNS = (
    *(Turn("frames", f"{count} frames", Turned(frames=count)) for count in (4, 8, 12, 16, 32)),
    *(Turn("plan", "1 fps" if name == "fps" else name, Turned(plan=name)) for name in CHOICES),
    Turn("mean", "raw mean", Turned(raw_mean=True)),
    *(Turn("text", f"{count} tokens", Turned(context=count)) for count in (16, 32, 77)),
    *(Turn("precision", name, precision=name) for name in PRECISIONS),
    Turn("rescoring", f"{DAGGER}{RESCORE}-{TEMPERATURE:g}", Turned(temperature=TEMPERATURE)),
)


@dataclass(frozen=True)
class ProtocolSweep:
    """A model on a task and source, its protocol turned one part at a time."""

    model: str
    task: str
    source: str | None
    config: Config

    @property
    def folder(self) -> Path:
        """Where the results of every turn are kept."""
        found, _ = registry.source_for(self.task, self.source, self.config)
        base = self.config.run.output / SWEEPS / slug(self.model) / slug(found.name)
        return base / f"{NAME}-{self.task}"

    @property
    def file(self) -> Path:
        """The record, beside that folder."""
        seed = self.config.run.seed
        name = stem(self.folder.name, *([f"seed-{seed}"] if seed else []))
        return self.folder.with_name(f"{name}.json")

    def records(self, bar: Bar) -> Iterator[dict[str, Any]]:
        """Run every turn; the record, written anew, after each.

        Of several processes the main one alone has it. UsageError for a task that is not ranked by
        similarity, and for what is wrong with model or source, before anything is decoded.
        """
        if not registry.task_class(self.task).rescores:
            able = [one for one in registry.task_names(object) if registry.task_class(one).rescores]
            raise UsageError(
                f"task '{self.task}' ranks by no similarity, and its protocol has other parts; "
                f"tasks to sweep: {', '.join(able)}"
            )
        check_writable(self.folder)
        adapter = registry.load_adapter(self.model, self.config)
        with distributed.process_group("cpu"):
            task = self._load(bar)
            turns, left_out = self._applicable(adapter, task)
            self._decode(adapter, task, turns, bar)
            yield from self._rows(adapter, task, turns, left_out, bar)

    def _load(self, bar: Bar) -> Task:
        found, fallback = registry.source_for(self.task, self.source, self.config)
        if fallback:
            bar.warn(registry.FALLBACK.format(task=self.task))
        if distributed.is_main():
            registry.prepare_source(self.task, found, bar.to)
        distributed.barrier()
        return registry.load_task(self.task, found)

    def _applicable(self, adapter: Adapter, task: Task) -> tuple[list[Turn], list[str]]:
        """The default, then every turn of which something differs; and what cannot be turned."""
        turns, left_out = [Turn("default", "default")], []
        usual = adapter.fingerprint
        for turn in TURNS:
            try:
                check_turned(adapter, task, turn.turned)
            except UsageError as error:
                left_out.append(f"{turn.name}: {error}")
                continue
            if turn.precision:
                other = self._adapter(turn)
                if other.fingerprint != usual:
                    turns.append(turn)
            elif (context := turn.turned.context) and context == adapter.context_length:
                left_out.append(f"{turn.name}: all that the model reads")
            elif turn.turned.names(task):
                turns.append(turn)
        return turns, left_out

    def _adapter(self, turn: Turn) -> Adapter:
        return registry.load_adapter(self.model, self._turned_config(turn))

    def _turned_config(self, turn: Turn) -> Config:
        precision = turn.precision or self.config.run.precision
        return replace(self.config, run=replace(self.config.run, precision=precision))

    def _decode(self, adapter: Adapter, task: Task, turns: list[Turn], bar: Bar) -> None:
        """The frames of all plans, each file decoded once."""
        from bench.features.extraction import decoding_limits, frame_store
        from bench.features.work import Work
        from bench.video.ahead import decode_ahead

        run = self.config.run
        works = [Work(adapter, task, run, bar, turned=turn.turned) for turn in turns]
        stores = {work.plan.key: frame_store(work) for work in works}
        mine = task.clips[distributed.rank() :: distributed.world()]
        bar.start(f"{task.name}: frames of {len(stores)} plans", len(mine))
        decode_ahead([*stores.values()], mine, decoding_limits(run), bar.advance)
        distributed.barrier()

    def _rows(
        self, adapter: Adapter, task: Task, turns: list[Turn], left_out: list[str], bar: Bar
    ) -> Iterator[dict[str, Any]]:
        from bench.engine import evaluate

        rows: list[dict[str, Any]] = []
        first: _Kept | None = None
        for turn in turns:
            bar.warn(f"{NAME}: {turn.name}")
            one = self._adapter(turn) if turn.precision else adapter
            run = self._turned_config(turn).run
            result = evaluate(one, task, run, bar, turned=turn.turned)
            if not distributed.is_main():
                continue
            kept = _Kept(save(result, self.folder / slug(turn.name)), self.config)
            first = first or kept
            rows.append(kept.row(turn, first, self.file.parent))
            _correct(rows, task.primary)
            document = first.document
            record = {
                "schema": PROTOCOL_SCHEMA, "kind": PROTOCOLS, "grid": NAME, "task": self.task,
                "model": self.model, "source": document.source.name,
                "protocol": document.protocol, "toy": document.toy,
                "seed": self.config.run.seed, "primary": task.primary,
                "clusters": next(iter(first.replicates.values())).clusters,
                "left_out": left_out, "rows": [dict(row) for row in rows],
            }  # fmt: skip
            write_text(self.file, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
            yield record


@dataclass(frozen=True)
class _Kept:
    """The result of one turn as it was saved, and its bootstrap replicates."""

    path: Path
    config: Config

    @cached_property
    def document(self) -> Document:
        return load(self.path)

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        return load_predictions(self.path, self.document)

    @cached_property
    def items(self) -> set[str]:
        return {line["item"] for line in self.lines}

    @cached_property
    def replicates(self) -> Found:
        """DataError for lines that changed."""
        run = self.config.run
        with well_formed(self.path, "remove it, and run the sweep again"):
            task = registry.task_class(self.document.task)
            return replicates_of(task, self.lines, run.resamples, run.seed)

    def row(self, turn: Turn, first: _Kept, base: Path) -> dict[str, Any]:
        """What the record says of it, with the differences to the `first` of the same items."""
        document = self.document
        metrics = {}
        for name, one in self.replicates.items():
            low, high = bounds(one)
            metrics[name] = {"value": one.value, "low": low, "high": high}
        alike = self is not first and self.items == first.items
        return {
            "switch": turn.switch, "name": turn.name, "protocol": document.protocol,
            "precision": document.model.get("precision"),
            "plan": document.settings.plan if document.settings else None,
            "truncated": document.texts.truncated if document.texts else 0,
            "coverage": document.covered, "partial": document.partial,
            "metrics": metrics, "differences": self._differences(first) if alike else {},
            "results": [str(self.path.relative_to(base))],
        }  # fmt: skip

    def _differences(self, first: _Kept) -> dict[str, dict[str, float | None]]:
        """Each metric less the default's, paired; no bounds where nothing can be tested."""
        found = {}
        for name, one in self.replicates.items():
            gap = paired([first.replicates[name]], [one], self.config.run.seed)
            low, high = (side if isfinite(side) else None for side in (gap.low, gap.high))
            found[name] = {"value": gap.value, "low": low, "high": high, "p": gap.p}
        return found


def _correct(rows: list[dict[str, Any]], primary: str) -> None:
    """Note Holm's p of the primary metric: corrected for all turns that are looked at."""
    tested = [row for row in rows if row["differences"]]
    p_values = [row["differences"][primary]["p"] for row in tested]
    for row, p in zip(tested, holm(p_values), strict=True):
        row["holm"] = p
