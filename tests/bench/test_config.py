"""bench.yaml: what is read, and how mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import RunConfig, load_config
from bench.errors import UsageError


def written(folder: Path, text: str) -> Path:
    path = folder / "bench.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_match_the_dataclass(tmp_path: Path) -> None:
    config = load_config(start=tmp_path)
    assert config.run == RunConfig()
    assert {"clip-tiny", "clip-b32", "clip-b16", "clip-l14"} <= set(config.models)


def test_a_users_file_overrides_and_is_found_upwards(tmp_path: Path) -> None:
    written(tmp_path, "run: {seed: 7, cache: store}\nmodels: {m: {adapter: open_clip, arch: A}}")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    config = load_config(start=below)
    assert config.run.seed == 7
    assert config.run.cache == tmp_path / "store"  # relative to the file, not to the caller
    assert config.models["m"].settings == {"arch": "A"}
    assert "clip-b32" in config.models


def test_settings_of_tasks(tmp_path: Path) -> None:
    from bench.registry import source_for

    text = "tasks: {vidsitu: {default: {beam: 2, epochs: 4}, toy: {epochs: 3}}}"
    config = load_config(written(tmp_path, text))
    toy, _ = source_for("vidsitu", "toy", config, {"beam": 5})
    assert toy.settings["beam"] == 5 and toy.settings["epochs"] == 3
    assert toy.settings["width"] == 128  # bench.yaml's own, key by key
    other, _ = source_for("vidsitu", str(tmp_path), config)
    assert other.settings == {"beam": 2, "epochs": 4}
    assert source_for("msrvtt", "toy", config)[0].settings == {}
    with pytest.raises(UsageError, match=r"bench\.yaml:1: tasks\.vidsitu must be a mapping"):
        load_config(written(tmp_path, "tasks: {vidsitu: 3}"))


def test_sources(tmp_path: Path) -> None:
    path = written(tmp_path, "sources:\n  lab:\n    msrvtt: {root: data, frames_fps: 25}\n")
    source = load_config(path).sources["lab"]["msrvtt"]
    assert (source.name, source.root, source.frames_fps) == ("lab", tmp_path / "data", 25.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("run:\n  sed: 1", "bench.yaml:2: unknown key in run 'sed' (did you mean 'seed'?)"),
        ("runn: {}", "bench.yaml:1: unknown section 'runn' (did you mean 'run'?)"),
        (
            "run: {resamples: 1000001}",
            "run.resamples must be a whole number from 1 to 1000000",
        ),
        ("run: {resamples: 0}", "run.resamples must be a whole number from 1 to 1000000, not 0"),
        ("run:\n\n  seed: -1", "bench.yaml:3: run.seed must be a whole number from 0, not -1"),
        ("run: {seed: true}", "run.seed must be a whole number"),
        ("run: {workers: many}", "run.workers must be 'auto' or a whole number from 1"),
        ("run: {device: gpu}", "run.device must be one of auto, cpu"),
        ("run: {decode_timeout: .nan}", "run.decode_timeout must be seconds"),
        ("run: {output: null}", "run.output must be a path"),
        ("run: {seed: 1, seed: 2}", "'seed' is given twice"),
        ("run: [1]", "run must be a mapping"),
        ("- 1", "must be a mapping"),
        ("run: {seed: 1", "bench.yaml:1"),
        ("a: &x 1\nb: *x", "aliases"),
        ("models: {m: {arch: A}}", "needs 'adapter'"),
        ("sources: {s: {msrvtt: {frames_fps: 3}}}", "needs 'root'"),
        ("sources: {s: {msrvtt: {roots: x}}}", "did you mean 'root'?"),
        ("run: {seed: !!python/object/apply:os.system [ls]}", "not ['ls']"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(written(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hostile_files(tmp_path: Path) -> None:
    laughs = "a: &a [x,x]\n" + "\n".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)},*{chr(97 + i)}]" for i in range(20)
    )
    for text in (laughs, "[" * 50_000, "x" * 1_000_001, "\0"):
        with pytest.raises(UsageError):
            load_config(written(tmp_path, text))
    (tmp_path / "bench.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError):
        load_config(tmp_path / "bench.yaml")
    with pytest.raises(UsageError, match="no such configuration"):
        load_config(tmp_path / "absent.yaml")


def test_paths_belong_to_the_file_and_results_to_where_one_works(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    run = load_config(written(tmp_path / "lab", "run: {cache: c, weights: w, output: r}")).run
    assert run.cache_folder == tmp_path / "lab" / "c"
    assert run.weights_folder == tmp_path / "lab" / "w"
    assert run.output == Path("r")
    assert RunConfig(cache=tmp_path).weights_folder == tmp_path / "weights"


def test_what_a_source_says_is_kept_for_each_task(tmp_path: Path) -> None:
    text = "sources: {lab: {msrvtt: {annotations: a.csv, videos: v}, lsmdc: {root: l}}}"
    source = load_config(written(tmp_path, text)).sources["lab"]
    assert set(source) == {"msrvtt", "lsmdc"}
    assert source["msrvtt"].annotations == tmp_path / "a.csv"
    assert source["msrvtt"].videos == tmp_path / "v"
    # Folders of frames that do not say otherwise are cut at 30 a second.
    assert source["lsmdc"].frames_fps == 30.0


def test_auto_takes_the_card_of_the_process_and_its_half_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    assert RunConfig(device="cpu").torch_precision == "float32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert RunConfig().torch_device == "cuda:3"
    assert RunConfig(device="cpu").torch_device == "cpu"
    # A card that only emulates bfloat16 has float16 for it.
    for native in (True, False):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, n=native: n
        )
        assert RunConfig().torch_precision == ("bfloat16" if native else "float16")
    assert RunConfig(precision="float32").torch_precision == "float32"
