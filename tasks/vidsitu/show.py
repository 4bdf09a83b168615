"""Prompts and negatives side by side, as in the paper's Supplementary Table 4."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from tasks.vidsitu.annotations import Annotation
from tasks.vidsitu.prompts import RoleNames, dense_prompt, negative_prompts


def show_prompts(
    chosen: Sequence[Annotation],
    naming: Mapping[str, Sequence[Annotation]],
    negatives: int,
    seed: int,
    format_: str,
) -> str:
    """The `chosen` annotations' prompts as `text` or `md`. Role names come from `naming`."""
    names = RoleNames.of(annotation for group in naming.values() for annotation in group)
    show = _markdown if format_ == "md" else _text
    return "\n\n".join(
        show(annotation.segment, *_prompts(annotation, names, negatives, seed))
        for annotation in chosen
    )


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
    return "\n".join(lines)


def _markdown(segment: str, positives: list[str], hard: list[list[str]]) -> str:
    lines = [
        f"### {_cell(segment)}", "",
        "| event | positive | natural negatives | verb-role negatives |", "|---|---|---|---|",
    ]  # fmt: skip
    for place, positive in enumerate(positives):
        natural = "<br>".join(map(_cell, _others(positives, place)))
        verb_role = "<br>".join(map(_cell, hard[place]))
        lines.append(f"| Ev{place + 1} | {_cell(positive)} | {natural} | {verb_role} |")
    return "\n".join(lines)


def _others(positives: list[str], place: int) -> list[str]:
    """The other events of the same video: negatives as long as they say something else."""
    rest = positives[:place] + positives[place + 1 :]
    return [prompt for prompt in dict.fromkeys(rest) if prompt != positives[place]]


def _cell(text: str) -> str:
    escaped = html.escape(text, quote=False).replace("\\", "\\\\")
    return "".join("\\" + c if c in "|*_`[]" else c for c in escaped)
