"""What a search tries next. Pure: nothing runs here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from test_apply import IR, KERAS, LEGACY, LOWER, OLD_PROTOBUF, RENAME, SIMPLIFY, cell, outcome, table

from matrix.answers.remedies.apply import Table
from matrix.answers.remedies.search import RemedySearch, to_locate
from matrix.answers.remedies.trials import MAX_CHANGES, MAX_TRIALS, Trial, next_trial
from matrix.judging.judge import EXPORTER_LEG
from matrix.judging.remedy_changes import Change
from matrix.judging.signature_file import Remedy
from matrix.planning import Plan
from matrix.planning.cells import Cell

__all__ = ["table"]


class Tried:
    """A cell and the trials of it so far."""

    def __init__(self, table: Table, of: Cell, *changes: Change, verdict: Any = "error", **more: Any) -> None:
        self.table = table
        self.trials = [Trial(of, (), outcome(of, verdict, *changes, **more))]

    @property
    def next(self) -> tuple[Change, ...] | None:
        found = next_trial(self.trials, self.table)
        return None if found is None else found[1]

    def came_out(self, verdict: Any, *changes: Change, **more: Any) -> Tried:
        """What is next was tried, and came out like this."""
        found = next_trial(self.trials, self.table)
        assert found is not None
        self.trials.append(Trial(*found, outcome(found[0], verdict, *changes, **more)))
        return self


@pytest.mark.parametrize("verdict", ["match", "unavailable", "infra"])
def test_nothing_is_tried_for_what_has_not_failed(table: Table, verdict: Any) -> None:
    assert Tried(table, cell(table), IR, verdict=verdict).next is None


@pytest.mark.parametrize("verdict", ["error", "unsupported", "crash", "oom", "timeout", "unsatisfiable", "mismatch"])
def test_what_failed_is_tried_with_its_remedies_in_their_order(table: Table, verdict: Any) -> None:
    tried = Tried(table, cell(table), LOWER, IR, SIMPLIFY, verdict=verdict)
    assert tried.next == (IR,)  # of the exporter's opsets none is low enough
    assert tried.came_out("error").next == (SIMPLIFY,)
    assert tried.came_out("error").next is None


def test_a_remedy_without_a_change_is_for_people(table: Table) -> None:
    of = cell(table)
    result = outcome(of)
    judgement = replace(result.judgement, remedies=(Remedy("pray", "pray"),))
    assert next_trial([Trial(of, (), replace(result, judgement=judgement))], table) is None


def test_breadth_before_depth(table: Table) -> None:
    tried = Tried(table, cell(table), IR, SIMPLIFY).came_out("error", RENAME)
    assert tried.next == (SIMPLIFY,)
    assert tried.came_out("error").next == (IR, RENAME)


def test_what_is_next_is_what_the_changed_cell_fails_of(table: Table) -> None:
    tried = Tried(table, cell(table), IR).came_out("error", LEGACY).came_out("error", KERAS)
    found = next_trial(tried.trials, table)
    assert found is not None and found[1] == (IR, LEGACY, KERAS)
    assert [step.words for step in found[0].changes] == ["ir_version 10→8", "TF_USE_LEGACY_KERAS=1", "tf-keras~=2.8.0"]


def test_no_more_changes_together_than_so_many(table: Table) -> None:
    tried = Tried(table, cell(table), IR).came_out("error", SIMPLIFY).came_out("error", RENAME)
    assert tried.came_out("error", LEGACY).next is None
    assert max(len(trial.changes) for trial in tried.trials) == MAX_CHANGES


def test_no_more_trials_than_so_many(table: Table) -> None:
    changes = [Change("environ", (("VARIABLE", str(number)),)) for number in range(MAX_TRIALS + 1)]
    tried = Tried(table, cell(table), *changes)
    for _ in range(MAX_TRIALS):
        tried.came_out("error")
    assert tried.next is None


def test_the_parts_of_what_works_are_tried_beyond_that_many(table: Table) -> None:
    """A triple is recommended only where none of its parts would do."""
    others = [Change("environ", (("VARIABLE", str(number)),)) for number in range(MAX_TRIALS - 3)]
    tried = Tried(table, cell(table), IR, *others).came_out("error", SIMPLIFY)
    for _ in others:
        tried.came_out("error")
    tried.came_out("error", RENAME)
    assert tried.next == (IR, SIMPLIFY, RENAME)
    tried.came_out("match")
    assert len(tried.trials) > MAX_TRIALS
    for part in ((SIMPLIFY,), (RENAME,), (IR, RENAME), (SIMPLIFY, RENAME)):
        assert tried.next == part
        tried.came_out("error")
    assert tried.next is None


def test_one_change_that_works_ends_it(table: Table) -> None:
    assert Tried(table, cell(table), IR, SIMPLIFY).came_out("match").next is None


def test_of_changes_that_work_together_each_is_tried_alone(table: Table) -> None:
    tried = Tried(table, cell(table), IR).came_out("error", SIMPLIFY).came_out("match")
    assert tried.next == (SIMPLIFY,)  # the other is known to fail alone
    assert tried.came_out("error").next is None


def test_of_three_that_work_together_every_part_is_tried_until_one_does(table: Table) -> None:
    tried = Tried(table, cell(table), IR).came_out("error", SIMPLIFY).came_out("error", RENAME).came_out("match")
    seen: list[Sequence[Change] | None] = []
    for verdict in ("error", "error", "match"):
        seen.append(tried.next)
        tried.came_out(verdict)
    assert seen == [(SIMPLIFY,), (RENAME,), (IR, RENAME)] and tried.next is None


def test_a_part_is_made_where_it_was_made_in_the_whole(table: Table) -> None:
    """What the converter needed is not added to the exporter, though the bare cell failed there."""
    numpy = Change("add", (("numpy", "<2"),))
    of = cell(table, "torch-1.2.0", 9, "new")
    tried = Tried(table, of, numpy, role="exporter").came_out("error", OLD_PROTOBUF).came_out("match")
    found = next_trial(tried.trials, table)
    assert found is None or (found[0].converter.add, found[0].exporter_row) == ({"protobuf": "<4"}, None)


def test_two_ways_to_the_same_cell_are_tried_once(table: Table) -> None:
    of = cell(table, "torch-2.13.0-torchscript", 18)
    tried = Tried(table, of, LOWER, Change("opset", "<16"), Change("opset", "<9")).came_out("error")
    assert tried.next == (Change("opset", "<9"),)


def test_what_says_nothing_leads_nowhere_and_the_rest_goes_on(table: Table) -> None:
    tried = Tried(table, cell(table), IR, SIMPLIFY).came_out("infra", RENAME)
    assert tried.next == (SIMPLIFY,)
    assert tried.came_out("error").next is None


# --- the node at which numbers part, and both searches together ------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "leg", "worst", "located"),
    [
        ("mismatch", "onnxruntime-tensorflow", "3/y", 3),
        ("mismatch", "onnxruntime-tensorflow", "2/a/b", 2),
        ("mismatch", "onnxruntime-tensorflow", None, 0),
        ("mismatch", EXPORTER_LEG, "3/y", None),
        ("error", None, None, None),
        ("match", None, None, None),
    ],
)
def test_which_case_is_looked_into(
    table: Table, verdict: Any, leg: str | None, worst: str | None, located: int | None
) -> None:
    of = cell(table)
    found = to_locate(of, outcome(of, verdict, leg=leg, worst=worst))
    assert (found and found.locate) == located
    if found is not None:
        assert found.id == f"{of.id}+located" and replace(found, base=None, locate=None) == of


def searches(table: Table, *cells: Cell, remedy: bool = True) -> RemedySearch:
    return RemedySearch(Plan(cells, "full"), table, remedy)


def test_both_searches_of_all_cells_go_into_one_plan(table: Table) -> None:
    wrong, broken, fine = (cell(table, converter=name) for name in ("old", "mid", "new"))
    results = [
        outcome(wrong, "mismatch", leg="onnxruntime-tensorflow"),
        outcome(broken, "error", IR),
        outcome(fine, "match"),
    ]
    both = searches(table, wrong, broken, fine)
    assert [item.id for item in both.next(results)] == [f"{wrong.id}+located", f"{broken.id}+ir_version-10-5"]
    # Asked for once, even where nothing came of it.
    assert both.next(results) == ()
    assert [item.locate is not None for item in searches(table, wrong, broken, remedy=False).next(results)] == [True]


def test_nothing_is_looked_for_in_what_the_plan_does_not_name(table: Table) -> None:
    of = cell(table)
    assert searches(table, cell(table, converter="old")).next([outcome(of, "error", IR)]) == ()
