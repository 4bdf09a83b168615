"""SRL-CLIP as a trainable module, and its folder on disk."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from adapters.clip_base import CLIPBase
from adapters.lora import FULL, NONE, TARGETS, add_lora, pack_attention, split_attention
from adapters.lora_config import read_plain
from adapters.srl_settings import CARD, CONTEXT, FILES, LORA, TOWER, VERSION, SRLSettings
from adapters.torch_adapter import CPU_FRAMES
from bench.contextualizer import VideoContextualizer
from bench.errors import BenchError, UsageError, plain
from bench.files.atomic import atomic_path
from bench.files.untrusted import shown


class TextReader(Protocol):
    """How the base reads texts; `adapters.open_clip.OpenCLIPAdapter` is one."""

    @property
    def fingerprint(self) -> str: ...
    def encode_texts_with(self, model: Any, texts: list[str]) -> np.ndarray: ...
    def count_truncated(self, texts: list[str]) -> int: ...


class SRLModel(nn.Module):
    """A CLIP whose image tower carries LoRA, and a contextualizer on top.

    `reader` is what reads texts with it. Before training the frame features are those of `base`.
    """

    files = (*FILES, CARD)
    init = ""  # the fingerprint of what it was started from
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        base: CLIPBase,
        settings: SRLSettings,
        reader: TextReader,
    ) -> None:
        super().__init__()
        self.settings, self.base, self._reader = settings, base.facts(), reader
        self.clip = base.load().requires_grad_(False)
        self.preprocessing, self.embed_dim = base.preprocessing, base.embed_dim
        dim = self.embed_dim
        if dim % settings.vc_heads:
            raise UsageError(f"vc_heads {settings.vc_heads} does not divide {dim} features")
        if settings.weights == FULL:
            self.clip.visual.requires_grad_(True)
        elif settings.weights != NONE:
            split = split_attention(self.clip.visual)
            self.clip.visual = add_lora(
                split, settings.weights, settings.rank, settings.scaling, settings.dropout
            )
        self.contextualizer = VideoContextualizer(
            dim, settings.vc_layers, settings.vc_heads, settings.events, settings.frames,
            settings.vc_dropout, settings.event_places,
        ) if settings.vc_layers else None  # fmt: skip
        self.clip.logit_scale.requires_grad_(settings.learn_temperature)
        scale, shift = base.pixel_scaling()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    @property
    def logit_scale(self) -> torch.Tensor:
        """The logarithm of the inverse temperature, CLIP's own."""
        scale: torch.Tensor = self.clip.logit_scale
        return scale

    @property
    def fingerprint(self) -> str:
        """What the texts' features depend on: the frozen base, and how it reads texts."""
        return self._reader.fingerprint

    @property
    def contextual(self) -> bool:
        """Whether there is a contextualizer."""
        return self.contextualizer is not None

    def describe(self) -> dict[str, Any]:
        """What was built, as plain data."""
        started = {"init": self.init} if self.init else {}
        return {"base": self.base, "model": asdict(self.settings), "version": VERSION, **started}

    def checkpoint_gradients(self, on: bool) -> None:
        """Recompute the image tower's activations in the backward pass instead of keeping them."""
        tower = self.clip.visual.base_model.model if self._has_lora else self.clip.visual
        tower.transformer.grad_checkpointing = on

    @property
    def _has_lora(self) -> bool:
        return self.settings.weights in TARGETS

    def frame_features(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> [N, D], differentiable, not normalised."""
        on_cpu = frames.device.type == "cpu"  # whose caches hold what few frames need
        return torch.cat([
            self.clip.visual(part.permute(0, 3, 1, 2).float() * self.scale + self.shift)
            for part in frames.split(CPU_FRAMES if on_cpu else len(frames))
        ])  # fmt: skip

    def contextualize(self, frame_features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, P, T, D] -> events [B, P, D], videos [B, D]; for a `contextual` model only."""
        assert self.contextualizer is not None
        events, videos = self.contextualizer(frame_features)
        return events, videos

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """M texts -> float32 [M, D] by the frozen text tower, not normalised, as in evaluation."""
        return self._reader.encode_texts_with(self.clip, texts)

    def count_truncated(self, texts: list[str]) -> int:
        """How many of `texts` are longer than the model's context."""
        return self._reader.count_truncated(texts)

    def train(self, mode: bool = True) -> SRLModel:
        """Training mode for what is trained; the text tower stays as it is."""
        super().train(mode)
        self.clip.eval()
        self.clip.visual.train(mode)
        return self

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """What the optimiser may change, by name in a fixed order."""
        return {name: one for name, one in self.named_parameters() if one.requires_grad}

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Name -> trained tensor, detached: all that training changes."""
        return {name: one.detach() for name, one in self.trainable_parameters().items()}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put back a `trainable_state`. BenchError where names or shapes differ."""
        own = self.trainable_parameters()
        _fit(own, state, "the checkpoint")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def merged(self) -> Any:
        """A plain open_clip model with the trained image tower; this module stays as it is."""
        clip = copy.deepcopy(self.clip)
        if self._has_lora:
            clip.visual = pack_attention(clip.visual.merge_and_unload())
        return clip.requires_grad_(False).eval()

    # --- the folder ------------------------------------------------------------------------------

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the trained folder whole or not at all; an older one is replaced."""
        with atomic_path(folder) as made:
            made.mkdir()
            if self.settings.weights == FULL:
                save_file(_contiguous(self.clip.visual.state_dict()), made / TOWER)
            elif self._has_lora:
                self.clip.visual.save_pretrained(str(made))
                (made / "README.md").unlink(missing_ok=True)  # peft's empty template
            save_file(_contiguous(self._context_state()), made / CONTEXT)
            facts = {
                "version": VERSION,
                "base": self.base,
                "settings": asdict(self.settings),
                **card,
            }
            (made / CARD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read a trained folder that `check_folder` took. BenchError names file and fault."""
        if self.settings.weights == FULL:
            state = _read(folder / TOWER)
            _fit(self.clip.visual.state_dict(), state, str(folder / TOWER))
            self.clip.visual.load_state_dict(state)
        elif self._has_lora:
            from peft import get_peft_model_state_dict, set_peft_model_state_dict

            state = _read(folder / LORA[1])
            # peft only warns of keys that are missing or too many, and trains on noise.
            _fit(get_peft_model_state_dict(self.clip.visual), state, str(folder / LORA[1]))
            set_peft_model_state_dict(self.clip.visual, state)
        state = _read(folder / CONTEXT)
        own = self._context_state()
        _fit(own, state, str(folder / CONTEXT))
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])

    def start_from(self, folder: Path, fingerprint: str) -> None:
        """`load`, before training: `fingerprint` is then part of what the model is."""
        self.load(folder)
        self.init = fingerprint

    def _context_state(self) -> dict[str, torch.Tensor]:
        """What the file CONTEXT holds: the contextualizer, if there is one, and the temperature."""
        state = self.contextualizer.state_dict() if self.contextualizer is not None else {}
        found = {f"contextualizer.{name}": value for name, value in state.items()}
        return {**found, "logit_scale": self.logit_scale.detach()}


