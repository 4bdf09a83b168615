"""The common way, as retrieval code usually does it, written out plainly to be measured against.

`python -m tests.perf.peers SOURCE MODEL`: one video after the other in the main process, a seek a
second with OpenCV, PIL transforms, one video encoded at a time, nothing kept.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.metrics.retrieval import best_of_rows


def frames_by_seeking(path: Path, count: int = 12) -> list[np.ndarray]:
    """The first frame of each second, `count` of them spread evenly: RGB pictures."""
    import cv2

    video = cv2.VideoCapture(str(path))
    rate, total = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    pictures = []
    for second in range(max(1, int(total / rate))):
        video.set(cv2.CAP_PROP_POS_FRAMES, int(second * rate))
        read, picture = video.read()
        if read:
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    video.release()
    return [pictures[at] for at in np.linspace(0, len(pictures) - 1, count, dtype=int)]


def evaluate(source: Path, arch: str, weights: str) -> float:
    """R@1 of the source's pairs."""
    import open_clip
    import torch
    from PIL import Image

    if arch not in open_clip.list_models():
        open_clip.add_model_config(Path(weights).parent / f"{arch}.json")
    model, _, transform = open_clip.create_model_and_transforms(arch, pretrained=weights)
    tokenize = open_clip.get_tokenizer(arch)
    model.eval()
    folder = source / "msrvtt"
    with (folder / "MSRVTT_JSFUSION_test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    videos, texts = [], []
    with torch.no_grad():
        for row in rows:
            pictures = frames_by_seeking(folder / "videos" / f"{row['video_id']}.mp4")
            batch = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
            features = model.encode_image(batch)
            features = features / features.norm(dim=-1, keepdim=True)
            mean = features.mean(dim=0)
            videos.append(mean / mean.norm())
        for at in range(0, len(rows), 64):
            words = tokenize([row["sentence"] for row in rows[at : at + 64]])
            features = model.encode_text(words)
            texts.append(features / features.norm(dim=-1, keepdim=True))
    similarity = (torch.cat(texts) @ torch.stack(videos).T).numpy()
    order = np.argsort(-similarity, axis=1)
    return 100 * float(np.mean(order[:, 0] == np.arange(len(rows))))


def caption_metrics(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], groups: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """CIDEr, BLEU and ROUGE-L by pycocoevalcap, of all items and of each group of a grouping."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    def score(chosen: Sequence[int]) -> list[float]:
        truth = {at: list(references[at]) for at in chosen}
        said = {at: [hypotheses[at]] for at in chosen}
        return [
            Cider().compute_score(truth, said)[0],
            *Bleu(4).compute_score(truth, said, verbose=0)[0],
            Rouge().compute_score(truth, said)[0],
        ]

    found: dict[str, Any] = {"all": score(range(len(hypotheses)))}
    for number, labels in enumerate(groups):
        members: dict[str, list[int]] = {}
        for at, label in enumerate(labels):
            members.setdefault(label, []).append(at)
        found[f"macro {number}"] = np.mean([score(chosen) for chosen in members.values()], axis=0)
    return found


def ranks_in_float64(
    texts: np.ndarray, videos: np.ndarray, top: int = 10, block_bytes: int = 64 << 20
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of text i's video i, and of video i's text i, of all products in float64.

    The best of both ways are found too, as `bench.metrics.retrieval` did it before float32.
    """
    columns, size = videos.T.astype(np.float64), len(texts)
    own = np.einsum("md,md->m", texts.astype(np.float64), videos.astype(np.float64))
    own = own.astype(np.float32)
    t2v, v2t = np.empty(size, np.int64), np.zeros(size, np.int64)
    best = np.zeros((size, top), np.int64)
    scores = np.full((size, top), -np.inf, np.float32)
    step = max(1, block_bytes // (8 * size))
    for at in range(0, size, step):
        rows = slice(at, at + step)
        block = (texts[rows].astype(np.float64) @ columns).astype(np.float32)
        t2v[rows] = (block >= own[rows, None]).sum(axis=1)
        best_of_rows(block, top)
        v2t += (own[:, None] <= block.T).sum(axis=1)
        better = np.flatnonzero(block.max(axis=0) > scores[:, -1])
        places, found = best_of_rows(block.T[better], min(top, len(block)))
        places = np.concatenate([best[better], places + at], axis=1)
        found = np.concatenate([scores[better], found], axis=1)
        order = np.argsort(-found, axis=1, kind="stable")[:, :top]
        best[better] = np.take_along_axis(places, order, 1)
        scores[better] = np.take_along_axis(found, order, 1)
    return t2v, v2t


def flat_searches(texts: np.ndarray, videos: np.ndarray, top: int = 10) -> np.ndarray:
    """The `top` best videos of each text, and texts of each video, by flat faiss searches.

    Of the texts' places int [M, top]: faiss gives no ranks.
    """
    import faiss

    found = []
    for items, queries in ((videos, texts), (texts, videos)):
        index = faiss.IndexFlatIP(items.shape[1])
        index.add(items)
        found.append(index.search(queries, top)[1])
    places: np.ndarray = found[0]
    return places


if __name__ == "__main__":
    where, model_name = sys.argv[1:]
    architecture, _, file = model_name.removeprefix("open_clip:").partition("/")
    print(evaluate(Path(where), architecture, file))
