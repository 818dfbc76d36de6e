"""What may leave the machine, in a site or an export: cells of declared models, and texts without its folders."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from matrix.core.paths import CONVERTER
from matrix.core.text import plain, redact
from matrix.store import Store
from matrix.table.ids import CellId

# Options that describe a user's own model.
_ABOUT = frozenset(
    ("--checkpoint", "--checkpoint-key", "--input", "--output", "--source", "--inputs", "--reference", "--seed")
) | {"--trust"}

# A shorter name is the root of a system or of a container, and is in every text.
_SHORTEST = 4

# Every text that `redact` or `plain` may change has one of these. Most texts have none, and there are millions.
_MAYBE_PRIVATE = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f]|://|[?&]\w{{1,20}}=|{re.escape(str(Path.home()))}")

_FOUND_IN = re.compile(r"\(found in run (\d+)\)")

# Characters that change the direction of the text after them, so that it reads differently from what it is.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
# Neither UTF-8 nor XML can encode these.
_NO_TEXT = re.compile("[\ud800-\udfff\ufffe\uffff]")

# What a site must not show, in texts and in JSON, where control characters are escaped and slashes are in every id.
_HIDDEN = "\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff\ufffe\uffff"
_SUSPECT = re.compile(rf"[\x00-\x08\x0b-\x1f{_HIDDEN}/]")
_SUSPECT_JSON = rf"\\(?:u00|[rbf])|[{_HIDDEN}]|://|[?&]\w{{1,20}}=|/envs/|/\.matrix/|/converter/|/home/|/Users/"

# Parts of paths below the state folder, or into the workers' code, on any machine.
_BELOW_STATE = re.compile(r"/envs/(?=[0-9a-f]{20}\b)|/\.matrix/")
_BELOW_CONVERTER = re.compile(
    rf"/converter/(?=(?:{'|'.join(sorted(re.escape(p.name) for p in CONVERTER.iterdir()))})\b)"
)
# What stands before a path, and how far back it is looked for: a text may be one long line.
_BOUNDS, _BACK = "\n\t \"'<>|:=([,;", 300
_HOMES = re.compile(r"""(?<![\w:/.~-])/(?:home|Users)/[^\s"'<>|:/]{1,100}""")


class Public:
    """The models whose cells may leave: those of the table and those named with an option; `declared` None: all, for
    what is here has left other machines already. Remembers in `left_out` the cells asked about that may not."""

    def __init__(self, declared: Iterable[str] | None, named: Collection[str] = ()) -> None:
        self.models = None if declared is None else frozenset((*declared, *named))
        self.left_out: set[str] = set()
        self._seen: set[str] = set()

    def model(self, model: str) -> bool:
        return self.models is None or model in self.models

    def cell(self, cell: str) -> bool:
        """Whether the cell of this id may leave."""
        model = CellId.parse(cell).model
        self._seen.add(model)
        if self.model(model):
            return True
        self.left_out.add(cell)
        return False

    def unknown(self, named: Iterable[str]) -> list[str]:
        """Return those of the named models that no cell asked about belongs to."""
        return sorted(set(named) - self._seen)

    def command(self, text: str, private: Collection[str]) -> str:
        """Return a command line without what it says about a model that stays here. `private` are known names of such
        models."""
        if self.models is None:
            return text
        try:
            words = shlex.split(text)
        except ValueError:
            words = text.split()
        named = {word.partition("=")[0] for word in words}
        models = [word.partition("=")[2] for word in words if word.startswith("--model=")]
        models += [after for word, after in pairwise(words) if word == "--model"]
        own = any(not self._is_declared(model) for model in models)
        mentioned = any(re.search(rf"(?<![\w.+-]){re.escape(name)}(?![\w.+-])", text) for name in private)
        if not (own or mentioned or named & _ABOUT):
            return text
        verb = words[3] if len(words) > 3 and words[:3] == ["python", "-m", "matrix"] else "run"
        return f"python -m matrix {verb} …"

    def _is_declared(self, pattern: str) -> bool:
        own = ":" in pattern or pattern.endswith(".onnx")
        return not own and any(fnmatchcase(model, pattern) for model in self.models or ())


