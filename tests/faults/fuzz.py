"""`python -m tests.faults.fuzz --seconds N [--reader NAME]`: coverage-guided fuzzing with atheris.

An extra, not part of the tests: `pip install atheris` first. Each reader gets N seconds in a
process of its own; what breaks one is kept in tests/faults/corpus/READER/, which a test replays.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")


def fuzz(name: str, seconds: int) -> None:
    """Feed one reader until the time is over or it breaks; atheris ends the process."""
    import atheris

    with atheris.instrument_imports(include=["bench", "tasks", "adapters", "leaderboards", "yaml"]):
        from tests.faults import data
        from tests.faults.readers import READERS
    data.SECONDS = 60.0  # watched code is slow
    (reader,) = (one for one in READERS if one.name == name)
    folder = Path(tempfile.mkdtemp())
    seeds = folder / "seeds"
    seeds.mkdir()
    for place, (_, content) in enumerate([("good", reader.good), *data.contents(reader)]):
        if len(content) < 4096:
            (seeds / str(place)).write_bytes(content)

    def once(content: bytes) -> None:
        try:
            data.attempt(reader, folder / "work", content)
        except Exception:
            kept = CORPUS / name / hashlib.sha256(content).hexdigest()[:12]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(content)
            raise

    options = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=3000", "-timeout=90"]
    atheris.Setup([sys.argv[0], *options, str(seeds)], once)
    atheris.Fuzz()


def main() -> int:
    """Fuzz one reader here, or every one in a process each; 1 where any broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--reader")
    given = parser.parse_args()
    if given.reader:
        fuzz(given.reader, given.seconds)
        return 0
    from tests.faults.readers import READERS

    broken = []
    for reader in READERS:
        command = [sys.executable, "-m", "tests.faults.fuzz", "--seconds", str(given.seconds)]
        done = subprocess.run([*command, "--reader", reader.name], capture_output=True, text=True)
        runs = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
        print(f"{reader.name}: {runs[0] if runs else done.stderr[-2000:]}", flush=True)
        broken += [reader.name] if done.returncode else []
    print(f"broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
