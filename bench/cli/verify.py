"""`bench verify`: do the kept predictions give the numbers, and do these still hold?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import INCOMPLETE, Options
from bench.cli.results import files_in, places, results_given
from bench.errors import BenchError, DataError, printable

if TYPE_CHECKING:
    from bench.results.document import Document


@click.command()
@results_given
@click.pass_obj
def verify(options: Options, given: tuple[Path, ...], results: Path | None) -> None:
    """Compute the metrics of RESULTS again from their kept predictions and compare.

    RESULTS are files of `bench run`, or folders, which stand for all in them; by default run.output
    of bench.yaml. No model and no video is needed. Exit codes: 0 all equal; 1 a number differs, or
    a file cannot be verified; 3 equal, but stale: predictions, task version or data changed since.
    """
    from bench.results.comparison import Evidence, verified
    from bench.results.files import load, readable

    found, refused = readable(files_in(places(options, given, results)), load)
    if not found:
        raise refused[0]
    evidence = Evidence(found, options.load())
    differ = stale = False
    for path, document in found:
        reasons = evidence.stale(document)
        stale |= bool(reasons)
        remark = _remark(document, reasons, evidence.source_now(document) is not None)
        try:
            count, wrong = verified(path, document)
        except (BenchError, KeyError, TypeError, ValueError) as error:
            if reasons:
                click.echo(printable(f"{path}: not computed again{remark}"))
            else:
                refused.append(_refusal(path, error))
            continue
        if document.partial:
            remark = f", of {document.covered}" + remark
        differ |= bool(wrong)
        said = f"{len(wrong)} of {count} metrics differ" if wrong else f"{count} metrics equal"
        click.echo(printable(f"{path}: {said}{remark}"))
        for line in wrong[:5]:
            click.echo(f"  {printable(line)}")
    for refusal in refused:
        click.echo(f"error: {refusal}", err=True)
    sys.exit(1 if differ or refused else INCOMPLETE if stale else 0)


def _remark(document: Document, reasons: list[str], available: bool) -> str:
    """What is to be said beside the number of metrics."""
    from bench.metrics.bootstrap import RULES

    remark = f"; stale: {', '.join(reasons)}" if reasons else ""
    if not reasons and document.settings and document.settings.intervals != RULES:
        remark = "; its intervals are of older rules, not compared"
    if not available:
        remark += f"; source '{document.source.name}' is not available, not checked"
    return remark


def _refusal(path: Path, error: Exception) -> BenchError:
    """Why the numbers of `path` cannot be computed again."""
    if isinstance(error, BenchError):
        return error  # it names the file
    return DataError(f"{path}: cannot be verified: its lines lack {error}; run it again")