class Cleaner:
    """Removes folders of this machine, credentials and control characters from texts."""

    def __init__(self, folders: Mapping[str, str], end: str = "") -> None:
        """`folders` maps names of folders to what replaces them; `end` is what has to follow a name, as a pattern."""
        ordered = sorted(folders.items(), key=lambda item: -len(item[0]))
        self._folders = [(name, re.compile(re.escape(name) + end), mark) for name, mark in ordered]

    def text(self, text: str) -> str:
        for name, pattern, mark in self._folders:
            if name in text:
                text = pattern.sub(mark, text)
        return redact(plain(text)) if _MAYBE_PRIVATE.search(text) else text

    def data(self, value: Any) -> Any:
        """Return JSON-ready data with every text in it cleaned."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.data(item) for key, item in value.items()}
            case list() | tuple():
                return [self.data(item) for item in value]
        return value


class AsItIs(Cleaner):
    """Leaves texts of another machine alone: they were cleaned there, and here their words mean other folders."""

    def __init__(self) -> None:
        super().__init__({})

    def text(self, text: str) -> str:
        return text

    def data(self, value: Any) -> Any:
        return value


class ExportCleaner(Cleaner):
    """Cleans the texts of an export; `runs` has a run's name for its number in this store."""

    def __init__(self, state: Path, table: Path, runs: Mapping[int, str]) -> None:
        names = {
            name: mark
            for folder, mark in ((table.absolute(), "<table>"), (state.absolute(), "<state>"))
            for name in (str(folder), str(folder.resolve()), redact(str(folder)))
            if len(name) >= _SHORTEST
        }
        super().__init__(names, r"(?![\w.-])")
        self._runs = runs

    @classmethod
    def of(cls, state: Path, table: Path, store: Store) -> ExportCleaner:
        """Return the cleaner for a state folder, a table file and the runs of a store."""
        return cls(state, table.absolute().parent, {run.id: run.uid for run in store.runs()})

    def text(self, text: str) -> str:
        if "(found in run " in text:
            text = _FOUND_IN.sub(lambda found: f"(found in run {self._runs.get(int(found[1]), found[1])})", text)
        return super().text(text)


class SiteCleaner(Cleaner):
    """Cleans the texts of a site, for anybody: also without folders of other machines, and with characters that change
    the direction of a text written out. `encode` makes JSON of data."""

    def __init__(self, state: Path, table: Path, encode: Callable[[Any], str]) -> None:
        named = ((Path.home(), "~"), (table, "."), (state, ".matrix"))
        # `/` would be everywhere.
        names = {
            str(path): mark
            for folder, mark in named
            for path in (folder.absolute(), folder.resolve())
            if len(path.parts) > 1
        }
        super().__init__(names)
        here = "|".join(re.escape(json.dumps(name, ensure_ascii=False)[1:-1]) for name, *_ in self._folders)
        self._suspect_json = re.compile(f"{_SUSPECT_JSON}|{here}")
        self._encode = encode

    def encoded(self, value: Any) -> str:
        """Return `value` as JSON, cleaned; most needs no cleaning, and one search shows that."""
        try:
            text = self._encode(value)
        except ValueError:
            return self._encode(self.data(value))
        return text if self._suspect_json.search(text) is None else self._encode(self.data(value))

    def text(self, text: str) -> str:
        if _SUSPECT.search(text) is None:
            return text
        text = super().text(plain(text))
        text = _without_folders(text, _BELOW_STATE, ".matrix/envs/", ".matrix/")
        text = _without_folders(text, _BELOW_CONVERTER, "converter/", "converter/")
        text = _HOMES.sub("~", text)
        text = _BIDI.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        return _NO_TEXT.sub("\ufffd", text)

    def data(self, value: Any) -> Any:
        """Return JSON-ready data with every text in it cleaned, and numbers that JSON cannot express as texts."""
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return super().data(value)


def _without_folders(text: str, mark: re.Pattern[str], *names: str) -> str:
    """Return `text` without the part of absolute paths before a mark; of `names`, the one that ends like the mark
    replaces it."""
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
