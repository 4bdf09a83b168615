"""`bench` in processes of its own on a small world, to be killed, doubled and starved of disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import safe_open

ROOT = Path(__file__).parents[2]
TOKEN = "SRL_BENCH_FAULT"  # in the environment of every process that a fault's command started
CONFIG = """
run: {{cache: {cache}, output: {output}, device: cpu, workers: 2, resamples: 100, batch_frames: 24}}
sources:
  world: {{msrvtt: {{root: {world}}}, vidsitu: {{root: {world}}}}}
tasks:
  vidsitu:
    default: {{width: 32, layers: 1, heads: 2, feed_forward: 64, vc_layers: 1, epochs: 3}}
"""
SOURCE = ("--source", "world")
RUN = ("run", "--task", "msrvtt,vidsitu", "--model", "clip-tiny", *SOURCE)
TRAIN = ("train", "--model", "srlclip-tiny", *SOURCE, "--set", "epochs=3", "--set",
         "batch_videos=4", "--set", "hold_out=0.2", "--set", "learning_rate=1e-3")  # fmt: skip
SWEEP = ("sweep", "losses", "--model", "srlclip-tiny", *SOURCE, "--set", "epochs=1", "--set",
         "batch_videos=4", "--set", "hold_out=0.2", "--set", "learning_rate=1e-3")  # fmt: skip
REPORT = ("report", "--format", "html", "--output", "page.html", "--gallery", "6")
VOLATILE = ("seconds", "started", "encoded")  # what one run of several took and did


@lru_cache
def world() -> Path:
    """A small toy world, drawn once a process: 12 MSRVTT videos, 12 + 2 VidSitu clips."""
    from tasks.toyworld import write

    folder = tempfile.TemporaryDirectory(prefix="srl-bench-world-")
    _KEPT.append(folder)
    write(Path(folder.name), tasks=("msrvtt", "vidsitu"), scale=0.02, workers=1)
    return Path(folder.name)


_KEPT: list[Any] = []  # temporary folders that live as long as this process


@dataclass(frozen=True)
class Place:
    """A folder to work in, with its own cache, results and bench.yaml."""

    root: Path
    cache: Path
    output: Path

    @classmethod
    def at(cls, root: Path, cache: Path | None = None, output: Path | None = None) -> Place:
        """Make the folder and its configuration; cache and results may lie elsewhere."""
        place = cls(root, cache or root / "cache", output or root / "results")
        root.mkdir(parents=True, exist_ok=True)
        text = CONFIG.format(cache=place.cache, output=place.output, world=world())
        (root / "bench.yaml").write_text(text)
        return place

    def start(self, *command: str, token: str = "", **more: Any) -> subprocess.Popen[str]:
        """Start `bench` in a process group of its own; its workers can be found by `token`."""
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
            "PYTHONDONTWRITEBYTECODE": "1", TOKEN: token, **more.pop("env", {}),
        }  # fmt: skip
        program = more.pop("program", [sys.executable, "-m", "bench", "--quiet"])
        return subprocess.Popen(
            [*program, *command], cwd=self.root, env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
        )  # fmt: skip

    def bench(self, *command: str, code: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end. AssertionError for another exit code or a traceback."""
        process = self.start(*command, **more)
        out, err = process.communicate(timeout=280)
        assert process.returncode == code, f"exit {process.returncode}: {err[-1500:]}"
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def contents(folder: Path) -> dict[str, str]:
    """Every file below `folder` by what of it must repeat: tensors, numbers, text, not times.

    Remembered hashes are left out: they go by the times of files.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name != "hashes":
            name = str(path.relative_to(folder))
            found[name] = hashlib.sha256("\n".join(_facts(path)).encode()).hexdigest()
    return found


def _facts(path: Path) -> Iterator[str]:
    if path.suffix == ".safetensors":  # raises where it does not open
        with safe_open(path, framework="np") as file:
            for name in sorted(file.keys()):
                tensor = file.get_tensor(name)
                yield f"{name} {tensor.dtype} {tensor.shape} {tensor.tobytes().hex()}"
    elif path.name == "log.jsonl":  # a killed training has done some steps twice
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        steps = {(line["kind"], line["step"]): _steady(line) for line in lines}
        yield from map(str, sorted(steps.items(), key=str))
    elif path.suffix == ".json":
        yield json.dumps(_steady(json.loads(path.read_text())), sort_keys=True)
    elif path.suffix == ".html":
        yield re.sub(r"made \d{4}-\d\d-\d\d \d\d:\d\d UTC", "", path.read_text())
    else:
        yield path.read_bytes().hex()


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(one) for key, one in value.items() if key not in VOLATILE}
    return [_steady(one) for one in value] if isinstance(value, list) else value


def differences(one: dict[str, str], two: dict[str, str]) -> list[str]:
    """Names of files that are only in one, or differ."""
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def leftovers(folder: Path) -> list[str]:
    """Temporary files and locks below `folder`, ours or a library's."""
    return [str(p.relative_to(folder)) for p in folder.rglob(".*")]


def processes(token: str) -> list[int]:
    """Living processes that a command with this token started, itself included."""
    wanted = f"{TOKEN}={token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            if not dead and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def ended(token: str, within: float = 15.0) -> bool:
    """Whether all of a command's processes end by themselves."""
    deadline = time.monotonic() + within
    while processes(token):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def workshop() -> Iterator[Path]:
    """A temporary folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="srl-bench-fault-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
