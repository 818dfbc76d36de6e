"""The table with external families: toys provided by entry points, as another package would."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small
from packaging.version import Version
from test_evidence import entry, profile
from test_registry import ROWS, TOYS
from test_releases_survey import TODAY, Fake, index, listed, outcomes

from matrix.answers.blame.table_patch import _whens
from matrix.answers.evidence import Evidence
from matrix.answers.evidence.derive import entry_of
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.constraints import read_constraint
from matrix.answers.pick.derived_rows import derived_rows
from matrix.answers.pick.ranking import PickRequest, Ranked, preferred, rank, ranker, relaxations
from matrix.answers.pick.search import Picks
from matrix.answers.prediction import Prediction, Predictor
from matrix.answers.releases.additions import additions, changed_table, noted
from matrix.answers.releases.survey import Survey, survey
from matrix.answers.remedies.apply import Table, applied
from matrix.cli.coverage import chosen
from matrix.core.errors import ConfigError, UsageError
from matrix.core.paths import CONVERTER
from matrix.environments.docker.context import shared_part
from matrix.environments.sizes import megabytes
from matrix.families import family_named, registry
from matrix.families.converter_folder import converter_folder
from matrix.families.registry import distributions, exclusive, heavy_packages, row_packages
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import LITE_ONLY, Judgement
from matrix.judging.remedy_changes import Change
from matrix.judging.tolerance import Tolerances
from matrix.outputs.package.folder import Choice, write
from matrix.outputs.terminal.pick import print_expected
from matrix.outputs.terminal.prediction import document, print_predictions
from matrix.outputs.wording.legs import leg_words
from matrix.packages.lock import parse_lock
from matrix.planning import Selection, make_plan
from matrix.planning.cells import Cell
from matrix.store.records import RunRecord
from matrix.table.exporters import direct
from matrix.table.model import Config
from matrix.table.source import read_source

# A converter of .onnx files that shares its packages with onnx-tf, and one that takes the torch module and whose passes
# need nothing but numpy.
MODULE = """
from pathlib import Path

from matrix.families import Family
from matrix.store.records import Pass


class Second(Family):
    name = "second"
    title = "Second"
    source = "onnx"
    packages = ("second", "onnx", "tensorflow")
    runtime = "tensorflow"
    code = "second"
    loads = ()
    folder = Path(__file__).parent / "code"
    replaces = {"tensorflow": ("tensorflow-cpu", "tensorflow-intel")}
    watched = ("second", "tensorflow")
    heavy = {"second": (("<2", 900), ("", 1800))}


class Plain(Family):
    name = "plain"
    title = "Plain"
    source = "torch"
    packages = ("plain", "torch")
    runtime = "plain"
    code = "plain"
    loads = (Pass("converter.families.plain.reload", ("plain.npz",), ("tflite",), numbers="plain.npz"),)
    folder = Path(__file__).parent / "code"
    artifacts = ("tflite",)
    in_memory = False
    reads = None
    watched = ("plain",)


SECOND, PLAIN = Second(), Plain()
"""
CODE = {
    "convert": """
        import os, shutil
        import numpy
        from converter.arrays import read_cases, write_cases
        from converter.families.plain.twice import twice

        def framework():
            return numpy

        def convert(job, packages, _):
            cases = [{"y": twice(case["x"])} for case in read_cases(job.given("inputs.npz"))]
            write_cases(job.made("torch.npz"), cases)
            os.makedirs(os.path.join(job.outbox, "saved"))
            with open(os.path.join(job.outbox, "saved", "model.tflite"), "w") as file:
                file.write("2")
            job.facts["artifacts"] = ["tflite"]

        STAGES = (convert,)
    """,
    "reload": """
        import os
        import numpy
        from converter.arrays import read_cases, write_cases

        def framework():
            return numpy

        def reload(job, packages, _):
            with open(job.given(os.path.join("saved", "model.tflite"))) as file:
                factor = numpy.float32(file.read())
            cases = [{"y": factor * case["x"]} for case in read_cases(job.given("inputs.npz"))]
            write_cases(job.made("plain.npz"), cases)

        STAGES = (reload,)
    """,
    "twice": """
        def twice(x):
            return 2 * x
    """,
    "__init__": "",
}
OURS = """\
  - {id: one, family: second, pins: {second: 1.0, onnx: 1.10, tensorflow: 2.7.0}}
  - {id: two, family: plain, pins: {plain: 1.0, torch: 1.12.1}}
