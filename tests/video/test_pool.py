"""The decoding processes: deadlines, ends, memory, and the job that each receives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import Clip
from bench.errors import BenchError
from bench.files import locks
from bench.video import DecodedFrames, FrameStore, Uniform, pool, worker
from bench.video.pool import Pool
from bench.video.preprocessing import Preprocessing
from bench.video.store import CHANGED

GREET = "import json, os, pathlib, sys, time; print('{}', flush=True)\n"
ANSWER = """print(json.dumps({"kind": "empty", "reason": said}), flush=True)\n"""
# A real worker whose decoder is `decode`, greeted for already.
REAL = (
    "import bench.video.worker as worker\n"
    "real = os.write\n"
    "os.write = lambda file, text: real(file, text) if b'ready' not in text else 0\n"
    "worker.decode = decode\n"
    "worker.main()\n"
)


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str, greet: str = GREET) -> None:
    monkeypatch.setattr(pool, "COMMAND", [sys.executable, "-c", greet + code])


def job(folder: Path, name: str = "clip") -> dict[str, Any]:
    return {"id": name, "root": str(folder), "key": name}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def asked(folder: Path, timeout: float = 20.0, memory: int = 4096) -> dict[str, Any]:
    with Pool(1, timeout, memory) as processes:
        return processes.submit(job(folder)).result(30)


def test_an_answer_is_due_whole_within_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dribble = "for _ in range(20): time.sleep(.2); os.write(1, b' ')\n"
    stand_in(monkeypatch, f"sys.stdin.readline(); said = 'late'\n{dribble}{ANSWER}")
    assert asked(tmp_path, timeout=1.0)["kind"] == "timeout"


def test_a_process_that_hangs_does_not_work_on_beside_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    stand_in(monkeypatch, f"{mark}time.sleep(600)\n")
    with Pool(1, 1.0, 4096) as processes:
        assert processes.submit(job(tmp_path)).result(30)["kind"] == "timeout"
        deadline = time.monotonic() + 5
        while alive(int((tmp_path / "pid").read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_start_of_a_process_is_no_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"sys.stdin.readline(); said = 'there'\n{ANSWER}"
    stand_in(monkeypatch, code, f"import time; time.sleep(2)\n{GREET}")
    assert asked(tmp_path, timeout=1.0)["reason"] == "there"


def test_so_many_processes_as_asked_for_work_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answers once the other has begun as well."""
    stand_in(
        monkeypatch,
        "name = json.loads(sys.stdin.readline())['id']\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / f'{name}.began').touch()\n"
        "began = time.monotonic()\n"
        "while len(list(here.glob('*.began'))) < 2 and time.monotonic() < began + 10:\n"
        "    time.sleep(.05)\n"
        f"said = str(len(list(here.glob('*.began'))))\n{ANSWER}",
    )
    with Pool(2, 30.0, 4096) as processes:
        both = [processes.submit(job(tmp_path, name)) for name in ("a", "b")]
        assert [one.result(30)["reason"] for one in both] == ["2", "2"]


def test_what_waits_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "sys.stdin.readline(); time.sleep(600)\n")
    processes = Pool(1, 60.0, 4096)
    waiting = [processes.submit(job(tmp_path, name)) for name in ("a", "b", "c")]
    time.sleep(0.5)
    processes.close()
    for one in waiting:
        with pytest.raises(BenchError, match="decoding was stopped"):
            one.result(10)
    with pytest.raises(BenchError, match="decoding was stopped"):
        processes.submit(job(tmp_path))


def test_a_clip_that_another_run_decodes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, f"sys.stdin.readline(); said = 'mine'\n{ANSWER}")
    with Pool(1, 20.0, 4096) as processes:
        with locks.locked(tmp_path / "clip"):
            future = processes.submit(job(tmp_path))
            time.sleep(1.0)
            assert not future.done()
        assert future.result(20)["reason"] == "mine"


