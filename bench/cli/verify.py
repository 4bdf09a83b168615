"""`bench verify`: do the kept predictions give the numbers, and do these still hold?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import INCOMPLETE, Options, complete
from bench.cli.results import files_in, places, results_given
from bench.errors import BenchError, DataError, printable

if TYPE_CHECKING:
    from bench.config import Config
    from bench.results.comparison import Evidence
    from bench.results.document import Document

DONE, FAILED = 0, 1
WORST = (DONE, INCOMPLETE, FAILED)  # of several results, the last of these is the exit code
WIDTH = 80  # columns of a terminal


@click.command()
@results_given
@click.option("--source", shell_complete=complete("source"),
              help="Compare the data with a source in bench.yaml, 'toy', or your folder, instead "
                   "of the source that each result names.")  # fmt: skip
@click.pass_obj
def verify(
    options: Options, given: tuple[Path, ...], results: Path | None, source: str | None
) -> None:
    """Compute the metrics of RESULTS again from their kept predictions and compare.

    RESULTS are files of `bench run`, folders, which stand for all in them, or bundles of `bench
    bundle`; by default run.output of bench.yaml. No model and no video is needed. Of a bundle every
    check is listed, and what cannot be checked. Exit codes: 0 all equal; 1 a number differs, or a
    file cannot be verified; 3 numbers equal, but stale, or of other data, questions or model than
    here.
    """
    from bench.results.bundle import SUFFIX
    from bench.results.files import load, readable

    config = options.load()
    files = files_in(places(options, given, results))
    bundles = [file for file in files if file.suffix == SUFFIX]
    found, refused = readable([file for file in files if file not in bundles], load)
    if not found and not bundles:
        raise refused[0]
    codes = []
    evidence = _evidence(found, config, source)
    for path, document in found:
        try:
            codes.append(_verify(path, document, evidence))
        except BenchError as error:
            refused.append(error)
    for bundle in bundles:
        try:
            codes.append(_review(bundle, config, source))
        except BenchError as error:
            refused.append(error)
    for refusal in refused:
        click.echo(f"error: {refusal}", err=True)
    sys.exit(FAILED if refused else max(codes, key=WORST.index))


def _evidence(found: list[tuple[Path, Document]], config: Config, source: str | None) -> Evidence:
    """What the results are compared with; a generated source that is named is made first."""
    from bench import registry
    from bench.progress import Bar
    from bench.results.comparison import Evidence

    if source:
        with Bar() as bar:
            for task in dict.fromkeys(document.task for _, document in found):
                registry.prepare_source(task, registry.source_for(task, source, config)[0], bar.to)
    return Evidence(found, config, source)


def _verify(path: Path, document: Document, evidence: Evidence) -> int:
    """Print the line of one result; its exit code. BenchError where it cannot be verified."""
    from bench.results.comparison import verified

    reasons = evidence.stale(document)
    remark = _remark(document, reasons, evidence.task_now(document) is not None)
    try:
        count, wrong = verified(path, document)
    except (BenchError, KeyError, TypeError, ValueError) as error:
        if not reasons:
            raise _refusal(path, error) from error
        click.echo(printable(f"{path}: not computed again{remark}"))
        return INCOMPLETE
    if document.partial:
        remark = f", of {document.covered}" + remark
    said = f"{len(wrong)} of {count} metrics differ" if wrong else f"{count} metrics equal"
    click.echo(printable(f"{path}: {said}{remark}"))
    for line in wrong[:5]:
        click.echo(f"  {printable(line)}")
    return FAILED if wrong else INCOMPLETE if reasons else DONE


def _review(bundle: Path, config: Config, source: str | None) -> int:
    """Print what of a bundle was checked, and what could not be; its exit code."""
    from shlex import join
    from textwrap import wrap

    from bench.results.bundle import opened
    from bench.results.files import load
    from bench.results.review import DIFFERS, NUMBERS, OK, review

    with opened(bundle) as path:
        document = load(path)
        evidence = _evidence([(path, document)], config, source)
        findings = review(path, document, evidence, config)
    click.echo(printable(f"{bundle}: {document.name} on {document.protocol}"))
    for one in findings:
        head = f"  {one.state:<12} {one.what:<10} "
        lines = wrap(printable(one.said), WIDTH - len(head), break_on_hyphens=False)
        click.echo(head + f"\n{' ' * len(head)}".join(lines))
    if document.command:  # on one line, to be copied
        click.echo(printable(f"to repeat it: {join(document.command)}"))
    wrong = {one.what for one in findings if one.state == DIFFERS}
    unequal = any(one.what == NUMBERS and one.state != OK for one in findings)
    return FAILED if NUMBERS in wrong else INCOMPLETE if wrong or unequal else DONE


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
