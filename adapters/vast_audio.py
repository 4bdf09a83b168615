"""From a sound track to the spectrograms that VAST reads, as its AudioMapper makes them at test.

The filter bank is Kaldi's and the resampler torchaudio's, both in float64; what they are is stated
in the documentation of `torchaudio.compliance.kaldi.fbank` and `torchaudio.transforms.Resample`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from bench.errors import DataError
from bench.video.sampling import Parts
from bench.video.sound import Sound

RATE = 16000  # Hz
WINDOW, STEP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms
PREEMPHASIS, LOWEST, FLOOR = 0.97, 20.0, np.finfo(np.float32).eps
MEAN, STD = 15.41663, 6.55582  # of AudioSet's log energies; the deviation is doubled
MELS, TIME = 64, 1024  # audio_melbins, audio_target_length of VAST's configurations
CROSSINGS, ROLLOFF = 6, 0.99  # of the resampler's windowed sinc
LARGEST_STEP = 1000  # 44.1 kHz has 441


def spectrograms(sounds: Sequence[Sound]) -> np.ndarray:
    """Sound tracks -> float32 [B, 1, TIME, MELS], of one segment each as VAST is evaluated.

    Of several channels the first is heard. Less than a window is no sound, for which the official
    code has no answer: it fails.
    """
    tracks = [
        sound.samples[0]
        if sound.samples.size and resampled_length(sound.samples.shape[1], sound.rate) >= WINDOW
        else np.empty(0, np.float32)
        for sound in sounds
    ]
    return np.stack([
        segments(track, sound.rate) for track, sound in zip(tracks, sounds, strict=True)
    ])  # fmt: skip


def segments(
    track: np.ndarray, rate: int = RATE, count: int = 1, mels: int = MELS, time: int = TIME
) -> np.ndarray:
    """The normalised spectrograms float32 [count, time, mels] of a sound track.

    `track` is [samples] of -1 to 1, at `rate` a second: the first channel alone, as the official
    code reads it. An empty one, of a clip without sound, gives zeros, which are the mean. DataError
    for less than one window of 25 ms.
    """
    if not len(track):
        return np.zeros((count, time, mels), np.float32)
    mono = resampled(track.astype(np.float64), rate) * 2**15
    if len(mono) < WINDOW:
        raise DataError(f"a sound track of {len(mono)} samples at 16 kHz is shorter than 25 ms")
    normal = (filter_bank(mono, mels) - MEAN) / (2 * STD)
    # A track that ends with a segment still gets another one, of zeros alone.
    pad = max(time * count - len(normal), time - len(normal) % time)
    slices = np.pad(normal, ((0, pad), (0, 0))).reshape(-1, time, mels)
    return slices[Parts(count).indices(len(slices), 0.0)].astype(np.float32)


def filter_bank(mono: np.ndarray, mels: int) -> np.ndarray:
    """Samples at 16 kHz, in the scale of int16 -> log energies float64 [whole windows, mels]."""
    windows = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::STEP]
    centred = windows - windows.mean(axis=1, keepdims=True)
    before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
    shaped = (centred - PREEMPHASIS * before) * _povey()
    power = np.abs(np.fft.rfft(shaped, FFT)) ** 2
    return np.log(np.maximum(power @ _triangles(mels).T, FLOOR))


def _povey() -> np.ndarray:
    """Kaldi's own window: a symmetric Hann window to the power of 0.85."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))) ** 0.85


@cache
def _triangles(mels: int) -> np.ndarray:
    """Weights [mels, frequencies]: triangles in mel, from 20 Hz to half of the rate."""
    edges = np.linspace(_mel(LOWEST), _mel(RATE / 2), mels + 2)[:, None]
    frequencies = _mel(np.arange(FFT // 2 + 1) * RATE / FFT)[None]
    width = edges[1] - edges[0]
    rising, falling = (frequencies - edges[:-2]) / width, (edges[2:] - frequencies) / width
    found: np.ndarray = np.maximum(0, np.minimum(rising, falling))
    return found


def _mel(frequency: float | np.ndarray) -> np.ndarray:
    """Kaldi's mel of a frequency in Hz."""
    return np.asarray(1127 * np.log1p(np.asarray(frequency) / 700))


def resampled(samples: np.ndarray, rate: int, to: int = RATE) -> np.ndarray:
    """Samples at `rate` -> at `to` Hz, by a sinc of six zero crossings in a Hann window.

    DataError for a rate that needs more kernels than any recorder's.
    """
    if rate < 1 or (old := rate // math.gcd(rate, to)) > LARGEST_STEP:
        raise DataError(f"a sound track of {rate} Hz cannot be resampled; convert it to {to} Hz")
    new = to // math.gcd(rate, to)
    if old == new:
        return samples
    cut = min(old, new) * ROLLOFF
    reach = math.ceil(CROSSINGS * old / cut)
    # Each of `new` phases has its own kernel, applied every `old` samples.
    taps = np.arange(-reach, reach + old) / old
    times = (taps[None] - np.arange(new)[:, None] / new) * cut
    times = times.clip(-CROSSINGS, CROSSINGS)
    window = np.cos(np.pi * times / CROSSINGS / 2) ** 2
    kernels = np.sinc(times) * window * cut / old
    padded = np.pad(samples, (reach, reach + old))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, len(taps))[::old]
    return (blocks @ kernels.T).reshape(-1)[: resampled_length(len(samples), rate, to)]


def resampled_length(samples: int, rate: int, to: int = RATE) -> int:
    """How many samples at `to` Hz, a part of one counted whole."""
    return -(-to * samples // rate)
