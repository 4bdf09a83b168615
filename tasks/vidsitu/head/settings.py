"""What the situation head is and how it is trained: the same for every model (docs/method.md 6)."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import UsageError
from bench.settings import require


@dataclass(frozen=True)
class HeadSettings:
    """Width to epochs are VideoWhisperer's published numbers; the rest is our choice.

    `vc_layers` and `vc_heads` are of the head's encoder over events and frames. `roles` are
    `given` by the annotation or `predicted`. `select` says which epoch answers: the `last`, or the
    `best` on the very split that is reported, as earlier work chose it. `beam` 1 is greedy.
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

    def check(self, where: str) -> HeadSettings:
        """UsageError for a value that no head can have."""
        counts = ("width", "layers", "heads", "feed_forward", "caption_tokens", "batch_videos",
                  "epochs", "vc_layers", "vc_heads", "beam")  # fmt: skip
        rules = {name: getattr(self, name) >= 1 for name in counts} | {
            "roles": self.roles in ("given", "predicted"),
            "select": self.select in ("last", "best"),
            "dropout": self.dropout < 1,
        }
        require(self, rules, where)
        if self.width % self.heads:
            raise UsageError(f"{where}: heads {self.heads} does not divide width {self.width}")
        return self
