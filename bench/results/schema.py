"""The JSON schema of results in the documentation: `python -m bench.results.schema` writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from bench.results.document import Document

PAGE = Path(__file__).parents[2] / "docs" / "result-format.md"
BLOCK = re.compile(r"(<!-- schema -->\n```json\n).*?(\n```\n)", re.DOTALL)


def with_schema(page: str) -> str:
    """The page with the schema in its marked block, a definition a line."""
    schema = msgspec.json.schema(Document)
    defined = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in schema["$defs"].items()
    )
    text = f'{{"$ref": {json.dumps(schema["$ref"])},\n "$defs": {{\n{defined}\n}}}}'
    return BLOCK.sub(lambda found: found[1] + text + found[2], page)


if __name__ == "__main__":
    PAGE.write_text(with_schema(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
