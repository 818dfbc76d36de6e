"""The report for a terminal: the answer first, then the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from matrix.answers.blame.report import (
    BlameReport,
    Suspect,
    Uncovered,
    days,
    narrowest,
    ranges_text,
    suspects,
    uncovered,
)
from matrix.answers.blame.types import Attempt, Changed, Measured, Resolved, Transition
from matrix.core.text import plain
from matrix.judging.finding import Finding

WIDTH = 120

_CHANGES = 8
_NAMED = 3
_TITLE = 24  # a shorter rest is useless


def text(report: BlameReport) -> str:
    """Return the whole report, ending in a newline. Lines fit into 120 columns unless a name is longer."""
    moved = f"moved:  the {report.role} {report.row}, everything else unchanged"
    lines = [answer(report), "", f"cell:   {report.cell}", moved]
    for part in (_ends, _transition, _uncovered, _turns, _cure):
        lines += part(report)
    lines += ["", cost(report)]
    return "\n".join(lines) + "\n"


def answer(report: BlameReport) -> str:
    """Return the first line: which release, when, why, and the cure."""
    blame = report.blame
    match blame.kind:
        case "broken" if blame.transitions:
            first = blame.transitions[0]
            return _first_line(report, "broken", first, f"; {remedy(report)}")
        case "broken":
            good, bad = narrowest(blame)
            stopped = "the search ended before the culprit was found"
            return f"broken between {good.recipe.as_of} and {bad.recipe.as_of}: {stopped}; {remedy(report)}"
        case "mended" if blame.transitions:
            first = blame.transitions[0]
            return _first_line(report, "mended", first, "", "before: ")
        case "mended":
            return f"mended between {blame.then.recipe.as_of} and {blame.now.recipe.as_of}: the cause was not found"
        case "never worked":
            then, now = _measured(report, blame.then), _measured(report, blame.now)
            same = then is not None and now is not None and then.failure == now.failure
            both = f"{_reason(then)} then and now" if same else f"{_reason(then)} then, {_reason(now)} now"
            return f"never worked ({both}): not a regression; try `run --remedy`"
        case "works":
            return f"works as of {blame.then.recipe.as_of} and as of {blame.now.recipe.as_of}: nothing to blame"
        case "indeterminate" if blame.stopped:
            return "undetermined: the limit on runs or time was reached before both days were measured"
        case "indeterminate":
            open_end = next((end for end in (blame.then, blame.now) if _undecided(report, end)), blame.now)
            return f"undetermined: {_short(_measured(report, open_end))} as of {open_end.recipe.as_of}; run it again"
    raise AssertionError(blame.kind)


def cost(report: BlameReport) -> str:
    """Return the last line."""
    blame = report.blame
    parts = (
        f"measured in {_count(blame.tests, 'environment')}",
        f"{report.builds} built for it",
        _count(blame.resolutions, "resolution"),
        f"{report.seconds:.0f} s",
    )
    return f"{', '.join(parts)}; stored in run {report.run}"


def name(who: Suspect) -> str:
    """Format like `protobuf 4.21.1`."""
    if who.version is None:
        return f"the absence of {who.package}"
    return f"{who.package} {who.version}"


def where(measured: Measured) -> str:
    """Format like `error in converter/import`."""
    place = "/".join(part for part in (measured.finding.role, measured.finding.stage) if part)
    return f"{measured.finding.verdict} in {place}" if place else measured.finding.verdict


def _by(report: BlameReport, transition: Transition, most: int = _NAMED) -> str:
    """Format like `by protobuf 4.21.1, uploaded 2022-05-27`, or name the days if the culprits are unknown."""
    who = suspects(report, transition)
    if transition.culprits is None:
        good, bad = sorted(days(transition))
        return f"between {good} and {bad} {_unnamed(report, transition)}"
    said = [_dated(one) for one in who[:most]]
    if len(who) > most:
        said.append(f"{len(who) - most} more")
    return f"by {' and '.join(said)}{' together' if len(who) > 1 else ''}"


def _unnamed(report: BlameReport, transition: Transition) -> str:
    if transition.changes:
        return f"by one or more of {_count(len(transition.changes), 'package')}"
    if transition.before.solved and transition.after.solved:
        return "by other files of the same versions"
    return f"by {'' if report.blame.kind == 'mended' else 'the lack of '}packages that satisfy the row"


def _dated(who: Suspect) -> str:
    lowered = f" instead of {who.instead_of}" if who.lowered else ""
    return f"{name(who)}{lowered}{_upload(who)}"


def _upload(who: Suspect) -> str:
    return f", uploaded {who.uploaded}" if who.uploaded else ""


def _first_line(report: BlameReport, deed: str, transition: Transition, tail: str, before: str = "") -> str:
    """Shorten names and title in favour of `tail`; both are repeated further down."""
    measured = transition.measured
    reason = before + (measured.finding.reason or where(measured))
    for most in (_NAMED, _NAMED - 1):
        head = f"{deed} {_by(report, transition, most)} ({reason}"
        room = WIDTH - len(f"{head}){tail}")
        if room >= 0:
            break
    title = _plain(measured.finding.title)
    if measured.finding.reason and title and room >= min(_TITLE, len(title)) + len(": "):
        return f"{head}: {_cut(title, room - len(': '))}){tail}"
    return f"{head}){tail}"


def remedy(report: BlameReport) -> str:
    """Return today's cure, or that none was found."""
    blame = report.blame
    if blame.cure is not None:
        return f"fix for today: {ranges_text(blame.cure.ranges)}"
    runs = sum(attempt.measured is not None for attempt in blame.attempts)
    found = f"no fix found in {_count(runs, 'run')}" if blame.attempts else "no fix was tried"
    return f"{found} (cut short)" if blame.stopped else found


