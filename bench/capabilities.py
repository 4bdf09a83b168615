"""What a task or an adapter may offer beside its contract; each is optional.

A class offers one by having its methods. `bench.registry.offering` finds a task's, or says which
tasks have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from bench.config import RunConfig
from bench.contracts import Adapter, Setup, Source
from bench.results.document import Document

Lines = Sequence[Mapping[str, Mapping[str, Any]]]  # of each model, a prediction line an item

# One run's lines, with the lowest and with the highest ranks that they may have: alike where known.
Bounds = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@runtime_checkable
class SharesItems(Protocol):
    """A task whose runs of different coverage can be compared on what both answered."""

    @classmethod
    def common(
        cls, first: list[dict[str, Any]], second: list[dict[str, Any]]
    ) -> tuple[Bounds, Bounds]:
        """The lines of two runs as if each had answered only what both did, nothing else ranked.

        Both are of the same items then, none where they share none. ValueError where what has the
        same name is another question.
        """


@runtime_checkable
class HasQuestions(Protocol):
    """A task whose prediction lines can be compared with the data that they claim to be of."""

    def questions(self) -> Iterator[dict[str, Any]]:
        """Of every item what its line has of the data, whatever a model answers.

        The question and its ground truth, with the line's keys; `item` is among them.
        """


@runtime_checkable
class ChecksModels(Protocol):
    """A task that some models cannot answer with some of its settings."""

    def check_model(self, adapter: Adapter) -> None:
        """UsageError, before the work, for a model that these settings cannot take."""


@runtime_checkable
class HasCeiling(Protocol):
    """A task of which some metrics have a bound that no model exceeds."""

    def ceiling_of(self, predictions: Sequence[dict[str, Any]]) -> dict[str, float]:
        """These metrics' bounds on what was answered."""


class Gallery(Protocol):
    """How a task's predictions are shown side by side; a module may be one."""

    TITLE: str
    NOTE: str

    def choose(self, answers: Lines, limit: int) -> list[str]:
        """At most `limit` items worth a look."""

    def clips_of(self, answers: Lines, items: Sequence[str]) -> set[str]:
        """The clips whose frames are shown with `items`."""

    def as_html(
        self,
        models: Sequence[str],
        answers: Lines,
        items: Sequence[str],
        frames: Mapping[str, np.ndarray],
    ) -> str:
        """A piece of a page, in which everything from the data is escaped."""

    def as_markdown(
        self,
        models: Sequence[str],
        answers: Lines,
        items: Sequence[str],
        frames: Mapping[str, np.ndarray],
        keep: Callable[[str, bytes], str],
    ) -> str:
        """Tables; `keep(name, webp)` stores an image and returns its address."""


class Exporter(Protocol):
    """Predictions of a split in a format of others; a module may be one."""

    def load(self, source: Source, split: str) -> Any:
        """The split as a task to answer. UsageError for one that cannot be predicted."""

    def check(self, task: Any, kind: str | None, path: Path) -> str:
        """The kind to write. UsageError, before the work, for what cannot be written."""

    def write(
        self, task: Any, lines: Sequence[dict[str, Any]], kind: str | None, path: Path
    ) -> list[str]:
        """Write the prediction lines to `path`; returns the clips without an answer."""


@runtime_checkable
class ShowsPredictions(Protocol):
    """A task with a gallery, for `bench show` and the report."""

    @classmethod
    def gallery(cls) -> Gallery: ...


@runtime_checkable
class ExportsPredictions(Protocol):
    """A task whose predictions other evaluators read, for `bench export TASK`."""

    @classmethod
    def exporter(cls) -> Exporter: ...


@runtime_checkable
class ScoresFiles(Protocol):
    """A task that scores prediction files of anybody, for `bench score`."""

    @classmethod
    def score_file(
        cls,
        source: Source,
        path: Path,
        kind: str | None,
        resamples: int,
        seed: int,
        also: Sequence[str],
    ) -> Document:
        """A result document without a model. DataError for a file that does not fit."""


@runtime_checkable
class ShowsPrompts(Protocol):
    """A task with training prompts to look at, for `bench data prompts` and the report."""

    @classmethod
    def prompts_of(
        cls, source: Source, split: str, limit: int, negatives: int, seed: int, format_: str
    ) -> str:
        """The first `limit` clips' prompts as `text`, `md` or a piece of `html`."""


@dataclass(frozen=True)
class MTEBTask:
    """A task of MTEB that asks the queries of one `direction` of our protocol `protocol`.

    `dataset` is its data on the hub and `revision` theirs. Each query has one relevant item; the
    split is called `test`, the subset `default`, the language is English.
    """

    name: str
    protocol: str
    direction: str
    dataset: str
    revision: str


@runtime_checkable
class InMTEB(Protocol):
    """A task of which MTEB has a list, for `bench export mteb` and the report."""

    @classmethod
    def mteb_tasks(cls) -> Sequence[MTEBTask]:
        """MTEB's tasks on lists of ours."""


@runtime_checkable
class ListsPairs(Protocol):
    """A task of pairs of captions that can be kept as a file, for `bench data pairs`."""

    @classmethod
    def pairs_of(cls, source: Source) -> str:
        """All pairs as the text of a file that a source may name as the task's annotations."""


@runtime_checkable
class HasGuide(Protocol):
    """A task that says how its data are got and laid out: `bench data guide`."""

    guides: ClassVar[Path]  # a YAML file: by a task's name, a text or a list of texts by heading


@runtime_checkable
class Trains(Protocol):
    """A task that a model can be trained on, for `bench train`."""

    @classmethod
    def training_sets(
        cls, source: Source, negatives: int, share: float, hold_out: float, seed: int
    ) -> tuple[Any, Any]:
        """Training and held-out `bench.training.protocols.TrainingSet`."""


