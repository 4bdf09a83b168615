"""VELOCITI: does a model bind who did what in a clip of five events? (docs/pairs.md)"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bench.contracts import Adapter, Metric, Source, normalise
from tasks.caption_pairs import read_pairs
from tasks.lists import PublishedList, name_of
from tasks.pairs import PairsTask, readings
from tasks.sources import VideoIndex, card_of, find_annotations, protocol_named

LISTS = (PublishedList("full", 8792),)  # rows of the hub's data set; no hash of them is known


class Velociti(PairsTask):
    """The official rows: every caption is compared with the whole clip, 20 frames of it.

    Scored as ClassicVLE. Features of frames are averaged as they are and normalised then, by the
    benchmark's own rule; a model's own pooling takes no part.
    """

    name: ClassVar[str] = "velociti"
    version: ClassVar[int] = 1
    tests: ClassVar[tuple[str, ...]] = (
        "agent_random", "agent_bind", "action_adv", "action_manner", "action_bind", "chrono",
        "coref", "control",
    )  # fmt: skip
    control: ClassVar[tuple[str, ...]] = ("control",)
    metrics: ClassVar[dict[str, Metric]] = readings(tests)
    columns: ClassVar[tuple[str, ...]] = tuple(metrics)
    overview: ClassVar[tuple[str, ...]] = columns[:1]
    files: ClassVar[tuple[str, ...]] = (
        "velociti.json", "velociti.jsonl", "velociti.csv", "velociti.parquet",
        "test-00000-of-00001.parquet",
    )  # fmt: skip
    citation: ClassVar[str] = (
        "Saravanan et al., VELOCITI: Benchmarking Video-Language Compositional Reasoning with "
        "Strict Entailment, CVPR 2025, arXiv 2406.10889"
    )
    licence: ClassVar[str] = (
        "CC BY-NC-SA 4.0, a test set never to train on; gated on the Hugging Face hub "
        "(katha-ai-iiith/VELOCITI)"
    )

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> Velociti:
        """Rows and clips of `source`; `limit` keeps the first clips with all their rows."""
        path = find_annotations(source, cls.name, cls.files)
        pairs, remarks = read_pairs(path, cls.tests)
        name = ""
        if not card_of(source, cls.name):
            name, said = name_of([(pair.clip, pair.true) for pair in pairs], LISTS)
            remarks += said
        protocol = protocol_named(source, cls.name, name, {one.name for one in LISTS})
        index = VideoIndex.of(source, cls.name)
        return cls.of(source, pairs, protocol, index, limit, remarks, path)

    def departures(self, adapter: Adapter) -> list[str]:
        """A video model has one feature of a clip, and no frames to be averaged."""
        return ["clips encoded whole"] if adapter.is_video_model else []

    def pool(self, features: np.ndarray, adapter: Adapter) -> np.ndarray:
        """The plain mean of features [T, D], normalised, whatever the adapter's `pool` does."""
        return normalise(features.mean(axis=0))
