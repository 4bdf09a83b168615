"""CLIP and SigLIP folders of Hugging Face's transformers, with or without a LoRA of peft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.clip_base import pixel_scaling
from adapters.open_clip import OpenCLIPAdapter
from adapters.published import MEAN, STD
from adapters.torch_adapter import FrameAdapter
from adapters.weights import file_hash
from bench.config import RunConfig
from bench.errors import BenchError, MissingWeights, UsageError, plain
from bench.files.tensor_store import digest
from bench.files.untrusted import read_json, well_formed
from bench.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

    from adapters.tokens import Tokens

KINDS = ("clip", "siglip", "metaclip_2")  # model_type of config.json
INTERPOLATION = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
REMEDY = "give a folder as transformers saves it"
LORA = ("adapter_config.json", "adapter_model.safetensors")
READ = (".json", ".safetensors", ".bin", ".txt", ".model")  # files of a folder that are read


class TransformersAdapter(OpenCLIPAdapter):
    """A CLIP or SigLIP by its folder: `transformers:DIR`, or `transformers:DIR+LORA_DIR`.

    `spec` is that; `folder` and `lora` are both apart. Pixels and texts are prepared as its own
    configuration says. UsageError for another kind of model, MissingWeights where a folder is not
    there.
    """

    def __init__(
        self,
        name: str,
        run: RunConfig,
        spec: str | None = None,
        folder: str | None = None,
        lora: str | None = None,
    ) -> None:
        base = TransformersBase.find(run, *_parse(spec, folder, lora))
        FrameAdapter.__init__(self, name, run, base)

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        TransformersBase.find(run, *_parse(*map(settings.get, ("spec", "folder", "lora"))))


def _parse(spec: str | None, folder: str | None, lora: str | None) -> tuple[Path, Path | None]:
    if spec:
        folder, plus, rest = (spec, "", "") if Path(spec).is_dir() else spec.partition("+")
        lora = rest if plus else lora
    if not folder:
        raise UsageError("transformers needs a folder: transformers:DIR or transformers:DIR+LORA")
    return Path(folder), Path(lora) if lora else None


@dataclass(frozen=True)
class TransformersBase:
    """What `adapters.clip_base.CLIPBase` is to open_clip: a model before it is loaded.

    `config` is config.json, `pixels` what preprocessor_config.json says, `sha256` hashes all files.
    """

    folder: Path
    lora: Path | None
    config: dict[str, Any]
    pixels: dict[str, Any]
    sha256: str

    @classmethod
    def find(cls, run: RunConfig, folder: Path, lora: Path | None) -> TransformersBase:
        """Raises as the adapter does; no weights are read but for their hash."""
        if not (folder / "config.json").is_file():
            what = "a folder without config.json" if folder.is_dir() else "no such folder"
            raise MissingWeights(f"{folder}: {what}; {REMEDY}")
        if lora is not None and not all((lora / name).is_file() for name in LORA):
            raise MissingWeights(f"{lora}: no LoRA of peft: {' and '.join(LORA)} are needed")
        config = read_json(folder / "config.json", REMEDY, largest=1 << 20)
        with well_formed(folder / "config.json", REMEDY):
            if config["model_type"] not in KINDS:
                raise UsageError(
                    f"{folder}: a model of type '{config['model_type']}'; known: {', '.join(KINDS)}"
                )
            int(config["vision_config"].get("image_size", 224))
            int(config["text_config"].get("max_position_embeddings", 77))
        hashes = [
            [path.name, file_hash(path, run.cache_folder)]
            for where in (folder, lora) if where is not None
            for path in sorted(where.iterdir()) if path.is_file() and path.suffix in READ
        ]  # fmt: skip
        pixels = _pixels(folder, config)
        found = cls(folder, lora, config, pixels, digest(hashes))
        _ = found.preprocessing  # refused now, not after the decoding
        return found

    @property
    def embed_dim(self) -> int:
        """Dimensions of a feature."""
        if self.config["model_type"] == "siglip":
            return int(self.config["vision_config"].get("hidden_size", 768))
        return int(self.config.get("projection_dim", 512))

    @property
    def image_size(self) -> int:
        """Pixels of a side."""
        return int(self.config["vision_config"].get("image_size", 224))

    @property
    def preprocessing(self) -> Preprocessing:
        """The image processor's. UsageError where it makes another size than the model reads."""
        size, crop = self.pixels.get("size", self.image_size), self.pixels.get("crop_size")
        how = INTERPOLATION.get(self.pixels.get("resample", 3), "unknown")
        edge = size.get("shortest_edge") if isinstance(size, dict) else None
        try:
            if isinstance(size, dict) and edge is None:
                found = Preprocessing(int(size["height"]), "squash", how)
                fits = size["height"] == size["width"] == self.image_size
            else:
                side, square = int(edge or size), _side(crop, self.image_size)
                scaled = side if side != square else None
                found = Preprocessing(square, "shortest", how, scaled, "floor")
                fits = square == self.image_size
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self.folder}: preprocessor_config.json: {plain(error)}") from error
        if not fits:
            raise UsageError(
                f"{self.folder}: its processor makes {found}, and the model reads "
                f"{self.image_size} pixels; correct preprocessor_config.json"
            )
        return found

    def key(self, precision: str) -> list[Any]:
        """What a fingerprint hashes of it, encoded in `precision`."""
        return ["transformers", self.sha256, precision]

    def facts(self) -> dict[str, Any]:
        """Provenance: what a result says of it."""
        kind = f"transformers {self.config['model_type']}"
        found = {"arch": kind, "pretrained": self.folder.name, "weights_sha256": self.sha256}
        return found | ({"lora": self.lora.name} if self.lora else {})

    def describe_pixels(self) -> str:
        """Preprocessing in words, and who says so."""
        where = self.pixels["source"] or "assumed: no preprocessor_config.json"
        return f"{self.preprocessing} ({where})"

    @cached_property
    def tokens(self) -> Tokens:
        """The folder's tokenizer. BenchError where its files are not in the folder."""
        from adapters.tokens import Padded, Tokens

        return Tokens(Padded(_tokenizer(self.folder), self.context_length), self.context_length)

    @property
    def context_length(self) -> int:
        """Tokens of a text, its start and end included."""
        return int(self.config["text_config"].get("max_position_embeddings", 77))

    def pixel_scaling(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to what the model reads."""
        return pixel_scaling(self.pixels["image_mean"], self.pixels["image_std"])

    def library_pixels(self, pictures: Sequence[Any]) -> torch.Tensor:
        """PIL pictures -> [N, 3, S, S] by the folder's own image processor, on Pillow."""
        from adapters.transformers_model import processed

        return processed(self.folder, pictures)

    def load(self) -> Any:
        """The model on the CPU in float32. BenchError for weights that do not fit exactly."""
        from adapters.transformers_model import load

        return load(self.folder, self.lora)


def _side(crop: Any, otherwise: int) -> int:
    return int(crop["height"] if isinstance(crop, dict) else crop or otherwise)


def _pixels(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What the folder's image processor does, and the file that says so; or its kind's defaults."""
    siglip, side = config["model_type"] == "siglip", config["vision_config"].get("image_size", 224)
    found: dict[str, Any] = {
        "image_mean": [0.5] * 3 if siglip else list(MEAN),
        "image_std": [0.5] * 3 if siglip else list(STD),
        "size": {"height": side, "width": side} if siglip else side,
        "source": "",
    }
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (path := folder / name).is_file():
            written = read_json(path, REMEDY, largest=1 << 20)
            with well_formed(path, REMEDY):
                written = dict(written.get("image_processor", written))
            if written.get("do_resize") is False or written.get("do_rescale") is False:
                raise UsageError(f"{path}: pictures that are not resized or not scaled to 0..1")
            known = {key: value for key, value in written.items() if value is not None}
            found |= {**known, "source": name}
    return found


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers and sentencepiece raise kinds of their own
        raise BenchError(f"{folder}: no tokenizer to read ({plain(error)}); {REMEDY}") from error
