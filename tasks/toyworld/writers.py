"""The toy world as files in the three datasets' own layouts, so that one reader serves both.

Every file is written atomically and a finished video is kept, so a broken run continues where it
stopped; `source.json` is written last and says that a task's folder is whole.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.files.atomic import write_text
from bench.files.untrusted import read_json
from tasks.toyworld import sets
from tasks.toyworld.annotations import annotate, vote
from tasks.toyworld.velociti import ROW, Clip, caption_rows
from tasks.toyworld.video import Video, encode_missing
from tasks.toyworld.world import PEOPLE, Event, deal, make_clip, make_groups, scaled, sentence

VERSION = 2  # raise it when a file's bytes could change
_GROUPS = 24
_SPLITS = {"train": 600, "valid": 100, "testvb": 20, "testsrl": 20, "testevrel": 20}
_ANNOTATORS = 3


def write(
    root: Path,
    tasks: Sequence[str] = ("msrvtt", "lsmdc", "vidsitu", "velociti", "msvd", "ucf101"),
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
    scale: float = 1.0,
) -> Path:
    """Write the toy world's tasks below `root`, a folder each, and return `root`.

    `scale` multiplies the number of groups and clips; `workers` processes draw. A folder whose
    `source.json` says the same seed, scale and version is left as it is; one of another seed or
    scale is refused with UsageError, since its videos would be mixed with others, and so is one
    with other data.
    """
    root = Path(root)
    unknown = [task for task in tasks if task not in _WRITERS]
    if unknown:
        raise UsageError(f"the toy world has no task {unknown[0]!r}; it has {', '.join(_WRITERS)}")
    jobs: list[tuple[Path, dict[str, Any], dict[Path, str], list[Video]]] = []
    for task in tasks:
        marker = _marker(task, seed, scale)
        if not _finished(root / task, marker):
            jobs.append((root / task, marker, *_WRITERS[task](root / task, seed, scale)))
    for folder, marker, _, _ in jobs:
        # Says which world is being drawn here, so that a restart cannot mix two.
        write_text(folder / "drawing.json", json.dumps(marker) + "\n")
    encode_missing([video for *_, videos in jobs for video in videos], workers, progress)
    for folder, marker, texts, _ in jobs:
        for path, text in texts.items():
            write_text(path, text)
        write_text(folder / "source.json", json.dumps(marker) + "\n")
        (folder / "drawing.json").unlink()
    return root


def _marker(task: str, seed: int, scale: float) -> dict[str, Any]:
    return {
        "kind": "toy", "protocol": "toy", "version": VERSION,
        "seed": seed, "scale": scale, "tasks": [task],
    }  # fmt: skip


def _finished(folder: Path, marker: dict[str, Any]) -> bool:
    for name in ("source.json", "drawing.json"):
        if (folder / name).is_file():
            if read_json(folder / name, "delete the folder") != marker:
                raise UsageError(
                    f"{folder} holds another toy world ({name}); delete it or choose another folder"
                )
            return name == "source.json"
    others = [path.name for path in folder.glob("*") if not path.name.startswith(".")]
    if others:
        raise UsageError(
            f"{folder} holds other data ({min(others)}), of which the toy world's files would "
            "replace some; choose another folder"
        )
    return False


def _groups(task: str, seed: int, scale: float) -> list[list[Event]]:
    return make_groups(task, scaled(_GROUPS, scale), seed)


# --- retrieval ------------------------------------------------------------------------------------


def _msrvtt(folder: Path, seed: int, scale: float) -> tuple[dict[Path, str], list[Video]]:
    """MSRVTT 1k-A's table and videos: one sentence a video, groups of twelve alike.

    The column `cluster` says which videos are of one group.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("key", "vid_key", "video_id", "sentence", "cluster"))
    videos = []
    rng = random.Random(f"msrvtt words {seed}")
    groups = _groups("msrvtt", seed, scale)
    events = [(number, event) for number, group in enumerate(groups, 1) for event in group]
    for index, (group, event) in enumerate(events):
        name = f"video{7000 + index}"
        text = sentence(event, rng.randrange(4))
        rows.writerow((f"ret{index}", f"msr{7000 + index}", name, text, f"group{group}"))
        videos.append(Video(folder / "videos" / f"{name}.mp4", (event,), 3.0, 10))
    return {folder / "MSRVTT_JSFUSION_test.csv": table.getvalue()}, videos


