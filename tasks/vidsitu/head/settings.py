"""What the situation head is and how it is trained: the same for every model (docs/method.md 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bench.errors import UsageError
from bench.settings import require, settings_from

OWN, WHISPERER = "own", "videowhisperer"
BEST = {"best": "the geometric mean of Vb@1 and CIDEr", "best-cider": "CIDEr"}
# How VideoWhisperer's head was published, where nothing else is set (GVSR at 6b092eb).
PUBLISHED: Mapping[str, Any] = {
    "vc_layers": 3, "weight_decay": 0.0, "clip_gradient": 0.0, "beta2": 0.99, "drop_last": True,
    "select": "best-cider", "causal": False, "case": "kept",
}  # fmt: skip
# Settings that older results do not have.
LATER = ("head", "beta2", "drop_last", "causal", "stage_one", "case")
MODEL = "model"  # as `stage_one`
NO_STAGE_ONE = (
    "model '{model}' has no video module that encodes frames, and vidsitu.stage_one is model; set "
    "vidsitu.stage_one=own"
)


@dataclass(frozen=True)
class HeadSettings:
    """Width to epochs are VideoWhisperer's published numbers; the rest is our choice.

    `head` is our `own` or `videowhisperer`, which has defaults of its own (`PUBLISHED`).
    `vc_layers` and `vc_heads` are of the head's encoder over events and frames. `roles` are
    `given` by the annotation or `predicted`. `select` says which epoch answers: the `last`, or the
    `best` or `best-cider` on the very split that is reported, as earlier work chose it. `beam` 1 is
    greedy. `drop_last` leaves out an epoch's last batch where it is smaller; `causal` is how
    captions are decoded: always so, but by VideoWhisperer. `stage_one` is the encoder over events
    and frames of VideoWhisperer's head: its `own`, trained, or that of the `model`, which leaves
    the head's out (`vc_layers` is then 0). `case` says whether captions are learnt in `lower` case
    or as the annotation has it, `kept`.
    """

    width: int = 1024
    layers: int = 3
    heads: int = 8
    feed_forward: int = 2048
    dropout: float = 0.15
    caption_tokens: int = 15
    learning_rate: float = 1e-4
    batch_videos: int = 16
    epochs: int = 15
    vc_layers: int = 6
    vc_heads: int = 8
    weight_decay: float = 0.01
    clip_gradient: float = 1.0
    roles: str = "given"
    select: str = "last"
    beam: int = 1
    head: str = OWN
    beta2: float = 0.999
    drop_last: bool = False
    causal: bool = True
    stage_one: str = OWN
    case: str = "lower"

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> HeadSettings:
        """The settings that `values` name, the rest as the head has them by default.

        UsageError for an unknown one, and for a value that no head can have.
        """
        usual = PUBLISHED if values.get("head") == WHISPERER else {}
        found = settings_from(cls, {**usual, **values}, where).check(where)
        return replace(found, vc_layers=0) if found.stage_one == MODEL else found

    def recorded(self) -> dict[str, Any]:
        """By name; those that came later only where they are not their default."""
        default = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items()
                if name not in LATER or value != default[name]}  # fmt: skip

    def check(self, where: str) -> HeadSettings:
        """UsageError for a value that no head can have."""
        whisperer = self.head == WHISPERER
        counts = ("width", "layers", "heads", "feed_forward", "caption_tokens", "batch_videos",
                  "epochs", "vc_layers", "vc_heads", "beam")  # fmt: skip
        rules = {name: getattr(self, name) >= 1 for name in counts} | {
            "roles": self.roles in ("given", "predicted"),
            "select": self.select in ("last", *BEST),
            "dropout": self.dropout < 1,
            "head": self.head in (OWN, WHISPERER),
            "beta2": self.beta2 < 1,
            "stage_one": self.stage_one in (OWN, MODEL),
            "case": self.case in ("lower", "kept"),
        }
        require(self, rules, where)
        if self.width % self.heads or (whisperer and self.width % self.vc_heads):
            name, heads = "heads", self.heads
            if not self.width % self.heads:
                name, heads = "vc_heads", self.vc_heads
            raise UsageError(f"{where}: {name} {heads} does not divide width {self.width}")
        if whisperer and self.beam > 1:
            raise UsageError(f"{where}: beam {self.beam}: VideoWhisperer's head decodes greedily")
        if whisperer and self.caption_tokens < 3:
            raise UsageError(f"{where}: caption_tokens {self.caption_tokens} are start and end")
        for name, only in (("causal", False), ("stage_one", MODEL)):
            if not whisperer and getattr(self, name) == only:
                raise UsageError(f"{where}: {name}: {only} is of VideoWhisperer's head alone")
        return self
