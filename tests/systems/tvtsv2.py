"""TVTSv2: embeddings as they are, and their cosine."""

from __future__ import annotations

from collections.abc import Iterator

from torch.nn.functional import normalize

from adapters.checkpoint import unprefixed
from adapters.tvtsv2_model import Sizes, load
from tests.systems.case import Case, Output

EMBEDDING, COSINE = 5e-6, 1e-6  # what the official code's own reimplementation was within


def outputs(case: Case) -> Iterator[Output]:
    """The official `forward` and `sim_matrix`."""
    model = load(Sizes.of(case.config), unprefixed(case.state), "the case", "check its names")
    texts = model.encode_text(case.inputs["text"])
    tokens = model.video_model.tokens(case.inputs["video"])
    videos = model.encode_video(case.inputs["video"])
    yield Output("text_embeds", texts, EMBEDDING)
    yield Output("video_embeds", videos, EMBEDDING)
    yield Output("video_tokens_projected", tokens, EMBEDDING)
    yield Output("sims", normalize(texts, eps=1e-8) @ normalize(videos, eps=1e-8).T, COSINE)
