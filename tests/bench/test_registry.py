"""Names to models, tasks and sources; what other packages may bring."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from bench import registry
from bench.config import Config, ModelConfig, RunConfig, load_config
from bench.contracts import Adapter, Source
from bench.errors import BenchError, UsageError


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
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_every_shipped_model_and_task_resolves() -> None:
    config = load_config()
    for name in config.models:
        registry.model_factory(registry.model_config(name, config))
    for name in registry.task_names():
        registry.task_class(name)
