"""`bench show`: what models said of chosen clips, beside the truth and the frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import FilePath, Options, complete
from bench.cli.output import format_of, open_option, show_in_browser
from bench.cli.results import files_in, places, results_given
from bench.errors import DataError

if TYPE_CHECKING:
    from bench.results.document import Document


@click.command()
@results_given
@click.option("--item", "items", multiple=True,
              help="An item of the prediction lines, such as a clip; may be repeated.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), default=3, show_default=True,
              help="Without --item: how many to show.")  # fmt: skip
@click.option("--source", shell_complete=complete("source"),
              help="Where the videos are; by default as for `bench run`.")  # fmt: skip
@click.option("--output", required=True, type=FilePath(dir_okay=False),
              help="The page to write: .html, or .md with a folder of images.")  # fmt: skip
@open_option
@click.pass_obj
def show(
    options: Options,
    given: tuple[Path, ...],
    results: Path | None,
    items: tuple[str, ...],
    limit: int,
    source: str | None,
    output: Path,
    opened: bool,
) -> None:
    """Show RESULTS of one task side by side: each model's answers, the truth, the frames.

    RESULTS are files of `bench run`, such as results/TASK/toy/clip-tiny.json, or folders, which
    stand for all in them, such as results/TASK/toy; by default run.output of bench.yaml.
    """
    from bench import registry
    from bench.capabilities import ShowsPredictions
    from bench.files.atomic import check_writable
    from bench.files.untrusted import well_formed
    from bench.progress import Bar, waiting
    from bench.results.files import load

    if format_of(output, None, ("html", "md")) is None:
        raise DataError(f"{output}: pages are written as .html or .md; name it so")
    check_writable(output)
    paths = files_in(places(options, given, results))
    documents = [load(path) for path in paths]
    first = documents[0]
    for path, one in zip(paths, documents, strict=True):
        if (one.task, one.source.fingerprint) != (first.task, first.source.fingerprint):
            raise DataError(
                f"{path}: of another task or other data than {paths[0]}; give results of one task"
            )
    gallery = registry.offering(first.task, ShowsPredictions).gallery()
    with (
        well_formed(paths[0], "run it again"),
        Bar(options.quiet),
        waiting("reading predictions, decoding the frames to show"),
    ):
        _write(options, paths, documents, gallery, items, limit, source, output)
    click.echo(output)
    if opened:
        show_in_browser(output)


def _write(
    options: Options,
    results: list[Path],
    documents: list[Document],
    gallery: Any,
    items: tuple[str, ...],
    limit: int,
    source: str | None,
    output: Path,
) -> None:
    """The page of `items`, or of those that the gallery chooses."""
    from urllib.parse import quote

    from bench.files.atomic import atomic_path, write_text
    from bench.report.frames import frames_of, markdown_cell
    from bench.report.page import render_page
    from bench.report.tables import Figure, Page
    from bench.results.files import load_predictions

    answers = [
        {line["item"]: line for line in load_predictions(path, document)}
        for path, document in zip(results, documents, strict=True)
    ]
    if unknown := [item for item in items if not all(item in lines for lines in answers)]:
        raise DataError(f"{unknown[0]}: not answered in every result; see their prediction lines")
    chosen = list(items) or gallery.choose(answers, limit)
    clips = gallery.clips_of(answers, chosen)
    frames = frames_of(options.load(), documents[0], source, clips)
    models = [
        document.name + (f" ({document.covered})" if document.partial else "")
        for document in documents
    ]
    toy = " (toy world: drawn videos)" if documents[0].toy else ""
    note = f"{documents[0].protocol}{toy}. {gallery.NOTE}"
    if output.suffix.lower() == ".html":
        figure = Figure(gallery.TITLE, note, gallery.as_html(models, answers, chosen, frames))
        write_text(output, render_page(Page(gallery.TITLE, "", [], [], [figure], {})))
    else:

        def keep(name: str, image: bytes) -> str:
            name = _file_name(name)
            with atomic_path(output.with_suffix("") / name) as temporary:
                temporary.write_bytes(image)
            return f"{quote(output.stem)}/{quote(name)}"

        body = gallery.as_markdown(models, answers, chosen, frames, keep)
        write_text(output, f"# {gallery.TITLE}\n\n{markdown_cell(note)}\n\n{body}\n")


def _file_name(image: str) -> str:
    """A clip may be called anything; the address must hold no markup, and end as an image's."""
    from bench.results.files import slug

    return slug(image.removesuffix(".webp")) + ".webp"
