"""Pruning: changes stay forever, duplicates for a while, and every run shows the same as before."""

from __future__ import annotations

import datetime as dt
import os
from array import array
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from transfer_world import NEW, OTHER, World

from matrix.cli.history import history
from matrix.history.pruning import Pruned, prune, superfluous
from matrix.history.timelines import Conclusion, Timeline
from matrix.judging.cells import Judge
from matrix.judging.finding import Finding

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)


def nights(root: Path, story: str) -> World:
    """A run for each letter of the story of cell NEW: `m`atch, `x` mismatch, `c`rash, `i`nfra, `R` a failure with a
    remedy. Everything is measured again every night; OTHER always matches, on the same observations."""
    world = World(root)
    always: tuple[int, int, int] | None = None
    for night, letter in enumerate(story):
        run = world.run()
        export = world.add(run, "export", "e", 1, 2, log=f"{night}")
        reference = world.add(run, "reference", "r", 1, 2)
        always = always or (export, reference, world.add(run, "convert", "always", 1, 2))
        convert = {
            "m": lambda run, night: world.add(run, "convert", "c", 1, 2, log=f"night {night}"),
            "x": lambda run, night: world.add(run, "convert", "c", 1, 3 + night),
            "c": lambda run, _: world.dies(run, "c"),
            "i": lambda run, _: world.unmeasured(run, "c"),
            "R": lambda run, _: world.fails(run, "c", "no"),
        }[letter](run, night)
        world.cell(run, NEW, export, reference, convert)
        if letter == "R":
            cured = world.add(run, "convert", "cured", 1, 2, log=f"cured {night}")
            changes = (("add", "protobuf<4"),)
            world.cell(run, f"{NEW}+protobuf", export, reference, cured, base=NEW, changes=changes)
        world.cell(run, OTHER, *always)
        world.end(run)
    return world


def pruned(world: World, before: dt.datetime = LATER, for_good: bool = True) -> Pruned:
    return prune(world.store, Judge(world.config, world.store), {}, before, for_good)


def shown(world: World) -> dict[tuple[str, str], Any]:
    """Return conclusions without metrics: the numbers of a mismatch differ from night to night."""
    return {key: (found[0][:4], *found[1:]) for key, found in world.conclusions().items()}


def own_rows(world: World, cell: str) -> list[int]:
    """Return the runs that have their own row of a cell."""
    return [item.run for item in world.store.cell_history.each([run.id for run in world.store.runs()])
            if item.cell == cell and item.run == item.origin]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "kept"),
    [
        ("m", [1]),
        ("mm", [1, 2]),
        ("mmmm", [1, 4]),
        ("mmmccccm", [1, 3, 4, 7, 8]),
        ("mxmxm", [1, 2, 3, 4, 5]),
        ("xxxx", [1, 4]),
        ("mimim", [1, 2, 4, 5]),
        ("mmiimm", [1, 3, 4, 6]),
        ("iiii", [1, 2, 3, 4]),
        ("RRRRm", [1, 4, 5]),
    ],
)
def test_changes_stay_and_duplicates_go(tmp_path: Path, story: str, kept: list[int]) -> None:
    world = nights(tmp_path, story)
    before = shown(world)
    ids = world.store.cell_ids()
    newest = {run: len(cells) for run, cells in world.store.newest_cells(ids).items()}
    found = pruned(world)
    assert own_rows(world, NEW) == kept
    assert shown(world) == before
    assert found.cells == len(story) - len(kept) + max(0, len(story) - 2)
    assert [run for run, _ in world.store.history(NEW)] == list(range(len(story), 0, -1))
    assert {run: len(cells) for run, cells in world.store.newest_cells(ids).items()} == newest
    again = pruned(world)
    assert (again.cells, again.observations) == (0, 0)
    assert shown(world) == before


def test_what_a_search_did_is_shown_of_every_run(tmp_path: Path) -> None:
    world = nights(tmp_path, "RRRRm")
    pruned(world)
    for run, records in world.store.history(NEW)[1:]:
        assert [record.cell for record in records] == [NEW, f"{NEW}+protobuf"], run


def test_observations_of_duplicates_go_with_their_logs(tmp_path: Path) -> None:
    world = nights(tmp_path, "mmmmm")
    named = world.store.blobs_named()
    assert pruned(world).observations == 3 * 3
    assert len(world.store.blobs_named()) == len(named) - 6
    for run in (1, 5):
        assert world.store.cells(run)[0].convert in world.store.observations(range(1, 99))


def test_the_newest_finding_of_a_job_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = world.run()
    idle = [world.add(run, "export", "idle", 1) for _ in range(3)]
    world.end(run)
    assert pruned(world).observations == 2
    assert world.store.observations(idle).keys() == {idle[-1]}


def test_young_runs_stay_as_they_are(tmp_path: Path) -> None:
    world = nights(tmp_path, "mmmmm")
    third = world.store.run(3)
    assert third.ended is not None
    assert pruned(world, third.ended.replace(tzinfo=dt.UTC)) == Pruned(2, 2, 3)
    assert own_rows(world, NEW) == [1, 3, 4, 5]
    assert pruned(world).cells == 4
    assert own_rows(world, NEW) == [1, 5]


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    world = nights(tmp_path, "mmmmm")
    assert pruned(world, for_good=False) == pruned(world, for_good=False) == Pruned(5, 6, 9)
    assert own_rows(world, NEW) == [1, 2, 3, 4, 5]
    assert pruned(world) == Pruned(5, 6, 9)


def test_what_was_pruned_is_exported_and_comes_back(tmp_path: Path) -> None:
    world = nights(tmp_path / "w", "mmmmccRRRR")
    before = shown(world)
    full = world.export(tmp_path / "full")
    pruned(world)
    out = world.export(tmp_path / "out")
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.take_in(out)
    assert shown(elsewhere) == before
    assert not elsewhere.take_in(out)
    world.take_in(out)
    assert not world.take_in(out) and shown(world) == before
    pruned(elsewhere)
    assert shown(elsewhere) == before
    # An older export brings back what had been folded, and nothing contradicts.
    world.take_in(full)
    assert shown(world) == before
    assert pruned(world).cells and shown(world) == before


def test_a_run_that_was_repeated_and_is_opened_again(tmp_path: Path) -> None:
    """Rows that other runs refer to belong to those from then on."""
    world = nights(tmp_path, "mmmm")
    pruned(world)
    first = world.store.run(1)
    before = shown(world)
    run = world.run(uid=first.uid)
    world.cell(run, NEW, world.add(run, "export", "e", 1, 2), None, world.dies(run, "c"))
    world.end(run)
    after = shown(world)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {(first.uid, NEW)}


def test_a_row_that_repeats_is_not_folded_twice() -> None:
    match, crash = Conclusion(Finding("match")), Conclusion(Finding("crash", "converter", "run", "x"))
    timeline = Timeline(array("H", range(6)), array("I", [0, 0, 0, 0, 1, 0]))
    old = dict.fromkeys(range(6), True)
    assert list(superfluous(timeline, [7, -7, 9, 10, 11, 12], [match, crash], old)) == [(9, 7)]
    assert list(superfluous(timeline, [7, -7, 9, 10, 11, 12], [match, crash], {**old, 2: False})) == []


@pytest.mark.parametrize(("keep", "says"), [("20GB", "kept by age"), ("soon", "write an age such as 14d")])
def test_how_long_is_an_age(keep: str, says: str) -> None:
    found = CliRunner().invoke(history, ["prune", "--keep", keep])
    assert found.exit_code != 0 and says in str(found.exception)
