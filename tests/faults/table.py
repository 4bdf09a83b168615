"""The fault table: what was broken, how often it was tried, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.report.frames import markdown_cell


@dataclass(frozen=True)
class FaultRow:
    """One kind of fault. `outcome` says in plain words what came of all `tried` times."""

    area: str
    fault: str
    tried: int
    outcome: str


def markdown(rows: Iterable[FaultRow]) -> str:
    """A table for every area, in order of appearance, each with its sum of tries."""
    areas: dict[str, list[FaultRow]] = {}
    for row in rows:
        areas.setdefault(row.area, []).append(row)
    parts = []
    for area, found in areas.items():
        lines = [
            f"| {markdown_cell(row.fault)} | {row.tried} | {markdown_cell(row.outcome)} |"
            for row in found
        ]
        head = f"{len(found)} kinds of fault, tried {sum(row.tried for row in found)} times."
        table = ["| fault | tried | outcome |", "|---|---:|---|", *lines]
        parts.append("\n".join([f"## {markdown_cell(area)}", "", head, "", *table]))
    return "\n\n".join(parts)
