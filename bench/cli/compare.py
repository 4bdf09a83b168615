"""`bench compare A B`: is one model better than another on the same items?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import FilePath, Options
from bench.errors import printable

if TYPE_CHECKING:
    from bench.results.paired import Comparison


@click.command()
@click.argument("first", type=FilePath(exists=True, dir_okay=False))
@click.argument("second", type=FilePath(exists=True, dir_okay=False))
@click.option("--seed", type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def compare(options: Options, first: Path, second: Path, seed: int | None, as_json: bool) -> None:
    """Compare two results of `bench run` on the same items: paired bootstrap over videos.

    FIRST and SECOND are result files, such as results/TASK/lab/clip-b32.json. Differences are
    SECOND less FIRST, with a 95 % interval and a two-sided p value. Where the two did not answer
    the same items of a list, those that both answered are compared, and each one's own numbers are
    listed as well.
    """
    from bench.results.paired import compared

    found = compared((first, second), options.load(seed=seed).run)
    for remark in found.remarks:
        click.echo(printable(remark), err=True)
    click.echo(json.dumps(_data(found), indent=2) if as_json else _table(found))


def _data(found: Comparison) -> dict[str, Any]:
    expected = found.documents[0].coverage.expected
    partial = " partial" if found.items < expected else ""
    data: dict[str, Any] = {
        "models": [one.name for one in found.documents],
        "coverage": f"{found.items}/{expected}{partial}",
        "differences": [asdict(row) for row in found.rows],
        "remarks": found.remarks,
    }
    if found.common:
        data["own"] = [{"coverage": d.covered, "metrics": d.values} for d in found.documents]
        data["unknown"] = found.unknown
    return data


def _table(found: Comparison) -> str:
    """A line a metric; on common items with what each result has on its own items."""
    from tabulate import tabulate

    names = [printable(one.name) for one in found.documents]
    rows = []
    for row in found.rows:
        own = [one.metrics.get(row.metric) for one in found.documents if found.common]
        rows.append([
            printable(row.metric),
            f"{row.first:.2f}", f"{row.second:.2f}", f"{row.difference:+.2f}",
            f"[{row.low:+.2f}, {row.high:+.2f}]", f"{row.p:.3f}", row.better,
            *("" if one is None else f"{one.value:.2f}" for one in own),
        ])  # fmt: skip
    head = ["metric", *names, "difference", "95 % interval", "p", "better"]
    head += [
        f"{name}, own {one.coverage.answered}"
        for name, one in zip(names, found.documents, strict=True)
        if found.common
    ]
    return tabulate(rows, headers=head, disable_numparse=True)
