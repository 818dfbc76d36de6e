"""Resolve a Request into a Lock with uv."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from matrix.core.errors import ConfigError, Indeterminate
from matrix.environments.locks.request import ImpossiblePin, Request
from matrix.judging.known_failures import match
from matrix.judging.signature_file import ErrorText
from matrix.packages import interpreters, uv
from matrix.packages.index import IndexSettings, PackageUnknown, UploadDates
from matrix.packages.lock import Lock

PLATFORM = "x86_64-manylinux_2_28"
_EXPLANATION_LINES = 60

# uv builds a pinned source package for its metadata before it considers the other pins, so a build that fails on a
# Python that is too new means the same as no solution: the next Python is tried.
_REFUSAL = re.compile(r"No solution found|Failed to (download and )?build")


def resolve(
    request: Request,
    settings: IndexSettings,
    dates: UploadDates,
    tell: Callable[[str], None] = lambda _: None,
    fresh: int | None = None,
) -> Lock:
    """Resolve for the row's Python, or the newest for which a solution exists.

    Index pages younger than `fresh` seconds are reused; None: as the index's cache headers say. No solution is a
    result (`outcome: unsatisfiable`). Raises Indeterminate where the index cannot be reached or uv fails, ConfigError
    where a pin is not on the index (ImpossiblePin) or has no upload date.
    """
    newest: dt.date | None = None
    as_of = request.as_of
    _refuse_unknown_pins(request, dates)
    if as_of is None:
        newest = _newest_pin(request, dates)
        # With a date in the future, the lock could change until then.
        as_of = min(newest + dt.timedelta(days=request.margin_days), dt.datetime.now(dt.UTC).date())
    if not request.find_links:
        settings = settings.without_find_links()
    candidates = (request.python,) if request.python else request.pythons
    refusals: list[tuple[str, str]] = []
    unsure: str | None = None
    for python in candidates:
        assert python is not None
        for replace in _replacements(request, dates):
            tell(f"{request.name}: resolving for Python {python} as of {as_of}")
            outcome = _compile(request, python, as_of, replace, settings, fresh)
            if outcome.ok:
                return _lock(request, python, as_of, newest, outcome.out, "")
            known = match(request.role, "lock", ErrorText(message=outcome.text))
            if known is not None and known.verdict == "infra":
                raise Indeterminate(f"{request.name}: {known.title}; nothing was recorded, try again later")
            if not _REFUSAL.search(outcome.text):
                raise Indeterminate(f"{request.name}: uv failed, which is not a finding about the row: {outcome.text}")
        refusals.append((python, outcome.text))
        if "No solution found" not in outcome.text and interpreters.find(python) is None:
            unsure = python
    if unsure is not None:
        # Source packages are built for their metadata; where another Python than theirs fails, that proves nothing.
        raise Indeterminate(
            f"{request.name}: resolving for Python {unsure} needs that Python, to build source packages; "
            f"get it with: {interpreters.how_to_get(unsure)}"
        )
    return _lock(request, candidates[0] or "", as_of, newest, "", _explain(refusals))


def _refuse_unknown_pins(request: Request, dates: UploadDates) -> None:
    """Raise ImpossiblePin for a version that was never released: a typo, not a finding about a toolchain. Raises
    Indeterminate where the index gives no dates."""
    for package, version in request.pinned:
        if Version(version) not in dates.needed(package):
            raise ImpossiblePin(request.name, package, version)


def _newest_pin(request: Request, dates: UploadDates) -> dt.date:
    newest = dt.date.min
    for package, version in request.pinned:
        known = dates.of(package)
        uploaded = known.get(Version(version))
        if uploaded is None:
            raise ConfigError(
                f"{request.name}: the index gives no upload date for {package} {version}; set as_of in the row"
            )
        newest = max(newest, uploaded)
    return newest


def _replacements(request: Request, dates: UploadDates) -> list[dict[str, str]]:
    """Return the overrides to try, best first: the substitute where the index has that version, then the package
    itself."""
    wanted = {}
    for original, substitute in request.replace:
        try:
            if Version(dict(request.pinned)[original]) in dates.of(substitute):
                wanted[original] = substitute
        except PackageUnknown:
            continue
    return [wanted, {}] if wanted else [{}]


def _compile(
    request: Request, python: str, as_of: dt.date, replace: dict[str, str], settings: IndexSettings, fresh: int | None
) -> uv.UvResult:
    requirements = [_replaced(text, replace) for text in request.requirements]
    with tempfile.TemporaryDirectory() as folder:
        overrides, constraints = Path(folder) / "overrides.txt", Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{_replaced(text, replace)}\n" for text in request.constraints))
        # A marker that is never true removes a package from the dependencies of others.
        overrides.write_text("".join(f"{name} ; sys_platform == 'never'\n" for name in replace))
        interpreter = interpreters.find(python)
        return uv.call(
            [
                "pip",
                "compile",
                "-",
                # Old packages that exist only as source are built for their metadata, with their Python.
                *(["--python", str(interpreter.path)] if interpreter else ["--python-version", python]),
                *["--python-platform", PLATFORM],
                *["--exclude-newer", f"{as_of.isoformat()}T00:00:00Z"],
                *(["--overrides", str(overrides)] if replace else []),
                *(["--constraints", str(constraints)] if request.constraints else []),
                *[flag for package in request.wheels_only for flag in ("--only-binary", package)],
                "--generate-hashes",
                "--no-annotate",
                "--no-header",
                "--no-python-downloads",
                "--quiet",
            ],
            settings,
            stdin="\n".join(requirements) + "\n",
            fresh=fresh,
        )


def _replaced(text: str, replace: Mapping[str, str]) -> str:
    """Return the requirement with its package replaced by the substitute."""
    name = canonicalize_name(Requirement(text).name)
    return text.replace(name, replace[name], 1) if name in replace else text


def _lock(request: Request, python: str, as_of: dt.date, newest: dt.date | None, body: str, explanation: str) -> Lock:
    return Lock(
        name=request.name,
        role=request.role,
        request=request.digest,
        python=python,
        as_of=as_of,
        newest_pin=newest,
        resolver=uv.version(),
        outcome="resolved" if body else "unsatisfiable",
        body=body,
        explanation=explanation,
        find_links=request.find_links,
    )


def _explain(refusals: list[tuple[str, str]]) -> str:
    """Return each distinct explanation of the resolver once, with the Pythons it is for."""
    grouped: dict[str, list[str]] = {}
    for python, text in refusals:
        lines = [line.rstrip() for line in text.strip().splitlines() if not line.startswith("warning:")]
        grouped.setdefault("\n".join(lines[:_EXPLANATION_LINES]), []).append(python)
    return "\n\n".join(f"Python {', '.join(pythons)}:\n{text}" for text, pythons in grouped.items())
