"""What the parts of the harness promise each other: clips, adapters, tasks.

A task asks questions about clips, an adapter turns frames and texts into features. Neither knows
the other; the engine carries arrays between them. Everything here is numpy, so that an adapter may
be built on any framework and that no command pays for importing torch until a model runs.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from bench.checks import Check as Check
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.capabilities import Matching
    from bench.metrics.bootstrap import Sample
    from bench.video.preprocessing import Preprocessing

MOST_RESAMPLES = 1_000_000  # of a bootstrap; more would only exhaust the memory


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of video that a task asks about.

    `path` is a video file or a folder of numbered frames, None where no file was found. `start` and
    `end` are seconds from the first frame of the file; `end=None` means to its end. `frames_fps` is
    the rate at which a folder's frames were extracted and is ignored for files.
    """

    id: str
    path: Path | None
    start: float = 0.0
    end: float | None = None
    frames_fps: float = 30.0


@dataclass(frozen=True)
class Failure:
    """A clip that gave no frames: `kind` is missing, empty, broken, truncated or timeout."""

    clip: str
    kind: str
    reason: str


class Plan(Protocol):
    """Which moments of a clip are looked at. Plans are pure: the same duration, the same times."""

    @property
    def key(self) -> str:
        """A short unique name such as `uniform-12`; part of every frame's and feature's key."""

    def times(self, duration: float) -> list[float]:
        """Seconds from the clip's start, ascending, for a clip of `duration` seconds."""


@dataclass(frozen=True)
class Setup:
    """How a system was evaluated on a task by its authors: what `--protocol published` runs.

    The frames of `plan`, prepared by `preprocessing`; texts of `text_length` tokens, start and end
    included, None for all. `remarks` are quirks of the official evaluation, for the results.
    """

    plan: Plan
    preprocessing: Preprocessing
    text_length: int | None = None
    remarks: Sequence[str] = ()


class Adapter(ABC):
    """A video-text model. Subclass it and name the class in an entry point `bench.adapters`.

    A frame model implements `encode_frames`, a video model `encode_clips`: one of the two.
    `fingerprint` must change whenever a feature could: it is the key of every cached feature.
    `inputs` are what it reads of a clip, `frames` and maybe `audio` or `subtitles`; what a task
    does not have is refused, and so is a task that needs texts where not `reads_texts`.
    `clip_frames` is how many frames of a clip a video model reads, where it can read no other
    number. `published` holds by a task's name how the model was published there, and under `*` how
    on any other. While a run of that protocol lasts, `setup` is that of its task, and None in any
    other: frames come as it says, and an adapter whose setups have a `text_length` cuts texts to it
    and counts them so. A run may ask for fewer tokens than the `context_length` that it reads.
    """

    name: str
    embed_dim: int
    image_size: int
    inputs: frozenset[str] = frozenset({"frames"})
    reads_texts: bool = True
    clip_frames: int | None = None
    published: Mapping[str, Setup] = MappingProxyType({})
    setup: Setup | None = None
    context_length: int | None = None
    context: int | None = None  # tokens that a run asks for; None: as the setup says
    raw_mean: bool = False  # whether a run takes frames as they are

    @property
    def text_length(self) -> int | None:
        """The run's, or else the setup's, in tokens, start and end included."""
        return self.context or (self.setup.text_length if self.setup else None)

    @classmethod
    def problem(cls, run: Any, name: str, **settings: Any) -> str | None:
        """Why the model `name` of these settings cannot run now, with the remedy; None if it can.

        `run` is the `bench.config.RunConfig`. Neither the network nor the weights are touched.
        """
        return None

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become the squares that the model gets: OpenAI's rule, unless said.

        Only what is done to whole pixels: mean and standard deviation are the adapter's own.
        """
        from bench.video.preprocessing import Preprocessing

        return Preprocessing(self.image_size)

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of weights, preprocessing and precision (hexadecimal or any file-safe text)."""

    def prepare(self) -> None:  # noqa: B027 - an adapter without slow parts needs none
        """Load what encoding needs; called before the first encoding, and only if there is one."""

    @property
    def is_video_model(self) -> bool:
        """Whether it encodes clips, not frames. BenchError where it does neither, or both."""
        own = type(self)
        clips = own.encode_clips is not Adapter.encode_clips
        if clips == (own.encode_frames is not Adapter.encode_frames):
            fault = "both encode_frames and encode_clips" if clips else "no encode_frames"
            raise BenchError(
                f"{self.name}: its adapter {own.__name__} has {fault}; implement encode_frames for "
                "a model of frames, or encode_clips for one of clips"
            )
        return clips

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, image_size, image_size, 3] RGB -> float32 [N, embed_dim], not normalised."""
        raise NotImplementedError

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        """uint8 [V, T, image_size, image_size, 3] RGB -> float32 [V, embed_dim], not normalised.

        The clips of a call have equally many frames, T. A short video may give fewer than the plan
        asks for: the adapter pads, repeats or takes them as they are. What `inputs` names beside
        frames comes in keyword arguments, one a clip: `subtitles` list[str], empty for a clip
        without; `audio` list[bench.video.sound.Sound], in the file's own channels and rate.
        """
        raise NotImplementedError

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """M texts -> float32 [M, embed_dim], not normalised."""

    def pool(self, frame_features: np.ndarray) -> np.ndarray:
        """Frame features [T, D] -> one video feature [D] of length 1.

        The mean of normalised features, normalised: CLIP4Clip's mean pooling (docs/method.md 7). A
        video model has one feature, and this normalises it.
        """
        each = frame_features if self.raw_mean else normalise(frame_features)
        return normalise(each.mean(axis=0))

    pooling: ClassVar[str] = "mean of L2-normalised frame features, L2-normalised"

    def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Frame features [V, P, T, D] of V videos -> events [V, P, C] and videos [V, C].

        float32 in and out. None for a model without a video module of its own.
        """
        return None

    def count_truncated(self, texts: Sequence[str]) -> int:
        """How many of `texts` the model cannot read whole; 0 for a model without a limit."""
        return 0

    def describe(self) -> dict[str, Any]:
        """Facts for the result's provenance: base weights, preprocessing, precision."""
        return {}


