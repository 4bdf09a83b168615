"""Probes: what of an event a model understands, by its prompt with one thing changed at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from bench.contracts import Metric, Source
from bench.errors import DataError
from bench.settings import settings_from
from tasks.caption_pairs import read_pairs
from tasks.pairs import PairsTask, readings
from tasks.sources import VideoIndex, protocol_of
from tasks.vidsitu.annotations import (
    EVENTS,
    VALID,
    VIDEOS,
    annotation_path,
    annotation_root,
    load_annotations,
    load_split,
    of_every_segment,
)
from tasks.vidsitu.probes import TESTS, probes_of

VIDSITU = "vidsitu"


@dataclass(frozen=True)
class ProbeSettings:
    """`seed` chooses the false verbs and values."""

    seed: int = 0


class Probes(PairsTask):
    """Pairs made of any VidSitu tree's validation split, or read from a file of such.

    No head and no training: an event's prompt is compared with its frames as they are pooled by the
    model, and two events in their order with the whole clip.
    """

    name: ClassVar[str] = "probes"
    version: ClassVar[int] = 1
    parts: ClassVar[int] = len(EVENTS)
    whole: ClassVar[bool] = True
    data: ClassVar[str] = VIDSITU
    leads: ClassVar[bool] = True
    recipe: ClassVar[type | None] = ProbeSettings
    tests: ClassVar[tuple[str, ...]] = TESTS
    metrics: ClassVar[dict[str, Metric]] = readings(tests)
    columns: ClassVar[tuple[str, ...]] = tuple(metrics)
    overview: ClassVar[tuple[str, ...]] = columns[:1]
    citation: ClassVar[str] = "made of VidSitu's annotations (Sadhu et al., CVPR 2021)"
    licence: ClassVar[str] = "as VidSitu"

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> Probes:
        """The probes of `source`; `limit` keeps those of the first clips.

        They are made of its annotation tree, unless its annotations are a file: of pairs then, as
        `bench data pairs` writes it. DataError names the file.
        """
        settings = settings_from(ProbeSettings, source.settings, f"settings of '{cls.name}'")
        index = VideoIndex.of(source, VIDSITU)
        path = source.annotations
        if path is not None and path.is_file():
            pairs, remarks = read_pairs(path, cls.tests)
            protocol = f"{cls.name}/{len(pairs)} pairs of a file"
        else:
            root, remarks = annotation_root(source), []
            path = annotation_path(root, VALID)
            segments, annotations = load_split(root, VALID), load_annotations(root, VALID)
            of_every_segment(root, annotations, segments, "annotations")
            try:
                pairs = list(probes_of(annotations, segments, settings.seed))
            except DataError as error:  # an unknown role
                raise DataError(f"{path}: {error}") from error
            of_tree = protocol_of(source, VIDSITU, VALID, len(segments), VIDEOS)
            protocol = f"{cls.name}/{of_tree.partition('/')[2]}"
        task = cls.of(source, pairs, protocol, index, limit, remarks, path)
        task.settings = asdict(settings)
        return task
