"""CLIP4Clip: both heads, the head's start from CLIP's weights, and CLIP in half precision."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import normalize, pad

from adapters.checkpoint import State
from adapters.clip4clip import HEADS, SEQUENCE
from adapters.clip4clip_model import CLIP4Clip, load, official_state, pooled
from adapters.openai_clip import clip_config
from tests.systems.case import Case, Output

RELATIVE = 1e-5  # of the features of seqTransf, which are large


def outputs(case: Case) -> Iterator[Output]:
    """The official `get_sequence_visual_output` and `get_similarity_logits`."""
    state = official_state(case.state)
    tolerance, half = case.config["tolerance"], case.config["tolerance_half"]
    for head in HEADS:
        model = loaded(state, head, case)
        yield from of_model(model, case, head, tolerance)
        halved(model)
        for output in of_model(model, case, f"{head}.half", half):
            if output.name.endswith((".similarity", ".logits")):
                yield output
    plain = {name: value for name, value in state.items() if name.startswith("clip.")}
    yield from of_model(loaded(plain, SEQUENCE, case), case, f"init.{SEQUENCE}", tolerance)


def loaded(state: State, head: str, case: Case) -> CLIP4Clip:
    layers = case.config["config"]["cross_layers"]
    return load(state, head, "the case", "check its names", layers)


def of_model(model: CLIP4Clip, case: Case, prefix: str, tolerance: float) -> Iterator[Output]:
    """All that the official model returns, frame features in the light of each other with it."""
    pixels, ids = case.inputs["pixel_values"], case.inputs["token_ids"]
    ids = pad(ids, (0, model.clip.context_length - ids.shape[1]))  # nothing is read beyond EOT
    pixels = pixels.to(model.clip.visual.conv1.weight.dtype)
    mask = case.inputs["video_mask"]
    frames = model.clip.encode_image(pixels.flatten(0, 1)).float().unflatten(0, mask.shape)
    texts = model.clip.encode_text(ids).float()
    if SEQUENCE in prefix:
        frames = model.sequence(frames, mask)
        relative = max(tolerance, RELATIVE * frames.abs().max().item())
        yield Output(f"{prefix}.seq_frame_features", frames, relative)
    else:
        yield Output(f"{prefix}.frame_features", frames, tolerance)
    videos = pooled(frames, mask)
    similarity = normalize(texts, dim=-1) @ videos.T
    yield Output(f"{prefix}.text_features", texts, tolerance)
    yield Output(f"{prefix}.video_features", videos, tolerance)
    yield Output(f"{prefix}.similarity", similarity, tolerance)
    yield Output(f"{prefix}.logits", model.clip.logit_scale.exp() * similarity, tolerance)


def halved(model: CLIP4Clip) -> None:
    """The official evaluation: CLIP in float16 but for its norms, the head in float32.

    Token-first as the official blocks are: in float16 the layout alone moves the logits by 1e-2.
    """
    from open_clip.model import CLIP, convert_weights_to_fp16

    state = model.clip.state_dict()
    clip = CLIP(**clip_config(state, "the case"), cast_dtype=torch.float16).eval()
    convert_weights_to_fp16(clip)
    clip.load_state_dict(state)
    for tower in (clip.transformer, clip.visual.transformer):
        tower.batch_first = False
        for block in tower.resblocks:
            block.attn.batch_first = False
    model.clip = clip
