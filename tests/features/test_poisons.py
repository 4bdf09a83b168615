"""What a store returns is what we could have written; anything else is made again, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import RunConfig
from bench.contracts import Source
from bench.errors import BenchError
from bench.features.extraction import clip_features, text_features
from bench.features.validation import StoredFeatures
from bench.features.work import Silent, Work
from bench.files.tensor_store import TensorStore
from bench.training.data import _encode
from bench.video import DecodedFrames, FirstOfSecond, FrameStore, PerEvent, Uniform
from bench.video.sampling import planned_times
from tasks.msrvtt import MSRVTT
from tests.faults.numbers import CLIPS, Model, world
from tests.poisons import OF_CLIPS, OF_FRAMES, OF_TEXTS, Entry
from tests.training.test_guards import Tiny

FRAMES = 12 * CLIPS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, their frames and features kept beside them."""
    folder = world(tmp_path_factory.mktemp("data"))
    taken(folder)
    return folder


def taken(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray, Work]:
    """Features of all clips and texts, and what was noted."""
    run = RunConfig(cache=folder / "cache", workers=1)
    work = Work(Model(), MSRVTT.load(Source("lab", folder)), run, Silent())
    return dict(clip_features(work)), text_features(work), work


def entries(store: TensorStore) -> dict[Path, Entry]:
    """All that is kept."""
    found = {}
    for path in sorted(store.root.rglob("*.safetensors")):
        entry = store.get(path.stem)
        assert entry is not None
        found[path] = Entry(*entry)
    return found


def poisoned(folder: Path, poison: Any, wanted: Any) -> None:
    """Poison every entry that is `wanted`: all is made again, the same as before."""
    before = taken(folder)
    assert before[2].encoded == {"frames": 0, "texts": 0}
    whole = entries(TensorStore(folder / "cache" / "features"))
    for path, entry in whole.items():
        if wanted(entry):
            poison(entry).write(path)
    clips, texts, work = taken(folder)
    assert clips.keys() == before[0].keys()
    assert all(np.array_equal(clips[name], value) for name, value in before[0].items())
    assert np.array_equal(texts, before[1])
    assert not work.failures and repr(work.read) == repr(before[2].read)
    changed = "frames" if wanted(Entry({}, {"times": []})) else "texts"
    assert work.encoded == {"frames": 0, "texts": 0, changed: FRAMES if changed == "frames" else 4}
    for path, entry in entries(TensorStore(folder / "cache" / "features")).items():
        assert repr(entry) == repr(whole[path])


@pytest.mark.parametrize("poison", OF_CLIPS)
def test_features_of_clips(data: Path, poison: str) -> None:
    poisoned(data, OF_CLIPS[poison], lambda entry: "times" in entry.record)


@pytest.mark.parametrize("poison", OF_TEXTS)
def test_features_of_texts(data: Path, poison: str) -> None:
    poisoned(data, OF_TEXTS[poison], lambda entry: "times" not in entry.record)


@pytest.mark.parametrize("form", ["raw", "webp"])
@pytest.mark.parametrize("poison", OF_FRAMES)
def test_frames(tmp_path: Path, poison: str, form: str) -> None:
    store = FrameStore(tmp_path, 16, Uniform(3), form=form)
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    store.keep("abcd", DecodedFrames(frames, np.array([0.1, 0.2, 0.2]), "pyav"))
    found = store.load("abcd")
    assert found is not None and np.array_equal(found.frames, frames)
    (entry,) = entries(TensorStore(tmp_path)).values()
    if form == "webp" and "frames" in poison:
        entry = entry.array("webp").array("frames", frames)  # the poison is of the plain form
    OF_FRAMES[poison](entry).write(store.path("abcd"))
    assert store.load("abcd") is None


@pytest.mark.parametrize("ends", [[3], [[1, 2]], [0.5, 1.0, 2.0], [9**9] * 3, [-1, 5, 2], [0] * 3])
def test_pictures_that_end_elsewhere(tmp_path: Path, ends: list[Any]) -> None:
    store = FrameStore(tmp_path, 16, Uniform(3), form="webp")
    store.keep("abcd", DecodedFrames(np.zeros((3, 16, 16, 3), np.uint8), np.zeros(3), "pyav"))
    (entry,) = entries(TensorStore(tmp_path)).values()
    entry.array("ends", ends).write(store.path("abcd"))
    assert store.load("abcd") is None


def test_frames_are_decoded_again(tmp_path: Path) -> None:
    first = taken(world(tmp_path))
    for path, entry in entries(TensorStore(tmp_path / "cache" / "frames")).items():
        entry.array("times", entry.arrays["times"][::-1]).write(path)
    for path in (tmp_path / "cache" / "features").rglob("*.safetensors"):
        path.unlink()
    again = taken(tmp_path)
    assert all(np.array_equal(again[0][name], value) for name, value in first[0].items())
    assert repr(again[2].read) == repr(first[2].read)


@pytest.mark.parametrize("poison", [*OF_TEXTS, "no cut", "cut 3 of 2", "cut -1", "cut as float"])
def test_training_texts(tmp_path: Path, poison: str) -> None:
    given = (["one", "four words of text"], {"prompts": 2}, Tiny(), tmp_path, Silent())
    before = _encode(*given)
    ((path, entry),) = entries(TensorStore(tmp_path)).items()
    cuts: dict[str, Any] = {
        "no cut": lambda: entry.array("cut"), "cut 3 of 2": lambda: entry.array("cut", [3]),
        "cut -1": lambda: entry.array("cut", [-1]),
        "cut as float": lambda: entry.array("cut", [1.0]),
    }  # fmt: skip
    changed = cuts[poison]() if poison in cuts else OF_TEXTS[poison](entry)
    changed.write(path)
    features, counts = _encode(*given)
    assert counts == before[1] and features.equal(before[0])
    assert [repr(one) for one in entries(TensorStore(tmp_path)).values()] == [repr(entry)]


@pytest.mark.parametrize(
    ("plan", "counts"), [(Uniform(3), [3]), (PerEvent(2, 3), [6]), (FirstOfSecond(4), [1, 2, 3, 4])]
)
def test_a_plan_gives_so_many_moments(plan: Any, counts: list[int]) -> None:
    for count in range(9):
        found = planned_times([float(second) for second in range(count)], plan)
        assert (found is not None) == (count in counts)


def test_a_feature_exchanged_after_it_was_checked(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    held = StoredFeatures(store, 0)
    one = np.ones((4, 3), np.float32)
    held.add("a", "ka", one)
    for other in (one[:3], one * np.float32("nan")):
        store.put("ka", {"features": other}, {})
        with pytest.raises(BenchError, match=r"ka\.safetensors vanished or changed"):
            held["a"]
    store.put("ka", {"features": one}, {})
    assert np.array_equal(held["a"], one)


def test_a_folder_in_the_place_of_an_entry_is_named(tmp_path: Path) -> None:
    """Not removed, for it is not ours; what is said to do helps."""
    first = taken(world(tmp_path))
    for path in (tmp_path / "cache" / "features").rglob("*.safetensors"):
        path.unlink()
        path.mkdir()
    with pytest.raises(BenchError, match=r"\.safetensors: Is a directory; move away the folder"):
        taken(tmp_path)
    for path in (tmp_path / "cache" / "features").rglob("*.safetensors"):
        path.rmdir()
    assert np.array_equal(taken(tmp_path)[1], first[1])
