"""Names to models, tasks and sources; what other packages may bring."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from bench import registry
from bench.capabilities import ScoresFiles, ShowsPredictions
from bench.config import Config, ModelConfig, RunConfig, load_config
from bench.contracts import Adapter, Source
from bench.errors import BenchError, UsageError
from bench.training.plan import plan_training, training_sets
from bench.training.settings import TrainSettings

ROOT = Path(__file__).parents[2]


class Plugin(Adapter):
    """An adapter as another package would bring it: no knowledge of our configuration."""

    embed_dim, image_size, fingerprint = 1, 1, "p"  # type: ignore[assignment]

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def encode_frames(self, frames):  # type: ignore[no-untyped-def]
        return frames

    def encode_texts(self, texts):  # type: ignore[no-untyped-def]
        return texts


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = {
        "bench.adapters": [("plugin", "here:Plugin"), ("broken", "not_installed:Thing")],
        "bench.tasks": [("msrvtt", "tasks.msrvtt:MSRVTT")],
        "bench.sources": [("toy", "tasks.toyworld:write")],
    }

    class Point(EntryPoint):
        def load(self):  # type: ignore[no-untyped-def]
            return Plugin if self.value == "here:Plugin" else super().load()

    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: EntryPoints(Point(name, value, group) for name, value in points[group]),
    )
    registry._installed.cache_clear()
    yield
    registry._installed.cache_clear()


@pytest.mark.usefixtures("plugins")
def test_a_plugin_is_found_by_its_entry_point() -> None:
    adapter = registry.load_adapter("plugin", Config())
    assert isinstance(adapter, Plugin) and adapter.name == "plugin"
    named = Config(models={"big": ModelConfig("big", "plugin", {"scale": 2.0}, "f:1")})
    assert registry.load_adapter("big", named).scale == 2.0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("plugins")
def test_a_wrong_setting_names_the_nearest() -> None:
    config = Config(models={"big": ModelConfig("big", "plugin", {"scael": 2.0}, "bench.yaml:3")})
    with pytest.raises(UsageError, match=r"bench.yaml:3: .*did you mean 'scale'"):
        registry.load_adapter("big", config)


@pytest.mark.usefixtures("plugins")
def test_a_plugin_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(BenchError, match=r"'broken' .* cannot be imported"):
        registry.load_adapter("broken", Config())
    with pytest.raises(UsageError, match="did you mean 'plugin'"):
        registry.load_adapter("plugn", Config())


def test_sources_by_name_folder_and_default(tmp_path: Path) -> None:
    lab = Source("lab", tmp_path)
    config = Config(run=RunConfig(cache=tmp_path), sources={"lab": {"msrvtt": lab}})
    assert registry.source_for("msrvtt", None, config) == (lab, False)
    found, fallback = registry.source_for("lsmdc", None, config)
    assert fallback and found.root == tmp_path / "toy"
    assert registry.source_for("lsmdc", str(tmp_path), config)[0].root == tmp_path
    with pytest.raises(UsageError, match="has no task 'lsmdc'"):
        registry.source_for("lsmdc", "lab", config)
    with pytest.raises(UsageError, match="did you mean 'lab'"):
        registry.source_for("msrvtt", "lap", config)


def test_the_toy_world_stands_in_only_for_what_it_can_draw(tmp_path: Path) -> None:
    config = Config(run=RunConfig(cache=tmp_path))
    assert registry.draws("toy", "msrvtt") and not registry.draws("toy", "vatex")
    for name, why in ((None, "no source is configured for it, and "), ("toy", "")):
        says = f"task 'vatex': {why}the source 'toy' has no such data; give --source a folder"
        with pytest.raises(UsageError, match=says):
            registry.source_for("vatex", name, config)


def test_every_shipped_model_and_task_resolves() -> None:
    config = load_config()
    for name in config.models:
        registry.model_factory(registry.model_config(name, config))
    for name in registry.task_names():
        registry.task_class(name)


def test_a_name_with_a_folder_or_an_architecture() -> None:
    config = load_config()
    trained = registry.model_config("srlclip-tiny@there", config)
    known = config.models["srlclip-tiny"].settings
    assert trained.settings == {**known, "checkpoint": "there"} and trained.adapter == "srl_clip"
    assert known["checkpoint"] == "shipped"
    spec = registry.model_config("open_clip:ViT-B-16/laion2b", config)
    assert (spec.adapter, spec.settings) == ("open_clip", {"spec": "ViT-B-16/laion2b"})
    assert registry.model_config("open_clip", config).settings == {}


def test_the_plain_model_of_a_trained_one_has_its_architecture_and_weights() -> None:
    config = load_config()
    assert registry.base_model("srlclip-b16", config) == "clip-b16"
    models = {
        "trained": ModelConfig("trained", "srl_clip", {"arch": "A", "pretrained": "x"}, ""),
        "other": ModelConfig("other", "open_clip", {"arch": "A", "pretrained": "y"}, ""),
    }
    with pytest.raises(UsageError, match="has just its arch and pretrained"):
        registry.base_model("trained", Config(models=models))


def test_the_toy_world_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by two at a time: the second waits, and finds it drawn."""
    drawn: list[str] = []
    both = threading.Barrier(2)

    def write(root: Path, tasks: tuple[str, ...], progress: object) -> None:
        drawn.extend(tasks)
        time.sleep(0.2)  # the other waits for the lock by now
        (root / tasks[0]).mkdir(parents=True, exist_ok=True)
        (root / tasks[0] / "source.json").write_text("{}")

    def prepare() -> None:
        both.wait()
        registry.prepare_source("msrvtt", source)

    monkeypatch.setattr(registry, "generator", lambda _: write)
    source = Source("toy", tmp_path)
    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registry.prepare_source("msrvtt", source)
    assert drawn == ["msrvtt"]
    # Data of one's own under that name are nobody's to draw over.
    for own in (Source("toy", tmp_path / "x", videos=tmp_path), Source("lab", tmp_path / "x")):
        registry.prepare_source("msrvtt", own)
    assert drawn == ["msrvtt"]


