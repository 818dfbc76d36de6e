"""The folder that `pick` writes, as files: their content for each kind of toolchain. The integration tests use them."""

from __future__ import annotations

import ast
import configparser
import datetime as dt
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import small
import yaml
from pydantic import BaseModel, ConfigDict, Field

from matrix.core.errors import UsageError
from matrix.execution.drawn_inputs import make_inputs
from matrix.judging.arrays import read_cases
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.judging.tolerance import Tolerance, Tolerances
from matrix.outputs.package.folder import Choice, write
from matrix.outputs.package.folder.write import files
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell, Step
from matrix.store.records import PassRecord, RunRecord
from matrix.table.exporters import expand, from_file
from matrix.table.model import ModelInput, ModelSpec

ONNX = hashlib.sha256(b"the file").hexdigest()
NUMBERS = {"elements": 40, "max_abs": 2e-6, "max_rel": 1e-4, "rmse": 1e-7, "snr_db": "inf", "margin": 12.5}
RENAME = {"changes": (Step("rename", "valid names"),), "alterations": (("rename", True),)}


def locked(name: str, python: str, role: Any, **packages: str) -> Lock:
    body = "".join(
        f"{package.replace('_', '-')}=={version} \\\n    {small.HASH} \\\n    --hash=sha256:{1:064}\n"
        for package, version in packages.items()
    )
    date = dt.date(2022, 4, 20)
    return Lock(name, role, "request", python, date, None, "uv", "resolved", body)


EXPORTER = locked("torch-1.12.1", "3.10", "exporter", torch="1.12.1", numpy="1.23.1")
CONVERTER = locked("new", "3.9", "converter", onnx="1.10.2", tensorflow_cpu="2.8.0", numpy="1.22.3")
REFERENCE = locked("reference", "3.11", "reference", onnxruntime="1.17.0")


def wrote(facts: dict[str, Any]) -> PassRecord:
    return small.passed("export", small.report("export", facts=facts), files={"model.onnx": ONNX})


@pytest.fixture
def choice(tmp_path: Path) -> Choice:
    """The simplest choice: a model of the zoo, two environments, no remedy."""
    table = small.config(tmp_path)
    cell = Cell(
        model=table.models[0],
        exporter=next(item for item in expand(table) if item.id == "torch-1.12.1"),
        opset=13,
        converter=table.converters[1],
        python="3.9",
    )
    facts = {"opset_written": 13, "ir_version": 7, "given": [{"name": "x", "shape": [2, 3], "dtype": "float32"}]}
    export = small.observation("export", wrote(facts))
    convert = small.observation("convert", small.passed("convert"), small.passed("reload"))
    record = small.cell_record(cell.id)
    judgement = Judgement(Finding("match"), legs={"onnxruntime-tensorflow": NUMBERS}, metrics=NUMBERS)
    result = CellResult(record, export, None, convert, judgement, {}, {}, "3.9", cached=False)
    started = dt.datetime(2026, 11, 24, 17, 0, tzinfo=dt.UTC)
    run = RunRecord(7, started, started, "complete", "pick", "venv", "python -m matrix pick --model net", 1, 4, 0)
    return Choice(
        cell, result, CONVERTER, EXPORTER, None, Tolerances(float32=Tolerance(2e-3, 3e-5)), tmp_path, run, host="Linux"
    )


def with_cell(choice: Choice, **changes: Any) -> Choice:
    return replace(choice, cell=replace(choice.cell, **changes), reference=REFERENCE)


def texts(choice: Choice) -> dict[str, str]:
    return {place: data.decode() for place, data in files(choice).items() if not place.endswith(".npz")}


def conversion(choice: Choice) -> dict[str, Any]:
    document = json.loads(files(choice)["toolkit/conversion.json"])
    assert isinstance(document, dict)
    return document


def passes(choice: Choice) -> list[tuple[str, str]]:
    return [(step["role"], step["pass"]) for step in conversion(choice)["steps"]]


