"""What a trained SRL-CLIP folder says of itself, readable without importing torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import BenchError, UsageError
from bench.files.untrusted import read_json, shown, well_formed

CARD = "card.json"
LORA = ("adapter_config.json", "adapter_model.safetensors")
TOWER = "visual.safetensors"  # in place of the LoRA after full fine-tuning
CONTEXT = "contextualizer.safetensors"
FILES = (*LORA, TOWER, CONTEXT)
VERSION = 2  # 1 had a contextualizer that could not tell events apart
LARGEST = 4096  # of any size: more is a slip of the pen
LARGEST_ALPHA = 1 << 20


@dataclass(frozen=True)
class SRLSettings:
    """How the model is built. Rank, layers, events and frames are the paper's; the others ours.

    `alpha` None means the rank. `weights` are a choice of Supplementary Table 2, `full` for
    fine-tuning the whole image tower, or `none` for leaving it as it is. `vc_layers` 0 means no
    contextualizer, `event_places` False one that does not know the events' places.
    """

    aliases: ClassVar[dict[str, str]] = {  # peft's names
        "lora_targets": "weights",
        "lora_rank": "rank",
        "lora_alpha": "alpha",
        "lora_dropout": "dropout",
    }

    weights: str = "qkv"
    rank: int = 64
    alpha: int | None = None
    dropout: float = 0.0
    vc_layers: int = 6
    vc_heads: int = 8
    vc_dropout: float = 0.1
    events: int = 5
    frames: int = 4
    event_places: bool = True
    learn_temperature: bool = False

    @property
    def scaling(self) -> int:
        """LoRA's alpha."""
        return self.rank if self.alpha is None else self.alpha

    def shape(self) -> dict[str, Any]:
        """What trained weights are of: all but what only training itself depends on."""
        training = ("dropout", "vc_dropout", "learn_temperature")
        own = {name: value for name, value in asdict(self).items() if name not in training}
        return {**own, "alpha": self.scaling}

    def check(self, where: str) -> SRLSettings:
        """Itself, or UsageError for a value that no model can have."""
        for name in ("rank", "vc_layers", "vc_heads", "events", "frames"):
            least = 0 if name == "vc_layers" else 1
            if not least <= getattr(self, name) <= LARGEST:
                raise UsageError(f"{where}: {name} must be at least {least} and at most {LARGEST}")
        if self.scaling > LARGEST_ALPHA:
            raise UsageError(f"{where}: alpha must be at most {LARGEST_ALPHA}")
        for name in ("dropout", "vc_dropout"):
            if getattr(self, name) >= 1:
                raise UsageError(f"{where}: {name} must be below 1")
        return self


def read_card(folder: Path) -> dict[str, Any]:
    """A trained folder's card. BenchError where it is damaged or of another version."""
    path = folder / CARD
    remedy = "train again"
    card = read_json(path, remedy, largest=1 << 20)
    with well_formed(path, remedy):
        settings, base, version = card["settings"], card["base"]["weights_sha256"], card["version"]
    if not (isinstance(settings, dict) and isinstance(base, str)):
        raise BenchError(f"{path}: damaged (settings or base); {remedy}")
    if version != VERSION:
        raise BenchError(
            f"{path}: version {shown(version)}, this srl-bench reads {VERSION}; {remedy}"
        )
    return dict(card)
