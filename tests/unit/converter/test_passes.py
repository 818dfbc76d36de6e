"""The passes alter, expose, trace and tflite and the worker's environment variables, as far as possible without a
framework; tests/integration uses real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from converter.arrays import read_cases, write_cases
from converter.families.onnx_tf import trace
from converter.job import Job
from converter.rewriting import renaming
from converter.stages import alter, expose, tflite

ROOT = Path(__file__).parents[3]


def attribute(*graphs):
    return SimpleNamespace(g=graphs[0] if graphs else None, graphs=graphs[1:], HasField=lambda _: bool(graphs))


def node(inputs, outputs, *attributes, name="", kind="Op"):
    return SimpleNamespace(
        name=name, op_type=kind, domain="", input=inputs.split(), output=outputs.split(), attribute=list(attributes)
    )


def graph(nodes, inputs="", outputs="", weights=""):
    def named(names):
        return [SimpleNamespace(name=name) for name in names.split()]

    return SimpleNamespace(
        node=list(nodes),
        input=named(inputs),
        output=named(outputs),
        initializer=named(weights),
        value_info=[],
        sparse_initializer=[],
        quantization_annotation=[],
    )


def job(folder, **params):
    return Job(params, str(folder), str(folder))


# --- names


def test_good_names_stay():
    model = SimpleNamespace(graph=graph([node("x w.1", "a/b", name="Conv_0")], "x w.1", "a/b", "w.1"))
    model.graph.output[0].name = "y"
    model.graph.node[0].output[:] = ["y"]
    assert renaming.rename(model) == 0
    assert model.graph.node[0].input == ["x", "w.1"]


@pytest.mark.parametrize(
    ("name", "inner", "outer"),
    [
        ("/encoder/Conv_output_0", "encoder/Conv_output_0", "encoder_Conv_output_0"),
        ("input.1", "input.1", "input_1"),
        ("onnx::Conv_20", "onnx__Conv_20", "onnx__Conv_20"),
        ("17", "17", "t_17"),
        ("lambda", "lambda", "t_lambda"),
        ("_z", "z", "z"),
        ("a>b", "a_b", "a_b"),
        ("scope/", "scope", "scope_"),
        ("größe", "gr__e", "gr__e"),
        ("::", "t_", "t_"),
    ],
)
def test_what_becomes_of_a_name(name, inner, outer):
    inside = SimpleNamespace(graph=graph([node("x", name), node(name, "y")], "x", "y"))
    renaming.rename(inside)
    assert inside.graph.node[0].output == inside.graph.node[1].input == [inner]
    outside = SimpleNamespace(graph=graph([node(name, "y")], name, "y"))
    renaming.rename(outside)
    assert outside.graph.input[0].name == outside.graph.node[0].input[0] == outer


def test_two_names_never_become_one():
    nodes = [node("x", "a:b"), node("x", "a_b"), node("x", "a;b"), node("a:b a_b a;b", "y")]
    model = SimpleNamespace(graph=graph(nodes, "x", "y"))
    assert renaming.rename(model) == 2
    assert sorted(nodes[3].input) == ["a_b", "a_b_1", "a_b_2"]
    assert [item.output[0] for item in nodes[:3]] == nodes[3].input


def test_a_name_means_the_same_inside_a_branch():
    branch = graph([node("/x /w", "/out")], "", "/out")
    model = SimpleNamespace(graph=graph([node("c", "/y", attribute(branch))], "/x c", "/y", "/w"))
    renaming.rename(model)
    assert branch.node[0].input == [model.graph.input[0].name, model.graph.initializer[0].name] == ["x", "w"]
    assert branch.output[0].name == branch.node[0].output[0] == "out"


# --- alter


@pytest.mark.parametrize("change", [{}, {"nonsense": 1}, {"opset": 11, "rename": True}])
def test_one_known_change_at_a_time(tmp_path, change):
    with pytest.raises(ValueError, match="one change of fix, ir_version, opset, rename, simplify, spell"):
        alter.alter(job(tmp_path, change=change), None, None)


# --- expose


def test_a_node_reads_what_its_subgraphs_take_from_around_them():
    inner = graph([node("a local", "b"), node("b outside", "c")], "local", "c")
    deep = graph([node("d", "e", attribute(inner))], "", "e taken")
    assert expose._read_by(node("x x", "y", attribute(deep))) == ["x", "d", "a", "outside", "taken"]


def test_too_much_inside_a_model_is_refused_before_it_is_computed():
    def output(kind, *shape):
        return SimpleNamespace(type=f"tensor({kind})", shape=list(shape))

    assert expose._megabytes(output("float", 1024, 1024)) == 4
    assert expose._megabytes(output("int64", "batch", 1024, 128)) == 1
    expose._refuse_beyond_limit(expose.LIMIT_MB)
    with pytest.raises(expose.TooLarge, match="about 4096 MB"):
        expose._refuse_beyond_limit(expose._megabytes(output("float", 1024, 1024, 1024)))


@pytest.mark.parametrize(
    "kind", ["seq(tensor(float))", "optional(tensor(float))", "tensor(string)", "tensor(bfloat16)"]
)
def test_sequences_and_strings_are_not_exposed(kind):
    assert expose._element(SimpleNamespace(type=kind)) is None


# --- trace


class FromGraph:
    """onnx-tf up to 1.6: outputs are looked up in a dict of tensors."""

    def __init__(self, tensors):
        self.tensor_dict = {name: SimpleNamespace(graph=None, value=value) for name, value in tensors.items()}
        self.outputs = None
        self.runs = []

    def run(self, fed):
        self.runs.append(len(self.outputs))
        return [self.tensor_dict[name].value + fed[0] for name in self.outputs]


class FromFunction:
    """onnx-tf from 1.7 on: a function that raises for the first name without a tensor."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.outputs = None
        self.tf_module = SimpleNamespace(outputs=None)

    def run(self, fed):
        assert self.outputs == self.tf_module.outputs
        return [self.tensors[name] for name in self.outputs]


