"""A full-size VidSitu with made-up annotations and random features of ViT-B/32's size.

    python -m tests.rehearsal_vidsitu DIR [--train N] [--epochs N] [--head own|videowhisperer]

Trains a head of the published size, answers and scores 1,326 videos, and prints a JSON line with
seconds of each step and the peak memory. The last epoch answers: selecting one answers after each.
Nothing is learnt, for nothing is there to learn: this shows that the whole goes through at full
size, and what it costs.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.contracts import Features, Source, Workplace
from bench.features.work import Silent
from tasks.vidsitu.annotations import VIDEOS
from tasks.vidsitu.head.settings import OWN, WHISPERER
from tasks.vidsitu.head.training import HEAD, kept_head
from tasks.vidsitu.task import VidSitu

DIM, VERBS, WORDS = 512, 1500, 8000
ROLES = ("Arg0 (agent)", "Arg1 (thing)", "Arg2 (end)", "ArgM (location)", "ArgM (manner)")


class RandomAdapter:
    """Only what a task asks of an adapter once features are there."""

    name, fingerprint, embed_dim, reads_texts = "random-b32", "random-b32", DIM, True

    def contextualize(self, frame_features: np.ndarray) -> None:
        return None

    def pool(self, frame_features: np.ndarray) -> np.ndarray:
        mean = frame_features.mean(axis=0)
        return mean / np.linalg.norm(mean)


def write_tree(root: Path, train: int) -> None:
    """Annotation files of as many words and verbs as the real ones, by Zipf's law."""
    chooser = random.Random(0)
    words = [f"w{number}" for number in range(WORDS)]
    word_weights = [1 / (rank + 2) for rank in range(WORDS)]
    verbs = [f"verb{number}.01" for number in range(VERBS)]
    verb_weights = [1 / (rank + 2) for rank in range(VERBS)]

    def event(name: str, verb: str, roles: list[str]) -> dict[str, Any]:
        values = {
            role: " ".join(chooser.choices(words, word_weights, k=chooser.randint(1, 6)))
            for role in roles
        }
        return {"vid_seg_int": name, "VerbID": verb, "Verb": verb, "Args": values,
                "Arg_List": {role: place for place, role in enumerate(roles)}}  # fmt: skip

    for split, size, annotators in (("train", train, 1), ("valid", VIDEOS, 3)):
        names = [f"v_{split}{number:06d}_seg_0_10" for number in range(size)]
        annotations, labels = [], []
        for name in names:
            chosen = chooser.choices(verbs, verb_weights, k=5)
            roles = [[*chooser.sample(ROLES, 3), "Scene of the Event"] for _ in chosen]
            annotations += [
                {f"Ev{k + 1}": event(name, chosen[k], roles[k]) for k in range(5)}
                for _ in range(annotators)
            ]
            votes = {f"Ev{k + 1}": [verb] * 4 + chooser.choices(verbs, verb_weights, k=6)
                     for k, verb in enumerate(chosen)}  # fmt: skip
            labels.append({"vid_seg_int": name, "vbid_lst": votes})
        for folder, stem, content in (
            ("split_files", "vseg_split", names),
            ("vseg_ann_files", "vsann", annotations),
            ("vinfo_files", "vinfo", labels),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / f"{stem}_{split}_lb.json").write_text(json.dumps(content))


def main() -> None:
    """Run the rehearsal and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--head", choices=[OWN, WHISPERER], default=OWN)
    given = parser.parse_args()
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal began
        seconds[name] = round(time.perf_counter() - began, 2)
        began = time.perf_counter()

    write_tree(given.folder, given.train)
    lap("write")
    settings = {"epochs": given.epochs, "head": given.head, "select": "last"}
    task = VidSitu.load(Source("rehearsal", given.folder, settings=settings))
    lap("load")
    generator = np.random.default_rng(0)
    clips = {
        clip.id: generator.normal(size=(20, DIM)).astype(np.float32)
        for clip in [*task.support, *task.clips]
    }
    texts = generator.normal(size=(len(task.texts), DIM)).astype(np.float32)
    lap("features")
    adapter: Any = RandomAdapter()
    place = Workplace(given.folder / "learnt", "cpu", 0, Silent())
    learnt = task.learn(Features(clips, texts), adapter, place)
    lap("learn and answer")
    lines = list(task.answer(Features(clips, texts, learnt), adapter))
    lap("lines and zero-shot")
    scores = task.score(lines, resamples=1000, seed=0)
    lap("score, 1000 resamples")
    task.learn(Features(clips, texts), adapter, place)
    lap("the kept answers again")
    kept = kept_head(next(place.folder.rglob(HEAD)))
    seconds["of these, training"] = round(kept[1]["seconds"], 2) if kept else 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({
        "head": given.head, "train": given.train, "valid": len(task.clips), "epochs": given.epochs,
        "seconds": seconds, "peak_MiB": round(peak / 1024), "answered": scores.answered,
        "Vb@1": round(scores.metrics["Vb@1"], 2), "CIDEr": round(scores.metrics["CIDEr"], 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
