"""The rival systems at their full size, with random weights in files as they are released.

    python -m tests.systems.full_size FOLDER MODEL TASK [--limit N]

Makes MODEL's files of the names and shapes that its checkpoint has, draws a little of the toy
world, and runs `bench run --protocol published` twice on MSRVTT's or LSMDC's: killed as soon as a
clip's features are kept, and to its end. Prints a JSON line: seconds, peak memory, what the second
run still had to encode. Random weights rank by chance: it shows that the whole goes through.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).parents[1] / "golden" / "systems"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz",
         *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]  # fmt: skip
Shapes = dict[str, list[int]]


def shapes(*lists: str) -> Shapes:
    """Names and shapes of keys.json's lists; `VAST` is its own file's."""
    if lists == ("VAST",):
        kept = json.loads((GOLDEN / "vast/keys.json").read_text())["keys"]
        entries = [(name, *(shape if "#" in name else (1, shape)), "#") for name, shape in
                   kept.items()]  # fmt: skip
    else:
        known = json.loads((GOLDEN / "keys.json").read_text())
        entries = [(name, *found, "*") for one in lists for name, found in known[one].items()]
    return {
        name.replace(mark, str(layer)): shape
        for name, count, shape, mark in entries for layer in range(count)
    }  # fmt: skip


def random_state(
    wanted: Shapes, device: str = "cpu", prefix: str = "", but: Iterable[str] = ()
) -> dict[str, torch.Tensor]:
    """float16 tensors on the CPU: normal, of a scale at which no feature overflows."""
    generator = torch.Generator(device).manual_seed(0)
    found = {}
    for name, shape in wanted.items():
        if name not in but:
            one = torch.randn(shape, generator=generator, device=device) * 0.02
            if len(shape) == 1 and name.endswith("weight"):
                one += 1  # of a normalisation
            found[prefix + name] = one.half().cpu()
    return found


def _tvtsv2(variant: str) -> Callable[[Path, str], None]:
    def write(weights: Path, device: str) -> None:
        state = random_state(shapes(f"TVTSv2 {variant}"), device, "module.")
        torch.save({"state_dict": state}, weights / f"TVTSv2_ViT_{variant}.pth")

    return write


def _bt_adapter(weights: Path, device: str) -> None:
    lists = ("BT-Adapter", "BT-Adapter, of pretraining")
    torch.save({"state_dict": random_state(shapes(*lists), device)}, weights / "bt-adapter-l14.pth")


def _vifi_clip(weights: Path, device: str) -> None:
    state = random_state(shapes("ViFi-CLIP"), device)
    torch.save({"model": state}, weights / "vifi-clip-b16.pth")
    _openai(weights, "ViT-B-16-quickgelu", device)


def _clip4clip(weights: Path, device: str) -> None:
    _openai(weights, "ViT-B-32-quickgelu", device)


def _vast(weights: Path, device: str) -> None:
    (weights / "vast").mkdir(exist_ok=True)
    save_file(random_state(shapes("VAST"), device), weights / "vast/model.safetensors")
    (weights / "vast/vocab.txt").write_text("\n".join(WORDS) + "\n")


def _openai(weights: Path, arch: str, device: str) -> None:
    """OpenAI's CLIP of an architecture as safetensors."""
    from adapters.clip_base import architecture
    from adapters.openai_clip import clip

    (weights / arch).mkdir(exist_ok=True)
    with torch.device("meta"):
        state = clip(architecture(arch)).state_dict()
    wanted = {name: list(value.shape) for name, value in state.items()}
    save_file(random_state(wanted, device), weights / arch / "openai.safetensors")


WRITERS: dict[str, Callable[[Path, str], None]] = {
    "tvtsv2-b32": _tvtsv2("B_32"),
    "tvtsv2-b16": _tvtsv2("B_16"),
    "tvtsv2-h14": _tvtsv2("H_14"),
    "bt-adapter-l14": _bt_adapter,
    "vifi-clip-b16": _vifi_clip,
    "clip4clip-b32": _clip4clip,
    "clip4clip-b32-seq": _clip4clip,
    "vast": _vast,
    "vast-audio": _vast,
    "clip-b32": lambda weights, device: _openai(weights, "ViT-B-32-quickgelu", device),
    "clip-b16": lambda weights, device: _openai(weights, "ViT-B-16-quickgelu", device),
    "clip-l14": lambda weights, device: _openai(weights, "ViT-L-14-quickgelu", device),
}
MORE = {"clip4clip-b32-seq": {"adapter": "clip4clip", "arch": "ViT-B-32-quickgelu",
                              "pretrained": "openai", "head": "seqTransf"}}  # fmt: skip


def write_config(folder: Path, device: str = "cpu") -> Path:
    """A bench.yaml that keeps everything below `folder`."""
    path = folder / "bench.yaml"
    run = {"cache": "cache", "weights": "weights", "device": device, "batch_frames": 1}
    path.write_text(json.dumps({"run": run, "models": MORE}))
    return path


def prepared(folder: Path, model: str, device: str = "cpu") -> None:
    """The model's files below `folder`, where they are not there yet, and the configuration."""
    weights = folder / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    done = weights / f"{model}.made"
    if not done.exists():
        WRITERS[model](weights, device)
        done.touch()
    write_config(folder, device)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", choices=WRITERS)
    parser.add_argument("task", choices=["msrvtt", "lsmdc"])
    parser.add_argument("--limit", type=int, default=2)
    options = parser.parse_args()
    folder = options.folder.resolve()
    prepared(folder, options.model)
    toy = folder / "toy"
    if not (toy / options.task / "source.json").exists():
        from tasks.toyworld import write

        write(toy, tasks=(options.task,), scale=0.02)
    print(json.dumps(rehearsed(folder, toy, options)), flush=True)


def rehearsed(folder: Path, toy: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A run that is killed at its first kept clip, and one to the end."""
    output = folder / "results" / options.model
    command = [sys.executable, "-m", "bench", "--config", str(folder / "bench.yaml"), "run",
               "--task", options.task, "--model", options.model, "--source", str(toy),
               "--limit", str(options.limit), "--protocol", "published",
               "--output", str(output)]  # fmt: skip
    features = folder / "cache/features"
    before = _entries(features)
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        while run.poll() is None and _entries(features) == before:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    killed, kept = time.perf_counter() - began, len(_entries(features) - before)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - began
    (document,) = output.rglob("*.json")
    result = json.loads(document.read_text())
    return {
        "model": options.model, "task": options.task, "clips": options.limit,
        "killed after": round(killed, 1), "clips kept then": kept, "seconds": round(seconds, 1),
        "encoded after the kill": result["encoded"], "seconds of": result["seconds"],
        "protocol": result["protocol"], "answered": result["coverage"],
        "peak GiB": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
    }  # fmt: skip


def _entries(store: Path) -> set[Path]:
    return set(store.rglob("*.safetensors")) if store.exists() else set()


if __name__ == "__main__":
    main()
