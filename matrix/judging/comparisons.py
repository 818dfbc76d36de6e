"""Comparisons of stored files of arrays, each made once and kept in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

from matrix.judging.compare import Tolerances, compare_files
from matrix.judging.judge import ARRAYS_MISSING, Leg
from matrix.judging.method import method
from matrix.store import Store


class Asked(NamedTuple):
    """A comparison to make: two blobs, the first being the reference, whether outputs go by position instead of name,
    the tolerances, and whether only the cases that the second has are compared."""

    one: str
    two: str
    by_position: bool
    tolerances: Tolerances
    shared: bool = False


class Comparisons:
    """Makes comparisons. Stored ones are reused while the method of judging stays the same. Where arrays are missing on
    this machine, the comparison that another machine made of them is used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._legs: dict[Asked, Leg] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self._elsewhere: dict[str, dict[str, Any]] = {}
        # The methods of comparisons made elsewhere that were used.
        self._methods: dict[str, str | None] = {}
        self._sought: set[Asked] = set()
        self._fresh: dict[str, dict[str, Any]] = {}

    def read_ahead(self, asked: Iterable[Asked]) -> None:
        """Read stored comparisons that are going to be asked for, all at once."""
        wanted = {item: _key(item) for item in asked if item not in self._sought}
        if not wanted:
            return
        self._sought.update(wanted)
        self._kept |= self._store.derived(wanted.values())
        missing = [item for item, key in wanted.items() if key not in self._kept]
        self._elsewhere |= self._store.comparisons(comparison_key(item) for item in missing)

    def leg(self, asked: Asked) -> Leg:
        """Return a comparison. Where the arrays are missing, its reason says so."""
        found = self._legs.get(asked)
        if found is None:
            self.read_ahead([asked])
            found = self._legs[asked] = self._found(asked)
        return found

    def keep(self) -> None:
        """Store the comparisons made since the last call."""
        if self._fresh:
            self._store.keep_derived(self._fresh)
            self._fresh = {}

    def used(self) -> dict[str, dict[str, Any]]:
        """Return all comparisons that were asked for and could be made, by `comparison_key`, with their method."""
        found = {comparison_key(asked): leg for asked, leg in self._legs.items() if leg.reason != ARRAYS_MISSING}
        return {key: {**leg_value(leg), "method": self._methods.get(key, method())} for key, leg in found.items()}

    def _found(self, asked: Asked) -> Leg:
        key = _key(asked)
        if key in self._kept:
            return leg_of(self._kept.pop(key))
        one, two = self._store.blobs.local(asked.one), self._store.blobs.local(asked.two)
        leg = compare_files(one, two, asked.by_position, asked.tolerances, asked.shared)
        if leg.reason != ARRAYS_MISSING:
            self._fresh[key] = leg_value(leg)
            return leg
        found = self._elsewhere.pop(name := comparison_key(asked), None)
        if found is None:
            return leg
        self._methods[name] = found.get("method")
        return leg_of(found)


def comparison_key(asked: Asked) -> str:
    """Return the key of a comparison: the same on every machine and for every method."""
    return _hash(_stated(asked))


def leg_value(leg: Leg) -> dict[str, Any]:
    """Return a comparison as it is stored."""
    return {**asdict(leg), "hints": list(leg.hints)}


def leg_of(value: Mapping[str, Any]) -> Leg:
    """Read a stored comparison."""
    about = {name: item for name, item in value.items() if name != "method"}
    return Leg(**{**about, "hints": tuple(value["hints"])})


def is_of_today(value: Mapping[str, Any]) -> bool:
    """Tell whether a comparison made elsewhere was made by the method used here."""
    return bool(value.get("method") == method())


def _key(asked: Asked) -> str:
    return _hash(f'"{method()}", {_stated(asked)}')


def _stated(asked: Asked) -> str:
    by_position = "true" if asked.by_position else "false"
    shared = ', "shared"' if asked.shared else ""
    return f'"{asked.one}", "{asked.two}", {by_position}, {_tolerances(asked.tolerances)}{shared}'


def _hash(stated: str) -> str:
    return hashlib.sha256(f"[{stated}]".encode()).hexdigest()


@cache
def _tolerances(tolerances: Tolerances) -> str:
    return json.dumps(asdict(tolerances), sort_keys=True)
