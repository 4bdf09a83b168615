"""`bench compare A B`: is one model better than another on the same items?"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import FilePath, Options, complete
from bench.cli.output import BY_ENDING, TABLES, format_of, table, written
from bench.cli.results import files_in, places, results_option, together
from bench.errors import UsageError, printable

if TYPE_CHECKING:
    from bench.results.paired import Comparison

WIDTH = 80  # columns of a terminal
_BETWEEN = "\0"  # what parts the two sides; no path can be it


class _Sided(click.Command):
    """A command that `--` divides the arguments of."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [_BETWEEN if one == "--" else one for one in args])


class _Side(FilePath):
    """A file or folder, or what parts the sides."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        return value if value == _BETWEEN else super().convert(value, parameter, context)


@click.command(cls=_Sided)
@click.argument("given", nargs=-1, metavar="FIRST... [--] SECOND...",
                type=_Side(exists=True), shell_complete=complete("result"))  # fmt: skip
@results_option
@click.option("--seed", type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option("--across", is_flag=True,
              help="Compare although protocols or the task's settings differ, such as VidSitu's "
                   "head: the difference is then of model and setting together.")  # fmt: skip
@click.option("--output", type=FilePath(),
              help=f"Write the comparison here, {BY_ENDING}.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def compare(
    options: Options,
    given: tuple[Path | str, ...],
    results: Path | None,
    seed: int | None,
    across: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare results of `bench run` on the same items: paired differences, SECOND less FIRST.

    Both are result files, such as results/TASK/lab/clip-b32.json. With one on each side the 95 %
    interval and the two-sided p are over videos, for these weights. Several runs of different
    training seeds a side, `bench compare A0 A1 A2 -- B0 B1 B2`, are compared over videos and seeds.
    A folder stands for all results in it; one that has just two may be given alone. Where two did
    not answer the same items of a list, those that both answered are compared, and each one's own
    numbers are listed as well.
    """
    from bench.files.atomic import check_writable
    from bench.progress import Bar, waiting
    from bench.results.paired import compared

    format_ = format_of(output, None, TABLES)
    if output is not None:
        if format_ is None:
            raise UsageError(f"--output {output}: a file is written, {BY_ENDING}; name it so")
        check_writable(output)
    sides = _sides(together(given, results), options)
    with Bar(options.quiet), waiting("computing paired differences and their intervals"):
        found = compared(*sides, options.load(seed=seed).run, across)
    for remark in found.remarks:
        click.echo(printable(remark), err=True)
    click.echo(json.dumps(_data(found), indent=2) if as_json else _table(found))
    if output is not None:
        written(output, _as(str(format_), found))


def _sides(given: Sequence[Path | str], options: Options) -> tuple[list[Path], list[Path]]:
    """The results before and after `--`; without it there are two, or a folder of two."""
    if _BETWEEN not in given and len(given) == 2:
        given = [given[0], _BETWEEN, given[1]]
    if len(given) == 1 and not Path(given[0]).is_file():
        both = files_in(places(options, map(Path, given), None))
        if len(both) != 2:
            raise UsageError(f"{given[0]}: {len(both)} results in it; name the two to compare")
        given = [both[0], _BETWEEN, both[1]]
    place = list(given).index(_BETWEEN) if list(given).count(_BETWEEN) == 1 else 0
    first, second = map(list, (given[:place], given[place + 1 :]))
    if not first or not second:
        raise UsageError("give two results, or several on both sides: compare A0 A1 -- B0 B1")
    return files_in(map(Path, first)), files_in(map(Path, second))


def _as(format_: str, found: Comparison) -> str:
    """The whole comparison as JSON; else its table, in CSV with all digits."""
    if format_ == "json":
        return json.dumps(_data(found), indent=2)
    (one, *_), (*_, two) = found.documents
    own = (one, two) if found.common else ()
    digits = str if format_ == "csv" else "{:.2f}".format
    names = [f"first: {found.names[0]}", f"second: {found.names[1]}"]
    head = ["metric", *names, "difference", "low", "high", "p", "Holm's p", "seen",
            *(f"{each.name}, own {each.coverage.answered}" for each in own)]  # fmt: skip
    rows = [
        [row.metric, *(None if math.isinf(value) else digits(value) for value in (
            row.first, row.second, row.difference, row.low, row.high)),
         *((str if format_ == "csv" else _p)(p) for p in (row.p, row.holm)),
         digits(row.detectable),
         *(digits(each.metrics[row.metric].value) if row.metric in each.metrics else None
           for each in own)]
        for row in found.rows
    ]  # fmt: skip
    return table(head, rows, format_)


def _data(found: Comparison) -> dict[str, Any]:
    (one, *_), (*_, two) = found.documents
    partial = " partial" if found.items < one.coverage.expected else ""
    data: dict[str, Any] = {
        "models": list(found.names),
        "runs": [len(side) for side in found.documents],
        "primary": one.primary,
        "coverage": f"{found.items}/{one.coverage.expected}{partial}",
        "differences": [
            {name: _finite(value) for name, value in asdict(row).items()} for row in found.rows
        ],
        "remarks": found.remarks,
    }
    if found.common:
        data["own"] = [{"coverage": d.covered, "metrics": d.values} for d in (one, two)]
        data["unknown"] = found.unknown
    return data


def _finite(value: Any) -> Any:
    """JSON has no infinity: a bound that there is not is null."""
    return None if isinstance(value, float) and math.isinf(value) else value


def _table(found: Comparison) -> str:
    """A line a metric, with fewer digits where 80 columns are too few for more."""
    names = [printable(name) for name in found.names]
    primary = printable(found.documents[0][0].primary)
    lines = _lines(found, 2)
    if max(map(len, lines)) > WIDTH:
        lines = _lines(found, 1)
    return "\n".join([
        f"first: {names[0]}", f"second: {names[1]}", "", *lines, "",
        f"less: second less first. The primary metric is {primary}. Holm: p corrected for all",
        f"{len(found.rows)} metrics. seen: smaller differences would most often have been missed.",
    ])  # fmt: skip


def _lines(found: Comparison, digits: int) -> list[str]:
    """The table; on common items with what each result has on its own items."""
    from tabulate import tabulate

    (one, *_), (*_, two) = found.documents
    own = (one, two) if found.common else ()
    head = ["metric", "first", "second", "less", "95 % interval", "p", "Holm", "seen"]
    head += [f"{printable(each.name)}, own {each.coverage.answered}" for each in own]
    rows = [head]
    for row in found.rows:
        values = [each.metrics.get(row.metric) for each in own]
        rows.append([
            printable(row.metric), f"{row.first:.{digits}f}", f"{row.second:.{digits}f}",
            f"{row.difference:+.{digits}f}", _interval(row.low, row.high, digits), _p(row.p),
            _p(row.holm), f"{row.detectable:.1f}",
            *("" if value is None else f"{value.value:.{digits}f}" for value in values),
        ])  # fmt: skip
    align = ("left", *["right"] * (len(head) - 1))
    return tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=align).splitlines()


def _interval(low: float, high: float, digits: int) -> str:
    return "not tested" if math.isinf(low) else f"[{low:+.{digits}f}, {high:+.{digits}f}]"


def _p(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
