"""Drift of a row: changes of its lock, incidents on the index, changed verdicts, and the report on them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from sqlalchemy import update
from sqlalchemy.orm import Session

from matrix.answers.blame.types import Changed
from matrix.answers.drift import document as view
from matrix.answers.drift.changes import LockChanges, lock_changes
from matrix.answers.drift.document import Totals, sentence
from matrix.answers.drift.gather import Past
from matrix.answers.drift.incidents import Incident, incidents
from matrix.answers.drift.report import RowDrift, row_drift
from matrix.environments.locks.request import Request
from matrix.history.then_and_now import DriftStanding, drift_standing
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.packages.index import Package
from matrix.packages.index.package import parse_page
from matrix.packages.lock import Lock
from matrix.store import Store
from matrix.store.schema import RunRow
from matrix.table.model import Verdict

DAY = dt.date(2024, 7, 1)
PY3 = "py3-none-any"


def sha(filename: str) -> str:
    return hashlib.sha256(filename.encode()).hexdigest()


def wheel(package: str, version: str, tags: str = PY3) -> str:
    return f"{package.replace('-', '_')}-{version}-{tags}.whl"


def lock(packages: Mapping[str, str], files: Mapping[str, tuple[str, ...]] | None = None, **more: Any) -> Lock:
    """A lock of pure wheels, or of the files given by package."""
    body = ""
    for package, version in packages.items():
        names = (files or {}).get(package, (wheel(package, version),))
        body += " \\\n".join([f"{package}=={version}", *(f"    --hash=sha256:{sha(name)}" for name in names)]) + "\n"
    facts: dict[str, Any] = {
        "name": "row",
        "role": "converter",
        "request": "",
        "python": "3.9",
        "as_of": DAY,
        "newest_pin": None,
        "resolver": "uv",
        "outcome": "resolved" if body else "unsatisfiable",
        "body": body,
    }
    return Lock(**(facts | more))


def request(*requirements: str, pinned: Mapping[str, str] | None = None, **more: Any) -> Request:
    facts: dict[str, Any] = {
        "name": "row",
        "role": "converter",
        "pinned": tuple((pinned or {}).items()),
        "requirements": requirements,
        "python": "3.9",
        "as_of": DAY,
        "pythons": ("3.9",),
        "margin_days": 14,
        "replace": (),
        "wheels_only": (),
        "find_links": True,
    }
    return Request(**(facts | more))


def package(name: str, *files: Mapping[str, Any] | str) -> Package:
    """A package, uploaded on 2024-01-01 by default."""
    items = []
    for file in files:
        given = {"filename": file} if isinstance(file, str) else dict(file)
        given.setdefault("upload-time", "2024-01-01T12:00:00Z")
        items.append({"hashes": {"sha256": sha(given["filename"])}, **given})
    return parse_page(name, {"files": items})


def pages(*packages: Package) -> dict[str, Package]:
    return {canonicalize_name(found.name): found for found in packages}


def told(found: tuple[Incident, ...]) -> list[tuple[str, str]]:
    return [(incident.kind, incident.text) for incident in found]


# --- changes of a lock


def test_packages_that_came_went_rose_and_fell() -> None:
    before = lock({"numpy": "1.9", "protobuf": "4.21.1", "six": "1.16", "tensorflow": "2.8.0", "flat": "1.10"})
    after = lock({"numpy": "1.26", "protobuf": "3.20.3", "six": "1.16", "tensorflow-cpu": "2.8.0", "flat": "1.10"})
    changes = lock_changes(before, after)
    assert changes == LockChanges(
        added=(Changed("tensorflow-cpu", None, "2.8.0"),),
        removed=(Changed("tensorflow", "2.8.0", None),),
        raised=(Changed("numpy", "1.9", "1.26"),),
        lowered=(Changed("protobuf", "4.21.1", "3.20.3"),),
    )
    assert changes and changes.packages == 4


def test_the_same_lock_and_the_first_one_show_no_change() -> None:
    one = lock({"numpy": "1.9"})
    assert not lock_changes(one, lock({"numpy": "1.9"}, as_of=dt.date(2025, 1, 1)))
    assert lock_changes(None, one) == LockChanges(first=True)
    assert not lock_changes(None, one)


def test_a_version_spelt_otherwise_is_the_same_and_other_files_are_told() -> None:
    before = lock({"onnx": "1.10", "six": "1.0"}, {"onnx": ("a",)})
    after = lock({"onnx": "1.10.0", "six": "1.0"}, {"onnx": ("a", "b")})
    assert lock_changes(before, after) == LockChanges(refiled=(Changed("onnx", "1.10", "1.10.0"),))


def test_a_solution_lost_or_found_is_all_that_is_told() -> None:
    some, none = lock({"numpy": "1.9"}), lock({}, explanation="no")
    assert lock_changes(some, none) == LockChanges(outcome=("resolved", "unsatisfiable"))
    assert lock_changes(none, some) == LockChanges(outcome=("unsatisfiable", "resolved"))
    assert not lock_changes(none, lock({}, explanation="no, still"))


# --- incidents


def test_nothing_is_told_of_a_lock_that_is_as_it_should_be() -> None:
    found = package("lib", wheel("lib", "1.0"), "lib-1.0.tar.gz")
    assert incidents(lock({"lib": "1.0"}), request("lib"), pages(found), lock({"lib": "1.0"})) == ()
    assert incidents(lock({"lib": "1.0"}), request("lib"), {}) == (), "nothing is known of it"


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        ({"pinned": {"lib": "1.0"}}, "the row pins it, so it is still installed"),
        ({"pinned": {"big": "1.0"}, "replace": (("big", "lib"),)}, "the row pins it, so it is still installed"),
        ({}, "this lock still installs it, but a new resolution would not choose it"),
    ],
)
def test_yanked(asked: dict[str, Any], end: str) -> None:
    page = package(
        "lib",
        {"filename": wheel("lib", "1.0"), "yanked": "does not\n import"},
        {"filename": "lib-1.0.tar.gz", "yanked": True},
    )
    (found,) = incidents(lock({"lib": "1.0"}), request(**asked), pages(page))
    assert found == Incident("yanked", "lib", "1.0", f"lib 1.0 was yanked (does not import); {end}")


def test_with_one_file_left_a_version_is_not_yanked() -> None:
    page = package("lib", {"filename": wheel("lib", "1.0"), "yanked": True}, "lib-1.0.tar.gz")
    assert "yanked" not in [incident.kind for incident in incidents(lock({"lib": "1.0"}), request(), pages(page))]


def test_a_row_without_a_solution_whose_pin_was_yanked_or_is_gone() -> None:
    page = package("lib", {"filename": wheel("lib", "1.0"), "yanked": True})
    found = incidents(lock({}), request(pinned={"Lib": "1.0", "other": "2.0"}), pages(page, package("other")))
    assert told(found) == [
        ("yanked", "lib 1.0 was yanked; the row pins it, and no solution exists"),
        ("file-gone", "other 2.0 is no longer on the index; all its versions are gone"),
    ]


THREE = (wheel("lib", "1.0", "cp39-cp39-manylinux2014_x86_64"), wheel("lib", "1.0", "cp38-cp38-win32"), "lib-1.0.zip")


@pytest.mark.parametrize(
    ("left", "text"),
    [
        ((THREE[0], THREE[2]), "1 of the 3 files of lib 1.0 is no longer on the index; a wheel for Python 3.9 remains"),
        (
            (THREE[1], THREE[2]),
            "1 of the 3 files of lib 1.0 is no longer on the index; only the source remains, no wheel for Python 3.9",
        ),
        (
            (THREE[1],),
            "2 of the 3 files of lib 1.0 are no longer on the index; nothing that Python 3.9 can install remains",
        ),
        ((wheel("lib", "1.1"),), "lib 1.0 is no longer on the index"),
        ((), "lib 1.0 is no longer on the index; all its versions are gone"),
    ],
)
def test_files_of_the_lock_that_are_gone(left: tuple[str, ...], text: str) -> None:
    found = incidents(lock({"lib": "1.0"}, {"lib": THREE}), request(), pages(package("lib", *left)))
    assert ("file-gone", text) in told(found)
    assert len([incident for incident in found if incident.kind == "file-gone"]) == 1


def test_a_new_file_beside_the_locked_ones_is_no_incident() -> None:
    page = package("lib", *THREE, wheel("lib", "1.0", "cp313-cp313-manylinux2014_x86_64"))
    assert incidents(lock({"lib": "1.0"}, {"lib": THREE}), request(), pages(page)) == ()


def test_what_may_come_from_elsewhere_or_has_no_hashes_is_not_gone() -> None:
    gone = package("lib", wheel("lib", "1.1"))
    assert incidents(lock({"lib": "1.0"}), request(), pages(gone), None, lambda package, version: True) == ()
    assert incidents(lock({"lib": "1.0+cpu"}), request(), pages(gone)) == (), "no index has local versions"
    unhashed = package("lib", {"filename": wheel("lib", "1.0"), "hashes": {}})
    assert incidents(lock({"lib": "1.0"}, {"lib": ("x",)}), request(), pages(unhashed)) == ()


def test_a_package_built_from_source() -> None:
    page = package("lib", "lib-1.0.tar.gz", wheel("lib", "1.0", "cp38-cp38-manylinux2014_x86_64"))
    (found,) = incidents(lock({"lib": "1.0"}, {"lib": ("lib-1.0.tar.gz",)}), request("lib"), pages(page))
    assert (found.kind, found.package, found.version, found.since) == ("sdist-only", "lib", "1.0", dt.date(2024, 1, 1))
    assert found.text == "lib 1.0 has no wheel for Python 3.9 on Linux x86-64: it is built from source"


def test_a_wheel_uploaded_later_does_not_count() -> None:
    late = {"filename": wheel("lib", "1.0"), "upload-time": "2024-07-01T00:00:00Z"}
    files = {"lib": ("lib-1.0.tar.gz",)}
    assert [
        i.kind for i in incidents(lock({"lib": "1.0"}, files), request(), pages(package("lib", "lib-1.0.tar.gz", late)))
    ] == ["sdist-only"]
    later = lock({"lib": "1.0"}, files, as_of=dt.date(2024, 7, 2))
    assert incidents(later, request(), pages(package("lib", "lib-1.0.tar.gz", late))) == ()


def test_the_newest_as_source_only_and_an_older_one_taken() -> None:
    page = package(
        "lib",
        wheel("lib", "1.0"),
        {"filename": "lib-2.0.tar.gz", "upload-time": "2024-05-05T00:00:00Z"},
        "lib-1.5.tar.gz",
    )
    (found,) = incidents(lock({"lib": "1.0"}), request("lib<3"), pages(page))
    assert found == Incident(
        "sdist-only",
        "lib",
        "1.0",
        "asked for lib<3, the newest is 2.0, which has no wheel for Python 3.9 on Linux x86-64, only the source: "
        "1.0 was chosen",
        dt.date(2024, 5, 5),
    )


@pytest.mark.parametrize(
    ("newer", "why"),
    [
        ({}, "it has a wheel for Python 3.9, so its dependencies conflict with the rest of the row"),
        ({"requires-python": ">=3.10"}, "it needs Python >=3.10, the row has 3.9"),
        (
            {"filename": wheel("lib", "2.0", "cp310-cp310-manylinux2014_x86_64")},
            "it has no wheel for Python 3.9 on Linux x86-64",
        ),
    ],
)
def test_a_silent_downgrade_and_its_cause(newer: dict[str, str], why: str) -> None:
    file = {"filename": wheel("lib", "2.0"), "upload-time": "2024-05-05T00:00:00Z", **newer}
    (found,) = incidents(lock({"lib": "1.0"}), request("lib"), pages(package("lib", wheel("lib", "1.0"), file)))
    text = f"asked for any lib, got 1.0; 2.0 exists: {why}"
    assert found == Incident("downgrade", "lib", "1.0", text, dt.date(2024, 5, 5))


def test_the_newest_that_would_fit_is_named_beside_the_newest() -> None:
    newest = {"filename": wheel("lib", "3.0"), "requires-python": ">=3.10"}
    page = package("lib", wheel("lib", "1.0"), wheel("lib", "2.0"), wheel("lib", "1.5"), newest)
    (found,) = incidents(lock({"lib": "1.0"}), request("lib"), pages(page))
    assert found.text.endswith("the row has 3.9; 2.0, which has a wheel for it, was not chosen either")


@pytest.mark.parametrize(
    ("asked", "newer"),
    [
        (request("lib==1.0"), {}),
        (request("lib===1.0"), {}),
        (request("other"), {}),
        (request("lib<2"), {}),
        (request("lib", constraints=("lib<2",)), {}),
        (request("lib"), {"yanked": True}),
        (request("lib"), {"filename": wheel("lib", "2.0rc1")}),
        (request("lib"), {"upload-time": "2024-07-01T00:00:00Z"}),
        (request("lib"), {"upload-time": None}),
    ],
)
def test_what_could_not_be_chosen_is_no_downgrade(asked: Request, newer: dict[str, Any]) -> None:
    file = {"filename": wheel("lib", "2.0"), "upload-time": "2024-05-05T00:00:00Z", **newer}
    found = incidents(lock({"lib": "1.0"}), asked, pages(package("lib", wheel("lib", "1.0"), file)))
    assert found == ()


def test_a_range_that_ends_in_a_star_is_not_exact() -> None:
    page = package("lib", wheel("lib", "1.0"), wheel("lib", "1.1"))
    (found,) = incidents(lock({"lib": "1.0"}), request("lib==1.*"), pages(page))
    assert found.text.startswith("asked for lib==1.*, got 1.0; 1.1 exists")


@pytest.mark.parametrize(
    ("newer", "cause"),
    [
        (({"filename": wheel("lib", "2.0"), "yanked": "bad"},), ": 2.0 was yanked (bad)"),
        ((), ": 2.0 is no longer on the index"),
        ((wheel("lib", "2.0"),), ""),
    ],
)
def test_lower_than_in_the_lock_before(newer: tuple[Any, ...], cause: str) -> None:
    page = package("lib", wheel("lib", "1.0"), *newer)
    found = incidents(lock({"lib": "1.0"}), request(), pages(page), lock({"lib": "2.0"}))
    assert told(found) == [("downgrade", f"lib was downgraded from 2.0 to 1.0{cause}")]


@pytest.mark.parametrize("asked", [request("lib<3"), request(constraints=("lib<3",))])
def test_lower_although_what_the_row_asks_for_allows_the_one_before(asked: Request) -> None:
    page = package("lib", wheel("lib", "1.0"), {"filename": wheel("lib", "2.0"), "yanked": "bad"})
    found = incidents(lock({"lib": "1.0"}), asked, pages(page), lock({"lib": "2.0"}))
    assert told(found) == [("downgrade", "lib was downgraded from 2.0 to 1.0: 2.0 was yanked (bad)")]


@pytest.mark.parametrize("asked", [request("lib<2"), request(constraints=("lib<2",))])
def test_what_the_row_holds_back_itself_is_no_incident(asked: Request) -> None:
    page = package("lib", wheel("lib", "1.0"), wheel("lib", "2.0"))
    assert incidents(lock({"lib": "1.0"}), asked, pages(page), lock({"lib": "2.0"})) == ()


def test_as_of_an_earlier_day_lower_versions_are_what_was_asked_for() -> None:
    before = lock({"lib": "2.0"}, as_of=dt.date(2024, 7, 2))
    assert incidents(lock({"lib": "1.0"}), request(), pages(package("lib", wheel("lib", "1.0"))), before) == ()


# --- cells


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ("match", "match", "works then and now"),
        ("match", "error", "worked then, broken now"),
        ("match", "unsatisfiable", "worked then, broken now"),
        ("mismatch", "match", "mended"),
        ("error", "crash", "never worked"),
        ("match", "infra", "not known"),
        ("unavailable", "match", "not known"),
        ("match", None, "not known"),
        (None, "error", "not known"),
    ],
)
def test_standing(then: Verdict | None, now: Verdict | None, expected: DriftStanding) -> None:
    assert drift_standing(then, now) == expected


MATCH = Finding("match")
PROTOBUF = Finding("error", "converter", "import", "protobuf-too-new", "The generated code needs an older protobuf")
NUMPY = Finding("error", "converter", "import", "numpy-too-new")
INFRA = Finding("infra", "converter", "build")


def drift(before: Mapping[str, Judgement], after: Mapping[str, Judgement], *found: Incident) -> RowDrift:
    older = lock({"numpy": "1.26.4", "protobuf": "3.20.3"}, as_of=dt.date(2024, 6, 30))
    return row_drift("row", older, lock({"numpy": "2.0.2", "protobuf": "3.20.3"}), before, after, found)


def test_cells_that_changed_and_cells_of_which_nothing_is_known() -> None:
    other_title = Finding("error", "converter", "import", "protobuf-too-new", "said otherwise")
    found = drift(
        {"a": MATCH, "b": PROTOBUF, "c": PROTOBUF, "d": MATCH, "e": INFRA, "f": MATCH, "g": MATCH, "h": PROTOBUF},
        {"a": PROTOBUF, "b": MATCH, "c": NUMPY, "d": INFRA, "e": MATCH, "g": MATCH, "h": other_title, "new": MATCH},
    )
    assert [(c.cell, c.broken, c.mended) for c in found.verdicts] == [
        ("a", True, False),
        ("b", False, True),
        ("c", False, False),
    ]
    assert found.unknown == ("d", "f")
    assert found.changes.raised == (Changed("numpy", "1.26.4", "2.0.2"),)
    assert (found.before, found.after) == (dt.date(2024, 6, 30), DAY)


def quiet() -> RowDrift:
    same = lock({"six": "1.0"})
    return row_drift("quiet", same, same, {"x": MATCH}, {"x": MATCH})


def test_a_row_is_quiet_where_nothing_came_of_time() -> None:
    assert not quiet()
    assert not row_drift("first", None, lock({"six": "1.0"}), {}, {"x": MATCH})
    assert drift({}, {})
    yank = Incident("yanked", "six", "1.0", "…")
    assert row_drift("row", lock({"six": "1.0"}), lock({"six": "1.0"}), {}, {}, (yank,))


# --- views


def test_the_report_on_the_terminal() -> None:
    yank = Incident("yanked", "numpy", "2.0.2", "numpy 2.0.2 was yanked; this lock still installs it")
    older = Incident("downgrade", "lib", "1", "asked for any lib, got 1; 2 exists: why", dt.date(2024, 2, 3))
    changed = drift({"a": MATCH, "b": MATCH, "c": NUMPY}, {"a": PROTOBUF, "b": PROTOBUF, "c": MATCH}, yank, older)
    text = view.text([changed, quiet()], {"b": "broken by protobuf\ncure: protobuf<4"})
    assert (
        text
        == """\
