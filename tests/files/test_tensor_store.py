"""The tensor store: whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.files.atomic import atomic_path
from bench.files.tensor_store import TensorStore, digest


def test_what_is_put_is_got(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    key = digest("a", 1)
    assert store.get(key) is None and key not in store
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1)
    store.put(key, {"x": array}, {"decoder": "none", "n": [1, 2]})
    found = store.get(key)
    assert found is not None and key in store
    np.testing.assert_array_equal(found[0]["x"], array)
    assert found[1] == {"decoder": "none", "n": [1, 2]}


def test_many_are_got_in_order_whatever_is_absent(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    keys = [digest("many", number) for number in range(50)]
    for number, key in enumerate(keys):
        if number % 3:
            store.put(key, {"x": np.array([number])}, {})
    store.path(keys[3]).parent.mkdir(exist_ok=True)
    os.mkfifo(store.path(keys[3]))  # must not be waited for
    found = [entry and int(entry[0]["x"][0]) for entry in store.get_each(keys)]
    assert found == [number if number % 3 else None for number in range(50)]


def test_a_damaged_file_counts_as_absent(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    store.put("ab12", {"x": np.zeros(100, np.float32)}, {})
    whole = store.path("ab12").read_bytes()
    for damaged in (b"", whole[:5], whole[:-1], b"\xff" * len(whole)):
        store.path("ab12").write_bytes(damaged)
        assert store.get("ab12") is None


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"cannot write .*move away the file"):
        TensorStore(tmp_path / "file").put("ab", {"x": np.zeros(1)}, {})


def test_digest_tells_values_apart() -> None:
    assert digest("a", "b") != digest("ab") != digest(["a", "b"])
    assert digest({"x": 1, "y": 2}) == digest({"y": 2, "x": 1})


def test_a_key_does_not_depend_on_the_order_of_names() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
