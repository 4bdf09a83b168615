"""`bench compare A B`: is one model better than another on the same items?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from bench.errors import DataError
from bench.options import Options


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
@click.argument("first", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--seed", type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def compare(options: Options, first: Path, second: Path, seed: int | None, as_json: bool) -> None:
    """Compare two results of `bench run` on the same items: paired bootstrap over videos.

    FIRST and SECOND are result files, such as results/msrvtt/lab/clip-b32.json. Differences are
    SECOND less FIRST, with a 95 % interval and a two-sided p value.
    """
    run = options.load(seed=seed).run
    names, rows = differences(first, second, run.resamples, run.seed)
    if as_json:
        rows_json = [asdict(row) for row in rows]
        click.echo(json.dumps({"models": names, "differences": rows_json}, indent=2))
        return
    from tabulate import tabulate

    table = [
        [row.metric, f"{row.first:.2f}", f"{row.second:.2f}", f"{row.difference:+.2f}",
         f"[{row.low:+.2f}, {row.high:+.2f}]", f"{row.p:.3f}", row.better]
        for row in rows
    ]  # fmt: skip
    head = ["metric", *names, "difference", "95 % interval", "p", "better"]
    click.echo(tabulate(table, headers=head, disable_numparse=True))


def differences(
    first: Path, second: Path, resamples: int, seed: int
) -> tuple[list[str], list[Difference]]:
    """The models' names and every metric's difference. DataError where the runs do not compare."""
    from bench.metrics.bootstrap import interval, p_value
    from bench.registry import task_class
    from bench.results import load, load_predictions

    documents = [load(path) for path in (first, second)]
    _check_same(documents, (first, second))
    lines = [
        load_predictions(path, document)
        for path, document in zip((first, second), documents, strict=True)
    ]
    if {line["item"] for line in lines[0]} != {line["item"] for line in lines[1]}:
        raise DataError(f"{second}: other items than {first}; compare runs of the same coverage")
    task = task_class(documents[0]["task"])
    one, two = (task.draws(part, resamples=resamples, seed=seed) for part in lines)
    rows = []
    for name, draws in one.items():
        values = [document["metrics"][name]["value"] for document in documents]
        gain = two[name] - draws
        low, high = interval(gain)
        better = _better(values[1] - values[0], documents[0]["metric_info"][name], low, high)
        rows.append(
            Difference(name, values[0], values[1], values[1] - values[0], low, high,
                       p_value(gain), better)
        )  # fmt: skip
    return [document["model"]["name"] for document in documents], rows


def _check_same(documents: list[dict[str, Any]], paths: tuple[Path, Path]) -> None:
    for key in ("task", "task_version", "protocol"):
        one, two = (document[key] for document in documents)
        if one != two:
            raise DataError(f"{paths[1]}: {key} {two}, but {paths[0]} has {one}; not comparable")
    if documents[0]["source"]["fingerprint"] != documents[1]["source"]["fingerprint"]:
        raise DataError(f"{paths[1]}: run on other data than {paths[0]}; run both again")


def _better(gain: float, info: dict[str, Any], low: float, high: float) -> str:
    """`second` or `first` where the interval leaves zero out, else a dash."""
    if low <= 0 <= high:
        return "-"
    return "second" if (gain > 0) == info["higher_is_better"] else "first"
