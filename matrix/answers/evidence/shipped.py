"""Evidence that comes with the project, in `evidence/` beside the table, so that a fresh clone has some."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from matrix.answers.evidence.packed import fits, pack
from matrix.answers.evidence.records import Evidence
from matrix.answers.operators import Coverage
from matrix.core import files

if TYPE_CHECKING:
    from matrix.table.model import Config

_CELLS = "cells.json"
_COVERAGE = "coverage.json"

# The path of an environment on the machine that measured is private; the part that follows names the file.
_PLACE = re.compile(r"/[^\s\"'\\]*/(?=site-packages/)")


def folder(table: Path) -> Path:
    """Return the folder of a table's evidence."""
    return table.parent / "evidence"


def write(place: Path, evidence: Evidence, config: Config) -> list[Path]:
    """Write what may leave the machine: findings on rows and models that the table declares. The same evidence gives
    the same bytes. Run numbers are left out: they are valid only in their own store."""
    models = {model.id for model in config.models}
    rows = {row.id for row in config.converters}
    entries = [
        entry._replace(run=0)
        for entry in sorted(evidence.entries, key=lambda entry: entry.cell)
        if entry.model in models and entry.converter in rows and not entry.finding.indeterminate
    ]
    written = {entry.profile for entry in entries}
    profiles = {key: profile for key, profile in sorted(evidence.profiles.items()) if key in written}
    coverage = {row: found.to_json() for row, found in sorted(evidence.coverage.items()) if row in rows}
    place.mkdir(parents=True, exist_ok=True)
    contents = {place / _CELLS: pack(entries, profiles), place / _COVERAGE: {"schema": 1, "rows": coverage}}
    for path, value in contents.items():
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        files.write_bytes(path, _PLACE.sub("", f"{text}\n").encode())
    return list(contents)


def read_cells(place: Path) -> dict[str, Any] | None:
    """Return packed evidence for `stored.read`; None if there is none of this schema."""
    value = _json(place / _CELLS)
    return value if fits(value) else None


def read_coverage(place: Path, but: Collection[str] = ()) -> Mapping[str, Coverage]:
    """Return coverage by converter row, without the rows in `but`."""
    rows = _json(place / _COVERAGE).get("rows") or {}
    return {row: Coverage.from_json(found) for row, found in rows.items() if row not in but}


def _json(path: Path) -> dict[str, Any]:
    try:
        value = from_json(path.read_bytes(), cache_strings="keys")
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
