"""`bench show`: what models said of chosen clips, beside the truth and the frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import DataError
from bench.options import Options

if TYPE_CHECKING:
    import numpy as np

    from bench.config import Config

SIZE = 144  # pixels of a shown frame


@click.command()
@click.argument("results", nargs=-1, required=True,
                type=click.Path(path_type=Path, exists=True, dir_okay=False))  # fmt: skip
@click.option("--clip", "clips", multiple=True, help="A clip to show; may be repeated.")
@click.option("--limit", type=click.IntRange(1), default=3, show_default=True,
              help="Without --clip: the first N clips.")  # fmt: skip
@click.option("--source", help="Where the videos are; by default as for `bench run`.")
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="The page to write: .html, or .md with a folder of images.")  # fmt: skip
@click.pass_obj
def show(
    options: Options,
    results: tuple[Path, ...],
    clips: tuple[str, ...],
    limit: int,
    source: str | None,
    output: Path,
) -> None:
    """Show RESULTS of one task side by side: each model's answers, the truth, the frames.

    RESULTS are files of `bench run --task vidsitu`, such as results/vidsitu/toy/clip-tiny.json.
    """
    from bench import registry
    from bench.cache import atomic_path, write_text
    from bench.results import load, load_predictions

    if output.suffix not in (".html", ".md"):
        raise DataError(f"{output}: pages are written as .html or .md; name it so")
    documents = [load(path) for path in results]
    if len({(d["task"], d["source"]["fingerprint"]) for d in documents}) > 1:
        raise DataError(f"{results[1]}: of another task or other data than {results[0]}")
    gallery = registry.gallery(documents[0]["task"])
    lines = [
        {line["item"]: line for line in load_predictions(path, document)}
        for path, document in zip(results, documents, strict=True)
    ]
    chosen = _chosen(lines, clips, limit)
    frames = _frames(options.load(), documents[0], source, chosen)
    shown = [
        gallery.situation(clip, [answers[clip] for answers in lines], frames.get(clip))
        for clip in chosen
    ]
    models = [document["model"]["name"] for document in documents]
    toy = " (toy world: drawn videos)" if "/toy" in documents[0]["protocol"] else ""
    note = f"{documents[0]['protocol']}{toy}. A tick: an annotator said the same."
    if output.suffix == ".html":
        write_text(output, gallery.as_html(models, shown, note))
    else:

        def keep(name: str, image: bytes) -> str:
            with atomic_path(output.with_suffix("") / name) as temporary:
                temporary.write_bytes(image)
            return f"{output.stem}/{name}"

        write_text(output, gallery.as_markdown(models, shown, note, keep) + "\n")
    click.echo(output)


def _chosen(lines: list[dict[str, Any]], clips: tuple[str, ...], limit: int) -> list[str]:
    common = [item for item in lines[0] if all(item in answers for answers in lines)]
    if unknown := [clip for clip in clips if clip not in common]:
        raise DataError(f"{unknown[0]}: not answered in every result; see their prediction lines")
    return list(clips) or common[:limit]


def _frames(
    config: Config, document: dict[str, Any], source: str | None, chosen: list[str]
) -> dict[str, np.ndarray]:
    """Clip -> its frames at the moments that the models saw; absent where it cannot be read."""
    from bench import registry
    from bench.contracts import Failure
    from bench.encoding import decoding_workers
    from bench.video import FrameStore

    found, _ = registry.source_for(document["task"], source or _known(document, config), config)
    task = registry.load_task(document["task"], found)
    if task.fingerprint != document["source"]["fingerprint"]:
        raise DataError(f"{found.root}: not the data of the results; give theirs with --source")
    store = FrameStore(config.run.cache_folder / "frames", SIZE, task.plan, config.run.decoder)
    wanted = [clip for clip in task.clips if clip.id in chosen]
    decoded = store.fill(wanted, decoding_workers(config.run), config.run.decode_timeout)
    return {clip.id: got.frames for clip, got in decoded if not isinstance(got, Failure)}


def _known(document: dict[str, Any], config: Config) -> str | None:
    """The source that the result names, where it is one by name."""
    from bench import registry

    name = document["source"]["name"]
    return name if name in config.sources or name in registry.generated_names() else None
