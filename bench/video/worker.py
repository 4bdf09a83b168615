"""A decoding process: jobs as JSON lines on stdin, an answer a line on the stdout it was given.

An answer is {} once the frames are in the store, {"kind", "reason"} for a video that gave none, or
{"error"} where the store cannot be written. The process ends with its stdin. Its one argument is
the memory in MiB that it may take.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contracts import Clip
from bench.errors import BenchError, plain
from bench.video.container import VideoError
from bench.video.decode import decode, decode_each
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import parse_plan
from bench.video.sound import sound_of
from bench.video.store import CHANGED, FrameStore


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Decode one clip into the store. `job` is what `FrameStore` made of a clip.

    `also` in it are jobs of the same clip by other plans, decoded in the same pass.
    """
    clip = Clip(job["id"], Path(job["path"]), job["start"], job["end"], job["frames_fps"])
    decoder, square = job["decoder"], Preprocessing(**job["pixels"])
    stores = {
        one["key"]: FrameStore(Path(job["root"]), square, parse_plan(one["plan"]), decoder,
                               job["form"], job["sound"])
        for one in (job, *job.get("also", ()))
    }  # fmt: skip
    # Another run may have decoded it meanwhile.
    stores = {key: store for key, store in stores.items() if store.load(key) is None}
    if not stores:
        return {}
    try:
        plans = [store.plan for store in stores.values()]
        found = (
            decode_each(clip, plans, square, decoder) if "also" in job
            else [decode(clip, plans[0], square, decoder)]
        )  # fmt: skip
        if job["sound"]:
            sound = sound_of(clip)
            found = [replace(decoded, sound=sound) for decoded in found]
        if any(store.key(clip) != key for key, store in stores.items()):
            return {"kind": "broken", "reason": CHANGED}
        for (key, store), decoded in zip(stores.items(), found, strict=True):
            store.keep(key, decoded)
    except VideoError as error:
        return {"kind": error.kind, "reason": error.reason}
    except BenchError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"kind": "broken", "reason": "needs more memory than run.decode_memory allows"}
    except Exception as error:  # the libraries' own kinds: one odd file must not end the run
        return {"kind": "broken", "reason": f"{type(error).__name__}: {plain(error)}"}
    return {}


def main() -> None:
    """Serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if hasattr(os, "nice"):
        os.nice(10)  # who encodes goes first on shared cores: waiting for one thread stops them all
    _limit_memory(int(sys.argv[1]) << 20)
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # C libraries print to 1; the protocol must not see it
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    os.write(output, b'{"ready": true}\n')
    while True:
        reply = answer(json.loads(jobs.get()))
        os.write(output, json.dumps(reply).encode() + b"\n")


def _limit_memory(size: int) -> None:
    """Let an allocation beyond `size` bytes fail, so that one video cannot take the machine down.

    Enforced by Linux; elsewhere the timeout is what is left.
    """
    with suppress(ImportError, OSError, ValueError):  # no such limits, or a lower one is set
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (size, most))


def _read(jobs: queue.SimpleQueue[str]) -> None:
    """Hand on lines; at the end of stdin leave at once, even out of a decoder that hangs."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
