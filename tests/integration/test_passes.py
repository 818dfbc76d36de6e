"""The passes behind remedies and the TensorFlow Lite leg, on real files in real environments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from passes import Done, Passes, Work
from product import Project
from tables import OPSET, TF2

from matrix.judging.arrays import read_arrays
from matrix.judging.compare import compare
from matrix.table.model import ModelInput

GESTURES = ModelInput(name="readings", shape=(12, 8, 16), range=(-2, 2))
FEATURES = ModelInput(name="features", shape=(3, 16), range=(-2, 2))

# An If with names of torch 2 in its branches, in a graph whose names cannot be Python parameters.
_NAMES_OF_TODAY = """
import sys, onnx, numpy
from onnx import helper, numpy_helper, TensorProto
kind = TensorProto.FLOAT
def branch(operator):
    node = helper.make_node(operator, ["input.1", "/weight"], ["/branch/out_0"], name="/branch/" + operator)
    return helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("/branch/out_0", kind, [2])])
nodes = [
    helper.make_node("If", ["0"], ["lambda"], name="/if:0", then_branch=branch("Add"), else_branch=branch("Mul")),
]
graph = helper.make_graph(
    nodes, "g",
    [helper.make_tensor_value_info("input.1", kind, [2]), helper.make_tensor_value_info("0", TensorProto.BOOL, [])],
    [helper.make_tensor_value_info("lambda", kind, [2])],
    [numpy_helper.from_array(numpy.ones(2, "float32"), "/weight")],
)
model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
onnx.checker.check_model(model)
onnx.save(model, sys.argv[1])
"""
_LIST_NAMES = """
import sys, onnx
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
def names(graph):
    for value in [*graph.input, *graph.output, *graph.initializer, *graph.node]:
        yield value.name
    for node in graph.node:
        yield from [*node.input, *node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from names(attribute.g)
print(*names(model.graph))
"""


@pytest.fixture(scope="module")
def passes(real: Project, tmp_path_factory: pytest.TempPathFactory) -> Passes:
    return Passes(lambda name: real.environment(name) / "bin" / "python", tmp_path_factory.mktemp("passes"))


@pytest.fixture(scope="module")
def exported(passes: Passes) -> Done:
    return passes.exported("gestures", GESTURES, "scores")


def reference(passes: Passes, model: Path) -> Done:
    return passes.one("reference", "reference", Work({"model.onnx": model, "inputs.npz": passes.inputs(GESTURES)}))


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"ir_version": 3}, {"ir_version": 3, "ir_version_before": 4, "graph_inputs": ["readings"]}),
        ({"opset": OPSET + 2}, {"opset_written": OPSET + 2, "opset_before": OPSET}),
        ({"rename": True}, {"renamed": 0, "opset_written": OPSET}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_an_altered_file_says_so_and_computes_the_same(
    passes: Passes, exported: Done, change: dict[str, object], facts: dict[str, object]
) -> None:
    work = Work({"model.onnx": exported / "model.onnx"}, {"change": change})
    altered = passes.one("reference", "alter", work)
    assert facts.items() <= altered.facts.items()
    before, after = (reference(passes, folder / "model.onnx") for folder in (exported, altered))
    found = compare(read_arrays(before / "reference.npz"), read_arrays(after / "reference.npz"))
    assert found.match, found.detail


def test_names_that_tensorflow_refuses_are_replaced_in_a_file_that_has_them(passes: Passes, tmp_path: Path) -> None:
    model = tmp_path / "named.onnx"
    passes.script("reference", _NAMES_OF_TODAY, model)
    altered = passes.one("reference", "alter", Work({"model.onnx": model}, {"change": {"rename": True}}))
    assert altered.facts["renamed"] == 8
    names = passes.script("reference", _LIST_NAMES, altered / "model.onnx").split()
    # Two inputs, a weight, the output, the If, and in the branches one tensor and two nodes.
    assert len(set(names)) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_./-]*", name) for name in names), names
    assert altered.facts["graph_inputs"] == ["input_1", "t_0"]
    assert altered.facts["graph_outputs"] == ["t_lambda"]


def test_a_file_that_cannot_be_lowered_is_the_version_converters_own_error(passes: Passes, exported: Done) -> None:
    work = Work({"model.onnx": exported / "model.onnx"}, {"change": {"opset": 6}})
    altered = passes.one("reference", "alter", work)
    assert altered.result["error"]["type"] == "builtins.RuntimeError"
    assert [entry["status"] for entry in altered.result["stages"]] == ["ok", "ok", "failed"]
    assert not (altered / "model.onnx").exists()


@pytest.mark.parametrize(
    ("model", "tensor", "outputs"),
    [("gestures", GESTURES, ["scores"]), ("head", FEATURES, ["scores", "classes", "label", "kept"])],
)
def test_tensorflow_lite_computes_what_the_saved_model_does(
    passes: Passes, model: str, tensor: ModelInput, outputs: list[str]
) -> None:
    inputs = {"inputs.npz": passes.inputs(tensor)}
    exported = passes.exported(model, tensor, *outputs)
    converted = passes.one(TF2, "convert", Work({"model.onnx": exported / "model.onnx", **inputs}))
    assert converted.facts["saved"] == "saved-model"
    saved = {"saved": converted / "saved", **inputs}
    reloaded, lite = (passes.one(TF2, name, Work(saved)) for name in ("reload", "tflite"))
    assert lite.facts["tflite_mb"] > 0
    arrays = read_arrays(lite / "tflite.npz")
    assert {key.partition("/")[2] for key in arrays} == set(outputs)
    found = compare(read_arrays(reloaded / "reloaded.npz"), arrays)
    assert found.match, found.detail
