"""Selectors of cells: a selector is a frozen value that is called with a subject.

There are two notations: a mapping in matrix.yml (`{torch: "==1.12.*", opset: ">=9"}`), and the text of `--only`
(`torch==1.12.*`, `converter=onnxtf1.10*`, or a bare glob over ids).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

# Keys matched as globs; every other key is a version, of a package or of Python, or an opset.
NAME_KEYS = ("model", "exporter", "via", "converter", "family", "cell")
VERSION_KEYS = ("python", "opset")

_TEXT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*?)\s*((?:===|==|!=|~=|<=|>=|<|>).+)$")
_NAMED = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*=\s*([^=].*)$")


@lru_cache(maxsize=4096)
def _specifier(text: str) -> SpecifierSet:
    return SpecifierSet(text)


@lru_cache(maxsize=65536)
def _contains(specifier: str, version: str) -> bool:
    try:
        return _specifier(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


@dataclass(frozen=True)
class Condition:
    """One key with alternatives; it holds if any alternative does."""

    key: str
    alternatives: tuple[str, ...]

    def __call__(self, subject: Mapping[str, str]) -> bool:
        if self.key == "*":
            return any(
                fnmatchcase(subject[name], pattern)
                for name in NAME_KEYS
                if name in subject and name != "family"
                for pattern in self.alternatives
            )
        value = subject.get(self.key)
        if value is None:
            return False
        if self.key in NAME_KEYS:
            return any(fnmatchcase(value, pattern) for pattern in self.alternatives)
        return any(_contains(specifier, value) for specifier in self.alternatives)


@dataclass(frozen=True)
class Selector:
    """All conditions must hold. An empty selector selects everything."""

    conditions: tuple[Condition, ...] = ()

    def __call__(self, subject: Mapping[str, str]) -> bool:
        return all(condition(subject) for condition in self.conditions)

    def restricted(self, keys: Iterable[str]) -> Selector:
        """Return the selector with only the conditions on `keys`."""
        wanted = set(keys)
        return Selector(tuple(c for c in self.conditions if c.key in wanted))


def from_mapping(mapping: Mapping[str, str | tuple[str, ...]]) -> Selector:
    """Compile the notation of matrix.yml. A bare version means exactly that version. Raises ValueError."""
    conditions = []
    for key, value in mapping.items():
        texts = (value,) if isinstance(value, str) else tuple(value)
        if not texts:
            raise ValueError(f"{key}: an empty list selects nothing")
        if key not in NAME_KEYS:
            texts = tuple(_as_specifier(key, text) for text in texts)
        conditions.append(Condition(key, texts))
    return Selector(tuple(conditions))


def from_text(text: str) -> Condition:
    """Compile one `--only` value. Raises ValueError with a hint."""
    if named := _NAMED.match(text):
        key, pattern = named.groups()
        if key in NAME_KEYS:
            return Condition(key, (pattern.strip(),))
        if key in VERSION_KEYS:
            return Condition(key, (_as_specifier(key, pattern.strip()),))
        raise ValueError(f"{text!r}: write {key}=={pattern} for a version; '=' is for {', '.join(NAME_KEYS)}")
    if versioned := _TEXT.match(text):
        name, specifier = versioned.groups()
        return Condition(canonicalize_name(name), (_as_specifier(name, specifier),))
    return Condition("*", (text.strip(),))


def _as_specifier(key: str, text: str) -> str:
    candidate = f"=={text}" if text[:1].isdigit() else text
    try:
        SpecifierSet(candidate)
    except InvalidSpecifier as error:
        raise ValueError(f"{key}: {text!r} is not a version or version range") from error
    return candidate
