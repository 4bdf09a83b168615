"""Prompts and negatives side by side, as in the paper's Supplementary Table 4."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from bench.contracts import Source
from bench.errors import printable
from bench.report.frames import markdown_cell
from tasks.vidsitu.annotations import (
    Annotation,
    annotation_root,
    load_annotations,
    load_split,
)
from tasks.vidsitu.prompts import RoleNames, dense_prompt, negative_prompts


def show_prompts(
    chosen: Sequence[Annotation],
    naming: Mapping[str, Sequence[Annotation]],
    negatives: int,
    seed: int,
    format_: str,
) -> str:
    """The prompts as `text`, `md` or a piece of `html`. Role names come from `naming`."""
    names = RoleNames.of(annotation for group in naming.values() for annotation in group)
    show = {"md": _markdown, "html": _html, "text": _text}[format_]
    return "\n\n".join(
        show(annotation.segment, *_prompts(annotation, names, negatives, seed))
        for annotation in chosen
    )


def prompts_of(
    source: Source, split: str, limit: int, negatives: int, seed: int, format_: str
) -> str:
    """The first segments' prompts of a split; see `show_prompts`. DataError names the file."""
    root = annotation_root(source)
    annotations = load_annotations(root, split)
    chosen = [annotations[name][0] for name in load_split(root, split) if name in annotations]
    # Role names are the training split's, whichever split is looked at.
    naming = annotations if split == "train" else load_annotations(root, "train")
    return show_prompts(chosen[:limit], naming, negatives, seed, format_)


def _prompts(
    annotation: Annotation, names: RoleNames, negatives: int, seed: int
) -> tuple[list[str], list[list[str]]]:
    positives = [dense_prompt(event) for event in annotation.events]
    return positives, negative_prompts(annotation, names, negatives, seed)


def _text(segment: str, positives: list[str], hard: list[list[str]]) -> str:
    lines = [segment]
    for place, positive in enumerate(positives):
        lines.append(f"  Ev{place + 1} positive   {positive}")
        lines += [f"      natural    {other}" for other in _others(positives, place)]
        lines += [f"      verb-role  {negative}" for negative in hard[place]]
    return "\n".join(map(_tidy, lines))


def _tidy(line: str) -> str:
    """A line for the terminal with its indentation."""
    return line[: len(line) - len(line.lstrip(" "))] + printable(line)


def _html(segment: str, positives: list[str], hard: list[list[str]]) -> str:
    def several(texts: list[str]) -> str:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
        return f"<ul>{items}</ul>" if items else "-"

    rows = [
        f'<tr><th scope="row">Ev{place + 1}</th>'
        f'<td data-label="positive">{html.escape(positive)}</td>'
        f'<td data-label="natural negatives">{several(_others(positives, place))}</td>'
        f'<td data-label="verb-role negatives">{several(hard[place])}</td></tr>'
        for place, positive in enumerate(positives)
    ]
    head = "".join(f'<th scope="col">{name}</th>' for name in
                   ("event", "positive", "natural negatives", "verb-role negatives"))  # fmt: skip
    return (
        f"<h3>{html.escape(segment)}</h3>"
        f'<div class="wide"><table class="prompts"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _markdown(segment: str, positives: list[str], hard: list[list[str]]) -> str:
    lines = [
        f"### {markdown_cell(segment)}", "",
        "| event | positive | natural negatives | verb-role negatives |", "|---|---|---|---|",
    ]  # fmt: skip
    for place, positive in enumerate(positives):
        natural = "<br>".join(map(markdown_cell, _others(positives, place)))
        verb_role = "<br>".join(map(markdown_cell, hard[place]))
        lines.append(f"| Ev{place + 1} | {markdown_cell(positive)} | {natural} | {verb_role} |")
    return "\n".join(lines)


def _others(positives: list[str], place: int) -> list[str]:
    """The other events of the same video: negatives as long as they say something else."""
    rest = positives[:place] + positives[place + 1 :]
    return [prompt for prompt in dict.fromkeys(rest) if prompt != positives[place]]
