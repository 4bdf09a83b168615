"""ViFi-CLIP (arXiv 2212.03640): OpenAI's CLIP, fine-tuned whole on Kinetics-400.

Read in muzairkhattak/ViFi-CLIP at e2d1948. No part of it is new; its checkpoint has names of its
own and lacks the token embedding, which training did not change.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from adapters.checkpoint import State
from adapters.official import built
from adapters.openai_clip import clip, clip_config

TOKENS = "token_embedding.weight"
PROMPTS = "prompt_learner."  # the embedded training prompts: of no use for other texts
VISION, TEXT = "image_encoder.", "text_encoder."


def load(
    state: State, tokens: State, where: Any, remedy: str, config: dict[str, Any] | None = None
) -> nn.Module:
    """open_clip's CLIP from the official names, the token embedding from OpenAI's weights `tokens`.

    Both are state dicts. `config` is open_clip's, by default that of the weights' own sizes.
    BenchError where they do not fit.
    """
    state = {name: value for name, value in state.items() if not name.startswith(PROMPTS)}
    if TOKENS in tokens:
        state[TOKENS] = tokens[TOKENS]
    sizes = config or clip_config({_ours(name): value for name, value in state.items()}, where)
    return built(lambda: clip(sizes), state, where, remedy, official_name)


def _ours(name: str) -> str:
    return name.removeprefix(TEXT) if name.startswith(TEXT) else name.replace(VISION, "visual.")


def official_name(name: str) -> str:
    """A name of open_clip's CLIP as ViFi-CLIP has it, without its `module.`."""
    if name.startswith("visual."):
        return VISION + name.removeprefix("visual.")
    return name if name in (TOKENS, "logit_scale") else TEXT + name
