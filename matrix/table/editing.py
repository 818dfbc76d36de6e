"""Edit the text of matrix.yml: every byte outside the edits stays as it is.

An edit replaces a span of the text. Edits are built from places of the parsed table (`insert_entries`, `insert_keys`,
`replace_value`, `append_section`); `apply_edits` accepts the result only if it reads as the intended table.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence

import yaml

from matrix.core.errors import ConfigError
from matrix.table.load import checked
from matrix.table.model import Config
from matrix.table.source import Place, TableSource, parse_source

Edit = tuple[int, int, str]

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_PLAIN = re.compile(r"\w[\w.+-]*")


def insert_entries(source: TableSource, place: Place, lines: Sequence[str]) -> Edit:
    """Insert `lines`, each entry beginning with `- `, after the entry of a list at `place`.

    Raises ConfigError, naming the place, if the entry does not begin a line.
    """
    dash = None
    if place in source.spans:
        dash = re.search(r"(?:^|[\r\n\x85\u2028\u2029])( *)- +$", source.text[: source.spans[place][0]])
    if dash is None:
        raise ConfigError(
            f"{source.where(place)}: cannot add to `{place[0]}` in this form; write every entry on its own line, "
            "beginning with `- `"
        )
    return _insert(source, place, len(dash[1]), lines)


def insert_keys(source: TableSource, place: Place, values: Mapping[str, object]) -> Edit:
    """Insert keys with their values into a mapping, after the one at `place`."""
    start, end = source.spans[place[:-1]][0], source.spans[place][1]
    stated = [f"{key}: {flow(value)}" for key, value in values.items()]
    if source.text.startswith("{", start):
        return end, end, "".join(f", {each}" for each in stated)
    return _insert(source, place, source.marks[place][1] - 1, stated)


def replace_value(source: TableSource, place: Place, new: object) -> Edit:
    """Replace the value at `place`."""
    return *source.spans[place], flow(new)


def append_section(source: TableSource, name: str, lines: Sequence[str]) -> Edit:
    """Append a section to the table."""
    break_, end = _break(source.text), len(source.text)
    before = "" if _BREAK.search(source.text[-1:]) else break_
    return end, end, before + "".join(f"{line}{break_}" for line in (f"{name}:", *(f"  {line}" for line in lines)))


def flow(value: object) -> str:
    """Write a value in one line; text is quoted unless it is a plain word or version."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value) if _PLAIN.fullmatch(str(value)) else json.dumps(str(value), ensure_ascii=False)


def scalar(text: str) -> str:
    """Write text as the value of a key on its own line: plain if YAML reads it back unchanged, else quoted."""
    try:
        if yaml.load(f"key: {text}", Loader=yaml.BaseLoader) == {"key": text}:
            return text
    except yaml.YAMLError:
        pass
    return json.dumps(text, ensure_ascii=False)


def apply_edits(
    source: TableSource, edits: Collection[Edit], expected: Config, reasons: frozenset[str] | None = None
) -> str:
    """Apply edits that do not overlap and return the new text.

    Raises ConfigError, naming the place, unless it is a valid table equal to `expected`.
    """
    text = source.text
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    try:
        after = parse_source(text, source.path)
        found = checked(after, reasons)
    except ConfigError as error:
        raise ConfigError(f"the changed table would not be valid: {error}") from error
    for name in Config.model_fields:
        if getattr(found, name) != getattr(expected, name):
            raise ConfigError(f"{after.where((name,))}: `{name}` would not read as intended; change it by hand")
    return text


def difference(before: str, after: str, name: str) -> str:
    """Return a unified diff for `patch -p1`, '' if nothing differs."""
    # For `patch` a line ends at a line feed only; `splitlines` knows more ends.
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _insert(source: TableSource, place: Place, indent: int, lines: Sequence[str]) -> Edit:
    """Insert lines after the one in which the value at `place` ends, and after comments indented more than these."""
    text, end = source.text, source.spans[place][1]
    break_ = _break(text)
    if not _BREAK.search(text[end - 1 : end]):
        found = _BREAK.search(text, end)
        end = found.end() if found else len(text)
    comments = re.compile(rf"(?: {{{indent + 1},}}#[^\r\n]*(?:\r\n?|\n))*").match(text, end)
    at = comments.end() if comments else end
    before = "" if _BREAK.search(text[at - 1 : at]) else break_
    return at, at, before + "".join(f"{' ' * indent}{line}{break_}" for line in lines)


def _break(text: str) -> str:
    found = _BREAK.search(text)
    return found[0] if found else "\n"
