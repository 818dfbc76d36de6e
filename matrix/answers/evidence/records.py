"""The types of evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from matrix.answers.operators import Coverage, Use
from matrix.judging.finding import Finding

ProfileKey = tuple[str, str, int]
"""(model, exporter id, requested opset)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The content of an exported file: `opset` was requested, `opset_written` and `ir_version` are the file's."""

    model: str
    exporter: str
    opset: int
    opset_written: int | None
    ir_version: int | None
    uses: tuple[Use, ...]

    @property
    def key(self) -> ProfileKey:
        return self.model, self.exporter, self.opset


class Entry(NamedTuple):
    """The newest judgement of a cell. NamedTuple rather than dataclass: ~100k are created, and construction dominates.

    `remedies` are the changes (kind, words) with which a failing cell matched, () if none are needed or known. `margin`
    is the factor by which the tolerance could be tightened: above 1 for a match, at most 1e9; it is measured with the
    remedies, if any. `inference_seconds` is one inference of the saved artifact, `converter_mb` and `exporter_mb` are
    the disk space of the two environments. The locks are the `lock_identity` of the installed packages, '' if nothing
    was installed.
    """

    cell: str
    model: str
    exporter: str
    opset: int
    converter: str
    finding: Finding
    remedies: tuple[tuple[str, str], ...]
    margin: float | None
    inference_seconds: float | None
    converter_mb: float | None
    exporter_mb: float | None
    exporter_lock: str
    converter_lock: str
    date: dt.date
    run: int

    @property
    def profile(self) -> ProfileKey:
        """The key of the profile of its file."""
        return self.model, self.exporter, self.opset


@dataclass(frozen=True)
class Evidence:
    """`entries` hold every cell once. `coverage` is by converter row."""

    entries: tuple[Entry, ...] = ()
    profiles: Mapping[ProfileKey, Profile] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)

    def without_anything_of(self, model: str) -> Evidence:
        """Drop the model's entries and profiles."""
        profiles = {key: profile for key, profile in self.profiles.items() if key[0] != model}
        return replace(self.without(model), profiles=profiles)

    def without(self, model: str) -> Evidence:
        """Drop the model's entries and keep its profiles, as if it had been exported but never converted."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.model != model))
