"""Toy files of further sets: several captions a video (MSVD), actions in groups (UCF101)."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tasks.toyworld.video import Video
from tasks.toyworld.world import VERBS, deal, make_event, make_groups, scaled, sentence

STYLES = 4  # of a sentence, and captions of a video
MSVD_GROUPS, UCF_GROUPS = 8, 3
Files = tuple[dict[Path, str], list[Video]]


def msvd(folder: Path, seed: int, scale: float) -> Files:
    """The first events of the toy MSRVTT with four captions each; a group is one long video."""
    rows, videos = [], []
    for number, group in enumerate(make_groups("msrvtt", scaled(MSVD_GROUPS, scale), seed), 1):
        for index, event in enumerate(group):
            name = f"toyMSVD{number:04d}_{3 * index}_{3 * index + 3}"
            captions = [sentence(event, style) for style in range(STYLES)]
            rows.append({"video_id": name, "video": f"{name}.avi", "caption": captions})
            videos.append(Video(folder / "YouTubeClips" / f"{name}.avi", (event,), 3.0, 10))
    return {folder / "msvd_test.json": json.dumps(rows)}, videos


def ucf101(folder: Path, seed: int, scale: float) -> Files:
    """A class a verb. The two clips of a group share their cast, which no other group has."""
    classes = sorted(verb.title() for verb in VERBS)
    groups = scaled(UCF_GROUPS, scale)
    casts = iter(deal("msrvtt", len(classes) * groups, seed))
    rng = random.Random(f"ucf101 {seed}")
    listed, videos = [], []
    for name in classes:
        for group in range(1, groups + 1):
            cast = next(casts)
            for clip in (1, 2):
                path = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
                event = make_event(rng, cast, name.lower())
                listed.append(path)
                videos.append(Video(folder / "UCF-101" / path, (event,), 3.0, 10))
    files = {"testlist01.txt": listed,
             "classInd.txt": [f"{n} {name}" for n, name in enumerate(classes, 1)]}  # fmt: skip
    lists = {folder / "ucfTrainTestlist" / name: "".join(f"{line}\n" for line in lines)
             for name, lines in files.items()}  # fmt: skip
    return lists, videos
