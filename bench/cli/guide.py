"""`bench data guide`: where a task's data come from, how they are laid out, what checks them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import click

from bench.cli.options import complete
from bench.errors import printable

if TYPE_CHECKING:
    from bench.contracts import Task

Guide = Mapping[str, Sequence[str]]  # paragraphs by their heading, in the order of reading
HEADINGS = ("from", "paper", "licence", "terms", "size", "files", "videos", "cutting", "frames")
WIDEST = 80  # columns; lines longer than that are hard to read
GENERAL = (
    "In place of a video file, a folder of numbered pictures (jpg, png) named by the video's id is "
    "read. A source says as `frames_fps` how many there are a second, else it is 30."
)
NONE = "task '{task}' comes without a guide to its data; ask the authors of its package"


@click.command("guide")
@click.argument("task", shell_complete=complete("task"))
@click.option("--format", "format_", type=click.Choice(["text", "md"]), default="text",
              show_default=True)  # fmt: skip
def guide(task: str, format_: str) -> None:
    """Print where TASK's data come from, their terms and size, and how they are laid out.

    docs/data.md has the guides to all sets.
    """
    from bench.registry import task_class

    kind = task_class(task)
    found = guide_of(task, kind)
    if format_ == "md":
        click.echo(as_markdown(task, found))
    else:
        found = {**found, "frames": [*found.get("frames", ()), GENERAL]}
        click.echo(as_text(task, found, min(shutil.get_terminal_size().columns, WIDEST)))
    if not found.keys() & {"from", "files", "videos"}:
        click.echo(NONE.format(task=task), err=True)


def guide_of(task: str, kind: type[Task]) -> Guide:
    """What the task's file of guides says, with the paper and the licence that its class names.

    UsageError names the place of what is no guide.
    """
    from bench.capabilities import HasGuide
    from bench.errors import UsageError
    from bench.files import yaml_lines

    said: dict[str, list[str]] = {}
    if isinstance(kind, HasGuide):
        every = yaml_lines.mapping(yaml_lines.read(kind.guides), "a file of guides")
        own = yaml_lines.mapping(every[task], f"the guide to '{task}'") if task in every else {}
        yaml_lines.known_only(own, ["title", *HEADINGS], "heading")
        for heading, item in own.items():
            value = item.plain()
            texts = value if isinstance(value, list) else [value]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise UsageError(f"{item.where}: '{heading}' must be a text or a list of texts")
            said[heading] = texts
    of_class = {"paper": kind.citation, "licence": kind.licence}
    said.update({heading: [text] for heading, text in of_class.items() if text})
    return {name: said[name] for name in ("title", *HEADINGS) if name in said}


def as_text(task: str, found: Guide, width: int) -> str:
    """For a terminal: a heading a line, the text behind it, wrapped at blanks to `width`."""
    lines = [fill(f"{_title(task, found)} ({task})", width), ""]
    for heading in (name for name in found if name != "title"):
        label = f"{heading.capitalize():<9}"
        for text in found[heading]:
            lines.append(_wrapped(text, label, width))
            label = " " * len(label)
    lines += ["", _wrapped(_check(task), f"{'Check':<9}", width)]
    return "\n".join(lines)


def _wrapped(text: str, label: str, width: int) -> str:
    """Addresses and names are kept whole; an address too long for a line loses its https."""
    words = printable(text).split()
    whole = [word.removeprefix("https://") if len(label + word) > width else word
             for word in words]  # fmt: skip
    return fill(" ".join(whole), width, initial_indent=label,
                subsequent_indent=" " * len(label), break_long_words=False,
                break_on_hyphens=False)  # fmt: skip


def as_markdown(task: str, found: Guide) -> str:
    """A section with a list of the headings; addresses become links."""
    lines = [f"## {_title(task, found)}: `{task}`", ""]
    for heading in (name for name in found if name != "title"):
        text = " ".join(" ".join(part.split()) for part in found[heading])
        # A full stop that ends a sentence is no part of an address.
        text = re.sub(r"https?://[^\s,;)]*[^\s,;).]", r"<\g<0>>", text)
        lines.append(f"- **{heading.capitalize()}**: {text}")
    lines.append(f"- **Check**: {_check(task)}")
    return "\n".join(fill(line, 120, subsequent_indent="  ", break_long_words=False,
                          break_on_hyphens=False) for line in lines)  # fmt: skip


def _title(task: str, found: Guide) -> str:
    return found["title"][0] if "title" in found else task


def _check(task: str) -> str:
    return f"`bench data check {task} --source DIR`, or the name of a source in bench.yaml."
