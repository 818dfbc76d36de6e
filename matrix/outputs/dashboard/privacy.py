"""What leaves the machine in a site: models of the table alone, and texts without this machine in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from matrix.core.paths import CONVERTER
from matrix.core.text import plain, redact
from matrix.outputs.dashboard.shards import encode
from matrix.table.ids import CellId

# Characters that turn the direction of what follows, so that a text reads otherwise than it is.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
# Where credentials may be; most texts are long and have none.
_ADDRESS = re.compile(r"://|[?&]\w{1,20}=")
# Neither UTF-8 nor XML has them.
_NO_TEXT = re.compile("[\ud800-\udfff\ufffe\uffff]")

# Most texts hold nothing of all this, and there are millions.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff\ufffe\uffff/]"
)

# The same in JSON, where control characters are escaped, and slashes are in every id.
_SUSPECT_JSON = (
    r"\\(?:u00|[rbf])|[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff\ufffe\uffff]"
    r"|://|[?&]\w{1,20}=|/envs/|/\.matrix/|/converter/|/home/|/Users/"
)

# What paths below the state folder, or into the workers' code, have in them on any machine.
_BELOW_STATE = re.compile(r"/envs/(?=[0-9a-f]{20}\b)|/\.matrix/")
_BELOW_CONVERTER = re.compile(
    rf"/converter/(?=(?:{'|'.join(sorted(re.escape(p.name) for p in CONVERTER.iterdir()))})\b)"
)
# What a path begins behind, and how far back that is looked for: a text may be one long line.
_BOUNDS, _BACK = "\n\t \"'<>|:=([,;", 300
_HOMES = re.compile(r"""(?<![\w:/.~-])/(?:home|Users)/[^\s"'<>|:/]{1,100}""")


class SiteCleaner:
    """Makes texts fit to be shown to anybody: no credentials, no folders of the machine that they were made on, no
    control characters; what would turn the direction of a text is written out."""

    def __init__(self, state: Path, table: Path) -> None:
        named = ((Path.home(), "~"), (table, "."), (state, ".matrix"))
        found = {str(path): name for place, name in named for path in _spellings(place)}
        self._folders = sorted(found.items(), key=lambda item: -len(item[0]))
        named_here = "|".join(re.escape(json.dumps(folder, ensure_ascii=False)[1:-1]) for folder, _ in self._folders)
        self._suspect_json = re.compile(f"{_SUSPECT_JSON}|{named_here}")

    def encoded(self, value: Any) -> str:
        """What `data` would make of it, as JSON; most of it needs nothing done, and that is seen at once."""
        try:
            text = encode(value)
        except ValueError:
            return encode(self.data(value))
        return text if self._suspect_json.search(text) is None else encode(self.data(value))

    def text(self, text: str) -> str:
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
        """The same for every text in JSON-ready data; numbers that JSON has no words for become texts."""
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
    """Called with a cell's id, says whether it may be shown, and remembers how many may not."""

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
        """Of the models that were named those of which there is no cell."""
        return sorted(set(named) - self._seen)


def _without_folders(text: str, mark: re.Pattern[str], *names: str) -> str:
    """`text` with what stands before a mark gone where that is an absolute path; `names` take the mark's place, the one
    that ends like it."""
    parts, done = [], 0
    for found in mark.finditer(text):
        if found.start() < done:
            continue
        back = max(done, found.start() - _BACK)
        begin = max(text.rfind(bound, back, found.start()) for bound in _BOUNDS) + 1 or back
        path = text[begin : found.end()]
        # Two slashes are those of an address.
        if path.startswith("/") and not path.startswith("//"):
            parts += [text[done:begin], next(name for name in names if name.endswith(found[0][1:]))]
            done = found.end()
    return "".join([*parts, text[done:]])


def _spellings(folder: Path) -> set[Path]:
    """A folder as it was named and as it is; `/` would be everywhere."""
    return {path for path in (folder.absolute(), folder.resolve()) if len(path.parts) > 1}


Clean = Callable[[str], str]
