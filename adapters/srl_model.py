"""SRL-CLIP as a trainable module, and its folder on disk."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from adapters.lora import FULL, TARGETS, add_lora, pack_attention, split_attention
from adapters.srl_settings import CARD, CONTEXT, LORA, TOWER, VERSION, SRLSettings
from bench.atomic import atomic_path
from bench.contextualizer import VideoContextualizer
from bench.errors import BenchError, UsageError, plain
from bench.reading import fitting, read_json, shown


class SRLModel(nn.Module):
    """A CLIP whose image tower carries LoRA, and a contextualizer on top.

    `clip` is an open_clip model on the CPU, taken over; `normalisation` its pixel mean and standard
    deviation [3]; `tokenize` its tokenizer; `base` what the card says of it. Before training the
    frame features are those of `clip`.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        clip: Any,
        settings: SRLSettings,
        normalisation: tuple[torch.Tensor, torch.Tensor],
        tokenize: Callable[[list[str]], torch.Tensor],
        base: dict[str, Any],
    ) -> None:
        super().__init__()
        self.settings, self.base, self._tokenize = settings, base, tokenize
        self.clip = clip.requires_grad_(False)
        self.image_size = int(clip.visual.image_size[0])
        dim = int(clip.visual.output_dim)
        if dim % settings.vc_heads:
            raise UsageError(f"vc_heads {settings.vc_heads} does not divide {dim} features")
        if settings.weights == FULL:
            self.clip.visual.requires_grad_(True)
        else:
            split = split_attention(self.clip.visual)
            self.clip.visual = add_lora(
                split, settings.weights, settings.rank, settings.scaling, settings.dropout
            )
        self.contextualizer = VideoContextualizer(
            dim, settings.vc_layers, settings.vc_heads, settings.events, settings.frames,
            settings.vc_dropout,
        )  # fmt: skip
        self.clip.logit_scale.requires_grad_(settings.learn_temperature)
        mean, std = normalisation
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)

    @property
    def logit_scale(self) -> torch.Tensor:
        """The logarithm of the inverse temperature, CLIP's own."""
        scale: torch.Tensor = self.clip.logit_scale
        return scale

    @property
    def fingerprint(self) -> str:
        """What the texts' features depend on: the frozen base."""
        # The architecture too: the same weights under another activation give other features.
        return f"{self.base['arch']} {self.base['weights_sha256']}"

    def describe(self) -> dict[str, Any]:
        """What was built, as plain data."""
        return {"base": self.base, "model": asdict(self.settings)}

    def checkpoint_gradients(self, on: bool) -> None:
        """Recompute the image tower's activations in the backward pass instead of keeping them."""
        tower = self.clip.visual
        tower = tower.base_model.model if self.settings.weights != FULL else tower
        tower.transformer.grad_checkpointing = on

    def frame_features(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> [N, D], differentiable, not normalised."""
        images = frames.permute(0, 3, 1, 2).float() * self.scale + self.shift
        features: torch.Tensor = self.clip.visual(images)
        return features

    def contextualize(self, frame_features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, P, T, D] -> events [B, P, D], videos [B, D]."""
        events, videos = self.contextualizer(frame_features)
        return events, videos

    @torch.no_grad()
    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        """M texts -> float32 [M, D] by the frozen text tower, not normalised."""
        tokens = self._tokenize(texts).to(self.logit_scale.device)
        features: torch.Tensor = self.clip.encode_text(tokens)
        return features.float()

    def train(self, mode: bool = True) -> SRLModel:
        """Training mode for what is trained; the text tower stays as it is."""
        super().train(mode)
        self.clip.eval()
        self.clip.visual.train(mode)
        return self

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What the optimiser may change, in a fixed order."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Name -> trained tensor, detached: all that training changes."""
        return {n: p.detach() for n, p in self.named_parameters() if p.requires_grad}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put back a `trainable_state`. BenchError where names or shapes differ."""
        own = {name: p for name, p in self.named_parameters() if p.requires_grad}
        _fit(own, state, "the checkpoint")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def merged(self) -> Any:
        """A plain open_clip model with the trained image tower; this module stays as it is."""
        clip = copy.deepcopy(self.clip)
        if self.settings.weights != FULL:
            clip.visual = pack_attention(clip.visual.merge_and_unload())
        return clip.requires_grad_(False).eval()

    # --- the folder ------------------------------------------------------------------------------

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the trained folder whole or not at all; an older one is replaced."""
        with atomic_path(folder) as made:
            made.mkdir()
            if self.settings.weights == FULL:
                save_file(_contiguous(self.clip.visual.state_dict()), made / TOWER)
            else:
                self.clip.visual.save_pretrained(str(made))
                (made / "README.md").unlink(missing_ok=True)  # peft's empty template
            state = {f"contextualizer.{k}": v for k, v in self.contextualizer.state_dict().items()}
            state["logit_scale"] = self.logit_scale.detach()
            save_file(_contiguous(state), made / CONTEXT)
            facts = {
                "version": VERSION,
                "base": self.base,
                "settings": asdict(self.settings),
                **card,
            }
            (made / CARD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read a trained folder of the same settings. BenchError names the file and its fault."""
        if self.settings.weights == FULL:
            state = _read(folder / TOWER)
            _fit(self.clip.visual.state_dict(), state, str(folder / TOWER))
            self.clip.visual.load_state_dict(state)
        else:
            from peft import get_peft_model_state_dict, set_peft_model_state_dict

            _check_config(folder / LORA[0], self.settings)
            state = _read(folder / LORA[1])
            # peft only warns of keys that are missing or too many, and trains on noise.
            _fit(get_peft_model_state_dict(self.clip.visual), state, str(folder / LORA[1]))
            set_peft_model_state_dict(self.clip.visual, state)
        state = _read(folder / CONTEXT)
        own = {f"contextualizer.{k}": v for k, v in self.contextualizer.state_dict().items()}
        _fit({**own, "logit_scale": self.logit_scale}, state, str(folder / CONTEXT))
        with torch.no_grad():
            self.logit_scale.copy_(state.pop("logit_scale"))
        self.contextualizer.load_state_dict(
            {name.removeprefix("contextualizer."): value for name, value in state.items()}
        )


def _contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():  # a pipe would wait for ever
        raise BenchError(f"{path}: no such file; train again")
    try:
        state = load_file(path)
        odd = [name for name, value in state.items() if not torch.isfinite(value).all()]
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise BenchError(f"{path}: cannot be read ({plain(error)}); train again") from error
    if odd:
        raise BenchError(f"{path}: {odd[0]} holds NaN or infinity; train again")
    return state


def _check_config(path: Path, settings: SRLSettings) -> None:
    """BenchError where peft's own file would build another LoRA than the card's settings do."""
    config = read_json(path, "train again", largest=1 << 20)
    with fitting(path, "train again"):
        given = (config["r"], config["lora_alpha"], config["target_modules"])
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
