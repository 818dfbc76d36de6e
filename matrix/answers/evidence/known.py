"""The shapes of evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from matrix.answers.operators.coverage import Use
from matrix.judging.finding import Finding

if TYPE_CHECKING:
    from matrix.answers.operators import Coverage

ProfileKey = tuple[str, str, int]
"""(model, exporter id, opset asked)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What was written of a model: `opset` is what was asked for, the other two are what the file says of itself."""

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
    """The newest judgement of a cell. A tuple, because a hundred thousand of them have to be made in no time.

    `remedies` are the changes (kind, words) with which a cell that fails as it is was seen to match; () for none needed
    or none known. `margin` is how many times tighter the tolerance could be, above 1 for a match and at most 1e9; of a
    cell with remedies, with them. `inference_seconds` is one inference of the saved artifact, `converter_mb` and
    `exporter_mb` what the two environments take on disk. The locks are the `lock_identity` of what was installed, ''
    where nothing was.
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
        """The key of what was written for it."""
        return self.model, self.exporter, self.opset


@dataclass(frozen=True)
class Evidence:
    """`entries` hold every cell once. `coverage` is by converter row."""

    entries: tuple[Entry, ...] = ()
    profiles: Mapping[ProfileKey, Profile] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)

    def without_anything_of(self, model: str) -> Evidence:
        """As if this model had never been seen."""
        profiles = {key: profile for key, profile in self.profiles.items() if key[0] != model}
        return replace(self.without(model), profiles=profiles)

    def without(self, model: str) -> Evidence:
        """As if this model had been read but never converted: its profiles stay, its cells are gone."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.model != model))