def test_a_process_has_one_thread_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "7")
    stand_in(
        monkeypatch,
        f"sys.stdin.readline(); said = ' '.join(os.environ[name] for name in {names})\n{ANSWER}",
    )
    assert asked(tmp_path)["reason"] == "1 1"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 always looks there first")
def test_a_folder_of_our_name_in_the_users_is_not_imported(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    ((_, outcome),) = FrameStore(tmp_path / "f", 32, Uniform(1)).fill([Clip("c", mp4)], workers=1)
    assert isinstance(outcome, DecodedFrames)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux enforces the limit")
@pytest.mark.parametrize(("mebibytes", "says"), [(300, "took it"), (4000, "more memory")])
def test_a_video_may_take_the_memory_given_and_no_more(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch, mebibytes: int, says: str
) -> None:
    """2000 MiB are given; libraries have taken some of it before the video comes."""
    stand_in(
        monkeypatch,
        "import numpy as np\n"
        "from bench.video.scan import VideoError\n"
        "def decode(*_):\n"
        f"    np.zeros({mebibytes} << 20, np.uint8)\n"
        "    raise VideoError('empty', 'took it')\n" + REAL,
    )
    store = FrameStore(tmp_path, 32, Uniform(1))
    ((_, outcome),) = store.fill([Clip("c", mp4)], workers=1, memory=2000)
    assert says in getattr(outcome, "reason", "")


def test_a_process_ends_with_its_parent_even_out_of_a_hang(tmp_path: Path, mp4: Path) -> None:
    """The parent may be killed: then stdin closes and nobody is left to send a signal."""
    code = f"{GREET}def decode(*_):\n    print('begun', file=sys.stderr, flush=True)\n"
    code += f"    time.sleep(600)\n{REAL}"
    store = FrameStore(tmp_path, 32, Uniform(1))
    clip = Clip("c", mp4)
    process = subprocess.Popen([sys.executable, "-c", code, "4096"], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)  # fmt: skip
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write(json.dumps(store._job(clip, store.key(clip))).encode() + b"\n")
    process.stdin.flush()
    assert process.stderr.readline() == b"begun\n"
    process.stdin.close()
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every call of the decoder, in this process."""
    calls: list[Any] = []

    def decode(*asked: Any) -> DecodedFrames:
        calls.append(asked)
        return DecodedFrames(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1), "none")

    monkeypatch.setattr(worker, "decode", decode)
    return calls


def test_a_process_receives_all_of_a_clip(tmp_path: Path, mp4: Path, received: list[Any]) -> None:
    clip = Clip("c", mp4, 0.5, 1.25, 12.5)
    square = Preprocessing(32, "squash", "bilinear", crop="floor")
    store = FrameStore(tmp_path, square, Uniform(1), "pyav", "webp")
    assert worker.answer(store._job(clip, store.key(clip))) == {}
    assert received == [(clip, Uniform(1), square, "pyav")]
    assert worker.answer(store._job(clip, store.key(clip))) == {}, "now another run has made it"
    assert len(received) == 1


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: Any) -> DecodedFrames:
        mp4.write_bytes(mp4.read_bytes())  # as large as before
        return DecodedFrames(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1), "none")

    monkeypatch.setattr(worker, "decode", decode)
    store = FrameStore(tmp_path / "frames", 32, Uniform(1))
    clip = Clip("c", mp4)
    answer = worker.answer(store._job(clip, store.key(clip)))
    assert answer == {"kind": "broken", "reason": CHANGED}
    assert not (tmp_path / "frames").exists()


def test_an_error_of_any_library_is_the_videos(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: Any) -> None:
        raise ZeroDivisionError("odd\nframe rate")

    monkeypatch.setattr(worker, "decode", decode)
    store = FrameStore(tmp_path, 32, Uniform(1))
    clip = Clip("c", mp4)
    answer = worker.answer(store._job(clip, store.key(clip)))
    assert answer == {"kind": "broken", "reason": "ZeroDivisionError: odd frame rate"}
    assert not list(tmp_path.iterdir()), "nothing is kept of it"
