"""Pick: constraints, candidates, their ranking, and the search. Nothing is run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import small
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from test_apply import IR, outcome

from converter.rewriting import lowering, spelling
from matrix.answers.evidence import Entry, Evidence, Profile
from matrix.answers.pick import choose, search
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.choose import Picked
from matrix.answers.pick.constraints import Constraint, read_constraint
from matrix.answers.pick.derived_rows import derived_rows
from matrix.answers.pick.ranking import PickRequest, Ranked, overall, preferred, rank, relaxations
from matrix.answers.pick.search import Picks
from matrix.answers.prediction import Eased, Prediction, predictor
from matrix.answers.remedies.apply import Table
from matrix.app.project import Project
from matrix.cli import pick as picking
from matrix.core.errors import Indeterminate, LockStale, UsageError
from matrix.families.onnx_tf import OnnxTf
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.packages.index import IndexSettings
from matrix.planning.cells import Cell
from matrix.store.state import State
from matrix.table.exporters import from_file
from matrix.table.model import Config

ONNX_TF = OnnxTf()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small.config(tmp_path)


@pytest.fixture
def candidates(config: Config) -> Candidates:
    return Candidates(config, small.locks(config), None)


def cells(candidates: Candidates, *constraints: Constraint) -> tuple[Cell, ...]:
    return candidates.cells(candidates.config.models[0], constraints)


# --- constraints


@pytest.mark.parametrize(
    ("text", "meant"),
    [("3.9", "==3.9.*"), ("2.8.1", "==2.8.1"), ("<2", "<2"), (">=3.8,<3.11", "<3.11,>=3.8"), ("2", "==2.*")],
)
def test_a_bare_version_means_any_release_of_it(text: str, meant: str) -> None:
    assert read_constraint("tensorflow", text).versions == SpecifierSet(meant)


def test_a_malformed_range_is_reported_with_its_option() -> None:
    with pytest.raises(UsageError, match="--numpy 'new'"):
        read_constraint("numpy", "new")


def test_a_constraint_applies_to_the_environments_where_it_decides(candidates: Candidates) -> None:
    locks = candidates.locks
    both: Any = {"exporter": locks["torch-1.12.1"], "converter": locks["old"]}
    replaced = {"tensorflow": "tensorflow-cpu"}
    assert read_constraint("tensorflow", "1.13").holds(both, replaced, ONNX_TF)
    assert not read_constraint("tensorflow", ">=2").holds(both, replaced, ONNX_TF)
    assert not read_constraint("torch", "<1.12").holds(both, replaced, ONNX_TF)
    # torch-1.12.1 is on 3.9, old on 3.8: Python is constrained in both.
    assert not read_constraint("python", "3.8").holds(both, replaced, ONNX_TF)
    assert read_constraint("python", ">=3.8").holds(both, replaced, ONNX_TF)
    # A package that is not installed anywhere does not satisfy a constraint.
    assert not read_constraint("numpy", "<2").holds(both, replaced, ONNX_TF)


def test_a_distribution_in_a_packages_place_counts_for_it(config: Config) -> None:
    lock = small.lock("old", body=f"tensorflow-cpu==2.8.0 \\\n    {small.HASH}\n")
    constraint = read_constraint("tensorflow", "2.8")
    assert constraint.holds({"converter": lock}, {"tensorflow": "tensorflow-cpu"}, ONNX_TF)
    assert not constraint.holds({"converter": lock}, {}, ONNX_TF)


# --- candidates


def test_candidates_are_all_that_the_converters_onnx_can_read(candidates: Candidates) -> None:
    found = cells(candidates)
    assert {cell.converter.id for cell in found} == {"old", "new"}
    assert max(cell.opset for cell in found if cell.converter.id == "old") == 10
    assert not any(cell.exporter.via == "dynamo" for cell in found)  # it writes nothing that either of them reads
    assert len({cell.id for cell in found}) == len(found)


def test_candidates_are_within_the_constraints(candidates: Candidates) -> None:
    found = cells(candidates, read_constraint("tensorflow", ">=2"), read_constraint("torch", "1.12"))
    assert {(cell.exporter.id, cell.converter.id) for cell in found} == {("torch-1.12.1", "new")}


def test_an_unsatisfiable_row_is_not_a_candidate(config: Config) -> None:
    locks = {**small.locks(config), "new": small.lock("new", body="", explanation="no")}
    found = Candidates(config, locks, None).cells(config.models[0])
    assert {cell.converter.id for cell in found} == {"old"}


def test_a_file_has_no_exporter_to_choose(candidates: Candidates) -> None:
    model = candidates.config.models[0].model_copy(update={"factory": None, "onnx": "net.onnx", "builder": None})
    assert [cell.converter.id for cell in candidates.cells(model)] == ["old", "new"]
    assert candidates.cells(model, (read_constraint("torch", "1.12"),)) == ()


def test_one_environment_has_the_pins_of_both_rows(config: Config) -> None:
    candidates = Candidates(config, small.locks(config), "cpu")
    cell = next(cell for cell in cells(candidates) if cell.exporter.torch == "2.13.0" and cell.converter.id == "new")
    joined = candidates.joined(cell, (read_constraint("numpy", "<2"), read_constraint("python", "3.9")))
    assert joined.exporter.row == joined.converter.id
    assert joined.converter.pins == {"onnx-tf": "1.10.0", "onnx": "1.10", "tensorflow": "2.8.0", "torch": "2.13.0"}
    assert joined.converter.add == {"torch": "===2.13.0+cpu", "numpy": "<2"}
    assert joined.converter.python == cell.python


# --- ranking


def predicted(probability: float) -> Prediction:
    return Prediction(probability, (), ())


def test_likely_ones_come_first_and_then_the_newest(candidates: Candidates) -> None:
    chances = {"old": 0.95, "new": 0.4}
    newest = preferred("newest", ())
    ranked = rank(cells(candidates), lambda cell: predicted(chances[cell.converter.id]), newest)
    assert [item.cell.converter.id for item in (ranked[0], ranked[-1])] == ["old", "new"]
    assert ranked[0].cell.exporter.torch == "2.13.0" and ranked[0].cell.opset == 10
    chances["new"] = 0.91
    ranked = rank(cells(candidates), lambda cell: predicted(chances[cell.converter.id]), newest)
    assert ranked[0].cell.converter.id == "new"


def entry(cell: Cell, verdict: Any = "match", **changes: Any) -> Entry:
    facts: dict[str, Any] = {
        "remedies": (), "margin": None,
        "inference_seconds": None, "converter_mb": None, "exporter_mb": None, "exporter_lock": "",
        "converter_lock": "", "date": dt.date(2026, 1, 1), "run": 1,
    }  # fmt: skip
    known = {"model": cell.model.id, "exporter": cell.exporter.id, "opset": cell.opset, "converter": cell.converter.id}
    said = {name: changes.pop(name) for name in ("role", "stage", "reason", "said") if name in changes}
    return Entry(cell=cell.id, finding=Finding(verdict, **said), **{**known, **facts, **changes})


@pytest.mark.parametrize(
    ("preference", "better"),
    [
        ("smallest", {"converter_mb": 10.0}),
        ("fastest", {"inference_seconds": 0.1}),
        ("most-accurate", {"margin": 90.0}),
    ],
)
def test_a_preference_uses_measurements(candidates: Candidates, preference: Any, better: dict[str, float]) -> None:
    usual = {"converter_mb": 20.0, "exporter_mb": 1.0, "inference_seconds": 0.2, "margin": 9.0}
    old, new = (next(cell for cell in cells(candidates) if cell.converter.id == name) for name in ("old", "new"))
    key = preferred(preference, [entry(old, **{**usual, **better}), entry(new, **usual)])
    assert key(old) < key(new)
    key = preferred(preference, [entry(old, **usual), entry(new, **{**usual, **better})])
    assert key(new) < key(old)


def test_speed_is_compared_on_the_same_model(candidates: Candidates) -> None:
    """A converter that was only measured with a small model is not the fastest."""
    config = candidates.config
    old, new = (next(cell for cell in cells(candidates) if cell.converter.id == name) for name in ("old", "new"))
    large = config.models[1]
    entries = [
        entry(old, inference_seconds=0.2),
        entry(new, inference_seconds=0.1),
        entry(replace(new, model=large), inference_seconds=50.0),
    ]
    key = preferred("fastest", entries)
    assert key(new) < key(old)


def test_the_best_toolchain_of_the_zoo_matched_most_models(candidates: Candidates) -> None:
    config = candidates.config
    old, new = (next(cell for cell in cells(candidates) if cell.converter.id == name) for name in ("old", "new"))
    entries = [entry(old), entry(replace(old, model=config.models[1])), entry(new), entry(new, "error", model="other")]
    found = overall(cells(candidates), entries, preferred("newest", ()), frozenset({"net", "other"}))
    assert [(item.cell.converter.id, item.matched, item.failed) for item in found] == [
        ("old", ("net", "other"), ()),
        ("new", ("net",), ("other",)),
    ]
    assert not overall(cells(candidates), [entry(new, "infra")], preferred("newest", ()), frozenset({"net"}))


# --- search


class ScriptedSearch:
    """A search whose conversions have given results."""

    def __init__(self, candidates: Candidates, probabilities: Sequence[float], **more: Any) -> None:
        self.cells = cells(candidates)[: len(probabilities)]
        ranked = [Ranked(cell, predicted(p)) for cell, p in zip(self.cells, probabilities, strict=True)]
        self.picks = Picks(ranked, Table(candidates.config, candidates.locks), **more)
        self.results: list[CellResult] = []

    def next(self) -> str | None:
        found = self.picks.next(self.results)
        self.asked = found[0] if found else None
        return found[0].id if found else None

    def result(self, verdict: Any, *changes: Any, **more: Any) -> ScriptedSearch:
        assert self.asked is not None
        result = outcome(self.asked, verdict, *changes, **more)
        result = replace(result, record=small.cell_record(self.asked.id))
        if self.asked.base is None:
            self.results.append(result)
        else:
            of = next(item for item in self.results if item.record.cell == self.asked.base)
            self.results[self.results.index(of)] = replace(of, tried=(*of.tried, result))
        return self


def test_the_first_that_matches_ends_the_search(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.8])
    assert search.next() == search.cells[0].id
    assert search.result("match").next() is None
    assert [proof.cell.id for proof in search.picks.proven(search.results)] == [search.cells[0].id]


def test_as_many_are_proven_as_are_asked_for(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.9, 0.9], prove=2)
    search.next()
    assert search.result("match").next() == search.cells[1].id
    assert search.result("match").next() is None


def test_an_indeterminate_result_does_not_lower_other_candidates(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.9])
    search.next()
    assert search.result("infra").next() == search.cells[1].id


def test_the_search_ends_at_its_limit(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.9, 0.9], limit=2)
    search.next()
    search.result("error").next()
    assert search.result("error").next() is None
    assert not search.picks.proven(search.results)


def test_a_remedy_is_tried_before_unlikely_candidates(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.1])
    search.next()
    changed = search.result("error", IR).next()
    assert changed is not None and changed.startswith(f"{search.cells[0].id}+")
    assert search.result("match").next() is None
    (proof,) = search.picks.proven(search.results)
    assert [step.kind for step in proof.cell.changes] == ["ir_version"]


def test_without_remedies_unlikely_candidates_are_tried(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.1], remedy=False)
    search.next()
    assert search.result("error", IR).next() == search.cells[1].id


def test_a_failure_lowers_candidates_with_the_same_file_or_release(candidates: Candidates) -> None:
    """Of two equally likely candidates, the one that shares nothing with the failed one is next."""
    found = cells(candidates)
    old = [cell for cell in found if cell.converter.id == "old"][:2]
    new = next(cell for cell in found if cell.converter.id == "new" and cell.opset != old[0].opset)
    picks = Picks(
        [Ranked(cell, predicted(0.9)) for cell in (old[0], old[1], new)], Table(candidates.config, candidates.locks)
    )
    assert picks.next([]) == (old[0],)
    failed = replace(outcome(old[0], "unsupported"), record=small.cell_record(old[0].id))
    assert picks.next([failed]) == (new,)


def test_a_candidate_lowered_by_a_failure_is_tried_once(candidates: Candidates) -> None:
    search = ScriptedSearch(candidates, [0.9, 0.9, 0.9], remedy=False)
    asked = []
    while (name := search.next()) is not None and len(asked) < 9:
        asked.append(name)
        search.result("unsupported")
    assert sorted(asked) == sorted(cell.id for cell in search.cells)


def test_an_export_that_failed_is_not_tried_again(candidates: Candidates) -> None:
    found = cells(candidates)
    first = found[0]
    same = next(cell for cell in found if cell.converter.id == "new" and cell.opset == first.opset)
    assert same.exporter.id == first.exporter.id
    picks = Picks([Ranked(cell, predicted(0.9)) for cell in (first, same)], Table(candidates.config, candidates.locks))
    picks.next([])
    failed = replace(outcome(first, "error", role="exporter"), record=small.cell_record(first.id))
    assert picks.next([failed]) == ()


# --- an .onnx file of the user's


class FileSearch(ScriptedSearch):
    """A search for a file that leaves sizes open, with a candidate for each of `releases` of the converter."""

    FACTS: ClassVar = {"unfit_names": 2, "sizes": {"n": 1}, "operators": {"GRU": 1}}

    def __init__(self, candidates: Candidates, chances: Sequence[tuple[float, float]], releases: Sequence[str]) -> None:
        super().__init__(candidates, [])
        row = next(row for row in candidates.config.converters if row.id == "new")
        rows = [
            row.model_copy(update={"id": f"row{number}", "pins": {**row.pins, "onnx-tf": release}})
            for number, release in enumerate(releases)
        ]
        config = candidates.config.model_copy(update={"converters": (*candidates.config.converters, *rows)})
        file = from_file(config)
        self.cells = tuple(Cell(config.models[0], file, 0, one, "3.9") for one in rows)
        ranked = [
            Ranked(cell, predicted(plain), Eased(9, predicted(eased)) if eased else None)
            for cell, (plain, eased) in zip(self.cells, chances, strict=True)
        ]
        self.picks = Picks(ranked, Table(config, candidates.locks))

    def failed(self, verdict: Any = "error", reason: str = "a-reason") -> str | None:
        return self.result(verdict, facts=self.FACTS, reason=reason).next()

    @property
    def changes(self) -> list[str]:
        assert self.asked is not None
        return [kind for kind, _ in self.asked.alterations]


def test_a_file_is_changed_at_once_as_what_is_written_in_it_demands(candidates: Candidates) -> None:
    search = FileSearch(candidates, [(0.1, 0.9)], ["1.10.0"])
    assert search.next() == search.cells[0].id
    search.failed()
    assert search.changes[0] == "spell" and {"opset", "rename"} <= {*search.changes} and "fix" not in search.changes
    search.failed(reason="another")
    # Only then its sizes are fixed: that is taken out of the user's hands.
    assert search.changes[0] == "fix"


def test_a_file_that_may_be_translated_is_as_likely_as_its_translation(candidates: Candidates) -> None:
    search = FileSearch(candidates, [(0.5, 0.0), (0.1, 0.95)], ["1.9.0", "1.10.0"])
    assert search.next() == search.cells[1].id


def test_what_the_converter_itself_refuses_strikes_out_its_release(candidates: Candidates) -> None:
    search = FileSearch(candidates, [(0.9, 0), (0.9, 0), (0.5, 0)], ["1.10.0", "1.10.0", "1.9.0"])
    search.next()
    # With the names made valid, and folded; then the other release.
    asked = [search.failed("unsupported") for _ in range(3)]
    assert asked[-1] == search.cells[2].id


def test_what_two_rows_of_a_release_die_of_strikes_out_the_third(candidates: Candidates) -> None:
    search = FileSearch(candidates, [(0.9, 0)] * 3 + [(0.3, 0)], ["1.10.0"] * 3 + ["1.9.0"])
    asked = [search.next()]
    while (name := search.failed()) is not None and len(asked) < 12:
        asked.append(name)
    bases = list(dict.fromkeys(str(name).split("+")[0] for name in asked))
    assert search.cells[1].id in bases and search.cells[2].id not in bases and search.cells[3].id in bases


def test_hopeless_candidates_are_not_all_tried(candidates: Candidates) -> None:
    search = FileSearch(candidates, [(0.01, 0)] * 6, [f"1.{number}.0" for number in range(6)])
    asked = [search.next()]
    while (name := search.failed("unsupported")) is not None and len(asked) < 12:
        asked.append(name)
    assert len({str(name).split("+")[0] for name in asked}) == 1


def test_an_environment_that_never_works_is_not_tried(candidates: Candidates) -> None:
    assert FileSearch(candidates, [(0.0, 0)], ["1.10.0"]).next() is None


# --- derived rows and relaxations


def released(package: str) -> dict[Version, dt.date]:
    versions = {"tensorflow": ["2.8.0", "2.11.0", "2.11.1", "2.12.0"], "numpy": ["1.17.0", "1.19.0", "2.0.0"]}[package]
    return {Version(text): dt.date(2018 + number, 6, 1) for number, text in enumerate(versions)}


def test_rows_are_derived_from_the_closest_ones(config: Config) -> None:
    rows = derived_rows(config, small.locks(config), (read_constraint("tensorflow", "2.11"),), released)
    assert rows and all(row.pins["tensorflow"] == "2.11.1" for row in rows)
    assert rows[0].id.startswith("new+")


def test_a_python_that_no_row_has_is_left_to_the_resolver(config: Config) -> None:
    rows = derived_rows(config, small.locks(config), (read_constraint("python", "3.9"),), released)
    assert {row.python for row in rows} == {"3.9"}
    assert all(row.as_of is None and row.id.endswith("+python3.9") for row in rows)


def test_a_range_of_an_unpinned_package_applies_to_both_sides(config: Config) -> None:
    rows = derived_rows(config, small.locks(config), (read_constraint("numpy", "<2"),), released)
    assert {row.add["numpy"] for row in rows} == {"<2"}
    assert {type(row).__name__ for row in rows} == {"ConverterRow", "ExporterRow"}
    old = next(row for row in rows if row.id.startswith("old"))
    assert (old.python, old.as_of) == ("3.8", dt.date(2019, 8, 20))


def test_a_range_released_after_a_row_moves_its_date(config: Config) -> None:
    rows = derived_rows(config, small.locks(config), (read_constraint("numpy", ">=2"),), released)
    old = next(row for row in rows if row.id.startswith("old"))
    assert old.as_of == dt.date(2020, 6, 1) + dt.timedelta(days=config.resolver.margin_days)


def test_no_row_is_derived_for_a_python_that_the_table_does_not_have(config: Config) -> None:
    assert derived_rows(config, small.locks(config), (read_constraint("python", "3.13"),), released) == ()


def test_the_least_is_given_up_and_the_nearest_proposed(candidates: Candidates) -> None:
    old, new = (next(cell for cell in cells(candidates) if cell.converter.id == name) for name in ("old", "new"))
    tensorflow, python = read_constraint("tensorflow", "2.11"), read_constraint("python", "3.9")

    def ranked(kept: Sequence[Constraint]) -> list[Ranked]:
        return [] if tensorflow in kept else [Ranked(old, predicted(0.99)), Ranked(new, predicted(0.9))]

    ((given_up, found),) = relaxations((tensorflow, python), ranked)
    assert given_up == (tensorflow,)
    assert [item.cell.converter.id for item in found] == ["new", "old"]


def test_two_are_given_up_where_one_is_not_enough(candidates: Candidates) -> None:
    constraints = tuple(read_constraint(name, "1.0") for name in ("onnx", "torch", "numpy"))
    found = cells(candidates)

    def ranked(kept: Sequence[Constraint]) -> list[Ranked]:
        return [Ranked(found[0], predicted(0.9))] if [item.name for item in kept] == ["torch"] else []

    assert [[item.name for item in given_up] for given_up, _ in relaxations(constraints, ranked)] == [["onnx", "numpy"]]


def test_unlikely_toolchains_are_not_recommended(candidates: Candidates) -> None:
    found = cells(candidates)
    assert relaxations((read_constraint("onnx", "1"),), lambda kept: [Ranked(found[0], predicted(0.1))]) == []


# --- everything together


class Runs:
    """A project and its run, in which every conversion has the given verdict."""

    def __init__(self, config: Config, verdict: Any) -> None:
        self.offered = self.config = config
        self.locks, self.build, self.number = small.locks(config), None, 1
        self.given: tuple[Any, ...] = ()
        self.runtime = self.store = self.events = self.options = self
        self.verdict = verdict
        self.asked: list[Cell] = []
        self.read: list[Cell] = []

    def say(self, text: str) -> None:
        pass

    def locked(self, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        return tuple(cells)

    def run(self, cells: Sequence[Cell], exports_only: bool = False) -> bool:
        (self.read if exports_only else self.asked).extend(cells)
        return True

    def cells(self, run: int) -> list[Any]:
        return []

    def observations(self, ids: Any) -> dict[int, Any]:
        return {}

    def results(self) -> list[CellResult]:
        found = [outcome(cell, self.verdict) for cell in self.asked]
        return [
            replace(result, record=small.cell_record(cell.id)) for cell, result in zip(self.asked, found, strict=True)
        ]


@pytest.fixture
def pick_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Picked]:
    def find(
        runs: Any, *constraints: Constraint, known: Evidence | None = None, rows: Any = (), **wanted: Any
    ) -> Picked:
        monkeypatch.setattr(choose, "derived_rows", lambda *_: rows)
        monkeypatch.setattr(choose, "_releases", lambda _: released)
        what = PickRequest(runs.config.models[0], constraints, remedy=False, **wanted)
        return choose.pick(runs, what, runs, known or Evidence())

    return find


def test_no_toolchain_is_tried_twice(config: Config, pick_with: Callable[..., Picked]) -> None:
    """A toolchain that satisfied all constraints and failed is not tried again when one of them is given up."""
    runs = Runs(config, "unsupported")
    constraints = read_constraint("tensorflow", "2.8"), read_constraint("torch", "1.12")
    picked = pick_with(runs, *constraints, limit=100)
    names = [cell.id for cell in runs.asked]
    assert len(set(names)) == len(names) == picked.asked > len(picked.ranked)
    assert {cell.converter.id for cell in runs.asked} == {"old", "new"}


def test_a_model_named_on_the_spot_is_read_again_despite_evidence_under_its_name(
    config: Config, pick_with: Callable[..., Picked]
) -> None:
    known = Evidence(profiles={("net", "torch-1.12.1", 9): Profile("net", "torch-1.12.1", 9, 9, 4, ())})
    of_the_table, on_the_spot = Runs(config, "match"), Runs(config, "match")
    on_the_spot.given = (config.models[0],)
    pick_with(of_the_table, known=known)
    pick_with(on_the_spot, known=known)
    assert not of_the_table.read and on_the_spot.read


def test_rows_that_cannot_be_locked_do_not_end_the_search(
    config: Config, pick_with: Callable[..., Picked], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise LockStale("a lock is missing")

    runs = Runs(config, "match")
    monkeypatch.setattr(runs, "adopt", refused, raising=False)
    picked = pick_with(runs, read_constraint("numpy", ">=3"), rows=(config.converters[0],))
    assert [item.name for item in picked.given_up] == ["numpy"] and picked.proofs


def test_the_limit_covers_all_parts_of_the_search(config: Config, pick_with: Callable[..., Picked]) -> None:
    runs = Runs(config, "unsupported")
    pick_with(runs, read_constraint("tensorflow", "2.8"), limit=2)
    assert len(runs.asked) == 2


def test_a_constraint_that_was_given_up_is_not_added_to_a_single_environment(
    config: Config, pick_with: Callable[..., Picked]
) -> None:
    runs = Runs(config, "match")
    picked = pick_with(runs, read_constraint("numpy", ">=3"), single=True)
    assert [item.name for item in picked.given_up] == ["numpy"]
    assert [cell.converter.add for cell in runs.asked] == [{}]


def test_proofs_stay_if_no_lock_can_be_made_for_more(
    config: Config, pick_with: Callable[..., Picked], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(config, "match")

    def locked(cells: Sequence[Cell]) -> tuple[Cell, ...]:
        if runs.asked:
            raise Indeterminate("the index does not answer")
        return tuple(cells)

    monkeypatch.setattr(runs, "locked", locked)
    assert len(pick_with(runs, prove=2).proofs) == 1


def test_the_chosen_build_of_a_derived_exporter_is_locked_and_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Project(small.table(tmp_path), State(tmp_path / "state"), IndexSettings(), torch_build="cpu")
    asked: list[str] = []

    def refresh(requests: Sequence[Any], folders: Any, variants: frozenset[str], *_: Any) -> list[Any]:
        asked.extend(request.name for request in requests if request.name in variants)
        return [small.lock(request.name, request.role) for request in requests]

    monkeypatch.setattr("matrix.app.project.refresh", refresh)
    known = next(row for row in session.config.exporters if row.builds)
    row = known.model_copy(update={"id": "made", "add": {"numpy": "<2"}})
    assert session.adopt([row], lambda _: None) == {"made": ""}
    assert asked == ["made.cpu"]
    locks = {**small.locks(session.stated), **session.locks}
    found = Candidates(session.offered, locks, session.build).cells(session.config.models[0])
    assert "made" in {cell.exporter.row for cell in found}


def test_a_row_made_by_a_remedy_is_not_a_candidate(tmp_path: Path) -> None:
    session = Project(small.table(tmp_path), State(tmp_path / "state"), IndexSettings())
    row = session.config.converters[0].model_copy(update={"id": "old+numpy-below-2", "add": {"numpy": "<2"}})
    session.added.searched[row.id] = row
    assert row in session.config.converters and row not in session.offered.converters


@pytest.mark.parametrize("more", [("--needs", "tflite"), ("--single-environment",)])
def test_offline_refuses_options_that_need_conversions(tmp_path: Path, more: tuple[str, ...]) -> None:
    where = ["--table", str(small.table(tmp_path)), "--state", str(tmp_path / "state")]
    done = CliRunner().invoke(picking.pick, ["--model", "net", "--offline", *more, *where])
    assert isinstance(done.exception, UsageError) and more[0] in str(done.exception)


def test_the_driver_knows_what_files_can_be_rewritten() -> None:
    """The code that rewrites runs in an environment; its operators are named once more where that is decided on."""
    assert {
        *(spelling._CHANGES.keys() - {"Pad", "Slice"}),
        *(f"com.microsoft.{operator}" for operator in spelling._FUSED),
    } == search._SPELLED
    assert lowering._CHANGES.keys() >= predictor._LOWERED
