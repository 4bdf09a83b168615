"""VAST: every output of its golden files, with or without sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from adapters.vast_checkpoint import build
from adapters.vast_model import NAMES, VAST, matched, pooled
from adapters.vast_settings import TASKS, VASTSettings
from bench.metrics.reranking import nearest
from tests.systems.case import Case, Output, State

FEATURES, ITM = "feats (normalised) and sims", "itm and reranked"
RAW, CONDITION = "feats before normalisation", "condition_feats"


def model_of(case: Case) -> VAST:
    """The model of a case, for all tasks that its weights and inputs allow."""
    sizes = case.config
    settings = VASTSettings(
        vision_heads=sizes["vision_heads"],
        text_heads=sizes["bert_heads"],
        vision_frames=sizes["max_vision_sample_num"],
        audio_segments=sizes.get("max_audio_sample_num", 1),
        audio_distance=sizes.get("beats", {}).get("max_distance", 800),
    )
    return build(case.state, settings, tasks_of(case)).eval()


def tasks_of(case: Case) -> list[str]:
    """Those without sound where the case has none."""
    return [task for task, kinds in TASKS.items() if "audio" in case.inputs or "a" not in kinds]


def tokens_of(model: VAST, inputs: State) -> dict[str, torch.Tensor]:
    """The tokens of each modality that the case has."""
    found = {
        "v": model.vision_tokens(inputs["video"]),
        "s": model.text_tokens(inputs["subtitle_input_ids"], inputs["subtitle_attention_mask"]),
    }
    return found | ({"a": model.audio_tokens(inputs["audio"])} if "audio" in inputs else {})


def outputs(case: Case) -> Iterator[Output]:
    """Each official output as our model computes it."""
    tolerance = case.config["tolerance"]
    exact = tolerance.get("audio_tokens and pooled", tolerance[RAW])
    model, inputs = model_of(case), case.inputs
    tokens = tokens_of(model, inputs)
    for kind in tokens:
        yield Output(f"{NAMES[kind]}_pooled", pooled(kind, tokens[kind]), exact)
    if "a" in tokens:
        yield Output("audio_tokens", tokens["a"], exact)

    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    raw = model.text_features(model.text_tokens(ids, mask))
    texts = normalize(raw, dim=-1)
    yield Output("text_feats_before_normalise", raw, tolerance[RAW])
    yield Output("text_feats", texts, tolerance[FEATURES])
    for task in tasks_of(case):
        yield from _outputs_of(task, model, case, tokens, texts)
    if "unpadded_input_ids" in inputs:
        ids, mask = inputs["unpadded_input_ids"], inputs["unpadded_attention_mask"]
        features = normalize(model.text_features(model.text_tokens(ids, mask)), dim=-1)
        yield Output("text_feats_unpadded", features, tolerance[FEATURES])
        condition = model.condition("tv", tokens)
        yield Output("itm_unpadded_tv", _all_pairs(model, ids, mask, condition), tolerance[ITM])


def _outputs_of(
    task: str, model: VAST, case: Case, tokens: dict[str, torch.Tensor], texts: torch.Tensor
) -> Iterator[Output]:
    tolerance: dict[str, Any] = case.config["tolerance"]
    raw = model.video_features(task, tokens)
    videos = normalize(raw, dim=-1)
    similarity = texts @ videos.T
    condition = model.condition(task, tokens)
    ids, mask = case.inputs["input_ids"], case.inputs["attention_mask"]

    def match(video: int, texts: list[int]) -> np.ndarray:
        return matched(model, ids[texts], mask[texts], condition[video]).numpy()

    name = "video_feats_before_normalise"  # of the case without sound: of tv alone
    alone = task == "tv" and name in case.outputs
    yield Output(name if alone else f"{name}_{task}", raw, tolerance[RAW])
    yield Output(f"video_feats_{task}", videos, tolerance[FEATURES])
    yield Output(f"sims_{task}", similarity, tolerance[FEATURES])
    yield Output(f"condition_feats_{task}", condition, tolerance[CONDITION])
    yield Output(f"itm_all_pairs_{task}", _all_pairs(model, ids, mask, condition), tolerance[ITM])
    k = case.config["itm_rerank_num"]
    for side in ("t2v", "v2t"):
        found = reranked(texts, videos, k, side == "v2t", match)
        yield Output(f"reranked_{side}_{task}", torch.from_numpy(found), tolerance[ITM])


def reranked(
    texts: torch.Tensor,
    videos: torch.Tensor,
    k: int,
    v2t: bool,
    match: Callable[[int, list[int]], np.ndarray],
) -> np.ndarray:
    """float32 [texts, videos]: what `match` gives for a video and its texts, and 0 elsewhere.

    The pairs are those that the harness chooses: the `k` best videos of each text, or for `v2t` the
    best texts of each video.
    """
    marks = np.zeros((len(texts), len(videos)), bool)
    if v2t:
        marks[nearest(videos.numpy(), texts.numpy(), k).T, np.arange(len(videos))] = True
    else:
        marks[np.arange(len(texts))[:, None], nearest(texts.numpy(), videos.numpy(), k)] = True
    found = np.zeros(marks.shape, np.float32)
    for video, marked in enumerate(marks.T):
        if chosen := np.flatnonzero(marked).tolist():
            found[chosen, video] = match(video, chosen)
    return found


def _all_pairs(
    model: VAST, ids: torch.Tensor, mask: torch.Tensor, condition: torch.Tensor
) -> torch.Tensor:
    """The probability [texts, videos] of each pair."""
    return torch.stack([matched(model, ids, mask, one) for one in condition], dim=1)
