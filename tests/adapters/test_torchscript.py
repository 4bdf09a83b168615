"""TorchScript archives as data: all their tensors, nothing of their program."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from adapters.torchscript import tensors
from bench.errors import BenchError

HERE = Path("x.pt")


class Part(torch.nn.Module):
    """Half and whole numbers, one storage used twice, a view, and what is no tensor."""

    def __init__(self, deep: bool = True) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 2).half()
        self.register_buffer("turned", torch.arange(6).view(2, 3).t())
        self.register_buffer("middle", torch.arange(9)[2:5])
        self.tied = self.linear.weight
        self.mask = torch.ones(2, 2)
        self.sizes = [1, 2]
        self.name = "part"
        self.empty = torch.nn.Parameter(torch.empty(0, 3))
        self.parts = torch.nn.ModuleList([Part(False)] if deep else [])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.mask.sum() + self.sizes[0]


def archive(module: torch.nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def test_every_tensor_is_read_as_torch_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Part()
    content = archive(module)
    monkeypatch.delattr(torch.jit, "load")
    found = tensors(content, HERE)
    expected = module.state_dict()
    assert set(found) - set(expected) == {"mask", "parts.0.mask"}  # attributes are no state
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


def test_a_traced_module_is_read_too() -> None:
    traced = torch.jit.trace(torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.ones(1, 3))
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer)
    assert set(tensors(buffer.getvalue(), HERE)) == {"0.weight", "0.bias"}


# What PyTorch 1.7 wrote: weights of a GPU, and lists by a call of its own.
OLD = (
    b"\x80\x02c__torch__.model\nMultimodal\n)\x81}(X\x06\x00\x00\x00weight"
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nHalfStorage\n"
    b"X\x01\x00\x00\x000X\x06\x00\x00\x00cuda:0K\x06tQK\x00(K\x02K\x03t(K\x03K\x01t\x89"
    b"ccollections\nOrderedDict\n)RtR"
    b"X\x05\x00\x00\x00sizesctorch.jit._pickle\nbuild_intlist\n](K\x01e\x85Rub."
)


def test_an_archive_of_old_and_of_a_gpu_is_read() -> None:
    numbers = torch.arange(6).half()
    content = zipped(OLD, more=numbers.numpy().tobytes())
    (found,) = tensors(content, HERE).items()
    assert found[0] == "weight" and torch.equal(found[1], numbers.view(2, 3))


class _Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return eval, ("open('pwned', 'w')",)


def zipped(data: bytes, name: str = "x/data.pkl", more: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, data)
        file.writestr("x/data/0", more)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip",
        zipped(b"", "x/other"),
        zipped(b""),
        zipped(pickle.dumps([1])),
        zipped(pickle.dumps(_Runs())),
        zipped(pickle.dumps({"x": _Runs()})),
        archive(Part())[:-300],
        archive(Part()).replace(b"/data/0", b"/data/x"),
        zipped(OLD, more=bytes(6)),  # half as many numbers as the tensor has
    ],
)
def test_what_is_none_is_refused_and_never_run(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError, match=r"^x\.pt: not a TorchScript archive of tensors"):
        tensors(content, HERE)
    assert not list(tmp_path.iterdir())
