"""Decoding processes that may hang or crash without taking the run with them.

A timeout inside a process does not fire while native code runs, so the deadline is the parent's:
one thread owns one worker process, waits for its answer and replaces the process when none comes.
Plain subprocesses and JSON lines rather than multiprocessing: nothing is imported again from the
user's script or notebook, and nothing is pickled.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import locks

COMMAND = [sys.executable, "-m", "bench.video.worker"]
STOPPED = "decoding was stopped; run the same command again to resume"
STARTUP = 120.0  # seconds; importing from a cold network disk is slow and is no video's fault


class _Silent(Exception):
    """No answer within the deadline."""


class _Ended(Exception):
    """The process ended instead of answering."""


class _Worker:
    """One process; `ask` takes one job at a time."""

    def __init__(self, memory: int) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(),
        )
        self.pending = b""

    def ask(self, job: dict[str, Any], timeout: float) -> dict[str, Any]:
        """The worker's answer. Raises _Silent after `timeout` seconds and _Ended at a crash."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
        except OSError as error:
            raise _Ended from error
        return self.answer(timeout)

    def answer(self, timeout: float) -> dict[str, Any]:
        """The next line. Raises as `ask` does."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.pending:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise _Silent
                read = os.read(self.process.stdout.fileno(), 65536)
                if not read:
                    raise _Ended
                self.pending += read
        line, _, self.pending = self.pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End the process now. A process in an uninterruptible wait is left to the system."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _environment() -> dict[str, str]:
    """One thread a library, and this very `bench` whatever the working directory holds."""
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


class Pool:
    """Up to `workers` processes, started as jobs come. Use it as a context manager.

    `timeout` is in seconds a job, `memory` in MiB a process.
    """

    def __init__(self, workers: int, timeout: float, memory: int) -> None:
        self.workers = max(1, workers)
        self.timeout = timeout
        self.memory = memory
        self._jobs: queue.SimpleQueue[tuple[dict[str, Any], Future[dict[str, Any]]] | None]
        self._jobs = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def submit(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """A future of the worker's answer: {} or {"kind", "reason"}; BenchError in the future.

        Raises BenchError once the pool is closed.
        """
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._closed:
                raise BenchError(STOPPED)
            self._jobs.put((job, future))
        if len(self._threads) < self.workers:
            thread = threading.Thread(target=self._serve, name="decoding", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Kill the processes, whatever they do, and end the threads. Safe to call twice.

        Answers that are still awaited become a BenchError.
        """
        with self._lock:
            self._closed = True
            running = list(self._running)
        for worker in running:
            worker.process.kill()
        with suppress(queue.Empty):
            while True:
                if item := self._jobs.get_nowait():
                    item[1].set_exception(BenchError(STOPPED))
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        """A thread's life: jobs from the queue, one process at a time."""
        worker: _Worker | None = None
        while (item := self._jobs.get()) is not None:
            job, future = item
            if self._closed:
                future.set_exception(BenchError(STOPPED))
                continue
            try:
                worker = worker or self._start()
                # Here, not in the worker: waiting for another run's decoding is no hang.
                with locks.locked(Path(job["root"]) / job["key"]):
                    answer = worker.ask(job, self.timeout)
            except (_Silent, _Ended) as error:
                self._end(worker)
                worker = None
                answer = {"error": STOPPED} if self._closed else _why(error, self.timeout)
            except Exception as error:  # anything else is the harness's, not the video's
                future.set_exception(error)
                continue
            if "error" in answer:
                future.set_exception(BenchError(answer["error"]))
            else:
                future.set_result(answer)
        self._end(worker)

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise BenchError(STOPPED)
            worker = _Worker(self.memory)
            self._running.add(worker)
        try:
            worker.answer(STARTUP)  # the greeting, so that imports do not count as decoding
        except (_Silent, _Ended) as error:
            self._end(worker)
            raise BenchError(
                "the decoding processes do not start; run "
                f"`python -m bench.video.worker {self.memory}` to see why"
            ) from error
        return worker

    def _end(self, worker: _Worker | None) -> None:
        if worker is not None:
            worker.kill()
            with self._lock:
                self._running.discard(worker)


def _why(error: Exception, timeout: float) -> dict[str, Any]:
    if isinstance(error, _Silent):
        return {"kind": "timeout", "reason": f"no frames after {timeout:g} seconds"}
    return {"kind": "broken", "reason": "the decoder crashed"}
