"""What the model makes of a batch: the loss in training, event retrieval in validation."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from bench import distributed
from bench.metrics.retrieval import metrics_of_ranks, ranks_from_features
from bench.training.contracts import Trainable
from bench.training.data import Batch, Prepared
from bench.training.losses import Visual, srl_loss, visual_features
from bench.training.settings import TrainSettings


def batch_loss(
    model: Trainable, batch: Batch, settings: TrainSettings, device: str
) -> dict[str, torch.Tensor]:
    """The loss terms of the whole batch, of which `batch` is this process's part."""
    videos, events = batch.texts.shape[:2]
    frames = batch.frames.to(device, non_blocking=True).flatten(0, 1)
    cuda = device.startswith("cuda")
    with torch.autocast("cuda" if cuda else "cpu", torch.bfloat16, enabled=cuda):
        features = model.frame_features(frames).unflatten(0, (videos, events, -1))
        contextual, whole = model.contextualize(features)
    visual = visual_features(features.float(), contextual.float(), whole.float())
    gather = distributed.gather_with_own_gradient
    gathered = Visual(*map(gather, (visual.event_means, visual.events, visual.video_means,
                                    visual.videos)))  # fmt: skip
    texts, negatives = gather(batch.texts.to(device)), gather(batch.negatives.to(device))
    return srl_loss(gathered, texts, negatives, model.logit_scale, settings)


@torch.no_grad()
def event_retrieval(model: Trainable, data: Prepared, device: str) -> dict[str, float]:
    """Text-to-event metrics over the V * P events of `data`."""
    model.train(False)
    means = []
    places = [[place] for place in range(len(data))]
    for batch in data.batches(places):
        features = model.frame_features(batch.frames.to(device).flatten(0, 1)).float()
        features = functional.normalize(features, dim=-1).unflatten(0, (data.data.events, -1))
        means.append(functional.normalize(features.mean(dim=1), dim=-1).cpu().numpy())
    events = np.concatenate(means)
    texts = data.features[data.texts.flatten()].numpy()
    ranking = ranks_from_features(texts, events, np.arange(len(events)))
    return metrics_of_ranks(ranking.t2v)
