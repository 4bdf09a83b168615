"""`bench report`: leaderboards of what was run, as text or as one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import FilePath, Options, complete, screen_format
from bench.errors import BenchError, DataError, UsageError, plain

if TYPE_CHECKING:
    from bench.report.boards import Others
    from bench.report.page_content import Material
    from bench.report.tables import Board
    from bench.results.comparison import Evidence
    from bench.results.document import Document


@click.command()
@click.option("--results", type=FilePath(file_okay=False),
              help="Results folder; by default run.output of bench.yaml.")  # fmt: skip
@click.option("--task", help="One task's boards only.", shell_complete=complete("task"))
@click.option("--format", "format_",
              type=click.Choice(["rich", "md", "latex", "csv", "json", "html"]),
              help="By default a table on a terminal, md elsewhere.")  # fmt: skip
@click.option("--published", is_flag=True, help="Also boards that hold published rows only.")
@click.option("--mteb", type=FilePath(exists=True, file_okay=False), metavar="FOLDER",
              help="Also rows of MTEB's result files below it, on their boards.")  # fmt: skip
@click.option("--output", type=FilePath(),
              help="html: the page to write. md: a folder, one file a task.")  # fmt: skip
@click.option("--gallery", type=click.IntRange(0), default=4, show_default=True,
              help="html: queries and situations to show, each with its frames.")  # fmt: skip
@click.pass_obj
def report(
    options: Options,
    results: Path | None,
    task: str | None,
    format_: str | None,
    published: bool,
    mteb: Path | None,
    output: Path | None,
    gallery: int,
) -> None:
    """Show a leaderboard for each task and protocol, beside the published rows of the same.

    The HTML page also has plots, galleries and the provenance of every number; it is one file
    without outside parts. A result that cannot be read is named and left out; exit code 1 then.
    """
    from bench.files.atomic import check_writable
    from bench.registry import task_class
    from bench.report.ablations import find_records, load_record, task_of
    from bench.report.boards import leads
    from bench.report.mteb_rows import rows_in
    from bench.report.text import render
    from bench.results.comparison import Evidence
    from bench.results.files import find_all, load, readable

    if task is not None:
        task_class(task)  # names the nearest known one
    format_ = format_ or ("md" if output is not None else screen_format())
    if output is not None and format_ not in ("html", "md"):
        raise UsageError("--output goes with --format html or md; others print, use > FILE")
    if format_ == "html" and output is None:
        raise UsageError("--format html needs --output FILE.html")
    if output is not None:
        check_writable(output)
    config = options.load()
    folder = results or config.run.output
    also, unread = rows_in(mteb) if mteb else ({}, [])
    anyway = published or bool(mteb)  # boards without results
    if not folder.is_dir() and not anyway:
        raise DataError(f"{folder}: no such folder; run `bench run` first or give --results")
    loaded, refused = readable(find_all(folder) if folder.is_dir() else [], load)
    evidence = Evidence(loaded, config)
    usable, unusable = readable(loaded, lambda one: _usable(one, evidence))
    found = sorted((one for one, _ in usable), key=lambda one: not leads(one[1].task))
    recorded, damaged = readable(find_records(folder), load_record)
    records = [one for _, one in recorded if task in (None, task_of(one))]
    refused += unusable + damaged + unread
    if not found and not records and not anyway:
        raise next(iter(refused), DataError(
            f"{folder}: no results yet; run `bench run` first, or give --published"
        ))  # fmt: skip
    documents = [document for _, document in found]
    made = all_boards(documents, records, task, published, evidence, also)
    if format_ == "html":
        from bench.report.page_content import Material

        assert output is not None
        material = Material(found, records, folder, evidence, config, gallery)
        _page(output, made, material, options.quiet)
    elif output is not None:
        _files(output, made)
    else:
        click.echo(render(made, format_))
    for error in refused:
        click.echo(f"left out: {error}", err=True)
    sys.exit(1 if refused else 0)


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
    from bench.files.atomic import write_text
    from bench.report.text import LEGEND, render

    for task in dict.fromkeys(board.task for board in made):
        chosen = [board for board in made if board.task == task]
        head = f"# {task}\n\n<!-- generated by `make boards`; edit nothing here -->\n\n{LEGEND}"
        path = folder / f"{task}.md"
        write_text(path, f"{head}\n\n{render(chosen, 'md')}\n")
        click.echo(path)


def _page(output: Path, made: list[Board], material: Material, quiet: bool) -> None:
    from bench.files.atomic import write_text
    from bench.progress import Bar
    from bench.report.page import render_page
    from bench.report.page_content import page_of

    if output.suffix != ".html":
        raise UsageError(f"--output {output}: the page is written as .html; name it so")
    with Bar(quiet) as bar:
        page = page_of(made, material, bar)
    write_text(output, render_page(page))
    click.echo(output)
