"""The conclusions of `blame`, with their pictures."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from matrix.outputs.dashboard.schema import BlameShape
from matrix.outputs.privacy import SiteCleaner
from matrix.store import Store
from matrix.store.blames import BlameRecord

_CHUNK = 500
_SVG = "{http://www.w3.org/2000/svg}"
_DRAWN = frozenset({"svg", "title", "desc", "style", "g", "rect", "line", "path", "circle", "text", "tspan"})
# A picture may come from another machine, and can be opened as a page. CSS can spell any of these with backslashes.
_ADDRESSES = ("http:", "https:", "//", "url(", "image-set(", "@import", "javascript:", "data:", "\\")


@dataclass(frozen=True)
class SiteBlame:
    """A search as the site has it, with when it was made."""

    created: dt.datetime
    data: BlameShape


def gather(store: Store, cells: Iterable[str], pictures: Path, cleaner: SiteCleaner) -> dict[str, SiteBlame]:
    """Return the newest search for each of these cells, and write its picture."""
    wanted = list(cells)
    found: dict[str, SiteBlame] = {}
    for start in range(0, len(wanted), _CHUNK):
        for cell, record in store.blames.newest(wanted[start : start + _CHUNK]).items():
            found[cell] = _blame(record, pictures, cleaner)
    return found


def _blame(record: BlameRecord, pictures: Path, cleaner: SiteCleaner) -> SiteBlame:
    story = record.story
    created = record.created.replace(tzinfo=record.created.tzinfo or dt.UTC)
    transition = story.get("transition") or {}
    data: BlameShape = {
        "answer": str(story.get("answer", "")),
        "created": created.isoformat(),
        "picture": _picture(cleaner.text(record.picture), pictures),
        "culprits": [
            {key: culprit.get(key) for key in ("package", "version", "instead_of", "uploaded")}
            for culprit in transition.get("culprits") or ()
        ],
        "cure": _cure(story.get("cure")),
    }
    return SiteBlame(created, cleaner.data(data))


def _cure(cure: Any) -> str | None:
    """Return the ranges of a fix: `protobuf<4, numpy<2`."""
    ranges = cure.get("ranges") if isinstance(cure, dict) else None
    return ", ".join(f"{package}{wanted}" for package, wanted in ranges.items()) if ranges else None


def _picture(text: str, pictures: Path) -> str | None:
    if not harmless(text):
        return None
    data = text.encode()
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.svg"
    pictures.mkdir(parents=True, exist_ok=True)
    (pictures / name).write_bytes(data)
    return f"pictures/{name}"


def harmless(svg: str) -> bool:
    """Whether it only draws: no script, no other address, nothing that could mislead a parser."""
    if not svg.strip() or "<!" in svg.replace("<!--", "") or "<?" in svg:
        return False
    try:
        tree = ElementTree.fromstring(svg)
    except ElementTree.ParseError:
        return False
    for element in tree.iter():
        # A comment's tag is a function.
        if not isinstance(element.tag, str) or element.tag.removeprefix(_SVG) not in _DRAWN:
            return False
        for name, value in element.attrib.items():
            if name.lower().startswith("on") or "href" in name or any(mark in value.lower() for mark in _ADDRESSES):
                return False
        if element.tag == f"{_SVG}style" and any(mark in (element.text or "").lower() for mark in _ADDRESSES):
            return False
    return True
