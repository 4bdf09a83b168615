"""The command line: `bench run | report | list | data`. Heavy libraries load inside the commands.

Tables go to stdout, progress and remarks to stderr. Exit codes: 0 done; 1 the run failed; 2 wrong
use; 3 done but incomplete (some items failed; --allow-missing makes that 0).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import BenchError, DataError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from bench.config import Config
    from bench.progress import Bar
    from bench.results import Result

INCOMPLETE = 3


@dataclass
class Options:
    """What stands before the command's name."""

    config: Path | None
    quiet: bool
    debug: bool

    def load(self, **overrides: Any) -> Config:
        """The configuration, with the command line's own values in place of bench.yaml's."""
        from bench.config import load_config

        config = load_config(self.config)
        given = {key: value for key, value in overrides.items() if value is not None}
        return replace(config, run=replace(config.run, **given))


def _complete(kind: str) -> Callable[..., list[CompletionItem]]:
    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from bench import registry
        from bench.config import load_config

        done, comma, part = incomplete.rpartition(",")
        names = registry.task_names() if kind == "task" else registry.model_names(load_config())
        return [CompletionItem(done + comma + name) for name in names if name.startswith(part)]

    return complete


def _names(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    """A comma-separated list without repeats, in the order given."""
    names = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise click.BadParameter("give at least one name")
    return names


class _OneLineErrors(click.Group):
    """Turns every error into one line and its exit code, unless --debug asks for the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            line, code = "interrupted; the same command continues where it stopped", 130
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own ways out
        except Exception as error:
            if ctx.params["debug"]:
                raise
            line, code = f"{type(error).__name__}: {error}; --debug shows where", 1
            if isinstance(error, BenchError):
                line, code = str(error), error.exit_code
        click.echo(f"error: {' '.join(line.split())}", err=True)
        sys.exit(code)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="srl-bench", prog_name="bench")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A bench.yaml; by default the nearest one upwards from here.",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, config: Path | None, quiet: bool, debug: bool) -> None:
    """Evaluate video-text models on who did what to whom.

    Every option is also an environment variable, such as BENCH_RUN_DEVICE=cuda.
    Shell completion: eval "$(_BENCH_COMPLETE=bash_source bench)" (or zsh_source, fish_source).
    """
    context.obj = Options(config, quiet, debug)


@cli.command()
@click.option("--task", "tasks", required=True, callback=_names, shell_complete=_complete("task"),
              help="Tasks, separated by commas.")  # fmt: skip
@click.option("--model", "models", required=True, callback=_names,
              shell_complete=_complete("model"), help="Models, separated by commas.")  # fmt: skip
@click.option("--source", help="A source in bench.yaml, 'toy', or a folder with the data.")
@click.option("--limit", type=click.IntRange(1), help="The first N videos only.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Results folder.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option("--allow-missing", is_flag=True, help="Exit 0 although some items failed.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.pass_obj
def run(
    options: Options,
    tasks: list[str],
    models: list[str],
    source: str | None,
    limit: int | None,
    device: str | None,
    output: Path | None,
    seed: int | None,
    allow_missing: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Evaluate models on tasks and print their leaderboards.

    Interrupted? Run the same command again: decoded frames and encoded features are kept.
    """
    from bench.config import CHECKS
    from bench.progress import Bar
    from bench.results import save

    if device is not None:
        try:
            CHECKS["device"](device)
        except ValueError as error:
            raise UsageError(f"--device must be {error}, not {device!r}") from error
    config = options.load(device=device, output=output, seed=seed)
    results = []
    quiet = quiet or options.quiet
    with Bar(quiet) as bar:
        for result in _evaluate_all(config, tasks, models, source, limit, bar):
            path = save(result, config.run.output)
            if not quiet:
                bar.warn(f"wrote {path}")
            results.append(result)
    if as_json:
        click.echo(json.dumps([result.data for result in results], indent=2, ensure_ascii=False))
    else:
        _print_boards([result.data for result in results])
    _end(results, allow_missing)


def _evaluate_all(
    config: Config,
    tasks: list[str],
    models: list[str],
    source: str | None,
    limit: int | None,
    bar: Bar,
) -> Any:
    from bench import registry
    from bench.engine import evaluate

    for name in tasks:  # all names are checked before the first long step
        registry.task_class(name)
        registry.source_for(name, source, config)
    adapters = [registry.load_adapter(name, config) for name in models]
    for name in tasks:
        found, fallback = registry.source_for(name, source, config)
        if fallback:
            bar.warn(registry.FALLBACK.format(task=name))
        registry.prepare_source(name, found, bar.to)
        task = registry.load_task(name, found, limit)
        for adapter in adapters:
            yield evaluate(adapter, task, config.run, bar)


def _end(results: list[Result], allow_missing: bool) -> None:
    failures = [(result, failure) for result in results for failure in result.failures]
    shown = dict.fromkeys(f"{failure.clip}: {failure.kind}: {failure.reason}"
                          for _, failure in failures)  # fmt: skip
    for line in list(shown)[:10]:
        click.echo(line, err=True)
    if len(shown) > 10:
        click.echo(f"... and {len(shown) - 10} more failures; see the result files", err=True)
    if failures and not allow_missing:
        sys.exit(INCOMPLETE)


def _print_boards(documents: list[dict[str, Any]]) -> None:
    from leaderboards.boards import boards, render

    click.echo(render(boards(documents), "md"))


@cli.command()
@click.option("--results", type=click.Path(path_type=Path, file_okay=False),
              help="Results folder; by default run.output of bench.yaml.")  # fmt: skip
@click.option("--task", help="One task's boards only.", shell_complete=_complete("task"))
@click.option("--format", "format_", type=click.Choice(["md", "latex", "csv", "json"]),
              default="md", show_default=True)  # fmt: skip
@click.option("--published", is_flag=True, help="Also boards that hold published rows only.")
@click.pass_obj
def report(
    options: Options, results: Path | None, task: str | None, format_: str, published: bool
) -> None:
    """Print a leaderboard for each task and protocol, beside the published rows of the same."""
    from bench.registry import task_class
    from bench.results import load_all
    from leaderboards.boards import boards, render
    from leaderboards.reference import PROTOCOLS

    if task is not None and task not in PROTOCOLS:
        task_class(task)  # names the nearest known one
    folder = results or options.load().run.output
    if not folder.is_dir() and not published:
        raise DataError(f"{folder}: no such folder; run `bench run` first or give --results")
    documents = list(load_all(folder)) if folder.is_dir() else []
    if not documents and not published:
        raise DataError(f"{folder}: no results yet; run `bench run` first, or give --published")
    click.echo(render(boards(documents, task=task, published=published), format_))


@cli.command("list")
@click.argument("what", type=click.Choice(["tasks", "models", "sources"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(options: Options, what: str, as_json: bool) -> None:
    """Show what is there, what is ready to run, and what is missing with its remedy."""
    config = options.load()
    rows = {"tasks": _task_rows, "models": _model_rows, "sources": _source_rows}[what](config)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from tabulate import tabulate

    click.echo(tabulate(rows, headers="keys", maxcolwidths=[None, None, 60]))


def _task_rows(config: Config) -> list[dict[str, str]]:
    from bench import registry

    rows = []
    for name in registry.task_names():
        source, _ = registry.source_for(name, None, config)
        problem = registry.source_problem(name, source)
        rows.append({"task": name, "source": source.name, "status": problem or "ready"})
    return rows


def _model_rows(config: Config) -> list[dict[str, str]]:
    from bench import registry

    rows = []
    for name in registry.model_names(config):
        family = registry.model_config(name, config).adapter
        if name not in config.models:
            try:
                registry.load_adapter(name, config)
                status = "ready"
            except BenchError as error:
                status = f"family: {error}"
        else:
            status = registry.model_problem(name, config) or "ready"
        rows.append({"model": name, "adapter": family, "status": status})
    return rows


def _source_rows(config: Config) -> list[dict[str, str]]:
    from bench import registry

    rows = []
    for name in [*config.sources, *registry.generated_names()]:
        for task in config.sources.get(name, registry.task_names()):
            problem = "unknown task"
            if task in registry.task_names():
                source, _ = registry.source_for(task, name, config)
                problem = registry.source_problem(task, source) or "ready"
            rows.append({"source": name, "task": task, "status": problem})
    return rows


@cli.group()
def data() -> None:
    """Make the toy world, or check a dataset."""


@data.command("toy")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder to draw into; by default the cache folder.")  # fmt: skip
@click.option("--task", "tasks", default="msrvtt,lsmdc,vidsitu", show_default=True,
              callback=_names)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.pass_obj
def data_toy(options: Options, output: Path | None, tasks: list[str], seed: int) -> None:
    """Draw the toy world: small real video files in the three datasets' own formats."""
    from bench import registry
    from bench.progress import Bar
    from tasks.toyworld import write

    folder = output or registry.toy_root(options.load())
    with Bar(options.quiet) as bar:
        write(folder, tasks=tasks, seed=seed, progress=bar.to)
    click.echo(folder)


@data.command("check")
@click.argument("task", shell_complete=_complete("task"))
@click.option("--source", help="A source in bench.yaml, 'toy', or a folder with the data.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def data_check(options: Options, task: str, source: str | None, as_json: bool) -> None:
    """Read a task's files and report what is there; exit code 3 when videos are missing."""
    from bench import registry

    found, _ = registry.source_for(task, source, options.load())
    loaded = registry.load_task(task, found)
    missing = [clip.id for clip in loaded.clips if clip.path is None]
    facts = {
        "task": task,
        "protocol": loaded.protocol,
        "texts": len(loaded.texts),
        "videos": len(loaded.clips),
        "missing videos": len(missing),
        "first missing": ", ".join(missing[:5]) or "-",
        "fingerprint": loaded.fingerprint,
    }
    if as_json:
        click.echo(json.dumps({**facts, "missing": missing}, indent=2, ensure_ascii=False))
    else:
        from tabulate import tabulate

        click.echo(tabulate(facts.items(), tablefmt="plain"))
    if missing:
        sys.exit(INCOMPLETE)


def main() -> None:
    """Entry point of the console script."""
    cli(auto_envvar_prefix="BENCH", prog_name="bench")
