"""Parse YAML into plain data, with the place of every part of it in the text.

Scalars stay strings: in a table of versions, 1.10 must not become 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from matrix.core.errors import ConfigError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class TableSource:
    """The parsed `text` of the file at `path`.

    `marks` has line and column of every part, for a value in a mapping those of its key; `spans` the offsets of the
    first character of every value and of the one after its last.
    """

    path: Path
    text: str
    data: Any = None
    marks: dict[Place, tuple[int, int]] = field(default_factory=dict)
    spans: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def where(self, place: Sequence[str | int]) -> str:
        """Return `file:line:column` of the deepest known part of `place`."""
        known = tuple(place)
        while known and known not in self.marks:
            known = known[:-1]
        line, column = self.marks.get(known, (1, 1))
        return f"{self.path}:{line}:{column}"


def read_source(path: Path) -> TableSource:
    """Parse the file at `path`. Raises ConfigError if it cannot be read, is not UTF-8, or as `parse_source` does."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name the table with --table FILE") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    return parse_source(text, path)


def parse_source(text: str, path: Path) -> TableSource:
    """Parse `text` as the content of `path`.

    Raises ConfigError for text that is not YAML, is empty, has a key twice or a key that is not text.
    """
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
    source = TableSource(path, text)
    data = _plain(root, (), source, frozenset())
    return TableSource(path, text, data, source.marks, source.spans)


def _plain(node: yaml.Node, place: Place, source: TableSource, open_nodes: frozenset[int]) -> Any:
    here = (node.start_mark.line + 1, node.start_mark.column + 1)
    source.marks.setdefault(place, here)
    # libyaml leaves a byte order mark out of its count.
    marked = source.text.startswith("\ufeff")
    begin, end = node.start_mark.index + marked, node.end_mark.index + marked
    source.spans[place] = (begin, end)
    if isinstance(node, yaml.ScalarNode):
        if node.style in ("|", ">") and not node.value.endswith("\n\n"):
            # The parser counts blank lines after a block scalar as part of it; here they are not part of its value.
            source.spans[place] = (begin, len(source.text[:end].rstrip()))
        return node.value
    if id(node) in open_nodes:
        raise ConfigError(f"{source.path}:{here[0]}:{here[1]}: an alias that contains itself")
    open_nodes |= {id(node)}
    result: Any
    last: Place = place
    if isinstance(node, yaml.SequenceNode):
        result = [_plain(item, last := (*place, i), source, open_nodes) for i, item in enumerate(node.value)]
    else:
        assert isinstance(node, yaml.MappingNode)
        result = {}
        for key_node, value_node in node.value:
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{source.path}:{line}:{column}: a key must be plain text")
            key = key_node.value
            if key in result:
                raise ConfigError(f"{source.path}:{line}:{column}: {key!r} is given twice")
            last = (*place, key)
            source.marks[last] = (line, column)
            result[key] = _plain(value_node, last, source, open_nodes)
    if not node.flow_style:
        # The parser ends a block where the next token begins, after comments and blank lines.
        source.spans[place] = (begin, source.spans[last][1])
    return result
