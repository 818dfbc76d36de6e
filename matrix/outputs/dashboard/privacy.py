"""Privacy of a site: only models of the table, and texts without traces of this machine."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from matrix.core.paths import CONVERTER
from matrix.core.text import plain, redact
from matrix.outputs.dashboard.shards import encode
from matrix.table.ids import CellId

# Characters that change the direction of the text after them, so that it reads differently.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
# Texts that may hold credentials; most do not.
_ADDRESS = re.compile(r"://|[?&]\w{1,20}=")
# Invalid in UTF-8 or XML.
_NO_TEXT = re.compile("[\ud800-\udfff\ufffe\uffff]")

# Most of the millions of texts hold nothing of this.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff\ufffe\uffff/]"
)

# The same in JSON, where control characters are escaped and every id has slashes.
_SUSPECT_JSON = (
    r"\\(?:u00|[rbf])|[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff\ufffe\uffff]"
    r"|://|[?&]\w{1,20}=|/envs/|/\.matrix/|/converter/|/home/|/Users/"
)

# The parts of paths into the state folder and the workers' code that are the same on all machines.
_BELOW_STATE = re.compile(r"/envs/(?=[0-9a-f]{20}\b)|/\.matrix/")
_BELOW_CONVERTER = re.compile(
    rf"/converter/(?=(?:{'|'.join(sorted(re.escape(p.name) for p in CONVERTER.iterdir()))})\b)"
)
# The characters before a path, and how far back they are searched for, since a text may be one long line.
_BOUNDS, _BACK = "\n\t \"'<>|:=([,;", 300
_HOMES = re.compile(r"""(?<![\w:/.~-])/(?:home|Users)/[^\s"'<>|:/]{1,100}""")


class SiteCleaner:
    """Makes texts fit for the public: no credentials, no folders of the machine they come from, no control characters;
    characters that change the direction of a text are written as escapes."""

    def __init__(self, state: Path, table: Path) -> None:
        named = ((Path.home(), "~"), (table, "."), (state, ".matrix"))
        found = {str(path): name for place, name in named for path in _spellings(place)}
        self._folders = sorted(found.items(), key=lambda item: -len(item[0]))
        named_here = "|".join(re.escape(json.dumps(folder, ensure_ascii=False)[1:-1]) for folder, _ in self._folders)
        self._suspect_json = re.compile(f"{_SUSPECT_JSON}|{named_here}")

    def encoded(self, value: Any) -> str:
        """Return the cleaned data as JSON. Most needs no cleaning, which one search shows."""
        try:
            text = encode(value)
        except ValueError:
            return encode(self.data(value))
        return text if self._suspect_json.search(text) is None else encode(self.data(value))

    def text(self, text: str) -> str:
        """Clean one text."""
        if _SUSPECT.search(text) is None:
            return text
        text = plain(text)
        if _ADDRESS.search(text) is not None:
            text = redact(text)
        for folder, name in self._folders:
            text = text.replace(folder, name)
        text = _without_folders(text, _BELOW_STATE, ".matrix/envs/", ".matrix/")
        text = _without_folders(text, _BELOW_CONVERTER, "converter/", "converter/")
        text = _HOMES.sub("~", text)
        text = _BIDI.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        return _NO_TEXT.sub("\ufffd", text)

    def data(self, value: Any) -> Any:
        """Clean every text in JSON-ready data; numbers that JSON cannot express become texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return value


class Public:
    """Decides by a cell's id whether it may be shown, and remembers those that may not."""

    def __init__(self, declared: Iterable[str], named: Collection[str]) -> None:
        self._models = frozenset(declared) | frozenset(named)
        self.left_out: set[str] = set()
        self._seen: set[str] = set()

    def __call__(self, cell: str) -> bool:
        model = CellId.parse(cell).model
        self._seen.add(model)
        if model in self._models:
            return True
        self.left_out.add(cell)
        return False

    def unknown(self, named: Iterable[str]) -> list[str]:
        """Return those of the named models that have no cell."""
        return sorted(set(named) - self._seen)


def _without_folders(text: str, mark: re.Pattern[str], *names: str) -> str:
    """Replace absolute paths that end with a mark by the one of `names` that ends like it."""
    parts, done = [], 0
    for found in mark.finditer(text):
        if found.start() < done:
            continue
        back = max(done, found.start() - _BACK)
        begin = max(text.rfind(bound, back, found.start()) for bound in _BOUNDS) + 1 or back
        path = text[begin : found.end()]
        # Two slashes begin the host of an address.
        if path.startswith("/") and not path.startswith("//"):
            parts += [text[done:begin], next(name for name in names if name.endswith(found[0][1:]))]
            done = found.end()
    return "".join([*parts, text[done:]])


def _spellings(folder: Path) -> set[Path]:
    """Return a folder as it is named and resolved; not `/`, which is in every path."""
    return {path for path in (folder.absolute(), folder.resolve()) if len(path.parts) > 1}
