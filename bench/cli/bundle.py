"""`bench bundle`: a result as one file that somebody else can check."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import FilePath
from bench.errors import UsageError


@click.command()
@click.argument("result", type=FilePath(exists=True, dir_okay=False))
@click.option("--output", type=FilePath(dir_okay=False),
              help="The file to write, .zip; else the result's name here.")  # fmt: skip
def bundle(result: Path, output: Path | None) -> None:
    """Put RESULT, its predictions, settings and versions into one file to hand in.

    A reviewer checks it with `bench verify BUNDLE --source DIR`.
    """
    from bench.files.atomic import check_writable
    from bench.results.bundle import SUFFIX, write_bundle

    target = output or Path(f"{result.stem}{SUFFIX}")
    if target.suffix != SUFFIX:
        raise UsageError(f"{target}: a bundle is a {SUFFIX} file; name it so")
    check_writable(target)
    write_bundle(result, target)
    click.echo(target)
    click.echo(f"check it: bench verify {target} --source DIR", err=True)