class Conda(BaseModel):
    """The fields that conda's own environment schema allows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[^/\s:#]+$")]
    channels: list[Annotated[str, Field(pattern=r"^[\w.-]+$")]]
    dependencies: list[Annotated[str, Field(pattern=r"^[\w.-]+(=[\w.*]+)?$")] | dict[str, list[str]]]


def test_requirements_hold_every_pin_with_its_hashes_and_no_address(choice: Choice) -> None:
    made = texts(choice)
    assert made["converter/requirements.txt"].endswith(CONVERTER.body)
    assert made["exporter/requirements.txt"].endswith(EXPORTER.body)
    assert (made["exporter/.python-version"], made["converter/.python-version"]) == ("3.10\n", "3.9\n")
    assert [place for place, text in made.items() if "://" in text and not place.startswith("toolkit/converter/")] == []


def test_a_build_that_no_index_has_is_pointed_out_wherever_it_matters(choice: Choice) -> None:
    built = locked("torch.cpu", "3.11", "exporter", torch="2.13.0+cpu")
    made = texts(replace(choice, exporter=built))
    assert "# torch 2.13.0+cpu: in no package index; both take --find-links FOLDER" in made["exporter/requirements.txt"]
    assert "--find-links" not in made["converter/requirements.txt"]
    assert "cp FOLDER/*.whl extra/" in made["EVIDENCE.md"]
    assert "--find-links" not in texts(choice)["EVIDENCE.md"]


@pytest.mark.parametrize("name", ["exporter", "converter"])
def test_the_conda_file_is_valid_and_holds_the_lock(choice: Choice, name: str) -> None:
    text = texts(choice)[f"{name}/environment.yml"]
    found = Conda.model_validate(yaml.safe_load(text))
    lock = {"exporter": EXPORTER, "converter": CONVERTER}[name]
    *plain, last = found.dependencies
    assert plain == [f"python={lock.python}", "pip"]
    assert isinstance(last, dict)
    assert {line.split(" ")[0] for line in last["pip"]} == {f"{n}=={v}" for n, v in lock.packages.items()}
    assert all(line.count(" --hash=sha256:") == 2 and "\\" not in line for line in last["pip"])
    assert "not proven until" in text.lower()
    assert "not proven until" in texts(choice)["EVIDENCE.md"]


def test_the_conda_schema_refuses_what_conda_would(choice: Choice) -> None:
    document = yaml.safe_load(texts(choice)["converter/environment.yml"])
    for wrong in ({"channel": []}, {"dependencies": [["python"]]}, {"channels": ["a b"]}):
        with pytest.raises(ValueError):
            Conda.model_validate(document | wrong)


def test_two_environments_convert_a_model_of_the_zoo(choice: Choice) -> None:
    made = files(choice)
    assert passes(choice) == [("exporter", "export"), ("converter", "convert"), ("converter", "reload")]
    export = conversion(choice)["steps"][0]["params"]
    assert (export["factory"], export["opset"], export["inputs"]) == ("converter.zoo.gestures:build", 13, ["x"])
    assert "toolkit/converter/zoo/gestures.py" in made
    assert "toolkit/converter/zoo/unet.py" not in made
    assert "toolkit/converter/stages/alter.py" not in made
    assert made["toolkit/given/inputs.npz"] == make_inputs(choice.cell.model.inputs, choice.cell.model.seed)
    assert conversion(choice)["user"] == {}
    assert conversion(choice)["tolerances"]["float32"] == {"rtol": 2e-3, "atol": 3e-5}
    assert conversion(choice)["model_onnx_sha256"] == ONNX
    assert not any(place.startswith("reference/") for place in made)


def test_a_remedy_runs_where_it_was_measured(choice: Choice) -> None:
    altered = with_cell(choice, **RENAME, environ=(("TF_USE_LEGACY_KERAS", "1"),))
    assert passes(altered) == [
        ("exporter", "export"),
        ("reference", "alter"),
        ("converter", "convert"),
        ("converter", "reload"),
    ]
    _, alter, convert, reload = conversion(altered)["steps"]
    assert alter["params"] == {"change": {"rename": True}}
    assert convert["params"] == reload["params"] == {"environ": {"TF_USE_LEGACY_KERAS": "1"}}
    made = texts(altered)
    assert "onnxruntime==1.17.0" in made["reference/requirements.txt"]
    assert "remedies that were needed: valid names" in made["EVIDENCE.md"]
    assert "toolkit/converter/stages/alter.py" in made
    with pytest.raises(ValueError, match="reference environment is missing"):
        replace(altered, reference=None)


def test_one_environment_lies_in_the_folder_itself(choice: Choice) -> None:
    made = texts(replace(choice, exporter=CONVERTER))
    assert made["requirements.txt"].endswith(CONVERTER.body)
    assert not any(place.startswith(("exporter/", "converter/")) for place in made)
    assert made["Dockerfile"].count("\nFROM ") == 2
    assert "/roots/" not in made["Dockerfile"]
    places = conversion(replace(choice, exporter=CONVERTER))["pythons"]
    assert places["exporter"] == places["converter"] == [".venv", "venv", "env", ".tox/environment-python"]


def test_an_onnx_file_is_read_and_run_in_the_reference_environment(choice: Choice, tmp_path: Path) -> None:
    model = ModelSpec(id="mine", onnx="net.onnx", inputs=(ModelInput(name="x", shape=(1, 2)),))
    facts = {
        "external": ["weights.bin"],
        "inputs": [{"name": "x", "shape": [[1, None], [2, None]], "dtype": "float32"}],
    }
    export = replace(small.observation("reference", wrote(facts)), kind="inspect")
    given = replace(
        choice,
        cell=replace(choice.cell, model=model, exporter=from_file(small.config(tmp_path)), opset=0),
        result=replace(choice.result, export=export),
        exporter=None,
        reference=REFERENCE,
    )
    assert passes(given) == [
        ("reference", "inspect"),
        ("reference", "reference"),
        ("converter", "convert"),
        ("converter", "reload"),
    ]
    user = conversion(given)["user"]
    assert {option: (item["default"], item["place"]) for option, item in user.items()} == {
        "onnx": (str(tmp_path / "net.onnx"), "given.onnx"),
        "external-0": (str(tmp_path / "weights.bin"), "beside/weights.bin"),
    }
    assert f"-v {tmp_path / 'net.onnx'}:{tmp_path / 'net.onnx'}:ro" in texts(given)["EVIDENCE.md"]
    with pytest.raises(ValueError, match="exporter's lock"):
        replace(given, exporter=EXPORTER)


def test_a_users_model_is_named_and_not_copied(choice: Choice, tmp_path: Path) -> None:
    source = tmp_path / "code"
    source.mkdir()
    (source / "net.py").write_text("SECRET = 1\n")
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3), np.float32))
    model = ModelSpec(
        id="mine", factory="code/net.py:build", source="code", checkpoint="net.pt", inputs_file="in.npz", outputs=("y",)
    )
    mine = with_cell(choice, model=model)
    document = conversion(mine)
    assert document["steps"][0]["params"]["factory"] == "net.py:build"
    assert document["steps"][0]["params"]["inputs"] == ["x"]
    # torch 1.12 knows no safe way, so the user is asked.
    assert document["steps"][0]["params"]["checkpoint"] == {"key": None, "trusted": True}
    assert document["trusted"] is False
    assert {option: (item["default"], item["place"]) for option, item in document["user"].items()} == {
        "source": (str(source), "source"),
        "checkpoint": (str(tmp_path / "net.pt"), "checkpoint"),
        "inputs": (str(tmp_path / "in.npz"), "inputs.npz"),
    }
    made = files(mine)
    assert "toolkit/given/inputs.npz" not in made
    assert not any(b"SECRET" in data for data in made.values())


def test_tensorflow_lite_is_kept_where_it_was_measured(choice: Choice) -> None:
    lite = replace(choice, tflite=True)
    assert passes(lite)[-1] == ("converter", "tflite_kept")
    assert ["tflite.npz", "TensorFlow Lite"] in conversion(lite)["compared"]
    made = files(lite)
    wanted = {"stages/tflite.py", "stages/tflite_kept.py", "families/onnx_tf/reload.py"}
    assert {f"toolkit/converter/{name}" for name in wanted} <= made.keys()
    assert "toolkit/converter/stages/tflite_kept.py" not in files(choice)
    assert "TensorFlow Lite was not asked for" in texts(choice)["EVIDENCE.md"]
    assert "TensorFlow Lite was not asked for" not in texts(lite)["EVIDENCE.md"]


def test_evidence_says_what_was_measured(choice: Choice) -> None:
    page = texts(choice)["EVIDENCE.md"]
    assert "| ONNX Runtime ↔ TensorFlow | 40 | 2e-06 | 0.0001 | 1e-07 | inf | 12.5 |" in page
    assert "2026-11-24, engine venv, Linux" in page
    assert "tensorflow-cpu 2.8.0" in page
    assert "python -m matrix pick --model net" in page
    assert "float32 rtol=0.002, atol=3e-05" in page


def test_what_is_no_match_is_not_handed_over(choice: Choice) -> None:
    with pytest.raises(UsageError, match="mismatch"):
        replace(choice, result=replace(choice.result, judgement=Judgement(Finding("mismatch"))))


def test_tox_and_docker_name_every_part(choice: Choice) -> None:
    made = texts(with_cell(choice, **RENAME))
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(made["tox.ini"])
    assert parser["tox"]["env_list"] == "exporter, reference, converter, convert"
    assert "--python 3.10 " in parser["testenv:exporter"]["commands"]
    for role in ("exporter", "reference", "converter"):
        assert f"--{role}-python {{work_dir}}/{role}-python/bin/python" in parser["testenv:convert"]["commands"]
    docker = made["Dockerfile"]
    assert [line for line in docker.splitlines() if line.startswith("ARG")] == [
        "ARG EXPORTER_BASE=python:3.10-slim",
        "ARG REFERENCE_BASE=python:3.11-slim",
        "ARG CONVERTER_BASE=python:3.9-slim",
    ]
    assert docker.count("--require-hashes") == 3
    assert "USER 65534:65534" in docker


def test_the_same_choice_gives_the_same_bytes(choice: Choice, tmp_path: Path) -> None:
    assert files(choice) == files(choice)
    written = write(tmp_path / "out", choice)
    assert {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in written} == files(choice)


def test_a_folder_is_written_anew_and_nothing_of_anybody_elses(choice: Choice, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, with_cell(choice, **RENAME))
    (out / "converter" / ".venv").mkdir()
    write(out, choice)
    assert not (out / "reference" / "requirements.txt").exists()
    assert not (out / "toolkit" / "converter" / "stages" / "alter.py").exists()
    assert (out / "converter" / ".venv").is_dir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        write(other, choice)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


def test_what_runs_in_old_pythons_is_of_their_syntax(choice: Choice) -> None:
    made = texts(replace(choice, tflite=True))
    code = {place: text for place, text in made.items() if place.endswith(".py")}
    assert len(code) > 10
    for place, text in code.items():
        ast.parse(text, place, feature_version=(3, 6))


def test_drawn_inputs_are_those_of_the_measurement(choice: Choice, tmp_path: Path) -> None:
    write(tmp_path / "out", choice)
    assert {key.partition("/")[2] for key in read_cases(tmp_path / "out" / "toolkit" / "given" / "inputs.npz")} == {"x"}
