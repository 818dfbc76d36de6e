"""The one way in which a fact is written."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

from matrix.store.runs import utc


def line(value: Any) -> bytes:
    """JSON in one line, without its end."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def page(value: Any) -> bytes:
    """JSON of a file of its own, in lines that can be compared."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def moment(when: dt.datetime) -> str:
    """Of one length, so that texts sort as times do."""
    return utc(when).isoformat(timespec="microseconds")


def content(data: bytes) -> str:
    """The name of an observation on every machine: the hash of its line."""
    return hashlib.sha256(data).hexdigest()
