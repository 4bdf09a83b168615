"""Loading a model of transformers, strictly; nothing is unpickled or fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from adapters.checkpoint import misfit
from adapters.lora_config import REPEATABLE, SAVE_PLAIN, STARTS, UNMERGED, check_lora
from adapters.transformers_towers import TOWERS, PEAudioVideo, Towers
from bench.errors import BenchError, UsageError, plain
from bench.files.untrusted import read_json, well_formed


def processed(folder: Path, pictures: Sequence[Any], of_videos: bool) -> torch.Tensor:
    """[N, 3, S, S] by the folder's image processor; the one on Pillow, which papers were run with.

    The one on tensors, which a video processor always is, differs from it by a step of 255 in some
    pixels.
    """
    if of_videos:
        return _as_videos(folder, pictures)
    from transformers import AutoImageProcessor, __version__

    on_pillow: dict[str, Any] = {"use_fast": False}
    if int(__version__.partition(".")[0]) >= 5:
        on_pillow = {"backend": "pil"}
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, **on_pillow)
    found: torch.Tensor = processor(list(pictures), return_tensors="pt")["pixel_values"]
    return found.reshape(-1, *found.shape[-3:])  # VideoMAE's, of X-CLIP, takes them for a video


def _as_videos(folder: Path, pictures: Sequence[Any]) -> torch.Tensor:
    from transformers import AutoVideoProcessor

    processor = AutoVideoProcessor.from_pretrained(folder, local_files_only=True)
    videos = [np.array(picture)[None] for picture in pictures]
    found = [
        processor(videos=[video], do_sample_frames=False, return_tensors="pt") for video in videos
    ]
    return torch.cat([one["pixel_values_videos"][0] for one in found])


def load(
    folder: Path, lora: Path | None, kind: str, image_size: int, audio: bool = False
) -> Towers:
    """The folder's model on the CPU, its LoRA merged. BenchError for weights that do not fit.

    `kind` is its model_type, `image_size` what its processor makes, `audio` whether it hears.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours is the only one
    logging.set_verbosity_error()  # what it warns of is refused below
    try:
        model, info = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:  # transformers, safetensors and torch raise kinds of their own
        raise BenchError(f"{folder}: cannot be loaded ({plain(error)})") from error
    unknown = [name for name in info["unexpected_keys"] if not name.endswith("position_ids")]
    for what, names in (("lacks", info["missing_keys"]), ("has an unknown", unknown),
                        ("has another shape of", info["mismatched_keys"])):  # fmt: skip
        if names:  # transformers only warns, and runs on random weights
            first = min(map(str, names))
            raise BenchError(f"{folder}: {what} {first} ({len(names)} such names); other weights?")
    model = model.float()
    towers = (PEAudioVideo if audio else TOWERS.get(kind, Towers))(
        _adapted(model, lora) if lora is not None else model
    )
    if towers.image_size not in (None, image_size):
        raise BenchError(
            f"{folder}: its processor makes {image_size} pixels, and the model reads "
            f"{towers.image_size}; correct the processor's size"
        )
    return towers


def _adapted(model: Any, lora: Path) -> Any:
    """`model` with a LoRA of peft merged into it."""
    from peft import (
        LoraConfig,
        PeftConfig,
        get_peft_model,
        get_peft_model_state_dict,
        set_peft_model_state_dict,
    )

    path = lora / "adapter_config.json"
    kind = read_json(path, "save it again", largest=1 << 20)
    if not isinstance(kind, dict) or kind.get("peft_type") != "LORA":
        raise UsageError(f"{lora}: an adapter that is no LoRA cannot be merged; save a LoRA")
    honoured = {field.name for field in fields(LoraConfig)}  # peft only warns of other keys
    with well_formed(path, "save it again"):
        check_lora(path, kind, honoured - UNMERGED, (*STARTS, *REPEATABLE))
    try:
        wrapped = get_peft_model(model, PeftConfig.from_pretrained(str(lora)))
        state = load_file(lora / "adapter_model.safetensors")
    except Exception as error:  # peft and safetensors raise kinds of their own
        raise BenchError(f"{lora}: cannot be read ({plain(error)})") from error
    # peft only warns of names that are missing or too many, and runs on noise.
    if fault := misfit(get_peft_model_state_dict(wrapped), state):
        raise BenchError(f"{lora}: no LoRA of this model: it {fault}")
    try:
        set_peft_model_state_dict(wrapped, state)
        return wrapped.merge_and_unload()
    except Exception as error:  # of a kind that peft cannot merge
        raise BenchError(f"{lora}: cannot be merged ({plain(error)}); {SAVE_PLAIN}") from error
