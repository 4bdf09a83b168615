"""One moment of an event as a picture: `draw(event, u)`.

Scenes are painted once and kept; bodies are drawn at twice the size and averaged down, which makes
smooth edges.
"""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

from bench.files.atomic import atomic_path
from tasks.toyworld.actions import ACTIONS
from tasks.toyworld.scenes import paint_scene
from tasks.toyworld.sprites import INK, Pen
from tasks.toyworld.stage import UNITS, Stage
from tasks.toyworld.world import VERBS, Event, deal, make_event, sentence


def draw(event: Event, u: float, size: int = 224) -> Image.Image:
    """The event at `u` of its length (0 to 1) as an RGB image of `size` x `size` pixels."""
    image = _background(event.scene, size).copy()
    stage = Stage(Pen(ImageDraw.Draw(image), 2 * size / UNITS), event, u)
    stage.bystander()
    stage.manner(ACTIONS[event.verb](stage))
    return image.reduce(2)


@lru_cache(maxsize=16)
def _background(scene: str, size: int) -> Image.Image:
    image = Image.new("RGB", (2 * size, 2 * size))
    paint_scene(Pen(ImageDraw.Draw(image), 2 * size / UNITS), scene)
    return image


def contact_sheet(path: Path, size: int = 150) -> None:
    """Three moments of each verb as one PNG: six columns of verbs, their names below."""
    verbs = list(VERBS)
    columns, name = 3, 16
    rows = -(-len(verbs) // columns)
    sheet = Image.new("RGB", (columns * (3 * size + 16), rows * (size + name)), (255, 255, 255))
    write = ImageDraw.Draw(sheet)
    rng = random.Random(2)
    for index, (verb, cast) in enumerate(zip(verbs, deal("train", len(verbs), 7), strict=True)):
        event = make_event(rng, cast, verb)
        x, y = index % columns * (3 * size + 16), index // columns * (size + name)
        for k, u in enumerate((0.1, 0.5, 0.9)):
            sheet.paste(
                draw(event, u).resize((size, size), Image.Resampling.LANCZOS),
                (x + k * (size + 3), y),
            )
        write.text((x + 2, y + size + 2), sentence(event, 0), fill=INK)
    with atomic_path(path) as temporary:
        sheet.quantize(255).save(temporary, format="PNG", optimize=True)
