"""bench.yaml into frozen dataclasses; every refusal names file, line and the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bench.contracts import MOST_RESAMPLES, Source
from bench.errors import UsageError
from bench.files.paths import beside, expanded
from bench.files.yaml_lines import Item, known_only, mapping, read

DEFAULTS = Path(__file__).with_name("bench.yaml")
# Settings of models that may be paths.
PATHS = ("checkpoint", "pretrained", "spec", "folder", "lora")
PRECISIONS = ("float32", "bfloat16", "float16")  # that models compute in


@dataclass(frozen=True)
class RunConfig:
    """Section `run` of bench.yaml; the meaning of each key is written there."""

    output: Path = Path("results")
    cache: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    seed: int = 0
    decoder: str = "auto"
    workers: int | str = "auto"
    threads: int | str = "auto"
    decode_timeout: float = 30.0
    frames: str = "raw"
    memory: int = 2048
    precision: str = "auto"
    decode_memory: int = 4096
    batch_frames: int = 96
    resamples: int = 9999

    @property
    def cache_folder(self) -> Path:
        """The folder of all stores; the user's cache folder unless set."""
        if self.cache is not None:
            return self.cache
        import platformdirs

        with suppress(RuntimeError):  # how newer platformdirs says it; older ones return ~
            folder = Path(platformdirs.user_cache_dir("srl-bench", appauthor=False))
            if folder.is_absolute():
                return folder
        raise UsageError("you have no home folder to cache in; set run.cache in bench.yaml")

    @property
    def torch_device(self) -> str:
        """The configured device; `auto` takes CUDA where there is one, each process its own."""
        if self.device != "auto":
            return self.device
        import os

        import torch

        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"

    @property
    def torch_precision(self) -> str:
        """float32, bfloat16 or float16. `auto` takes, on CUDA, the half precision of the card.

        Cards older than Ampere, such as the paper's RTX 2080, have float16 only.
        """
        if self.precision != "auto":
            return self.precision
        if not self.torch_device.startswith("cuda"):
            return "float32"
        import torch

        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if native else "float16"

    @property
    def weights_folder(self) -> Path:
        """Where weights fetched by hand are looked for."""
        return self.weights or self.cache_folder / "weights"


@dataclass(frozen=True)
class ModelConfig:
    """A named model: its adapter family, that family's settings, and where this was written."""

    name: str
    adapter: str
    settings: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Config:
    """All of bench.yaml: defaults overridden by the user's file.

    `tasks` holds a task's settings by the source's name, or under `default`.
    """

    run: RunConfig = field(default_factory=RunConfig)
    sources: dict[str, dict[str, Source]] = field(default_factory=dict)
    models: dict[str, ModelConfig] = field(default_factory=dict)
    tasks: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    file: Path | None = None


def load_config(path: Path | None = None, start: Path | None = None) -> Config:
    """Read the defaults, then `path`, or the bench.yaml found upwards from `start`.

    Raises UsageError (one line: file, line, what, remedy).
    """
    config = _merge(Config(), DEFAULTS)
    user = path or find_config(start or Path.cwd())
    if user is None or user.resolve() == DEFAULTS.resolve():
        return config
    if not user.is_file():
        what = "a folder, not a" if user.is_dir() else "no such"
        raise UsageError(f"{user}: {what} configuration file; check --config")
    return replace(_merge(config, user), file=user)


def find_config(folder: Path) -> Path | None:
    """The nearest bench.yaml in `folder` or above it."""
    for candidate in (folder.resolve(), *folder.resolve().parents):
        if (candidate / "bench.yaml").is_file():
            return candidate / "bench.yaml"
    return None


def _merge(config: Config, path: Path) -> Config:
    sections = mapping(read(path), "the configuration")
    known_only(sections, ["run", "sources", "models", "tasks"], "section")
    empty = Item({}, str(path))
    run = _run(config.run, sections.get("run", empty), path.parent)
    sources = {
        name: _source(name, item, path.parent)
        for name, item in mapping(sections.get("sources", empty), "sources").items()
    }
    models = {
        name: _model(name, item, path.parent)
        for name, item in mapping(sections.get("models", empty), "models").items()
    }
    tasks = {
        task: {
            source: _plain_mapping(item, f"tasks.{task}.{source}")
            for source, item in mapping(section, f"tasks.{task}").items()
        }
        for task, section in mapping(sections.get("tasks", empty), "tasks").items()
    }
    merged = {
        task: config.tasks.get(task, {})
        | {name: {**config.tasks.get(task, {}).get(name, {}), **own} for name, own in given.items()}
        for task, given in tasks.items()
    }
    return Config(
        run, {**config.sources, **sources}, {**config.models, **models},
        {**config.tasks, **merged}, config.file,
    )  # fmt: skip


