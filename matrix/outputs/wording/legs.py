"""The names of comparisons for people, by the id of the leg, for each family."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from matrix.families import Family
from matrix.families.scheme import MEMORY, OWN, Scheme
from matrix.judging.judge import ALTERED_LEG, REPEAT, SOURCE_REPEAT, Way, ways_of
from matrix.outputs.wording.words import artifact_title

# The sources of numbers: torch's or given outputs, or none; with and without ONNX Runtime.
_SOURCES = (("torch.npz",), ("given.npz",), ())
_REFERENCES = (("reference.npz",), ("reference.npz", "original.npz"), ())

_FILES = {
    "torch.npz": "torch",
    "given.npz": "outputs given",
    "reference.npz": "ONNX Runtime",
    OWN: "torch beside the converter",
}
_REPEATED = {REPEAT: "ONNX Runtime, run twice", SOURCE_REPEAT: "torch, run twice"}


def leg_words(family: Family) -> dict[str, str]:
    """Return every leg that a cell of this family may have, in the order of the conversion, with its name."""
    scheme = family.scheme
    found: dict[str, tuple[int, str]] = {}
    for way in _ways(scheme):
        found.setdefault(way.leg, (_rank(scheme, way), f"{_one(way.one)} ↔ {_two(scheme, way)}"))
        if way.leg == ALTERED_LEG:
            found[way.leg] = (_rank(scheme, way), "file as it was ↔ file changed")
    ranked = sorted(found, key=lambda leg: found[leg][0])
    return {leg: found[leg][1] for leg in ranked} | _REPEATED


def _ways(scheme: Scheme) -> Iterator[Way]:
    """Return the legs of every set of files that a job may leave."""
    numbers = [item.numbers for item in scheme.artifacts]
    own = (*((OWN,) if scheme.torch else ()), *((MEMORY,) if scheme.in_memory else ()))
    # An artifact may exist without the one before it.
    for made, sources, references in product((numbers, *([one] for one in numbers)), _SOURCES, _REFERENCES):
        yield from ways_of(scheme, (*sources, *references, *own, *made))


def _rank(scheme: Scheme, way: Way) -> int:
    """Return how far along the conversion a leg ends."""
    ends = ("reference.npz", OWN, MEMORY, *(item.numbers for item in scheme.artifacts))
    return ends.index(way.two)


def _one(file: str) -> str:
    """Name the reference of a leg."""
    return _FILES.get(file) or ("in memory" if file == MEMORY else "saved")


def _two(scheme: Scheme, way: Way) -> str:
    """Name what a leg compares with its reference."""
    if way.two == MEMORY:
        return scheme.title
    loaded = next((item for item in scheme.artifacts if item.numbers == way.two), None)
    if loaded is None:
        return _FILES[way.two]
    if loaded.makes:
        return artifact_title(loaded.makes)
    # Of several kinds, any may have been saved.
    return "saved and reloaded" if len(loaded.loads) != 1 else f"{artifact_title(loaded.loads[0])}, reloaded"
