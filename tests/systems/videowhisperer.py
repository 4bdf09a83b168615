"""VideoWhisperer: every output, loss term and greedy token of its golden cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from tasks.vidsitu.head.videowhisperer import (
    Seen,
    Targets,
    VideoWhisperer,
    WhispererSizes,
    disjoint_frames,
    likely_slots,
    published_frames,
    relative_boxes,
)
from tests.systems.case import Case, Output

TOLERANCE = 1e-4


def sizes_of(config: dict[str, Any]) -> WhispererSizes:
    """The sizes of a case."""
    own = ("width", "heads", "encoder_layers", "decoder_layers", "caption_layers", "feed_forward",
           "dropout", "frames", "event_dim", "object_dim", "tokens")  # fmt: skip
    return WhispererSizes(
        **{name: config[name] for name in own},
        encoder_heads=config["heads"],
        verbs=len(config["verb_symbols"]),
        predicts_roles="end-to-end" in config["task_type"],
    )


def model_of(case: Case) -> VideoWhisperer:
    """The model of a case, strictly by the official names."""
    sizes = sizes_of(case.config)
    patched = case.config["patched_frames_per_event"]
    frames_of = disjoint_frames(sizes.frames) if patched else published_frames(sizes.frames)
    model = VideoWhisperer(sizes, frames_of)
    model.load_state_dict(case.state)
    return model.eval()


def batch_of(case: Case) -> tuple[Seen, torch.Tensor, Targets]:
    """What the case's batch holds: features, slots, targets."""
    inputs = case.inputs
    boxes = relative_boxes(inputs["boxes_11_frames"], inputs["img_size"])
    return (
        Seen(inputs["frm_feats"], inputs["feats_11_frames"], boxes),
        inputs["args_all_ev"][:, :, 0],
        Targets(inputs["label_tensor"], inputs["arg_noun_seq_all_ev"][:, :, 0],
                inputs["role_tgt_all_ev"][:, :, 0], case.config["special_ids"]["pad"]),
    )  # fmt: skip


def outputs(case: Case) -> Iterator[Output]:
    """Each official output as our model computes it; ids exactly."""
    for name, value in _values(case):
        yield Output(name, value, TOLERANCE if value.is_floating_point() else 0)


def _values(case: Case) -> Iterator[tuple[str, torch.Tensor]]:
    model, (seen, slots, targets) = model_of(case), batch_of(case)
    stages, captioner = model.tx_vo_ro, model.tx_cap
    encoded = model.encode(seen)
    described, looked = model.describe(encoded, slots)
    present = (slots != model.sizes.roles).flatten(1)
    yield "encoder_input", stages.tokens(seen)
    yield "encoder_output", encoded
    yield "verb_logits", model.verbs(encoded)
    yield "role_ids", slots.flatten(1)
    yield "role_mask", present.long()
    yield "role_queries", stages.queries(encoded, slots)
    own = stages._own_objects(looked.shape[-1], slots.shape[-1])
    yield "object_mask", own.long().expand(len(slots), -1, -1)
    yield "described", described
    yield "looked_at", looked.argmax(dim=-1)
    yield from model.losses(seen, slots, targets).items()
    captions = targets.captions.flatten(1, 2)[present]
    hidden = captioner.hidden(captions, described[present], causal=True)
    # Of places after a caption's end nothing is promised.
    written = (captions != targets.pad)[..., None]
    for name, value in (("hidden", hidden), ("logits", captioner.noun_classifier(hidden))):
        yield f"caption_{name}", torch.where(written, value, case.outputs[f"caption_{name}"])
    ids, logits = captioner.spell(described[present], case.config["special_ids"]["start"])
    yield "greedy_ids", ids
    yield "greedy_logits", logits
    if model.sizes.predicts_roles:
        yield from _predicted(model, encoded)


def _predicted(model: VideoWhisperer, encoded: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    logits = model.roles(encoded)
    slots = likely_slots(logits)
    described, looked = model.describe(encoded, slots)
    yield "role_probabilities", logits.sigmoid()
    yield "predicted_role_ids", slots.flatten(1)
    yield "predicted_role_mask", (slots != model.sizes.roles).flatten(1).long()
    yield "predicted_described", described
    yield "predicted_looked_at", looked.argmax(dim=-1)
