"""Training's data at the real size: 23,600 videos, 1,500 verbs, text features of L/14's width.

    python -m tests.rehearsal_training DIR [--videos N] [--roles FILE]

Prints a JSON line: seconds to build the prompts and negatives and to prepare their features (of a
model that draws them), how many texts there are, and the peak memory beside what the features take.
`--roles` is a JSON file of verb senses with their roles' names, such as
{"drive.01": {"Arg0": "driver"}}; without it they are made up.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from pathlib import Path

import numpy as np

from bench.features.work import Silent
from bench.training.data import _encode
from tasks.vidsitu.annotations import EVENTS, Annotation, Event
from tasks.vidsitu.prompts import PUBLISHED_NEGATIVES, RoleNames, dense_prompt, negative_prompts

WORDS, DIM = 8000, 768


class Drawn:
    """Only what the encoding of texts asks of a model: features of a text's length."""

    fingerprint = "drawn"

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.random.default_rng(len(texts[0])).random((len(texts), DIM), np.float32)

    def count_truncated(self, texts: list[str]) -> int:
        return sum(len(text.split()) > 75 for text in texts)


def made_up_roles() -> dict[str, dict[str, str]]:
    chooser = random.Random(1)
    return {
        f"verb{number}.01": {
            f"Arg{slot}": f"role {number} {slot}" for slot in range(chooser.randint(1, 5))
        }
        for number in range(1500)
    }


def annotations(roles: dict[str, dict[str, str]], videos: int) -> list[Annotation]:
    """Verbs and words by Zipf's law; the first numbered arguments of a verb, manner and scene."""
    chooser = random.Random(0)
    verbs = list(roles)
    weights = [1 / (rank + 2) for rank in range(len(verbs))]
    words = [f"word{number}" for number in range(WORDS)]

    def event(verb: str) -> Event:
        keys = [f"{slot} ({name})" for slot, name in roles[verb].items()][:4]
        keys += ["ArgM (manner)", "Scene of the Event"]
        values = (" ".join(chooser.choices(words, k=chooser.randint(1, 6))) for _ in keys)
        return Event(verb, verb, tuple(zip(keys, values, strict=True)))

    def video(number: int) -> Annotation:
        chosen = chooser.choices(verbs, weights, k=len(EVENTS))
        return Annotation(f"v_{number}_seg_0_10", tuple(map(event, chosen)))

    return list(map(video, range(videos)))


def main() -> None:
    """Run the rehearsal and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=23_600)
    parser.add_argument("--roles", type=Path)
    given = parser.parse_args()
    roles = json.loads(given.roles.read_text()) if given.roles else made_up_roles()
    made = annotations(roles, given.videos)
    began = time.perf_counter()
    names = RoleNames.of(made)
    prompts = [dense_prompt(event) for one in made for event in one.events]
    hard = [
        text
        for one in made
        for event in negative_prompts(one, names, PUBLISHED_NEGATIVES, 0)
        for text in event
    ]
    built = time.perf_counter() - began
    first = list(dict.fromkeys(prompts))
    texts = list(dict.fromkeys([*first, *hard]))
    ends = {"prompts": len(first), "negatives": len(texts)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    features, counts = _encode(texts, ends, Drawn(), given.folder, Silent())  # type: ignore[arg-type]
    prepared = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({
        "videos": given.videos, "verbs": len(names.keys), **counts,
        "seconds": {"prompts and negatives": round(built, 1), "features": round(prepared, 1)},
        "features_MiB": round(features.nbytes / 2**20), "peak_MiB": round(peak / 1024),
        "before_features_MiB": round(before / 1024),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
