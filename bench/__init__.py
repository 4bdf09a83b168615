"""srl-bench: does a CLIP adaptation understand who did what to whom?

    import bench
    task = bench.load_task("msrvtt", "toy")
    result = bench.evaluate(bench.load_adapter("clip-tiny"), task)
    print(result)
    result = bench.load_result(result.save("results"))

The command line is a thin layer on these functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.contracts import Adapter, Progress, Task
    from bench.features.turning import Turned
    from bench.results.files import Result

__all__ = ["evaluate", "load_adapter", "load_result", "load_task"]

# Imports stay inside the functions: `import bench` and `bench --help` cost nothing.


def __dir__() -> list[str]:
    """What a notebook completes: the functions, and not what this module imports for itself."""
    return __all__


def load_adapter(name: str, config: str | Path | None = None) -> Adapter:
    """A model by name, such as `clip-b32` or `open_clip:ViT-B-16/laion2b_s34b_b88k`.

    `config` is a bench.yaml; by default the one found upwards from the working directory.
    Raises UsageError, MissingWeights.
    """
    from bench import registry
    from bench.config import load_config

    return registry.load_adapter(name, load_config(Path(config) if config else None))


def load_task(
    name: str,
    source: str | None = None,
    limit: int | None = None,
    config: str | Path | None = None,
) -> Task:
    """A task on a source: a name in bench.yaml, `toy`, or a folder with the dataset's files.

    Without a source the configured one is read, and the toy world where none is; one line on
    stderr says so. `limit` keeps the first videos only. Raises UsageError, DataError.
    """
    import sys

    from bench import registry
    from bench.config import load_config

    found, fallback = registry.source_for(
        name, source, load_config(Path(config) if config else None)
    )
    if fallback:
        registry.task_class(name)  # an unknown task is to be named before a world is drawn
        print(registry.FALLBACK.format(task=name), file=sys.stderr)
    registry.prepare_source(name, found)
    return registry.load_task(name, found, limit)


def evaluate(
    adapter: Adapter,
    task: Task,
    config: str | Path | None = None,
    progress: Progress | None = None,
    protocol: str = "task",
    rerank: bool = False,
    turned: Turned | None = None,
) -> Result:
    """Run a model on a task. Nothing is written but the stores; `Result.save` keeps it.

    With the protocol `published`, frames and texts are taken as the model was published; with
    `rerank`, its matching head ranks the best answers again. `turned` are departures from the
    task's protocol, such as `bench.features.turning.Turned(frames=8)`.
    """
    from bench.config import load_config
    from bench.engine import evaluate as run

    given = load_config(Path(config) if config else None).run
    return run(adapter, task, given, progress, protocol, rerank, turned)


def load_result(path: str | Path) -> Result:
    """A result that `bench run` or `Result.save` wrote, with its prediction lines.

    `path` is the document's, such as results/msrvtt/toy/clip-tiny.json. Of a scored file no lines
    are kept. DataError where it is damaged, or where its lines are gone or changed.
    """
    from bench.results.files import Result, load, load_predictions

    file = Path(path)
    document = load(file)
    return Result(document, load_predictions(file, document) if document.lines else [])
