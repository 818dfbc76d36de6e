"""YAML text as plain data plus the line and column of every part of it.

Scalars stay strings: a table of versions in which 1.10 may turn into 1.1 is a trap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from matrix.core.errors import ConfigError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class TableSource:
    """A parsed file: `data` and where each part of it stands."""

    path: Path
    data: Any
    marks: dict[Place, tuple[int, int]]

    def where(self, place: Sequence[str | int]) -> str:
        """`file:line:column` of the deepest known part of `place`."""
        known = tuple(place)
        while known and known not in self.marks:
            known = known[:-1]
        line, column = self.marks.get(known, (1, 1))
        return f"{self.path}:{line}:{column}"


def read_source(path: Path) -> TableSource:
    """Parse `path`. Raises ConfigError for a missing file, YAML that does not parse, or a key given twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name the table with --table FILE") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError(f"{path}:{line}:{column}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}:1:1: not valid YAML: {error}") from error
    if root is None:
        raise ConfigError(f"{path}:1:1: the file is empty")
    marks: dict[Place, tuple[int, int]] = {}
    data = _plain(root, (), path, marks, set())
    return TableSource(path, data, marks)


def _plain(node: yaml.Node, place: Place, path: Path, marks: dict[Place, tuple[int, int]], open_nodes: set[int]) -> Any:
    here = (node.start_mark.line + 1, node.start_mark.column + 1)
    marks.setdefault(place, here)
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if id(node) in open_nodes:
        raise ConfigError(f"{path}:{here[0]}:{here[1]}: an alias that contains itself")
    open_nodes = open_nodes | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(n, (*place, i), path, marks, open_nodes) for i, n in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{path}:{line}:{column}: a key must be plain text")
        key = key_node.value
        if key in result:
            raise ConfigError(f"{path}:{line}:{column}: {key!r} is given twice")
        marks[(*place, key)] = (line, column)
        result[key] = _plain(value_node, (*place, key), path, marks, open_nodes)
    return result
