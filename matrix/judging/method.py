"""The version of the judging code: what an older version concluded is computed again."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent

SIGNATURES = _HERE / "signatures.yml"


@cache
def method(*more: Path) -> str:
    """Hash the code of this package, and `more` files and folders that a judgement depends on."""
    total = hashlib.sha256()
    for place in (_HERE, *more):
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            total.update(path.read_bytes())
    return total.hexdigest()
