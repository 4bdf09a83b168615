"""YAML with the place of every value, so that each refusal can name file and line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench.errors import DataError, UsageError, nearest
from bench.files.untrusted import read_text, shown

_LARGEST = 250_000  # bytes, five seconds of reading; a configuration is a page, not a data set
_DEEPEST = 20  # levels of nesting
_LONGEST = 200  # characters of a key


@dataclass(frozen=True)
class Item:
    """A YAML value with the place it came from."""

    value: Any  # scalar, list of Item, or dict of str to Item
    where: str

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def read(path: Path) -> Item:
    """The file's one document; an empty file is an empty mapping. UsageError names the line."""
    try:
        text = read_text(path, "check the file", _LARGEST)
        _refuse_bombs(text, path)
        node = yaml.compose(text, yaml.SafeLoader)
    except DataError as error:
        raise UsageError(str(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UsageError(f"{path}{line}: {problem}; correct the YAML") from error
    return Item({}, str(path)) if node is None else _item(node, path)


def _refuse_bombs(text: str, path: Path) -> None:
    """Refuse what grows without bound when read: aliases of aliases, and endless nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):  # lazily, so that nothing has grown yet
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(f"{path}: YAML aliases (*name) are not read; write the value out")
        if depth > _DEEPEST:
            raise UsageError(f"{path}: nested too deeply; this is no configuration")


def _item(node: yaml.Node, path: Path) -> Item:
    where = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Item] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if len(key) > _LONGEST:
                raise UsageError(f"{path}:{line}: a key of {len(key)} characters; correct it")
            if key in values:
                raise UsageError(f"{path}:{line}: '{key}' is given twice; keep one")
            values[key] = replace(_item(value_node, path), where=f"{path}:{line}")
        return Item(values, where)
    if isinstance(node, yaml.SequenceNode):
        return Item([_item(child, path) for child in node.value], where)
    try:
        return Item(yaml.SafeLoader("").construct_object(node), where)
    except (yaml.YAMLError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UsageError(f"{where}: unreadable value {shown(node.value)}; correct it") from error


def mapping(item: Item, what: str) -> dict[str, Item]:
    """The entries of a mapping, none for null. UsageError says that `what` must be one."""
    if item.value is None:
        return {}
    if not isinstance(item.value, dict):
        raise UsageError(f"{item.where}: {what} must be a mapping of names to values")
    return item.value


def known_only(items: dict[str, Item], known: list[str], what: str) -> None:
    """UsageError for a key that is not `known`, naming the nearest that is."""
    for key, item in items.items():
        if key not in known:
            raise UsageError(
                f"{item.where}: unknown {what} '{key}'{nearest(key, known)}; "
                f"known: {', '.join(known)}"
            )
