"""What a blame reads like, as text, as data and as a picture."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from matrix.answers.blame.document import document
from matrix.answers.blame.picture import picture
from matrix.answers.blame.report import BlameReport, days, uncovered, why
from matrix.answers.blame.text import answer, text
from matrix.answers.blame.types import (
    Attempt,
    Blame,
    Changed,
    Cure,
    Measured,
    Ranges,
    Recipe,
    Resolved,
    Transition,
    Turn,
)
from matrix.judging.finding import Finding
from matrix.outputs.dashboard.blames import harmless

CELL = "net/torch-1.12.1@15/new"
GOOD = Measured(Finding("match"), cell=CELL)
PROTOBUF = Measured(
    Finding("error", "converter", "import", "protobuf-too-new", "too new", "TypeError: \x1b[31mDescriptors\n x")
)
NUMPY = Measured(Finding("error", "converter", "import", "numpy-too-new", "compiled for numpy 1"))
INFRA = Measured(Finding("infra", "converter", "build", "network", "no answer"))
FOUR: Ranges = (("protobuf", "<4"),)
TWO: Ranges = (("numpy", "<2"), ("protobuf", "<4"))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def resolved(as_of: str, packages: Mapping[str, str] | None = None, ranges: Ranges = ()) -> Resolved:
    return Resolved(Recipe(day(as_of), ranges), f"{as_of} {ranges}", {"numpy": "1"} if packages is None else packages)


THEN = resolved("2022-04-20", {"protobuf": "3.20.1", "numpy": "1.22.3"})
BEFORE = resolved("2022-05-20", {"protobuf": "3.20.1", "numpy": "1.22.4"})
AFTER = resolved("2022-05-27", {"protobuf": "4.21.1", "numpy": "1.22.4"})
LATER = resolved("2024-01-01", {"protobuf": "4.25.0", "numpy": "1.26.0"})
NOW = resolved("2026-12-01", {"protobuf": "6.33.1", "numpy": "2.3.5"})
DOWN = Changed("protobuf", "4.21.1", "3.20.1")
UP = Changed("protobuf", "3.20.1", "4.21.1")
BROKE = Transition(BEFORE, AFTER, PROTOBUF, (Changed("certifi", "1", "2"), UP), (UP,))
ATTEMPTS = (
    Attempt(FOUR, resolved("2026-12-01", {"protobuf": "3.20.3", "numpy": "2.3.5"}, FOUR), NUMPY),
    Attempt(TWO, resolved("2026-12-01", {"protobuf": "3.20.3", "numpy": "1.26.4"}, TWO), GOOD),
)
CURE = Cure(
    TWO, ATTEMPTS[1].environment, (Changed("numpy", "2.3.5", "1.26.4"), Changed("protobuf", "6.33.1", "3.20.3"))
)
UPLOADS = {("protobuf", "4.21.1"): day("2022-05-26"), ("numpy", "2.3.5"): day("2026-10-01")}

BROKEN = Blame(
    "broken",
    THEN,
    NOW,
    {THEN.digest: GOOD, NOW.digest: PROTOBUF, BEFORE.digest: GOOD, AFTER.digest: PROTOBUF, LATER.digest: PROTOBUF},
    (THEN, BEFORE, AFTER, LATER, NOW),
    (BROKE,),
    attempts=ATTEMPTS,
    cure=CURE,
    tests=7,
    resolutions=412,
)


def story(
    blame: Blame = BROKEN, uploaded: Mapping[tuple[str, str], dt.date] = UPLOADS, cured: str | None = CELL
) -> BlameReport:
    return BlameReport(CELL, "converter", "new", blame, uploaded, 6, 81.4, cured if blame.cure else None, 17)


NOT_CURED = replace(
    BROKEN, cure=None, attempts=(*ATTEMPTS[:1], Attempt((("onnx", "<1"),), resolved("2026-12-01", {}), None))
)
MENDED = replace(
    BROKEN,
    kind="mended",
    outcomes={THEN.digest: NUMPY, BEFORE.digest: NUMPY, AFTER.digest: GOOD, NOW.digest: GOOD},
    transitions=(Transition(AFTER, BEFORE, NUMPY, (DOWN,), (DOWN,)),),
    attempts=(),
    cure=None,
)
NEVER = Blame("never worked", THEN, NOW, {THEN.digest: NUMPY, NOW.digest: PROTOBUF}, tests=2)
WORKS = Blame("works", THEN, NOW, {THEN.digest: GOOD, NOW.digest: GOOD}, tests=2)
OPEN = Blame("indeterminate", THEN, NOW, {THEN.digest: GOOD, NOW.digest: INFRA}, tests=2)
UNDECIDED = replace(BROKEN, transitions=(replace(BROKE, culprits=None, skipped=2),), cure=None, attempts=())
STOPPED = replace(BROKEN, transitions=(), cure=None, attempts=())
ALL = {
    "broken": BROKEN,
    "not cured": NOT_CURED,
    "mended": MENDED,
    "never worked": NEVER,
    "works": WORKS,
    "indeterminate": OPEN,
    "undecided": UNDECIDED,
    "stopped": STOPPED,
}


BY = "broken by protobuf 4.21.1, uploaded 2022-05-26 (protobuf-too-new: too new)"
BETWEEN = "broken between 2022-05-20 and 2022-05-27"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("broken", f"{BY}; fix for today: numpy<2 protobuf<4"),
        ("not cured", f"{BY}; no fix found in 1 run"),
        ("mended", "mended by protobuf 4.21.1, uploaded 2022-05-26 (before: numpy-too-new: compiled for numpy 1)"),
        (
            "never worked",
            "never worked (numpy-too-new then, protobuf-too-new now): not a regression; try `run --remedy`",
        ),
        ("works", "works as of 2022-04-20 and as of 2026-12-01: nothing to blame"),
        ("indeterminate", "undetermined: infra in converter/build (network) as of 2026-12-01; run it again"),
        ("undecided", f"{BETWEEN} by one or more of 2 packages (protobuf-too-new: too new); no fix was tried"),
        ("stopped", f"{BETWEEN}: the search ended before the culprit was found; no fix was tried"),
    ],
)
def test_the_first_line_is_the_answer(name: str, line: str) -> None:
    told = story(ALL[name])
    assert text(told).splitlines()[0] == line
    assert document(told)["answer"] == line


def test_what_a_broken_cell_is_told_with() -> None:
    assert text(story()).splitlines()[1:] == [
        "",
        "cell:   net/torch-1.12.1@15/new",
        "moved:  the converter new, everything else unchanged",
        "then:   works as of 2022-04-20",
        "now:    fails as of 2026-12-01: error in converter/import (protobuf-too-new)",
        "        too new",
        "        said: TypeError: Descriptors x",
        "",
        "last good day 2022-05-26, first bad day 2022-05-27",
        "changed there: 2 packages; the marked one broke it",
        "  ▸ protobuf  3.20.1 → 4.21.1, uploaded 2022-05-26",
        "    certifi   1 → 2",
        "",
        "failures that this one masked:",
        "  with protobuf<4: error in converter/import (numpy-too-new): compiled for numpy 1",
        "      seen with numpy 2.3.5, uploaded 2026-10-01",
        "",
        "fix for today: numpy<2 protobuf<4",
        "changes to today's resolution: 2 packages",
        "    numpy     2.3.5 → 1.26.4",
        "    protobuf  6.33.1 → 3.20.3",
        "proven: net/torch-1.12.1@15/new",
        "",
        "measured in 7 environments, 6 built for it, 412 resolutions, 81 s; stored in run 17",
    ]


def test_what_was_tried_is_listed_where_nothing_cured() -> None:
    lines = text(story(NOT_CURED)).splitlines()
    at = lines.index("no fix found in 1 run")
    assert lines[at + 1 : at + 3] == [
        "  protobuf<4: error in converter/import (numpy-too-new): compiled for numpy 1",
        "  onnx<1: no packages satisfy it",
    ]


def test_a_mended_cell_runs_backwards() -> None:
    lines = text(story(MENDED)).splitlines()
    assert "last bad day 2022-05-26, first good day 2022-05-27" in lines
    assert "  ▸ protobuf  3.20.1 → 4.21.1, uploaded 2022-05-26" in lines


def test_an_end_without_a_solution_says_so() -> None:
    gone = replace(NOW, packages={}, explanation="Because onnx is not there")
    lines = text(story(replace(NEVER, now=gone, outcomes={THEN.digest: NUMPY}))).splitlines()
    at = lines.index("now:    fails as of 2026-12-01: unsatisfiable in converter/lock")
    assert lines[at + 1] == "        said: Because onnx is not there"


def test_several_culprits_a_lowered_one_and_one_that_went() -> None:
    both = (Changed("tf-keras", "2.16", None), Changed("onnx", "1.13.0", "1.12.0"))
    line = answer(story(replace(BROKEN, transitions=(replace(BROKE, culprits=both),))))
    assert line.startswith("broken by the absence of tf-keras and onnx 1.12.0 instead of 1.13.0 together (")
    assert "  ▸ tf-keras  2.16 → absent" in text(story(replace(BROKEN, transitions=(replace(BROKE, culprits=both),))))


def test_a_long_list_of_changes_is_cut_and_the_culprit_stays() -> None:
    many = (*(Changed(f"a{i}", "1", "2") for i in range(20)), UP)
    lines = text(story(replace(BROKEN, transitions=(replace(BROKE, changes=many),)))).splitlines()
    at = lines.index("changed there: 21 packages; the marked one broke it")
    assert "protobuf" in lines[at + 1]
    assert lines[at + 9] == "    and 13 more"


def test_turns_are_told() -> None:
    turns = (Turn("mended", AFTER, LATER), Turn("broken again", LATER, NOW))
    lines = text(story(replace(BROKEN, turns=turns))).splitlines()
    assert "mended after 2022-05-27, by 2024-01-01" in lines
    assert "broken again after 2024-01-01, by 2026-12-01" in lines


def test_lines_fit_a_terminal_however_much_was_said() -> None:
    loud = replace(PROTOBUF, finding=replace(PROTOBUF.finding, title="t " * 300, said="s " * 3000))
    outcomes = {digest: loud if measured == PROTOBUF else measured for digest, measured in BROKEN.outcomes.items()}
    blame = replace(BROKEN, outcomes=outcomes, transitions=(replace(BROKE, measured=loud),))
    lines = text(story(blame)).splitlines()
    assert max(map(len, lines)) == 120
    assert lines[0].endswith("; fix for today: numpy<2 protobuf<4")


@pytest.mark.parametrize("skipped", [0, 3])
def test_days_are_those_next_to_the_change_unless_something_lies_between(skipped: int) -> None:
    forwards, backwards = replace(BROKE, skipped=skipped), replace(BROKE, before=AFTER, after=BEFORE, skipped=skipped)
    if skipped:
        assert days(forwards) == (day("2022-05-20"), day("2022-05-27"))
        assert days(backwards) == (day("2022-05-27"), day("2022-05-20"))
    else:
        assert days(forwards) == (day("2022-05-26"), day("2022-05-27"))
        assert days(backwards) == (day("2022-05-27"), day("2022-05-26"))


def test_what_was_uncovered_goes_with_its_transition() -> None:
    bump = Changed("numpy", "1.26.4", "2.0.0")
    later = Transition(resolved("2024-06-10"), resolved("2024-06-16"), NUMPY, (bump,), (bump,), FOUR)
    (found,) = uncovered(story(replace(BROKEN, transitions=(BROKE, later))))
    assert (found.under, found.measured, found.transition) == (FOUR, NUMPY, later)
    assert "      by numpy 2.0.0\n      last good day 2024-06-15, first bad day 2024-06-16\n" in text(
        story(replace(BROKEN, transitions=(BROKE, later)))
    )


def test_the_same_failure_again_is_not_uncovered_nor_what_follows_the_first_good_one() -> None:
    other = replace(NUMPY, finding=replace(NUMPY.finding, reason="other"))
    same = Attempt((("onnx", "<1"),), resolved("2026-12-01"), PROTOBUF)
    without = Attempt((("numpy", "<2"),), resolved("2026-12-01"), other)
    assert [item.under for item in uncovered(story(replace(BROKEN, attempts=(same, *ATTEMPTS, without))))] == [FOUR]


def test_why_of_a_rule() -> None:
    assert why(story()) == "protobuf 4.21.1, uploaded 2022-05-26, broke it (protobuf-too-new)"
    assert why(story(uploaded={})) == "protobuf 4.21.1, since 2022-05-27, broke it (protobuf-too-new)"


def test_the_document_holds_it_all_as_data() -> None:
    made = json.loads(json.dumps(document(story(replace(BROKEN, turns=(Turn("mended", AFTER, LATER),))))))
    assert made["schema"] == 1
    assert (made["kind"], made["cell"], made["role"], made["row"], made["run"]) == (
        "broken",
        CELL,
        "converter",
        "new",
        17,
    )
    assert made["transition"]["culprits"] == [
        {"package": "protobuf", "version": "4.21.1", "instead_of": "3.20.1", "uploaded": "2022-05-26"}
    ]
    assert (made["transition"]["good_day"], made["transition"]["bad_day"]) == ("2022-05-26", "2022-05-27")
    assert made["now"]["outcome"]["reason"] == "protobuf-too-new"
    assert made["now"]["packages"] == {"numpy": "2.3.5", "protobuf": "6.33.1"}
    assert [item["standing"] for item in made["timeline"]] == ["good", "good", "bad", "bad", "bad"]
    assert made["uncovered"][0]["seen_with"] == [{"package": "numpy", "version": "2.3.5", "uploaded": "2026-10-01"}]
    assert made["cure"]["ranges"] == {"numpy": "<2", "protobuf": "<4"}
    assert made["cure"]["cell"] == CELL
    assert made["turns"] == [{"kind": "mended", "after": "2022-05-27", "by": "2024-01-01"}]
    assert [item["outcome"]["verdict"] for item in made["attempts"]] == ["error", "match"]
    assert made["cost"] == {"environments_built": 6, "runs": 7, "resolutions": 412, "seconds": 81.4}


def test_all_kinds_have_the_same_keys() -> None:
    assert len({tuple(document(story(blame))) for blame in ALL.values()}) == 1


SVG = "{http://www.w3.org/2000/svg}"


def names(drawn: str) -> list[tuple[float, float, float]]:
    """(start, end, baseline) of every text, with letters as wide as a wide font's."""
    root = ElementTree.fromstring(drawn)
    found: list[tuple[float, float, float]] = []

    def look(element: ElementTree.Element, x: float, y: float) -> None:
        if moved := re.match(r"translate\((-?[\d.]+),(-?[\d.]+)\)", element.get("transform", "")):
            x, y = x + float(moved[1]), y + float(moved[2])
        if element.tag == f"{SVG}text":
            wide = len(element.text or "") * (14.0 if element.get("font-weight") else 12.6)
            start = x - {"middle": wide / 2, "end": wide}.get(element.get("text-anchor", ""), 0)
            found.append((start, start + wide, y))
        for child in element:
            look(child, x, y)

    look(root, 0, 0)
    return found