def test_a_task_knows_its_limit_and_takes_no_foreign_setting(toy: Path) -> None:
    assert registry.load_task("msrvtt", Source("lab", toy), 3).limit == 3
    assert registry.load_task("msrvtt", Source("lab", toy)).limit is None
    with pytest.raises(UsageError, match="task 'msrvtt' has no settings; remove beam"):
        registry.load_task("msrvtt", Source("lab", toy, settings={"beam": 3}))


def test_a_training_is_given_its_shares_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trained:
        @classmethod
        def training_sets(
            cls, source: Source, negatives: int, share: float, hold_out: float, seed: int
        ) -> object:
            return (negatives, share, hold_out, seed), None

    monkeypatch.setattr(registry, "_resolve", lambda *_: Trained)
    settings = TrainSettings(negatives=2, share=0.5, hold_out=0.25)
    given, _ = training_sets("any", Source("lab", tmp_path), settings, 7)
    assert given == (2, 0.5, 0.25, 7)


def test_finding_the_toy_world_imports_nothing_that_draws_it() -> None:
    """Every list and every run asks for it, also where all is drawn."""
    code = (
        "import sys; from bench import registry; from bench.config import load_config; "
        "registry.source_for('msrvtt', 'toy', load_config()); "
        "heavy = {'av', 'PIL', 'torch'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_a_task_cannot_do_names_those_that_can() -> None:
    """A capability is a method of the task's class: no group of entry points lists it."""
    assert registry.task_names(ScoresFiles) == ["vidsitu"]
    assert {"lsmdc", "msrvtt", "vidsitu"} <= set(registry.task_names(ShowsPredictions))
    with pytest.raises(UsageError, match="'msrvtt' cannot score prediction files; tasks that can"):
        registry.offering("msrvtt", ScoresFiles)
    with pytest.raises(UsageError, match="did you mean 'vidsitu'"):
        registry.offering("vidsito", ScoresFiles)


def test_a_recipe_says_what_it_trains_on() -> None:
    config = load_config()
    assert registry.trained_on("srlclip-tiny", config) == "vidsitu"
    with pytest.raises(UsageError, match="'msrvtt' cannot be trained on"):
        registry.trained_on("srlclip-tiny", config, "msrvtt")
    with pytest.raises(UsageError, match="adapter 'open_clip' cannot be trained"):
        registry.trained_on("clip-tiny", config)
    plan = plan_training("srlclip-tiny", "toy", {"task": "vidsitu", "epochs": 2}, config)
    assert plan.task == "vidsitu" and plan.settings.epochs == 2


@pytest.mark.slow
def test_another_package_called_adapters_may_be_installed_beside_ours(tmp_path: Path) -> None:
    """AdapterHub's has a top-level `adapters/__init__.py`; two wheels share that one folder."""
    built = tmp_path / "built"
    build = [sys.executable, "setup.py", "-q", "build", "--build-base", str(tmp_path / "base"),
             "--build-lib", str(built)]  # fmt: skip
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    folder = built / "adapters"
    theirs = {
        "__init__.py",
        "composition.py",
        "context.py",
        "loading.py",
        "utils.py",
        "training.py",
    }
    assert not theirs & {path.name for path in folder.iterdir()}
    (folder / "__init__.py").write_text("from adapters.composition import Stack\n")
    (folder / "composition.py").write_text("class Stack: ...\n")
    script = (
        "import adapters, adapters.open_clip as ours, bench\n"
        "print(adapters.Stack.__name__, ours.__file__)\n"
        "print(bench.load_adapter('clip-tiny').embed_dim)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(built)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          cwd=tmp_path, env=environment)  # fmt: skip
    assert done.stdout.split() == ["Stack", str(folder / "open_clip.py"), "128"], done.stderr
