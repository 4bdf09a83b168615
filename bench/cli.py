"""The command line: `bench run | train | report | compare | show | score | export | list | data`.

Heavy libraries load inside the commands. Tables go to stdout, progress and remarks to stderr. Exit
codes: 0 done; 1 the run failed; 2 wrong use; 3 done but incomplete (some items failed;
--allow-missing makes that 0).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli_compare import compare
from bench.cli_data import data
from bench.cli_export import export
from bench.cli_list import list_
from bench.cli_report import report
from bench.cli_score import score
from bench.cli_show import show
from bench.cli_sweep import sweep
from bench.cli_train import train
from bench.cli_verify import verify
from bench.errors import BenchError, UsageError, printable
from bench.files.atomic import REMEDIES, unwritable
from bench.options import INCOMPLETE, Options, complete, names, screen_format, task_settings

if TYPE_CHECKING:
    from bench.config import Config
    from bench.progress import Bar
    from bench.results import Result


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
            if isinstance(error, OSError) and error.filename is None and error.errno in REMEDIES:
                line = str(unwritable("standard output", error))
            if isinstance(error, BenchError):
                line, code = str(error), error.exit_code
        click.echo(f"error: {printable(line)}", err=True)
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
@click.option("--task", "tasks", required=True, callback=names, shell_complete=complete("task"),
              help="Tasks, separated by commas.")  # fmt: skip
@click.option("--model", "models", required=True, callback=names,
              shell_complete=complete("model"), help="Models, separated by commas.")  # fmt: skip
@click.option("--source", help="A source in bench.yaml, 'toy', or a folder with the data.")
@click.option("--limit", type=click.IntRange(1), help="The first N videos only.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Results folder.")
@click.option("--seed", type=click.IntRange(0),
              help="Seed of the bootstrap, and of what a task trains.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="TASK.KEY=VALUE",
              help="A task's setting, as vidsitu.roles=predicted; may be repeated.")  # fmt: skip
@click.option("--select", type=click.Choice(["last", "best"]),
              help="VidSitu: answer with the head's last epoch, or with the best on the reported "
                   "split, as earlier work did; the result says so.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Exit 0 although some items failed.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--profile", "profiled", is_flag=True, help="Tell on stderr where the time went.")
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
    overrides: tuple[str, ...],
    select: str | None,
    allow_missing: bool,
    as_json: bool,
    profiled: bool,
    quiet: bool,
) -> None:
    """Evaluate models on tasks and print their leaderboards.

    Under torchrun the encoding is shared among the processes, through a cache folder that all see.
    Interrupted? Run the same command again: decoded frames and encoded features are kept.
    """
    from bench import distributed
    from bench.config import CHECKS
    from bench.profile import profile
    from bench.progress import Bar
    from bench.results import load, save

    if device is not None:
        try:
            CHECKS["device"](device)
        except ValueError as error:
            raise UsageError(f"--device must be {error}, not {device!r}") from error
    config = options.load(device=device, output=output, seed=seed)
    if select is not None:
        overrides = (*overrides, f"vidsitu.select={select}")
    settings = task_settings(overrides, tasks)
    results, saved = [], []
    quiet = quiet or options.quiet
    with distributed.process_group("cpu"), Bar(quiet or not distributed.is_main()) as bar:
        for result in _evaluate_all(config, settings, models, source, limit, bar):
            results.append(result)
            if distributed.is_main():
                path = save(result, config.run.output, settings[result.data["task"]])
                saved.append((path, load(path)))
                if profiled:
                    bar.warn(profile(result.data))
                if not quiet:
                    bar.warn(f"wrote {path}")
    if not distributed.is_main():
        return
    if as_json:
        click.echo(json.dumps([result.data for result in results], indent=2, ensure_ascii=False))
    else:
        _print_boards(saved, config)
    _end(results, allow_missing)


def _evaluate_all(
    config: Config,
    tasks: dict[str, dict[str, Any]],
    models: list[str],
    source: str | None,
    limit: int | None,
    bar: Bar,
) -> Any:
    from bench import distributed, registry
    from bench.engine import evaluate

    for name, settings in tasks.items():  # all is checked before the first long step
        registry.task_class(name)
        registry.check_settings(name, registry.source_for(name, source, config, settings)[0])
    adapters = [registry.load_adapter(name, config) for name in models]
    for name, settings in tasks.items():
        found, fallback = registry.source_for(name, source, config, settings)
        if fallback:
            bar.warn(registry.FALLBACK.format(task=name))
        if distributed.is_main():
            registry.prepare_source(name, found, bar.to)
        distributed.barrier()
        task = registry.load_task(name, found, limit)
        for adapter in adapters:
            yield evaluate(adapter, task, config.run, bar)


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


def _print_boards(found: list[tuple[Path, dict[str, Any]]], config: Config) -> None:
    from bench.evidence import Evidence
    from leaderboards.boards import boards
    from leaderboards.render import render

    evidence = Evidence(found, config)
    documents = [document for _, document in found]
    click.echo(render(boards(documents, backing=evidence), screen_format()))


cli.add_command(compare)
cli.add_command(data)
cli.add_command(list_)
cli.add_command(report)
cli.add_command(score)
cli.add_command(show)
cli.add_command(sweep)
cli.add_command(train)
cli.add_command(verify)
cli.add_command(export)


def main() -> None:
    """Entry point of the console script."""
    cli(auto_envvar_prefix="BENCH", prog_name="bench")
