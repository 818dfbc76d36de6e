"""Which families there are: ours, and those that other packages bring along by an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, get_args

from packaging.utils import canonicalize_name

from matrix.core.errors import ConfigError
from matrix.families.family import Family, Source
from matrix.families.onnx_tf import OnnxTf


class _Row(Protocol):
    """What a converter row says of its family."""

    @property
    def family(self) -> str: ...


GROUP = "torch_tf_matrix.families"

_OURS: dict[str, Family] = {one.name: one for one in (OnnxTf(),)}


def find_family(name: str) -> Family | None:
    """Return the family of this name, None where there is none. Packages are only searched for what is not ours.
    Raises ConfigError where the one of this name cannot be used."""
    found = _OURS.get(name) or _brought().get(name)
    if isinstance(found, ConfigError):
        raise found
    return found


def family_named(name: str) -> Family:
    """Return the family of this name. Where no installed package brings it, that is what `Absent` stands for."""
    return find_family(name) or Absent(name)


def family_of(row: _Row) -> Family:
    """Return the family of a converter row."""
    return family_named(row.family)


class FamilyRegistry(Mapping[str, Family]):
    """Every family by name that can be used, ours first. Packages are only searched for what is not ours."""

    def __getitem__(self, name: str) -> Family:
        found = find_family(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        brought = (name for name, one in _brought().items() if not isinstance(one, ConfigError))
        return iter(dict.fromkeys((*_OURS, *brought)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


KNOWN = FamilyRegistry()


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
def _brought() -> dict[str, Family | ConfigError]:
    """Each family from outside, or what is wrong with it: that is said to whoever names it, and stops nobody else."""
    # Only who is asked for a family that is not ours pays for the search.
    from importlib.metadata import entry_points

    found: dict[str, Family | ConfigError] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        whole = {name: one for name, one in found.items() if not isinstance(one, ConfigError)}
        try:
            made = entry.load()
            wrong = next(_faults(entry.name, made, whole), "")
        except Exception as error:
            wrong = f"cannot be loaded ({type(error).__name__}: {error})"
        found[entry.name] = (
            made
            if not wrong
            else ConfigError(
                f"the family {entry.name!r} of {entry.value} {wrong}; mend or remove the package that brings it"
            )
        )
    return found


def _faults(name: str, made: Any, others: Mapping[str, Family]) -> Iterator[str]:
    """What is wrong with a family from outside. Whatever passes here can be relied on."""
    if Family not in type(made).__mro__:
        yield "is no object of a class that inherits from matrix.families.Family"
        return
    stated = ("name", "title", "source", "packages", "runtime", "code", "loads")
    if missing := [attribute for attribute in stated if not hasattr(made, attribute)]:
        yield f"does not state {', '.join(missing)}"
        return
    if made.name != name:
        yield f"is named {made.name!r}"
    if name in _OURS or name in others:
        yield "has a name that is taken"
    if made.source not in get_args(Source):
        yield f"takes {made.source!r}, which is none of {', '.join(get_args(Source))}"
    if not made.packages:
        yield "names no packages"
    if wrong := [package for package in made.packages if package != canonicalize_name(package)]:
        yield f"writes {', '.join(wrong)} not as an index does ({', '.join(map(canonicalize_name, wrong))})"
    for attribute in ("watched", "newest", "optional"):
        if extra := [package for package in getattr(made, attribute) if package not in made.packages]:
            yield f"has in {attribute} what is not among its packages: {', '.join(extra)}"
    if any(made.code == other.code for other in (*_OURS.values(), *others.values())):
        yield f"has its passes in converter/families/{made.code}, which is another's"
    if not isinstance(made.folder, Path) or not (made.folder / "convert.py").is_file():
        yield f"has no convert.py in its folder, {made.folder}"
        return
    for one in made.loads:
        if one.numbers not in one.leaves:
            yield f"has a pass {one.name} whose numbers, {one.numbers!r}, are not among the files it leaves"
    modules = [one.module for one in made.loads]
    if len({*modules}) < len(modules):
        yield "loads two artifacts by the same module"
    capable = [made.further(kind).module for kind in ("trace", "coverage") if kind in made.capabilities]
    for module in (*modules, *capable):
        if module.startswith(f"{made.module}.") and not _has(made.folder, module.removeprefix(f"{made.module}.")):
            yield f"has no module {module} in its folder, {made.folder}"


def _has(folder: Path, module: str) -> bool:
    place = folder.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