drift: 1 of 2 locks changed, 3 cells changed (2 broken, 1 mended), 2 new incidents

row as of 2024-07-01, before as of 2024-06-30
  raised: numpy 1.26.4 → 2.0.2
  yanked: numpy 2.0.2 was yanked; this lock still installs it
  downgrade: asked for any lib, got 1; 2 exists: why (since 2024-02-03)
  match → error converter/import protobuf-too-new (The generated code needs an older protobuf):
    b
      broken by protobuf
      cure: protobuf<4
    a
  error converter/import numpy-too-new → match:
    c

1 other row without changes"""
    )


def test_nothing_to_tell_is_one_line() -> None:
    assert view.text([quiet()]) == "drift: 0 of 1 lock changed, 0 cells changed, 0 new incidents"
    first = row_drift("first", None, lock({"six": "1.0"}), {}, {})
    assert "1 resolved for the first time" in view.text([first, quiet()])


def test_long_lists_are_cut_and_blamed_cells_are_not() -> None:
    names = {f"p{number:02}": "1.0" for number in range(20)}
    cells = {f"c{number:02}": MATCH for number in range(12)}
    found = row_drift("row", lock(names), lock(dict.fromkeys(names, "2.0")), cells, dict.fromkeys(cells, NUMPY))
    lines = view.text([found], {"c11": "blamed"}).splitlines()
    assert lines[3] == "  raised: " + ", ".join(f"p{number:02} 1.0 → 2.0" for number in range(8)) + " and 12 more"
    assert lines[5:7] == ["    c11", "      blamed"]
    assert lines[7:] == [*(f"    c{number:02}" for number in range(7)), "    … and 4 more"]


def test_what_is_built_from_source_is_told_in_one_line() -> None:
    built = [Incident("sdist-only", name, "1.0", "…", DAY, "no wheel, built from source") for name in ("gast", "wrapt")]
    same = lock({"six": "1.0"})
    text = view.text([row_drift("row", same, same, {}, {}, tuple(built))])
    assert "  sdist-only: gast 1.0, wrapt 1.0: no wheel, built from source" in text.splitlines()


def test_a_solution_that_is_lost_is_told_with_the_gist_of_why() -> None:
    none = lock({}, explanation="Python 3.9:\n  × No solution found\n" + "because of this and that " * 40)
    text = view.text([row_drift("row", lock({"six": "1.0"}), none, {"a": MATCH}, {"a": INFRA})])
    (line,) = (line for line in text.splitlines() if "solution" in line)
    assert line.startswith("  no longer has a solution: Python 3.9: × No solution found because") and line.endswith("…")
    assert len(line) < 340
    assert "  could not be measured: a" in text.splitlines()
    assert "  now has a solution" in view.text([row_drift("row", none, lock({"six": "1.0"}), {}, {})])


def test_a_verdict_that_changed_under_the_same_lock_says_so() -> None:
    same = lock({"six": "1.0"})
    text = view.text([row_drift("row", same, same, {"a": MATCH}, {"a": NUMPY})])
    assert "match → error converter/import numpy-too-new, with the lock of the last report:" in text


def test_the_document_has_it_all_as_data() -> None:
    yank = Incident("yanked", "numpy", "2.0.2", "numpy 2.0.2 was yanked", DAY)
    found = view.document([drift({"a": MATCH, "b": MATCH}, {"a": PROTOBUF}, yank), quiet()], {"a": "blamed"})
    assert json.loads(json.dumps(found)) == found
    assert found["schema"] == 1
    row, other = found["rows"]
    assert other["row"] == "quiet" and other["verdicts"] == []
    assert row["as_of"] == {"before": "2024-06-30", "after": "2024-07-01"}
    assert row["outcome"] is None and row["first"] is False
    assert row["packages"]["raised"] == [{"package": "numpy", "before": "1.26.4", "after": "2.0.2"}]
    assert row["incidents"] == [
        {
            "new": True,
            "kind": "yanked",
            "package": "numpy",
            "version": "2.0.2",
            "text": "numpy 2.0.2 was yanked",
            "since": "2024-07-01",
        }
    ]
    (change,) = row["verdicts"]
    assert (change["cell"], change["broken"], change["mended"], change["blame"]) == ("a", True, False, "blamed")
    assert change["before"]["verdict"] == "match"
    assert change["after"]["reason"] == "protobuf-too-new" and change["after"]["role"] == "converter"
    assert row["unknown"] == ["b"]


def test_what_was_told_before_goes_by_time_not_by_the_order_of_coming_in(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/matrix.db", tmp_path / "blobs")
    days = {"this": 3, "imported later": 2, "after it": 4}
    numbers = {}
    for name in days:
        numbers[name] = store.begin_run("drift", "venv", "run", 0, {"state": name}, "now", DAY)
        incident = {"kind": "yanked", "package": name, "version": "1"}
        store.keep_drift(numbers[name], {"rows": [{"row": "row", "incidents": [incident]}]})
    with Session(store._engine) as session, session.begin():
        for name, day in days.items():
            started = dt.datetime(2026, 1, day, tzinfo=dt.UTC)
            session.execute(update(RunRow).where(RunRow.id == numbers[name]).values(started=started))
    past = Past(None, store, None, numbers["this"])  # type: ignore[arg-type]
    assert past.reported({"row"}) == {("row", "yanked", "imported later", "1")}
    store.close()


@pytest.mark.parametrize(("broken", "mended"), [(1, 0), (0, 1)])
def test_one_kind_of_change_is_enough_to_be_named(broken: int, mended: int) -> None:
    totals = Totals(rows=2, locks=1, first=0, verdicts=1, broken=broken, mended=mended, unknown=0, incidents=0)
    assert sentence(totals) == (
        f"drift: 1 of 2 locks changed, 1 cell changed ({broken} broken, {mended} mended), 0 new incidents"
    )
