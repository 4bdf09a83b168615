"""Every ingredient of every store's key, as docs/stores.md lists them: a change of it is a miss."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from adapters.clip_base import CLIPBase, _tokenizer_files
from adapters.open_clip import OpenCLIPAdapter
from adapters.published import CONFIG, Published
from adapters.srl_clip import SRLCLIPAdapter
from adapters.srl_settings import FILES
from adapters.transformers_clip import TransformersAdapter
from adapters.weights import file_hash
from bench import registry
from bench.config import Config, RunConfig
from bench.contracts import Adapter, Clip, Setup
from bench.features import extraction
from bench.features.reranking import Matching
from bench.features.validation import StoredFeatures
from bench.features.work import Silent, Work
from bench.files.tensor_store import TensorStore
from bench.metrics.bootstrap import RULES
from bench.results.comparison import Evidence
from bench.results.document import Lines
from bench.results.files import find_all, load
from bench.training import data as training
from bench.video import FrameStore, PerEvent, Preprocessing, Uniform
from tests.adapters.test_transformers import write
from tests.faults.numbers import Model
from tests.training.test_guards import Tiny


class Video(Adapter):
    name, embed_dim, image_size, fingerprint = "video", 3, 16, "one"

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    encode_texts = encode_clips  # type: ignore[assignment]


PAGE = Path(__file__).parents[1] / "docs" / "stores.md"
Change = Callable[[Any], Any]


def listed(what: str) -> list[str]:
    """The ingredients of one row of the page, in its order."""
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {what} |")]
    return row.rstrip(" |").rpartition("|")[2].strip().split("; ")


def missed(what: str, key: Callable[[Any], Any], given: Any, changes: dict[str, Change]) -> None:
    """Every ingredient that the page lists gives another key, and none of two the same."""
    assert list(changes) == listed(what)
    keys = [key(given), *(key(change(given)) for change in changes.values())]
    assert key(given) == keys[0]
    for name, one in zip(changes, keys[1:], strict=True):
        assert keys.count(one) == 1, name


# Frames


def status(mode: int = stat.S_IFREG, **values: int) -> Any:
    facts = {"st_size": 1, "st_mtime_ns": 2, "st_ctime_ns": 3, "st_ino": 4}
    return SimpleNamespace(st_mode=mode, **facts | values)


def test_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrameStore, "_resolved", lambda self, path: found[path])
    at = Path("v.mp4")
    found: dict[Path, Any] = {at: ("/v.mp4", status())}
    folders = []
    for number, names in enumerate((["1.jpg"], ["1.jpg", "2.jpg"], ["1.jpg", "3.jpg"])):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        for name in names:
            (folders[-1] / name).touch()
    of_folder = status(stat.S_IFDIR)
    found |= dict.fromkeys(folders, ("/frames", of_folder))

    def key(given: dict[str, Any]) -> str:
        parts = {"path": at, "start": 0.0, "end": None, "plan": Uniform(3), "decoder": "auto",
                 "pixels": Preprocessing(16), **given}  # fmt: skip
        place = {"frames_fps": given["fps"]} if "fps" in given else {}
        store = FrameStore(tmp_path, parts["pixels"], parts["plan"], parts["decoder"],
                           sound="sound" in parts)  # fmt: skip
        found[at] = given.get("file", ("/v.mp4", status()))
        monkeypatch.setattr("bench.video.store.FORMAT", given.get("format", 3))
        # Where a folder's pictures are looked for; its name alone would tell it, too.
        monkeypatch.setattr("bench.video.store.Path", lambda _: parts["path"])
        clip = Clip("c", parts["path"], parts["start"], parts["end"], **place)
        return store.key(clip)

    def with_(**values: Any) -> Change:
        return lambda given: given | values

    what = "decoded frames of a clip, with their moments and the decoder that read them"
    missed(f"`frames/` | {what}", key, {}, {
        "the file's real path": with_(file=("/w.mp4", status())),
        "its size": with_(file=("/v.mp4", status(st_size=9))),
        "its date of writing": with_(file=("/v.mp4", status(st_mtime_ns=9))),
        "its date of change": with_(file=("/v.mp4", status(st_ctime_ns=9))),
        "its inode": with_(file=("/v.mp4", status(st_ino=9))),
        "of a folder, the same of every picture": with_(path=folders[1]),
        "of a folder, what is wrong with their numbers": with_(path=folders[2]),
        "start": with_(start=1.0),
        "end": with_(end=1.0),
        "a folder's frame rate": with_(path=folders[0], fps=3.0),
        "the plan": with_(plan=PerEvent(1, 3)),
        "pixels of a side": with_(pixels=Preprocessing(17)),
        "the resize mode": with_(pixels=Preprocessing(16, "squash")),
        "the interpolation": with_(pixels=Preprocessing(16, "shortest", "bilinear")),
        "pixels before the crop": with_(pixels=Preprocessing(16, scaled=18)),
        "how the crop is rounded": with_(pixels=Preprocessing(16, crop="floor")),
        "how the sides are rounded": with_(pixels=Preprocessing(16, sides="nearest")),
        "the library that resizes": with_(
            pixels=Preprocessing(16, "shortest", "bilinear", library="opencv", antialias=False)
        ),
        "whether the sound is kept": with_(sound=True),
        "`run.decoder`": with_(decoder="pyav"),
        "the format's version": with_(format=4),
    })  # fmt: skip
    assert len({key({"path": folder}) for folder in folders}) == 3
    assert key({"path": folders[0]}) != key({"path": folders[0], "fps": 3.0})


# Features


def asked(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> list[str]:
    """The keys that something is looked for under in a store of tensors."""
    keys: list[str] = []

    def kept(self: TensorStore, key: str, *_: Any) -> Any:
        keys.append(key)
        raise LookupError

    monkeypatch.setattr(TensorStore, "kept", kept)
    with pytest.raises(LookupError):
        call()
    return keys


def test_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.mp4").write_bytes(b"x")
    clip = Clip("c", tmp_path / "v.mp4")

    def of_clip(given: tuple[Adapter, Uniform], task: Any = None) -> str | None:
        store = FrameStore(tmp_path, 16, given[1])
        work = Work(given[0], task, RunConfig(cache=tmp_path), Silent())
        return extraction._expected_key(work, store, clip)

    missed("`features/`, clips | frame features of a clip", of_clip, (Model(), Uniform(3)), {
        "the frames' key": lambda given: (given[0], Uniform(4)),
        "the model's fingerprint": lambda given: (Model(fingerprint="two"), given[1]),
    })  # fmt: skip

    def of_video(given: dict[str, Any]) -> str | None:
        model = Video()
        model.fingerprint = given.get("fingerprint", "one")
        model.inputs = frozenset({"frames", *given.get("inputs", ["subtitles"])})
        task = SimpleNamespace(
            parts=given.get("parts", 1), whole=given.get("whole", False),
            subtitles=given.get("said"),
        )  # fmt: skip
        return of_clip((model, given.get("plan", Uniform(3))), task)

    what = "`features/`, clips of a video model | features of what the task makes of a clip"
    missed(what, of_video, {}, {
        "the frames' key": lambda _: {"plan": Uniform(4)},
        "the model's fingerprint": lambda _: {"fingerprint": "two"},
        "how many clips it makes": lambda _: {"parts": 5},
        "whether the whole clip is one of them": lambda _: {"whole": True},
        "what the model reads beside frames": lambda _: {"inputs": ["audio", "subtitles"]},
        "the clip's subtitles": lambda _: {"said": {"c": "a word"}},
    })  # fmt: skip

    def of_texts(given: tuple[Any, ...]) -> list[str]:
        model = Model(fingerprint=given[0])
        model.setup = Setup(Uniform(3), Preprocessing(16), *given[2:]) if given[2:] else None
        work = Work(model, SimpleNamespace(name="t", texts=given[1]),  # type: ignore[arg-type]
                    RunConfig(cache=tmp_path), Silent())  # fmt: skip
        return asked(monkeypatch, lambda: extraction.text_features(work))

    def of_training(given: tuple[str, list[str]]) -> list[str]:
        model = Tiny()
        model.fingerprint = given[0]
        return asked(
            monkeypatch,
            lambda: training._encode(
                given[1], {"prompts": len(given[1])}, model, tmp_path, Silent()
            ),
        )

    for what, key in (
        ("`features/`, texts | features of up to 256 texts", of_texts),
        ("`features/`, training texts | features of up to 256 texts, and how many the model cuts",
         of_training),
    ):  # fmt: skip
        missed(what, key, ("one", ["a b", "c"]), {
            "the texts and their order": lambda given: (given[0], ["c", "a b"]),
            "the model's fingerprint": lambda given: ("two", given[1]),
            **({} if key is of_training else {
                "the text length of its protocol": lambda given: (*given, 32),
            }),
        })  # fmt: skip
        assert (
            len({str(key(("one", texts))) for texts in (["a b", "c"], ["a", "b c"], ["a b"])}) == 3
        )
    assert of_texts(("one", ["a"])) != of_training(("one", ["a"]))


def test_matches(tmp_path: Path) -> None:
    def of(given: dict[str, Any]) -> str:
        model: Any = Video()
        model.fingerprint = given.get("fingerprint", "one")
        model.matching, model.rerank_top = given.get("matching", "itm"), 3
        model.setup = Setup(Uniform(3), Preprocessing(16), given.get("length"))
        texts = given.get("texts", ["a b", "c"])
        task: Any = SimpleNamespace(clips=[], texts=texts, plan=Uniform(3))
        features = StoredFeatures(TensorStore(tmp_path), 0)
        features.add("c", given.get("key", "k"), np.ones((1, 3), np.float32))
        work = Work(model, task, RunConfig(cache=tmp_path), Silent())
        return Matching(work, model, features)._key((Clip("c", None), [0, 1]))

    missed("`matches/` | a clip's scores with texts", of, {}, {
        "the key of the clip's features": lambda _: {"key": "l"},
        "the texts and their order": lambda _: {"texts": ["c", "a b"]},
        "the model's fingerprint": lambda _: {"fingerprint": "two"},
        "the matching head's name": lambda _: {"matching": "other"},
        "the text length of its protocol": lambda _: {"length": 32},
    })  # fmt: skip


# Results, hashes


@pytest.mark.parametrize("kind", ["metrics in bootstrap resamples", "metrics and intervals"])
def test_draws(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = find_all(kept / "results")[0]
    document = load(path)
    known = registry.task_class

    def key(given: dict[str, Any]) -> list[str]:
        task = known(document.task)
        own = {"name": task.name, "version": task.version, **given.get("task", {})}
        kind_ = type(task.__name__, (task,), own)
        monkeypatch.setattr(registry, "task_class", lambda _: kind_)
        monkeypatch.setattr("bench.results.comparison.RULES", given.get("rules", RULES))
        # Its lines, its task and its settings are what the document says, whatever the file does.
        settings = structs.replace(document.settings, **given.get("settings", {}))
        lines = Lines("x", given.get("lines", document.lines))
        other = structs.replace(document, settings=settings, predictions=lines)
        run = RunConfig(cache=tmp_path, **given.get("run", {}))
        evidence = Evidence([(path, other)], Config(run))
        monkeypatch.setattr(Evidence, "_faults", lambda self, document: [])
        of = evidence.replicates if kind.endswith("resamples") else evidence.checked
        return asked(monkeypatch, lambda: of(other))

    # Draws are those that the configuration asks for; a result's numbers are by its own settings.
    part = "run" if kind.endswith("resamples") else "settings"
    missed(f"`draws/` | {kind} of a result", key, {}, {
        "the prediction lines": lambda _: {"lines": "0" * 64},
        "the task": lambda _: {"task": {"name": "other"}},
        "its version": lambda _: {"task": {"version": 99}},
        "the rules of intervals": lambda _: {"rules": 99},
        "the number of resamples": lambda _: {part: {"resamples": 7}},
        "the seed": lambda _: {part: {"seed": 7}},
    })  # fmt: skip


def test_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("a.pt", "b.pt")]
    for place in places:
        place.write_bytes(b"weights")
    real = Path.stat

    def hashed(given: tuple[Path, dict[str, int]]) -> list[str]:
        def fake(self: Path, **how: Any) -> Any:
            return status(**given[1]) if self == given[0] else real(self, **how)

        cache = tmp_path / "cache"
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", fake)
            file_hash(given[0], cache)
        found = sorted(path.name for path in (cache / "hashes").iterdir())
        shutil.rmtree(cache)
        return found

    missed("`hashes/` | SHA-256 of a weights file", hashed, (places[0], {}), {
        "its real path": lambda given: (places[1], {}),
        "its size": lambda given: (given[0], {"st_size": 9}),
        "its date of writing": lambda given: (given[0], {"st_mtime_ns": 9}),
        "its date of change": lambda given: (given[0], {"st_ctime_ns": 9}),
        "its inode": lambda given: (given[0], {"st_ino": 9}),
    })  # fmt: skip


# Fingerprints of models


def test_fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunConfig(cache=tmp_path, device="cpu")
    base = OpenCLIPAdapter("x", run, spec="clip-tiny/shipped").base

    def fingerprint(given: dict[str, Any]) -> str:
        with_ = replace(run, **given.get("run", {}))
        model = OpenCLIPAdapter("x", with_, spec="clip-tiny/shipped")
        model.base = replace(base, **given.get("base", {}))
        monkeypatch.setattr("adapters.open_clip.VERSION", given.get("version", 2))
        return model.fingerprint

    def published(**values: Any) -> Change:
        return lambda given: {"base": {"published": Published(**values)}}

    missed("`open_clip`", fingerprint, {}, {
        "the architecture's configuration":
            lambda _: {"base": {"config": {**base.config, "embed_dim": 9}}},
        "whether the weights are of a tag": lambda _: {"base": {"pretrained": str(base.weights)}},
        "the weights' SHA-256": lambda _: {"base": {"sha256": "0" * 64}},
        "the precision": lambda _: {"run": {"precision": "bfloat16"}},
        "mean and standard deviation": published(mean=(0.1, 0.2, 0.3)),
        "the resize mode": published(resize_mode="squash"),
        "the interpolation": published(interpolation="bilinear"),
        "the activation": published(quick_gelu=not base.config.get("quick_gelu", False)),
        "whether positions are resized": lambda _: {"base": {"resize_positions": True}},
        "the tokenizer's files beside the weights": lambda _: {"base": {"tokenizer": "0"}},
        "the adapter's version": lambda _: {"version": 99},
    })  # fmt: skip
    assert fingerprint({"base": {"published": Published(std=(0.1, 0.2, 0.3))}}) != fingerprint({})
    known = {"arch", "pretrained", "config", "weights", "sha256", "published", "resize_positions",
             "tokenizer"}  # fmt: skip
    assert {field.name for field in fields(CLIPBase)} == known  # arch by its configuration


def test_a_tokenizer_beside_the_weights(tmp_path: Path) -> None:
    """Another one reads texts otherwise: each of its files counts."""
    config = {"text_cfg": {"hf_tokenizer_name": "x"}}
    for name in (CONFIG, "tokenizer_config.json", "spiece.model", "vocab.txt"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "w.safetensors").touch()
    names = [path.name for path in _tokenizer_files(config, tmp_path)]
    assert names == sorted([CONFIG, "tokenizer_config.json", "spiece.model", "vocab.txt"])
    assert not _tokenizer_files({"text_cfg": {}}, tmp_path)
    (tmp_path / CONFIG).unlink()
    assert not _tokenizer_files(config, tmp_path)


def test_fingerprints_of_trained_models(tmp_path: Path) -> None:
    run = RunConfig(cache=tmp_path / "cache", device="cpu")
    folder = tmp_path / "srl"
    small = {"rank": 4, "vc_layers": 1, "vc_heads": 4}
    model: Any = SRLCLIPAdapter.untrained("srl", run, small, "clip-tiny", "shipped")[0]
    model.save(folder, {})

    def of(name: str) -> str:
        """After a change of one file."""
        other = Path(shutil.copytree(folder, tmp_path / f"other-{name}"))
        adapter = SRLCLIPAdapter("srl", run, arch="clip-tiny", pretrained="shipped",
                                 checkpoint=str(other))  # fmt: skip
        if name in FILES:
            (other / name).write_bytes((other / name).read_bytes() + b" ")
        elif name == "settings":
            adapter.settings = replace(adapter.settings, dropout=0.5)
        elif name == "base":
            adapter.base = replace(adapter.base, sha256="0" * 64)
        return adapter.fingerprint

    assert listed("`srl_clip`") == ["all of its base's", "every file of the trained folder",
                                    "every setting of the model"]  # fmt: skip
    there = [name for name in FILES if (folder / name).is_file()]
    found = [of(name) for name in ("", "base", "settings", *there)]
    assert len(set(found)) == len(found) and len(there) > 2
    assert of("again") == found[0]


def test_fingerprints_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "clip", "clip")
    names = [path.name for path in folder.iterdir() if path.name != "config.json"]

    def of(name: str, **run: str) -> str:
        path = folder / name
        before = path.read_bytes() if name else b""
        if name:
            path.write_bytes(before + (b"0" if path.suffix == ".safetensors" else b" "))
        monkeypatch.setattr("adapters.open_clip.VERSION", 99 if run.pop("version", "") else 2)
        config = RunConfig(cache=tmp_path / "cache", **{"device": "cpu"} | run)  # type: ignore[arg-type]
        found = TransformersAdapter("t", config, folder=str(folder)).fingerprint
        if name:
            path.write_bytes(before)
        return found

    assert listed("`transformers`") == ["every file of the folder and of the LoRA", "the precision",
                                        "the adapter's version"]  # fmt: skip
    found = [of(""), of("", precision="bfloat16"), of("", version="x"), *map(of, names)]
    assert len(set(found)) == len(found) and of("") == found[0] and "model.safetensors" in names