def _lsmdc(folder: Path, seed: int, scale: float) -> tuple[dict[Path, str], list[Video]]:
    """LSMDC's table, tab separated without a header, and one folder of clips a film."""
    lines, videos = [], []
    rng = random.Random(f"lsmdc words {seed}")
    for number, group in enumerate(_groups("lsmdc", seed, scale), 1):
        film = f"{number:04d}_Toy_{group[0].scene.title().replace(' ', '_')}"
        for index, (event, text) in enumerate(zip(group, _someone(rng, group), strict=True)):
            start, end = 4 * index, 4 * index + 3
            times = [f"00.{second // 60:02d}.{second % 60:02d}.000" for second in (start, end)]
            clip = f"{film}_{times[0]}-{times[1]}"
            lines.append("\t".join((clip, *times, *times, text)))
            videos.append(Video(folder / "videos" / film / f"{clip}.avi", (event,), 3.0, 10))
    text = "".join(line + "\n" for line in lines)
    return {folder / "LSMDC16_challenge_1000_publictect.csv": text}, videos


def _someone(rng: random.Random, group: Sequence[Event]) -> Iterator[str]:
    """Sentences as LSMDC writes them: a person is SOMEONE where that leaves one answer."""
    for event in group:
        style = rng.randrange(3)
        anonymous = sentence(event, 0, "SOMEONE")
        rivals = [other for other in group if other is not event and other.actor.kind in PEOPLE]
        clear = all(sentence(other, 0, "SOMEONE") != anonymous for other in rivals)
        hide = event.actor.kind in PEOPLE and clear and rng.random() < 0.4
        text = sentence(event, style, "SOMEONE" if hide else None)
        yield text[0].upper() + text[1:] + "."


# --- VidSitu --------------------------------------------------------------------------------------


def _clip_id(split: str, index: int) -> str:
    """A clip's id as VidSitu's: eleven characters, then the seconds of the film."""
    letters = ""
    for _ in range(6):
        index, digit = divmod(index, 26)
        letters = chr(ord("A") + digit) + letters
    return f"v_toy{'ABCDE'[list(_SPLITS).index(split)]}{letters}A_seg_0_10"


def _clips(split: str, rng: random.Random, seed: int, scale: float) -> dict[str, Clip]:
    """The five events of each clip of a split, by its id."""
    return {
        _clip_id(split, index): make_clip(rng, cast)
        for index, cast in enumerate(deal(split, scaled(_SPLITS[split], scale), seed))
    }


def _five_events(folder: Path, clips: Mapping[str, Clip]) -> list[Video]:
    return [Video(folder / "videos" / f"{clip}.mp4", events, 2.0, 6)
            for clip, events in clips.items()]  # fmt: skip


def _vidsitu(folder: Path, seed: int, scale: float) -> tuple[dict[Path, str], list[Video]]:
    """VidSitu's split, vinfo and annotation files, and trimmed clips of five events."""
    base = folder / "vidsitu_annotations"
    files: dict[Path, str] = {}
    videos: list[Video] = []
    for split in _SPLITS:
        rng = random.Random(f"{split} {seed}")
        clips = _clips(split, rng, seed, scale)
        videos += _five_events(folder, clips)
        files[base / "split_files" / f"vseg_split_{split}_lb.json"] = json.dumps(list(clips))
        if split == "testsrl":  # verbs and role names, without values
            named = [
                _without_values(annotate(clip, ev, rng, vary=False)) for clip, ev in clips.items()
            ]
            files[base / "vseg_ann_files" / f"vsann_{split}_noann_lb.json"] = json.dumps(named)
        if split not in ("train", "valid"):
            continue
        infos: list[dict[str, Any]] = [{"vid_seg_int": clip} for clip in clips]
        situations = []
        for info, (clip, events) in zip(infos, clips.items(), strict=True):
            words = random.Random(f"words {clip} {seed}")
            if split == "valid":
                votes = {f"Ev{k}": vote(event, words) for k, event in enumerate(events, 1)}
                info["vbid_lst"] = votes
            annotators = range(_ANNOTATORS if split == "valid" else 1)
            situations += [annotate(clip, events, words, vary=number > 0) for number in annotators]
        files[base / "vinfo_files" / f"vinfo_{split}_lb.json"] = json.dumps(infos)
        files[base / "vseg_ann_files" / f"vsann_{split}_lb.json"] = json.dumps(situations)
    return files, videos


def _without_values(situation: dict[str, Any]) -> dict[str, Any]:
    kept = ("vid_seg_int", "VerbID", "Verb", "Arg_List")
    return {name: {key: event[key] for key in kept} for name, event in situation.items()}


def _velociti(folder: Path, seed: int, scale: float) -> tuple[dict[Path, str], list[Video]]:
    """VELOCITI's rows about VidSitu's validation clips, which are drawn here too."""
    clips = _clips("valid", random.Random(f"valid {seed}"), seed, scale)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(ROW)
    rows.writerows(caption_rows(clips, random.Random(f"velociti {seed}")))
    return {folder / "velociti.csv": table.getvalue()}, _five_events(folder, clips)


_WRITERS = {
    "msrvtt": _msrvtt, "lsmdc": _lsmdc, "vidsitu": _vidsitu,
    "velociti": _velociti, "msvd": sets.msvd, "ucf101": sets.ucf101,
}  # fmt: skip
