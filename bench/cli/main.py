"""The command line: its groups, commands, and what an error looks like.

Heavy libraries load inside the commands. Tables go to stdout, progress and remarks to stderr. Exit
codes: 0 done; 1 the run failed; 2 wrong use; 3 done but incomplete (some items failed;
--allow-missing makes that 0).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench.cli.bundle import bundle
from bench.cli.compare import compare
from bench.cli.data import data
from bench.cli.doctor import doctor
from bench.cli.export import export
from bench.cli.list import list_
from bench.cli.options import FilePath, Options
from bench.cli.report import report
from bench.cli.run import run
from bench.cli.score import score
from bench.cli.show import show
from bench.cli.show_model import show_model
from bench.cli.streams import plain_streams
from bench.cli.sweep import sweep
from bench.cli.train import train
from bench.cli.verify import verify
from bench.errors import BenchError, printable
from bench.files.atomic import REMEDIES, unwritable


class _OneLineErrors(click.Group):
    """Turns every error into one line and its exit code, unless --debug asks for the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            line, code = "interrupted; run the same command again to resume", 130
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
    type=FilePath(dir_okay=False),
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


cli.add_command(bundle)
cli.add_command(compare)
cli.add_command(data)
cli.add_command(list_)
cli.add_command(report)
cli.add_command(run)
cli.add_command(score)
cli.add_command(show)
cli.add_command(show_model)
cli.add_command(sweep)
cli.add_command(train)
cli.add_command(verify)
cli.add_command(export)
cli.add_command(doctor)


def main() -> None:
    """Entry point of the console script."""
    plain_streams()
    cli(auto_envvar_prefix="BENCH", prog_name="bench")
