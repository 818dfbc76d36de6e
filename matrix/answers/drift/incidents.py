"""What the index did to a row, or kept from it, without a word: yanks, deleted files, source only, silent downgrades.

A page of the index shows its present state. That a version was yanked or deleted can be seen, but not since when.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from matrix.answers.drift.changes import hashes, lock_changes
from matrix.environments.locks.request import Request
from matrix.packages.index import Package, ReleasedFile, usable
from matrix.packages.lock import Lock

Kind = Literal["yanked", "file-gone", "sdist-only", "downgrade"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Elsewhere = Callable[[str, str], bool]
"""(package, version) -> whether its files may come from another place than the index."""

_PLATFORM = "Linux x86-64"


@dataclass(frozen=True)
class Incident:
    """Something about a locked package that a user would want to be told. `version` is the locked one, where no
    solution exists the pinned one. `since` is the upload day (UTC) of the release that makes the difference, None
    where the index does not tell. Several of one kind with the same `together` can be told at once, as `NAMES:
    together`.
    """

    kind: Kind
    package: str
    version: str
    text: str
    since: dt.date | None = None
    together: str = ""


def incidents(
    lock: Lock,
    request: Request,
    releases: Mapping[str, Package],
    previous: Lock | None = None,
    elsewhere: Elsewhere = lambda package, version: False,
) -> tuple[Incident, ...]:
    """Those of one lock, the gravest kind first, then by package.

    `releases` are by normalised name; of a package that is missing there nothing is said, and of an index without
    upload times nothing that needs them. Of a row without a solution only its pins are looked at.
    """
    found = [*_yanked(lock, request, releases), *_gone(lock, request, releases, elsewhere)]
    found += _passed_over(lock, request, releases)
    found += _from_source(lock, releases, {incident.package for incident in found if incident.kind == "sdist-only"})
    # As of an earlier day than before, older versions are what was asked for.
    if previous is not None and previous.as_of <= lock.as_of:
        found += _lowered(lock, request, previous, releases, elsewhere)
    return tuple(sorted(found, key=lambda incident: (KINDS.index(incident.kind), incident.package)))


def _yanked(lock: Lock, request: Request, releases: Mapping[str, Package]) -> Iterator[Incident]:
    pinned = {package for package, _ in request.pinned}
    exact = {canonicalize_name(package) for package in pinned}
    exact |= {canonicalize_name(substitute) for original, substitute in request.replace if original in pinned}
    for package, version in _chosen(lock, request).items():
        page = releases.get(package)
        if page is None or not page.yanked(Version(version)):
            continue
        if lock.outcome != "resolved":
            end = "the row pins it, and no solution exists"
        elif package in exact:
            end = "the row pins it, so it is installed all the same"
        else:
            end = "this lock still installs it, a new resolution will not choose it"
        text = f"{package} {version} was yanked{_quoted(page.yanked_reason(Version(version)))}; {end}"
        yield Incident("yanked", package, version, text)


def _gone(lock: Lock, request: Request, releases: Mapping[str, Package], elsewhere: Elsewhere) -> Iterator[Incident]:
    for package, version in _chosen(lock, request).items():
        page = releases.get(package)
        # A local version (2.13.0+cpu) is never on an index: the user's own wheels have it.
        if page is None or Version(version).local or elsewhere(package, version):
            continue
        files = page.versions.get(Version(version), ())
        if not files:
            rest = "" if page.files else ", nor is any other version"
            yield Incident("file-gone", package, version, f"{package} {version} is no longer on the index{rest}")
            continue
        locked = hashes(lock, package)
        if any(file.sha256 is None for file in files):
            continue
        if lost := locked - page.hashes:
            kept = [file for file in files if file.sha256 in locked]
            text = f"{len(lost)} of the {len(locked)} files of {package} {version} "
            text += f"{'is' if len(lost) == 1 else 'are'} no longer on the index; {_left(kept, lock.python)}"
            yield Incident("file-gone", package, version, text)


def _left(files: list[ReleasedFile], python: str) -> str:
    if any(usable(file, python) for file in files):
        return f"a wheel for Python {python} is left"
    if any(file.kind == "sdist" for file in files):
        return f"no wheel for Python {python} is left, only the source"
    return f"nothing that Python {python} can install is left"


def _passed_over(lock: Lock, request: Request, releases: Mapping[str, Package]) -> Iterator[Incident]:
    """Of what the row asks for without an exact pin: a newer release within its range was there, but not taken."""
    constraints = {canonicalize_name(r.name): r.specifier for r in map(Requirement, request.constraints)}
    for requirement in map(Requirement, request.requirements):
        package = canonicalize_name(requirement.name)
        page, version = releases.get(package), lock.packages.get(package)
        if page is None or version is None or _is_exact(requirement.specifier):
            continue
        wanted = requirement.specifier & constraints.get(package, SpecifierSet())
        newer = {v: files for v, files in _there(page, lock.as_of).items() if v > Version(version) and v in wanted}
        if not newer:
            continue
        newest = max(newer)
        since = _first(newer[newest])
        asked = f"asked for {package}{wanted}" if wanted else f"asked for any {package}"
        if _source_only(newer[newest], lock.python):
            kind: Kind = "sdist-only"
            text = (
                f"{asked}, the newest is {newest}, which has no wheel for Python {lock.python} on {_PLATFORM}, "
                f"only the source: {version} was taken"
            )
        else:
            kind = "downgrade"
            text = f"{asked}, got {version}; {newest} is there: {_why(newest, newer[newest], lock.python)}"
        fitting = [v for v, files in newer.items() if any(usable(file, lock.python) for file in files)]
        if fitting and max(fitting) != newest:
            text += f"; {max(fitting)}, which has a wheel for it, was not taken either"
        yield Incident(kind, package, version, text, since)


def _why(version: Version, files: tuple[ReleasedFile, ...], python: str) -> str:
    if not any(file.allows(python) for file in files):
        wanted = ", ".join(sorted({file.requires_python or "" for file in files}))
        return f"it needs Python {wanted}, the row has {python}"
    if not any(usable(file, python) for file in files):
        return f"it has no wheel for Python {python} on {_PLATFORM}"
    return f"it has a wheel for Python {python}, so what it depends on does not go with the rest of the row"


def _from_source(lock: Lock, releases: Mapping[str, Package], told: set[str]) -> Iterator[Incident]:
    for package, version in lock.packages.items():
        page = releases.get(package)
        if page is None or package in told:
            continue
        files = [file for file in page.versions.get(Version(version), ()) if _before(file, lock.as_of)]
        if _source_only(files, lock.python):
            lacks = f"no wheel for Python {lock.python} on {_PLATFORM}"
            text = f"{package} {version} has {lacks}: it is built from source"
            yield Incident("sdist-only", package, version, text, _first(files), f"{lacks}, built from source")


def _lowered(
    lock: Lock, request: Request, previous: Lock, releases: Mapping[str, Package], elsewhere: Elsewhere
) -> Iterator[Incident]:
    stated = [Requirement(text) for text in (*request.requirements, *request.constraints)]
    for change in lock_changes(previous, lock).lowered:
        before, after = change.before or "", change.after or ""
        asked = (one.specifier for one in stated if canonicalize_name(one.name) == change.package)
        # What the row itself rules out did not happen behind its back.
        if any(not specifier.contains(before, prereleases=True) for specifier in asked):
            continue
        text = f"{change.package} went down from {before} to {after}"
        page = releases.get(change.package)
        if page is not None and page.yanked(Version(before)):
            text += f": {before} was yanked{_quoted(page.yanked_reason(Version(before)))}"
        elif page is not None and Version(before) not in page.versions and not elsewhere(change.package, before):
            text += f": {before} is no longer on the index"
        yield Incident("downgrade", change.package, after, text)


def _chosen(lock: Lock, request: Request) -> Mapping[str, str]:
    """What the lock holds; of a row without a solution what it pins."""
    if lock.outcome == "resolved":
        return lock.packages
    return {canonicalize_name(package): version for package, version in request.pinned}


def _there(page: Package, as_of: dt.date) -> dict[Version, tuple[ReleasedFile, ...]]:
    """Final releases that could be chosen as of a day, with those of their files that were there and are not yanked.
    Nothing where the index gives no upload times."""
    found = {}
    for version, files in page.versions.items():
        there = tuple(file for file in files if file.uploaded and _before(file, as_of) and not file.yanked)
        if there and not version.is_prerelease:
            found[version] = there
    return found


def _before(file: ReleasedFile, as_of: dt.date) -> bool:
    """As uv's --exclude-newer has it: as of a day means before it begins."""
    return file.uploaded is None or file.uploaded.date() < as_of


def _source_only(files: tuple[ReleasedFile, ...] | list[ReleasedFile], python: str) -> bool:
    return any(file.kind == "sdist" and file.allows(python) for file in files) and not any(
        usable(file, python) for file in files
    )


def _first(files: tuple[ReleasedFile, ...] | list[ReleasedFile]) -> dt.date | None:
    return min((file.uploaded.date() for file in files if file.uploaded), default=None)


def _is_exact(specifiers: SpecifierSet) -> bool:
    return any(one.operator in ("==", "===") and not one.version.endswith("*") for one in specifiers)


def _quoted(reason: str) -> str:
    return f" ({' '.join(reason.split())})" if reason else ""
