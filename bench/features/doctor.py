"""Is a model run as it is meant to be? The checks of `bench doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from bench.capabilities import HasReference
from bench.contracts import Adapter, normalise
from bench.features.validation import checked, collapsed
from bench.video.sound import NONE

SIZES = ((320, 240), (426, 240), (180, 320), (97, 61))  # of pictures: wide, tall, small
CLOSE, CLOSE_HALF = 1e-4, 2e-2  # how far normalised features may be apart, in each precision
FEW = 2.0  # % of pixels that may be a step of 255 from the library's
FILLER = "and then something else happens "


@dataclass(frozen=True)
class Finding:
    """One check: `ok` None where it could not be made; `says` what was seen."""

    check: str
    ok: bool | None
    says: str


def examine(
    adapter: Adapter,
    frames: np.ndarray,
    texts: Sequence[str],
    exact: Adapter | None = None,
) -> Iterator[Finding]:
    """Findings on uint8 frames [V, T, S, S, 3] and texts, in a fixed order.

    `exact` is the same model in float32, where `adapter` runs in less. BenchError as in a run.
    What is encoded together are frames, or the clips of a video model.
    """
    flat = frames if adapter.is_video_model else frames.reshape(-1, *frames.shape[2:])
    features = checked(adapter, _encoded(adapter, flat), len(flat))
    words = checked(adapter, adapter.encode_texts(list(texts)), len(texts))
    close = CLOSE if exact is None else CLOSE_HALF
    yield from _against_the_library(adapter, close)
    yield _colours(adapter, flat, features)
    yield _batches(adapter, flat, texts, (features, words), close)
    yield _repeats(adapter, flat, texts, (features, words))
    videos = np.stack([adapter.pool(one) for one in np.split(features, len(frames))])
    yield from (_spread(*pair) for pair in (("videos", videos), ("texts", words)))
    yield _cut(adapter, texts)
    yield _precision(adapter, flat, features, exact)


def _encoded(adapter: Adapter, inputs: np.ndarray) -> np.ndarray:
    """Features of frames [N, S, S, 3], or of a video model's clips [N, T, S, S, 3].

    What it reads beside frames is empty.
    """
    if not adapter.is_video_model:
        return adapter.encode_frames(inputs)
    nothing: dict[str, Any] = {"subtitles": "", "audio": NONE}
    beside = {name: [nothing[name]] * len(inputs) for name in adapter.inputs & nothing.keys()}
    encode: Callable[..., np.ndarray] = adapter.encode_clips
    return encode(inputs, **beside)


def pictures() -> list[Image.Image]:
    """Pictures of several shapes in which every pixel counts."""
    random = np.random.default_rng(0)
    return [
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        for width, height in SIZES
    ]


def apart(one: np.ndarray, two: np.ndarray) -> float:
    """The largest distance between normalised vectors of two arrays [N, D]."""
    return float(np.linalg.norm(normalise(one) - normalise(two), axis=-1).max())


def _against_the_library(adapter: Adapter, close: float) -> Iterator[Finding]:
    if not isinstance(adapter, HasReference):
        yield Finding("pixels", None, "the adapter offers no transform of its library to compare")
        return
    shown = pictures()
    squares = np.stack([np.asarray(adapter.preprocessing.apply(one)) for one in shown])
    theirs, expected = adapter.reference(shown)
    ours = adapter.pixels(squares)
    if ours.shape != theirs.shape:
        says = f"{list(ours.shape[1:])} where the library makes {list(theirs.shape[1:])}"
        yield Finding("pixels", False, says)
        return
    yield _pixels(adapter, squares, np.abs(ours - theirs))
    if adapter.is_video_model:
        return  # its library's features of a clip are not those of a picture
    found = checked(adapter, adapter.encode_frames(squares), len(squares))
    if (gap := apart(found, expected)) <= close:
        yield Finding("channel order", True, "features equal to the library's on RGB")
        return
    swapped = apart(adapter.encode_frames(squares[..., ::-1].copy()), expected) <= close
    says = "the library's features come from swapped channels: red is read as blue"
    other = f"features differ from the library's by {gap:.2g}"
    yield Finding("channel order", False, says if swapped else other)


def _pixels(adapter: HasReference, squares: np.ndarray, far: np.ndarray) -> Finding:
    """Pixels that are `far` from the library's; resizing on tensors rounds a few otherwise."""
    share = 100 * float((far > 1e-3).mean())
    if not share:
        return Finding("pixels", True, "equal to the library's transform")
    zeros = np.zeros_like(squares)
    step = np.abs(adapter.pixels(zeros + np.uint8(1)) - adapter.pixels(zeros))
    if share <= FEW and (far <= 1.01 * step).all():
        says = f"the library's transform, but for a step of 255 in {share:.1f} %"
        return Finding("pixels", True, says)
    says = f"{share:.1f} % differ from the library's transform, by {far.mean():.3f} in the mean"
    return Finding("pixels", False, says)


