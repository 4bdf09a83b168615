"""Tasks and adapters by name: ours and those that other packages bring through entry points.

A package adds a task by naming a `bench.contracts.Task` class in its entry points `bench.tasks`, an
adapter family by naming a `bench.contracts.Adapter` class (or any callable that returns one) in
`bench.adapters`. A family's keyword arguments are its settings in bench.yaml.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from bench.capabilities import ABLE, Card, Described, TrainableFamily, Trains
from bench.config import Config, ModelConfig
from bench.contracts import Adapter, Source, Task
from bench.errors import BenchError, UsageError, nearest, plain
from bench.files import locks
from bench.files.paths import expanded, expanded_parts
from bench.settings import settings_from

Offer = TypeVar("Offer")
TOY = "toy"
FALLBACK = "{task}: no source configured, using the toy world (drawn videos; see README)"


def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in _installed(group, tuple(sys.path))}


@lru_cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """A group's entry points on the import path, whose packages all have to be read for it."""
    return tuple(entry_points(group=group))


def _resolve(group: str, name: str, what: str) -> Any:
    points = _points(group)
    if name not in points:
        raise UsageError(
            f"unknown {what} '{name}'{nearest(name, list(points))}; known: {', '.join(points)}"
        )
    found, everything = points[name], _installed(group, tuple(sys.path))
    same = {point.value: point for point in everything if point.name == name}
    if len(same) > 1:
        packages = " and ".join(sorted(map(_package, same.values())))
        raise BenchError(f"{what} '{name}' is in the packages {packages}; uninstall all but one")
    of = f"{what} '{name}' of package {_package(found)} ({found.value})"
    try:
        offered = found.load()
    except (Exception, SystemExit) as error:  # whatever the code of a package may raise
        why = f"{type(error).__name__}: {plain(error)}"
        raise BenchError(
            f"{of} cannot be imported: {why}; install what the package needs, or uninstall it"
        ) from error
    is_task = isinstance(offered, type) and issubclass(offered, Task)
    if not (is_task if group == "bench.tasks" else callable(offered)):
        raise BenchError(f"{of} is no {what} as bench.contracts has it; uninstall the package")
    return offered


def _package(point: EntryPoint) -> str:
    """The distribution that an entry point came with, as pip calls it."""
    return point.dist.name if point.dist else "unknown"


def task_names(capability: type[Any] | None = None) -> list[str]:
    """Every task that can be named in --task; those alone that have `capability`, if given."""
    names = sorted(_points("bench.tasks"))
    return [n for n in names if capability is None or _has(n, capability)]


def _has(task: str, capability: type[Any]) -> bool:
    """Whether a task has it; one that cannot be imported has nothing."""
    try:
        return isinstance(task_class(task), capability)
    except BenchError:
        return False


def task_class(name: str) -> type[Task]:
    """The class of a task. UsageError names the nearest known one."""
    found: type[Task] = _resolve("bench.tasks", name, "task")
    return found


def offering(name: str, capability: type[Offer]) -> Offer:
    """A task's class, as one that has `capability` (see `bench.capabilities`).

    UsageError names the tasks that have it.
    """
    found = task_class(name)
    if isinstance(found, capability):
        return found
    able = ", ".join(task_names(capability)) or "none"
    raise UsageError(f"task '{name}' cannot {ABLE[capability]}; tasks that can: {able}")


def model_names(config: Config) -> list[str]:
    """Models in bench.yaml and adapter families that need no settings of their own."""
    return sorted(set(config.models) | set(_points("bench.adapters")))


def model_config(name: str, config: Config) -> ModelConfig:
    """A model by its name in bench.yaml, as `family`, or as `family:spec`.

    `spec` goes to the family's keyword argument `spec`, such as `open_clip:ViT-B-16/laion2b`.
    `NAME@PATH` is the model NAME with PATH as its setting `checkpoint`.
    """
    if name in config.models:
        return config.models[name]
    base, at, path = name.partition("@")
    if at and base in config.models:
        found = config.models[base]
        return replace(found, name=name, settings={**found.settings, "checkpoint": expanded(path)})
    family, colon, spec = name.partition(":")
    if family in _points("bench.adapters"):
        settings = {"spec": expanded_parts(spec)} if colon else {}
        return ModelConfig(name, family, settings, "the command line")
    raise UsageError(
        f"unknown model '{name}'{nearest(name, model_names(config))}; "
        "`bench list models` shows what is there"
    )


def model_factory(model: ModelConfig) -> Callable[..., Adapter]:
    """The family's class, with the model's settings checked against its keyword arguments."""
    factory: Callable[..., Adapter] = _resolve("bench.adapters", model.adapter, "adapter family")
    known = [key for key in inspect.signature(factory).parameters if key not in ("name", "run")]
    for key in model.settings:
        if key not in known:
            raise UsageError(
                f"{model.where}: adapter '{model.adapter}' has no setting '{key}'"
                f"{nearest(key, known)}; known: {', '.join(known) or 'none'}"
            )
    return factory


