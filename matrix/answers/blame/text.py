"""How a blame reads in a terminal: the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from matrix.answers.blame.questions import Attempt, Changed, Measured, Resolved, Transition
from matrix.answers.blame.report import Accused, Story, Uncovered, accused, days, narrowest, ranges_text, uncovered
from matrix.core.text import plain
from matrix.judging.finding import Finding

WIDTH = 120

_CHANGES = 8
_NAMED = 3
_TITLE = 24  # what is cut shorter says nothing


def text(story: Story) -> str:
    """All of it, ending in a newline. Lines fit into 120 columns wherever their subject allows."""
    lines = [answer(story), "", f"cell:   {story.cell}", f"moved:  the {story.role} {story.row}, all else stayed"]
    lines += [*_ends(story), *_transition(story), *_uncovered(story), *_turns(story), *_cure(story), "", cost(story)]
    return "\n".join(lines) + "\n"


def answer(story: Story) -> str:
    """The first line: who, when, why, and what helps."""
    blame = story.blame
    match blame.kind:
        case "broken" if blame.transitions:
            first = blame.transitions[0]
            return _first_line(story, "broken", first, f"; {remedy(story)}")
        case "broken":
            good, bad = narrowest(blame)
            stopped = "the search ended before it could name who"
            return f"broken between {good.recipe.as_of} and {bad.recipe.as_of}: {stopped}; {remedy(story)}"
        case "mended" if blame.transitions:
            first = blame.transitions[0]
            return _first_line(story, "mended", first, "", "before: ")
        case "mended":
            return f"mended between {blame.then.recipe.as_of} and {blame.now.recipe.as_of}: not found out by whom"
        case "never worked":
            then, now = _measured(story, blame.then), _measured(story, blame.now)
            same = then is not None and now is not None and then.failure == now.failure
            both = f"{_reason(then)} then and now" if same else f"{_reason(then)} then, {_reason(now)} now"
            return f"never worked: {both}; nobody broke it: `run --remedy` may help"
        case "works":
            return f"works as of {blame.then.recipe.as_of} and as of {blame.now.recipe.as_of}: nothing to blame"
        case "indeterminate" if blame.stopped:
            return "not known: the limit on runs or time was reached before both days were measured"
        case "indeterminate":
            open_end = next((end for end in (blame.then, blame.now) if _undecided(story, end)), blame.now)
            return f"not known: {_short(_measured(story, open_end))} as of {open_end.recipe.as_of}; run it again"
    raise AssertionError(blame.kind)


def cost(story: Story) -> str:
    """The last line."""
    blame = story.blame
    parts = (
        f"measured in {_count(blame.tests, 'environment')}",
        f"{story.builds} built for it",
        _count(blame.resolutions, "resolution"),
        f"{story.seconds:.0f} s",
    )
    return f"{', '.join(parts)}; stored in run {story.run}"


def name(who: Accused) -> str:
    """`protobuf 4.21.1`."""
    if who.version is None:
        return f"the absence of {who.package}"
    return f"{who.package} {who.version}"


def where(measured: Measured) -> str:
    """`error in converter/import`."""
    place = "/".join(part for part in (measured.finding.role, measured.finding.stage) if part)
    return f"{measured.finding.verdict} in {place}" if place else measured.finding.verdict


def _by(story: Story, transition: Transition, most: int = _NAMED) -> str:
    """`by protobuf 4.21.1, uploaded 2022-05-27`; of what could not be decided, that it was one of them."""
    who = accused(story, transition)
    if transition.culprits is None:
        good, bad = sorted(days(transition))
        return f"between {good} and {bad} {_unnamed(story, transition)}"
    said = [_dated(one) for one in who[:most]]
    if len(who) > most:
        said.append(f"{len(who) - most} more")
    return f"by {' and '.join(said)}{' together' if len(who) > 1 else ''}"


def _unnamed(story: Story, transition: Transition) -> str:
    if transition.changes:
        return f"by one or more of {_count(len(transition.changes), 'package')}"
    if transition.before.solved and transition.after.solved:
        return "by other files of the same versions"
    return f"{'by' if story.blame.kind == 'mended' else 'for want of'} packages that fulfil the row"


def _dated(who: Accused) -> str:
    lowered = f" in the place of {who.instead_of}" if who.lowered else ""
    return f"{name(who)}{lowered}{_upload(who)}"


def _upload(who: Accused) -> str:
    return f", uploaded {who.uploaded}" if who.uploaded else ""


def _first_line(story: Story, deed: str, transition: Transition, tail: str, before: str = "") -> str:
    """Names and title give way to what helps, for they stand further down as well."""
    measured = transition.measured
    reason = before + (measured.finding.reason or where(measured))
    for most in (_NAMED, _NAMED - 1):
        head = f"{deed} {_by(story, transition, most)} ({reason}"
        room = WIDTH - len(f"{head}){tail}")
        if room >= 0:
            break
    title = _plain(measured.finding.title)
    if measured.finding.reason and title and room >= min(_TITLE, len(title)) + len(": "):
        return f"{head}: {_cut(title, room - len(': '))}){tail}"
    return f"{head}){tail}"


def remedy(story: Story) -> str:
    """What helps today, or that nothing was found."""
    blame = story.blame
    if blame.cure is not None:
        return f"cure for today: {ranges_text(blame.cure.ranges)}"
    runs = sum(attempt.measured is not None for attempt in blame.attempts)
    found = f"no cure found in {_count(runs, 'run')}" if blame.attempts else "no cure was tried"
    return f"{found} (cut short)" if blame.stopped else found


def _reason(measured: Measured | None) -> str:
    return measured.finding.reason or where(measured) if measured else "not run"


def _short(measured: Measured | None) -> str:
    if measured is None:
        return "not run"
    reason = f" ({measured.finding.reason})" if measured.finding.reason else ""
    return f"{where(measured)}{reason}"


def _ends(story: Story) -> Iterator[str]:
    blame = story.blame
    for label, end in (("then", blame.then), ("now", blame.now)):
        measured = _measured(story, end)
        day = f"{label}:".ljust(8)
        if measured is not None and measured.good:
            yield f"{day}works as of {end.recipe.as_of}"
        else:
            verb = "open" if _undecided(story, end) else "fails"
            yield from _indented(f"{day}{verb} as of {end.recipe.as_of}: ", measured)


def _indented(head: str, measured: Measured | None) -> Iterator[str]:
    """What a run came to, its title and what it said."""
    line = head + _short(measured)
    yield line
    if measured is None:
        return
    for words in (_plain(measured.finding.title), f"said: {said}" if (said := _plain(measured.finding.said)) else ""):
        if words:
            yield _cut(f"        {words}", WIDTH)


def _transition(story: Story) -> Iterator[str]:
    for transition in story.blame.transitions[:1]:
        yield ""
        good, bad = days(transition)
        if story.blame.kind == "mended":
            yield f"last bad day {bad}, first good day {good}{_skipped(transition)}"
        else:
            yield f"last good day {good}, first bad day {bad}{_skipped(transition)}"
        for package, version in story.undated(transition):
            yield f"{package} {version} was withdrawn (yanked or deleted) since, nobody knows on which day: maybe then"
        yield from _suspects(story, transition)


def _skipped(transition: Transition) -> str:
    return f" ({_count(transition.skipped, 'environment')} between them not tested)" * bool(transition.skipped)


def _suspects(story: Story, transition: Transition) -> Iterator[str]:
    """The packages that changed, the culprits first."""
    culprits = transition.culprits or ()
    others = [change for change in transition.changes if change not in culprits]
    deed = "mended it" if story.blame.kind == "mended" else "broke it"
    if not transition.changes:
        broke = "was mended" if story.blame.kind == "mended" else "broke"
        yield f"changed there: no version of a package; it {broke} {_unnamed(story, transition)}"
        return
    if transition.culprits is None:
        yield f"changed there: {_count(len(others), 'package')}; which of them {deed} could not be decided"
    else:
        marked = "the marked one" if len(culprits) == 1 else "the marked ones together, and no fewer,"
        yield f"changed there: {_count(len(transition.changes), 'package')}; {marked} {deed}"
    shown = [*culprits, *others[: max(0, _CHANGES - len(culprits))]]
    wide = max((len(change.package) for change in shown), default=0)
    backwards = story.blame.kind == "mended"
    for change in shown:
        mark = "▸" if change in culprits else " "
        upload = _upload_of(story, change, backwards)
        yield f"  {mark} {change.package.ljust(wide)}  {_versions(change, backwards)}{upload}"
    yield from _more(len(transition.changes) - len(shown))


def _versions(change: Changed, backwards: bool = False) -> str:
    before, after = (change.after, change.before) if backwards else (change.before, change.after)
    return f"{before or 'not there'} → {after or 'not there'}"


def _upload_of(story: Story, change: Changed, backwards: bool) -> str:
    version = change.before if backwards else change.after
    day = story.uploaded.get((change.package, version)) if version else None
    return f", uploaded {day}" if day else ""


def _uncovered(story: Story) -> Iterator[str]:
    found = uncovered(story)
    if found:
        yield ""
        yield "uncovered while mending:"
    for item in found:
        yield from _one_uncovered(story, item)


def _one_uncovered(story: Story, item: Uncovered) -> Iterator[str]:
    yield _cut(f"  with {ranges_text(item.under)}: {_titled(item.measured)}", WIDTH)
    if item.transition is not None:
        good, bad = days(item.transition)
        yield f"      {_by(story, item.transition)}"
        yield f"      last good day {good}, first bad day {bad}{_skipped(item.transition)}"
    elif item.against:
        yield f"      seen with {' and '.join(_dated(one) for one in item.against)}"


def _titled(measured: Measured) -> str:
    title = _plain(measured.finding.title)
    return f"{_short(measured)}: {title}" if title else _short(measured)


def _turns(story: Story) -> Iterator[str]:
    turns = story.blame.turns
    if turns:
        yield ""
    for turn in turns:
        yield f"{turn.kind} after {turn.before.recipe.as_of}, by {turn.after.recipe.as_of}"


def _cure(story: Story) -> Iterator[str]:
    blame = story.blame
    if blame.kind != "broken":
        return
    yield ""
    if blame.cure is None:
        yield remedy(story)
        for attempt in blame.attempts:
            yield _cut(f"  {ranges_text(attempt.ranges)}: {_came_to(attempt)}", WIDTH)
        return
    yield f"cure for today: {ranges_text(blame.cure.ranges)}"
    changes = blame.cure.changes
    yield f"changes against today's resolution: {_count(len(changes), 'package')}"
    # What the cure names first, then what goes along.
    named = {package for package, _ in blame.cure.ranges}
    shown = sorted(changes, key=lambda change: change.package not in named)[:_CHANGES]
    wide = max((len(change.package) for change in shown), default=0)
    for change in shown:
        yield f"    {change.package.ljust(wide)}  {_versions(change)}"
    yield from _more(len(changes) - len(shown))
    if story.cured is not None:
        yield f"proven: {story.cured}"


def _came_to(attempt: Attempt) -> str:
    return "no packages fulfil it" if attempt.measured is None else _titled(attempt.measured)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"    and {number} more"


def _measured(story: Story, end: Resolved) -> Measured | None:
    if not end.solved:
        # The search needs to know no more; whoever reads it wants the resolver's words.
        return Measured(Finding("unsatisfiable", story.role, "lock", said=end.explanation))
    return story.blame.outcomes.get(end.digest)


def _undecided(story: Story, end: Resolved) -> bool:
    measured = _measured(story, end)
    return measured is None or measured.good is None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _plain(said: str) -> str:
    """One line, without what would steer a terminal."""
    return " ".join(plain(said).split())


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def joined(parts: Iterable[Accused], most: int = 2) -> str:
    """`a 1 + b 2 + 3 more`, for where there is little room."""
    named: Sequence[Accused] = tuple(parts)
    said = [name(one) for one in named[:most]]
    if len(named) > most:
        said.append(f"{len(named) - most} more")
    return " + ".join(said)
