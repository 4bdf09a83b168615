"""ViFi-CLIP: the mean of unnormalised frame features, and its similarity to texts."""

from __future__ import annotations

from collections.abc import Iterator

from torch.nn.functional import normalize

from adapters.checkpoint import unprefixed
from adapters.vifi_clip_model import load
from tests.systems.case import Case, Output


def outputs(case: Case) -> Iterator[Output]:
    """The official `ViFiCLIP.forward`; `openai_clip.*` stands for OpenAI's weights."""
    openai = {name.removeprefix("openai_clip."): value for name, value in case.inputs.items()}
    model = load(unprefixed(case.state), openai, "the case", "check its names")
    pixels, tolerance = case.inputs["pixel_values"], case.config["tolerance"]
    frames = model.encode_image(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
    videos, texts = frames.mean(dim=1), model.encode_text(case.inputs["token_ids"])
    similarity = normalize(texts, dim=-1) @ normalize(videos, dim=-1).T
    yield Output("frame_features", frames, tolerance)
    yield Output("video_features", videos, tolerance)
    yield Output("text_features", texts, tolerance)
    yield Output("similarity_raw", texts @ videos.T, tolerance)
    yield Output("similarity", similarity, tolerance)
    yield Output("logits_video_by_text", model.logit_scale.exp() * similarity.T, tolerance)
