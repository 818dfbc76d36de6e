"""What is shown where rows are of a second family: tables, JSON, JUnit, and a whole site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import other_family
import pytest
import small
from bench import VALUES, Bench, Cell
from click.testing import CliRunner
from fakes import npz
from jsonschema import Draft202012Validator
from other_family import NAME, ROW
from test_terminal import MATCH, cases, printed, rows, run
from test_terminal import result as first_result

from matrix.answers.prediction import Prediction
from matrix.cli.dashboard import dashboard
from matrix.cli.plan import plan
from matrix.families import family_named
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.outputs.dashboard import families
from matrix.outputs.dashboard.shards import fnv1a
from matrix.outputs.documents.coverage import CoverageReport as CoverageReport
from matrix.outputs.documents.coverage import beside
from matrix.outputs.documents.junit import junit
from matrix.outputs.documents.markdown import markdown
from matrix.outputs.documents.run import document
from matrix.outputs.terminal.detail import print_detail
from matrix.outputs.terminal.prediction import document as prediction_document
from matrix.outputs.terminal.prediction import print_predictions
from matrix.outputs.wording.columns import columns, described, ordered, shortened
from matrix.outputs.wording.legs import leg_words
from matrix.planning.cells import Cell as Planned
from matrix.table.exporters import direct, expand


@pytest.fixture(autouse=True)
def _brought(tmp_path: Path) -> Iterator[None]:
    with other_family.brought(tmp_path / "site-packages"):
        yield


# -- tables


def test_columns_are_the_union_of_the_families_in_their_order() -> None:
    found = ordered([family_named(NAME), family_named("onnx-tf"), family_named(NAME), family_named("gone")])
    assert [family.name for family in found] == ["onnx-tf", NAME, "gone"]
    assert [item.name for item in columns(found)] == ["onnx-tf", "onnx", "tensorflow", NAME, "torch", "lite-runtime"]
    assert [item.title for item in columns(found)][2::3] == ["TensorFlow", "LiteRuntime"]


@pytest.mark.parametrize(("title", "short"), [("TensorFlow", "TF"), ("onnx-tf", "onnx-tf"), ("LiteRT", "LiteRT")])
def test_long_names_have_short_ones(title: str, short: str) -> None:
    assert shortened(title) == short


def test_a_table_of_two_families_says_of_which_a_row_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(run(first_result(MATCH), other_family.result(MATCH)), capsys)
    head, first, second, *_ = text.splitlines()
    assert head.split()[:9] == [
        *("exporter", "opset", "python", "family"),
        *("onnx-tf", "onnx", "tensorflow", NAME, "torch"),
    ]
    assert first.split()[:7] == ["torch-1.2.0", "9", "3.6", "onnx-tf", "1.3.0", "1.5.0", "1.13.1"]
    # No exporter, no opset, and nothing of the other family's packages.
    assert second.split()[:6] == ["direct", "3.11", NAME, "0.4", "2.13.0", "1.2"]
    assert "torch2lite==0.4" in text and "with opset 0" not in text


def test_a_table_of_one_family_has_no_column_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    head = printed(run(other_family.result(MATCH)), capsys).splitlines()[0]
    assert head.split()[:7] == ["exporter", "opset", "python", NAME, "torch", "lite-runtime", "verdict"]
    assert rows(markdown(run(other_family.result(MATCH))))[0][3:8] == [
        *("Python", NAME, "torch", "LiteRuntime", "verdict"),
    ]


def test_markdown_of_two_families() -> None:
    head, _, first, second = rows(markdown(run(first_result(MATCH), other_family.result(MATCH))))
    assert head[4:8] == ["family", "onnx-tf", "onnx", "TensorFlow"] and head[8:11] == [NAME, "torch", "LiteRuntime"]
    assert first[4:11] == ["onnx-tf", "1.3.0", "1.5.0", "1.13.1", "", "", ""]
    assert second[1:5] == ["direct", "", "3.11", NAME] and second[5:11] == ["", "", "", "0.4", "2.13.0", "1.2"]


def test_junit_names_a_direct_cell_without_an_opset() -> None:
    told = run(other_family.result(other_family.BROKEN))
    suite, kinds = cases(told)
    (case,) = suite.iter("testcase")
    assert (case.get("name"), case.get("classname"), kinds) == ("direct", f"net.{ROW}", ["failure"])
    assert "artifacts: saved-model match, tflite error" in junit(told, frozenset())


def test_the_document_has_the_family_its_packages_and_torch() -> None:
    first, second = document(run(first_result(MATCH), other_family.result(MATCH)))["cells"]
    assert first["family"] == "onnx-tf" and first["artifacts"] == {} and first["torch"] == "1.2.0"
    assert second["family"] == NAME and (second["torch2lite"], second["lite-runtime"]) == ("0.4", "1.2")
    # No exporter's, but its own.
    assert (second["torch"], second["opset_asked"]) == ("2.13.0", 0)
    assert "tensorflow" not in second and "lite-runtime" not in first


def test_a_forecast_of_two_families(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = small.config(tmp_path, other_family.table())
    old, _, other = table.converters
    absent = direct(table)
    assert absent is not None
    found = [
        (Planned(table.models[0], expand(table)[0], 9, old, "3.8"), Prediction(0.9, (), ())),
        (Planned(table.models[0], absent, 0, other, "3.11"), Prediction(0.4, (), ())),
    ]
    print_predictions(found)
    head, first, second = capsys.readouterr().out.splitlines()[:3]
    assert head.split()[:5] == ["match", "exporter", "opset", "python", "family"] and NAME in head.split()
    assert first.split()[1:7] == ["torch-1.2.0", "9", "3.8", "onnx-tf", "1.3.0", "1.5.0"]
    assert second.split()[1:6] == ["direct", "3.11", NAME, "0.4", "2.13.0"]
    told = prediction_document("net", found)["predictions"]
    assert [item["family"] for item in told] == ["onnx-tf", NAME] and told[1]["lite-runtime"] == "1.2"


def test_a_plan_counts_no_export_of_what_is_not_exported(tmp_path: Path) -> None:
    made = other_family.table().replace("converters: [new]", f"converters: [{ROW}]")
    table = small.table(tmp_path, made)
    done = CliRunner().invoke(plan, ["--tier", "quick", "--table", str(table), "--state", str(tmp_path / "state")])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("tier quick: 2 cells, 0 exports,")


def test_coverage_is_labelled_by_what_names_the_row() -> None:
    other = beside(family_named(NAME), {"lite-runtime": "1.2"})
    report = CoverageReport((), (), {"row": other, "old": beside(family_named("onnx-tf"), {"tensorflow": "2.8.0"})}, {})
    assert report.label("row").endswith(", torch ?, LR 1.2")
    assert report.label("old").endswith(", TF 2.8.0")


# -- artifacts


def test_the_table_says_that_artifacts_differ_and_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    phrase = "saved-model match, tflite error"
    assert phrase in printed(run(other_family.result(other_family.BROKEN)), capsys)
    assert f"op-missing; {phrase}" in markdown(run(other_family.result(other_family.BROKEN)))
    alike = replace(MATCH, artifacts={"saved-model": Finding("match"), "tflite": Finding("match")})
    assert "saved-model" not in printed(run(other_family.result(alike)), capsys)


def test_the_document_has_a_finding_for_each_artifact() -> None:
    (cell,) = document(run(other_family.result(other_family.BROKEN)))["cells"]
    assert list(cell["artifacts"]) == ["saved-model", "tflite"]
    assert cell["artifacts"]["saved-model"]["verdict"] == "match"
    assert cell["artifacts"]["tflite"] == {
        "verdict": "error",
        "role": "converter",
        "stage": "reload",
        "reason": "op-missing",
        "title": "an operator is missing",
        "said": "no FlexConv",
    }


def test_one_cell_in_full_shows_each_artifact_and_no_opset(capsys: pytest.CaptureFixture[str]) -> None:
    judgement = Judgement(Finding("error", "converter", "compare", "elsewhere", "x"), artifacts=other_family.APART)
    print_detail(other_family.result(judgement), lambda _: "", lambda _: None, "python -m matrix run")
    out = capsys.readouterr().out
    assert "saved-model: match\n" in out
    assert "tflite: error in reload: op-missing: an operator is missing" in out
    assert "opset" not in out and "torch2lite 0.4" in out


# -- words of comparisons and rows


def test_legs_have_words_in_the_order_of_the_way() -> None:
    wanted = {
        "torch-onnxruntime": "torch ↔ ONNX Runtime",
        "original-altered": "file as it was ↔ file changed",
        "given-onnxruntime": "outputs given ↔ ONNX Runtime",
        "onnxruntime-tensorflow": "ONNX Runtime ↔ TensorFlow",
        "torch-tensorflow": "torch ↔ TensorFlow",
        "given-tensorflow": "outputs given ↔ TensorFlow",
        "memory-reloaded": "in memory ↔ saved and reloaded",
        "reloaded-tflite": "saved ↔ TensorFlow Lite",
        "reference-repeated": "ONNX Runtime, run twice",
        "torch-repeated": "torch, run twice",
    }
    found = leg_words(family_named("onnx-tf"))
    assert [(leg, words) for leg, words in found.items() if leg in wanted] == list(wanted.items())
    direct = leg_words(family_named(NAME))
    assert list(direct)[:3] == ["torch-torch", "torch-saved-model", "torch-tflite"]
    assert direct["torch-torch"] == "torch ↔ torch beside the converter"
    assert direct["torch-saved-model"] == "torch beside the converter ↔ SavedModel, reloaded"
    assert "saved" not in direct["torch-torch"] and leg_words(family_named("gone"))["torch-repeated"]


def test_rows_are_described_by_converter_and_runtime() -> None:
    known = {"onnx-tf": "1.10.0", "onnx": "1.10.2", "tensorflow": "2.8.0"}
    assert described(family_named("onnx-tf"), known) == "onnx-tf 1.10.0 with TensorFlow 2.8.0"
    assert described(family_named(NAME), other_family.VERSIONS) == "torch2lite 0.4 with LiteRuntime 1.2"
    assert described(family_named("gone"), {}) == "gone"


@pytest.mark.parametrize(
    ("row", "rest"),
    [
        ("onnxtf1.10.0-onnx1.10.2-tf2.8.0", ""),
        ("onnxtf1.10.0-tf2.8.0-tfp0.16.0", "tfp0.16.0"),
        ("onnxtf1.10.0-onnx1.10.2-tf2.8.0-numpy2", "numpy2"),
        ("new", "new"),
    ],
)
def test_what_an_id_says_beyond_its_versions(row: str, rest: str) -> None:
    known = {"onnx-tf": "1.10.0", "onnx": "1.10.2", "tensorflow": "2.8.0"}
    assert families.variant(family_named("onnx-tf"), row, known) == rest


def test_what_an_exporters_id_says_beyond_its_torch() -> None:
    found = [families.variant_of_exporter(name, "2.13.0") for name in ("torch-2.13.0", "torch-2.13.0-dynamo", "mine")]
    assert found == ["", "dynamo", "mine"]
    assert families.variant_of_exporter("direct", "") == ""


# -- a site


@pytest.fixture
def site(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of two rows of the first family and one of the second, one of whose artifacts cannot be loaded."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda: "/* vega */")
    small.table(bench.root, other_family.table())
    bench.run(Cell("old"), Cell("new", failed="nothing works"))
    numbers = bench.store.blobs.put(npz(VALUES))
    export, convert = other_family.observations(numbers, None, "no FlexConv")
    number = bench.run(Cell("old"))
    parts = [bench.store.add(number, part, True, None) for part in (export, convert)]
    bench.store.add_cells(number, [other_family.record(export=parts[0], convert=parts[1])])
    arguments = ["--out", "site", "--table", "matrix.yml", "--state", ".matrix"]
    made = CliRunner().invoke(dashboard, arguments)
    assert made.exit_code == 0, made.exception
    return bench.root / "site"


def shard(site: Path, name: str) -> Any:
    return json.loads((site / "data" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_site_names_families_and_what_their_rows_pin(site: Path) -> None:
    found = shard(site, "site")
    first, second = found["families"]
    assert (first["name"], second["name"], second["source"]) == ("onnx-tf", NAME, "torch")
    assert [item["name"] for item in second["packages"]] == [NAME, "torch", "lite-runtime"]
    assert {"tf", "tensorflow-cpu"} <= set(first["packages"][2]["also"]) and "onnxtf" in first["packages"][0]["also"]
    assert ["torch-saved-model", "torch beside the converter ↔ SavedModel, reloaded"] in second["legs"]
    by_id = {row["id"]: row for row in found["converters"]}
    assert by_id[ROW]["family"] == NAME and by_id[ROW]["versions"] == other_family.VERSIONS
    # Flat too, as ever.
    assert (by_id["old"]["onnx-tf"], by_id["old"]["tensorflow"], by_id[ROW]["torch2lite"]) == ("1.3.0", "1.13.1", "0.4")
    assert by_id[ROW]["now"] == f"{ROW}~now" and by_id[ROW]["variant"] == ""
    exporters = {item["id"]: item for item in found["exporters"]}
    assert exporters["torch-1.2.0"]["writes"] and exporters["torch-1.2.0"]["variant"] == ""
    assert not exporters["direct"]["writes"] and exporters["direct"]["torch"] == exporters["direct"]["python"] == ""


def test_ids_of_cells_are_joined_from_pieces_that_were_printed(site: Path) -> None:
    found, matrix = shard(site, "site"), shard(site, "matrix/net")
    joined = {
        matrix["ids"][column][0] + found["converters"][matrix["rows"][row]]["id"] for row, column, *_ in matrix["cells"]
    }
    assert joined == {"net/torch-1.2.0@9/old", "net/torch-1.2.0@9/new", f"net/direct/{ROW}"}
    assert matrix["ids"] == [["net/direct/", None], ["net/torch-1.2.0@9/", "net/torch-1.2.0~now@9/"]]
    picked = shard(site, "pick")
    asked = {(exporter, opset): text for exporter, opset, text in picked["ids"]}
    ends = [asked[pair[0], pair[1]] + found["converters"][pair[2]]["id"] for pair in picked["toolchains"]]
    assert {picked["models"][0] + end for end in ends} == joined
    changes = shard(site, "changes/0")
    told = {
        item["cell"]: (changes["environments"][item["exporter"]], changes["environments"][item["converter"]])
        for item in changes["changes"]
    }
    assert told["net/torch-1.2.0@9/old"] == ("torch-1.2.0", "old")


def test_a_cells_page_has_its_artifacts(site: Path) -> None:
    name = f"net/direct/{ROW}"
    cell = shard(site, f"cells/{fnv1a(name) % shard(site, 'site')['cell_shards']}")["cells"][name]
    assert cell["verdict"] == "error" and cell["family"] == NAME and cell["torch"] == "2.13.0"
    assert {kind: item["verdict"] for kind, item in cell["artifacts"].items()} == {
        "saved-model": "match",
        "tflite": "error",
    }
    assert "no FlexConv" in cell["artifacts"]["tflite"]["title"] and cell["lite-runtime"] == "1.2"


def test_every_shard_of_two_families_is_as_the_schema_says(site: Path) -> None:
    schema = json.loads((site / "data" / "schema.json").read_text(encoding="utf-8"))
    for kind, name in (("site", "site"), ("matrix/*", "matrix/net"), ("pick", "pick"), ("changes/*", "changes/0")):
        Draft202012Validator({**schema["shards"][kind], "$defs": schema["$defs"]}).validate(shard(site, name))
    for path in (site / "data" / "cells").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator({**schema["shards"]["cells/*"], "$defs": schema["$defs"]}).validate(content)


def test_pages_of_two_families(site: Path) -> None:
    listing = (site / "rows" / "index.html").read_text(encoding="utf-8")
    assert '<th scope="col">Family</th><th scope="col">onnx-tf</th><th scope="col">TensorFlow</th>' in listing
    assert '<td data-label="LiteRuntime" class="version">1.2</td>' in listing
    assert f"<title>{ROW}: torch2lite 0.4 with LiteRuntime 1.2" in (site / "rows" / f"{ROW}.html").read_text("utf-8")
    pick = (site / "pick.html").read_text(encoding="utf-8")
    wishes = [part.partition('"')[0] for part in pick.split('data-wish="')[1:]]
    assert wishes == ["torch", "onnx", "onnx-tf", "tensorflow", NAME, "lite-runtime", "python"]
    assert "<code>lite-runtime</code>" in (site / "index.html").read_text(encoding="utf-8")


def test_no_script_takes_an_id_apart_or_names_a_family() -> None:
    for path in (small.ROOT / "matrix" / "dashboard" / "assets").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert "~now" not in text and "onnx-tf" not in text and "tensorflow" not in text.lower(), path