def _reason(measured: Measured | None) -> str:
    return measured.finding.reason or where(measured) if measured else "not run"


def _short(measured: Measured | None) -> str:
    if measured is None:
        return "not run"
    reason = f" ({measured.finding.reason})" if measured.finding.reason else ""
    return f"{where(measured)}{reason}"


def _ends(report: BlameReport) -> Iterator[str]:
    blame = report.blame
    for label, end in (("then", blame.then), ("now", blame.now)):
        measured = _measured(report, end)
        day = f"{label}:".ljust(8)
        if measured is not None and measured.good:
            yield f"{day}works as of {end.recipe.as_of}"
        else:
            verb = "unknown" if _undecided(report, end) else "fails"
            yield from _indented(f"{day}{verb} as of {end.recipe.as_of}: ", measured)


def _indented(head: str, measured: Measured | None) -> Iterator[str]:
    """Yield a run's outcome, its title and its message."""
    line = head + _short(measured)
    yield line
    if measured is None:
        return
    for words in (_plain(measured.finding.title), f"said: {said}" if (said := _plain(measured.finding.said)) else ""):
        if words:
            yield _cut(f"        {words}", WIDTH)


def _transition(report: BlameReport) -> Iterator[str]:
    for transition in report.blame.transitions[:1]:
        yield ""
        good, bad = days(transition)
        if report.blame.kind == "mended":
            yield f"last bad day {bad}, first good day {good}{_skipped(transition)}"
        else:
            yield f"last good day {good}, first bad day {bad}{_skipped(transition)}"
        for package, version in report.undated(transition):
            yield f"{package} {version} was withdrawn (yanked or deleted) on an unknown day, maybe this one"
        yield from _suspects(report, transition)


def _skipped(transition: Transition) -> str:
    return f" ({_count(transition.skipped, 'environment')} between them not tested)" * bool(transition.skipped)


def _suspects(report: BlameReport, transition: Transition) -> Iterator[str]:
    """Yield the packages that changed, the culprits first."""
    culprits = transition.culprits or ()
    others = [change for change in transition.changes if change not in culprits]
    deed = "mended it" if report.blame.kind == "mended" else "broke it"
    if not transition.changes:
        broke = "was mended" if report.blame.kind == "mended" else "broke"
        yield f"changed there: no package version; it {broke} {_unnamed(report, transition)}"
        return
    if transition.culprits is None:
        yield f"changed there: {_count(len(others), 'package')}; which of them {deed} could not be determined"
    else:
        marked = "the marked one" if len(culprits) == 1 else "the marked ones together"
        yield f"changed there: {_count(len(transition.changes), 'package')}; {marked} {deed}"
    shown = [*culprits, *others[: max(0, _CHANGES - len(culprits))]]
    wide = max((len(change.package) for change in shown), default=0)
    backwards = report.blame.kind == "mended"
    for change in shown:
        mark = "▸" if change in culprits else " "
        upload = _upload_of(report, change, backwards)
        yield f"  {mark} {change.package.ljust(wide)}  {_versions(change, backwards)}{upload}"
    yield from _more(len(transition.changes) - len(shown))


