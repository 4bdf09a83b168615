"""What is said of a model before it is loaded is what the loaded one is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import yaml
from safetensors.torch import load_file

from adapters.cards import FACTS
from adapters.clip4clip import TINY
from adapters.clip_base import _register, architecture
from adapters.open_clip import OpenCLIPAdapter
from adapters.srl_clip import SRLCLIPAdapter
from adapters.torch_adapter import TorchAdapter
from adapters.transformers_clip import TransformersAdapter
from adapters.tvtsv2 import VARIANTS
from adapters.weights import SHIPPED
from bench import registry
from bench.capabilities import Card, Described
from bench.config import RunConfig, load_config
from tests.adapters.test_transformers_video import write

WEIGHTS: dict[str, dict[str, Any]] = yaml.safe_load(FACTS.read_text("utf-8"))["weights"]


def check_card(card: Card, model: TorchAdapter) -> None:
    assert card.embed_dim == model.embed_dim
    assert card.context_length == model.base.context_length
    assert (card.clips, card.inputs) == (model.is_video_model, model.inputs)
    assert card.clip_frames == model.clip_frames
    assert card.pixels() == model.describe()["preprocessing"]
    assert dict(card.published) == dict(model.published)
    assert card.weights is not None and card.weights.exists()


def test_cards_of_clips_are_of_the_models(run: RunConfig) -> None:
    config = load_config()
    for name, kind in (("clip-tiny", OpenCLIPAdapter), ("srlclip-tiny", SRLCLIPAdapter)):
        card = registry.model_card(name, config)
        assert card is not None and isinstance(kind, Described)
        check_card(card, kind(name, run, **config.models[name].settings))


def test_cards_of_systems_are_of_the_models(
    run: RunConfig,
    tvts: TorchAdapter,
    bt: TorchAdapter,
    vifi: TorchAdapter,
    sequence: TorchAdapter,
    tmp_path: Path,
) -> None:
    settings: list[tuple[Any, dict[str, Any]]] = [
        (tvts, {"variant": "tiny"}), (bt, {"checkpoint": str(tmp_path / "bt.pth")}), (vifi, {}),
        (sequence, {"arch": "tiny", "head": "seqTransf",
                    "checkpoint": str(tmp_path / "pytorch_model.bin.3")}),
    ]  # fmt: skip
    for model, given in settings:
        card = type(model).about(run, "x", **given)
        if model is bt:  # whether the balance terms are there is known once the file is read
            plans = {task: setup.plan for task, setup in card.published.items()}
            assert plans == {task: setup.plan for task, setup in bt.published.items()}
            bt.published = card.published
        check_card(card, model)


@pytest.mark.parametrize("kind", ["xclip", "pe_video"])
def test_cards_of_folders_are_of_the_models(kind: str, run: RunConfig, tmp_path: Path) -> None:
    folder = str(write(tmp_path / kind, kind))
    model = TransformersAdapter("x", run, spec=folder)
    card = TransformersAdapter.about(run, "x", spec=folder)
    check_card(card, model)
    model.prepare()
    state = model._model.model.state_dict()
    assert card.parameters == sum(value.numel() for value in state.values())


def test_every_model_by_name_has_one(run: RunConfig) -> None:
    config = load_config()
    known = set(open_clip.list_models()) | {"clip-tiny"}  # an older open_clip has fewer
    names = [name for name, model in config.models.items()
             if model.settings.get("arch") in known or "arch" not in model.settings]  # fmt: skip
    cards = {name: registry.model_card(name, config) for name in names}
    for name, card in cards.items():
        assert card is not None and card.code, name
        if config.models[name].adapter == "transformers":  # its folder, which is not here, says it
            assert card.clips and card.weights is None and card.architecture in WEIGHTS
        else:
            assert card.parameters and card.context_length, name
    hears = {name for name, card in cards.items() if card and "audio" in card.inputs}
    assert hears == {"vast-audio", "vast-audio-subtitles", "pe-av-large-audio"}
    missing = cards["clip-b32"]
    assert missing is not None and missing.weights is None and missing.download == "605 MB"
    assert WEIGHTS["ViT-B-32-quickgelu/openai"]["source"] in missing.source


def parameters(arch: str) -> int:
    """Counted on the model without memory."""
    from open_clip.model import CLIP, CustomTextCLIP

    _register(arch)
    config = dict(architecture(arch))
    kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    config.pop("model_type", None)
    with torch.device("meta"):
        return sum(value.numel() for value in kind(**config).parameters())


def test_parameters_are_counted() -> None:
    for key in ("clip-tiny/shipped", "ViT-B-32-quickgelu/openai", "ViT-B-16-quickgelu/openai"):
        assert WEIGHTS[key]["parameters"] == parameters(key.partition("/")[0])
    assert WEIGHTS["ViFi-CLIP B/16"]["parameters"] == parameters("ViT-B-16-quickgelu")
    head = sum(value.numel() for value in load_file(SHIPPED / TINY).values())
    assert WEIGHTS["clip4clip-tiny/shipped"]["parameters"] == parameters("clip-tiny") + head


@pytest.mark.slow
def test_all_parameters_are_counted() -> None:
    from adapters import bt_adapter
    from adapters.bt_adapter_model import BTAdapter
    from adapters.bt_adapter_model import Sizes as BTSizes
    from adapters.tvtsv2_model import Sizes, TVTSv2

    counted: dict[str, Callable[[], torch.nn.Module]] = {
        f"TVTSv2 {name.replace('_', '/')}": lambda sizes=sizes: TVTSv2(Sizes.of(sizes))  # type: ignore[misc]
        for name, sizes in VARIANTS.items()
    }
    counted["BT-Adapter L/14"] = lambda: BTAdapter(BTSizes(**bt_adapter.SIZES), balance=True)
    models = load_config().models.values()
    named = {"{arch}/{pretrained}".format(**model.settings) for model in models
             if model.adapter == "open_clip"}  # fmt: skip
    for key, facts in WEIGHTS.items():
        if key in counted:
            with torch.device("meta"):
                found = sum(value.numel() for value in counted[key]().parameters())
        elif key in named:
            found = parameters(key.partition("/")[0])
        else:
            continue
        assert facts["parameters"] == found, key
