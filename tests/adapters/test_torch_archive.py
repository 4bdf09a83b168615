"""Checkpoints with objects of training code beside the tensors: read, and nothing of them run."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.checkpoint import read_state, read_tensors
from adapters.torch_archive import Inert, Saved, load
from bench.errors import BenchError

STATE = OrderedDict(a=torch.arange(6.0).view(2, 3), b=torch.ones(2, dtype=torch.float16))


@pytest.fixture
def foreign() -> Any:
    """A module that only the writer of a checkpoint has: classes as mmengine's and yacs' are."""
    module = types.ModuleType("trainer")

    class CfgNode(dict):  # type: ignore[type-arg]
        pass

    class HistoryBuffer:
        def __init__(self) -> None:
            self.values = [1.0, 2.0]
            self.method = getattr

    class Settings:
        def __init__(self, path: Path) -> None:
            self.path, self.tensor = path, torch.ones(1)

    class Metrics(list):  # type: ignore[type-arg]
        pass

    for kind in (CfgNode, HistoryBuffer, Settings, Metrics):
        kind.__module__, kind.__qualname__ = "trainer", kind.__name__
        setattr(module, kind.__name__, kind)
    sys.modules["trainer"] = module
    yield module
    del sys.modules["trainer"]


def test_tensors_are_read_beside_foreign_objects(foreign: Any, tmp_path: Path) -> None:
    state = OrderedDict(STATE)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    node = foreign.CfgNode(model=foreign.CfgNode(arch="ViT"))
    torch.save(
        {"config": node, "state_dict": state, "hub": foreign.HistoryBuffer(), "epoch": 3,
         "parser": foreign.Settings(tmp_path), "metrics": foreign.Metrics([1]), "seen": {1, 2}},
        tmp_path / "x.pth",
    )  # fmt: skip
    del sys.modules["trainer"]
    found = read_state(tmp_path / "x.pth")
    sys.modules["trainer"] = foreign
    assert found.keys() == STATE.keys()
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


def test_parameters_views_and_shared_storages_are_the_same_tensors(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.arange(12.0).view(3, 4))
    whole = torch.arange(9)
    kept = {"weight": weight, "turned": weight.detach().t(), "part": whole[2:5], "whole": whole,
            "none": torch.empty(0, 2), "mask": torch.tensor([True, False])}  # fmt: skip
    torch.save({"state_dict": kept, "config": Path()}, tmp_path / "x.pth")
    found = read_tensors(tmp_path / "x.pth")
    assert all(torch.equal(found[name], value) for name, value in kept.items())
    assert found["turned"].untyped_storage().data_ptr() == found["weight"].data_ptr()


def test_what_is_not_asked_for_is_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    """An optimiser is twice as large as its model."""
    torch.save({"model": STATE, "optimizer": {"m": torch.ones(5)}, "config": Path()},
               tmp_path / "x.pth")  # fmt: skip
    found = load(tmp_path / "x.pth")
    assert isinstance(found["optimizer"]["m"], Saved) and isinstance(found["config"], Inert)
    read: list[str] = []
    original = zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile, "read", lambda self, name: read.append(name) or original(self, name)
    )
    assert read_tensors(tmp_path / "x.pth").keys() == STATE.keys()
    assert [name.rpartition("/")[2] for name in read] == ["data.pkl", "0", "1"]


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call, self.state = (function, arguments), state

    def __reduce__(self) -> tuple[Any, ...]:
        return (*self.call, self.state) if self.state is not None else self.call


HOSTILE = [
    Calls(os.system, "touch pwned"),
    Calls(eval, "open('pwned', 'w')"),
    Calls(getattr, "", "join"),
    Calls(os.system, "touch pwned", state={"__class__": int, "call": 1}),
    Calls(Calls, state=(None, {"__call__": 1, "__setstate__": 2})),
    {"x": Calls(exec, "open('pwned', 'w')", state={"state": STATE})},
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_file_runs_nothing(
    hostile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "config": hostile}, "x.pth")
    found = read_state(Path("x.pth"))
    assert torch.equal(found["a"], STATE["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def with_pickle(content: bytes, compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """An archive whose pickle is `content`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("x/data.pkl", content)
        file.writestr("x/data/0", bytes(8))
    buffer.seek(0)
    return buffer


def test_a_state_is_given_to_no_object_of_ours() -> None:
    """BUILD on a class or a function of ours would change it for the whole process."""
    state = b"(N}X\x07\x00\x00\x00changedK\x01st"  # (None, {"changed": 1}): sets attributes
    for name in (
        b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_parameter\n", b"cos\nsystem\n",
    ):  # fmt: skip
        found = load(with_pickle(b"\x80\x02" + name + state + b"b."))
        assert not hasattr(found, "changed") and not hasattr(os.system, "changed")
    assert isinstance(load(with_pickle(b"\x80\x02ccollections\nOrderedDict\n)R.")), dict)
    with pytest.raises(AttributeError):
        load(with_pickle(b"\x80\x02ctorch\nFloatStorage\n" + state + b"b."))


def test_an_inert_value_takes_every_opcode() -> None:
    name = b"cos\nsystem\n"
    for rest in (
        b"X\x02\x00\x00\x00lsR.",
        b"(X\x02\x00\x00\x00lstR.", b")\x81.", b")\x81}b.", b")\x81K\x01K\x02s.",
        b")\x81(K\x01K\x02u.", b")\x81K\x01a.", b")\x81(K\x01K\x02e.", b")\x81(K\x01\x90.",
        b"(K\x01tR(K\x02tR.",
    ):  # fmt: skip
        found = load(with_pickle(b"\x80\x04" + name + rest))
        assert isinstance(found, Inert)


def test_a_compressed_pickle_is_refused() -> None:
    content = pickle.dumps([0] * 1000)
    assert load(with_pickle(content)) == [0] * 1000
    with pytest.raises(pickle.UnpicklingError, match=r"x/data\.pkl is compressed"):
        load(with_pickle(content, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("change", ["cut", "numbers"])
def test_a_damaged_file_is_called_damaged(change: str, tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "config": Path()}, tmp_path / "x.pth")
    if change == "cut":
        content = (tmp_path / "x.pth").read_bytes()
        (tmp_path / "x.pth").write_bytes(content[: len(content) // 2])
        with pytest.raises(BenchError, match=r"x\.pth: not a checkpoint"):
            read_state(tmp_path / "x.pth")
        return
    with (
        zipfile.ZipFile(tmp_path / "x.pth") as old,
        zipfile.ZipFile(tmp_path / "y.pth", "w") as new,
    ):
        for entry in old.namelist():
            new.writestr(entry, bytes(4) if entry.endswith("data/0") else old.read(entry))
    with pytest.raises(BenchError, match=r"y\.pth: damaged .*; fetch it again"):
        read_state(tmp_path / "y.pth")


def test_a_foreign_object_among_the_weights_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {**STATE, "odd": Path()}}, tmp_path / "x.pth")
    with pytest.raises(BenchError, match="no weights under state_dict"):
        read_state(tmp_path / "x.pth")