def normalise(features: np.ndarray) -> np.ndarray:
    """Scale the last axis to length 1; float32 in and out. A zero vector stays zero."""
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.where(norm == 0, 1, norm)


@dataclass(frozen=True)
class Metric:
    """How a number is to be read: its unit (`%` or `rank`) and which way is better."""

    unit: str
    higher_is_better: bool


@dataclass(frozen=True)
class Source:
    """Where a task's files lie. Fields left None are looked for below `root`."""

    name: str
    root: Path
    annotations: Path | None = None
    videos: Path | None = None
    frames_fps: float = 30.0
    settings: dict[str, Any] = field(default_factory=dict)  # the task's, see `Task.recipe`


@dataclass(frozen=True)
class Features:
    """What the engine hands to `Task.learn` and `Task.answer`.

    `clips` maps a clip's id to its frame features float32 [T, D], read from disk where they are too
    many to be held: ask for each once. A video model's are [P, D], P being the task's `parts`, and
    one more for a task of `whole` clips. A clip that failed is absent. `texts` is float32 [M, D] in
    the order of `Task.texts`, [0, D] of an adapter that reads none. `learnt` is what `Task.learn`
    returned; `matching` is there in a run that re-ranks, `temperature` in one that rescores.
    """

    clips: Mapping[str, np.ndarray]
    texts: np.ndarray
    learnt: Any = None
    matching: Matching | None = None
    temperature: float | None = None

    def identity(self, clip: str) -> str:
        """What tells a clip's features from any others: the store's key, else their content's."""
        key: Callable[[str], str] | None = getattr(self.clips, "key", None)
        if key is not None:
            return key(clip)
        features = np.ascontiguousarray(self.clips[clip])
        head = f"{features.shape} {features.dtype}".encode()
        return hashlib.sha256(head + features.tobytes()).hexdigest()


class Progress(Protocol):
    """What shows a run's progress; see `bench.progress`."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, by: int = 1) -> None: ...
    def warn(self, line: str) -> None: ...


@dataclass(frozen=True)
class Workplace:
    """Where a task learns: a folder to keep things in, a torch device, a seed."""

    folder: Path
    device: str
    seed: int
    progress: Progress


@dataclass(frozen=True)
class Scores:
    """`metrics` on the full set of answers; `intervals` 95 % bootstrap bounds of the same names."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    answered: int


