"""CLIP4Clip (arXiv 2104.08860): trained, or as it starts from CLIP's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.clip_base import architecture
from adapters.published import MEAN, STD
from adapters.system import Release, SystemBase, system_card
from adapters.torch_adapter import ClipAdapter, FrameAdapter
from adapters.weights import SHIPPED, find_weights, local_weights
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import UsageError, nearest
from bench.files.tensor_store import digest
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import Seconds

if TYPE_CHECKING:
    from adapters.clip4clip_model import CLIP4Clip

VERSION = 1  # raise it when a change here could change a feature
MEAN_POOLING, SEQUENCE = "meanP", "seqTransf"
HEADS = (MEAN_POOLING, SEQUENCE)
HEAD_NAMES = ("frame_position_embeddings.", "transformerClip.")
TINY = "clip4clip-tiny.safetensors"  # the head that ships, on clip-tiny
RELEASE = Release(
    "CLIP4Clip", "pytorch_model.bin",
    "your own training, for its authors released none (github.com/ArrowLuo/CLIP4Clip, issue 13)",
)  # fmt: skip
STARTED = "the head as training starts it, from CLIP's text tower: nobody published this"
HALF = "officially CLIP computes in float16; here in the run's precision"


class CLIP4ClipAdapter(FrameAdapter, ClipAdapter):
    """CLIP4Clip with the `head` meanP, a model of frames, or seqTransf, one of clips.

    `checkpoint` is a file of its training, whole or of the head alone on the CLIP of `arch` and
    `pretrained`, as open_clip has them; without one it starts from that CLIP. UsageError for
    another head or architecture, MissingWeights without weights.
    """

    def __init__(
        self,
        name: str,
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        head: str = MEAN_POOLING,
        checkpoint: str | None = None,
    ) -> None:
        weights = _weights(run, arch, pretrained, head, checkpoint, find_weights)
        arch, config, files = str(arch), architecture(str(arch)), {"weights": weights}
        of_head = _of_head(weights) if checkpoint else []
        own_head = any(of_head)
        if own_head and head == MEAN_POOLING:
            raise UsageError(
                f"{weights}: trained with the head {SEQUENCE}; set head: {SEQUENCE} for '{name}'"
            )
        if head == SEQUENCE and not own_head:
            _check_start(arch, config)
        if own_head and all(of_head):
            if pretrained is None:
                raise UsageError(
                    f"{weights} is of its head alone; name the CLIP's `pretrained` to start from"
                )
            files["clip_sha256"] = find_weights(arch, pretrained, run)
        self.head, started = head, head == SEQUENCE and not own_head
        base = SystemBase(
            f"CLIP4Clip {arch}", files, config["embed_dim"],
            Preprocessing(config["vision_cfg"]["image_size"]), MEAN, STD, run.cache_folder,
            lambda: _read([*files.values()], head, config),
            {"head": head, "start": "zero-shot" if not checkpoint else "trained"},
        )  # fmt: skip
        super().__init__(name, run, base)
        self.published = _published(base.preprocessing, started)

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What is known of it; see `bench.capabilities`."""
        arch, pretrained, checkpoint = map(settings.get, ("arch", "pretrained", "checkpoint"))
        head = settings.get("head", MEAN_POOLING)
        config = architecture(str(arch))
        rule = Preprocessing(config["vision_cfg"]["image_size"])
        key = "clip4clip-tiny/shipped" if checkpoint == "shipped" else "CLIP4Clip"
        known = checkpoint == "shipped" or (head == MEAN_POOLING and not checkpoint)
        return system_card(
            f"CLIP4Clip {arch}", "clip4clip",
            lambda: _weights(run, arch, pretrained, head, checkpoint, local_weights),
            (rule, MEAN, STD), _published(rule, head == SEQUENCE and not checkpoint),
            key=key if checkpoint else f"{arch}/{pretrained}",
            embed_dim=config["embed_dim"], clips=head == SEQUENCE,
            citation="arXiv 2104.08860", **({} if known else {"parameters": None}),
        )  # fmt: skip

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        arch, pretrained, checkpoint = map(settings.get, ("arch", "pretrained", "checkpoint"))
        head = settings.get("head", MEAN_POOLING)
        _weights(run, arch, pretrained, head, checkpoint, local_weights)

    @property
    def is_video_model(self) -> bool:
        """With seqTransf."""
        return self.head == SEQUENCE

    @property
    def most_frames(self) -> int:  # type: ignore[override]
        """As many as the head has positions: 77 when it starts."""
        found: int = self._load().frame_position_embeddings.num_embeddings
        return found

    @property
    def pooling(self) -> str:  # type: ignore[override]
        """What makes a video feature of frames."""
        return "seqTransf" if self.is_video_model else super().pooling

    @property
    def fingerprint(self) -> str:
        """Hash of weights, head, preprocessing and precision."""
        return digest("clip4clip", VERSION, *self.base.key(self.precision))


def _published(rule: Preprocessing, started: bool) -> dict[str, Setup]:
    """README.md: the same for both."""
    setup = Setup(Seconds(12), rule, 32, [HALF, *([STARTED] if started else [])])
    return {"msrvtt": setup, "lsmdc": setup}


def _weights(
    run: RunConfig, arch: str | None, pretrained: str | None, head: str, checkpoint: str | None,
    find: Callable[[str, str, RunConfig], Path],
) -> Path:  # fmt: skip
    """The checkpoint, which is not read, or the CLIP to start from.

    UsageError for an unknown head or architecture, or one that the head cannot start from.
    """
    if head not in HEADS:
        raise UsageError(
            f"head must be one of {', '.join(HEADS)}, not {head!r}{nearest(head, list(HEADS))}"
        )
    if arch is None:
        raise UsageError("CLIP4Clip needs the `arch` of its CLIP, such as ViT-B-32-quickgelu")
    config = architecture(arch)
    if checkpoint == "shipped":
        return SHIPPED / TINY
    if checkpoint:
        return RELEASE.found(run, checkpoint)
    if head == SEQUENCE:
        _check_start(arch, config)
    if pretrained is None:
        raise UsageError("CLIP4Clip needs a `checkpoint`, or `pretrained` to start from")
    return find(arch, pretrained, run)


def _check_start(arch: str, config: dict[str, Any]) -> None:
    if config["embed_dim"] != config["text_cfg"].get("width"):
        raise UsageError(f"{arch}: {SEQUENCE} starts from a text tower as wide as its embedding")


def _of_head(weights: Path) -> list[bool]:
    """Of each tensor, whether it is the head's."""
    from adapters.checkpoint import tensor_names

    return [name.startswith(HEAD_NAMES) for name in tensor_names(weights)]


def _read(files: Sequence[Path], head: str, config: dict[str, Any]) -> CLIP4Clip:
    from adapters.checkpoint import OPENAI_EXTRAS, read_tensors
    from adapters.clip4clip_model import load, official_state

    state: dict[str, Any] = {}
    for path in reversed(files):
        tensors = {name: value for name, value in read_tensors(path).items()
                   if name not in OPENAI_EXTRAS}  # fmt: skip
        state |= official_state(tensors)
    return load(state, head, files[0], RELEASE.remedy, config=config)