def _versions(change: Changed, backwards: bool = False) -> str:
    before, after = (change.after, change.before) if backwards else (change.before, change.after)
    return f"{before or 'absent'} → {after or 'absent'}"


def _upload_of(report: BlameReport, change: Changed, backwards: bool) -> str:
    version = change.before if backwards else change.after
    day = report.uploaded.get((change.package, version)) if version else None
    return f", uploaded {day}" if day else ""


def _uncovered(report: BlameReport) -> Iterator[str]:
    found = uncovered(report)
    if found:
        yield ""
        yield "failures that this one masked:"
    for item in found:
        yield from _one_uncovered(report, item)


def _one_uncovered(report: BlameReport, item: Uncovered) -> Iterator[str]:
    yield _cut(f"  with {ranges_text(item.under)}: {_titled(item.measured)}", WIDTH)
    if item.transition is not None:
        good, bad = days(item.transition)
        yield f"      {_by(report, item.transition)}"
        yield f"      last good day {good}, first bad day {bad}{_skipped(item.transition)}"
    elif item.against:
        yield f"      seen with {' and '.join(_dated(one) for one in item.against)}"


def _titled(measured: Measured) -> str:
    title = _plain(measured.finding.title)
    return f"{_short(measured)}: {title}" if title else _short(measured)


def _turns(report: BlameReport) -> Iterator[str]:
    turns = report.blame.turns
    if turns:
        yield ""
    for turn in turns:
        yield f"{turn.kind} after {turn.before.recipe.as_of}, by {turn.after.recipe.as_of}"


def _cure(report: BlameReport) -> Iterator[str]:
    blame = report.blame
    if blame.kind != "broken":
        return
    yield ""
    if blame.cure is None:
        yield remedy(report)
        for attempt in blame.attempts:
            yield _cut(f"  {ranges_text(attempt.ranges)}: {_outcome(attempt)}", WIDTH)
        return
    yield f"fix for today: {ranges_text(blame.cure.ranges)}"
    changes = blame.cure.changes
    yield f"changes to today's resolution: {_count(len(changes), 'package')}"
    # Packages that the fix names first, then those that follow from it.
    named = {package for package, _ in blame.cure.ranges}
    shown = sorted(changes, key=lambda change: change.package not in named)[:_CHANGES]
    wide = max((len(change.package) for change in shown), default=0)
    for change in shown:
        yield f"    {change.package.ljust(wide)}  {_versions(change)}"
    yield from _more(len(changes) - len(shown))
    if report.cured is not None:
        yield f"proven: {report.cured}"


def _outcome(attempt: Attempt) -> str:
    return "no packages satisfy it" if attempt.measured is None else _titled(attempt.measured)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"    and {number} more"


def _measured(report: BlameReport, end: Resolved) -> Measured | None:
    if not end.solved:
        # The search needs no more, but a reader wants the resolver's message.
        return Measured(Finding("unsatisfiable", report.role, "lock", said=end.explanation))
    return report.blame.outcomes.get(end.digest)


def _undecided(report: BlameReport, end: Resolved) -> bool:
    measured = _measured(report, end)
    return measured is None or measured.good is None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _plain(said: str) -> str:
    """Return one line without terminal control sequences."""
    return " ".join(plain(said).split())


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def joined(parts: Iterable[Suspect], most: int = 2) -> str:
    """Format like `a 1 + b 2 + 3 more`, for little space."""
    named: Sequence[Suspect] = tuple(parts)
    said = [name(one) for one in named[:most]]
    if len(named) > most:
        said.append(f"{len(named) - most} more")
    return " + ".join(said)
