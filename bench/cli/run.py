"""`bench run`: evaluate models on tasks and print their boards."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import (
    INCOMPLETE,
    FilePath,
    Options,
    command_line,
    complete,
    names,
    screen_format,
    task_settings,
)
from bench.errors import DataError, UsageError, printable

if TYPE_CHECKING:
    from bench.config import Config
    from bench.contracts import Adapter, Source, Task
    from bench.features.turning import Turned
    from bench.progress import Bar
    from bench.results.document import Document
    from bench.results.files import Result

PLANS = ("uniform", "linspace", "middle", "first-of-second", "fps")  # of bench.video.sampling


@click.command()
@click.option("--task", "tasks", required=True, callback=names, shell_complete=complete("task"),
              help="Tasks, separated by commas.")  # fmt: skip
@click.option("--model", "models", required=True, callback=names,
              shell_complete=complete("model"), help="Models, separated by commas.")  # fmt: skip
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--protocol", type=click.Choice(["task", "published"]), default="task",
              show_default=True,
              help="Frames and texts as the task has them, for every model alike; or as each model "
                   "was published: frames, resizing and text length of its own.")  # fmt: skip
@click.option("--rerank", is_flag=True,
              help="Rank the best answers again by the model's matching head; a protocol, and a "
                   "result, of its own.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), metavar="N",
              help="Frames of a clip; with --plan fps, of a second. This and the three options "
                   "below turn the task's protocol: its name then says so, and the result has a "
                   "board of its own.")  # fmt: skip
@click.option("--plan", type=click.Choice(PLANS),
              help="Which frames: centres of equal parts; first to last in equal steps; middles of "
                   "equal parts by frame number; the first of each second, at most N; N of each "
                   "second.")  # fmt: skip
@click.option("--context", type=click.IntRange(3), metavar="N",
              help="Tokens of a text, start and end included; longer ones are cut.")  # fmt: skip
@click.option("--rescore", metavar="dual-softmax[:T]",
              help="Weigh each score by a softmax over all queries, of temperature T (100): "
                   "a † in the protocol's name.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="The first N videos only.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--output", type=FilePath(file_okay=False), help="Results folder.")
@click.option("--seed", type=click.IntRange(0),
              help="Seed of the bootstrap, and of what a task trains.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="TASK.KEY=VALUE",
              help="A setting of a task; may be repeated.")  # fmt: skip
@click.option("--select", type=click.Choice(["last", "best"]),
              help="Of what a task trains: the last epoch, or the best on the reported split, as "
                   "earlier work did; the result says so.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Exit 0 although some items failed.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--profile", "profiled", is_flag=True, help="Print on stderr where the time went.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.pass_obj
def run(options: Options, **given: Any) -> None:
    """Evaluate models on tasks and print their leaderboards.

    Under torchrun the encoding is shared among the processes, through a cache folder that all see.
    Interrupted? Run the same command again: decoded frames and encoded features are kept.
    """
    _run(options, Request(**given))


@dataclass(frozen=True)
class Request:
    """The options of the command line, by name."""

    tasks: list[str]
    models: list[str]
    source: str | None
    protocol: str
    rerank: bool
    frames: int | None
    plan: str | None
    context: int | None
    rescore: str | None
    limit: int | None
    device: str | None
    output: Path | None
    seed: int | None
    overrides: tuple[str, ...]
    select: str | None
    allow_missing: bool
    as_json: bool
    profiled: bool
    quiet: bool

    @cached_property
    def turned(self) -> Turned:
        """What is turned of the tasks' protocols. UsageError for what cannot be together."""
        from bench.features.protocol import check_together
        from bench.features.turning import Turned, temperature_of

        found = Turned(self.frames, self.plan, self.context, temperature_of(self.rescore))
        check_together(self.protocol, self.rerank, found)
        return found

    @cached_property
    def selected(self) -> list[str]:
        """`--select` as settings of the tasks that have it."""
        return _selecting(self.tasks, self.select) if self.select else []

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Of each task those that `--set` and `--select` name."""
        return task_settings((*self.overrides, *self.selected), self.tasks)

    def command(self, task: str, model: str, source: str) -> list[str]:
        """The command line that makes one of the results, and no other."""
        own = f"{task}."
        return command_line(
            tasks=[task], models=[model], source=self.source or source,
            overrides=tuple(one for one in self.overrides if one.strip().startswith(own)),
            select=self.select if any(one.startswith(own) for one in self.selected) else None,
        )  # fmt: skip


def _run(options: Options, request: Request) -> None:
    from bench import distributed
    from bench.progress import Bar
    from bench.results.files import BESIDE, load, save
    from bench.results.timing import profile

    config = options.for_work(device=request.device, output=request.output, seed=request.seed)
    settings = request.settings
    results: list[Result] = []
    saved: list[tuple[Path, Document]] = []
    quiet = request.quiet or options.quiet
    try:
        with distributed.process_group("cpu"), Bar(quiet or not distributed.is_main()) as bar:
            for model, made in _evaluate_all(request, settings, config, bar):
                result = _recorded(made, model, request, config)
                results.append(result)
                if distributed.is_main():
                    path = save(result, config.run.output, settings[result.document.task])
                    saved.append((path, load(path)))
                    if request.profiled:
                        bar.table(profile(result.document, get_terminal_size().columns))
                    if not quiet:
                        other = ", beside a result of other data" if BESIDE in path.name else ""
                        bar.warn(f"wrote {path}{other}")
    finally:  # what is finished is printed, though a later part failed
        if results and distributed.is_main():
            _print(results, saved, request.as_json, config)
    if distributed.is_main():
        _end(results, request.allow_missing)


def _recorded(result: Result, model: str, request: Request, config: Config) -> Result:
    """The result with the command that makes it, and the settings of its model."""
    from msgspec.structs import replace

    from bench.registry import model_config
    from bench.results.files import Result
    from bench.results.request import model_settings

    one = result.document
    document = replace(
        one, command=request.command(one.task, model, one.source.name),
        configuration={**(one.configuration or {}),
                       "model": model_settings(model_config(model, config))},
    )  # fmt: skip
    return Result(document, result.predictions)


def _selecting(tasks: list[str], select: str) -> list[str]:
    """`--select` as the setting of every task that has it. UsageError where none has."""
    from dataclasses import fields

    from bench.registry import task_class

    recipes = {name: task_class(name).recipe for name in tasks}
    able = [name for name, recipe in recipes.items()
            if recipe and "select" in {field.name for field in fields(recipe)}]  # fmt: skip
    if not able:
        raise UsageError(f"--select: nothing is trained by {', '.join(tasks)}; leave it out")
    return [f"{name}.select={select}" for name in able]


def _evaluate_all(
    request: Request, tasks: dict[str, dict[str, Any]], config: Config, bar: Bar
) -> Iterator[tuple[str, Result]]:
    """Every result, beside the name of its model on the command line."""
    from bench import distributed, registry
    from bench.engine import evaluate

    sources = {}
    for name, settings in tasks.items():
        registry.task_class(name)  # names the nearest known one
        sources[name] = registry.source_for(name, request.source, config, settings)
    ready, adapters = _checked(request, {name: one for name, (one, _) in sources.items()}, config)
    for name, (found, fallback) in sources.items():
        if fallback:
            bar.warn(registry.FALLBACK.format(task=name))
        if distributed.is_main():
            registry.prepare_source(name, found, bar.to)
        distributed.barrier()
        task = ready.get(name) or _loaded(name, found, request.limit)
        for model, adapter in zip(request.models, adapters, strict=True):
            yield model, evaluate(adapter, task, config.run, bar, request.protocol,
                                  request.rerank, request.turned)  # fmt: skip


def _checked(
    request: Request, sources: dict[str, Source], config: Config
) -> tuple[dict[str, Task], list[Adapter]]:
    """The tasks whose files are there, and the models, before the first long step.

    Raises whatever can be seen of any of them, what is cheap to see first.
    """
    from bench import registry
    from bench.capabilities import ReadsFeatures
    from bench.features.protocol import setup_of
    from bench.features.turning import admit
    from bench.files.atomic import check_writable
    from bench.progress import waiting
    from bench.results.files import slug

    _ = request.turned
    families = [registry.model_factory(registry.model_config(n, config)) for n in request.models]
    for name, source in sources.items():
        registry.check_settings(name, source)
        check_writable(config.run.output / name / slug(source.name))
    ready = {
        name: _loaded(name, source, request.limit)
        for name, source in sources.items()
        if not registry.is_undrawn(name, source)
    }
    on_disk = all(isinstance(family, ReadsFeatures) for family in families)
    for task in ready.values():
        if not (on_disk or any(clip.path for clip in task.clips)):
            raise DataError(
                f"{task.name}: none of {len(task.clips)} videos is there, such as "
                f"{task.clips[0].id}; `bench data check {task.name}` shows where they are sought, "
                f"`bench data guide {task.name}` how they are laid out"
            )
    with waiting(f"looking for the weights of {', '.join(request.models)}"):
        adapters = [registry.load_adapter(name, config) for name in request.models]
    for adapter in adapters:
        for name in sources:
            setup_of(adapter, name, request.protocol)
        for task in ready.values():
            admit(adapter, task, request.protocol, request.rerank, request.turned)
    return ready, adapters


def _loaded(name: str, source: Source, limit: int | None) -> Task:
    """The task, while a terminal says what is read."""
    from bench import registry
    from bench.progress import waiting

    with waiting(f"reading the files of {name}"):
        return registry.load_task(name, source, limit)


def _end(results: list[Result], allow_missing: bool) -> None:
    failures = [(result, failure) for result in results for failure in result.failures]
    shown = dict.fromkeys(f"{failure.clip}: {failure.kind}: {failure.reason}"
                          for _, failure in failures)  # fmt: skip
    for line in list(shown)[:10]:
        click.echo(printable(line), err=True)
    if len(shown) > 10:
        click.echo(f"... and {len(shown) - 10} more failures; see the result files", err=True)
    if failures and not allow_missing:
        sys.exit(INCOMPLETE)


def _print(
    results: list[Result], saved: list[tuple[Path, Document]], as_json: bool, config: Config
) -> None:
    if as_json:
        click.echo(json.dumps([result.data for result in results], indent=2))
        return
    if saved:
        _print_boards(saved, config)
    for result in results[len(saved) :]:
        click.echo(f"not saved: {printable(str(result))}")


def _print_boards(found: list[tuple[Path, Document]], config: Config) -> None:
    from bench.report.boards import boards
    from bench.report.text import render
    from bench.results.comparison import Evidence

    evidence = Evidence(found, config)
    documents = [document for _, document in found]
    click.echo(render(boards(documents, backing=evidence), screen_format()))
