"""SRL-CLIP: CLIP with LoRA on its image tower and a Video Contextualizer (docs/method.md 3).

Zero-shot retrieval uses the adapted image tower alone; VidSitu uses the contextualizer. A trained
model is a folder: the LoRA as peft writes it (`adapter_config.json`, `adapter_model.safetensors`),
`contextualizer.safetensors` with the temperature, and `card.json`, which names the base.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from adapters.lora_config import read_plain
from adapters.open_clip import OpenCLIPAdapter
from adapters.srl_settings import CARD, FILES, LORA, SRLSettings, read_card
from adapters.weights import SHIPPED, file_hash
from bench.capabilities import Card
from bench.compute import use_threads
from bench.config import RunConfig
from bench.errors import BenchError, MissingWeights, UsageError
from bench.files.atomic import atomic_path
from bench.files.tensor_store import digest
from bench.files.untrusted import shown
from bench.settings import settings_from


class SRLCLIPAdapter(OpenCLIPAdapter):
    """A trained SRL-CLIP. `checkpoint` is its folder, `shipped`, or None: the weights folder's own.

    `settings` and `training` are what `bench train` builds and trains it with. Raises UsageError
    for an unknown setting, MissingWeights without base weights or checkpoint.
    """

    trains_on: ClassVar[str] = "vidsitu"  # unless a recipe says otherwise (docs/method.md 4)

    def __init__(
        self,
        name: str,
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        settings: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        # Asked first: without a checkpoint, that the base is missing too is only half the answer.
        self.folder = checkpoint_folder(name, run, checkpoint)
        self.card = _trained(name, self.folder)
        super().__init__(name, run, arch=arch, pretrained=pretrained)
        self.settings = _settings(self.card["settings"], str(self.folder / CARD))
        if (self.folder / LORA[0]).is_file():
            read_plain(self.folder / LORA[0])  # before any feature is taken from the cache
        own, trained = self.base.facts(), self.card["base"]
        for key, what in (
            ("arch", f"{shown(trained.get('arch'))}, not on {self.base.arch}"),
            ("weights_sha256", f"other weights than {self.base.weights}"),
        ):
            if trained.get(key) != own[key]:
                raise BenchError(
                    f"{self.folder}: trained on {what}; give the base that card.json names, or "
                    "train again"
                )

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        if settings.get("arch"):
            _trained(name, checkpoint_folder(name, run, settings.get("checkpoint")))
        super().check(run, name, **settings)

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """Its base's card, with where the trained folder lies."""
        of_base = super().about(run, name, **settings)
        folder = checkpoint_folder(name, run, settings.get("checkpoint"))
        return replace(
            of_base, architecture=f"SRL-CLIP on {of_base.architecture}", download="to train",
            weights=folder if (folder / CARD).is_file() else None,
            source="licence, paper and parameters are those of the base",
        )  # fmt: skip

    @staticmethod
    def untrained(
        name: str,
        run: RunConfig,
        settings: dict[str, Any],
        arch: str | None = None,
        pretrained: str | None = None,
        init: Path | None = None,
    ) -> tuple[Any, str]:
        """The model that `settings` describe, to be trained, and the device it is on.

        Deterministic for `run.seed`. Raises as the adapter does, but needs no checkpoint: `init` is
        one to start from. UsageError where that is a model of other settings.
        """
        import torch

        from adapters.srl_model import SRLModel

        reader = OpenCLIPAdapter(name, run, arch=arch, pretrained=pretrained)
        use_threads(run)
        torch.manual_seed(run.seed)
        own = _settings(settings, f"model '{name}'")
        first = _first(name, run, own, init, arch, pretrained) if init else None
        model = SRLModel(reader.base, own, reader)
        if first is not None:
            model.start_from(first.folder, first.fingerprint)
        return model.to(reader.device), reader.device

    def export(self, path: Path) -> str:
        """Write the merged model as a plain open_clip checkpoint; returns how to name it."""
        from safetensors.torch import save_file

        state = {name: value.contiguous() for name, value in self._load().state_dict().items()}
        with atomic_path(path) as temporary:
            save_file(state, temporary)
        return f"open_clip:{self.base.arch}"

    @property
    def fingerprint(self) -> str:
        """Hash of the base's fingerprint and of the trained files."""
        cache = self._run.cache_folder
        files = [self.folder / name for name in FILES if (self.folder / name).is_file()]
        hashes = {file.name: file_hash(file, cache) for file in files}
        return digest("srl_clip", super().fingerprint, hashes, asdict(self.settings))

    def describe(self) -> dict[str, Any]:
        """Provenance: the base's, and how the adapter was trained."""
        return {**super().describe(), "adapter": self.card}

    def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """float32 [V, P, T, D] -> events [V, P, D] and videos [V, D]; None if trained without."""
        found = self.contextualize_frames(frame_features)
        return found[:2] if found else None

    def contextualize_frames(
        self, frame_features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The same, and the frames as encoded [V, P, T, D]."""
        import torch

        if not self.settings.vc_layers:
            return None
        self._load()
        with torch.inference_mode(), self._autocast():
            found = self._contextualizer.every(torch.from_numpy(frame_features).to(self.device))
        events, videos, frames = (part.float().cpu().numpy() for part in found)
        return events, videos, frames

    def _build(self) -> Any:
        """The base with the LoRA merged into it: as fast as plain CLIP."""
        from adapters.srl_model import SRLModel, check_folder

        check_folder(self.folder, self.settings, self.base.embed_dim)
        model = SRLModel(self.base, self.settings, self)
        model.load(self.folder)
        if model.contextualizer is not None:
            self._contextualizer = model.contextualizer.eval().requires_grad_(False).to(self.device)
        return model.merged()


def _settings(values: dict[str, Any], where: str) -> SRLSettings:
    return settings_from(SRLSettings, values, where).check(where)


def _first(
    name: str,
    run: RunConfig,
    own: SRLSettings,
    init: Path,
    arch: str | None,
    pretrained: str | None,
) -> SRLCLIPAdapter:
    """The trained folder `init` as a model. UsageError unless the settings `own` build the same."""
    from adapters.srl_model import check_folder

    if not (init / CARD).is_file():
        raise UsageError(f"--init {init}: no trained model ({CARD}) in it; name the folder 'model' "
                         "that `bench train` writes")  # fmt: skip
    first = SRLCLIPAdapter(name, run, arch=arch, pretrained=pretrained, checkpoint=str(init))
    there, here = first.settings.shape(), own.shape()
    if odd := [f"model.{key} {there[key]} there, {here[key]} here" for key in here
               if there[key] != here[key]]:  # fmt: skip
        raise UsageError(f"--init {init}: another model ({', '.join(odd)}); give it the same "
                         "settings with --set, or start from another folder")  # fmt: skip
    check_folder(first.folder, first.settings, first.base.embed_dim)
    return first


def checkpoint_folder(name: str, run: RunConfig, checkpoint: str | None) -> Path:
    """Where the trained folder lies or will be written."""
    if checkpoint == "shipped":
        return SHIPPED / name
    return Path(checkpoint).expanduser() if checkpoint else run.weights_folder / name


def _trained(name: str, folder: Path) -> dict[str, Any]:
    if not (folder / CARD).is_file():
        raise MissingWeights(
            f"no trained {name}: train it with `bench train --model {name}`, or put a trained "
            f"folder (adapter_config.json, ..., card.json) at {folder}"
        )
    return read_card(folder)
