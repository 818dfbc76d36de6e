"""Evidence: derived from judged cells, kept in the store and in files, and read back."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
import small

from matrix.answers.evidence import Entry, Evidence, Profile, shipped
from matrix.answers.evidence.derive import entry_of, identity_of, lock_identity
from matrix.answers.evidence.packed import newest, pack
from matrix.answers.evidence.stored import EvidenceSource, keep, read
from matrix.answers.operators.coverage import Use
from matrix.judging.cells import Judge
from matrix.judging.finding import Finding
from matrix.judging.judge import LITE_ONLY, Judgement
from matrix.store import Store
from matrix.table.model import StatedTolerance

USE = Use("Resize", (("coordinate_transformation_mode", "half_pixel"), ("mode", "nearest")), "1011")
USES = [{"operator": "Resize", "modes": dict(USE.modes), "given": "1011"}]
DAY = dt.date(2026, 11, 24)


# The fields of a finding that an entry may state beside the verdict.
SAID = ("role", "stage", "reason", "said")


def entry(model: str = "net", converter: str = "old", verdict: str = "match", **changes: object) -> Entry:
    facts = {
        "cell": f"{model}/torch-1.2.0@9/{converter}",
        "model": model,
        "exporter": "torch-1.2.0",
        "opset": 9,
        "converter": converter,
        "finding": Finding(verdict, **{name: changes.pop(name) for name in SAID if name in changes}),  # type: ignore[arg-type]
        "remedies": (),
        "margin": 300.0,
        "inference_seconds": 0.01,
        "converter_mb": 900.0,
        "exporter_mb": None,
        "exporter_lock": "",
        "converter_lock": "",
        "date": DAY,
        "run": 1,
    }
    return Entry(**{**facts, **changes})  # type: ignore[arg-type]


def profile(model: str = "net", exporter: str = "torch-1.2.0", opset: int = 9, *uses: Use) -> Profile:
    return Profile(model, exporter, opset, opset, 4, uses or (USE,))


@pytest.fixture
def source(tmp_path: Path) -> EvidenceSource:
    config = small.config(tmp_path)
    store = Store(f"sqlite:///{tmp_path / 'matrix.db'}", tmp_path / "blobs")
    return EvidenceSource(store, config, small.locks(config))


def record(source: EvidenceSource, error: str | None = None, status: str = "complete", lock: str = "old") -> int:
    """A run with one cell, net/torch-1.2.0@9/old, whose conversion raised `error` or was never reached."""
    store, locks = source.store, source.locks
    run = store.begin_run("known", "venv", "test", 1, {"state": "s"})
    facts = {"uses": USES, "opset_written": 9, "ir_version": 4}
    exported = small.passed("export", small.report("export", facts=facts), files={"model.onnx": "0" * 64})
    installed = {"installed": locks["torch-1.2.0"].packages, "python": f"{locks['torch-1.2.0'].python}.1"}
    export = store.add(run, small.observation("export", exported, **installed), True, None)
    convert = None
    if error is not None:
        raised = small.passed("convert", small.report("import", "convert", error=small.raised(error)))
        installed = {"installed": locks[lock].packages, "python": f"{locks[lock].python}.1"}
        convert = store.add(run, small.observation("convert", raised, **installed), True, None)
    store.add_cells(run, [small.cell_record(export=export, convert=convert)])
    if status != "running":
        store.end_run(run, status, 1, 0)
    return run


def test_a_failed_cell_keeps_its_profile_and_its_message(source: EvidenceSource) -> None:
    run = record(source, "Resize version 10 is not implemented.")
    found = read(source)
    (only,) = found.entries
    assert (only.cell, only.finding.role, only.finding.stage, only.run) == (
        "net/torch-1.2.0@9/old",
        "converter",
        "convert",
        run,
    )
    assert only.finding.verdict in ("error", "unsupported")
    assert "Resize" in only.finding.said
    assert only.converter_lock == identity_of(source.locks["old"])
    assert found.profiles == {("net", "torch-1.2.0", 9): profile()}


def test_a_cell_that_was_never_converted_leaves_a_profile_and_an_indeterminate_finding(source: EvidenceSource) -> None:
    record(source)
    found = read(source)
    assert [item.finding.indeterminate for item in found.entries] == [True]
    assert list(found.profiles) == [("net", "torch-1.2.0", 9)]


def test_a_finding_takes_precedence_over_a_newer_indeterminate_one(source: EvidenceSource) -> None:
    first = record(source, "broken")
    record(source)
    assert [(item.run, item.finding.indeterminate) for item in read(source).entries] == [(first, False)]


def test_the_newest_finding_wins(source: EvidenceSource) -> None:
    record(source, "broken")
    second = record(source, "broken otherwise")
    assert [(item.run, "otherwise" in item.finding.said) for item in read(source).entries] == [(second, True)]


def test_findings_under_an_old_lock_of_a_row_are_dropped(source: EvidenceSource) -> None:
    record(source, "broken")
    assert read(source).entries
    other = small.lock("old", python="3.9")
    changed = replace(source, locks={**source.locks, "old": other})
    assert read(changed).entries == ()
    # Without a lock (made on the spot, or not locked yet) nothing shows that the row changed.
    bare = replace(source, locks={name: lock for name, lock in source.locks.items() if name != "old"})
    assert len(read(bare).entries) == 1


def test_a_build_of_an_exporter_is_one_of_its_locks(source: EvidenceSource) -> None:
    lock = source.locks["torch-2.13.0.cpu"]
    own = entry(exporter="torch-2.13.0-dynamo", exporter_lock=identity_of(lock))
    stranger = entry(exporter="torch-2.13.0-dynamo", exporter_lock="0" * 16, cell="x", model="other")
    found = read(source, pack([own, stranger], {}))
    assert [item.cell for item in found.entries] == [own.cell]


def test_kept_evidence_is_read_without_judging_again(source: EvidenceSource, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(source, "broken")
    keep(source, run)
    monkeypatch.setattr(Judge, "cells", lambda *_: pytest.fail("judged again"))
    assert len(read(source).entries) == 1


def test_an_unfinished_run_is_judged_every_time(source: EvidenceSource, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(source, "broken", status="running")
    assert len(read(source).entries) == 1
    source.store.add_cells(run, [replace(small.cell_record("net/torch-1.2.0@10/old", export=1), opset=10)])
    assert len(read(source).entries) == 2


def test_changed_tolerances_invalidate_kept_evidence(source: EvidenceSource, tmp_path: Path) -> None:
    run = record(source, "broken")
    keep(source, run)
    stated = source.config.model_copy(update={"tolerances": {"float32": StatedTolerance(rtol=1, atol=1)}})
    calls = []

    class Counting(Judge):
        def cells(self, *args: object) -> list:  # type: ignore[type-arg, override]
            calls.append(args)
            return super().cells(*args)  # type: ignore[arg-type]

    read(replace(source, config=stated, judging=Counting(stated, source.store)))
    assert len(calls) == 1


def test_a_model_named_on_the_spot_does_not_invalidate_kept_evidence(
    source: EvidenceSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(source, record(source, "broken"))
    given = source.config.models[0].model_copy(update={"id": "mine"})
    more = source.config.model_copy(update={"models": (*source.config.models, given)})
    monkeypatch.setattr(Judge, "cells", lambda *_: pytest.fail("judged again"))
    assert len(read(replace(source, config=more)).entries) == 1


def test_the_margin_leaves_out_tensorflow_lite(source: EvidenceSource) -> None:
    run = record(source, "broken")
    (result,) = source.judge.cells(source.store.cells(run), source.locks, run)
    legs = {"onnxruntime-tensorflow": {"tightest": 0.01}, "reloaded-tflite": {"tightest": 20.0}}
    wide = replace(
        result, judgement=Judgement(Finding("mismatch", "converter", "compare", "x"), leg="reloaded-tflite", legs=legs)
    )
    assert entry_of(wide, run).margin == 100.0


def test_packed_evidence_survives_json() -> None:
    entries = [
        entry(),
        entry("other", verdict="error", role="converter", stage="run", reason="x", said="é", margin=None),
        entry(converter="new", verdict="mismatch", remedies=(("opset", "opset 13→11"), ("ir", "IR 8→7"))),
    ]
    profiles = {item.key: item for item in (profile(), profile("other"), profile("net", "torch-1.12.1", 13))}
    again = json.loads(json.dumps(pack(entries, profiles)))
    assert newest([again]) == (entries, profiles)


def test_equal_uses_of_different_runs_are_one_object() -> None:
    one, two = pack([entry()], {profile().key: profile()}), pack([], {profile("other").key: profile("other")})
    _, profiles = newest([json.loads(json.dumps(one)), json.loads(json.dumps(two))])
    first, second = profiles.values()
    assert first.uses is second.uses


def test_without_a_model_drops_its_cells_and_keeps_its_profiles() -> None:
    evidence = Evidence((entry(), entry("other")), {profile().key: profile()})
    left = evidence.without("net")
    assert [item.model for item in left.entries] == ["other"]
    assert left.profiles == evidence.profiles


def test_a_lock_and_the_packages_installed_from_it_have_the_same_identity() -> None:
    lock = small.lock("old", python="3.8")
    assert lock_identity("3.8.18", lock.packages) == identity_of(lock)
    assert lock_identity("3.9.1", lock.packages) != identity_of(lock)
    assert lock_identity("3.8.18", {"onnx": "1.5.1"}) != identity_of(lock)
    assert identity_of(small.lock("old", body="", explanation="no")) == ""


class TestShipped:
    def test_only_what_the_table_declares_leaves_the_machine(self, source: EvidenceSource, tmp_path: Path) -> None:
        mine = entry("secret-model")
        stranger = entry("other", converter="made-on-the-spot")
        vague = entry("other", verdict="infra")
        evidence = Evidence((mine, entry(), stranger, vague), {p.key: p for p in (profile(), profile("secret-model"))})
        paths = shipped.write(tmp_path / "evidence", evidence, source.config)
        assert all(b"secret" not in path.read_bytes() for path in paths)
        value = shipped.read_cells(tmp_path / "evidence")
        assert value is not None
        entries, profiles = newest([value])
        assert [(item.cell, item.run) for item in entries] == [(entry().cell, 0)]
        assert list(profiles) == [profile().key]

    def test_paths_of_environments_are_not_exported(self, source: EvidenceSource, tmp_path: Path) -> None:
        said = 'File "/home/me/state/envs/1/lib/python3.8/site-packages/onnx/a.py", line 1'
        shipped.write(tmp_path, Evidence((entry(verdict="error", said=said),)), source.config)
        value = shipped.read_cells(tmp_path)
        assert value is not None and newest([value])[0][0].finding.said == 'File "site-packages/onnx/a.py", line 1'

    def test_the_order_of_the_evidence_does_not_change_the_files(self, source: EvidenceSource, tmp_path: Path) -> None:
        entries = (entry(), entry("other", verdict="error"))
        one, two = Evidence(entries), Evidence(entries[::-1])
        first, second = (
            [path.read_bytes() for path in shipped.write(tmp_path / name, evidence, source.config)]
            for name, evidence in (("a", one), ("b", two))
        )
        assert first == second

    def test_the_store_takes_precedence_over_shipped_evidence(self, source: EvidenceSource) -> None:
        run = record(source, "broken")
        found = read(source, pack([entry(run=0), entry("other", run=0)], {}))
        assert {item.cell: item.run for item in found.entries} == {entry().cell: run, entry("other").cell: 0}

    def test_a_missing_or_damaged_folder_gives_no_evidence(self, tmp_path: Path) -> None:
        assert shipped.read_cells(tmp_path) is None
        assert shipped.read_coverage(tmp_path) == {}
        (tmp_path / "cells.json").write_text("{")
        assert shipped.read_cells(tmp_path) is None


def test_a_model_that_was_only_read_has_a_profile_and_no_entries(source: EvidenceSource) -> None:
    run = source.store.begin_run("read", "venv", "test", 0, {"state": "s"})
    facts = {"uses": USES, "opset_written": 9, "ir_version": 4}
    exported = small.passed("export", small.report("export", facts=facts), files={"model.onnx": "0" * 64})
    export = source.store.add(run, small.observation("export", exported), True, None)
    base = "net/torch-1.2.0@9"
    source.store.add_cells(run, [small.cell_record(f"{base}+read", base=base, converter="", export=export)])
    source.store.end_run(run, "complete", 1, 0)
    found = read(source)
    assert found.entries == () and found.profiles == {("net", "torch-1.2.0", 9): profile()}


def test_all_cells_of_the_model_in_question_are_read_and_enough_of_others() -> None:
    mine = [entry(cell=f"mine{number}", model="mine") for number in range(3)]
    others = [entry(cell=f"other{number}", model="other") for number in range(3)]
    written = {key: profile(*key) for key in (("mine", "torch-1.2.0", 9), ("other", "torch-1.2.0", 9))}
    values = [pack(others[:2], {}), pack([mine[0], others[2]], written), pack(mine[1:], {})]
    entries, profiles = newest(values, 2, "mine")
    assert [item.cell for item in entries] == ["other0", "other1", "mine0", "mine1", "mine2"]
    assert list(profiles) == [("mine", "torch-1.2.0", 9)]
    assert len(newest(values)[0]) == 6
    assert [item.cell for item in newest(values, 2)[0]] == ["other0", "other1"]


@pytest.mark.parametrize(
    "failed",
    [
        Judgement(Finding("unsupported", "converter", "tflite", "no-such-op"), remarks=(LITE_ONLY,)),
        Judgement(Finding("mismatch", "converter", "compare", "values-differ"), leg="reloaded-tflite"),
    ],
)
def test_a_failure_in_tensorflow_lite_alone_counts_as_a_match(source: EvidenceSource, failed: Judgement) -> None:
    run = record(source, "broken")
    (result,) = source.judge.cells(source.store.cells(run), source.locks, run)
    assert entry_of(replace(result, judgement=failed), run).finding.verdict == "match"
    assert (
        entry_of(replace(result, judgement=replace(failed, leg=None, remarks=())), run).finding.verdict
        == failed.finding.verdict
    )
