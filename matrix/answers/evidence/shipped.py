"""Evidence that comes with the project, so that a fresh clone knows something: `evidence/` beside the table."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from matrix.answers.evidence.known import Evidence
from matrix.answers.evidence.packed import fits, pack
from matrix.core import files as durable

if TYPE_CHECKING:
    from matrix.answers.operators import Coverage
    from matrix.table.model import Config

_CELLS = "cells.json"
_COVERAGE = "coverage.json"

# Where an environment lay on the machine that measured is nobody's business; what follows says which file it was.
_PLACE = re.compile(r"/[^\s\"'\\]*/(?=site-packages/)")


def folder(table: Path) -> Path:
    """Where a table's evidence lies."""
    return table.parent / "evidence"


def write(place: Path, evidence: Evidence, config: Config) -> list[Path]:
    """Write what may leave the machine: findings of rows and models that the table declares. The same evidence gives
    the same bytes. Run numbers are left out: they count only in the store they are of."""
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
    paths = []
    for name, value in ((_CELLS, pack(entries, profiles)), (_COVERAGE, {"schema": 1, "rows": coverage})):
        paths.append(place / name)
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        durable.write_bytes(paths[-1], _PLACE.sub("", f"{text}\n").encode())
    return paths


def read_cells(place: Path) -> dict[str, Any] | None:
    """Packed evidence for `stored.read`; None where there is none of this schema."""
    value = _json(place / _CELLS)
    return value if value is not None and fits(value) else None


def read_coverage(place: Path, but: Collection[str] = ()) -> Mapping[str, Coverage]:
    """By converter row, but for some; {} where there is none."""
    value = _json(place / _COVERAGE)
    if value is None or not value.get("rows"):
        return {}
    from matrix.answers.operators import Coverage

    return {row: Coverage.from_json(found) for row, found in value["rows"].items() if row not in but}


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = from_json(path.read_bytes(), cache_strings="keys")
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
