"""The models of transformers behind one pair of methods: pictures or clips, and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Towers(nn.Module):
    """A model of pictures with the two methods of open_clip's."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @property
    def image_size(self) -> int | None:
        """Pixels of a side where no configuration says it."""
        return None

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [N, 3, S, S] -> [N, D], not normalised."""
        return _pooled(self.model.get_image_features(pixel_values=pixels))

    def encode_text(self, tokens: Any) -> torch.Tensor:
        """What the tokenizer gave -> [M, D], not normalised."""
        return _pooled(self.model.get_text_features(**tokens))


class XCLIP(Towers):
    """X-CLIP (Ni et al., arXiv 2208.02816): frames that attend to one another, and their mean."""

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """float32 [V, T, 3, S, S] -> [V, D], not normalised."""
        return _pooled(self.model.get_video_features(pixel_values=video))

    def condition(self, video: torch.Tensor) -> torch.Tensor:
        """float32 [V, T, 3, S, S] -> [V, 1 + P, D]: the video's feature, and its mean patches."""
        model, clips = self.model, video.shape[:2]
        tokens, first = model.vision_model(pixel_values=video.flatten(0, 1))[:2]
        feature = model.mit(model.visual_projection(first).unflatten(0, clips))[1]
        patches = model.prompts_visual_layernorm(tokens[:, 1:]) @ model.prompts_visual_projection
        return torch.cat([feature[:, None], patches.unflatten(0, clips).mean(dim=1)], dim=1)

    def match(self, texts: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Features of texts [M, D] and one video's condition [1 + P, D] -> cosines [M]."""
        prompts = self.model.prompts_generator(texts[None], seen[None, 1:])[0]
        return F.cosine_similarity(texts + prompts, seen[:1], dim=-1)


class VideoPrism(Towers):
    """VideoPrism with its text tower (Zhao et al., arXiv 2402.13217)."""

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """float32 [V, T, 3, S, S] -> [V, D], of length 1 where the configuration says so."""
        return _pooled(self.model.get_video_features(pixel_values_videos=video)).flatten(1)


class PEVideo(Towers):
    """The frames and texts of a PE-AV; its methods for features are out of reach in the library."""

    def __init__(self, model: Any) -> None:
        super().__init__(getattr(model, "video_model", model))

    @property
    def image_size(self) -> int | None:
        """That of its timm model."""
        vision = self.model.video_encoder.embedder.vision_model.timm_model
        return int(vision.patch_embed.img_size[0])

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """float32 [V, T, 3, S, S] -> [V, D], not normalised."""
        encoded = self.model.video_encoder(pixel_values_videos=video)
        found: torch.Tensor = self.model.video_head(encoded.pooler_output)
        return found

    def encode_text(self, tokens: Any) -> torch.Tensor:
        """What the tokenizer gave -> [M, D], not normalised."""
        states = self.model.text_model(**tokens, output_hidden_states=True).hidden_states
        found: torch.Tensor = self.model.text_video_head(states[-1][:, 0])
        return found


class PEAudioVideo(Towers):
    """A PE-AV of frames and sound together, and of texts as they are compared with both."""

    @property
    def image_size(self) -> int | None:
        """That of its timm model."""
        return PEVideo(self.model).image_size

    def encode_heard(self, video: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
        """float32 [V, T, 3, S, S] and [V, 1, samples] -> [V, D], not normalised."""
        found: torch.Tensor = self.model.get_audio_video_embeds(sound, video).audio_video_embeds
        return found

    def encode_text(self, tokens: Any) -> torch.Tensor:
        """What the tokenizer gave -> [M, D], not normalised."""
        found: torch.Tensor = self.model.get_text_audio_video_embeds(**tokens)
        return found


TOWERS: Mapping[str, type[Towers]] = {
    "xclip": XCLIP, "videoprism": VideoPrism, "pe_video": PEVideo, "pe_audio_video": PEVideo,
}  # fmt: skip


def _pooled(found: Any) -> torch.Tensor:
    """From transformers 5 on features come inside of a model output."""
    features: torch.Tensor = getattr(found, "pooler_output", found)
    return features