def load_adapter(name: str, config: Config) -> Adapter:
    """Build the adapter called `name`; weights are found now and read when first needed.

    A family's callable takes its settings, and `name` and `run` (the RunConfig: device, weights
    folder) where its signature has them. Raises UsageError, MissingWeights.
    """
    model = model_config(name, config)
    factory = model_factory(model)
    wanted = inspect.signature(factory).parameters
    given: dict[str, Any] = {"name": name, "run": config.run}
    extras = {key: value for key, value in given.items() if key in wanted}
    try:
        adapter = factory(**model.settings, **extras)
    except TypeError as error:
        raise UsageError(f"{model.where}: model '{name}': {error}; check its settings") from error
    if "name" not in extras:
        adapter.name = name
    _ = adapter.is_video_model  # a BenchError for an adapter that encodes nothing
    return adapter


@dataclass(frozen=True)
class TrainableModel:
    """A model to train (see `bench.training.protocols.Trainable`) and the device it is on."""

    model: Any
    device: str


def load_trainable(
    name: str, config: Config, settings: dict[str, Any], init: Path | None = None
) -> TrainableModel:
    """Build the model `name` to be trained, from the trained folder `init` where one is given.

    `settings` are in place of bench.yaml's. UsageError for a family that is no
    `bench.capabilities.TrainableFamily`, or cannot start from a folder.
    """
    model = model_config(name, config)
    factory = _trainable(model)
    known = inspect.signature(factory.untrained).parameters.keys() - {"name", "run", "settings"}
    if init and "init" not in known:
        raise UsageError(f"--init: adapter '{model.adapter}' cannot start from a folder")
    given = {**model.settings, "init": init}
    others = {key: value for key, value in given.items() if key in known}
    return TrainableModel(*factory.untrained(name, config.run, settings, **others))


def _trainable(model: ModelConfig) -> TrainableFamily:
    factory = model_factory(model)
    if not isinstance(factory, TrainableFamily):
        raise UsageError(f"model '{model.name}': adapter '{model.adapter}' cannot be trained")
    return factory


def trained_on(name: str, config: Config, task: Any = None) -> str:
    """The task that a model's recipe names as `task`, or else its family as `trains_on`.

    UsageError for a family that cannot be trained, or a task that cannot be trained on.
    """
    task = task or _trainable(model_config(name, config)).trains_on
    offering(str(task), Trains)
    return str(task)


def base_model(name: str, config: Config) -> str:
    """The name of the plain model that `name` is trained from. UsageError where none is known."""
    of = model_config(name, config).settings
    wanted = {key: of.get(key) for key in ("arch", "pretrained")}
    for known in config.models.values():
        if known.name != name and known.settings == wanted:
            return known.name
    raise UsageError(
        f"model '{name}': no model in bench.yaml has just its arch and pretrained; "
        "name one, to stand for the model before training"
    )


def model_problem(name: str, config: Config) -> str | None:
    """Why the model cannot run now, with the remedy; None when it can."""
    try:
        model = model_config(name, config)
        factory = model_factory(model)
        check = getattr(factory, "problem", None)  # a callable that is no class has none
        return check(config.run, name=name, **model.settings) if check else None
    except BenchError as error:
        return str(error)
    except Exception as error:  # of another package's code
        return f"adapter family '{model.adapter}' fails: {type(error).__name__}: {plain(error)}"


def model_card(name: str, config: Config) -> Card | None:
    """What its family says of a model; None of a family that says nothing. Raises as the family."""
    model = model_config(name, config)
    factory = model_factory(model)
    if isinstance(factory, Described):
        return factory.about(config.run, name, **model.settings)
    return None


def source_for(
    task: str, name: str | None, config: Config, settings: dict[str, Any] | None = None
) -> tuple[Source, bool]:
    """The source a task is to read, and whether it is the toy world for want of any other.

    `name` is a source in bench.yaml, a generated one such as `toy`, or a folder. Without one, the
    first configured source that has the task is taken. The source carries the task's settings:
    bench.yaml's of `default`, then those of this source, then `settings`.
    """
    source, fallback = _source_for(task, name, config)
    known = config.tasks.get(task, {})
    own = {**known.get("default", {}), **known.get(source.name, {}), **(settings or {})}
    return replace(source, settings=own), fallback


