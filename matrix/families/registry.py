"""Which families there are: ours, and those that other packages bring along by an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Protocol

from matrix.errors import ConfigError
from matrix.families.family import Family
from matrix.families.onnx_tf import OnnxTf


class _Row(Protocol):
    """What a converter row says of its family."""

    @property
    def family(self) -> str: ...


GROUP = "torch_tf_matrix.families"

_OURS: dict[str, Family] = {one.name: one for one in (OnnxTf(),)}


def find_family(name: str) -> Family | None:
    """Return the family of this name, None where there is none. Packages are only searched for what is not ours."""
    return _OURS.get(name) or _brought().get(name)


def family_named(name: str) -> Family:
    """Return the family of this name. Where no installed package brings it, that is what `Absent` stands for."""
    return find_family(name) or Absent(name)


def family_of(row: _Row) -> Family:
    """Return the family of a converter row."""
    return family_named(row.family)


class Known(Mapping[str, Family]):
    """Every family by name, ours first. Other packages are only looked through for what is not ours."""

    def __getitem__(self, name: str) -> Family:
        found = find_family(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter({**_OURS, **_brought()})

    def __len__(self) -> int:
        return len({**_OURS, **_brought()})


KNOWN = Known()


def in_order(names: Iterable[str]) -> tuple[Family, ...]:
    """Return these families once each, ours first; those that are not installed are left out."""
    wanted = dict.fromkeys(names)
    ours = [one for name, one in _OURS.items() if name in wanted]
    others = (find_family(name) for name in wanted if name not in _OURS)
    return (*ours, *(one for one in others if one is not None))


class Absent(Family):
    """A family that was measured, and that no package brings any more: nothing is known of it but its name."""

    source = "onnx"
    packages = ()
    runtime = ""
    code = ""
    loads = ()

    def __init__(self, name: str) -> None:
        self.name = self.title = self.runtime = name


@cache
def _brought() -> dict[str, Family]:
    # Only who is asked for a family that is not ours pays for the search.
    from importlib.metadata import entry_points

    found: dict[str, Family] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            made = entry.load()
        except Exception as error:
            raise ConfigError(
                f"the family {entry.name!r} of {entry.value} cannot be loaded ({type(error).__name__}: {error}); "
                "mend or remove the package that brings it"
            ) from error
        if made.name != entry.name:
            raise ConfigError(f"the entry point {entry.name!r} of {entry.value} brings a family named {made.name!r}")
        if made.name not in _OURS:
            found[made.name] = made
    return found
