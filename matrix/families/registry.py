"""The known families: ours, and those that other packages provide by an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from packaging.utils import canonicalize_name

from matrix.core.errors import ConfigError
from matrix.families.family import Family, Source
from matrix.families.onnx_tf import OnnxTf

if TYPE_CHECKING:
    from matrix.packages.lock import Lock
    from matrix.table.model import Config, ConverterRow, OnnxRelease

GROUP = "torch_tf_matrix.families"

_OURS: dict[str, Family] = {one.name: one for one in (OnnxTf(),)}


def find_family(name: str) -> Family | None:
    """Return the family of this name, None where there is none. Raises ConfigError where an external one is faulty."""
    # Entry points are searched only for names that are not ours: that takes a while.
    found = _OURS.get(name) or _external().get(name)
    if isinstance(found, ConfigError):
        raise found
    return found


def family_named(name: str) -> Family:
    """Return the family of this name, `Absent` where no installed package provides it. Raises ConfigError where an
    external one is faulty."""
    return find_family(name) or Absent(name)


def family_of(row: ConverterRow) -> Family:
    """Return the family of a converter row. Raises ConfigError where an external one is faulty."""
    return family_named(row.family)


class FamilyRegistry(Mapping[str, Family]):
    """Every usable family by name, ours first."""

    def __getitem__(self, name: str) -> Family:
        found = find_family(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*_OURS, *_usable(_external()))))

    def __len__(self) -> int:
        return sum(1 for _ in self)


KNOWN = FamilyRegistry()


def in_order(names: Iterable[str]) -> tuple[Family, ...]:
    """Return these families once each, ours first; those that are not installed are omitted. Raises ConfigError where
    an external one is faulty."""
    wanted = dict.fromkeys(names)
    ours = [one for name, one in _OURS.items() if name in wanted]
    others = (find_family(name) for name in wanted if name not in _OURS)
    return (*ours, *(one for one in others if one is not None))


class Absent(Family):
    """A family that was measured once and that no installed package provides now: only its name is known."""

    source = "onnx"
    packages = ()
    runtime = ""
    code = ""
    loads = ()

    def __init__(self, name: str) -> None:
        self.name = self.title = self.runtime = name


@cache
def heavy_packages() -> dict[str, tuple[tuple[str, int], ...]]:
    """Return `Family.heavy` of all families by package; where several name one, the first counts."""
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for made in KNOWN.values():
        found = {**made.heavy, **found}
    return found


@cache
def row_packages() -> tuple[str, ...]:
    """Return the `distributions` of all families."""
    return distributions(KNOWN.values())


def distributions(families: Iterable[Family]) -> tuple[str, ...]:
    """Return the packages that name rows of these families, and the distributions that replace them, sorted."""
    found = {name for made in families for one in made.packages for name in (one, *made.replaces.get(one, ()))}
    return tuple(sorted(found))


def exclusive(families: Iterable[Family]) -> tuple[frozenset[str], ...]:
    """Return the groups of distributions of which an environment may hold only one: they install the same files, so
    which of them is measured would depend on the order of installation."""
    groups = {frozenset((package, *others)) for made in families for package, others in made.replaces.items()}
    return tuple(sorted(groups, key=sorted))


def read_by(config: Config, row: ConverterRow, locks: Mapping[str, Lock]) -> OnnxRelease | None:
    """Return the ONNX release that determines which files the converter of a row can read; None where none does."""
    # Not above: `--help` needs the registry, and should not read pydantic and YAML.
    from matrix.packages.versions import release_of

    reads = family_of(row).reads
    return release_of(config, row, reads, locks) if reads is not None else None


def newest_opset(config: Config, row: ConverterRow, locks: Mapping[str, Lock]) -> int:
    """Return the newest opset that the converter of a row reads; the newest of all where no release limits it."""
    known = read_by(config, row, locks)
    return known.opset if known is not None else max((release.opset for release in config.onnx), default=0)


def _usable(families: Mapping[str, Family | ConfigError]) -> dict[str, Family]:
    return {name: one for name, one in families.items() if not isinstance(one, ConfigError)}


@cache
def _external() -> dict[str, Family | ConfigError]:
    """Return each external family, or what is wrong with it: an error for commands that name it, and for no others."""
    # Not above: importing it takes time, which commands on our own families save.
    from importlib.metadata import entry_points

    found: dict[str, Family | ConfigError] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            made = entry.load()
            wrong = next(_faults(entry.name, made, _usable(found)), "")
        except Exception as error:
            wrong = f"cannot be loaded ({type(error).__name__}: {error})"
        about = f"the family {entry.name!r} of {entry.value}"
        found[entry.name] = made if not wrong else ConfigError(f"{about} {wrong}; fix or uninstall its package")
    return found


def _faults(name: str, made: Any, others: Mapping[str, Family]) -> Iterator[str]:
    """Yield what is wrong with an external family. One without faults can be relied on."""
    if Family not in type(made).__mro__:
        yield "is not an instance of a class that inherits from matrix.families.Family"
        return
    stated = ("name", "title", "source", "packages", "runtime", "code", "loads")
    if missing := [attribute for attribute in stated if not hasattr(made, attribute)]:
        yield f"does not state {', '.join(missing)}"
        return
    if made.name != name:
        yield f"is named {made.name!r}"
    if name in _OURS or name in others:
        yield "has the name of another family"
    if made.source not in get_args(Source):
        yield f"has the source {made.source!r}; it must be one of {', '.join(get_args(Source))}"
    if not made.packages:
        yield "names no packages"
    if wrong := [package for package in made.packages if package != canonicalize_name(package)]:
        yield f"must write {', '.join(wrong)} in normalized form ({', '.join(map(canonicalize_name, wrong))})"
    for attribute in ("watched", "newest", "optional"):
        if extra := [package for package in getattr(made, attribute) if package not in made.packages]:
            yield f"lists in {attribute} packages that are not its own: {', '.join(extra)}"
    if any(made.code == other.code for other in (*_OURS.values(), *others.values())):
        yield f"has its passes in converter/families/{made.code}, which belongs to another family"
    if not isinstance(made.folder, Path) or not (made.folder / "convert.py").is_file():
        yield f"has no convert.py in its folder {made.folder}"
        return
    for one in made.loads:
        if one.numbers not in one.leaves:
            yield f"has a pass {one.name} whose numbers, {one.numbers!r}, are not among the files that it leaves"
    modules = [one.module for one in made.loads]
    if len({*modules}) < len(modules):
        yield "loads two artifacts with the same module"
    capable = [made.further(kind).module for kind in ("trace", "coverage") if kind in made.capabilities]
    for module in (*modules, *capable):
        if module.startswith(f"{made.module}.") and not _has(made.folder, module.removeprefix(f"{made.module}.")):
            yield f"has no module {module} in its folder {made.folder}"


def _has(folder: Path, module: str) -> bool:
    place = folder.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
