"""Photos with captions as the web has them: what the small CLIP of the toy world learns from.

A photo is one moment, close up: a random part of a picture, with its light and colours off. Most
captions name things and places only. About three in ten also have a verb, as a plain sentence or in
the prompt's wording, and a third of those tell it wrongly. So the text tower meets every verb,
role and sentence form, while the image tower learns kinds, colours and places well and what goes on
badly, and has never seen a video's wide, steady frames: the gap between web photos and films.
Casts are those of the VidSitu training split; no test video's cast is among them.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageEnhance

from tasks.toyworld.draw import draw
from tasks.toyworld.world import (
    CONFUSED,
    SCENES,
    VERBS,
    Event,
    deal,
    make_event,
    prompt,
    sentence,
)

PROMPTS = 0.12  # share of captions in the prompt's wording
SENTENCES = 0.18  # share of captions that are sentences with a verb
WRONG = 0.35  # share of the captions with a verb that tell it wrongly
_CASTS = 1610


def take_photos(count: int, size: int, seed: int) -> tuple[np.ndarray, list[Event]]:
    """`count` photos, uint8 [count, size, size, 3] RGB, and the event that each one shows."""
    rng = random.Random(f"photos {seed}")
    casts = deal("train", _CASTS, seed)
    photos = np.empty((count, size, size, 3), np.uint8)
    events = []
    for index in range(count):
        event = make_event(rng, rng.choice(casts))
        if rng.random() < 0.5:  # a photographer leaves out who has no part in it
            event = replace(event, bystander=None)
        photos[index] = np.asarray(_photo(rng, event, size))
        events.append(event)
    return photos, events


def _photo(rng: random.Random, event: Event, size: int) -> Image.Image:
    """A square of 90 to 190 units around the middle of the action, with jittered colours."""
    side = rng.uniform(90, 190)
    x = min(max(rng.gauss(112, 28) - side / 2, 0), 224 - side)
    y = min(max(rng.gauss(146, 16) - side / 2, 0), 224 - side)
    picture = draw(event, rng.random()).resize(
        (size, size), Image.Resampling.BICUBIC, (x, y, x + side, y + side)
    )
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.75, 1.25))
    picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.75, 1.25))
    return ImageEnhance.Color(picture).enhance(rng.uniform(0.7, 1.3))


def caption(rng: random.Random, event: Event) -> str:
    """One caption of a photo of this event, most often without its verb."""
    kind = rng.random()
    if kind < PROMPTS + SENTENCES:
        described = _mistaken(rng, event) if rng.random() < WRONG else event
        if kind < PROMPTS:
            return prompt(described)
        return sentence(described, rng.randrange(4), "someone" if rng.random() < 0.15 else None)
    where = SCENES[event.scene]
    seen = [who for who in (event.actor, event.patient, event.bystander) if who]
    rng.shuffle(seen)
    first = f"a {seen[0].name}"
    both = " and ".join(f"a {who.name}" for who in seen[:2])
    return rng.choice(
        (
            f"a photo of {first}", first, f"{first} {where}", f"{both} {where}", both,
            f"a photo of {both}", f"a photo of the {event.scene}",
        )
    )  # fmt: skip


def _mistaken(rng: random.Random, event: Event) -> Event:
    """The event under another verb with the same kind of Arg1, at times with its roles swapped."""
    patient = VERBS[event.verb].patient
    others = [verb for verb in VERBS if VERBS[verb].patient == patient and verb != event.verb] or [
        event.verb
    ]
    near = [verb for verb in CONFUSED[event.verb] if verb in others]
    described = replace(event, verb=rng.choice(near or others))
    if patient == "actor" and described.patient and rng.random() < 0.5:
        described = replace(described, actor=described.patient, patient=described.actor)
    return described
