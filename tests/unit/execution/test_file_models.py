"""A whole run of a user's model: an .onnx file, inspected by the reference environment, and a checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from fakes import ANSWER, GOOD, Deed, good, npz
from test_cli import Project, project
from test_remedied_views import TOO_NEW, given

from matrix.core import errors
from matrix.execution.drawn_inputs import DRAWS, draw_for_file, of_first_size, pack
from matrix.execution.model_inputs import ChosenInput
from matrix.planning import Selection, make_plan
from matrix.table.model import ModelSpec
from matrix.table.selectors import Condition, from_text

__all__ = ["project"]

FACTS = {"opset_written": 9, "ir_version": 4, "inputs": [{"name": "x", "shape": [2, 3], "dtype": "float32"}]}


def inspected(facts: Mapping[str, Any] = FACTS, **files: bytes) -> Deed:
    left = files or {"model.onnx": b"looked into"}
    return Deed(
        small.report(*GOOD["inspect"], facts=facts), {name.replace("_", "."): data for name, data in left.items()}
    )


@pytest.fixture
def own(project: Project) -> Project:
    """A project with an .onnx file in a separate folder."""
    (project.root / "nets").mkdir()
    (project.root / "nets" / "mine.onnx").write_bytes(b"a model")
    project.engine.script = lambda work, spec: inspected() if work == "inspect" else good(work, spec)
    return project


RUN = ("run", "--model", "nets/mine.onnx")


def passes(project: Project) -> Counter[str]:
    return Counter(work for work, _, _ in project.engine.seen)


# --- an .onnx file ---------------------------------------------------------------------------------------------------


def test_a_file_is_looked_into_once_and_then_run_and_converted(own: Project) -> None:
    found = own.json(*RUN, "--tier", "full")
    assert [cell["cell"] for cell in found["cells"]] == ["mine/file/old", "mine/file/new"]
    assert {(cell["verdict"], cell["opset_written"], cell["torch"]) for cell in found["cells"]} == {("match", 9, "")}
    assert passes(own) == {"inspect": 1, "choose": 1, "reference": 1, "convert": 2, "reload": 2}
    assert sorted(own.engine.prepared) == ["new", "old", "reference"]
    assert found["jobs"] == {"run": 4, "cached": 0}
    # Without the user's reference outputs, ONNX Runtime is not compared with anything.
    assert set(found["cells"][0]["legs"]) == {"onnxruntime-tensorflow", "memory-reloaded"}
    assert own.json(*RUN, "--tier", "full")["jobs"] == {"run": 0, "cached": 4}
    (own.root / "nets" / "mine.onnx").write_bytes(b"another")
    assert own.json(*RUN, "--tier", "full")["jobs"]["run"] == 1  # its result is the same


@pytest.mark.parametrize("format_", ["table", "md", "junit"])
def test_what_is_shown_of_a_file(own: Project, format_: str) -> None:
    code, out, _ = own(*RUN, "--format", format_)
    assert code == 0 and "mine" in out
    assert "torch==" not in out and "@0" not in out


def test_a_file_can_be_planned(own: Project) -> None:
    code, out, _ = own("plan", "--model", "nets/mine.onnx", "--tier", "full", "--format", "cells")
    assert (code, out.split()) == (0, ["mine/file/old", "mine/file/new"])
    assert own("plan", "--model", "nets/mine.onnx")[0] == 0


def test_the_files_beside_it_are_given_when_it_names_some(own: Project) -> None:
    (own.root / "nets" / "mine.data").write_bytes(b"weights")
    asked: list[str] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work != "inspect":
            return good(work, spec)
        given = own.engine.seen[-1][2]
        asked.extend(given)
        return inspected() if "beside/mine.data" in given else inspected(FACTS | {"external": ["mine.data"]}, none=b"")

    own.engine.script = script
    found = own.json(*RUN)
    assert [cell["verdict"] for cell in found["cells"]] == ["match"]
    assert asked == ["model.onnx", "beside", "beside/mine.data", "model.onnx"]
    assert passes(own)["inspect"] == 2


@pytest.mark.parametrize(
    ("name", "said"), [("../../etc/passwd", "outside its folder"), ("gone.data", "cannot be read: No such file")]
)
def test_data_that_is_not_beside_it(own: Project, name: str, said: str) -> None:
    own.engine.script = lambda work, spec: inspected(FACTS | {"external": [name]}, none=b"")
    code, _, err = own(*RUN)
    assert code == errors.ModelUnusable.exit_code and said in err
    assert "convert" not in passes(own)
    # A later run is unharmed.
    own.engine.script = lambda work, spec: inspected() if work == "inspect" else good(work, spec)
    (own.root / "nets" / "mine.onnx").write_bytes(b"repaired")
    assert [cell["verdict"] for cell in own.json(*RUN)["cells"]] == ["match"]


def test_a_file_that_is_none(own: Project) -> None:
    broken = Deed(small.report("import", "load", error=small.raised("this is no ONNX file", "x.NoOnnxModel")))
    own.engine.script = lambda work, spec: broken
    code, out, err = own(*RUN, "--tier", "full", "--format", "json")
    assert code == errors.ModelUnusable.exit_code
    assert "model mine: " in err and "this is no ONNX file" in err
    assert {(c["verdict"], c["role"], c["stage"], c["indeterminate"]) for c in json.loads(out)["cells"]} == {
        ("error", "reference", "load", False)
    }
    assert passes(own) == {"inspect": 1}


def test_the_traceback_of_a_broken_file_is_shown(own: Project) -> None:
    error = {**small.raised("this is no ONNX file"), "traceback": "Traceback\n  in load, line 12\nNoOnnxModel: no"}
    own.engine.script = lambda work, spec: Deed(small.report("import", "load", error=error))
    own(*RUN)
    code, out, err = own("show", "mine/file/new")
    assert code == 0, err
    assert "last lines of the reference:" in out and "  in load, line 12" in out


def test_of_a_file_that_the_reference_cannot_run_the_later_job_is_shown(own: Project) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "reference":
            return Deed(small.report("import", "load", error={**small.raised("no"), "traceback": "in the reference"}))
        return inspected() if work == "inspect" else good(work, spec)

    own.engine.script = script
    own(*RUN)
    out = own("show", "mine/file/new")[1]
    assert "last lines of the reference:" in out and "  in the reference" in out


def test_a_file_that_one_converter_cannot_read_is_not_unusable(own: Project) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "convert":
            return Deed(small.report("import", "load", error=small.raised("no")))
        return inspected() if work == "inspect" else good(work, spec)

    own.engine.script = script
    assert own(*RUN)[0] == 0


def test_a_file_whose_inputs_are_open_is_said_with_what_to_write(own: Project) -> None:
    facts = {**FACTS, "inputs": [{"name": "x", "shape": [2, "wide"], "dtype": "float32"}]}
    own.engine.script = lambda work, spec: inspected(facts) if work == "inspect" else good(work, spec)
    code, _, err = own(*RUN)
    assert code == errors.ModelUnusable.exit_code and "--input x=" in err
    assert own(*RUN, "--input", "2x5")[0] == 0
    assert own(*RUN, "--input", "x=2x5")[0] == 0


OPEN = {**FACTS, "inputs": [{"name": "x", "shape": [2, "wide"], "dtype": "float32"}]}


def test_a_file_that_cannot_be_fed_takes_no_other_model_along(own: Project) -> None:
    own.engine.script = lambda work, spec: inspected(OPEN) if work == "inspect" else good(work, spec)
    both = (*RUN, "--model", "net", "--tier", "full", "--format", "json")
    code, out, err = own(*both)
    assert code == errors.ModelUnusable.exit_code and "model mine: " in err and "--input x=" in err
    found = {cell["cell"]: cell for cell in json.loads(out)["cells"]}
    assert {cell["verdict"] for cell in found.values() if cell["model"] == "net"} == {"match"}
    mine = [cell for cell in found.values() if cell["model"] == "mine"]
    assert [(c["verdict"], c["role"], c["stage"], c["reason"], c["indeterminate"]) for c in mine] == [
        ("error", "reference", "model", "model-unusable", False)
    ] * 2
    assert "--input x=" in own("show", "mine/file/new")[1]


def test_a_file_of_the_table_that_cannot_be_fed_is_a_finding(own: Project) -> None:
    """The exit code is only for models named on the command line."""
    own.write(small.changed('factory: "converter.zoo.mobilehairnet:build"', "onnx: nets/mine.onnx").replace(
        "    inputs: [{name: x, shape: [1, 4]}]\n    outputs: [y]\ntiers", "tiers"
    ))  # fmt: skip
    own.engine.script = lambda work, spec: inspected(OPEN) if work == "inspect" else good(work, spec)
    found = own.json("run", "--tier", "full")["cells"]
    assert {(cell["model"], cell["verdict"], cell["reason"]) for cell in found} == {
        ("net", "match", None),
        ("other", "error", "model-unusable"),
    }


# --- a remedy is one only where the file still means the same --------------------------------------------------------


@pytest.mark.parametrize("as_before", [True, False])
def test_a_change_after_which_the_file_computes_other_numbers_is_no_remedy(own: Project, as_before: bool) -> None:
    """Only the unchanged file defines the right outputs: ONNX Runtime and TensorFlow agree on the changed one."""

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        lowered = work in ("reference", "convert") and b"ir_version" in given(own, spec)
        other = lowered and not as_before
        if work == "inspect":
            return inspected(FACTS | {"ir_version": 9})
        if work == "alter":
            return Deed(
                small.report(*GOOD["alter"], facts={"opset_written": 9, "ir_version": 8}), good(work, spec).files
            )
        if work == "convert" and not lowered:
            return Deed(small.report("import", "load", "check", error=TOO_NEW))
        deed = good(work, spec)
        if work == "convert":
            carried = b"other" if other else b"graph"
            return Deed(deed.report, {"memory.npz": OTHER if other else ANSWER, "saved/graph.pb": carried})
        if work == "reload" and given(own, spec, "saved/graph.pb") == b"other":
            return Deed(deed.report, {"reloaded.npz": OTHER})
        return Deed(deed.report, dict.fromkeys(deed.files, OTHER)) if other else deed

    own.engine.script = script
    (cell,) = own.json(*RUN, "--remedy")["cells"]
    (tried,) = cell["tried"]
    assert (cell["verdict"], cell["reason"]) == ("error", "ir-version-too-new")
    if as_before:
        assert (cell["remedied"], tried["verdict"]) == (["ir_version 9→8"], "match")
    else:
        assert (cell["remedied"], tried["verdict"], tried["role"]) == (None, "mismatch", "reference")
    assert list(tried["legs"]) == ["original-altered", "onnxruntime-tensorflow", "memory-reloaded"]
    assert ("match with" in own(*RUN, "--remedy")[1]) is as_before
    # What is judged later is judged by the same.
    assert own.json("status")["cells"][0]["remedied"] == cell["remedied"]


OTHER = npz([1.0, -2.0, 3.0, 4.0, 5.0])


def test_a_reference_that_is_given_is_a_leg_of_its_own(own: Project) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        return inspected(model_onnx=b"looked into", given_npz=ANSWER) if work == "inspect" else good(work, spec)

    own.engine.script = script
    (own.root / "in.npz").write_bytes(pack({"x": np.zeros((2, 3), np.float32)}))
    (own.root / "out.npz").write_bytes(ANSWER)
    found = own.json(*RUN, "--inputs", "in.npz", "--reference", "out.npz")
    assert ("inspect", ["given.npz", "model.onnx"]) in [(work, given) for work, _, given in own.engine.seen]
    assert list(found["cells"][0]["legs"]) == ["given-onnxruntime", "onnxruntime-tensorflow", "memory-reloaded"]


# --- which cells -----------------------------------------------------------------------------------------------------

TIERS = {"quick": ["new"], "documented": ["old", "new"], "full": ["old", "new"], "known": ["old", "new"]}


@pytest.mark.parametrize(("tier", "converters"), TIERS.items(), ids=TIERS.keys())
@pytest.mark.parametrize("only", [(), ("torch==1.2.0",), ("opset>=9",)])
def test_a_file_is_one_cell_for_each_converter_of_a_tier(
    tmp_path: Path, tier: str, converters: list[str], only: tuple[str, ...]
) -> None:
    table = small.config(tmp_path)
    mine = ModelSpec(id="mine", onnx="anywhere.onnx")
    table = table.model_copy(update={"models": (*table.models, mine)})
    conditions = (Condition("model", ("mine",)), *map(from_text, only))
    locks = small.locks(table)
    plans = [make_plan(table, locks, Selection(tier, conditions), None, frozenset({"mine"})) for _ in range(2)]
    # Nobody looked for the file, and the same goes in as comes out.
    assert plans[0] == plans[1]
    assert sorted(cell.id for cell in plans[0].cells) == sorted(f"mine/file/{name}" for name in converters)


def test_the_reference_environment_is_needed_once(tmp_path: Path) -> None:
    """It replaces the exporter too: if it were listed twice, it would be locked twice."""
    table = small.config(tmp_path)
    table = table.model_copy(update={"models": (ModelSpec(id="mine", onnx="mine.onnx"),)})
    plan = make_plan(table, small.locks(table), Selection("quick"), None)
    assert plan.environments("reference") == ("reference", "new")


# --- a checkpoint ----------------------------------------------------------------------------------------------------

TORCH = ("run", "--model", "models.py:build", "--input", "1x3", "--tier", "full")
OLD = (*TORCH, "--only", "torch==1.2.0", "--only", "opset=9", "--checkpoint", "net.pt")
NEW = (*TORCH, "--only", "torch==2.13.0", "--only", "opset=9", "--only", "via=torchscript", "--checkpoint", "net.pt")


@pytest.fixture
def weights(project: Project) -> Project:
    (project.root / "models.py").write_text("def build(): ...\n")
    (project.root / "net.pt").write_bytes(b"weights")
    return project


def trusted(project: Project) -> list[bool]:
    """The `trusted` parameters of the export jobs."""
    told: list[bool] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "export":
            assert project.engine.seen[-1][2] == ["checkpoint", "inputs.npz", "source", "source/models.py"]
            assert spec["params"]["checkpoint"]["key"] is None
            told.append(spec["params"]["checkpoint"]["trusted"])
        return good(work, spec)

    project.engine.script = script
    return told


def test_a_checkpoint_is_not_loaded_by_an_old_torch_outside_of_a_cage(weights: Project) -> None:
    told = trusted(weights)
    code, out, err = weights(*OLD, "--format", "json")
    assert code == errors.Indeterminate.exit_code and "unavailable" in err
    cells = json.loads(out)["cells"]
    assert {(c["verdict"], c["role"], c["stage"], c["reason"]) for c in cells} == {
        ("unavailable", "exporter", "model", "checkpoint-not-trusted")
    }
    assert {"trust-checkpoint", "use-docker-engine"} <= {remedy["id"] for remedy in cells[0]["remedies"]}
    assert told == [] and weights.engine.prepared == []
    # Nothing of that is remembered once the word is given.
    found = weights.json(*OLD, "--trust")
    assert {cell["verdict"] for cell in found["cells"]} == {"match"} and told == [True]


def test_in_a_cage_an_old_torch_may_load_it(weights: Project) -> None:
    told = trusted(weights)
    weights.engine.cage = True
    assert {cell["verdict"] for cell in weights.json(*OLD)["cells"]} == {"match"}
    assert told == [True]


@pytest.mark.parametrize(
    ("cage", "word", "wanted"), [(False, (), False), (True, (), False), (False, ("--trust",), True)]
)
def test_a_new_torch_loads_weights_alone_unless_told(
    weights: Project, cage: bool, word: tuple[str, ...], wanted: bool
) -> None:
    told = trusted(weights)
    weights.engine.cage = cage
    assert {cell["verdict"] for cell in weights.json(*NEW, *word)["cells"]} == {"match"}
    assert told == [wanted]


def test_code_of_the_users_that_fails_is_the_models_fault(weights: Project) -> None:
    failed = Deed(small.report("import", "model", error=small.raised("build() takes no arguments")))
    weights.engine.script = lambda work, spec: failed
    code, _, err = weights(*NEW, "--trust")
    assert code == errors.ModelUnusable.exit_code and "model models.build: " in err


def test_inputs_from_a_file_name_the_arguments(weights: Project) -> None:
    """With --inputs alone only the file has the names."""
    (weights.root / "in.npz").write_bytes(ANSWER)
    named: list[list[str]] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "export":
            named.append(spec["params"]["inputs"])
        return good(work, spec)

    weights.engine.script = script
    code, _, err = weights("run", "--model", "models.py:build", "--inputs", "in.npz")
    assert code == 0, err
    assert named == [["y"]]


# --- what a file leaves open -----------------------------------------------------------------------------------------

CHOSEN: dict[str, Any] = {
    "chosen": [
        {"name": "x", "dtype": "float32", "shape": [2, 5], "longer": [2, 10], "range": [0, 1], "longer_range": [0, 1]}
    ],
    "sizes": {"wide": 5},
}


def choosing(facts: Mapping[str, Any]) -> Any:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "choose":
            return Deed(small.report(*GOOD["choose"], facts=facts))
        return inspected(OPEN) if work == "inspect" else good(work, spec)

    return script


def test_the_sizes_that_were_chosen_are_drawn_and_said_once(own: Project) -> None:
    own.engine.script = choosing(CHOSEN)
    code, _, err = own(*RUN, "--tier", "full")
    assert code == 0
    assert err.count("sizes chosen for open axes: wide 5; for others: --input x=2x5:float32") == 1


def test_what_is_chosen_is_part_of_what_is_stored(own: Project) -> None:
    own.engine.script = choosing(CHOSEN)
    own.json(*RUN, "--tier", "full")
    other = {**CHOSEN, "chosen": [{**CHOSEN["chosen"][0], "shape": [2, 7]}]}
    own.engine.script = choosing(other)
    (own.root / "nets" / "mine.onnx").write_bytes(b"another")
    assert own.json(*RUN, "--tier", "full")["jobs"]["run"] == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [2, -1]},
        {"shape": "x"},
        {"longer": [2]},
        {"range": [0]},
        {"dtype": "object"},
        {"dtype": "nothing"},
    ],
)
def test_a_choice_that_makes_no_sense_is_not_believed(own: Project, wrong: Mapping[str, Any]) -> None:
    own.engine.script = choosing({**CHOSEN, "chosen": [{**CHOSEN["chosen"][0], **wrong}]})
    code, _, err = own(*RUN)
    assert code == errors.ModelUnusable.exit_code and "malformed" in err


def test_if_no_inputs_are_found_the_file_is_to_blame(own: Project) -> None:
    said = "it ran with none of 9 choices of inputs\nx=2x16: Got: 16 Expected: 48"
    error = small.raised(said, "converter.choosing.search.NoInputsFound")

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "choose":
            return Deed(small.report("import", "load", "run", error=error))
        return inspected(OPEN) if work == "inspect" else good(work, spec)

    own.engine.script = script
    for command in (RUN, ("pick", "--model", "nets/mine.onnx", "--out", str(own.root / "out"))):
        code, out, err = own(*command)
        assert code == errors.ModelUnusable.exit_code, (out, err)
        assert "x=2x16" in err and "Expected: 48" in err
    assert "convert" not in passes(own)


# --- sizes and cases -------------------------------------------------------------------------------------------------


def test_another_size_is_a_case_of_its_own_at_the_end() -> None:
    item = ChosenInput("x", (1, 3), (2, 6), "float32", (0, 1), (0, 2))
    found = draw_for_file([item], 0)
    assert [(key, array.shape) for key, array in found.items()] == [
        *((f"{case}/x", (1, 3)) for case in range(DRAWS + 2)),
        (f"{DRAWS + 2}/x", (2, 6)),
    ]
    assert list(of_first_size(found)) == [f"{case}/x" for case in range(DRAWS + 2)]
    fixed = draw_for_file([ChosenInput("x", (1, 3), (1, 3), "float32", (0, 1), (0, 1))], 0)
    assert of_first_size(fixed).keys() == fixed.keys() and len(fixed) == DRAWS + 2
