"""The take-away image: its program, run without an image, and the image's name, registry and joint environment."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import numpy as np
import pytest
from small import TABLE

from matrix.core.errors import Indeterminate, UsageError
from matrix.execution.drawn_inputs import draw, pack
from matrix.families.onnx_tf import OnnxTf
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.judging.known_failures import load
from matrix.judging.tolerance import Tolerances
from matrix.outputs.package.image.carried import write_program
from matrix.outputs.package.image.image import check_room, check_tag, default_tag, remote_name
from matrix.outputs.package.image.inside import inputs, result_folder, workers
from matrix.outputs.package.image.inside.inputs import Fed, choose_shapes
from matrix.outputs.package.image.inside.judging import NO_REFERENCE, Reference, conclude, speak
from matrix.outputs.package.image.inside.model import GraphInput, Model
from matrix.outputs.package.image.inside.options import parse
from matrix.outputs.package.image.inside.report import EXIT_CODES, ConversionReport
from matrix.outputs.package.image.inside.toolchain import Toolchain
from matrix.outputs.package.image.inside.workers import Workers
from matrix.outputs.package.image.joint import joint_request
from matrix.store.records import Exit, Observation, PassRecord
from matrix.table import load_config
from matrix.table.model import Config, ExporterRow, Verdict

TOOLCHAIN = Toolchain(
    row="row-1",
    environment="e" * 64,
    lock="l" * 64,
    versions={"python": "3.9.1", "onnx": "1.10.2", "onnx-tf": "1.10.0", "tensorflow-cpu": "2.8.0"},
    python=sys.executable,
    reference_python=sys.executable,
    onnxruntime="1.2.3",
    tolerances={"float32": (0.5, 0.25)},
    packages=("onnx-tf", "onnx", "tensorflow-cpu"),
    converts="converter.families.onnx_tf.convert",
    compared=asdict(OnnxTf().scheme),
)


# What goes into the image


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    write_program(folder)
    return folder


def in_the_image(program: Path, code: str) -> str:
    """Run code with the carried modules and, as in the image, only the standard library and numpy beside them."""
    lines = [
        "import sys",
        "class Absent:",
        "    def find_spec(self, name, path=None, target=None):",
        "        top = name.split('.')[0]",
        "        if top not in sys.stdlib_module_names | {'numpy', 'matrix', 'converter'}:",
        "            raise ModuleNotFoundError(name)",
        "sys.meta_path.insert(0, Absent())",
        f"sys.path.insert(0, {str(program)!r})",
        code,
    ]
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-c", "\n".join(lines)],
        cwd=program,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_program_needs_nothing_that_the_image_does_not_have(program: Path) -> None:
    code = "from matrix.outputs.package.image.inside import program as p; from matrix.judging import judge as j; "
    code += "print(p.__file__, j.__file__)"
    for path in in_the_image(program, code).split():
        assert Path(path).is_relative_to(program)


def test_the_image_recognises_failures_by_the_same_entries(program: Path) -> None:
    code = "from matrix.judging.known_failures import load; print(repr(load()))"
    assert in_the_image(program, code) == repr(load())


def test_the_image_holds_what_its_passes_run_and_not_the_zoo(program: Path) -> None:
    converter = program / "converter"
    for name in ("stages/reference.py", "families/onnx_tf/convert.py", "families/onnx_tf/reload.py"):
        assert (converter / name).is_file()
    assert not (program / "converter" / "zoo").exists()


def test_a_toolchain_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "toolchain.json").write_text(TOOLCHAIN.text())
    read = Toolchain.read(tmp_path)
    assert read.versions == TOOLCHAIN.versions
    assert (read.rule.float32.rtol, read.rule.float32.atol) == (0.5, 0.25)
    assert read.rule.float64 == Tolerances().float64
    assert read.words == "onnx-tf 1.10.0 and tensorflow-cpu 2.8.0"
    assert read.scheme == OnnxTf().scheme


# The command line


def test_options_are_read() -> None:
    found = parse(TOOLCHAIN, ["m.onnx", "--shape", "x=1x3", "--shape", "a=b:0=7", "--shape", "s=", "--output", "out"])
    assert found.model == Path("m.onnx")
    assert found.shapes == {"x": (1, 3), "a=b:0": (7,), "s": ()}
    assert (found.output, found.overwrite, found.json) == (Path("out"), False, False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "MODEL.onnx.*--help"),
        (["m.onnx", "--shape", "x"], "NAME=1x3x224x224"),
        (["m.onnx", "--shape", "x=1x0"], "NAME=1x3x224x224"),
        (["m.onnx", "--shape", "x=ax2"], "NAME=1x3x224x224"),
        (["m.onnx", "--shape", "=2"], "NAME=1x3x224x224"),
        (["m.onnx", "--reference", "o.npz"], "--inputs"),
        (["m.onnx", "--inputs", "i.npz", "--shape", "x=1"], "--shape"),
        (["m.onnx", "--input", "i.npz"], "--input"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as raised:
        parse(TOOLCHAIN, arguments)
    assert "\n" not in str(raised.value)


def test_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(TOOLCHAIN, ["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert [int(code) for code in re.findall(r"^  (\d+) ", text, re.MULTILINE)] == list(EXIT_CODES)
    assert "onnx-tf 1.10.0 and tensorflow-cpu 2.8.0" in text


# Inputs


def model(*inputs: GraphInput) -> Model:
    return Model(Path("m.onnx"), 9, 4, inputs, ())


OPEN = GraphInput("x:0", "float32", ("batch", 3, ""))


def test_shapes_are_as_declared_or_as_stated() -> None:
    fixed, scalar = GraphInput("i", "int64", (2, 3)), GraphInput("s", "bool", ())
    chosen = choose_shapes(model(fixed, OPEN, scalar), {"x:0": (2, 3, 4)})
    assert [(item.name, item.shape, item.dtype) for item in chosen] == [
        ("i", (2, 3), "int64"),
        ("x:0", (2, 3, 4), "float32"),
        ("s", (), "bool"),
    ]


@pytest.mark.parametrize(
    ("item", "stated", "complaint"),
    [
        (OPEN, {}, r"'x:0' has the shape batch x 3 x \?, .* --shape x:0=1x3x1$"),
        (GraphInput("a b", "float32", None), {}, r"unknown.* --shape 'a b=1x3x224x224'$"),
        (OPEN, {"x:0": (1, 4, 2)}, "not 1 x 4 x 2"),
        (OPEN, {"x:0": (1, 3)}, "not 1 x 3$"),
        (OPEN, {"y": (1,)}, "no input 'y'; the model takes x:0"),
        (GraphInput("t", "object", (1,)), {}, "--inputs"),
    ],
)
def test_what_cannot_be_fed_is_one_sentence(
    item: GraphInput, stated: dict[str, tuple[int, ...]], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint) as raised:
        choose_shapes(model(item), stated)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int64", "uint64", "bool"])
def test_made_up_values_are_of_the_right_kind_and_indices_of_any_table(dtype: str) -> None:
    arrays = draw([Fed("x", (3, 40), dtype)], seed=0)
    assert {array.dtype.name for array in arrays.values()} == {dtype}
    values = np.concatenate([array.ravel() for array in arrays.values()])
    assert len(np.unique(values)) > 1
    if dtype.startswith("float"):
        assert -1 <= values.min() < 0 < values.max() <= 1
    else:
        assert set(np.unique(values).tolist()) == {0, 1}


def stored(path: Path, arrays: dict[str, Any]) -> Path:
    path.write_bytes(pack(arrays))
    return path


def test_given_arrays_have_cases_or_are_one(tmp_path: Path) -> None:
    one = np.ones(2, "float32")
    assert list(inputs.read_given(stored(tmp_path / "a.npz", {"x": one, "y": one}), "--inputs")) == ["0/x", "0/y"]
    many = inputs.read_given(stored(tmp_path / "b.npz", {"10/x": one, "2/x": one}), "--inputs")
    assert inputs.cases(many) == ["2", "10"]


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"0/x": np.zeros(2, "float32"), "y": np.zeros(2, "float32")}, "0/y"),
        ({}, "no array"),
        ({"0/y": np.zeros(2, "float32")}, "takes 0/x"),
        ({"0/x": np.zeros(2, "float64")}, "float64, the model takes float32"),
        ({"0/x": np.zeros((2, 1), "float32")}, "shape 2 x 1, the model takes n"),
    ],
)
def test_given_inputs_that_do_not_fit_are_one_sentence(tmp_path: Path, arrays: dict[str, Any], complaint: str) -> None:
    path = stored(tmp_path / "in.npz", arrays)
    with pytest.raises(UsageError, match=complaint):
        inputs.check_inputs(model(GraphInput("x", "float32", ("n",))), inputs.read_given(path, "--inputs"), path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="plain arrays"):
        inputs.read_given(tmp_path / "in.npz", "--inputs")


def test_a_reference_of_other_cases_is_refused() -> None:
    one = np.zeros(1, "float32")
    with pytest.raises(UsageError, match="cases 1, the inputs are the cases 0"):
        inputs.check_reference({"0/x": one}, {"1/y": one}, Path("out.npz"))


# The result's folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mounted folder, which is the working directory."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def staged(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in {"report": json.dumps({"made_by": result_folder.MAKER}), **files}.items():
        place = {"report": result_folder.REPORT, "log": result_folder.LOG, "graph": "graph.pb"}[name]
        (folder / place).write_text(text)
    return folder


def test_what_was_made_before_is_replaced_and_other_files_stay(data: Path) -> None:
    result = Path("m.tf")
    result_folder.claim(result, overwrite=False)
    result_folder.publish(staged(data / "one", graph="old"), result)
    (result / "notes.txt").write_text("mine")
    (result / "model").mkdir()

    result_folder.claim(result, overwrite=False)
    result_folder.publish(staged(data / "two", log="new"), result)

    assert sorted(path.name for path in result.iterdir()) == ["log.txt", "notes.txt", "report.json"]
    assert (result / "notes.txt").read_text() == "mine"


def test_a_folder_of_others_is_only_used_with_a_word_from_the_user(data: Path) -> None:
    result = Path("m.tf")
    result.mkdir()
    result_folder.claim(result, overwrite=False)  # an empty one is nobody's
    (result / "report.json").write_text('{"made_by": "somebody"}')
    with pytest.raises(UsageError, match="--overwrite"):
        result_folder.claim(result, overwrite=False)
    result_folder.claim(result, overwrite=True)


def test_a_file_or_link_in_the_way_is_never_replaced(data: Path) -> None:
    Path("m.tf").write_text("")
    Path("link").symlink_to(data)
    for name in ("m.tf", "link"):
        with pytest.raises(UsageError, match="--output"):
            result_folder.claim(Path(name), overwrite=True)


def test_nothing_outside_of_the_mounted_folder_is_taken(data: Path) -> None:
    Path("way-out").symlink_to(data.parent)
    for path in (data.parent / "m.onnx", Path("../m.onnx"), Path("way-out/m.onnx")):
        with pytest.raises(UsageError, match="outside"):
            result_folder.inside(path, "model")
    assert result_folder.inside(data / "m.onnx", "model") == data / "m.onnx"


def test_the_folder_for_everything_in_between_goes_whatever_happens(data: Path) -> None:
    with pytest.raises(KeyboardInterrupt), result_folder.scratch(Path("sub/m.tf")) as folder:
        assert folder.is_absolute() and folder.parent == (data / "sub").resolve()
        (folder / "half").mkdir()
        raise KeyboardInterrupt
    assert list((data / "sub").iterdir()) == []


def test_the_mounted_folder_itself_can_be_the_result(data: Path) -> None:
    with result_folder.scratch(data) as folder:
        assert folder.parent == data.resolve()


# Passes


WORKER = """
import json, os, signal, sys
name, inbox, outbox = sys.argv[1], sys.argv[3], sys.argv[5]
os.makedirs(os.path.join(outbox, "job"))
def leave(kind, text=""):
    with open(os.path.join(outbox, "job", name + kind), "w") as file:
        file.write(text)
