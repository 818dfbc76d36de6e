"""What may leave the machine: cells of models that the table declares, and texts that do not say where things lie."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from matrix.core.text import plain, redact
from matrix.store import Store
from matrix.table.ids import CellId

# Options that describe a model of the user's own.
_ABOUT = frozenset(
    ("--checkpoint", "--checkpoint-key", "--input", "--output", "--source", "--inputs", "--reference", "--seed")
) | {"--trust"}

# Shorter than this a folder is the root of a system or of a container, and its name is in every text.
_SHORTEST = 4

# Every text that `redact` or `plain` may change has one of these.
_MAYBE_PRIVATE = re.compile(rf"[@=\x00-\x08\x0b-\x1f\x7f-\x9f]|{re.escape(str(Path.home()))}")

_FOUND_IN = re.compile(r"\(found in run (\d+)\)")


@dataclass(frozen=True)
class Declared:
    """The models whose cells may leave; None: what is there has left other machines already."""

    models: frozenset[str] | None

    def model(self, model: str) -> bool:
        return self.models is None or model in self.models

    def cell(self, cell: str) -> bool:
        """Whether a cell, by its id, is one of theirs."""
        return self.model(CellId.parse(cell).model)


@dataclass(frozen=True)
class Cleaner:
    """Takes out of texts of this machine where its folders are. `runs` gives a run's name for its number."""

    state: Path
    table: Path
    runs: Mapping[int, str]

    @classmethod
    def of(cls, state: Path, table: Path, store: Store) -> Cleaner:
        """Return the cleaner for a state folder, a table file and the runs of a store."""
        return cls(state.absolute(), table.absolute().parent, {run.id: run.uid for run in store.runs()})

    @cached_property
    def _folders(self) -> list[tuple[str, re.Pattern[str], str]]:
        """Names, what finds them, and what they become."""
        found = []
        for folder, mark in ((self.state, "<state>"), (self.table, "<table>")):
            for name in dict.fromkeys((str(folder.absolute()), str(folder.resolve()), redact(str(folder.absolute())))):
                if len(name) >= _SHORTEST:
                    found.append((name, re.compile(rf"{re.escape(name)}(?![\w.-])"), mark))
        return found

    def text(self, text: str) -> str:
        for name, pattern, mark in self._folders:
            # There are millions of texts, and hardly any that names a folder.
            if name in text:
                text = pattern.sub(mark, text)
        if "(found in run " in text:
            text = _FOUND_IN.sub(lambda found: f"(found in run {self.runs.get(int(found[1]), found[1])})", text)
        return redact(plain(text)) if _MAYBE_PRIVATE.search(text) else text

    def value(self, value: Any) -> Any:
        """JSON with every text in it cleaned."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {key: self.value(item) for key, item in value.items()}
            case list():
                return [self.value(item) for item in value]
        return value


class AsItIs(Cleaner):
    """Of another machine, where it was cleaned: here its words mean other folders."""

    def __init__(self) -> None:
        super().__init__(Path(), Path(), {})

    def text(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


def command(text: str, declared: Declared, private: Collection[str]) -> str:
    """A command line without what it says about a model that stays here. `private` are the names of those known."""
    if declared.models is None:
        return text
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    named = {word.partition("=")[0] for word in words}
    models = [word.partition("=")[2] for word in words if word.startswith("--model=")]
    models += [after for word, after in pairwise(words) if word == "--model"]
    own = any(not _is_declared(model, declared) for model in models)
    spoken = any(re.search(rf"(?<![\w.+-]){re.escape(name)}(?![\w.+-])", text) for name in private)
    if not (own or spoken or named & _ABOUT):
        return text
    verb = words[3] if len(words) > 3 and words[:3] == ["python", "-m", "matrix"] else "run"
    return f"python -m matrix {verb} …"


def _is_declared(name: str, declared: Declared) -> bool:
    own = ":" in name or name.endswith(".onnx")
    return not own and any(fnmatchcase(one, name) for one in declared.models or ())
