"""Full, read-only and forbidden disks: one line that names the path and the remedy, stores valid.

Where mounting is allowed (root), the disk is a tmpfs of a few hundred KiB, so that the write fails
at any byte; every command is tried on several sizes, and must end right once there is space.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.harness import (
    RUN,
    SWEEP,
    TRAIN,
    Place,
    contents,
    differences,
    leftovers,
    workshop,
)
from tests.faults.table import FaultRow

AREA = "Disk full, read-only, forbidden"
PAGE = ("report", "--format", "html", "--output", "full/page.html")
EXPORT = ("export", "--model", "srlclip-tiny", "--output", "full/merged.safetensors")
ANSWERS = ("export", "vidsitu", "--model", "clip-tiny", "--source", "world", "--split", "testvb",
           "--output", "full/verbs.json")  # fmt: skip
NOBODY = 65534
NO_FILE = "200m,nr_inodes=1"  # room for bytes, for no file but the folder itself


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with workshop() as folder:
        made = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True)
        if made.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)
        return made.returncode == 0


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of `size`, such as 100k."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Give a mounted tmpfs another size, or make it read-only."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@dataclass(frozen=True)
class Target:
    """What a command writes: `below` is put on the small disk, `ready` is made there before."""

    what: str
    command: Sequence[str]
    below: str
    sizes: Sequence[str]
    ready: Sequence[str] = ()


TARGETS = (
    Target("frame store", RUN, "cache/frames", ("16k", "200k", "1m")),
    Target("feature store", RUN, "cache/features", ("16k", "40k", "60k")),
    Target("learnt heads", RUN, "cache/learnt", ("16k", "600k", "1500k")),
    Target("results of a run", RUN, "results", ("4k", "16k", "24k")),
    Target("training checkpoints and log", TRAIN, "results", ("4k", "300k", "2m")),
    Target("cells and record of a sweep", SWEEP, "results", ("8k", "1m", "4m")),
    Target("report page", PAGE, "full", ("4k", "60k"), RUN),
    Target("exported checkpoint", EXPORT, "full", ("4k", "2m")),
    Target("exported predictions", ANSWERS, "full", (NO_FILE,), RUN),
    Target("hashes of weights", RUN, "cache/hashes", (NO_FILE,)),
)


def refused(done: subprocess.CompletedProcess[str], path: str) -> list[str]:
    """What is wrong with how a command ended: one line with `path` and a remedy is expected."""
    lines = done.stderr.strip().splitlines()
    said = lines[-1] if lines else ""
    problems = []
    if done.returncode != 1:
        problems.append(f"exit {done.returncode}")
    if "Traceback" in done.stderr:
        problems.append("traceback")
    if not said.startswith("error: ") or path not in said or "; " not in said:
        problems.append(f"said {said[:300]!r}")
    return problems


def attempt(place: Place, command: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    process = place.start(*command, **more)
    out, err = process.communicate(timeout=280)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def full_disk(target: Target) -> tuple[int, list[str]]:
    """Fill the disk at several bytes, then give it space: how often it was full, and problems."""
    tried, problems = 0, []
    with workshop() as folder:
        expected = _undisturbed(target, folder)
        for size in target.sizes:
            place = _ready(target, folder)
            with mounted(place.root / target.below, size) as disk:
                done = attempt(place, target.command)
                if done.returncode == 0:
                    problems.append(f"{size}: the disk was not full; nothing was tried")
                else:
                    tried += 1
                    problems += [f"{size}: {one}" for one in refused(done, target.below)]
                try:
                    contents(place.root)  # what stands there opens
                except Exception as error:
                    problems.append(f"{size}: damaged after the refusal: {error}")
                remount(disk, "size=200m,nr_inodes=100k")
                done = attempt(place, target.command)
                if done.returncode:
                    problems.append(f"{size}: with space: {done.stderr[-300:]}")
                elif wrong := differences(expected, contents(place.root)):
                    problems.append(f"{size}: {len(wrong)} files differ, such as {wrong[0]}")
                problems += [f"{size}: left behind {one}" for one in leftovers(place.root)]
            shutil.rmtree(place.root)
    return tried, problems


def _ready(target: Target, folder: Path) -> Place:
    """A fresh place; with the results of one and the same run where the command needs them."""
    place = Place.at(folder / "place")
    if target.ready:
        kept = folder / "ready"
        if not kept.exists():
            place.bench(*target.ready)
            kept.mkdir()
            place.cache.rename(kept / "cache")
            place.output.rename(kept / "results")
        shutil.copytree(kept, place.root, dirs_exist_ok=True)
    return place


def _undisturbed(target: Target, folder: Path) -> dict[str, str]:
    place = _ready(target, folder)
    place.bench(*target.command)
    found = contents(place.root)
    shutil.rmtree(place.root)
    return found


def read_only() -> tuple[int, list[str]]:
    """Stores and results on a disk that is mounted read-only."""
    tried, problems = 0, []
    for below in ("cache", "results"):
        with workshop() as folder:
            place = Place.at(folder / "place")
            with mounted(place.root / below, "200m") as disk:
                remount(disk, "ro")
                tried += 1
                problems += [f"{below}: {one}" for one in
                             refused(attempt(place, RUN), str(disk))]  # fmt: skip
                remount(disk, "rw")
                place.bench(*RUN)
                remount(disk, "ro")
                if below == "cache":  # everything is there: a store of others may be read-only
                    place.bench(*RUN)
    return tried, problems


def forbidden() -> tuple[int, list[str]]:
    """Folders of another user. Root is made an ordinary user by taking its power over files."""
    tried, problems = 0, []
    powers = "-dac_override,-dac_read_search,-fowner"
    plain = ["setpriv", "--bounding-set", powers, "--inh-caps", powers]
    program = [*plain, sys.executable, "-m", "bench", "--quiet"]
    with workshop() as folder:
        for below, command in (("cache", RUN), ("results", RUN), ("results", TRAIN),
                               ("results", SWEEP), ("full", PAGE)):  # fmt: skip
            place = Place.at(folder / "place")
            if command is PAGE:
                place.bench(*RUN)
            (place.root / below).mkdir(exist_ok=True)
            os.chown(place.root / below, NOBODY, NOBODY)
            tried += 1
            done = attempt(place, command, program=program)
            problems += [f"{below}, {command[0]}: {one}" for one in refused(done, below)]
            shutil.rmtree(place.root)
        place = Place.at(folder / "place")
        text = (place.root / "bench.yaml").read_text()
        (place.root / "bench.yaml").write_text(text.replace(f"cache: {place.cache}, ", ""))
        home = folder / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        tried += 1
        environment = {"HOME": str(home), "XDG_CACHE_HOME": ""}
        done = attempt(place, RUN, program=program, env=environment)
        problems += [f"HOME of another: {one}" for one in refused(done, str(home))]
        place = Place.at(folder / "place")
        tried += 1
        done = attempt(place, RUN, program=["env", "-u", "HOME", *program])
        problems += [] if done.returncode == 0 else [f"HOME unset: {done.stderr[-300:]}"]
    return tried, problems


def in_the_way() -> tuple[int, list[str]]:
    """A file where the cache, the results, a training or the page's folder should be."""
    tried, problems = 0, []
    for below, command in (("cache", RUN), ("results", RUN), ("results", TRAIN),
                           ("full", EXPORT)):  # fmt: skip
        with workshop() as folder:
            place = Place.at(folder / "place")
            (place.root / below).write_text("")
            tried += 1
            done = attempt(place, command)
            problems += [f"{below}, {command[0]}: {one}" for one in refused(done, below)]
    return tried, problems


