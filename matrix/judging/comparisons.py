"""Files of arrays held against each other, each pair once: what was found is remembered in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

from matrix.judging.compare import Tolerances
from matrix.judging.judge import ARRAYS_MISSING, Leg
from matrix.judging.legs import compare_files
from matrix.judging.method import method
from matrix.store import Store


class Asked(NamedTuple):
    """Two blobs, the first being the reference, whether outputs go by position instead of name, and how far they may
    lie apart."""

    one: str
    two: str
    by_position: bool
    tolerances: Tolerances


class Comparisons:
    """What was compared here before counts as long as the method is the same. Where arrays are gone, or never were on
    this machine, what another one found with them is taken."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._legs: dict[Asked, Leg] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        # Of what another machine found: the method that it used.
        self._methods: dict[str, str | None] = {}
        self._sought: set[Asked] = set()
        self._fresh: dict[str, dict[str, Any]] = {}

    def read_ahead(self, asked: Iterable[Asked]) -> None:
        """Look up at once what is going to be asked for."""
        wanted = {item: _key(item) for item in asked if item not in self._sought}
        if not wanted:
            return
        self._sought.update(wanted)
        self._kept |= self._store.derived(wanted.values())
        missing = [item for item, key in wanted.items() if key not in self._kept]
        self._told |= self._store.comparisons(comparison_key(item) for item in missing)

    def leg(self, asked: Asked) -> Leg:
        found = self._legs.get(asked)
        if found is None:
            self.read_ahead([asked])
            found = self._legs[asked] = self._found(asked)
        return found

    def keep(self) -> None:
        """Store the comparisons made since the last time."""
        if self._fresh:
            self._store.keep_derived(self._fresh)
            self._fresh = {}

    def used(self) -> dict[str, dict[str, Any]]:
        """Every comparison that was asked for and could be made, by `comparison_key`, with the method that made it."""
        found = {comparison_key(asked): leg for asked, leg in self._legs.items() if leg.reason != ARRAYS_MISSING}
        return {key: {**leg_value(leg), "method": self._methods.get(key, method())} for key, leg in found.items()}

    def _found(self, asked: Asked) -> Leg:
        key = _key(asked)
        if key in self._kept:
            return leg_of(self._kept.pop(key))
        one, two = self._store.blobs.local(asked.one), self._store.blobs.local(asked.two)
        leg = compare_files(one, two, asked.by_position, asked.tolerances)
        if leg.reason != ARRAYS_MISSING:
            self._fresh[key] = leg_value(leg)
            return leg
        told = self._told.pop(name := comparison_key(asked), None)
        if told is None:
            return leg
        self._methods[name] = told.get("method")
        return leg_of(told)


def comparison_key(asked: Asked) -> str:
    """Names a comparison by what is compared, on whatever machine and by whatever method it is made."""
    return _hash(_stated(asked))


def leg_value(leg: Leg) -> dict[str, Any]:
    """A comparison as it is stored."""
    return {**asdict(leg), "hints": list(leg.hints)}


def leg_of(value: Mapping[str, Any]) -> Leg:
    about = {name: item for name, item in value.items() if name != "method"}
    return Leg(**{**about, "hints": tuple(value["hints"])})


def is_of_today(value: Mapping[str, Any]) -> bool:
    """Whether a comparison that was made elsewhere was made as it would be made here."""
    return bool(value.get("method") == method())


def _key(asked: Asked) -> str:
    return _hash(f'"{method()}", {_stated(asked)}')


def _stated(asked: Asked) -> str:
    by_position = "true" if asked.by_position else "false"
    return f'"{asked.one}", "{asked.two}", {by_position}, {_tolerances(asked.tolerances)}'


def _hash(stated: str) -> str:
    return hashlib.sha256(f"[{stated}]".encode()).hexdigest()


@cache
def _tolerances(tolerances: Tolerances) -> str:
    return json.dumps(asdict(tolerances), sort_keys=True)
