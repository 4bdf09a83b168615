"""`bench doctor MODEL`: is a model run as it is meant to be?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from bench.cli.options import Options, complete
from bench.errors import UsageError, printable

if TYPE_CHECKING:
    import numpy as np

    from bench.contracts import Adapter
    from bench.features.doctor import Finding

CLIPS, SCALE = 8, 0.02  # toy clips that are looked at; the share of the toy world that is drawn
FRAMES = 4  # of each; not 3, which a video model may take for the channels


@click.command()
@click.argument("model", shell_complete=complete("model"))
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(options: Options, model: str, device: str | None, as_json: bool) -> None:
    """Check that MODEL is run as it is meant to be, on a few toy clips in seconds.

    Pixels and features against the model's own library, channel order, batches, repeatability,
    collapsed features, texts that are cut, precision. Exit code 1 where something is wrong.
    """
    from bench import registry
    from bench.features.doctor import examine
    from bench.progress import Bar, waiting

    config = options.for_work(device=device)
    with Bar(options.quiet):
        with waiting(f"looking for the weights of {model}"):
            adapter = registry.load_adapter(model, config)
            exact = None
            if config.run.torch_precision != "float32":
                plain = replace(config, run=replace(config.run, precision="float32"))
                exact = registry.load_adapter(model, plain)
        with waiting("drawing toy clips"), TemporaryDirectory() as folder:
            frames, texts = _toy(Path(folder), adapter)
        with waiting(f"loading {model} and comparing it with its own library"):
            found = list(examine(adapter, frames, texts, exact))
    click.echo(json.dumps([asdict(one) for one in found], indent=2) if as_json else _table(found))
    if wrong := [one.check for one in found if one.ok is False]:
        click.echo(f"{printable(model)}: {', '.join(wrong)}: see above", err=True)
        sys.exit(1)


def _toy(folder: Path, adapter: Adapter) -> tuple[np.ndarray, list[str]]:
    """Frames uint8 [V, T, S, S, 3] and captions of a few toy clips, drawn into `folder`."""
    import numpy as np

    from bench import registry
    from bench.contracts import Source
    from bench.video import Uniform, decode

    write = registry.generator(registry.TOY)
    for name in registry.task_names():
        try:
            write(folder, tasks=(name,), scale=SCALE)
        except UsageError:
            continue  # a task of another package
        task = registry.load_task(name, Source(registry.TOY, folder))
        clips = task.clips[:CLIPS]
        plan = Uniform(adapter.clip_frames or FRAMES)
        frames = [decode(clip, plan, adapter.preprocessing).frames for clip in clips]
        return np.stack(frames), list(task.texts[:CLIPS])
    raise UsageError("no task of the toy world is installed; install srl-bench whole")


def _table(found: list[Finding]) -> str:
    from tabulate import tabulate

    words = {True: "ok", False: "WRONG", None: "not checked"}
    rows = [[one.check, words[one.ok], one.says] for one in found]
    return tabulate(rows, ["check", "", "what was seen"], maxcolwidths=[None, None, 52])
