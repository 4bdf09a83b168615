"""Galleries of a page: what models answered, and the prompts that they are trained with."""

from __future__ import annotations

from bench import registry
from bench.capabilities import ShowsPredictions, ShowsPrompts
from bench.config import Config
from bench.contracts import Progress
from bench.errors import BenchError, UsageError
from bench.report.curves import Documents, Lines
from bench.report.frames import frames_of
from bench.report.tables import Figure


def gallery(
    group: Documents, lines: list[Lines], config: Config, limit: int, progress: Progress
) -> list[Figure]:
    """What the models of a board answered to `limit` items; none of a task without a gallery."""
    document = group[0][1]
    try:
        shown = registry.offering(document.task, ShowsPredictions).gallery()
    except UsageError:
        return []
    answers = [{line["item"]: line for line in answered} for answered in lines]
    items = shown.choose(answers, limit)
    try:
        progress.start(f"{document.task}: frames to show", 1)
        frames = frames_of(config, document, None, shown.clips_of(answers, items))
    except BenchError as error:
        progress.warn(f"{document.protocol}: shown without frames: {error}")
        frames = {}
    models = [one.name for _, one in group]
    title = f"{shown.TITLE}, {document.protocol}"
    body = shown.as_html(models, answers, items, frames)
    return [Figure(title, shown.NOTE, body, toy=document.toy)]


def prompts(found: Documents, config: Config) -> list[Figure]:
    """Prompts and hard negatives (Supplementary Table 4) of the sources that were run on."""
    figures = []
    seen = {(d.task, d.source.name): d for _, d in found}
    for (task, name), document in seen.items():
        try:
            show = registry.offering(task, ShowsPrompts).prompts_of
            source, _ = registry.source_for(task, name, config)
            body = show(source, "train", 1, 3, config.run.seed, "html")
        except BenchError:
            continue  # a task that trains nothing, or a source that is not available
        title = f"Dense prompts and their hard negatives, {name}"
        note = "The first clip of the training split."
        figures.append(Figure(title, note, body, toy=document.toy))
    return figures
