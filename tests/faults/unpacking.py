"""`python -m tests.faults.unpacking`: the first use of an archive in the form of OpenAI's files.

It stands for the published one: its SHA-256 is taken for the published sum, its tensors are drawn.
"""

from __future__ import annotations

from pathlib import Path

from adapters import weights
from bench.config import load_config
from bench.files.tensor_store import checksum

ARCH, NAME = "ViT-B-32-quickgelu", "ViT-B-32.pt"


def write(path: Path, tensors: int = 16) -> None:
    """An archive of half-precision matrices of a megabyte each."""
    import torch

    holder = torch.nn.Module()
    for number in range(tensors):
        values = torch.rand(1024, 512, generator=torch.Generator().manual_seed(number)).half()
        block = torch.nn.Module()
        block.register_buffer("weight", values)
        holder.add_module(f"block{number}", block)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.save(torch.jit.script(holder), str(path))


if __name__ == "__main__":
    run = load_config(Path("bench.yaml")).run
    archive = run.weights_folder / NAME
    weights.OPENAI[ARCH] = (NAME, checksum(archive), "")
    found = weights.find_weights(ARCH, "openai", run)
    assert found.suffix == ".safetensors", found
