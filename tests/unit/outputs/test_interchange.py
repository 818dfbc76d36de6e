"""Runs as plain files: what is exported, what is kept back, and the union of many machines' histories."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import transfer_world
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer_world import NEW, OLD, OTHER, OWN, World, filled

from matrix.core.errors import NothingSelected, StateInUse, UsageError
from matrix.judging import comparisons as array_comparisons
from matrix.outputs.interchange import forms, union
from matrix.outputs.interchange.outgoing import merge, sorted_lines
from matrix.outputs.privacy import ExportCleaner, Public
from matrix.store import Store
from matrix.store.records import RunPart


@pytest.fixture(autouse=True)
def _no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip flushing: nothing here has to survive a power cut."""
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> World:
    return filled(tmp_path_factory.mktemp("source"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def said(folder: Path) -> str:
    return b"".join(tree(folder).values()).decode(errors="replace")


# --- the same facts, the same bytes ----------------------------------------------------------------------------------


def test_shards_merged_in_any_order_are_the_whole(source: World, tmp_path: Path) -> None:
    whole = tree(source.export(tmp_path / "whole"))
    parts = [source.export(tmp_path / f"s{n}", shard=(n, 2)) for n in (1, 2)]
    assert len({path for part in parts for path in tree(part) if path.endswith("cells.jsonl")}) >= 3
    assert all(tree(part) != whole for part in parts)
    for place, order in enumerate((parts, parts[::-1], [*parts, tmp_path / "whole"])):
        merge(order, tmp_path / f"m{place}")
        assert tree(tmp_path / f"m{place}") == whole


def test_shards_merge_in_any_grouping(source: World, tmp_path: Path) -> None:
    whole = tree(source.export(tmp_path / "whole"))
    one, two, three = (source.export(tmp_path / f"s{n}", shard=(n, 3)) for n in (1, 2, 3))
    merge([one, two], tmp_path / "a")
    merge([tmp_path / "a", three], tmp_path / "left")
    merge([three, two], tmp_path / "b")
    merge([one, tmp_path / "b"], tmp_path / "right")
    assert tree(tmp_path / "left") == tree(tmp_path / "right") == whole


def test_what_was_imported_exports_the_same(source: World, tmp_path: Path) -> None:
    whole = tree(source.export(tmp_path / "whole"))
    elsewhere = World(tmp_path / "elsewhere")
    parts = [source.export(tmp_path / f"s{n}", shard=(n, 2)) for n in (1, 2)]
    assert elsewhere.take_in(parts[1])
    assert elsewhere.take_in(parts[0])
    assert tree(elsewhere.export(tmp_path / "again")) == whole
    for folder in (*parts, tmp_path / "whole"):
        assert not elsewhere.take_in(folder)
    assert tree(elsewhere.export(tmp_path / "again")) == whole


def test_what_comes_back_is_known(source: World, tmp_path: Path) -> None:
    before = dump(source.store)
    # But for the comparisons, which it will need when the arrays are gone.
    source.take_in(source.export(tmp_path / "whole"))
    assert dump(source.store) == before
    assert not source.take_in(source.export(tmp_path / "whole"))


def dump(store: Store) -> Any:
    runs = store.runs()
    return [
        runs,
        [store.cells(run.id) for run in runs],
        [store.drift(run.id) for run in runs],
        [store.resolutions.of_run(run.id) for run in runs],
    ]


def test_the_layout(source: World, tmp_path: Path) -> None:
    whole = source.export(tmp_path / "whole")
    uids = {run.uid for run in source.store.runs()}
    assert {path.name for path in (whole / "runs").iterdir()} == uids
    assert json.loads((whole / "history.json").read_text()) == {"schema": 1, "kind": "torch-tf-matrix history"}
    third = whole / "runs" / source.store.run(3).uid
    assert {path.name for path in third.iterdir()} == {
        "run.json", "cells.jsonl", "observations.jsonl", "resolutions.jsonl", "blames.jsonl",
    }  # fmt: skip
    assert len(list((whole / "locks").iterdir())) == 2
    for path in whole.rglob("*.jsonl"):
        lines = path.read_bytes().split(b"\n")
        assert lines[-1] == b"" and lines[:-1] == sorted(set(lines[:-1]))
    run = json.loads((third / "run.json").read_text())
    assert (run["resolution"], run["as_of"]) == ("both", "2026-01-03")
    assert [part["uid"] for part in run["parts"]] == [run["uid"]] and "state" not in run["parts"][0]["host"]


# --- the same verdicts -----------------------------------------------------------------------------------------------


def test_every_verdict_is_the_same_without_the_arrays(
    source: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.take_in(source.export(tmp_path / "whole"))
    there = source.conclusions()
    assert elsewhere.conclusions() == there
    verdicts = {cell: found[0][0] for (_, cell), found in there.items()}
    assert verdicts == {NEW: "match", OLD: "error", OTHER: "mismatch", f"{NEW}~now": "crash"}
    assert not list((tmp_path / "elsewhere" / ".matrix" / "blobs").rglob("*.npz"))
    monkeypatch.setattr(array_comparisons, "method", lambda: "a later method")
    assert elsewhere.conclusions() == there


def test_what_an_older_method_found_gives_way(source: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = source.export(tmp_path / "new")
    shutil.copytree(whole, tmp_path / "old")
    for file in (tmp_path / "old" / "comparisons").iterdir():
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for one in lines:
            # Of the bytes alone these would be the larger ones.
            one["value"] |= {"method": "f" * 64, "detail": "\U0010ffff", "reason": "values-differ"}
        file.write_bytes(b"".join(forms.line(one) + b"\n" for one in sorted(lines, key=forms.line)))
    for order in (["old", "new"], ["new", "old"]):
        merge([tmp_path / name for name in order], tmp_path / "merged")
        assert tree(tmp_path / "merged") == tree(whole)
    # Whose method it is, is told on, even where another one is today's.
    there = World(tmp_path / "there")
    there.take_in(whole)
    monkeypatch.setattr(array_comparisons, "method", lambda: "a" * 64)
    assert tree(there.export(tmp_path / "again")) == tree(whole)


def test_the_first_remedy_that_was_tried_stays_the_first(source: World, tmp_path: Path) -> None:
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.take_in(source.export(tmp_path / "whole"))
    uid = source.store.run(1).uid
    assert source.conclusions()[uid, OLD][1] == elsewhere.conclusions()[uid, OLD][1] == (("add", "b"),)


def test_what_is_told_of_a_run(source: World, tmp_path: Path) -> None:
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.take_in(source.export(tmp_path / "whole"))
    ours, theirs = source.store.runs(), elsewhere.store.runs()
    assert [(run.uid, run.status, run.tier, run.jobs_run, run.as_of) for run in ours] == [
        (run.uid, run.status, run.tier, run.jobs_run, run.as_of) for run in theirs
    ]
    newest = theirs[0]
    assert elsewhere.store.resolutions.newest(["new~now"]) == source.store.resolutions.newest(["new~now"])
    (record,) = elsewhere.store.blames.newest([f"{NEW}~now"]).values()
    assert (record.run, record.story["run"], record.picture) == (newest.id, newest.id, "<svg/>")
    assert elsewhere.store.newest("coverage")["old"].job == "cover"
    assert elsewhere.store.blobs.read(elsewhere.store.newest("coverage")["old"].passes[0].files["cases.json"])


def test_older_runs_that_come_later_are_older(source: World, tmp_path: Path) -> None:
    source.export(tmp_path / "first", runs=(1,))
    elsewhere = World(tmp_path / "elsewhere")
    own = elsewhere.run()
    export = elsewhere.add(own, "export", "x", 1)
    elsewhere.cell(own, NEW, export, None, None)
    elsewhere.end(own)
    elsewhere.take_in(tmp_path / "first")
    # The source's run began before.
    assert [run.uid for run in elsewhere.store.runs()][1] == source.store.run(1).uid
    assert [run for run, _ in elsewhere.store.history(NEW)] == [own, 2]
    assert list(elsewhere.store.newest_cells([NEW])) == [own]
    assert list(elsewhere.store.newest_cells([NEW], before=own)) == [2]
    assert [item.run for item in elsewhere.store.cell_history.each([own, 2])][-1] == own


# --- what stays here -------------------------------------------------------------------------------------------------


def test_only_declared_models_leave(source: World, tmp_path: Path) -> None:
    sent = source.sent(tmp_path / "whole")
    assert (sent.kept_back, sent.models, sent.cells) == (3, {"secret"}, 8)
    everything = said(tmp_path / "whole")
    assert "secret" not in everything and "net.onnx" not in everything
    assert str(source.root) not in everything
    assert "<state>/envs/e1" in everything
    second = json.loads((tmp_path / "whole" / "runs" / source.store.run(2).uid / "run.json").read_text())
    assert second["parts"][0]["command"] == "python -m matrix run …"


def test_a_model_that_is_named_goes(source: World, tmp_path: Path) -> None:
    assert source.sent(tmp_path / "whole", "secret").kept_back == 0
    assert OWN in said(tmp_path / "whole")


def test_models_and_arrays_stay(source: World, tmp_path: Path) -> None:
    whole, arrays = source.export(tmp_path / "whole"), source.export(tmp_path / "arrays", arrays=True)
    held = {path for path in tree(whole) if path.startswith("blobs/")}
    more = {path for path in tree(arrays) if path.startswith("blobs/")} - held
    assert more
    assert not any(content.startswith(b"onnx of") for content in tree(arrays).values())
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.take_in(arrays)
    assert tree(elsewhere.export(tmp_path / "again", arrays=True)) == tree(arrays)


def test_a_run_that_others_rest_on_goes_as_a_record(source: World, tmp_path: Path) -> None:
    out = source.export(tmp_path / "third", runs=(3,))
    first = out / "runs" / source.store.run(1).uid
    assert {path.name for path in first.iterdir()} == {"run.json", "observations.jsonl"}
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.take_in(out)
    uid = source.store.run(3).uid
    assert elsewhere.conclusions() == {key: v for key, v in source.conclusions().items() if key[0] == uid}
    elsewhere.take_in(source.export(tmp_path / "whole"))
    assert tree(elsewhere.export(tmp_path / "again")) == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("python -m matrix run --tier quick", "python -m matrix run --tier quick"),
        ("python -m matrix run --model net --model 'o*'", "python -m matrix run --model net --model 'o*'"),
        ("python -m matrix run --model own.py:make --input 1x3", "python -m matrix run …"),
        ("python -m matrix pick --model=/home/x/net.onnx", "python -m matrix pick …"),
        ("python -m matrix blame secret/torch-1@9/new", "python -m matrix blame …"),
        ("python -m matrix run --only model=secret", "python -m matrix run …"),
        ("python -m matrix run --checkpoint 'w.pt", "python -m matrix run …"),
    ],
)
def test_what_a_command_line_says_of_a_model(given: str, left: str) -> None:
    assert Public(["net", "other"]).command(given, ["secret"]) == left


def test_folders_are_named_by_what_they_are() -> None:
    clean = ExportCleaner(Path("/srv/table/.matrix"), Path("/srv/table"), {3: "u3"})
    assert clean.text("/srv/table/.matrix/envs /srv/table/a /srv/tables (found in run 3)") == (
        "<state>/envs <table>/a /srv/tables (found in run u3)"
    )
    assert ExportCleaner(Path("/"), Path("/x"), {}).text("/x/y") == "/x/y"


# --- where it goes ---------------------------------------------------------------------------------------------------


def test_stale_files_vanish_and_others_stay(source: World, tmp_path: Path) -> None:
    out = source.export(tmp_path / "out")
    (out / ".git").mkdir()
    (out / "README").write_text("data")
    (out / "runs" / "gone").mkdir()
    source.export(out)
    assert not (out / "runs" / "gone").exists()
    assert (out / "README").exists() and (out / ".git").exists()
    assert not list(out.glob(".export-*"))


def test_a_folder_of_somebody_elses(source: World, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="neither empty nor an export"):
        source.export(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_folder_of_somebody_elses_that_is_named_like_ours(source: World, tmp_path: Path) -> None:
    for place in ("runs/marathon.txt", ".export-settings/me", ".export-01234567/me"):
        (tmp_path / "mine" / place).parent.mkdir(parents=True)
        (tmp_path / "mine" / place).write_text("x")
    before = tree(tmp_path / "mine")
    with pytest.raises(UsageError, match="neither empty nor an export"):
        source.export(tmp_path / "mine")
    assert tree(tmp_path / "mine") == before


def test_what_a_killed_export_left_is_written_over(source: World, tmp_path: Path) -> None:
    out = source.export(tmp_path / "out")
    whole = tree(out)
    # At its end: half of it is in place already.
    (out / "history.json").unlink()
    (out / ".export-01234567" / "locks").mkdir(parents=True)
    assert tree(source.export(out)) == whole


def test_an_export_that_fails_leaves_the_old_one(
    source: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = source.export(tmp_path / "out")
    before = tree(out)
    with pytest.raises(UsageError, match="no run 77"):
        source.export(out, runs=(77,))
    assert tree(out) == before
    with pytest.raises(NothingSelected):
        World(tmp_path / "empty").export(tmp_path / "nothing")


def test_what_steers_a_terminal_does_not_leave(tmp_path: Path) -> None:
    world = World(tmp_path / "w")
    run = world.run("python -m matrix run --only \x1b[31mnet\x07")
    world.cell(
        run, NEW, world.add(run, "export", "e", 1), None, world.fails(run, "c", r"\u001b \r" + "\x1b[1mno\x7f\t\n")
    )
    world.end(run)
    elsewhere = World(tmp_path / "elsewhere")
    assert elsewhere.take_in(world.export(tmp_path / "out"))
    assert elsewhere.store.runs()[0].command == "python -m matrix run --only net"
    assert tree(elsewhere.export(tmp_path / "again")) == tree(tmp_path / "out")
    before = world.store.cells(run)
    world.take_in(tmp_path / "out")
    assert (len(world.store.runs()), world.store.cells(run)) == (1, before)


def test_a_run_under_way_is_left_out(tmp_path: Path) -> None:
    world = filled(tmp_path / "w")
    open_ = world.run()
    assert world.sent(tmp_path / "out").open == [open_]
    assert world.store.run(open_).uid not in {path.name for path in (tmp_path / "out" / "runs").iterdir()}


# --- a run in parts --------------------------------------------------------------------------------------------------


def shard(root: Path, number: int, cells: dict[str, float], status: str = "complete") -> World:
    world = World(root)
    world.moment += dt.timedelta(hours=number)
    part = {"shard": f"{number}/2", "partition": "ab" * 32, "whole": 2}
    run = world.run(uid="nightly-1", part=part)
    reference = world.add(run, "reference", "r", 1, 2)
    for name, value in cells.items():
        export = world.add(run, "export", f"e-{name}", 1, 2)
        world.cell(run, name, export, reference, world.add(run, "convert", f"c-{name}", 1, value))
    world.end(run, status)
    return world


def test_shards_of_two_machines_become_one_run(tmp_path: Path) -> None:
    one, two = shard(tmp_path / "1", 1, {NEW: 2}), shard(tmp_path / "2", 2, {OTHER: 3}, "interrupted")
    folders = [one.export(tmp_path / "e1"), two.export(tmp_path / "e2")]
    whole = World(tmp_path / "whole")
    whole.take_in(*folders)
    (run,) = whole.store.runs()
    assert (run.uid, run.status, run.planned, run.jobs_run) == ("nightly-1", "interrupted", 2, 10)
    assert [part.shard for part in run.parts] == ["1/2", "2/2"]
    assert run.started == min(part.started for part in run.parts).replace(tzinfo=None)
    assert {cell: found[0][0] for (_, cell), found in whole.conclusions().items()} == {NEW: "match", OTHER: "mismatch"}
    merge(folders[::-1], tmp_path / "m")
    assert tree(whole.export(tmp_path / "out")) == tree(tmp_path / "m")


def test_of_a_cell_decided_twice_the_later_counts(tmp_path: Path) -> None:
    early, late = shard(tmp_path / "1", 1, {NEW: 2, OTHER: 2}), shard(tmp_path / "2", 2, {NEW: 3})
    folders = [early.export(tmp_path / "e1"), late.export(tmp_path / "e2")]
    merge(folders, tmp_path / "m")
    merge(folders[::-1], tmp_path / "n")
    assert tree(tmp_path / "m") == tree(tmp_path / "n")
    for order in (folders, folders[::-1]):
        whole = World(tmp_path / f"whole{order is folders}")
        for folder in order:
            whole.take_in(folder)
        verdicts = {cell: found[0][0] for (_, cell), found in whole.conclusions().items()}
        assert verdicts == {NEW: "mismatch", OTHER: "match"}
        assert tree(whole.export(tmp_path / f"out{order is folders}")) == tree(tmp_path / "m")


def test_a_run_is_continued_by_its_name(tmp_path: Path) -> None:
    world = shard(tmp_path / "1", 1, {NEW: 2, OTHER: 2}, "interrupted")
    (before,) = world.store.runs()
    run = world.run(uid="nightly-1", part={"shard": "1/2", "partition": "ab" * 32, "whole": 2})
    assert run == before.id and world.store.run(run).status == "running"
    export = world.add(run, "export", "again", 1, 2)
    world.cell(run, NEW, export, None, None)
    world.end(run)
    after = world.store.run(run)
    assert (after.status, after.started, len(after.parts)) == ("complete", before.started, 1)
    assert [cell.cell for cell in world.store.cells(run)] == [OTHER, NEW]
    # A second shard on the same machine is a second part of the same run.
    assert world.run(uid="nightly-1", part={"shard": "2/2", "partition": "ab" * 32, "whole": 2}) == run
    world.end(run)
    assert [part.uid for part in world.store.run(run).parts] == ["nightly-1-1-2", "nightly-1-2-2"]


def test_what_a_search_did_goes_with_what_it_was_done_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = world.run(uid="nightly-1")
    export, reference = world.add(run, "export", "e", 1, 2), world.add(run, "reference", "r", 1, 2)
    cured = world.add(run, "convert", "cured", 1, 2)
    for name in (OLD, NEW):
        world.cell(run, name, export, reference, world.fails(run, f"c-{name}", "no"))
        world.cell(run, f"{name}+six", export, reference, cured, base=name, changes=(("add", "six<2"),))
    world.end(run, "interrupted")
    assert world.run(uid="nightly-1") == run
    world.cell(run, NEW, export, reference, world.dies(run, "c"))
    world.end(run)
    found = {cell: told[1] for (_, cell), told in world.conclusions().items()}
    assert found == {OLD: (("add", "six<2"),), NEW: None}


def test_a_run_without_parts_is_continued_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = world.run(uid="mine")
    world.end(run, "interrupted")
    assert world.run(uid="mine") == run
    world.end(run)
    found = world.store.run(run)
    assert (found.status, found.uid, [part.uid for part in found.parts]) == ("complete", "mine", ["mine"])


def test_the_same_part_is_not_under_way_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run(uid="mine")
    with pytest.raises(StateInUse, match="run mine is running"):
        world.store.begin_run("quick", "venv", "run", 1, {"state": "another"}, uid="mine")
    with pytest.raises(UsageError, match="--run-id"):
        world.run(uid="../mine")


# --- unions ----------------------------------------------------------------------------------------------------------

_PARTS = st.builds(
    lambda uid, started, ended, planned: {"uid": uid, "started": started, "ended": ended, "planned": planned},
    st.sampled_from("abc"),
    st.sampled_from("123"),
    st.sampled_from(["4", "5", None]),
    st.integers(0, 2),
)
_ROWS = st.builds(
    lambda row, note, cells, unknown: {
        "row": row,
        "note": note,
        "verdicts": [{"cell": cell, "broken": broken} for cell, broken in cells.items()],
        "unknown": sorted(unknown),
    },
    st.sampled_from("xy"),
    st.integers(0, 1),
    st.dictionaries(st.sampled_from("kl"), st.booleans()),
    st.sets(st.sampled_from("kmn")),
)


def _drift(rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_name = {row["row"]: row for row in rows}
    return union.drift_of_cells({"schema": 1, "rows": list(by_name.values())}, lambda _: True)


_RUNS = st.builds(
    lambda resolution, parts, drift: {
        "uid": "u",
        "resolution": resolution,
        "as_of": None,
        "drift": drift,
        "parts": sorted({part["uid"]: part for part in parts}.values(), key=lambda part: str(part["uid"])),
    },
    st.sampled_from(["then", "both"]),
    st.lists(_PARTS, min_size=1),
    st.none() | st.lists(_ROWS).map(_drift),
)


@settings(deadline=None)
@given(_RUNS, _RUNS, _RUNS)
def test_uniting_runs_knows_no_order(one: Any, two: Any, three: Any) -> None:
    assert union.run(one, one) == one
    assert union.run(one, two) == union.run(two, one)
    assert union.run(union.run(one, two), three) == union.run(one, union.run(two, three))


def test_a_part_that_was_continued_is_told_by_the_later() -> None:
    def run(ended: str | None, planned: int) -> dict[str, Any]:
        part = {"uid": "p", "started": "1", "ended": ended, "planned": planned}
        return {"uid": "u", "resolution": "then", "as_of": None, "drift": None, "parts": [part]}

    assert union.run(run("2", 9), run("3", 1)) == run("3", 1)
    assert union.run(run("2", 9), run(None, 10)) == run("2", 9)


def test_the_conclusion_of_a_report_is_that_of_its_rows() -> None:
    report = transfer_world.drift("/x")
    assert union.drift_of_cells(report, lambda _: True)["conclusion"] == (
        "drift: 0 of 2 locks changed, 2 resolved for the first time, 2 cells changed (2 broken, 0 mended), "
        "1 could not be measured, 2 new incidents"
    )


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.integers(1, 40))
def test_lines_are_sorted_whatever_fits_into_memory(lines: list[bytes], budget: int) -> None:
    assert list(sorted_lines(lines, budget)) == sorted(set(lines))


def test_a_part_goes_into_the_database_and_back() -> None:
    from matrix.store.runs import part_from_json, part_to_json

    part = RunPart(
        "u", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None, "running", "quick", "venv", "run", 3, host={"a": "b"}
    )
    assert part_from_json(json.loads(json.dumps(part_to_json(part)))) == part
