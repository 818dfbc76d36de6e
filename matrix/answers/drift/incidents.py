"""Incidents on the index that affect a row without notice: yanks, deleted files, missing wheels, downgrades.

A page of the index shows its present state, so the date of a yank or a deletion is not known.
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
"""(package, version) -> whether its files may come from elsewhere than the index."""

_PLATFORM = "Linux x86-64"


@dataclass(frozen=True)
class Incident:
    """Something about a locked package that a user should know. `version` is the locked one, without a solution the
    pinned one. `since` is the upload day (UTC) of the release that caused it, None if the index does not tell.
    Incidents of one kind with the same `together` can be reported as `NAMES: together`.
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
    """Return the incidents of one lock, the most serious kind first, then by package.

    `releases` are by normalised name; packages missing there are skipped, and so is whatever needs upload times that
    the index does not have. Without a solution only the pins are checked.
    """
    found = [*_yanked(lock, request, releases), *_gone(lock, request, releases, elsewhere)]
    found += _passed_over(lock, request, releases)
    found += _from_source(lock, releases, {incident.package for incident in found if incident.kind == "sdist-only"})
    # Resolved as of an earlier day than before, older versions are expected.
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
            end = "the row pins it, so it is still installed"
        else:
            end = "this lock still installs it, but a new resolution would not choose it"
        text = f"{package} {version} was yanked{_quoted(page.yanked_reason(Version(version)))}; {end}"
        yield Incident("yanked", package, version, text)


def _gone(lock: Lock, request: Request, releases: Mapping[str, Package], elsewhere: Elsewhere) -> Iterator[Incident]:
    for package, version in _chosen(lock, request).items():
        page = releases.get(package)
        # A local version (2.13.0+cpu) is never on an index; it comes from the user's own wheels.
        if page is None or Version(version).local or elsewhere(package, version):
            continue
        files = page.versions.get(Version(version), ())
        if not files:
            rest = "" if page.files else "; all its versions are gone"
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
        return f"a wheel for Python {python} remains"
    if any(file.kind == "sdist" for file in files):
        return f"only the source remains, no wheel for Python {python}"
    return f"nothing that Python {python} can install remains"


def _passed_over(lock: Lock, request: Request, releases: Mapping[str, Package]) -> Iterator[Incident]:
    """Yield requirements without an exact pin for which a newer release in range existed but was not chosen."""
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
                f"only the source: {version} was chosen"
            )
        else:
            kind = "downgrade"
            text = f"{asked}, got {version}; {newest} exists: {_why(newest, newer[newest], lock.python)}"
        fitting = [v for v, files in newer.items() if any(usable(file, lock.python) for file in files)]
        if fitting and max(fitting) != newest:
            text += f"; {max(fitting)}, which has a wheel for it, was not chosen either"
        yield Incident(kind, package, version, text, since)


def _why(version: Version, files: tuple[ReleasedFile, ...], python: str) -> str:
    if not any(file.allows(python) for file in files):
        wanted = ", ".join(sorted({file.requires_python or "" for file in files}))
        return f"it needs Python {wanted}, the row has {python}"
    if not any(usable(file, python) for file in files):
        return f"it has no wheel for Python {python} on {_PLATFORM}"
    return f"it has a wheel for Python {python}, so its dependencies conflict with the rest of the row"


def _from_source(lock: Lock, releases: Mapping[str, Package], known: set[str]) -> Iterator[Incident]:
    for package, version in lock.packages.items():
        page = releases.get(package)
        if page is None or package in known:
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
        # Not an incident if the row itself excludes the version.
        if any(not specifier.contains(before, prereleases=True) for specifier in asked):
            continue
        text = f"{change.package} was downgraded from {before} to {after}"
        page = releases.get(change.package)
        if page is not None and page.yanked(Version(before)):
            text += f": {before} was yanked{_quoted(page.yanked_reason(Version(before)))}"
        elif page is not None and Version(before) not in page.versions and not elsewhere(change.package, before):
            text += f": {before} is no longer on the index"
        yield Incident("downgrade", change.package, after, text)


def _chosen(lock: Lock, request: Request) -> Mapping[str, str]:
    """Return the packages of the lock; without a solution, the pins."""
    if lock.outcome == "resolved":
        return lock.packages
    return {canonicalize_name(package): version for package, version in request.pinned}


def _there(page: Package, as_of: dt.date) -> dict[Version, tuple[ReleasedFile, ...]]:
    """Return final releases that could be chosen as of a day, with their files that existed and are not yanked. Empty
    if the index has no upload times.
    """
    found = {}
    for version, files in page.versions.items():
        there = tuple(file for file in files if file.uploaded and _before(file, as_of) and not file.yanked)
        if there and not version.is_prerelease:
            found[version] = there
    return found


def _before(file: ReleasedFile, as_of: dt.date) -> bool:
    """Return whether a file could be chosen as of a day: like uv's --exclude-newer, that is before the day begins."""
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
