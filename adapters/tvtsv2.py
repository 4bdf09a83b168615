"""TVTSv2 (arXiv 2305.14173), B/32, B/16 and H/14: a model of clips of up to 12 frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from adapters.system import IMAGENET, Release, SystemBase, system_card
from adapters.torch_adapter import ClipAdapter
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import UsageError, nearest
from bench.files.tensor_store import digest
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import Middles

if TYPE_CHECKING:
    import torch

    from adapters.tvtsv2_model import TVTSv2

VERSION = 1  # raise it when a change here could change a feature
# As the released files are called; sizes of `adapters.tvtsv2_model.Sizes` beside the common ones.
COMMON = {"image_size": 224, "num_frames": 12, "context_length": 77, "vocab_size": 49408}
BASE = {"embed_dim": 512, "vision_width": 768, "vision_layers": 12, "vision_heads": 12,
        "text_width": 512, "text_layers": 12, "text_heads": 8}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "B_32": {**COMMON, **BASE, "patch_size": 32},
    "B_16": {**COMMON, **BASE, "patch_size": 16},
    "H_14": {**COMMON, "patch_size": 14, "embed_dim": 1024, "vision_width": 1280,
             "vision_layers": 32, "vision_heads": 16, "text_width": 1024, "text_layers": 24,
             "text_heads": 16, "quick_gelu": False},
}  # fmt: skip
PADDED = "a clip of fewer than 12 frames is followed by zero frames, which are attended to"
HALF = "officially float16 under autocast, cosines too; here in the run's precision"


def _pixels(sizes: dict[str, Any]) -> Preprocessing:
    """int(1.2 * 224) by Pillow's nearest: v2/video_transforms."""
    side = sizes["image_size"]
    return Preprocessing(side, scaled=int(1.2 * side), interpolation="nearest")


def _published(sizes: dict[str, Any]) -> dict[str, Setup]:
    """v2/downstream/configs/zero-{msrvtt,lsmdc}-vit-*.json: the same for both."""
    remarks = [PADDED] if sizes.get("quick_gelu", True) else [PADDED, HALF]
    setup = Setup(Middles(sizes["num_frames"]), _pixels(sizes), remarks=remarks)
    return {"msrvtt": setup, "lsmdc": setup}


class TVTSv2Adapter(ClipAdapter):
    """TVTSv2 by the `variant` B_32, B_16 or H_14; `checkpoint` is its file.

    UsageError for another variant, MissingWeights without the file.
    """

    pooling: ClassVar[str] = "the model's own: one class token over all frames"

    def __init__(
        self, name: str, run: RunConfig, variant: str | None = None, checkpoint: str | None = None
    ) -> None:
        release, weights = self._found(run, variant, checkpoint)
        self._sizes = VARIANTS[variant or ""]
        base = SystemBase(
            release.system, {"weights": weights}, self._sizes["embed_dim"],
            _pixels(self._sizes), *IMAGENET, run.cache_folder, lambda: self._read(weights, release),
        )  # fmt: skip
        super().__init__(name, run, base)
        self.most_frames = self._sizes["num_frames"]
        self.published = _published(self._sizes)

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What is known of the variant; see `bench.capabilities`."""
        release, sizes = cls._release(settings.get("variant"))
        return system_card(
            release.system, "tvtsv2", lambda: release.found(run, settings.get("checkpoint")),
            (_pixels(sizes), *IMAGENET), _published(sizes), embed_dim=sizes["embed_dim"],
            clips=True,
        )  # fmt: skip

    @classmethod
    def _found(
        cls, run: RunConfig, variant: str | None, checkpoint: str | None
    ) -> tuple[Release, Path]:
        release, _ = cls._release(variant)
        return release, release.found(run, checkpoint)

    @staticmethod
    def _release(variant: str | None) -> tuple[Release, dict[str, Any]]:
        if variant not in VARIANTS:
            raise UsageError(
                f"TVTSv2 has no variant '{variant}'{nearest(str(variant), list(VARIANTS))}; "
                f"known: {', '.join(VARIANTS)}"
            )
        release = Release(
            f"TVTSv2 {variant.replace('_', '/')}", f"TVTSv2_ViT_{variant}.pth",
            "the links in v2/README.md of github.com/TencentARC/TVTS",
        )  # fmt: skip
        return release, VARIANTS[variant]

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        cls._found(run, *map(settings.get, ("variant", "checkpoint")))

    @property
    def fingerprint(self) -> str:
        """Hash of weights, preprocessing, precision, and whether short clips are padded."""
        return digest("tvtsv2", VERSION, *self.base.key(self.precision), self.setup is not None)

    def _padded(self, video: torch.Tensor) -> torch.Tensor:
        """As they are; in the published protocol, short clips with zeros up to 12 frames."""
        from torch.nn.functional import pad

        missing = self.most_frames - video.shape[1] if self.setup else 0
        return pad(video, (0, 0) * 3 + (0, missing))

    def _read(self, weights: Path, release: Release) -> TVTSv2:
        from adapters.checkpoint import read_tensors, unprefixed
        from adapters.tvtsv2_model import Sizes, load

        return load(
            Sizes.of(self._sizes), unprefixed(read_tensors(weights)), weights, release.remedy
        )
