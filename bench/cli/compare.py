"""`bench compare A B`: is one model better than another on the same items?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.cli.options import FilePath, Options
from bench.errors import DataError, printable


@dataclass(frozen=True)
class Difference:
    """One metric of two runs: `difference` is second less first, `better` which way that counts."""

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    better: str


@click.command()
@click.argument("first", type=FilePath(exists=True, dir_okay=False))
@click.argument("second", type=FilePath(exists=True, dir_okay=False))
@click.option("--seed", type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def compare(options: Options, first: Path, second: Path, seed: int | None, as_json: bool) -> None:
    """Compare two results of `bench run` on the same items: paired bootstrap over videos.

    FIRST and SECOND are result files, such as results/TASK/lab/clip-b32.json. Differences are
    SECOND less FIRST, with a 95 % interval and a two-sided p value.
    """
    from bench.results.files import load

    run = options.load(seed=seed).run
    names, rows = differences(first, second, run.resamples, run.seed)
    document = load(first)  # its coverage is that of both, for they answered the same items
    coverage = document.covered
    if as_json:
        rows_json = [asdict(row) for row in rows]
        click.echo(
            json.dumps({"models": names, "coverage": coverage, "differences": rows_json}, indent=2)
        )
        return
    from tabulate import tabulate

    if document.partial:
        click.echo(f"both are {coverage}: no numbers of the full set", err=True)
    table = [
        [row.metric, f"{row.first:.2f}", f"{row.second:.2f}", f"{row.difference:+.2f}",
         f"[{row.low:+.2f}, {row.high:+.2f}]", f"{row.p:.3f}", row.better]
        for row in rows
    ]  # fmt: skip
    head = ["metric", *map(printable, names), "difference", "95 % interval", "p", "better"]
    click.echo(tabulate(table, headers=head, disable_numparse=True))


def differences(
    first: Path, second: Path, resamples: int, seed: int
) -> tuple[list[str], list[Difference]]:
    """The models' names and every metric's difference. DataError where the runs do not compare."""
    from bench.files.untrusted import well_formed
    from bench.metrics.bootstrap import p_value
    from bench.registry import task_class
    from bench.results.comparison import apart, comparable
    from bench.results.files import load, load_predictions

    documents = [load(path) for path in (first, second)]
    if problem := comparable(*documents):
        raise DataError(f"{second}: {problem} in {first}; not comparable")
    lines = [
        load_predictions(path, document)
        for path, document in zip((first, second), documents, strict=True)
    ]
    if {line["item"] for line in lines[0]} != {line["item"] for line in lines[1]}:
        raise DataError(f"{second}: other items than {first}; compare runs of the same coverage")
    task = task_class(documents[0].task)
    draws = []
    for path, part in zip((first, second), lines, strict=True):
        with well_formed(path, "run it again"):
            draws.append(task.draws(part, resamples=resamples, seed=seed))
    rows = []
    for name, one in draws[0].items():
        if name not in draws[1] or any(name not in one.metrics for one in documents):
            continue  # only one of the two has it
        two = draws[1][name]
        values = [document.metrics[name].value for document in documents]
        differ, low, high = apart(one, two)
        gain = (values[1] > values[0]) == documents[0].metric_info[name].higher_is_better
        better = ("second" if gain else "first") if differ else "-"
        rows.append(
            Difference(name, values[0], values[1], values[1] - values[0], low, high,
                       p_value(two - one), better)
        )  # fmt: skip
    return [document.name for document in documents], rows