def _source_for(task: str, name: str | None, config: Config) -> tuple[Source, bool]:
    if name is None:
        for source in config.sources.values():
            if found := source.get(task) or source.get(_data_of(task)):
                return found, False
        return _drawn(TOY, task, config, "no source is configured for it, and "), True
    if name in config.sources:
        source = config.sources[name]
        if found := source.get(task) or source.get(_data_of(task)):
            return found, False
        raise UsageError(f"source '{name}' has no task '{task}'; it has {', '.join(source)}")
    if name in generated_names():
        return _drawn(name, task, config), False
    folder = Path(expanded(name))
    if folder.is_dir():
        return Source(folder.resolve().name, folder), False
    known = [*config.sources, *generated_names()]
    what = "a file is no source" if folder.is_file() else "unknown source"
    raise UsageError(
        f"{what}: '{folder}'{nearest(name, known)}; known: {', '.join(known)}, or a folder"
    )


def _data_of(task: str) -> str:
    """The task whose files a task reads where it has none of its own: itself, unless it says so."""
    try:
        return task_class(task).data or task
    except BenchError:  # of a package that does not work: it is named where it is used
        return task


def generated_names() -> list[str]:
    """Sources that are made on this machine, from entry points `bench.sources`: the toy world.

    Such an entry point is a callable `write(root, tasks, progress)` that makes the files of the
    named tasks below `root`, whole or resumable, and `root/TASK/source.json` last. The default of
    `tasks` is all that it can make.
    """
    return sorted(_points("bench.sources"))


def generator(name: str) -> Callable[..., Path]:
    """What makes a generated source's files; see `generated_names`. UsageError for another name."""
    found: Callable[..., Path] = _resolve("bench.sources", name, "source")
    return found


def generator_problem(name: str, config: Config) -> str | None:
    """Why a generated source cannot be made, where any of it is still to be; None if it can."""
    if not any(is_undrawn(task, _generated(name, config)) for task in task_names()):
        return None
    try:
        generator(name)
    except BenchError as error:
        return str(error)
    return None


def toy_root(config: Config) -> Path:
    """Where the toy world lies or will be drawn."""
    return _generated(TOY, config).root


def _drawn(name: str, task: str, config: Config, why: str = "") -> Source:
    """The generated source. UsageError for a task that it cannot be made for."""
    if not draws(name, task):
        raise UsageError(
            f"task '{task}': {why}the source '{name}' has no such data; give --source a folder "
            "that has, or name one in bench.yaml"
        )
    return _generated(name, config)


def draws(name: str, task: str) -> bool:
    """Whether a generated source can be made for `task`: one of those that `write` makes unasked.

    True where that is not known, as of a generator that cannot be imported.
    """
    try:
        known = inspect.signature(generator(name)).parameters["tasks"].default
    except (BenchError, KeyError, ValueError):
        return True
    return not isinstance(known, tuple) or task in known or _data_of(task) in known


def _generated(name: str, config: Config) -> Source:
    return Source(name, config.run.cache_folder / name)


def prepare_source(
    task: str, source: Source, progress: Callable[[int, int], None] | None = None
) -> None:
    """Make a generated source's files for `task` where they are not there yet.

    Of several runs one makes them, and the others wait.
    """
    if not is_undrawn(task, source):
        return
    write, drawn = generator(source.name), _data_of(task)
    with locks.locked(source.root / drawn):
        if is_undrawn(task, source):
            write(source.root, tasks=(drawn,), progress=progress)


def is_undrawn(task: str, source: Source) -> bool:
    """Whether `source` is a generated one whose files for `task` are not made yet."""
    if source.name not in generated_names() or source.annotations or source.videos:
        return False
    return not (source.root / _data_of(task) / "source.json").is_file()


def load_task(name: str, source: Source, limit: int | None = None) -> Task:
    """Read a task's annotations and find its videos. UsageError, DataError."""
    check_settings(name, source)
    task = task_class(name).load(source, limit)
    task.limit = limit
    return task


def check_settings(task: str, source: Source) -> None:
    """UsageError where the source carries settings that the task does not have."""
    recipe = task_class(task).recipe
    if recipe is not None:
        settings_from(recipe, source.settings, f"settings of '{task}'")
    elif source.settings:
        raise UsageError(f"task '{task}' has no settings; remove {', '.join(source.settings)}")


def source_problem(task: str, source: Source) -> str | None:
    """Why `task` cannot read `source`, with the remedy; None when it can."""
    try:
        if is_undrawn(task, source):
            return None  # made on first use
        found = load_task(task, source)
    except BenchError as error:
        return str(error)
    except Exception as error:  # of another package's code
        return f"task '{task}' fails: {type(error).__name__}: {plain(error)}"
    clips = [*found.clips, *found.support]
    missing = sum(clip.path is None for clip in clips)
    if missing:
        return f"{missing} of {len(clips)} videos missing; `bench data check {task}` names them"
    return None
