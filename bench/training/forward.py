"""What the model makes of a batch: the loss in training, what is held out in validation."""

from __future__ import annotations

import numpy as np
import torch

from bench import distributed
from bench.compute import autocast
from bench.contracts import normalise
from bench.metrics.events import VC, event_metrics, event_ranks, role_swap
from bench.training.data import Batch, Prepared
from bench.training.losses import Texts, Visual, no_negatives, srl_loss, visual_features
from bench.training.protocols import Trainable
from bench.training.settings import TrainSettings

VIDEOS_AT_ONCE = 8  # in validation, whatever the number of processes: so that all get the same bits
EQUAL_TEXTS = "equal_texts"


def batch_loss(
    model: Trainable, batch: Batch, settings: TrainSettings, device: str, precision: str
) -> dict[str, torch.Tensor]:
    """The loss terms of the whole batch, of which `batch` is this process's part, and how many
    pairs of its events have equal texts (`equal_texts`)."""
    visual = _visual(model, batch, settings.trains_contextualizer, device, precision)
    gather = distributed.gather_with_own_gradient
    parts = (visual.event_means, visual.video_means, visual.events, visual.videos)
    gathered = Visual(*(None if part is None else gather(part) for part in parts))  # type: ignore[arg-type]
    own = (batch.texts, batch.negatives, batch.ids, batch.swaps)
    texts = Texts(*(None if part is None else gather(part.to(device)) for part in own))  # type: ignore[arg-type]
    terms = srl_loss(gathered, texts, model.logit_scale, settings)
    equal = no_negatives(texts.ids)[0]
    return {**terms, EQUAL_TEXTS: (equal.sum() - len(equal)) / 2}


def _visual(
    model: Trainable, batch: Batch, contextual: bool, device: str, precision: str
) -> Visual:
    """float32 features of a batch, with the contextualizer's where `contextual`."""
    videos, events = batch.texts.shape[:2]
    frames = batch.frames.to(device, non_blocking=True).flatten(0, 1)
    with autocast(device, precision):
        features = model.frame_features(frames).unflatten(0, (videos, events, -1))
        found = model.contextualize(features) if contextual else None
    return visual_features(features.float(), found and (found[0].float(), found[1].float()))


@torch.no_grad()
def validate(model: Trainable, data: Prepared, device: str, precision: str) -> dict[str, float]:
    """`bench.metrics.events` of the held-out events, in the precision of training: by the mean of
    frames, and as `vc/...` by the contextualised events.

    Processes share the videos, and all come to the same numbers.
    """
    model.train(False)
    places = range(len(data))
    groups = [places[at : at + VIDEOS_AT_ONCE] for at in range(0, len(data), VIDEOS_AT_ONCE)]
    own = groups[distributed.rank() :: distributed.world()]
    found = [
        tuple(
            None if part is None else normalise(part.cpu().numpy())
            for part in (visual.event_means, visual.events)
        )
        for batch in data.batches(own)
        for visual in [_visual(model, batch, model.contextual, device, precision)]
    ]
    shared = distributed.gather_all(found)
    ordered = [shared[n % len(shared)][n // len(shared)] for n in range(len(groups))]
    texts = data.features[data.texts].numpy()
    hard = data.features[data.negatives].numpy()
    swaps = None if data.swaps is None else data.features[data.swaps].numpy()
    metrics: dict[str, float] = {}
    for place, prefix in enumerate(("", VC)):
        if ordered[0][place] is not None:
            events = np.concatenate([group[place] for group in ordered])
            values = event_metrics(event_ranks(events, texts, hard))
            if swaps is not None:
                values |= role_swap(events, texts, swaps)
            metrics |= {prefix + name: value for name, value in values.items()}
    return metrics
