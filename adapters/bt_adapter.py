"""BT-Adapter (arXiv 2309.15785) on OpenAI's ViT-L/14: a model of clips of up to 64 frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from adapters.bt_adapter_names import absent_towers, of_openai, official_name, official_state
from adapters.system import OPENCV, Release, SystemBase, system_card
from adapters.torch_adapter import ClipAdapter
from adapters.weights import find_weights
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import UsageError
from bench.files.tensor_store import digest
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import Steps

if TYPE_CHECKING:
    from adapters.bt_adapter_model import BTAdapter

VERSION = 1  # raise it when a change here could change a feature
RELEASE = Release(
    "BT-Adapter L/14", "bt-adapter-l14.pth",
    "huggingface.co/farewellthree/BTAdapter-Weight (the checkpoint of pretraining or retrieval)",
)  # fmt: skip
OPENAI = "ViT-L-14-quickgelu"  # the architecture whose weights the branch was trained beside
# Of `adapters.bt_adapter_model.Sizes`.
SIZES: dict[str, Any] = {
    "vision": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
               "num_attention_heads": 16, "image_size": 224, "patch_size": 14},
    "text": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
             "num_attention_heads": 12, "vocab_size": 49408, "max_position_embeddings": 77},
    "proj": 768, "depth": 4, "positions": 64,
}  # fmt: skip
# Of RGB in 0..255: the official data preprocessor's.
MEAN = tuple(one / 255 for one in (122.771, 116.746, 104.093))
STD = tuple(one / 255 for one in (68.5, 66.632, 70.323))
BALANCES = ("auto", "on", "off")
COLOURS = 3  # frames: the official code takes them for the three colours
CUT = (
    "captions are cut to 32 tokens after an end token was put behind them: a longer one loses it, "
    "and all such captions share one feature"
)
BALANCED = (
    "with the balance terms, which are in the checkpoint; the official zero-shot configuration "
    "leaves them out"
)


class BTAdapterAdapter(ClipAdapter):
    """BT-Adapter by its `checkpoint`: whole, or the branch alone beside OpenAI's ViT-L/14.

    `balance` says whether the branch is weighed against CLIP by what pretraining learnt: `auto`,
    where the checkpoint has it. UsageError for another, MissingWeights without a file.
    """

    pooling: ClassVar[str] = "the model's own: mean of its frame features as they are"

    def __init__(
        self, name: str, run: RunConfig, checkpoint: str | None = None, balance: str | bool = "auto"
    ) -> None:
        from adapters.checkpoint import tensor_names

        weights = RELEASE.found(run, checkpoint)
        names = set(map(official_name, tensor_names(weights)))
        balanced = _balanced(balance, "backbone.balance1" in names, weights)
        files = {"weights": weights}
        if absent_towers(names):
            files["openai_sha256"] = find_weights(OPENAI, "openai", run)
        base = SystemBase(
            RELEASE.system, files, SIZES["proj"],
            _pixels(), MEAN, STD, run.cache_folder,
            lambda: _read(files, balanced), {"balance": "on" if balanced else "off"},
        )  # fmt: skip
        super().__init__(name, run, base)
        self.most_frames = SIZES["positions"]
        self.published = _published([BALANCED] if balanced else [])

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What is known of it; see `bench.capabilities`."""
        return system_card(
            RELEASE.system, "bt_adapter", lambda: RELEASE.found(run, settings.get("checkpoint")),
            (_pixels(), MEAN, STD), _published([]), embed_dim=SIZES["proj"], clips=True,
        )  # fmt: skip

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        RELEASE.found(run, settings.get("checkpoint"))

    @property
    def fingerprint(self) -> str:
        """Hash of weights, balance, preprocessing and precision."""
        return digest("bt_adapter", VERSION, *self.base.key(self.precision))

    def _tokens(self, texts: Sequence[str]) -> Any:
        """As published cut after tokenising: a longer text has no end token then."""
        if self.setup is None:
            return super()._tokens(texts)
        return self.base.tokens(texts)[:, : self.text_length]

    def odd_frames(self, count: int) -> str:
        """Why clips of `count` frames cannot be encoded; empty if they can."""
        if count == COLOURS:
            return f"{count} frames a clip, which the official code takes for the three colours"
        return super().odd_frames(count)


def _pixels() -> Preprocessing:
    return Preprocessing(SIZES["vision"]["image_size"], **OPENCV)


def _published(remarks: Sequence[str]) -> dict[str, Setup]:
    """configs/btadapter/zero-shot/{msrvtt,lsmdc}_btadapterl14.py."""
    rule = _pixels()
    larger = replace(rule, scaled=round(rule.size * 256 / 224))
    return {
        "msrvtt": Setup(Steps(12), rule, 32, [CUT, *remarks]),
        "lsmdc": Setup(Steps(64), larger, remarks=remarks),
    }


def _balanced(setting: str | bool, there: bool, weights: Path) -> bool:
    """Whether the balance terms are used; YAML reads a bare `on` as true."""
    if isinstance(setting, bool):
        setting = "on" if setting else "off"
    if setting not in BALANCES:
        raise UsageError(f"balance must be one of {', '.join(BALANCES)}, not {setting!r}")
    if setting == "on" and not there:
        raise UsageError(f"balance: on, but {weights} has no backbone.balance1; say auto or off")
    return there if setting == "auto" else setting == "on"


def _read(files: Mapping[str, Path], balanced: bool) -> BTAdapter:
    from adapters.bt_adapter_model import Sizes, load
    from adapters.checkpoint import read_state, read_tensors

    state = official_state(read_tensors(files["weights"]))
    if absent := tuple(absent_towers(state)):
        theirs = of_openai(read_state(files["openai_sha256"]))
        state |= {name: theirs[name] for name in theirs if name.startswith(absent)}
    return load(Sizes(**SIZES), state, balanced, files["weights"], RELEASE.remedy)
