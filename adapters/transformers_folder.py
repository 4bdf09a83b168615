"""A folder of Hugging Face's transformers before its model is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.clip_base import pixel_scaling
from adapters.transformers_kinds import Kind, Sizes, kind_of, sizes
from adapters.transformers_pixels import REMEDY, Pixels, pixels_of
from adapters.weights import file_hash
from bench.config import RunConfig
from bench.errors import BenchError, MissingWeights, UsageError, plain
from bench.files.tensor_store import digest
from bench.files.untrusted import read_json, well_formed
from bench.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

    from adapters.tokens import Tokens

VERSION = 2  # raise it when a change here could change a feature
LORA = ("adapter_config.json", "adapter_model.safetensors")
HEARS = "pe_audio_video"  # the model_type that can be read with its sound
READ = (".json", ".safetensors", ".bin", ".txt", ".model")  # files of a folder that are read


@dataclass(frozen=True)
class SoundRule:
    """How a sound track is read: at `rate` Hz, `hop` samples a token."""

    rate: int
    hop: int


@dataclass(frozen=True)
class TransformersBase:
    """What `adapters.clip_base.CLIPBase` is to open_clip: a model before it is loaded.

    `config` is config.json, `words` tokenizer_config.json, `sha256` hashes all files.
    """

    folder: Path
    lora: Path | None
    config: dict[str, Any]
    words: dict[str, Any]
    kind: Kind
    sizes: Sizes
    pixels: Pixels
    sha256: str
    sound: SoundRule | None = None

    @classmethod
    def find(
        cls, run: RunConfig, folder: Path, lora: Path | None, audio: bool = False
    ) -> TransformersBase:
        """Raises as the adapter does; no weights are read but for their hash."""
        config = read_config(folder)
        if lora is not None and not all((lora / name).is_file() for name in LORA):
            raise MissingWeights(f"{lora}: no LoRA of peft: {' and '.join(LORA)} are needed")
        with well_formed(folder / "config.json", REMEDY):
            model_type = str(config["model_type"])
            kind = kind_of(model_type, folder)
            found = sizes(config)
        pixels = pixels_of(folder, model_type, kind, found.image_size)
        if found.frames and pixels.frames not in (None, found.frames):
            raise UsageError(
                f"{folder / pixels.source}: {pixels.frames} frames of a video, and the model reads "
                f"{found.frames}; correct num_frames"
            )
        hashes = [
            [path.name, file_hash(path, run.cache_folder)]
            for where in (folder, lora) if where is not None
            for path in sorted(where.iterdir()) if path.is_file() and path.suffix in READ
        ]  # fmt: skip
        sound = _sound(folder, model_type) if audio else None
        return cls(folder, lora, config, _words(folder), kind, found, pixels, digest(hashes), sound)

    @property
    def embed_dim(self) -> int:
        """Dimensions of a feature."""
        return self.sizes.embed_dim

    @property
    def image_size(self) -> int:
        """Pixels of a side."""
        return self.pixels.rule.size

    @property
    def preprocessing(self) -> Preprocessing:
        """The folder's processor's."""
        return self.pixels.rule

    @property
    def parameters(self) -> int | None:
        """Numbers in its safetensors files; None where the weights are of another format."""
        from safetensors import safe_open

        count = 0
        for path in self.folder.glob("model*.safetensors"):
            with safe_open(path, framework="np") as file:
                count += sum(math.prod(file.get_slice(n).get_shape()) for n in file.keys())  # noqa: SIM118
        return count or None

    def key(self, precision: str) -> list[Any]:
        """What a fingerprint hashes of it, encoded in `precision`."""
        return ["transformers", VERSION, self.sha256, precision, *["audio"] * bool(self.sound)]

    def facts(self) -> dict[str, Any]:
        """Provenance: what a result says of it."""
        kind = f"transformers {self.config['model_type']}"
        found = {"arch": kind, "pretrained": self.folder.name, "weights_sha256": self.sha256}
        heard = {"audio": f"{self.sound.rate} Hz"} if self.sound else {}
        return found | ({"lora": self.lora.name} if self.lora else {}) | heard

    def describe_pixels(self) -> str:
        """Preprocessing in words, and who says so."""
        where = self.pixels.source or "assumed: no preprocessor_config.json"
        return f"{self.preprocessing} ({where})"

    @cached_property
    def tokens(self) -> Tokens:
        """The folder's tokenizer. BenchError where its files are not in the folder.

        Texts are lower-cased where its configuration says `do_lower_case`: SigLIP 2's Gemma
        tokenizer says so and does not do it.
        """
        from adapters.tokens import Padded, Tokens

        length, lower = self.context_length, bool(self.words.get("do_lower_case"))
        padded = Padded(_tokenizer(self.folder), length, self.kind.longest, lower)
        return Tokens(padded, length)

    @property
    def context_length(self) -> int:
        """Tokens of a text, its start and end included: the model's, or fewer of its tokenizer."""
        longest = self.words.get("model_max_length")
        own = int(longest) if isinstance(longest, int | float) and longest > 0 else 1 << 30
        return min(self.sizes.positions, own)

    def pixel_scaling(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to what the model reads."""
        return pixel_scaling(self.pixels.mean, self.pixels.std)

    def library_pixels(self, pictures: Sequence[Any]) -> torch.Tensor:
        """PIL pictures -> [N, 3, S, S] by the folder's own processor, on Pillow if it has that."""
        from adapters.transformers_model import processed

        return processed(self.folder, pictures, self.kind.video_processor)

    def load(self) -> Any:
        """The model on the CPU in float32. BenchError for weights that do not fit exactly."""
        from adapters.transformers_model import load

        kind = self.config["model_type"]
        return load(self.folder, self.lora, kind, self.image_size, self.sound is not None)


def folder_of(named: str, run: RunConfig) -> Path:
    """A folder by its path, or by its name on the hub, `ORG/NAME`.

    The latter is looked for in the weights folder and in Hugging Face's cache. MissingWeights.
    """
    path = Path(named)
    if path.is_dir() or path.is_absolute() or len(path.parts) != 2 or named.startswith("."):
        return path
    if (own := run.weights_folder / path).is_dir():
        return own
    from huggingface_hub import try_to_load_from_cache

    if isinstance(cached := try_to_load_from_cache(named, "config.json"), str):
        return Path(cached).parent
    raise MissingWeights(
        f"{named}: no such folder, nor below {run.weights_folder} or in Hugging Face's cache; of "
        f"the hub's: hf download {named} --local-dir {own}"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder. MissingWeights without one, DataError for what is no mapping."""
    if not (folder / "config.json").is_file():
        what = "a folder without config.json" if folder.is_dir() else "no such folder"
        raise MissingWeights(f"{folder}: {what}; {REMEDY}")
    return _mapping(folder / "config.json")


def _sound(folder: Path, model_type: str) -> SoundRule:
    """What the folder's feature extractor does. UsageError for a model without sound."""
    path = folder / "preprocessor_config.json"
    if model_type != HEARS:
        raise UsageError(
            f"{folder}: a model of type '{model_type}' reads no sound; leave audio out"
        )
    if not path.is_file():
        raise MissingWeights(f"{path}: no such file, which says how sound is read; {REMEDY}")
    written = _mapping(path)
    with well_formed(path, REMEDY):
        if written.get("feature_size", 1) != 1:
            raise UsageError(f"{path}: sound of {written['feature_size']} channels; one is read")
        return SoundRule(int(written.get("sampling_rate", 48_000)), int(written["hop_length"]))


def _words(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return _mapping(path) if path.is_file() else {}


def _mapping(path: Path) -> dict[str, Any]:
    with well_formed(path, REMEDY):
        return dict(read_json(path, REMEDY, largest=1 << 24).items())


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers and sentencepiece raise kinds of their own
        raise BenchError(f"{folder}: no tokenizer to read ({plain(error)}); {REMEDY}") from error
