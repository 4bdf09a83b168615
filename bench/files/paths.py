"""Paths as people write them: `~`, `$NAME`, and relative to the file that names them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.errors import UsageError

WEIGHTS = (".pt", ".pth", ".bin", ".safetensors", ".ckpt", ".npz", ".npy")  # endings of their files


def expanded(text: str, base: Path = Path()) -> str:
    """`text` with `~`, `~USER`, `$NAME` and `${NAME}` replaced, as a shell does.

    What lies below `base` under just this name is meant itself. UsageError for a variable that is
    not set or empty, and for a user whom nobody knows.
    """
    if not re.search("[~$]", text) or os.path.exists(base / text):  # noqa: PTH110 - never raises
        return text
    for name in re.findall(r"\$\{?([A-Za-z_]\w*)", text):
        if not os.environ.get(name):
            raise UsageError(
                f"{text}: the environment variable {name} is not set; set it, or write the path out"
            )
    try:
        return str(Path(os.path.expandvars(text)).expanduser())
    except RuntimeError as error:
        raise UsageError(f"{text}: no user of that name has a home; write the path out") from error


def expanded_parts(text: str) -> str:
    """A model's name or file, as `ARCH/~/FILE` or `~/FOLDER+~/FOLDER`, with every path expanded."""
    return "+".join(part[: (cut := _home(part))] + expanded(part[cut:]) for part in text.split("+"))


def _home(text: str) -> int:
    """Where a path from a home or a variable begins; 0 without one."""
    found = re.search(r"(?:^|/)(?=[~$])", text)
    return found.end() if found else 0


def beside(text: str, base: Path, bare: bool = True) -> str:
    """A model's file or folder as a configuration in `base` names it; a tag or keyword as it is.

    A relative path begins with a dot, ends like weights, or is there: below `base`, or below the
    current directory, which is not where it is looked for. Without `bare` a single word is a tag,
    though a file is called so.
    """
    text = expanded_parts(text)
    head, tail = _dotted(text)
    if tail:
        return head + str(base / tail)
    is_path = (
        text.endswith(WEIGHTS)
        or ((bare or "/" in text) and os.path.exists(base / text))  # noqa: PTH110 - never raises
        or ("/" in text and os.path.exists(text))  # noqa: PTH110
    )
    return str(base / text) if is_path else text


def _dotted(text: str) -> tuple[str, str]:
    """`ARCH/` and `./FILE` of `ARCH/./FILE`; two empty texts where no path begins with a dot."""
    found = re.fullmatch(r"((?:[^/]+/)?)(\.{1,2}/.*)", text)
    return (found[1], found[2]) if found else ("", "")