def _plain_mapping(item: Item, what: str) -> dict[str, Any]:
    return {key: value.plain() for key, value in mapping(item, what).items()}


def _path(value: Any, base: Path) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a path")
    return base / expanded(value, base)


def _whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    wanted = f"a whole number from {least}" + (f" to {most}" if most else "")

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(wanted)
        if most is not None and value > most:
            raise ValueError(wanted)
        return value

    return check


def _auto_or_whole(value: Any) -> int | str:
    if value == "auto":
        return "auto"
    try:
        return _whole(1)(value)
    except ValueError as error:
        raise ValueError("'auto' or a whole number from 1") from error


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 86_400:
        raise ValueError("seconds between 0 and 86400")
    return float(value)


def _matching(pattern: str, names: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"one of {names}")
        return value

    return check


CHECKS: dict[str, Callable[[Any], Any]] = {
    "device": _matching(r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, cuda, cuda:N, mps"),
    "seed": _whole(0),
    "decoder": _matching("auto|decord|pyav", "auto, decord, pyav"),
    "workers": _auto_or_whole,
    "threads": _auto_or_whole,
    "decode_timeout": _seconds,
    "frames": _matching("raw|webp", "raw, webp"),
    "memory": _whole(0),
    "precision": _matching("|".join(("auto", *PRECISIONS)), ", ".join(("auto", *PRECISIONS))),
    "decode_memory": _whole(256),
    "batch_frames": _whole(1),
    "resamples": _whole(1, MOST_RESAMPLES),
}


def _run(run: RunConfig, section: Item, base: Path) -> RunConfig:
    items = mapping(section, "run")
    known_only(items, [entry.name for entry in fields(RunConfig)], "key in run")
    values: dict[str, Any] = {}
    for key, item in items.items():
        try:
            # The output folder belongs to where one works, the stores to where the file lies.
            at = Path() if key == "output" else base
            values[key] = CHECKS[key](item.value) if key in CHECKS else _path(item.value, at)
            if key == "output" and values[key] is None:
                raise ValueError("a path")
        except ValueError as error:
            raise UsageError(
                f"{item.where}: run.{key} must be {error}, not {item.plain()!r}"
            ) from error
        except UsageError as error:
            raise UsageError(f"{item.where}: run.{key}: {error}") from error
    return replace(run, **values)


def _source(name: str, section: Item, base: Path) -> dict[str, Source]:
    tasks: dict[str, Source] = {}
    for task, item in mapping(section, f"source '{name}'").items():
        items = mapping(item, f"sources.{name}.{task}")
        known_only(items, ["root", "annotations", "videos", "frames_fps"], "key in a source")
        try:
            paths = {
                key: _path(items[key].value, base)
                for key in ("root", "annotations", "videos")
                if key in items
            }
            fps = items["frames_fps"].value if "frames_fps" in items else 30.0
            if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= 1000:
                raise ValueError("frames a second between 0 and 1000")
        except ValueError as error:
            raise UsageError(f"{item.where}: sources.{name}.{task} needs {error}") from error
        except UsageError as error:
            raise UsageError(f"{item.where}: sources.{name}.{task}: {error}") from error
        root = paths.get("root") or paths.get("videos")
        if root is None:
            raise UsageError(f"{item.where}: sources.{name}.{task} needs 'root', or 'videos'")
        tasks[task] = Source(
            name, root, paths.get("annotations"), paths.get("videos"), frames_fps=float(fps)
        )
    return tasks


def _model(name: str, item: Item, base: Path) -> ModelConfig:
    items = mapping(item, f"model '{name}'")
    if "adapter" not in items or not isinstance(items["adapter"].value, str):
        raise UsageError(f"{item.where}: model '{name}' needs 'adapter', the name of its family")
    settings = {key: value.plain() for key, value in items.items() if key != "adapter"}
    for key in PATHS:
        if isinstance(value := settings.get(key), str):
            try:
                settings[key] = beside(value, base, key != "pretrained" and value != "shipped")
            except UsageError as error:
                raise UsageError(f"{items[key].where}: model '{name}': {key}: {error}") from error
    return ModelConfig(name, items["adapter"].value, settings, item.where)