def limited(size: int = 100_000) -> tuple[int, list[str]]:
    """RLIMIT_FSIZE, as batch systems set it: no file may grow beyond `size` bytes."""
    tried, problems = 0, []
    for command in (RUN, TRAIN, EXPORT):
        with workshop() as folder:
            place = Place.at(folder / "place")
            tried += 1
            done = attempt(place, command, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (size, size)))  # fmt: skip
            problems += [
                f"{command[0]}: {one}"
                for one in refused(done, "full" if command is EXPORT else "place")
            ]
            contents(place.root)
            place.bench(*command)
            problems += [f"left behind {one}" for one in leftovers(place.root)]
    return tried, problems


DRAW = """
import sys
from pathlib import Path
from bench.errors import BenchError
from tasks.toyworld import write
if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]), tasks=("msrvtt",), scale=0.08)
    except BenchError as error:
        sys.exit(f"error: {error}")
"""


def drawing() -> tuple[int, list[str]]:
    """The toy world drawn on a full disk, and without shared memory."""
    problems = []
    with workshop() as folder:
        place = Place.at(folder / "place")
        (folder / "draw.py").write_text(DRAW)
        program = [sys.executable, str(folder / "draw.py")]
        place.bench("whole", program=program)
        expected = contents(place.root / "whole")
        with mounted(place.root / "small", "300k") as disk:
            done = attempt(place, ["small"], program=program)
            problems += [f"drawing: {one}" for one in refused(done, "small")]
            remount(disk, "size=100m")
            place.bench("small", program=program)
            if differences(expected, contents(disk)) or leftovers(disk):
                problems.append("drawing: another world, or something left, once there was space")
        without = 'mount -t tmpfs -o ro,size=4k tmpfs /dev/shm && exec "$@"'
        hidden = ["unshare", "-m", "sh", "-c", without, "sh"]
        place.bench("other", program=[*hidden, *program])
        if differences(expected, contents(place.root / "other")):
            problems.append("without /dev/shm: another world")
        place.bench(*RUN, program=[*hidden, sys.executable, "-m", "bench", "--quiet"])
    return 3, problems


def full_output() -> tuple[int, list[str]]:
    """Standard output into a full disk."""
    with workshop() as folder, Path("/dev/full").open("w") as full:
        place = Place.at(folder / "place")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-m", "bench", "report", "--published"], cwd=place.root,
            stdout=full, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
    return 1, refused(done, "standard output")


def rows(quick: bool) -> list[FaultRow]:
    """Every target on disks of several sizes, then what else keeps a command from writing."""
    found = []
    fine = "one line with path and remedy, exit 1; stores valid; with space the right numbers"
    if can_mount():
        found += [
            _row(f"disk full: {target.what}", full_disk(target), fine)
            for target in (TARGETS[:1] if quick else TARGETS)
        ]
    found.append(_row("file size limit (RLIMIT_FSIZE)", limited(), fine))
    found.append(_row("a file where a folder should be", in_the_way(), fine))
    if quick:
        return found
    found.append(_row("standard output to a full disk", full_output(), "one line, exit 1"))
    if can_mount():
        found += [
            _row("disk mounted read-only", read_only(), f"{fine}; a complete store is read"),
            _row("folders of another user; HOME unwritable or unset", forbidden(), fine),
            _row("toy world: disk full while drawing; no /dev/shm", drawing(), fine),
        ]
    return found


def _row(fault: str, result: tuple[int, list[str]], fine: str) -> FaultRow:
    tried, problems = result
    outcome = f"{len(problems)} FAULTS, the first: {problems[0]}" if problems else fine
    return FaultRow(AREA, fault, tried, outcome)