def _colours(adapter: Adapter, flat: np.ndarray, features: np.ndarray) -> Finding:
    gap = apart(_encoded(adapter, flat[..., ::-1].copy()), features)
    says = f"swapped channels move features by {gap:.2g}"
    return Finding("colours", gap > 1e-6, says if gap > 1e-6 else "colours change nothing")


def _batches(
    adapter: Adapter,
    flat: np.ndarray,
    texts: Sequence[str],
    whole: tuple[np.ndarray, np.ndarray],
    close: float,
) -> Finding:
    """A frame's, clip's or text's features must not depend on what is encoded beside them."""
    few = len(flat[:6])
    alone = np.concatenate([_encoded(adapter, flat[at : at + 1]) for at in range(few)])
    said = np.concatenate([adapter.encode_texts([text]) for text in texts[:6]])
    gap = max(apart(alone, whole[0][:few]), apart(said, whole[1][:6]))
    return Finding("batches", gap <= close, f"alone and in a batch differ by {gap:.1e}")


def _repeats(
    adapter: Adapter, flat: np.ndarray, texts: Sequence[str], whole: tuple[np.ndarray, np.ndarray]
) -> Finding:
    again = _encoded(adapter, flat), adapter.encode_texts(list(texts))
    gap = max(apart(one, two) for one, two in zip(again, whole, strict=True))
    ok = gap <= 1e-6
    odd = f"the second time differs by {gap:.1e}; is it in training mode, or random?"
    return Finding("repeatability", ok, "the same twice" if ok else odd)


def _spread(what: str, features: np.ndarray) -> Finding:
    fault = collapsed(features)
    return Finding(f"spread of {what}", not fault, fault or f"{len(features)} tell apart")


def _cut(adapter: Adapter, texts: Sequence[str]) -> Finding:
    """A text that is not read whole must be counted as one."""
    for length in (0, 4, 16, 64):
        start = texts[0] + " " + FILLER * length
        pair = [start + "dog", start + "robot"]
        same = apart(*np.split(adapter.encode_texts(pair), 2)) < 1e-6
        if same and adapter.count_truncated(pair) < 2:
            says = f"a text of {len(start.split())} words is cut without being counted"
            return Finding("text cut", False, says)
        if not same and not length and adapter.count_truncated(pair):
            return Finding("text cut", False, "a text that is read whole is counted as cut")
    cut = adapter.count_truncated(list(texts))
    return Finding("text cut", True, f"counted; {cut} of {len(texts)} captions here are too long")


def _precision(
    adapter: Adapter, flat: np.ndarray, features: np.ndarray, exact: Adapter | None
) -> Finding:
    name = str(getattr(adapter, "precision", "unknown"))
    if exact is None:
        return Finding("precision", True, name)
    gap = apart(_encoded(exact, flat), features)
    return Finding("precision", gap <= CLOSE_HALF, f"{name}: {gap:.1e} from float32")
