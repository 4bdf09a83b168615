"""`bench report`: leaderboards of what was run, as text or as one page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bench.cli.options import FilePath, Options, complete, screen_format
from bench.cli.output import (
    BY_ENDING,
    ENDINGS,
    format_of,
    open_option,
    show_in_browser,
    written,
)
from bench.cli.results import files_in, results_given, together
from bench.errors import BenchError, DataError, UsageError, plain

if TYPE_CHECKING:
    from bench.config import Config
    from bench.report.boards import Others
    from bench.report.page_content import Material
    from bench.report.tables import Board
    from bench.results.comparison import Evidence
    from bench.results.document import Document


@click.command()
@results_given
@click.option("--task", help="One task's boards only.", shell_complete=complete("task"))
@click.option("--format", "format_",
              type=click.Choice(["rich", *ENDINGS.values()]),
              help="By default that of --output; printed: a table on a terminal, else "
                   "md.")  # fmt: skip
@click.option("--published", is_flag=True, help="Also boards that hold published rows only.")
@click.option("--mteb", type=FilePath(exists=True), metavar="FOLDER",
              help="Also rows of MTEB's result files below it, on their boards.")  # fmt: skip
@click.option("--output", type=FilePath(),
              help=f"The file to write, {BY_ENDING}, or .html for the page; or a folder, one .md a "
                   "task.")  # fmt: skip
@open_option
@click.option("--gallery", type=click.IntRange(0), default=4, show_default=True,
              help="html: queries and situations to show, each with its frames.")  # fmt: skip
@click.pass_obj
def report(
    options: Options,
    given: tuple[Path, ...],
    results: Path | None,
    task: str | None,
    format_: str | None,
    published: bool,
    mteb: Path | None,
    output: Path | None,
    opened: bool,
    gallery: int,
) -> None:
    """Show a leaderboard for each task and protocol, beside the published rows of the same.

    RESULTS are folders of `bench run`, or files in them; by default run.output of bench.yaml.
    The HTML page also has plots, galleries and the provenance of every number; it is one file
    without outside parts. A result that cannot be read is named and left out; exit code 1 then.
    """
    from bench.files.atomic import check_writable
    from bench.progress import Bar, waiting
    from bench.registry import task_class
    from bench.report.mteb_rows import rows_in
    from bench.report.text import render

    if task is not None:
        task_class(task)  # names the nearest known one
    kind = _kind(output, format_)
    if opened and kind != "html":
        raise UsageError("--open shows a page; give --output FILE.html too")
    if output is not None:
        check_writable(output)
    config = options.load()
    places = together(given, results) or [config.run.output]
    with Bar(options.quiet), waiting("reading results and testing their differences"):
        also, unread = rows_in(mteb) if mteb else ({}, [])
        anyway = published or mteb is not None  # boards without results
        read = _read(places, task, anyway, config)
        documents = [document for _, document in read.found]
        made = all_boards(documents, read.records, task, published, read.evidence, also)
    refused = [*read.refused, *unread]
    if output is None:
        click.echo(render(made, format_ or screen_format()))
    elif kind is None:
        _files(output, made)
    elif kind == "html":
        from bench.report.page_content import Material

        folder = next((one for one in places if one.is_dir()), config.run.output)
        material = Material(read.found, read.records, folder, read.evidence, config, gallery)
        _page(output, made, material, options.quiet)
    else:
        written(output, _headed(made) if kind == "md" else render(made, kind))
    for error in refused:
        click.echo(f"left out: {error}", err=True)
    if opened and output is not None:
        show_in_browser(output)
    sys.exit(1 if refused else 0)


class _Read(NamedTuple):
    """Usable results, those whose boards lead first, records of sweeps, and what was refused."""

    found: list[tuple[Path, Document]]
    records: list[dict[str, Any]]
    evidence: Evidence
    refused: list[BenchError]


def _read(places: list[Path], task: str | None, anyway: bool, config: Config) -> _Read:
    """All that lies in `places`. DataError where nothing does, unless other rows are shown."""
    from bench.report.ablations import find_records, load_record, task_of
    from bench.report.boards import leads
    from bench.results.comparison import Evidence
    from bench.results.files import load, readable

    if (absent := [one for one in places if not one.exists()]) and not anyway:
        raise DataError(f"{absent[0]}: no such folder; run `bench run` first or give RESULTS")
    loaded, refused = readable(_results_of(places), load)
    evidence = Evidence(loaded, config)
    usable, unusable = readable(loaded, lambda one: _usable(one, evidence))
    found = sorted((one for one, _ in usable), key=lambda one: not leads(one[1].task))
    files = [path for place in places for path in find_records(place)]
    recorded, damaged = readable(files, load_record)
    records = [one for _, one in recorded if task in (None, task_of(one))]
    refused += unusable + damaged
    if not found and not records and not anyway:
        raise next(iter(refused), DataError(
            f"{places[0]}: no results yet; run `bench run` first, or give --published"
        ))  # fmt: skip
    return _Read(found, records, evidence, refused)


def _kind(output: Path | None, format_: str | None) -> str | None:
    """The format of the file to write; None for a folder of markdown, and for the screen."""
    kind = format_of(output, format_, tuple(ENDINGS.values()))
    if format_ == "html" and kind is None:
        raise UsageError("--format html needs --output FILE.html")
    if output is not None and kind is None and format_ not in (None, "md"):
        ending = next((end for end, name in ENDINGS.items() if name == format_), None)
        if ending is None:
            raise UsageError(f"--format {format_} is for the terminal; leave --output out")
        raise UsageError(f"--format {format_} writes a file: name it {output}{ending}")
    return kind


def _results_of(places: list[Path]) -> list[Path]:
    """The result files, each once; a folder without any may have ablations."""
    from bench.results.files import find_all

    found = files_in(one for one in places if one.is_file() or find_all(one))
    return list({os.path.realpath(path): path for path in found}.values())  # of loops too


def _usable(one: tuple[Path, Document], evidence: Evidence) -> Document:
    """The document, if a board can be made of it. BenchError names the file if none can."""
    from bench.report.boards import boards

    path, document = one
    try:
        boards([document], backing=evidence)
    except BenchError:
        raise  # it names the file
    except Exception as error:  # whatever is wrong with it, the others are shown
        why = f"{type(error).__name__}: {plain(error)}"
        raise DataError(f"{path}: no board can be made of it ({why}); run it again") from error
    return document


def all_boards(
    documents: list[Document],
    records: list[dict[str, Any]],
    task: str | None,
    published: bool,
    evidence: Any,
    also: Others | None = None,
) -> list[Board]:
    """The boards of tasks that lead, the overview where there are more tasks, then all others.

    The ablations stand last.
    """
    from bench.report.ablations import grid_boards, published_grids
    from bench.report.boards import boards, leads
    from bench.report.overview import overview

    made = boards(documents, task, published, evidence, also)
    ablations = [board for record in records for board in grid_boards(record)]
    if published:
        shown = {record["grid"] for record in records}
        ablations += published_grids(shown, task)
    leading = [board for board in made if leads(board.task)]
    others = [board for board in made if not leads(board.task)]
    first = overview(made) if len({board.task for board in made}) > 1 else []
    return [*leading, *first, *others, *ablations]


def _files(folder: Path, made: list[Board]) -> None:
    """`<task>.md` for every task that has boards; each says how it is made again."""
    note = "<!-- generated by `make boards`; edit nothing here -->"
    for task in dict.fromkeys(board.task for board in made):
        chosen = [board for board in made if board.task == task]
        written(folder / f"{task}.md", f"# {task}\n\n{note}\n\n{_headed(chosen)}")


def _headed(made: list[Board]) -> str:
    """Boards as markdown, below how they are to be read."""
    from bench.report.text import LEGEND, render

    return f"{LEGEND}\n\n{render(made, 'md')}"


def _page(output: Path, made: list[Board], material: Material, quiet: bool) -> None:
    from bench.files.atomic import write_text
    from bench.progress import Bar
    from bench.report.page import render_page
    from bench.report.page_content import page_of

    with Bar(quiet) as bar:
        page = page_of(made, material, bar)
    write_text(output, render_page(page))
    click.echo(output)