leave(".log", "said " + open(os.path.join(inbox, "job", "model.onnx")).read())
open(os.path.join(inbox, "job", "model.onnx"), "w").close()
open(os.path.join(os.environ["TMPDIR"], "autograph"), "w").close()
"""
GOOD = 'leave(".json", json.dumps({"schema": 1, "done": True, "stages": []}))\nleave(".released")\n'


@pytest.mark.parametrize(
    ("ending", "exit_status", "title"),
    [
        (GOOD, None, None),
        (GOOD + "sys.exit(3)", Exit(code=3), "left a good result and then died"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", Exit(signal=11), "died in stage import of SIGSEGV"),
        ('leave(".json", "{")\nleave(".released")', None, "without leaving a complete result"),
        ("sys.exit(0)", Exit(code=0), "exited in stage import"),
    ],
)
def test_what_a_pass_left_is_taken_down(
    tmp_path: Path, ending: str, exit_status: Exit | None, title: str | None
) -> None:
    worker, user = tmp_path / "worker.py", tmp_path / "user.onnx"
    worker.write_text(WORKER + ending)
    user.write_text("the model")

    record = Workers(worker, tmp_path / "scratch").run("convert", sys.executable, {"model.onnx": user})

    assert record.exit == exit_status
    assert Path(record.log).read_text() == "said the model"
    assert user.read_text() == "the model", "a pass reached the user's own file"
    found = speak(observed(replace(record, artifact="saved-model")))
    assert (found is None) if title is None else (found is not None and title in found.finding.title)


def test_a_pass_that_the_kernel_ended_for_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([4, 5])
    monkeypatch.setattr(workers, "kills_for_memory", lambda: next(counts))
    (tmp_path / "worker.py").write_text("import os; os.kill(os.getpid(), 9)")
    record = Workers(tmp_path / "worker.py", tmp_path / "scratch").run("convert", sys.executable, {})
    found = speak(observed(record, memory_mb=200))
    assert found is not None and found.finding.verdict == "oom" and "200 MB" in found.finding.title


@pytest.mark.parametrize(
    ("files", "killed", "limit"),
    [
        ({"memory.events": "low 0\noom 3\noom_kill 2\n", "memory.max": "209715200\n"}, 2, 200),
        ({"memory.events": "low 0\noom_kill 0\n", "memory.max": "max\n"}, 0, 0),
        (
            {
                "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            7,
            0,
        ),
        ({}, 0, 0),
    ],
)
def test_the_kernels_word_about_memory_is_read_from_either_kind_of_group(
    tmp_path: Path, files: dict[str, str], killed: int, limit: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert (workers.kills_for_memory(tmp_path), workers.memory_limit_mb(tmp_path)) == (killed, limit)


# The judgement


def observed(*records: PassRecord, memory_mb: int = 0) -> Observation:
    return Observation("", "convert", "converter", "row-1", "", 0.0, memory_mb, records)


def done(name: str, folder: Path, **arrays: dict[str, Any]) -> PassRecord:
    files = {f"{key}.npz": str(stored(folder / f"{name}-{key}.npz", value)) for key, value in arrays.items()}
    return PassRecord(name, {"done": True, "facts": {}}, None, None, True, 1.0, "", files)


VALUES = {"0/y": np.linspace(-1, 1, 50, dtype="float32")}
OTHER = {"0/y": np.linspace(-1, 2, 50, dtype="float32")}


def convert(folder: Path, memory: dict[str, Any], reloaded: dict[str, Any]) -> Observation:
    return observed(done("convert", folder, memory=memory), done("reload", folder, reloaded=reloaded))


def carried(folder: Path, values: dict[str, Any], again: dict[str, Any]) -> Reference:
    return Reference.carried("1.2.3", done("reference", folder, reference=values, again=again))


@pytest.mark.parametrize(
    ("memory", "reloaded", "reference", "again", "verdict", "leg"),
    [
        (VALUES, VALUES, VALUES, VALUES, "match", None),
        (OTHER, OTHER, VALUES, VALUES, "mismatch", "onnxruntime-tensorflow"),
        (VALUES, OTHER, VALUES, VALUES, "mismatch", "memory-reloaded"),
        (VALUES, VALUES, VALUES, OTHER, "unavailable", None),
    ],
)
def test_a_conversion_is_judged_as_the_driver_does(
    tmp_path: Path,
    memory: dict[str, Any],
    reloaded: dict[str, Any],
    reference: dict[str, Any],
    again: dict[str, Any],
    verdict: str,
    leg: str | None,
) -> None:
    found = conclude(
        9, convert(tmp_path, memory, reloaded), carried(tmp_path, reference, again), Tolerances(), OnnxTf().scheme
    )
    assert (found.finding.verdict, found.leg) == (verdict, leg)
    assert found.finding.role != "exporter"


def test_given_outputs_are_held_against_and_named(tmp_path: Path) -> None:
    reference = Reference.given(Path("out.npz"), stored(tmp_path / "out.npz", OTHER))
    found = conclude(9, convert(tmp_path, VALUES, VALUES), reference, Tolerances(), OnnxTf().scheme)
    assert (found.finding.verdict, found.finding.reason, found.leg) == (
        "mismatch",
        "values-differ",
        "onnxruntime-tensorflow",
    )
    assert "ONNX Runtime" not in found.finding.title and "given outputs" in found.finding.title
    assert reference.words == "out.npz, given"


def test_without_a_reference_nothing_is_claimed_but_the_saved_model_is_still_checked(tmp_path: Path) -> None:
    none = Reference.none("none carried")
    found = conclude(9, convert(tmp_path, VALUES, VALUES), none, Tolerances(), OnnxTf().scheme)
    assert (found.finding.verdict, found.finding.reason) == ("unavailable", NO_REFERENCE)
    assert "not compared" in found.finding.title and not found.metrics
    found = conclude(9, convert(tmp_path, VALUES, OTHER), none, Tolerances(), OnnxTf().scheme)
    assert (found.finding.verdict, found.leg) == ("mismatch", "memory-reloaded")


# The report


def reported(judgement: Judgement, **changes: Any) -> ConversionReport:
    facts: dict[str, Any] = {
        "toolchain": TOOLCHAIN,
        "model": model(OPEN),
        "sha256": "0" * 64,
        "inputs": "5 cases",
        "reference": Reference.none("none carried"),
        "judgement": judgement,
        "result": "m.tf",
        "kind": "saved-model",
        "seconds": 1.0,
    }
    return ConversionReport(**{**facts, **changes})


@pytest.mark.parametrize("verdict", [v for v in get_args(Verdict) if v not in ("timeout", "unsatisfiable")])
def test_every_verdict_that_can_come_about_here_has_a_documented_exit_code(verdict: Verdict) -> None:
    report = reported(Judgement(Finding(verdict, "converter", "run", "some-reason", "it was so")))
    assert report.exit_code in EXIT_CODES
    assert (report.exit_code == 0) == (verdict == "match")
    assert report.text().startswith(f"m.onnx: {verdict}\n")
    assert ("some-reason: it was so" in report.text()) == (verdict != "match")
    assert json.loads(json.dumps(report.document([])))["exit_code"] == report.exit_code


def test_a_conversion_without_reference_is_a_success_that_says_what_it_is() -> None:
    finding = Finding("unavailable", "reference", None, NO_REFERENCE, "converted, not compared: none")
    report = reported(Judgement(finding))
    assert report.exit_code == 0
    assert report.text().startswith("m.onnx: converted, not compared\n")
    assert "reference  none (none carried)" in report.text()


def test_what_a_model_is_called_cannot_steer_a_terminal() -> None:
    report = reported(Judgement(Finding("error", "converter", "run", "unrecognised", "\x1b[2Jgone\x07")))
    assert "\x1b" not in report.text() and "\x07" not in report.text() and "gone" in report.text()


# The image's name, the registry, the joint environment


@pytest.mark.parametrize(
    ("row", "tag"),
    [
        ("onnxtf1.10.0-onnx1.10.2-tf2.8.0", "torch-tf-matrix/onnxtf1.10.0-onnx1.10.2-tf2.8.0:latest"),
        ("Row+tensorflow2.11.0", "torch-tf-matrix/row-tensorflow2.11.0:latest"),
    ],
)
def test_a_row_gives_a_name_that_an_engine_takes(row: str, tag: str) -> None:
    assert default_tag(row) == tag
    check_tag(tag)


@pytest.mark.parametrize("tag", ["t", "t:1", "registry.example/me/t:1.0", "localhost:5000/a_b/c-d:V1", "a__b"])
def test_names_of_images_are_taken(tag: str) -> None:
    check_tag(tag)


@pytest.mark.parametrize("tag", ["", "T", "t:", "t:-1", "a//b", "/t", "t/", "a b", "t@sha256:0", "-t", "http://t"])
def test_what_is_no_name_is_said_before_anything_is_built(tag: str) -> None:
    with pytest.raises(UsageError, match="--tag"):
        check_tag(tag)


def test_a_name_goes_below_its_registry_once() -> None:
    assert remote_name("t:1", "registry.example/me/") == "registry.example/me/t:1"
    assert remote_name("registry.example/me/t:1", "registry.example") == "registry.example/me/t:1"


def test_an_image_that_would_fill_the_disk_is_not_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Engine:
        def disk(self) -> Path:
            return tmp_path

    for free_mb, enough in ((2699, False), (2700, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free_mb: SimpleNamespace(free=free * 2**20))
        with contextlib.nullcontext() if enough else pytest.raises(Indeterminate, match="matrix clean"):
            check_room(cast(Any, Engine()))


@pytest.fixture(scope="module")
def table() -> Config:
    return load_config(TABLE)


def exporter(table: Config, wanted: Callable[[ExporterRow], object]) -> ExporterRow:
    return next(row for row in table.exporters if wanted(row))


def test_a_joint_environment_has_the_pins_of_both_and_chooses_its_own_python(table: Config) -> None:
    converter, plain = table.converters[0], exporter(table, lambda row: not row.builds)
    request = joint_request(table, converter, plain, None)
    assert {f"{k}=={v}" for k, v in {**converter.pins, **plain.pins}.items()} <= set(request.requirements)
    assert (request.role, request.python, request.as_of, request.find_links) == ("converter", None, None, True)
    assert request.name == f"{converter.id}+{plain.id}"


def test_a_build_of_torch_is_asked_for_by_its_own_version_and_dated_by_the_indexs(table: Config) -> None:
    converter, built = table.converters[0], exporter(table, lambda row: row.builds)
    build, pins = next(iter(built.builds.items()))
    request = joint_request(table, converter, built, build)
    assert f"torch=={pins['torch']}" in request.requirements
    assert dict(request.pinned)["torch"] == built.pins["torch"] != pins["torch"]
    assert request.find_links
    index = joint_request(table, converter, built, None)
    assert f"torch=={built.pins['torch']}" in index.requirements
    assert not index.find_links, "the user's wheels are another build"
    assert index.name != request.name


def test_rows_that_contradict_each_other_have_no_joint_environment(table: Config) -> None:
    plain = table.exporters[0]
    with pytest.raises(UsageError, match="no environment holds both"):
        joint_request(
            table, table.converters[0], plain.model_copy(update={"pins": {**plain.pins, "onnx": "0.0.1"}}), None
        )