def _contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def check_folder(folder: Path, settings: SRLSettings, dim: int) -> None:
    """BenchError unless the files of a trained folder are of the model that `settings` describe.

    `dim` is the base's. Only configuration and headers are read: what a card alone claims must not
    be built.
    """
    if settings.weights in TARGETS:
        _check_config(folder / LORA[0], settings)
        shapes = _shapes(folder / LORA[1])
        ranks = [(*shape, 0)[0] for name, shape in shapes.items() if ".lora_A." in name]
        odd = next((rank for rank in ranks if rank != settings.rank), settings.rank)
        _same_size(folder / LORA[1], "rank", odd if ranks else 0, settings.rank)
    if settings.vc_layers:
        shapes = _shapes(folder / CONTEXT)
        layers = sum(
            name.endswith(".linear1.weight") and shape == [4 * dim, dim]
            for name, shape in shapes.items()
        )
        _same_size(folder / CONTEXT, "vc_layers", layers, settings.vc_layers)
        for name, places, size in (("events", "event_places", settings.events),
                                   ("frames", "frame_places", settings.frames)):  # fmt: skip
            shape = shapes.get(f"contextualizer.{places}", [0])
            _same_size(folder / CONTEXT, name, shape[0] if len(shape) == 2 else 0, size)


def _same_size(path: Path, name: str, size: int, card: int) -> None:
    if size != card:
        raise BenchError(f"{path}: {name} is {size}, but {card} in {CARD}; train again")


def _shapes(path: Path) -> dict[str, list[int]]:
    """Each tensor's shape, of the header alone."""
    with _readable(path), safe_open(path, framework="pt") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _read(path: Path) -> dict[str, torch.Tensor]:
    with _readable(path):
        state: dict[str, torch.Tensor] = load_file(path)
        odd = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if odd:
        raise BenchError(f"{path}: {odd[0]} holds NaN or infinity; train again")
    return state


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if not path.is_file():  # a pipe would wait for ever
        raise BenchError(f"{path}: no such file; train again")
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise BenchError(f"{path}: cannot be read ({plain(error)}); train again") from error


def _check_config(path: Path, settings: SRLSettings) -> None:
    """BenchError where peft's own file would build another LoRA than the card's settings do."""
    given = tuple(read_plain(path).values())
    own = (settings.rank, settings.scaling, TARGETS[settings.weights])
    if given != own:
        raise BenchError(
            f"{path}: rank, alpha, targets {shown(given)} differ from card.json's {own}"
        )


def _fit(own: dict[str, Any], state: dict[str, torch.Tensor], what: str) -> None:
    """BenchError unless `state` has exactly the names and shapes of `own`."""
    if odd := sorted(own.keys() ^ state.keys()):
        side = "lacks" if odd[0] in own else "has an unknown"
        raise BenchError(f"{what}: {side} {odd[0]} ({len(odd)} names differ); other settings?")
    for name, value in own.items():
        if value.shape != state[name].shape:
            shapes = f"{list(state[name].shape)} where {list(value.shape)} is needed"
            raise BenchError(f"{what}: {name} has shape {shapes}; other settings?")
