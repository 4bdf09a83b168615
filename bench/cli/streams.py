"""Standard output in any encoding: what it lacks is written plainly, and never ends a command.

Files that we write are always UTF-8. JSON on standard output is ASCII, which every stream has.
"""

# ruff: noqa: RUF001
from __future__ import annotations

import codecs
import sys
import unicodedata

PLAIN = "plain"  # the error handler
ASCII = "plain-ascii"  # the ASCII codec by another name: click writes UTF-8 to a stream named ascii
OURS = {
    "↑": "^", "↓": "v", "≈": "~", "†": "+", "±": "+-", "×": "x", "…": "...", "–": "-", "—": "-",
    "‘": "'", "’": "'", "“": '"', "”": '"', "−": "-", "→": "->", "≤": "<=", "≥": ">=",
    "✓": "yes", "✗": "no", "\u00a0": " ",
}  # fmt: skip
_CHOSEN = ("replace", "ignore", "xmlcharrefreplace", "namereplace")  # handlers that a user names


def plain_streams() -> None:
    """Have standard output and error write plainly what their encoding lacks.

    A handler that PYTHONIOENCODING names stays.
    """
    codecs.register_error(PLAIN, _replaced)
    codecs.register(_codec)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # none where a program replaced it
        if reconfigure is None or stream.errors in _CHOSEN:
            continue
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        reconfigure(encoding=ASCII if is_ascii else stream.encoding, errors=PLAIN)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    """A like character where there is one, else Python's escape."""
    if character in OURS:
        return OURS[character]
    words = unicodedata.name(character, "").split()
    if words[:2] == ["BOX", "DRAWINGS"]:
        return {"HORIZONTAL": "-", "VERTICAL": "|"}.get("".join(words[3:]), "+")
    return character.encode("ascii", "backslashreplace").decode()


def _codec(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != ASCII:
        return None
    same = codecs.lookup("ascii")
    return codecs.CodecInfo(
        same.encode, same.decode, same.streamreader, same.streamwriter,
        same.incrementalencoder, same.incrementaldecoder, name=ASCII,
    )  # fmt: skip
