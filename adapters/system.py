"""What the adapters of rival systems share: a released checkpoint, before and while it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.cards import card, found
from adapters.clip_base import pixel_scaling
from adapters.weights import weights_file, weights_hash
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import MissingWeights
from bench.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

    from adapters.tokens import Tokens

CONTEXT_LENGTH = 77  # of every CLIP's texts
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# mmcv's Resize and CenterCrop.
OPENCV: dict[str, Any] = {
    "interpolation": "bilinear", "library": "opencv", "antialias": False, "sides": "nearest",
    "crop": "floor",
}  # fmt: skip


@dataclass(frozen=True)
class Release:
    """A checkpoint as its authors give it out: the `file` that is looked for, and its source."""

    system: str
    file: str
    source: str

    @property
    def remedy(self) -> str:
        """What to do about a file that is another."""
        return f"{self.system}'s own checkpoint is found in {self.source}"

    def found(self, run: RunConfig, checkpoint: str | None) -> Path:
        """The file: `checkpoint`, or the released name in the weights folder. MissingWeights."""
        path = Path(checkpoint).expanduser() if checkpoint else run.weights_folder / self.file
        if not path.exists():
            raise MissingWeights(
                f"{path}: no weights of {self.system}; fetch its checkpoint from {self.source} and "
                "save it there, or name it as the model's `checkpoint`"
            )
        return weights_file(path)


@dataclass(frozen=True)
class SystemBase:
    """A system before it is loaded, as `adapters.torch_adapter.TorchAdapter` wants its base.

    `files` are all weights it is made of, by what each is to it, the system's own first. `mean` and
    `std` are of RGB in 0..1. `choices` are settings that change the features. `build` gives the
    model on the CPU.
    """

    system: str
    files: dict[str, Path]
    embed_dim: int
    preprocessing: Preprocessing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cache: Path
    build: Callable[[], Any] = field(compare=False)
    choices: dict[str, Any] = field(default_factory=dict)

    @property
    def image_size(self) -> int:
        """Pixels of a side."""
        return self.preprocessing.size

    @property
    def context_length(self) -> int:
        """Tokens of a text, its start and end included."""
        return CONTEXT_LENGTH

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {what: weights_hash(path, self.cache) for what, path in self.files.items()}

    def key(self, precision: str) -> list[Any]:
        """What a fingerprint hashes of it, encoded in `precision`."""
        return [self.system, self.hashes, self.choices, self.preprocessing.key,
                self.mean, self.std, precision]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Provenance: what a result says of it."""
        own, *others = self.files
        found = {"arch": self.system, "pretrained": self.files[own].name,
                 "weights_sha256": self.hashes[own]}  # fmt: skip
        return found | {what: self.hashes[what] for what in others} | self.choices

    def describe_pixels(self) -> str:
        """Preprocessing in words, and who says so."""
        return pixels_in_words(self.system, self.preprocessing, self.mean, self.std)

    @cached_property
    def tokens(self) -> Tokens:
        """CLIP's tokenizer."""
        from open_clip.tokenizer import SimpleTokenizer

        from adapters.tokens import Tokens

        return Tokens(SimpleTokenizer(context_length=CONTEXT_LENGTH), CONTEXT_LENGTH)

    def pixel_scaling(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to what the model reads."""
        return pixel_scaling(self.mean, self.std)

    def load(self) -> Any:
        """The model on the CPU. BenchError where the weights do not fit."""
        return self.build()


def pixels_in_words(
    system: str, rule: Preprocessing, mean: tuple[float, ...], std: tuple[float, ...]
) -> str:
    """What a system's own code does to pictures."""
    means, stds = ("/".join(f"{one:g}" for one in three) for three in (mean, std))
    return f"{rule}, mean {means}, std {stds} ({system}'s own code)"


def system_card(
    system: str,
    code: str,
    find: Callable[[], Path],
    pixels: tuple[Preprocessing, tuple[float, ...], tuple[float, ...]],
    published: Mapping[str, Setup],
    key: str = "",
    **known: Any,
) -> Card:
    """The card of a system whose weights `find` finds; `pixels` are rule, mean and deviation.

    `key` is what models.yaml has the weights under, where that is not the system.
    """
    return card(
        key or system, code, weights=found(find), published=published,
        pixels=lambda: pixels_in_words(system, *pixels),
        **{"architecture": system, "context_length": CONTEXT_LENGTH, **known},
    )  # fmt: skip