models:
"""


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Four families besides ours."""
    place = tmp_path / "site"
    home = place / "second-1.0.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text(
        "[torch_tf_matrix.families]\nplain = brought:PLAIN\nsecond = brought:SECOND\n"
    )
    (place / "brought.py").write_text(MODULE)
    (place / "code").mkdir()
    for name, text in CODE.items():
        (place / "code" / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.setattr(sys, "path", [*sys.path, str(TOYS), str(place)])
    monkeypatch.delitem(sys.modules, "brought", raising=False)
    caches = registry._external, heavy_packages, row_packages
    for cache in caches:
        cache.cache_clear()
    yield
    sys.modules.pop("brought", None)
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def config(tmp_path: Path, toys: None) -> Config:
    return small.config(tmp_path, small.changed("models:\n", ROWS.replace("models:\n", OURS)))


@pytest.fixture
def candidates(config: Config) -> Candidates:
    return Candidates(config, small.locks(config), None)


def rows(candidates: Candidates, *constraints: str, model: int = 0) -> set[str]:
    asked = tuple(read_constraint(*constraint.split(" ", 1)) for constraint in constraints)
    return {cell.converter.id for cell in candidates.cells(candidates.config.models[model], asked)}


def directly(config: Config, row: str = "script", model: int = 0) -> Cell:
    exporter = direct(config)
    assert exporter is not None
    converter = next(item for item in config.converters if item.id == row)
    return Cell(config.models[model], replace(exporter, torch=converter.pins["torch"]), 0, converter, "3.9")


# --- pick


def test_a_torch_module_is_a_candidate_without_an_exporter(candidates: Candidates) -> None:
    found = [cell for cell in candidates.cells(candidates.config.models[0]) if cell.converter.id in ("script", "two")]
    assert [cell.id for cell in found] == ["net/direct/script", "net/direct/two"]
    assert {cell.exporter.torch for cell in found} == {"1.12.1"}
    file = candidates.config.models[0].model_copy(update={"factory": None, "onnx": "net.onnx", "builder": None})
    assert {cell.converter.id for cell in candidates.cells(file)} == {"old", "new", "text", "one"}


def test_constraints_are_about_what_a_family_pins(candidates: Candidates) -> None:
    assert rows(candidates) == {"old", "new", "text", "script", "one", "two"}
    assert rows(candidates, "tensorflow 2.7") == {"one"}
    assert rows(candidates, "tensorflow >=2") == {"new", "one"}
    assert rows(candidates, "onnx-tf 1.10") == {"new"}
    assert rows(candidates, "protobuf <5") == {"text"}
    assert rows(candidates, "onnx 1.10") == {"new", "text", "one"}
    # The exporter's torch, or the converter's own.
    assert rows(candidates, "torch 1.12") == {"old", "new", "text", "script", "one", "two"}
    assert rows(candidates, "torch 2.13") == {"old", "new", "text", "one"}
    assert rows(candidates, "torch 1.2") == {"old", "new", "text", "one"}


def test_what_cannot_make_an_artifact_is_no_candidate_where_it_is_needed(config: Config) -> None:
    found = Candidates(config, small.locks(config), None, "tflite")
    assert rows(found) == {"old", "new", "two"}


def test_all_of_them_are_ranked_and_tried(candidates: Candidates) -> None:
    config = candidates.config
    cells = candidates.cells(config.models[0])
    predictor = Predictor(config, Evidence(profiles={profile().key: profile()}), locks=candidates.locks)
    for preference in ("newest", "smallest", "fastest", "most-accurate"):
        prefer = preferred(preference, [entry()])  # type: ignore[arg-type]
        ranked = rank(cells, predictor.predict, prefer)
        assert len(ranked) == len(cells)
    asked = (read_constraint("tensorflow", "3"), read_constraint("torch", "1.12"))
    ways = relaxations(asked, lambda some: rank(candidates.cells(config.models[0], some), predictor.predict, prefer))
    assert [given_up for given_up, _ in ways] == [(asked[0],)]
    picks = Picks(ranked, Table(config, candidates.locks))
    assert picks.next([]) == (ranked[0].cell,)


def test_what_fails_directly_speaks_against_the_same_release(config: Config) -> None:
    first, other = directly(config), directly(config, "two")
    expected = Prediction(0.95, (), ())
    picks = Picks([Ranked(first, expected), Ranked(other, expected)], Table(config, {}), remedy=False)
    assert picks.next([]) == (first,)
    failed: Any = SimpleNamespace(
        record=SimpleNamespace(cell=first.id),
        finding=Finding("error", "exporter", "forward"),
        judgement=Judgement(Finding("error", "exporter", "forward")),
        remedied=None,
        tried=(),
    )
    # What the module computes is asked in one environment for both: nothing else is worth a try.
    assert picks.next([failed]) == ()


def test_rows_are_made_of_the_closest_of_their_family(config: Config) -> None:
    locks = small.locks(config)
    day = dt.date(2021, 11, 4)
    released = lambda package: {Version("2.7.4"): day} if package == "tensorflow" else {}  # noqa: E731

    def made(*constraints: str) -> list[tuple[str, str]]:
        asked = [read_constraint(*constraint.split(" ", 1)) for constraint in constraints]
        return [(row.id, getattr(row, "family", "")) for row in derived_rows(config, locks, asked, released)]

    # Rows of one family pin protobuf, so it is not added to rows of the others.
    assert made("protobuf 4.25") == []
    assert {family for _, family in made("tensorflow 2.7", "onnx 1.5")} == {"onnx-tf", "second"}
    found = made("torch 2.13")
    assert ("script+torch2.13.0", "torchscript") in found
    assert ("two+torch2.13.0", "plain") in found
    assert {family for _, family in found} == {"torchscript", "plain"}


def test_the_session_ranks_them(config: Config) -> None:
    session: Any = SimpleNamespace(config=config, offered=config, locks=small.locks(config), build=None)
    ranked = ranker(session, PickRequest(config.models[0]), Evidence())(())
    assert {item.cell.converter.id for item in ranked} == {"old", "new", "text", "script", "one", "two"}
    print_expected(ranked, set())


def test_options_are_made_of_what_families_pin(tmp_path: Path, toys: None) -> None:
    places = os.pathsep.join((str(small.ROOT), str(TOYS), str(tmp_path / "site")))
    command = [sys.executable, "-m", "matrix", "pick", "--help"]
    environ = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    said = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")]
    # The package "plain" has none: the command has another option of that name.
    for option in ("--torch", "--tensorflow", "--onnx", "--onnx-tf", "--protobuf", "--second", "--plain", "--numpy"):
        assert said.count(option) == 1, option


# --- predict


def test_a_direct_cell_is_foretold_by_what_its_row_made_of_others(config: Config) -> None:
    cell = directly(config)

    def foretold(*entries: Any) -> Prediction:
        return Predictor(config, Evidence(tuple(entries))).predict(cell)

    def seen(model: str, verdict: str, row: str = "script", **said: Any) -> Any:
        return entry(model, row, verdict, cell=f"{model}/direct/{row}", exporter="direct", opset=0, **said)

    assert foretold().probability == 0.5
    assert foretold(seen("net", "match")).probability > 0.95
    good = foretold(*(seen(f"m{number}", "match") for number in range(8)))
    assert good.probability > 0.8 and good.basis == ("other models with this row",)
    error = {"role": "converter", "stage": "convert", "reason": "no-such-thing", "said": "no"}
    bad = foretold(*(seen(f"m{number}", "error", **error) for number in range(3)))
    assert bad.probability < 0.3
    assert [blocker.text for blocker in bad.blockers] == ["fails in torch 1.12.1, as m0 shows (no-such-thing)"]
    broken = {"role": "converter", "stage": "import", "reason": "numpy-too-new", "said": "numpy"}
    assert foretold(seen("m0", "error", **broken)).blockers[0].reason == "numpy-too-new"
    # One of many whose import was ended was ended by something else.
    assert foretold(seen("m0", "error", **broken), seen("m1", "match")).probability > 0.4
    # Another family's row says nothing.
    assert foretold(seen("m0", "error", "two", **error)).probability == 0.5


def test_predictions_of_every_family_are_shown(config: Config) -> None:
    locks = small.locks(config)
    plan = make_plan(config, locks, Selection("full"), None)
    known = Evidence((entry(), entry("other", "text", "error")), {profile().key: profile()})
    found = [(cell, Predictor(config, known, locks=locks).predict(cell)) for cell in plan.cells]
    print_predictions(found)
    assert json.dumps(document("net", found))


# --- remedies


def test_remedies_that_need_a_file_are_none_without_one(config: Config) -> None:
    result: Any = SimpleNamespace(
        export=SimpleNamespace(facts={}), altered=(), finding=Finding("error", "converter", "convert")
    )
    table = Table(config, small.locks(config))
    of_a_file: list[dict[str, Any]] = [
        *({"ir_version": "table"}, {"opset": "<13"}, {"convert_opset": "<13"}, {"via": "torchscript"}),
        *({"simplify": True}, {"rename": True}, {"environ": {"TF_USE_LEGACY_KERAS": "1"}}),
    ]
    for written in of_a_file:
        assert applied(directly(config), Change.parse(written), result, table) is None
    added = applied(directly(config), Change.parse({"add": {"numpy": "<2"}}), result, table)
    assert added is not None and added.converter.add == {"numpy": "<2"}
    # What only onnx-tf knows is not known here.
    assert applied(directly(config), Change.parse({"add": {"keras": "~={tensorflow_minor}.0"}}), result, table) is None


def test_a_rule_that_cures_a_row_is_about_its_pins(config: Config) -> None:
    whens = {row.id: list(_whens(row)) for row in config.converters}
    assert whens["new"] == [
        {"onnx-tf": "==1.10.0", "tensorflow": "~=2.8.0"},
        {"onnx-tf": "==1.10.0", "onnx": "==1.10", "tensorflow": "==2.8.0"},
    ]
    assert whens["one"][0] == {"second": "==1.0", "tensorflow": "~=2.7.0"}
    assert whens["script"] == [{"torch": "~=1.12.0"}, {"torch": "==1.12.1"}]


# --- update


def look(config: Config, offered: Fake, notes: str = "") -> Survey:
    return survey(config, noted(notes), offered, TODAY)


def offering(**new: tuple[str, ...]) -> Fake:
    refuses = lambda request: "no" if ("second", "2.0.0") in request.pinned else ""  # noqa: E731
    offered = index(refuses, **new)
    offered.packages |= {"second": listed("second", "1.0", *new.get("second", ()))}
    offered.packages |= {"plain": listed("plain", "1.0", *new.get("plain", ()))}
    return offered


def test_each_family_is_offered_what_it_watches(config: Config, tmp_path: Path) -> None:
    news = {"onnx": ("1.24.0",), "tensorflow": ("2.9.0",), "second": ("1.1.0", "2.0.0"), "plain": ("1.1.0",)}
    found = look(config, offering(**news))
    assert sorted(outcomes(found)) == sorted(
        [
            ("tensorflow 2.9.0", "lockable", "onnxtf1.10.0-onnx1.24.0-tf2.9.0"),
            ("second 1.1.0", "lockable", "second1.1.0-onnx1.24.0-tensorflow2.7.0"),
            ("second 2.0.0", "unsatisfiable", ""),
            ("tensorflow 2.8.0", "lockable", "second1.1.0-onnx1.24.0-tensorflow2.8.0"),
            ("tensorflow 2.9.0", "lockable", "second1.1.0-onnx1.24.0-tensorflow2.9.0"),
            ("plain 1.1.0", "lockable", "plain1.1.0-torch2.13.0"),
            ("onnx 1.24.0", "lockable", "onnxtf1.10.0-onnx1.24.0-tf2.9.0"),
            ("onnx 1.24.0", "lockable", "second1.1.0-onnx1.24.0-tensorflow2.9.0"),
            ("onnx 1.24.0", "lockable", "text-onnx1.24.0"),
        ]
    )
    path = tmp_path / "matrix.yml"
    after = changed_table(read_source(path), additions(found))
    assert after.count("- {version: 1.24.0, ") == 1
    assert "- {id: plain1.1.0-torch2.13.0, pins: {plain: 1.1.0, torch: 2.13.0}, family: plain}" in after
    assert "- {id: onnxtf1.10.0-onnx1.24.0-tf2.9.0, pins: {onnx-tf: 1.10.0, onnx: 1.24.0, tensorflow: 2.9.0}}" in after


def test_what_one_family_cannot_have_is_tried_for_another(config: Config) -> None:
    offered = index(lambda request: "no", tensorflow=("2.9.0",))
    offered.packages |= {name: listed(name, "1.0") for name in ("second", "plain")}
    offered.as_of = dt.date(2026, 7, 15)
    lines = [line for lines in additions(look(config, offered)).lines.values() for line in lines]
    assert lines == [
        "# No lock for tensorflow 2.9.0 beside onnx-tf with onnx 1.10, 1.5.0: no",
        "# No lock for tensorflow 2.8.0 beside second with onnx 1.10, 1.5.0: no",
        "# No lock for tensorflow 2.9.0 beside second with onnx 1.10, 1.5.0: no",
    ]
    again = outcomes(look(config, offered, f"  {lines[0]}\n"))
    assert again == [("tensorflow 2.8.0", "unsatisfiable", ""), ("tensorflow 2.9.0", "unsatisfiable", "")]


# --- coverage


def test_coverage_is_of_rows_whose_family_runs_the_cases(config: Config) -> None:
    session: Any = SimpleNamespace(config=config)
    assert chosen(session, ()) == chosen(session, ("*",)) == ["old", "new"]
    with pytest.raises(UsageError, match="script: TorchScript has no operator coverage to measure"):
        chosen(session, ("script",))


# --- environments


def test_distributions_that_exclude_each_other(toys: None) -> None:
    groups = exclusive([family_named("second"), family_named("plain")])
    assert groups == (frozenset(("tensorflow", "tensorflow-cpu", "tensorflow-intel")),)
    both = "".join(f"{name}==2.8.0 \\\n    {small.HASH}\n" for name in ("tensorflow", "tensorflow-intel"))
    text = small.lock("one", body=both).text()
    with pytest.raises(ConfigError, match="holds both tensorflow and tensorflow-intel"):
        parse_lock(text, Path("one.lock"), groups)
    assert parse_lock(text, Path("one.lock")).packages.keys() == {"tensorflow", "tensorflow-intel"}
    assert distributions([family_named("plain")]) == ("plain", "torch")


def test_what_is_heavy_is_a_layer_of_its_own(toys: None) -> None:
    old, new = (small.lock(version, body=f"second=={version} \\\n    {small.HASH}\n") for version in ("1.5", "2.5"))
    assert (megabytes(old), megabytes(new)) == (900, 1800)
    assert "second==1.5" in shared_part(old, [old])


# --- evidence and handing over


def judged(config: Config, cell: Cell, judgement: Judgement) -> CellResult:
    facts = {"given": [{"name": "x", "shape": [2, 3], "dtype": "float32"}]}
    source = small.observation("export", small.passed("forward", small.report("model", "forward", facts=facts)))
    convert = small.observation("convert", small.passed("convert"))
    record = small.cell_record(cell.id, exporter="direct", opset=0, converter=cell.converter.id)
    return CellResult(
        record,
        replace(source, kind="forward"),
        None,
        replace(convert, kind="direct", family=cell.converter.family),
        judgement,
        {},
        {},
        "3.9",
        cached=False,
        family=family_named(cell.converter.family),
    )


def test_a_direct_cell_is_remembered(config: Config) -> None:
    cell = directly(config)
    found = entry_of(
        judged(config, cell, Judgement(Finding("match"), legs={"torch-torchscript": {"tightest": 0.5}})), 1
    )
    assert (found.cell, found.exporter, found.opset, found.converter) == ("net/direct/script", "direct", 0, "script")
    assert (found.finding.verdict, found.margin, found.exporter_mb, found.converter_lock != "") == (
        "match",
        2.0,
        None,
        True,
    )


def test_tensorflow_lite_that_is_all_a_family_makes_is_not_beside_the_point(config: Config) -> None:
    wrong = Judgement(
        Finding("mismatch", "converter", "compare", "values"),
        leg="torch-tflite",
        legs={"torch-tflite": {"tightest": 20.0}},
        remarks=(LITE_ONLY,),
    )
    found = entry_of(judged(config, directly(config, "two"), wrong), 1)
    assert (found.finding.verdict, found.margin) == ("mismatch", 0.05)


def handed_over(config: Config, tmp_path: Path, row: str, **packages: str) -> Path:
    cell = directly(config, row)
    result = judged(config, cell, Judgement(Finding("match"), legs={"torch-tflite": {"elements": 6}}))
    body = "".join(f"{package}=={version} \\\n    {small.HASH}\n" for package, version in packages.items())
    started = dt.datetime(2026, 11, 24, 17, 0, tzinfo=dt.UTC)
    run = RunRecord(7, started, started, "complete", "pick", "venv", "python -m matrix pick --model net", 1, 4, 0)
    code = converter_folder(CONVERTER, [family_named(cell.converter.family)], tmp_path / "code")
    lock = small.lock(row, body=body)
    folder = tmp_path / "handed-over"
    write(folder, Choice(cell, result, lock, None, None, Tolerances(), tmp_path, run, code=code))
    return folder


def test_a_torch_module_is_handed_over_with_one_environment(config: Config, tmp_path: Path) -> None:
    folder = handed_over(config, tmp_path, "script", torch="1.12.1")
    assert (folder / "requirements.txt").is_file() and not (folder / "converter").exists()
    document = json.loads((folder / "toolkit" / "conversion.json").read_text())
    assert [(step["role"], step["module"]) for step in document["steps"]] == [
        ("converter", "converter.families.script.convert"),
        ("converter", "converter.families.script.reload"),
    ]
    first, second = document["steps"]
    assert first["params"]["inputs"] == ["x"] and "opset" not in first["params"]
    assert first["takes"] == {"inputs.npz": "inputs.npz", "source": "source", "checkpoint": "checkpoint"}
    assert first["leaves"] == {"torch.npz": "expected.npz", "saved": "torch"}
    assert second["takes"] == {"saved": "torch", "inputs.npz": "inputs.npz"}
    assert document["expected"] == "what torch computed"
    assert document["compared"] == [["reloaded.npz", "the saved model"]]
    code = {path.relative_to(folder / "toolkit").as_posix() for path in (folder / "toolkit").rglob("*.py")}
    assert {"converter/families/script/convert.py", "converter/zoo/gestures.py", "converter/stages/forward.py"} <= code
    assert not [name for name in code if "tflite" in name or "onnx_tf" in name]
    page = (folder / "EVIDENCE.md").read_text()
    assert "torch 1.12.1" in page and "opset" not in page and "TensorFlow" not in page


def test_what_a_family_from_outside_brings_runs_in_the_folder(config: Config, tmp_path: Path) -> None:
    import numpy

    folder = handed_over(config, tmp_path, "two", numpy=numpy.__version__)
    words = leg_words(family_named("plain"))["torch-tflite"]
    assert f"| {words} | 6 |" in (folder / "EVIDENCE.md").read_text() and "TensorFlow Lite" in words
    command = [sys.executable, str(folder / "convert.py"), "--converter-python", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("MATCH: TensorFlow Lite computed what torch did")
    assert (folder / "converted" / "plain" / "model.tflite").read_text() == "2"