@dataclass(repr=False)
class Task(ABC):
    """One benchmark on one source. Subclass it and name the class in an entry point `bench.tasks`.

    `version` is raised whenever a number could change. `protocol` names the published setting, such
    as `msrvtt/1k-A`; results of different protocols never share a ranking. `support` are clips to
    learn from, about which nothing is asked; they take no part in the coverage. `recipe` is the
    dataclass of the settings that a user may give for the task, `settings` those of this one.
    `remarks` say what had to be assumed of the data; every result and `bench data check` has them.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    metrics: ClassVar[dict[str, Metric]]
    primary: ClassVar[str]
    recipe: ClassVar[type | None] = None
    floor: ClassVar[str] = "(chance)"  # what the row of `chance` is called on a board
    reranks: ClassVar[bool] = False  # whether `answer` uses `Features.matching`
    rescores: ClassVar[bool] = False  # whether `answer` uses `Features.temperature`
    parts: ClassVar[int] = 1  # clips of equally many frames that a video model gets of each clip
    whole: ClassVar[bool] = False  # whether it gets the clip undivided too, as the last one
    data: ClassVar[str] = ""  # the task whose files it reads where a source has none of its own
    leads: ClassVar[bool] = False  # whether its boards stand before those of other tasks
    needs_texts: ClassVar[bool] = True  # or whether it answers a model that reads none, too
    columns: ClassVar[Sequence[str]] = ()  # the metrics on its boards, in order; (): all
    overview: ClassVar[Sequence[str]] = ()  # of these, what stands in the overview of all tasks
    citation: ClassVar[str] = ""  # of its data, and under which licence that comes
    licence: ClassVar[str] = ""
    published_rows: ClassVar[Path | None] = None  # a YAML file, as leaderboards/reference has them

    protocol: str
    source: Source
    fingerprint: str
    clips: list[Clip]
    texts: list[str]
    plan: Plan
    expected: int
    chance: dict[str, float] = field(default_factory=dict)
    limit: int | None = None
    support: list[Clip] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    annotations: Path | None = None  # the file or folder that was read
    subtitles: Mapping[str, str] | None = None  # by the clip's id; None where the data have none

    def __repr__(self) -> str:  # in short: a dataclass keeps it with `repr=False`
        return f"<{type(self).__name__} {self.protocol}: {len(self.clips)} videos>"

    def caption(self, clip: str) -> str:
        """What the data say of a clip, in short; empty where they say nothing."""
        return ""

    @classmethod
    def published_protocol(cls) -> str:
        """The protocol of its published rows, such as `msrvtt/1k-A`; empty without any."""
        return ""

    @classmethod
    @abstractmethod
    def load(cls, source: Source, limit: int | None = None) -> Task:
        """Read the annotations and find the videos. DataError names file and line.

        `limit` keeps the first items only; `expected` stays the number of items of the full set.
        """

    @classmethod
    def check(cls, source: Source) -> Check:
        """Counts and faults of the files of `source`. DataError where they cannot be used."""
        from bench.checks import check_of

        return check_of(cls.load(source), source)

    def departures(self, adapter: Adapter) -> list[str]:
        """What of its protocol the task cannot keep for a model, as it follows the name."""
        return []

    def learn(self, features: Features, adapter: Adapter, place: Workplace) -> Any:
        """What is learnt from `support`, kept in `place.folder`; None where nothing has to be.

        Deterministic for `place.seed`. Of several processes one learns, and the others call this
        when it is done.
        """
        return None

    @abstractmethod
    def answer(self, features: Features, adapter: Adapter) -> Iterator[dict[str, Any]]:
        """One JSON-ready line an item: all that `score` needs, and what a reader wants to see.

        Every line has an `item`, unique in the run and the same for every model.
        """

    def chance_of(self, predictions: Sequence[dict[str, Any]]) -> dict[str, float]:
        """`chance` among what was answered; by default that of all that was asked."""
        return self.chance

    @classmethod
    def cluster(cls, line: dict[str, Any]) -> str:
        """What a line's item is resampled with: by default its `cluster`, or the item alone."""
        return str(line.get("cluster", line["item"]))

    @classmethod
    def sample(cls, predictions: Iterable[dict[str, Any]]) -> Sample | None:
        """Every metric by how often each cluster of the lines is drawn, for intervals and tests.

        None for a task that only has `draws`.
        """
        return None

    @classmethod
    def draws(
        cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int
    ) -> dict[str, np.ndarray]:
        """Each metric in `resamples` bootstrap resamples of the lines, float64 [resamples].

        Lines of the same items draw the same items for a seed: two models' draws are paired.
        """
        sample = cls.sample(predictions)
        if sample is None:
            raise NotImplementedError(f"{cls.__name__} has neither `sample` nor `draws`")
        return {name: one.values for name, one in sample.replicates(resamples, seed).items()}

    @classmethod
    @abstractmethod
    def score(cls, predictions: Iterable[dict[str, Any]], *, resamples: int, seed: int) -> Scores:
        """Metrics and intervals from the lines that `answer` gave; no model is needed."""