ABLE = {
    ShowsPredictions: "show predictions",
    ExportsPredictions: "export predictions",
    ScoresFiles: "score prediction files",
    ShowsPrompts: "show prompts",
    ListsPairs: "list pairs",
    Trains: "be trained on",
    InMTEB: "be exported to MTEB",
}
"""What each lets a task do, for messages."""


@runtime_checkable
class TrainableFamily(Protocol):
    """An adapter family whose models `bench train` can train."""

    trains_on: str  # the task, unless a recipe names another

    @staticmethod
    def untrained(
        name: str, run: RunConfig, settings: dict[str, Any], **others: Any
    ) -> tuple[Any, str]:
        """The model that `settings` describe and its device; see `bench.training.protocols`.

        `others` are the model's further settings that the method has a parameter for. With a
        parameter `init` it takes a trained folder to start from: what it describes itself with
        then has the folder's fingerprint as `init`.
        """


@dataclass(frozen=True)
class Card:
    """What is known of a model before it is loaded; empty or None is unknown.

    `weights` is where they lie, None where they are not on this machine. `pixels` gives the
    preprocessing in words, and may import its library. `published` and `clip_frames` are those of
    the adapter. `licence` is that of the weights, `code` says whose code it is and its licence,
    `download` how large a file is fetched; `source` is where these were read.
    """

    architecture: str
    pixels: Callable[[], str]
    weights: Path | None = None
    embed_dim: int | None = None
    context_length: int | None = None
    parameters: int | None = None
    clips: bool = False
    inputs: frozenset[str] = frozenset({"frames"})
    clip_frames: int | None = None
    published: Mapping[str, Setup] = field(default_factory=dict)
    code: str = ""
    licence: str = ""
    citation: str = ""
    download: str = ""
    source: str = ""


@runtime_checkable
class Described(Protocol):
    """An adapter family that says what its models are, for `bench list` and `bench show-model`."""

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """The card of the model `name` of these settings, without the network or the weights.

        Raises as the family does for settings that it cannot use.
        """


@runtime_checkable
class HasReference(Protocol):
    """An adapter that can be compared with its model's own library, for `bench doctor`."""

    def pixels(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, 3] -> float32 [N, 3, S, S]: what the model reads in a run."""

    def reference(self, pictures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """PIL pictures -> the library's own pixels float32 [N, 3, S, S] and features [N, D]."""


@runtime_checkable
class ContextualizesFrames(Protocol):
    """An adapter whose video module says what each frame is in its video, beside events."""

    def contextualize_frames(
        self, frame_features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Frame features [V, P, T, D] -> events [V, P, C], videos [V, C], frames [V, P, T, C].

        The first two are those of `Adapter.contextualize`; None where that is None.
        """


@runtime_checkable
class ReadsFeatures(Protocol):
    """An adapter whose features of clips lie on disk: nothing is decoded and nothing encoded."""

    has_objects: bool  # whether each clip has objects found in its frames, too

    def missing(self, clip: str) -> str:
        """The file that there is not of a clip; empty where all are there."""

    def identity(self, clip: str) -> str:
        """Tells a clip's features from any others, without reading them."""

    def features(self, clip: str) -> np.ndarray:
        """float32 [T, D] of a clip, as `Features.clips` has it. DataError names a broken file."""

    def objects(self, clip: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float32 features [F, O, D], boxes [F, O, 4] and frames' heights and widths [F, 2].

        A box is left, top, right, bottom in pixels. DataError names a broken file.
        """


@runtime_checkable
class Reranks(Protocol):
    """An adapter with a matching head, which ranks the best of a retrieval run once more.

    It compares a text with what it sees of one clip, and is too slow for all pairs. The features of
    `encode_clips` choose `rerank_top` videos for each text, and as many texts for each video; the
    scores of these pairs replace the features' similarity, and what was not chosen ranks behind.
    """

    rerank_top: int
    matching: str  # what the scores are called in a protocol, such as `itm`

    def condition(self, clips: np.ndarray) -> np.ndarray:
        """uint8 [V, T, S, S, 3] -> float32 [V, ...]: what the matching head reads of each clip.

        Inputs beside frames come as in `encode_clips`.
        """

    def rerank(self, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Texts [M], conditions [V, ...], pairs int64 [N, 2] of both -> float32 [N], 0 to 1.

        A pair is a text's and a clip's place; those of a clip follow one another, so that what is
        made of its condition is made once. Batches are the adapter's own. A score must not depend
        on the other pairs of a call, but for rounding.
        """


@runtime_checkable
class LimitsFrames(Protocol):
    """A video model that cannot read clips of every number of frames."""

    def odd_frames(self, count: int) -> str:
        """Why it cannot read clips of `count`, as `9 frames a clip, and it reads 8`; or empty."""


@runtime_checkable
class EncodesOnce(Protocol):
    """One that re-ranks whose features and conditions come from one encoding of the clips."""

    def encode_and_condition(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `encode_clips` and `condition` give of clips [V, T, S, S, 3], bit for bit."""


class Matching(Protocol):
    """A model's matching head: `top` answers of each query are ranked again by its scores."""

    top: int

    def scores(self, pairs: Sequence[tuple[int, str]]) -> np.ndarray:
        """float32 [N], 0 to 1, of pairs of a text, by its place in `Task.texts`, and a clip's id.

        All pairs are asked for at once: every process has a share of them.
        """


@runtime_checkable
class Exportable(Protocol):
    """An adapter whose model other tools can load, for `bench export`."""

    def export(self, path: Path) -> str:
        """Write a plain checkpoint; returns the name under which bench reads it, without it."""
