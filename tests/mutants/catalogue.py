"""The mutations, read from the YAML files beside this one, and applied to a copy of the tree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COPIED = ("bench", "adapters", "tasks", "leaderboards", "tests", "docs", "README.md", "SECURITY.md",
          "CONTRIBUTING.md", "bench.yaml", "setup.cfg", "setup.py", "pyproject.toml",
          "Makefile")  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """`find`, which stands exactly once in `file`, becomes `replace`; `tests` are to fail then.

    `equivalent` is why no test can notice, where that is so; such a mutation is to survive.
    """

    id: str
    area: str
    what: str
    file: str
    find: str
    replace: str
    tests: list[str]
    equivalent: str = ""
    slow: bool = False  # its tests are marked slow

    def problem(self, root: Path = ROOT) -> str:
        """Why it cannot be applied; empty if it can."""
        path = root / self.file
        if not path.is_file():
            return f"{self.id}: {self.file} is gone"
        count = path.read_text(encoding="utf-8").count(self.find)
        if count != 1:
            return f"{self.id}: its text stands {count} times in {self.file}: {self.find!r}"
        if self.find == self.replace:
            return f"{self.id}: changes nothing"
        for test in self.tests:
            if not (root / test.partition("::")[0]).exists():
                return f"{self.id}: no {test}"
        return "" if self.tests else f"{self.id}: no tests named"

    @contextmanager
    def applied(self, root: Path) -> Iterator[None]:
        """The tree at `root` with the fault in it."""
        path = root / self.file
        before = path.read_text(encoding="utf-8")
        path.write_text(before.replace(self.find, self.replace), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")


def catalogue() -> list[Mutation]:
    """Every mutation, by file and in its order. ValueError for an id that is used twice."""
    found = [
        Mutation(
            area=path.stem, **{**entry, "id": str(entry["id"]), "tests": _list(entry["tests"])}
        )
        for path in sorted(Path(__file__).parent.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    ids = [one.id for one in found]
    if twice := {one for one in ids if ids.count(one) > 1}:
        raise ValueError(f"mutations with one id: {', '.join(sorted(twice))}")
    return found


def _list(tests: str | list[str]) -> list[str]:
    return [tests] if isinstance(tests, str) else tests


def copy_tree(target: Path) -> Path:
    """A copy of all that the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return target
