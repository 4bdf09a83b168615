"""A CLIP before it is loaded: architecture, weights, and all that its checkpoint says of inputs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.published import CONFIG, OWN, SETTINGS, Published, published
from adapters.weights import (
    SHIPPED,
    file_hash,
    find_weights,
    hub_in_reach,
    local_path,
    local_weights,
    weights_hash,
)
from bench.config import RunConfig
from bench.errors import BenchError, UsageError, nearest, plain
from bench.files.tensor_store import digest
from bench.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

    from adapters.tokens import Tokens

POSITIONS = ("positional_embedding", "pos_embed", "position_embedding")


@dataclass(frozen=True)
class CLIPBase:
    """An open_clip architecture with a weights file on this machine.

    `config` is open_clip's configuration of `arch`, `pretrained` a tag, a file or a folder,
    `sha256` the hash of `weights`, `published` what their configuration says, `tokenizer` a hash of
    the tokenizer's files where they lie beside the weights. Position embeddings of another size are
    interpolated only with `resize_positions`.
    """

    arch: str
    pretrained: str
    config: dict[str, Any]
    weights: Path
    sha256: str
    published: Published = field(default_factory=Published)
    resize_positions: bool = False
    tokenizer: str = ""

    @classmethod
    def find(
        cls,
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        spec: str | None = None,
        *,
        own: dict[str, Any] | None = None,
        resize_positions: bool = False,
    ) -> CLIPBase:
        """The base of `arch` and `pretrained`, or of both in one (`spec`, as `ViT-B-16/openai`).

        `own` are settings of pixels and activation that win over the published ones. UsageError for
        an unknown architecture or setting, MissingWeights where weights are nowhere to be had.
        """
        arch, pretrained = parse(arch, pretrained, spec)
        config = architecture(arch)
        weights = find_weights(arch, pretrained, run)
        tag = pretrained if local_path(pretrained) is None else None
        facts = published(arch, tag, weights, own or {})
        sha256 = weights_hash(weights, run.cache_folder)
        files = [[path.name, file_hash(path, run.cache_folder)]
                 for path in _tokenizer_files(config, weights.parent)]  # fmt: skip
        tokenizer = digest(files) if files else ""
        return cls(arch, pretrained, config, weights, sha256, facts, resize_positions, tokenizer)

    @staticmethod
    def check(
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        spec: str | None = None,
    ) -> None:
        """Raise as `find`, without the network and without reading the weights."""
        arch, pretrained = parse(arch, pretrained, spec)
        architecture(arch)
        local_weights(arch, pretrained, run)

    @property
    def embed_dim(self) -> int:
        """Dimensions of a feature."""
        return int(self.config["embed_dim"])

    @property
    def image_size(self) -> int:
        """Pixels of a side."""
        return int(self.config["vision_cfg"]["image_size"])

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become the squares that the model reads."""
        return Preprocessing(
            self.image_size, self.published.resize_mode, self.published.interpolation
        )

    @property
    def tag(self) -> str | None:
        """The tag of `pretrained`; None for a file or a folder."""
        return self.pretrained if local_path(self.pretrained) is None else None

    def key(self, precision: str) -> list[Any]:
        """What a fingerprint hashes of it, encoded in `precision`."""
        activation = bool(self.config.get("quick_gelu", False))
        more = ["resize_positions"] if self.resize_positions else []
        more += [f"tokenizer {self.tokenizer}"] if self.tokenizer else []
        return [self.config, self.tag or "file", self.sha256, precision,
                *self.published.key(activation), *more]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Provenance: what a result and a trained model's card say of it."""
        name = self.tag or Path(self.pretrained).name
        found = {"arch": self.arch, "pretrained": name, "weights_sha256": self.sha256}
        return found | ({"resize_positions": True} if self.resize_positions else {})

    def describe_pixels(self) -> str:
        """Preprocessing and activation in words, and who says so."""
        mean, std = ("/".join(f"{one:g}" for one in three)
                     for three in (self.published.mean, self.published.std))  # fmt: skip
        where = self.published.source or "assumed: nothing beside the weights says it"
        return f"{self.preprocessing}, mean {mean}, std {std} ({where})"

    def load(self) -> Any:
        """The open_clip model with its weights, on the CPU. BenchError where they do not fit."""
        return load_clip(self)

    @cached_property
    def tokens(self) -> Tokens:
        """The architecture's tokenizer. BenchError where its files are not on this machine."""
        from adapters.tokens import Tokens

        return Tokens(_tokenizer(self.arch, self.config, self.weights.parent), self.context_length)

    @property
    def context_length(self) -> int:
        """Tokens of a text, its start and end included."""
        return int(self.config["text_cfg"].get("context_length", 77))

    def library_pixels(self, pictures: Sequence[Any]) -> torch.Tensor:
        """PIL pictures -> [N, 3, S, S] by open_clip's transform, as it configures it itself.

        The user's own settings win here too.
        """
        import torch
        from open_clip.pretrained import get_pretrained_cfg
        from open_clip.transform import PreprocessCfg, image_transform_v2

        facts = (get_pretrained_cfg(self.arch, self.tag) or {}) if self.tag else {}
        if self.tag is None and (self.weights.parent / CONFIG).is_file():
            facts = json.loads((self.weights.parent / CONFIG).read_text()).get("preprocess_cfg", {})
        if self.published.source == OWN:
            facts = {name: getattr(self.published, name) for name in SETTINGS}
        known = {name: facts[name] for name in SETTINGS if facts.get(name) is not None}
        transform = image_transform_v2(PreprocessCfg(size=self.image_size, **known), is_train=False)
        return torch.stack([transform(picture) for picture in pictures])

    def pixel_scaling(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to what the model reads."""
        return pixel_scaling(self.published.mean, self.published.std)


def pixel_scaling(mean: Sequence[float], std: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift [1, 3, 1, 1]: one multiply-add instead of /255, -mean, /std.

    The same up to float rounding.
    """
    import torch

    means, stds = torch.tensor(mean), torch.tensor(std)
    return (1 / (255 * stds)).view(1, 3, 1, 1), (-means / stds).view(1, 3, 1, 1)


def load_clip(base: CLIPBase) -> Any:
    """An open_clip model on the CPU with a base's weights; BenchError where they do not fit."""
    import open_clip

    _register(base.arch)
    activation = base.published.quick_gelu
    kwargs = {} if activation is None else {"quick_gelu": activation}
    logging.disable(logging.WARNING)  # open_clip warns of weights that are loaded below
    try:
        model = open_clip.create_model(base.arch, pretrained=None, load_weights=False, **kwargs)
    except Exception as error:  # a text tower of Hugging Face wants its configuration
        raise BenchError(
            f"{base.arch}: cannot be built ({plain(error)}); its configuration must be in Hugging "
            "Face's cache: load it once with the network"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    _fill(model, base)
    return model


def _fill(model: Any, base: CLIPBase) -> None:
    """Load the weights; strictly: a checkpoint of another architecture must not half-load."""
    import open_clip
    from open_clip.convert import convert_state_dict
    from open_clip.model import (
        convert_to_custom_text_state_dict,
        resize_pos_embed,
        resize_text_pos_embed,
    )

    from adapters.checkpoint import misfit, read_state

    if base.weights.suffix in (".npz", ".npy"):  # Big Vision's own, of SigLIP
        open_clip.load_checkpoint(model, str(base.weights))
        return
    state = convert_state_dict(model, read_state(base.weights))
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = model.state_dict()
    for name in ("logit_scale", "logit_bias"):  # a number, or a list of one
        if name in state and name in own and state[name].numel() == own[name].numel():
            state[name] = state[name].reshape(own[name].shape)
    state.pop("text.transformer.embeddings.position_ids", None)  # of older transformers
    if base.resize_positions:
        resize_pos_embed(state, model)
        resize_text_pos_embed(state, model)
    elif odd := [n for n in own.keys() & state.keys()
                 if n.endswith(POSITIONS) and own[n].shape != state[n].shape]:  # fmt: skip
        shapes = f"{list(state[odd[0]].shape)}, and {base.arch} has {list(own[odd[0]].shape)}"
        raise BenchError(
            f"{base.weights}: {odd[0]} is {shapes}: another image size or context length; give its "
            "architecture, or set resize_positions: true to interpolate"
        )
    if fault := misfit(own, state):
        raise BenchError(f"{base.weights}: not a checkpoint of {base.arch}: it {fault}")
    model.load_state_dict(state)


def _tokenizer(arch: str, config: dict[str, Any], beside: Path) -> Any:
    """open_clip's tokenizer of `arch`; one of Hugging Face from beside the weights or its cache."""
    import open_clip

    _register(arch)
    name = config["text_cfg"].get("hf_tokenizer_name")
    if not name:
        return open_clip.get_tokenizer(arch)
    local = bool(_tokenizer_files(config, beside))
    offline = {} if local or hub_in_reach() else {"local_files_only": True}
    try:
        return open_clip.get_tokenizer(f"local-dir:{beside}" if local else arch, **offline)
    except Exception as error:  # hub, tokenizers and sentencepiece each raise their own kinds
        raise BenchError(
            f"{arch}: its tokenizer '{name}' is not on this machine ({plain(error)}); fetch it "
            f"into Hugging Face's cache, or put its files and {CONFIG} beside the weights"
        ) from error


def _tokenizer_files(config: dict[str, Any], beside: Path) -> list[Path]:
    """What a tokenizer of Hugging Face is read from, where it lies beside the weights."""
    wanted = [beside / CONFIG, beside / "tokenizer_config.json"]
    if not config["text_cfg"].get("hf_tokenizer_name") or not all(map(Path.is_file, wanted)):
        return []
    return sorted(path for path in beside.iterdir()
                  if path.suffix in (".json", ".txt", ".model") and path.is_file())  # fmt: skip


def parse(arch: str | None, pretrained: str | None, spec: str | None) -> tuple[str, str]:
    """Architecture and weights of either way to name them. UsageError where one is not named."""
    if spec is not None:
        arch, _, pretrained = spec.partition("/")
    if not arch or not pretrained:
        raise UsageError(
            "open_clip needs an architecture and a tag or file: open_clip:ARCH/TAG, such as "
            "open_clip:ViT-B-16/laion2b_s34b_b88k or open_clip:ViT-B-32/./weights.safetensors"
        )
    return arch, pretrained


def architecture(arch: str) -> dict[str, Any]:
    """The architecture's configuration, read without importing open_clip (and with it torch)."""
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise BenchError("open_clip is not installed; pip install open_clip_torch")
    folders = [SHIPPED, Path(package.origin).parent / "model_configs"]
    files = {file.stem: file for folder in folders for file in folder.glob("*.json")}
    if arch not in files:
        raise UsageError(f"open_clip has no architecture '{arch}'{nearest(arch, sorted(files))}")
    config: dict[str, Any] = json.loads(files[arch].read_text(encoding="utf-8"))
    return config


def _register(arch: str) -> None:
    import open_clip

    if arch not in open_clip.list_models():
        open_clip.add_model_config(SHIPPED / f"{arch}.json")