def labels(drawn: str, *roles: str) -> list[str]:
    """What the marks say to a screen reader."""
    return [
        element.get("aria-label", "")
        for element in ElementTree.fromstring(drawn).iter()
        if element.get("aria-roledescription") in roles
    ]


@pytest.mark.parametrize("blame", ALL.values(), ids=ALL)
def test_every_kind_gives_a_picture_that_stands_alone(blame: Blame) -> None:
    drawn = picture(story(blame))
    root = ElementTree.fromstring(drawn)
    assert root.get("viewBox", "").split()[2] == "900"
    assert "prefers-color-scheme:dark" in drawn
    assert {element.tag for element in root.iter()}.isdisjoint({f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"})
    assert harmless(drawn)
    assert not re.search(r"url\(|href|@import|http(?!://www\.w3\.org/(2000/svg|1999/xlink)\")", drawn)
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == answer(story(blame))


def test_the_picture_names_culprit_and_cure_and_marks_what_was_run() -> None:
    drawn = picture(story())
    root = ElementTree.fromstring(drawn)
    said = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
    assert {"protobuf 4.21.1 2022-05-26", "cure: numpy<2 protobuf<4", "then 2022-04-20", "now 2026-12-01"} <= set(said)
    assert sorted(labels(drawn, "point")) == [
        "2022-04-20: matches",
        "2022-05-20: matches",
        "2022-05-27: fails",
        "2024-01-01: fails",
        "2026-12-01: fails",
        "cured: numpy<2 protobuf<4",
    ]
    assert labels(drawn, "line mark") == ["5 distinct environments"]
    assert drawn == picture(story())


def test_untested_environments_are_ticks_only() -> None:
    drawn = picture(story(replace(BROKEN, timeline=(THEN, BEFORE, AFTER, resolved("2023-03-03"), LATER, NOW))))
    assert labels(drawn, "line mark") == ["6 distinct environments"]
    assert "2023-03-03" not in drawn


def test_what_could_not_be_measured_is_neither_good_nor_bad() -> None:
    drawn = picture(story(OPEN))
    assert 'fill="#6e7781"' in drawn
    assert "2026-12-01: could not be measured" in drawn


@pytest.mark.parametrize("first", ["2022-04-20", "2015-01-01", "2026-11-01"])
@pytest.mark.parametrize("others", [0, 1, 3, 6])
def test_no_two_texts_overlap(first: str, others: int) -> None:
    """However long the names, however close the days, however many were uncovered."""
    long = Changed("tensorflow-io-gcs-filesystem", "0.26.0", "0.27.0")
    under = [(("a", f"<{i}"),) for i in range(others)]
    uncovering = tuple(
        Transition(
            resolved(f"2026-11-{2 + i:02}"), resolved(f"2026-11-{3 + i * 3:02}"), NUMPY, (long,), (long,), ranges
        )
        for i, ranges in enumerate(under)
    )
    start = replace(THEN, recipe=Recipe(day(first)))
    cure = replace(CURE, ranges=(("tensorflow-io-gcs-filesystem", "<0.27"), *TWO))
    drawn = picture(
        story(replace(BROKEN, then=start, timeline=(start, AFTER, NOW), transitions=(BROKE, *uncovering), cure=cure))
    )
    placed = names(drawn)
    assert len(placed) >= 5
    for number, (low, high, baseline) in enumerate(placed):
        assert low >= 0
        assert high <= 900
        for other_low, other_high, other_baseline in placed[:number]:
            assert baseline != other_baseline or high < other_low or other_high < low
    assert "cure: " in drawn


def test_an_hour_old_row_gives_a_picture_too() -> None:
    assert "now 2022-04-20" in picture(story(replace(WORKS, now=THEN)))


def test_texts_are_escaped() -> None:
    evil = Measured(Finding("error", "converter", "import", "r", "<script>alert('x')</script> & \x00\x1b \ud800 \""))
    change = Changed("<b>&", "1", '2"')
    drawn = picture(
        replace(story(replace(BROKEN, transitions=(replace(BROKE, measured=evil, culprits=(change,)),))), cell="<i>")
    )
    root = ElementTree.fromstring(drawn)
    assert not [element for element in root.iter() if element.tag in (f"{SVG}script", f"{SVG}b", f"{SVG}i")]
    assert any('<b>& 2"' in "".join(element.itertext()) for element in root.iter(f"{SVG}text"))
