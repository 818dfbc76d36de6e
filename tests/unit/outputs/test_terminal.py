"""What people and programs are shown."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from dataclasses import replace
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
import small
from fakes import GOOD
from rich.console import Console
from small import observation, passed, report

from matrix.app.progress import PlainProgress
from matrix.history.report import RunReport
from matrix.history.then_and_now import BothSides
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.judging.signature_file import Remedy
from matrix.outputs.documents.junit import junit
from matrix.outputs.documents.markdown import markdown
from matrix.outputs.documents.run import document
from matrix.outputs.terminal.detail import print_detail
from matrix.outputs.terminal.table import print_report
from matrix.outputs.wording import words
from matrix.store.records import Exit, Obstacle
from matrix.table.model import Verdict

MATCH = Judgement(Finding("match"), legs={"onnxruntime-tensorflow": {"max_abs": 1.5e-7}}, metrics={"max_abs": 1.5e-7})
ERROR = Judgement(
    Finding("error", "converter", "check", "ir-version-too-new", "the file is newer than onnx"),
    cause="a cause",
    remedies=(Remedy(id="lower-ir-version", text="write a lower ir_version"),),
    remarks=("opset-not-as-asked",),
)
NO_FILE = Judgement(Finding("error", "exporter", "export", "exporter-attribute-not-constant", "no constant"))
ABSENT = Judgement(Finding("unavailable", "converter", "build", "interpreter-missing", "needs Python 3.6"))


def result(judgement: Judgement, converter: str = "old", written: int | None = 9, **record: Any) -> CellResult:
    facts = {"opset_written": written} if written is not None else {}
    return CellResult(
        record=small.cell_record(f"net/torch-1.2.0@9/{converter}", **{"converter": converter, "convert": 2} | record),
        export=observation("export", passed("export", report(*GOOD["export"], facts=facts)), id=1),
        reference=None,
        convert=observation("convert", passed(result=report("import", "load", "check")), id=2, environment=converter),
        judgement=judgement,
        versions={"onnx": "1.5.0", "onnx-tf": "1.3.0", "tensorflow": "1.13.1"},
        distributions={"tensorflow": "tensorflow-cpu"},
        python="3.6",
        cached=True,
    )


def run(*results: CellResult, **changes: Any) -> RunReport:
    facts: dict[str, Any] = {
        "run": 7,
        "status": "complete",
        "tier": "quick",
        "engine": "venv",
        "jobs_run": 3,
        "jobs_cached": 4,
        "planned": len(results),
        "results": list(results),
        "complaints": {},
    }
    return RunReport(**facts | changes)


EVERYTHING = run(result(MATCH), result(ERROR, "mid", 18), result(ABSENT, "new"))

# --- the document ----------------------------------------------------------------------------------------------------

# The names other programs rely on: keys may be added, never renamed.
CELL_KEYS = {
    "model", "exporter", "torch", "opset_asked", "opset_written", "converter", "python", "onnx", "onnx-tf",
    "tensorflow", "verdict", "role", "stage", "reason", "remedies", "metrics", "cached",
}  # fmt: skip


def test_the_keys_of_the_document() -> None:
    found = json.loads(json.dumps(document(EVERYTHING), allow_nan=False))
    assert found["schema"] == 1 and found["run"] == 7
    assert found["jobs"] == {"run": 3, "cached": 4}
    assert len(found["cells"]) == 3
    for cell in found["cells"]:
        assert cell.keys() >= CELL_KEYS


def test_the_values_of_the_document() -> None:
    match, error, absent = document(EVERYTHING)["cells"]
    assert (match["verdict"], match["metrics"]["max_abs"], match["role"]) == ("match", 1.5e-7, None)
    assert (error["role"], error["stage"], error["reason"]) == ("converter", "check", "ir-version-too-new")
    assert error["remedies"] == [{"id": "lower-ir-version", "text": "write a lower ir_version"}]
    assert (error["opset_asked"], error["opset_written"]) == (9, 18)
    assert [error[key] for key in ("onnx", "onnx-tf", "tensorflow", "python")] == ["1.5.0", "1.3.0", "1.13.1", "3.6"]
    assert (error["torch"], error["exporter"], error["converter"]) == ("1.2.0", "torch-1.2.0", "mid")
    assert absent["indeterminate"] and not error["indeterminate"]


def test_complaints_are_in_the_document() -> None:
    cell = result(ERROR)
    found = document(run(cell, complaints={cell.record.cell: ("expected verdict match, got error",)}))
    assert found["cells"][0]["unexpected"] == ["expected verdict match, got error"]


# --- JUnit -----------------------------------------------------------------------------------------------------------


def cases(report: RunReport, stated: frozenset[str] = frozenset()) -> tuple[ElementTree.Element, list[str]]:
    """The suite, and the kind of each of its cases."""
    root = ElementTree.fromstring(junit(report, stated))
    assert root.tag == "testsuites"
    suite = root[0]
    return suite, [case[0].tag if len(case) else "passed" for case in suite.iter("testcase")]


def test_junit_of_cells_nothing_is_stated_of() -> None:
    suite, kinds = cases(EVERYTHING)
    assert kinds == ["passed", "failure", "skipped"]
    counted = {"tests": "3", "failures": "1", "skipped": "1", "errors": "0"}
    assert counted.items() <= suite.attrib.items()
    failure = suite.find(".//failure")
    assert failure is not None and failure.get("type") == "error"
    assert "converter/check" in (failure.text or "") and "write a lower ir_version" in (failure.text or "")


def test_junit_of_an_error_that_is_expected() -> None:
    cell = result(ERROR)
    assert cases(run(cell), frozenset({cell.record.cell}))[1] == ["passed"]


def test_junit_of_a_match_that_was_not_expected() -> None:
    cell = result(MATCH)
    found = run(cell, complaints={cell.record.cell: ("expected verdict error, got match",)})
    suite, kinds = cases(found, frozenset({cell.record.cell}))
    assert kinds == ["failure"]
    failure = suite.find(".//failure")
    assert failure is not None and failure.get("message") == "expected verdict error, got match"


def test_junit_is_xml_whatever_was_printed() -> None:
    wild = "".join(map(chr, range(32))) + "<&\"'>]]> \x7f é 😀 \ufffe\uffff"
    for judgement in (small.told(ERROR, title=wild, reason="r"), small.told(ABSENT, title=wild)):
        suite, _ = cases(run(result(judgement)))
        told = "".join(suite.itertext()) + str(next(suite.iter("testcase"))[0].attrib)
        assert "<&" in told and "😀" in told and "\x00" not in told and "\x1b" not in told


# --- Markdown --------------------------------------------------------------------------------------------------------


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_is_a_table() -> None:
    found = rows(markdown(EVERYTHING))
    assert len(found) == 2 + 3 and len({len(row) for row in found}) == 1
    assert "**match**" in found[2] and "1.5e-07" in found[2]
    assert "9→18" in found[3] and "converter/check" in found[3]
    assert markdown(EVERYTHING).endswith("1 match, 1 error, 1 unavailable of 3 cells.")


def test_markdown_survives_what_is_in_a_cell() -> None:
    found = rows(markdown(run(result(small.told(ERROR, reason="a|b\nc")))))
    assert len({len(row) for row in found}) == 1
    assert found[2][9] == "a\\|b c"


# --- the table -------------------------------------------------------------------------------------------------------


def printed(report: RunReport, capsys: pytest.CaptureFixture[str]) -> str:
    print_report(report)
    return capsys.readouterr().out


def test_the_table_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(EVERYTHING, capsys)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0].split() == ["exporter", "opset", "python", "onnx-tf", "onnx", "tensorflow", "verdict", "where",
                                "reason", "max", "abs"]  # fmt: skip
    assert lines[1].split() == ["torch-1.2.0", "9", "3.6", "1.3.0", "1.5.0", "1.13.1", "match", "1.5e-07"]
    assert lines[2].split()[-4:] == ["1.13.1", "error", "converter/check", "ir-version-too-new"]
    assert "ir-version-too-new (1 cell): the file is newer than onnx" in text
    assert "→ write a lower ir_version" in text
    assert "Works, for example: torch==1.2.0 with opset 9, then on Python 3.6" in text
    assert "tensorflow-cpu==1.13.1" in text  # what was measured, not what the table calls it
    assert "jobs: 3 run, 4 cached; run 7 (complete)" in text


def test_the_table_on_a_terminal_has_colour() -> None:
    stream = io.StringIO()
    print_report(EVERYTHING, Console(file=stream, force_terminal=True, width=160))
    assert "\x1b[" in stream.getvalue()


def test_the_table_says_what_is_unexpected_and_what_was_not_reached(capsys: pytest.CaptureFixture[str]) -> None:
    cell = result(ERROR)
    found = run(cell, planned=5, status="interrupted", complaints={cell.record.cell: ("expected verdict match",)})
    text = printed(found, capsys)
    assert "error !" in text
    assert f"unexpected: {cell.record.cell}: expected verdict match" in text
    assert "4 cells were not reached" in text and "(interrupted)" in text


def test_models_are_named_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert "model" not in printed(run(result(MATCH)), capsys).splitlines()[0]
    assert "model" in printed(run(result(MATCH), result(MATCH, model="other")), capsys).splitlines()[0]


def test_a_table_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no cells" in printed(run(planned=2, status="interrupted"), capsys)


def test_text_from_outside_is_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(run(result(small.told(ERROR, title="[bold]shape [1, 2][/nonsense]"))), capsys)
    assert "[bold]shape [1, 2][/nonsense]" in text


# --- words -----------------------------------------------------------------------------------------------------------


def test_every_verdict_has_its_place_and_style() -> None:
    assert set(words.VERDICTS) == set(words.STYLES) == set(get_args(Verdict))


@pytest.mark.parametrize(("written", "said"), [(9, "9"), (18, "9→18"), (None, "9")])
def test_opset(written: int | None, said: str) -> None:
    assert words.opset(result(MATCH, written=written)) == said


# --- one cell --------------------------------------------------------------------------------------------------------


def detail(capsys: pytest.CaptureFixture[str], cell: CellResult, **kwargs: Any) -> str:
    given: dict[str, Any] = {
        "log": lambda _: "line one\nlast line",
        "lock_of": lambda name: small.ROOT / f"{name}.lock",
    }
    print_detail(cell, **given | {"command": "python -m matrix run --tier each"} | kwargs)
    return capsys.readouterr().out


def test_a_cell_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = detail(capsys, result(ERROR))
    for said in (
        "net/torch-1.2.0@9/old: error",
        "converter/check: ir-version-too-new: the file is newer than onnx",
        "why: a cause",
        "→ write a lower ir_version  [lower-ir-version]",
        "remark: opset-not-as-asked",
        "last lines of the converter",
        "last line",
        "python -m matrix run --tier each --only cell=net/torch-1.2.0@9/old --again",
        "uv venv --python 3.8 env",
        "--require-hashes",
        "onnx 1.5.0",
    ):
        assert said in text, said


def test_the_traceback_goes_before_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    failed = observation("convert", passed("convert", report("import", error=small.raised("see here"))), id=2)
    text = detail(capsys, replace(result(ERROR), convert=failed))
    assert "see here" in text and "line one" not in text


def test_a_cell_whose_environment_has_no_solution(capsys: pytest.CaptureFixture[str]) -> None:
    none = observation("convert", obstacle=Obstacle("lock", "unsatisfiable", "no-solution", "Because a\nand b"), id=2)
    text = detail(capsys, replace(result(ERROR), convert=none))
    assert "Because a" in text and "uv venv" not in text


def test_a_match_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = detail(capsys, result(MATCH))
    assert "onnxruntime-tensorflow" in text and "1.5e-07" in text
    assert "last lines" not in text


# --- cells that match with changes -----------------------------------------------------------------------------------


def with_changes(remarks: tuple[str, ...]) -> CellResult:
    """A cell that fails and was seen to match with a lower IR version, with these remarks."""
    found = result(ERROR)
    record = replace(found.record, cell=f"{found.record.cell}+ir", base=found.record.cell,
                     changes=(("ir_version", "ir_version 9→8"),))  # fmt: skip
    return replace(found, tried=(replace(found, record=record, judgement=replace(MATCH, remarks=remarks)),))


def test_remarks_on_a_match_with_changes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    cell = with_changes(("opset-not-as-asked", "outputs-nearly-constant"))
    assert words.remarks(cell) == ["opset-not-as-asked", "outputs-nearly-constant"]
    print_report(run(cell))
    out = capsys.readouterr().out
    assert "outputs-nearly-constant (remark on 1)" in out and "opset-not-as-asked (remark on 1)" in out
    assert "remark: outputs-nearly-constant" in detail(capsys, cell)
    (said,) = document(run(cell))["cells"]
    assert said["remarks"] == ["opset-not-as-asked"]  # of the cell as it is
    (tried,) = said["tried"]
    assert tried["remarks"] == ["opset-not-as-asked", "outputs-nearly-constant"] and tried["legs"] == MATCH.legs


def test_remarks_on_what_did_not_help_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    cell = with_changes(("outputs-nearly-constant",))
    failed = replace(cell, tried=(replace(cell.tried[0], judgement=replace(ERROR, remarks=("zero-dim",))),))
    assert words.remarks(failed) == ["opset-not-as-asked"]


@pytest.mark.parametrize(
    ("judgement", "counted"),
    [
        (Judgement(Finding("crash", "converter", "convert", "sigsegv")), 1),
        (Judgement(Finding("crash", "converter", "convert", "sigabrt")), 1),
        (Judgement(Finding("error", "converter", "convert", "exit-without-result")), 1),
        (Judgement(Finding("error", "converter", "convert", "no-result")), 1),
        (Judgement(Finding("error", "converter", "convert", "unrecognised")), 1),
        (Judgement(Finding("error", "converter", "convert", "attribute-error"), general=True), 1),
        (Judgement(Finding("crash", "converter", "convert", "cpu-without-avx")), 0),
        (Judgement(Finding("oom", "converter", "run", "memory-limit")), 0),
        (ERROR, 0),
    ],
)
def test_reasons_nobody_has_described_are_counted(judgement: Judgement, counted: int) -> None:
    mismatch = result(Judgement(Finding("mismatch", "converter", "compare", "values-differ")))
    assert words.unmatched([result(judgement), result(MATCH), result(ABSENT), mismatch]) == (counted, 1)


# --- progress --------------------------------------------------------------------------------------------------------


def test_plain_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    from matrix.judging.outcome import outcome

    told = PlainProgress(lambda item: outcome(item, ""))
    told.planned(2)
    told.planned(1)  # A search asks for one more.
    told.building("env")
    told.built("env", 1.25, None)
    told.built("other", 0.1, "no-wheel")
    told.job_ended(observation("convert", passed(exit=Exit(signal=11))), cached=False)
    told.job_ended(observation("export", passed("export", report("import"))), cached=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line.split("] ")[1] for line in captured.err.splitlines()]
    assert lines == [
        "building env",
        "built env 1.2 s",
        "cannot build other (no-wheel) 0.1 s",
        "convert in env: crash in import: sigsegv 1.0 s",
    ]
    assert "0/3]" in captured.err


def test_how_far_tensorflow_lite_is_stands_in_a_column_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert "tflite" not in printed(EVERYTHING, capsys)
    lite = replace(MATCH, legs={**MATCH.legs, "reloaded-tflite": {"max_abs": 4.2e-7}})
    lines = printed(run(result(lite), result(ERROR, "mid")), capsys).splitlines()
    assert lines[0].split()[-1] == "tflite" and lines[1].split()[-2:] == ["1.5e-07", "4.2e-07"]


# --- then and now ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "now", "standing"),
    [
        (MATCH, ERROR, "worked then, broken now"),
        (ERROR, MATCH, "mended"),
        (ERROR, ERROR, "never worked"),
        # The exporter, which was not moved, is what fails: nothing is known of the converter.
        (NO_FILE, NO_FILE, "not known"),
        (MATCH, NO_FILE, "worked then, broken now"),
        (MATCH, ABSENT, "not known"),
        (None, MATCH, "not known"),
    ],
)
def test_how_a_cell_stands(then: Judgement | None, now: Judgement, standing: str) -> None:
    side = BothSides(result(now, "old~now"), result(then) if then else None, "converter")
    assert (side.cell, side.standing) == ("net/torch-1.2.0@9/old", standing)


def test_then_and_now_in_markdown_and_junit() -> None:
    cells = [result(ERROR, "old~now"), result(ERROR, "mid~now"), result(MATCH, "new~now")]
    sides = [
        BothSides(cells[0], result(MATCH), "converter"),
        BothSides(cells[1], result(ERROR, "mid"), "converter"),
        BothSides(cells[2], result(MATCH, "new"), "converter"),
    ]
    told = {cells[0].record.cell: "broken by protobuf 4.21.1"}
    found = run(*cells, resolution="now", as_of=dt.date(2026, 11, 26), sides=sides, blames=told)
    lines = [line for line in markdown(found).splitlines() if line]
    assert lines[0] == "| model | moved | with | then | now 2026-11-26 | standing | where | reason |"
    assert lines[2].startswith("| net | old | torch-1.2.0 | match | error | worked then, broken now |")
    assert "broken by protobuf 4.21.1" in lines[2]
    # What never worked is no news.
    assert 'failures="1"' in junit(found, frozenset())
