"""The crop is the published models' own, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from bench.video import Preprocessing

SIZES = [
    (320, 240), (240, 320), (319, 241), (241, 319), (1281, 719), (101, 1009), (1009, 101),
    (100, 57), (57, 100), (225, 224), (224, 225), (224, 227), (224, 224), (500, 500), (64, 64),
    (333, 223), (854, 480),
]  # fmt: skip


@pytest.mark.parametrize("width,height", SIZES)
def test_the_crop_is_open_clips(width: int, height: int) -> None:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(noise)
    config = PreprocessCfg(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    theirs = image_transform_v2(config, is_train=False)(image)
    ours = np.asarray(Preprocessing(224).apply(image))
    assert ours.shape == (224, 224, 3)
    np.testing.assert_array_equal(
        ours, (theirs.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    )


def test_a_square_of_the_right_size_is_left_alone() -> None:
    image = Image.new("RGB", (224, 224))
    assert Preprocessing(224).apply(image) is image
