"""The data files of a site, each as JSON and as a script with the same content, for pages opened from a folder."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_SAFE = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,150}")
# Names of other pages and shards.
_TAKEN = frozenset({"index"})


def encode(value: Any) -> str:
    """Return compact JSON that is harmless in a script too. Raises ValueError for numbers that JSON cannot express."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def slug(name: str) -> str:
    """Return the name itself if it is fit for a file, otherwise a hash of it."""
    if _SAFE.fullmatch(name) and name not in _TAKEN:
        return name
    return f"x-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:16]}"


def fnv1a(text: str) -> int:
    """Hash the text in UTF-8 with 32-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv): cheap in any language."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


class Shards:
    """Writes shards below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[Path] = set()
        self.names: list[str] = []

    def write(self, name: str, value: Any) -> None:
        """Write a JSON-ready value."""
        self.write_encoded(name, encode(value))

    def write_encoded(self, name: str, text: str) -> None:
        """Write a value that `encode` has encoded."""
        place = self._folder / name
        if place.parent not in self._made:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(place.parent)
        data = text.encode()
        # Not with_suffix: a version has dots.
        place.with_name(f"{place.name}.json").write_bytes(data)
        place.with_name(f"{place.name}.js").write_bytes(b"".join((b"matrixShard(", _quoted(name), b",", data, b");\n")))
        self.names.append(name)


def _quoted(name: str) -> bytes:
    return json.dumps(name).encode()
