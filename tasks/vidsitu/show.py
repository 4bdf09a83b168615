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
from tasks.vidsitu.exchange import exchanged_prompts
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
        show(annotation.segment, _prompts(annotation, names, negatives, seed))
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


Texts = dict[str, list[str]]  # of one event by what they are: the prompt, and kinds of negatives


def _prompts(annotation: Annotation, names: RoleNames, negatives: int, seed: int) -> list[Texts]:
    """Of every event."""
    positives = [dense_prompt(event) for event in annotation.events]
    hard = negative_prompts(annotation, names, negatives, seed)
    swaps = exchanged_prompts(annotation)
    return [
        {
            "positive": [positive],
            "natural negatives": _others(positives, place),
            "verb-role negatives": hard[place],
            "role-swap negative": [swaps[place]] if swaps[place] else [],
        }
        for place, positive in enumerate(positives)
    ]


def _text(segment: str, events: list[Texts]) -> str:
    lines = [segment]
    for place, texts in enumerate(events):
        start = f"Ev{place + 1}"
        for kind, some in texts.items():
            for text in some:
                lines.append(f"  {start:<3} {kind.split()[0]}  {text}")
                start = ""
    return "\n".join(map(_tidy, lines))


def _tidy(line: str) -> str:
    """A line for the terminal with its indentation."""
    return line[: len(line) - len(line.lstrip(" "))] + printable(line)


def _html(segment: str, events: list[Texts]) -> str:
    def cell(kind: str, texts: list[str]) -> str:
        if kind == "positive":
            return html.escape(texts[0])
        items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
        return f"<ul>{items}</ul>" if items else "-"

    rows = []
    for place, texts in enumerate(events):
        cells = "".join(
            f'<td data-label="{kind}">{cell(kind, some)}</td>' for kind, some in texts.items()
        )
        rows.append(f'<tr><th scope="row">Ev{place + 1}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("event", *events[0]))
    return (
        f"<h3>{html.escape(segment)}</h3>"
        f'<div class="wide"><table class="prompts"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _markdown(segment: str, events: list[Texts]) -> str:
    names = ("event", *events[0])
    lines = [
        f"### {markdown_cell(segment)}", "",
        f"| {' | '.join(names)} |", "|---" * len(names) + "|",
    ]  # fmt: skip
    for place, texts in enumerate(events):
        cells = ["<br>".join(map(markdown_cell, some)) for some in texts.values()]
        lines.append(f"| {' | '.join((f'Ev{place + 1}', *cells))} |")
    return "\n".join(lines)


def _others(positives: list[str], place: int) -> list[str]:
    """The other events of the same video: negatives as long as they say something else."""
    rest = positives[:place] + positives[place + 1 :]
    return [prompt for prompt in dict.fromkeys(rest) if prompt != positives[place]]