def traced(folder, representation, *wanted):
    write_cases(str(folder / "inputs.npz"), [{"x": np.float32(1)}])
    work = job(folder)
    trace.run(work, None, (SimpleNamespace(graph=graph([], "x", " ".join(wanted))), representation))
    (case,) = read_cases(str(folder / "traced.npz"))
    return {name: float(value) for name, value in case.items()}, work.facts["lacking"]


def test_more_tensors_than_a_call_may_have_arguments_are_fetched_in_parts(tmp_path):
    tensors = {f"t{number}": number for number in range(450)}
    representation = FromGraph(tensors)
    found, lacking = traced(tmp_path, representation, *tensors, "none")
    assert found == {name: number + 1 for name, number in tensors.items()}
    assert lacking == ["none"]
    assert representation.runs == [200, 200, 50]


def test_nested_tensors_are_found(tmp_path):
    held = FromGraph({"a": 1})
    held.external_output = held.__dict__.pop("outputs")
    outer = SimpleNamespace(predict_net=held, run=lambda fed: [7.0 for _ in held.external_output])
    assert traced(tmp_path, outer, "a") == ({"a": 7.0}, [])


def test_names_that_a_function_lacks_are_omitted_and_recorded(tmp_path):
    representation = FromFunction({"a": 1, "b": None, "d": [1, 2], "f": 3})
    assert traced(tmp_path, representation, "a", "b", "c", "d", "e", "f") == ({"a": 1, "f": 3}, ["b", "c", "d", "e"])


def test_a_node_that_misses_its_input_is_no_lacking_output(tmp_path):
    representation = FromFunction({})
    representation.run = lambda fed: {}["missing"]
    with pytest.raises(KeyError, match="missing"):
        traced(tmp_path, representation, "a")


# --- tflite


def detail(name, index):
    return {"name": name, "index": index}


def test_tensors_of_tensorflow_lite_are_found_by_name():
    wanted = {"z": "Call:1", "a": "Call:0", "m": "split:2"}
    details = [detail("split:2", 5), detail("Call", 9), detail("Call:1", 4)]
    assert tflite._places(wanted, details) == {"z": 4, "a": 9, "m": 5}


def test_a_single_remaining_tensor_needs_no_name():
    details = [detail("Call:1", 4), detail("Identity", 8)]
    assert tflite._places({"a": "Call:0", "z": "Call:1"}, details) == {"a": 8, "z": 4}


@pytest.mark.parametrize("names", [["x", "y"], ["Call:0"], ["Call:0", "x", "y"]])
def test_ambiguous_tensors_are_refused(names):
    details = [detail(name, index) for index, name in enumerate(names)]
    with pytest.raises(ValueError, match="does not say"):
        tflite._places({"a": "Call:0", "b": "Call:1"}, details)


# --- the worker


def test_variables_of_a_job_are_set_before_the_framework_is_imported(tmp_path):
    root = tmp_path / "project"
    stages = root / "converter/stages"
    for source in (ROOT / "converter").rglob("*.py"):
        target = root / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (stages / "fake.py").write_text(
        "import os\n"
        "def framework(): return os.environ.get('TF_USE_LEGACY_KERAS')\n"
        "def run(job, packages, _): job.facts['seen'] = packages\n"
        "STAGES = (run,)\n"
    )
    for environ, seen in (({"TF_USE_LEGACY_KERAS": "1"}, "1"), ({}, None), (None, None)):
        inbox, outbox = (tmp_path / f"{name}-{environ}" for name in ("inbox", "outbox"))
        inbox.mkdir()
        outbox.mkdir()
        spec = {"schema": 1, "job": "x", "folder": "one", "params": {"environ": environ}}
        (inbox / "one.json").write_text(json.dumps(spec))
        (inbox / "stop").touch()
        worker = [sys.executable, root / "converter/worker.py", "converter.stages.fake"]
        command = [*worker, "--inbox", inbox, "--outbox", outbox]
        clean = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
        subprocess.run(command, check=True, env=clean, timeout=30)
        assert json.loads((outbox / "one/fake.json").read_text())["facts"]["seen"] == seen
