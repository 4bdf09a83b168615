"""`bench export mteb` and `bench export hf-eval`: results as other people's boards read them."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import FilePath
from bench.errors import UsageError


@click.command()
@click.argument("results", nargs=-1, required=True, type=FilePath(dir_okay=False))
@click.option("--output", required=True, type=FilePath(file_okay=False),
              help="The folder to write results/MODEL/REVISION/TASK.json in.")  # fmt: skip
def mteb(results: tuple[Path, ...], output: Path) -> None:
    """Write RESULTS, files of `bench run`, as MTEB's result files and model_meta.json.

    The result must be whole and of a list that MTEB has, such as msrvtt/mteb-879. Scores come from
    the kept ranks. MTEB's nauc_* need all similarities, and are left out.
    """
    from bench.results.mteb import export

    for path in export(results, output):
        click.echo(path)
    click.echo("left out: nauc_*, which need all similarities of a query", err=True)


@click.command("hf-eval")
@click.argument("result", type=FilePath(dir_okay=False))
@click.option("--output", required=True, type=FilePath(file_okay=False),
              help="The model's repository: the file goes to .eval_results/ in it.")  # fmt: skip
@click.option("--dataset", metavar="OWNER/NAME",
              help="The data set on the hub; known for lists of MTEB.")  # fmt: skip
@click.option("--task-id", help="The task in the data set's eval.yaml; known for lists of MTEB.")
def hf_eval(result: Path, output: Path, dataset: str | None, task_id: str | None) -> None:
    """Write RESULT, a file of `bench run`, as the Hugging Face hub's evaluation results.

    The primary metric of a data set that you name, or MTEB's main score on a list that MTEB has.
    """
    from bench.results.hub_entries import Benchmark, export

    if bool(dataset) != bool(task_id):
        raise UsageError("--dataset and --task-id go together")
    benchmark = Benchmark(dataset, task_id) if dataset and task_id else None
    click.echo(export(result, output, benchmark))


FORMATS = {"mteb": mteb, "hf-eval": hf_eval}
