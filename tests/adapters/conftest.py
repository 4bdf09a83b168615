"""Small rival systems on files as released, for the tests of their adapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from adapters import bt_adapter, clip4clip, tvtsv2, vifi_clip
from adapters.bt_adapter_model import BTAdapter
from adapters.bt_adapter_model import Sizes as BTSizes
from adapters.clip4clip_model import CLIP4Clip
from adapters.openai_clip import clip
from adapters.torch_adapter import TorchAdapter
from adapters.tvtsv2_model import Sizes, TVTSv2
from adapters.tvtsv2_model import official_name as tvtsv2_name
from adapters.vifi_clip_model import official_name as vifi_name
from bench.config import RunConfig

SIDE = 16
CLIP = {
    "embed_dim": 64, "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "patch_size": 8, "width": 64, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", device="cpu", weights=tmp_path / "weights")


def random_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state dict in which nothing is zero or one."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=generator) * 0.2
        for name, value in module.state_dict().items()
    }


@pytest.fixture
def tvts(run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TorchAdapter:
    sizes = {**tvtsv2.COMMON, "image_size": SIDE, "patch_size": 8, "num_frames": 5, "embed_dim": 24,
             "vision_width": 32, "vision_layers": 2, "vision_heads": 2, "text_width": 32,
             "text_layers": 1, "text_heads": 2}  # fmt: skip
    monkeypatch.setitem(tvtsv2.VARIANTS, "tiny", sizes)
    state = random_state(TVTSv2(Sizes.of(sizes)))
    released = {"module." + tvtsv2_name(name): value for name, value in state.items()}
    (tmp_path / "weights").mkdir()
    torch.save({"state_dict": released, "config": Path(), "epoch": 1},
               tmp_path / "weights/TVTSv2_ViT_tiny.pth")  # fmt: skip
    return tvtsv2.TVTSv2Adapter("tvts", run, variant="tiny")


@pytest.fixture
def bt(run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TorchAdapter:
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
              "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8}  # fmt: skip
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 49408,
            "max_position_embeddings": 77}  # fmt: skip
    sizes = {"vision": vision, "text": text, "proj": 24, "depth": 2, "positions": 6}
    monkeypatch.setattr(bt_adapter, "SIZES", sizes)
    state = random_state(BTAdapter(BTSizes(**sizes), balance=True))
    torch.save({"state_dict": state, "message_hub": Path()}, tmp_path / "bt.pth")
    return bt_adapter.BTAdapterAdapter("bt", run, checkpoint=str(tmp_path / "bt.pth"))


@pytest.fixture
def vifi(run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TorchAdapter:
    monkeypatch.setattr(vifi_clip, "architecture", lambda arch: CLIP)
    monkeypatch.setattr(vifi_clip, "EMBED_DIM", 64)
    monkeypatch.setattr(vifi_clip, "IMAGE_SIZE", SIDE)
    state = random_state(clip(CLIP))
    folder = tmp_path / "weights" / vifi_clip.OPENAI
    folder.mkdir(parents=True)
    save_file(state, folder / "openai.safetensors")
    released = {"module." + vifi_name(name): value + 0.01 for name, value in state.items()}
    del released["module.token_embedding.weight"]
    released["module.prompt_learner.complete_text_embeddings"] = torch.ones(3, 77, 64)
    torch.save({"model": released, "config": Path()}, tmp_path / "weights/vifi-clip-b16.pth")
    return vifi_clip.ViFiCLIPAdapter("vifi", run)


@pytest.fixture
def c4c(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TorchAdapter]:
    """CLIP4Clip with settings, on a CLIP of the sizes above."""
    monkeypatch.setattr(clip4clip, "architecture", lambda arch: CLIP)
    return lambda **settings: clip4clip.CLIP4ClipAdapter("c4c", run, arch="tiny", **settings)


@pytest.fixture
def sequence(c4c: Callable[..., TorchAdapter], tmp_path: Path) -> TorchAdapter:
    path = tmp_path / "pytorch_model.bin.3"
    torch.save(random_state(CLIP4Clip(CLIP, 2, 7)), path)
    return c4c(head="seqTransf", checkpoint=str(path))
