"""Paths as people write them: `~`, variables, and relative to the file that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import load_config
from bench.errors import UsageError
from bench.files.paths import expanded, expanded_parts
from bench.registry import model_config, source_for


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("LAB", str(folder / "lab"))
    return folder


def test_homes_and_variables_are_expanded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILDE", "~/x")
    written = ("~/a", "$HOME/a", "${HOME}/a", "~", "$LAB/a.$LAB", "$TILDE", "plain/a", "a~", "$1")
    assert [expanded(text) for text in written] == [
        f"{home}/a", f"{home}/a", f"{home}/a", str(home), f"{home}/lab/a.{home}/lab", f"{home}/x",
        "plain/a", "a~", "$1",
    ]  # fmt: skip


def test_a_file_of_just_this_name_is_meant_itself(tmp_path: Path) -> None:
    for name in ("~odd", "$LAB", "a$NOBODY"):
        (tmp_path / name).write_text("")
        assert expanded(name) == expanded(name, tmp_path) == name
    assert expanded("$LAB", tmp_path / "home") == f"{tmp_path}/home/lab"


def test_what_cannot_be_expanded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")  # $EMPTY/results would be a folder of the root
    for text, says in (
        ("$NOWHERE/a", "the environment variable NOWHERE is not set"),
        ("${EMPTY}/a", "the environment variable EMPTY is not set"),
        ("~nobody-of-that-name/a", "no user of that name"),
    ):
        with pytest.raises(UsageError, match=says):
            expanded(text)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ViT-B-16/~/w.safetensors", "ViT-B-16/{}/w.safetensors"),
        ("ViT-B-16/$LAB/w.pt", "ViT-B-16/{}/lab/w.pt"),
        ("~/clip+~/lora", "{0}/clip+{0}/lora"),
        ("~/c++/w", "{}/c++/w"),
        ("ViT-B-16/openai", "ViT-B-16/openai"),
    ],
)
def test_files_in_names_of_models(home: Path, name: str, found: str) -> None:
    assert expanded_parts(name) == found.format(home)
    config = load_config()
    assert model_config(f"open_clip:{name}", config).settings["spec"] == found.format(home)
    trained = model_config("srlclip-tiny@~/out/model", config)
    assert trained.settings["checkpoint"] == f"{home}/out/model"


def test_every_path_of_a_configuration(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of models too they are relative to the file, wherever one stands."""
    lab, stands = tmp_path / "lab", tmp_path / "stands"
    (lab / "out").mkdir(parents=True)
    (stands / "run-1" / "model").mkdir(parents=True)
    monkeypatch.chdir(stands)
    (lab / "bench.yaml").write_text(
        "run: {output: $HOME/results, cache: ~/cache, weights: $LAB/weights}\n"
        "sources: {a: {msrvtt: {root: ~/data, annotations: $LAB/a.csv, videos: '${LAB}/v'}}}\n"
        "models:\n"
        "  a: {adapter: open_clip, arch: A, pretrained: ~/w.pt}\n"
        "  b: {adapter: open_clip, arch: A, pretrained: w.safetensors}\n"
        "  c: {adapter: open_clip, arch: A, pretrained: openai}\n"
        "  d: {adapter: srl_clip, checkpoint: out}\n"
        "  e: {adapter: srl_clip, checkpoint: shipped}\n"
        "  f: {adapter: srl_clip, checkpoint: run-1/model}\n"
        "  g: {adapter: open_clip, spec: A/../w}\n"
        "  h: {adapter: other, pretrained: hub/name}\n"
    )
    config = load_config(lab / "bench.yaml")
    run, source = config.run, config.sources["a"]["msrvtt"]
    assert (run.output, run.cache, run.weights) == (
        home / "results", home / "cache", home / "lab" / "weights",
    )  # fmt: skip
    assert (source.root, source.annotations, source.videos) == (
        home / "data", home / "lab" / "a.csv", home / "lab" / "v",
    )  # fmt: skip
    values = {n: [*one.settings.values()][-1] for n, one in config.models.items() if one.settings}
    assert {name: values[name] for name in "abcdefgh"} == {
        "a": f"{home}/w.pt", "b": f"{lab}/w.safetensors", "c": "openai", "d": f"{lab}/out",
        "e": "shipped", "f": f"{lab}/run-1/model", "g": f"A/{lab}/../w", "h": "hub/name",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("run:\n  cache: $NOWHERE/c", r"bench.yaml:2: run.cache: \$NOWHERE/c: the environment"),
        ("sources:\n  s:\n    t: {root: $NOWHERE}", r"yaml:3: sources.s.t: .* NOWHERE is not set"),
        ("models:\n  m: {adapter: a, checkpoint: $NOWHERE}", r"yaml:2: model 'm': checkpoint: "),
    ],
)
def test_a_configuration_names_the_line_of_an_unknown_variable(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "bench.yaml").write_text(text)
    with pytest.raises(UsageError, match=says):
        load_config(tmp_path / "bench.yaml")


def test_a_folder_with_data_is_a_source_by_its_expanded_name(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "a.csv").write_text("")
    config = load_config()
    for name in ("~/data", "$HOME/data"):
        assert source_for("msrvtt", name, config)[0].root == home / "data"
    with pytest.raises(UsageError, match=r"a file is no source: '.*home/data/a.csv'"):
        source_for("msrvtt", "~/data/a.csv", config)
    with pytest.raises(UsageError, match="NOWHERE is not set"):
        source_for("msrvtt", "$NOWHERE/data", config)
