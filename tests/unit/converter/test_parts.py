"""The modules of converter/ that need no framework: arrays, results, failures, versions, graph facts, weights."""

import ast
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from rows import every

from converter import graph, results, versions, weights
from converter.arrays import in_order, read_cases, write_cases
from converter.failure import MESSAGE_LIMIT, describe
from converter.job import Job
from converter.results import Result
from matrix.packages.interpreters import installed

ROOT = Path(__file__).parents[3]
CONVERTER = ROOT / "converter"
SOURCES = sorted(CONVERTER.rglob("*.py"))
# Everything else that runs in environments as old as Python 3.6.
OTHERS = sorted(
    [
        ROOT / "benchmarks" / "convert_by_hand.py",
        ROOT / "docker" / "compile.py",
        *(ROOT / "matrix" / "outputs" / "package" / "folder" / "inside").glob("*.py"),
        *(ROOT / "tests" / "families" / "toy_families").glob("*/*.py"),
    ]
)


# --- arrays


def test_arrays_come_back_as_they_went(tmp_path):
    cases = [
        {"a/b": np.arange(6, dtype="float32").reshape(2, 3), "file": np.array(True)},
        {"a/b": np.zeros((0, 3), "int8"), "file": np.array(7, "uint64")},
    ]
    write_cases(str(tmp_path / "x.npz"), cases)
    back = read_cases(str(tmp_path / "x.npz"))
    assert len(back) == 2
    for went, came in zip(cases, back, strict=True):
        assert list(went) == list(came)
        for name in went:
            assert went[name].dtype == came[name].dtype
            assert np.array_equal(went[name], came[name])
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_more_than_ten_cases_stay_in_order(tmp_path):
    write_cases(str(tmp_path / "x.npz"), [{"n": np.array(number)} for number in range(12)])
    assert [int(case["n"]) for case in read_cases(str(tmp_path / "x.npz"))] == list(range(12))


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.array([(1, None)], dtype="i4,O")])
def test_object_arrays_are_not_written_and_leave_the_old_file(tmp_path, value):
    write_cases(str(tmp_path / "x.npz"), [{"n": np.array(1)}])
    with pytest.raises(TypeError, match="'bad' of case 1"):
        write_cases(str(tmp_path / "x.npz"), [{"n": np.array(2)}, {"bad": value}])
    assert int(read_cases(str(tmp_path / "x.npz"))[0]["n"]) == 1


def test_inputs_without_a_case_are_refused(tmp_path):
    write_cases(str(tmp_path / "x.npz"), [])
    with pytest.raises(ValueError, match="no case"):
        read_cases(str(tmp_path / "x.npz"))


def test_object_arrays_are_not_read(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "went off"),)

    np.savez(tmp_path / "x.npz", **{"0/n": np.array([Bomb()], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        read_cases(str(tmp_path / "x.npz"))
    assert not (tmp_path / "went off").exists()


def test_inputs_are_matched_by_name_or_by_position():
    case = {"left": np.array(1), "right": np.array(2)}
    assert [int(array) for array in in_order(case, ["right", "left"])] == [2, 1]
    assert [int(array) for array in in_order(case, ["right"])] == [2]
    assert [int(array) for array in in_order(case, ["x.1", "y"])] == [1, 2]
    with pytest.raises(ValueError, match="the model takes"):
        in_order(case, ["x.1"])


# --- results


def test_a_write_that_fails_leaves_the_old_result(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    results.write_atomically(str(path), b"old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(results.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        results.write_atomically(str(path), b"new, longer")
    assert path.read_bytes() == b"old"


def test_a_stage_is_on_disk_while_it_runs(tmp_path):
    job = Job({}, str(tmp_path), str(tmp_path))
    result = Result(str(tmp_path / "r.json"), "7", "convert", job)
    seen = []

    def stage():
        seen.append(json.loads((tmp_path / "r.json").read_text()))
        job.facts["n"] = 3
        Path(job.made("memory.npz")).write_bytes(b"x")
        job.made("never written")
        return "value"

    assert result.attempt("run", stage) == "value"
    assert seen[0]["stages"] == [
        {"stage": "run", "status": "running", "seconds": None, "cpu_seconds": None, "shared": False}
    ]
    assert seen[0]["files"] == []
    after = json.loads((tmp_path / "r.json").read_text())
    assert after["stages"][0]["status"] == "ok"
    assert after["facts"] == {"n": 3}
    assert after["files"] == ["memory.npz"]
    assert after["done"] is False


def test_a_failure_keeps_nothing_of_the_job_alive(tmp_path):
    import gc
    import weakref

    class Big:
        pass

    result = Result(str(tmp_path / "r.json"), "7", "convert", Job({}, str(tmp_path), str(tmp_path)))
    alive = []

    def stage():
        big = Big()
        alive.append(weakref.ref(big))
        raise RuntimeError("with a frame that holds something")

    assert result.attempt("run", stage) is None
    assert result.error["type"] == "builtins.RuntimeError"
    gc.collect()
    assert alive[0]() is None


# --- failures


def test_a_failure_carries_its_causes_and_its_classes():
    class Odd(KeyError):
        pass

    try:
        try:
            raise Odd("inner")
        except Odd as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as problem:
        described = describe(problem)
    assert described["type"] == "builtins.RuntimeError"
    assert described["message"] == "outer"
    assert "inner" in described["traceback"]
    assert describe(Odd("x"))["mro"][1:4] == ["builtins.KeyError", "builtins.LookupError", "builtins.Exception"]


def test_long_messages_keep_both_ends():
    message = describe(RuntimeError("start" + "x" * 10**6 + "end"))["message"]
    assert message.startswith("start")
    assert message.endswith("end")
    assert len(message) < MESSAGE_LIMIT + 100


def test_an_exception_that_cannot_be_printed_is_still_described():
    class Rude(Exception):
        def __str__(self):
            raise ZeroDivisionError

    assert describe(Rude())["message"] == "<message not printable: ZeroDivisionError>"


def test_messages_that_are_not_text_make_valid_json(tmp_path):
    result = Result(str(tmp_path / "r.json"), "7", "convert", Job({}, str(tmp_path), str(tmp_path)))

    def stage():
        raise RuntimeError("half a pair \udc80, zero \x00, line\u2028")

    result.attempt("load", stage)
    assert "half a pair" in json.loads((tmp_path / "r.json").read_text())["error"]["message"]


# --- versions


def test_versions_are_read_from_the_import_path(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (
        first / "onnx_tf-1.10.0.dist-info",
        first / "torch-2.13.0+cpu.dist-info",
        first / "PyYAML-5.1.2-py3.6.egg-info",
        first / "wrapt-1.11.2-py3.6-linux-x86_64.egg-info",
        first / "not_a_distribution",
        second / "onnx_tf-1.6.0.dist-info",
        second / "zope.interface-5.0.dist-info",
    ):
        folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "missing"), str(second)])
    assert versions.installed() == {
        "onnx-tf": "1.10.0",
        "torch": "2.13.0+cpu",
        "pyyaml": "5.1.2",
        "wrapt": "1.11.2",
        "zope-interface": "5.0",
    }


# --- graph


def node(kind, domain="", attributes=(), given=()):
    return SimpleNamespace(op_type=kind, domain=domain, attribute=list(attributes), input=list(given))


def named(*names):
    return [SimpleNamespace(name=name) for name in names]


def holder(*nodes):
    return SimpleNamespace(node=list(nodes))


def test_graph_facts_count_subgraphs_and_leave_weights_out_of_the_inputs():
    branch = SimpleNamespace(
        name="then_branch", type=5, g=holder(node("Relu"), node("Mine", "com.example")), graphs=[holder(node("Relu"))]
    )
    model = SimpleNamespace(
        ir_version=3,
        producer_version="0.4",
        opset_import=[
            SimpleNamespace(domain="", version=9),
            SimpleNamespace(domain="com.example", version=1),
        ],
        graph=SimpleNamespace(
            node=[node("If", "ai.onnx", [branch])],
            initializer=named("w"),
            input=named("x", "w", "y"),
            output=named("out"),
        ),
    )
    assert graph.describe(model) == {
        "opset_written": 9,
        "opsets": {"ai.onnx": 9, "com.example": 1},
        "ir_version": 3,
        "producer_version": "0.4",
        "operators": {"If": 1, "Relu": 2, "com.example.Mine": 1},
        "uses": [
            {"operator": "If", "modes": {}, "given": ""},
            {"operator": "Relu", "modes": {}, "given": ""},
            {"operator": "com.example.Mine", "modes": {}, "given": ""},
        ],
        "graph_inputs": ["x", "y"],
        "graph_outputs": ["out"],
    }


def test_a_use_is_identified_by_its_modes_and_inputs():
    text = SimpleNamespace(name="mode", type=3, s=b"linear", g=holder(), graphs=[])
    number = SimpleNamespace(name="ceil_mode", type=2, i=1, g=holder(), graphs=[])
    sizes = SimpleNamespace(name="pads", type=7, ints=[1, 1], g=holder(), graphs=[])
    nodes = [
        node("Resize", attributes=[text, number, sizes], given=["x", "", "scales"]),
        node("Resize", attributes=[number, text], given=["other", "", "sizes"]),
        node("Resize", attributes=[text], given=["x"]),
    ]
    assert graph.uses(SimpleNamespace(graph=holder(*nodes))) == [
        {"operator": "Resize", "modes": {"ceil_mode": 1, "mode": "linear"}, "given": "101"},
        {"operator": "Resize", "modes": {"mode": "linear"}, "given": "1"},
    ]


# --- weights


class Tensor:
    """The part of a torch tensor that seeding uses."""

    def __init__(self, shape, floating=True):
        self.shape = shape
        self.dtype = SimpleNamespace(is_floating_point=floating)
        self.values = None

    def copy_(self, values):
        assert values.shape == self.shape
        self.values = np.array(values, "float32")


@pytest.fixture
def torch_stub(monkeypatch):
    from contextlib import nullcontext

    stub = ModuleType("torch")
    stub.no_grad = nullcontext
    stub.from_numpy = lambda values: values
    monkeypatch.setitem(sys.modules, "torch", stub)


def seeded(layout, seed=0):
    state = {name: Tensor(*spec) for name, spec in layout.items()}
    weights.seed_weights(SimpleNamespace(state_dict=lambda: state), seed)
    return state


LAYOUT = {
    "conv.weight": ((64, 16, 3, 3),),
    "conv.bias": ((64,),),
    "norm.weight": ((64,),),
    "norm.bias": ((64,),),
    "norm.running_mean": ((64,),),
    "norm.running_var": ((64,),),
    "norm.num_batches_tracked": ((), False),
}


@pytest.mark.usefixtures("torch_stub")
def test_a_tensors_weights_depend_on_its_name_shape_and_seed_alone():
    one, again, other = seeded(LAYOUT), seeded(dict(reversed(LAYOUT.items()))), seeded(LAYOUT, seed=1)
    alone = seeded({"conv.weight": LAYOUT["conv.weight"]})
    for name in LAYOUT:
        if name != "norm.num_batches_tracked":
            assert np.array_equal(one[name].values, again[name].values)
            assert not np.array_equal(one[name].values, other[name].values)
    assert np.array_equal(one["conv.weight"].values, alone["conv.weight"].values)
    assert not np.array_equal(one["conv.bias"].values, one["norm.bias"].values)
    assert one["norm.num_batches_tracked"].values is None


@pytest.mark.usefixtures("torch_stub")
def test_the_weights_are_the_same_bits_on_every_machine():
    """A recorded checksum: all stored observations depend on these bits."""
    state = seeded(LAYOUT)
    everything = b"".join(state[name].values.tobytes() for name in sorted(state) if state[name].values is not None)
    assert zlib.crc32(everything) == CHECKSUM


@pytest.mark.usefixtures("torch_stub")
def test_a_wrong_epsilon_moves_a_normalised_value_far_beyond_the_tolerance():
    variance = seeded(LAYOUT)["norm.running_var"].values
    moved = 1 - np.sqrt((variance + 1e-5) / (variance + 1e-3))
    assert moved.min() > 2e-3
    assert variance.max() / variance.min() > 3


CHECKSUM = 3137982280


# --- the old interpreters

# Passes that build on another.
BUILT_ON = {"export": {"forward"}}


def test_the_code_of_old_environments_is_complete():
    names = {path.parent.name for path in OTHERS}
    assert names == {"benchmarks", "docker", "inside", "script", "text"}


@every([*SOURCES, *OTHERS], lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_python_3_6(source):
    tree = ast.parse(source.read_text(), feature_version=(3, 6))
    imports = [found for found in ast.walk(tree) if isinstance(found, ast.ImportFrom)]
    assert "__future__" not in {found.module for found in imports}, "annotations begin with 3.7"


@every(SOURCES, lambda path: str(path.relative_to(CONVERTER)))
def test_no_file_imports_the_driver(source):
    tree = ast.parse(source.read_text())
    names = set()
    for found in ast.walk(tree):
        if isinstance(found, ast.Import):
            names |= {alias.name.split(".")[0] for alias in found.names}
        elif isinstance(found, ast.ImportFrom):
            assert found.level == 0, "relative imports hide from the identity of a job"
            names.add(found.module.split(".")[0])
    ours = {"converter", "numpy", "torch", "onnx", "onnx_tf", "tensorflow", "onnxruntime", "onnxsim"}
    assert names - ours <= set(sys.stdlib_module_names)
    if source.parent.name == "stages":
        imported = {
            f"{found.module}.{alias.name}"
            for found in ast.walk(tree)
            if isinstance(found, ast.ImportFrom)
            for alias in found.names
        }
        assert not [name for name in imported if name.startswith("converter.zoo")]
        # A change to a stage module reruns all jobs whose stages import it.
        others = {name.split(".")[2] for name in imported if name.startswith("converter.stages.")}
        assert others <= BUILT_ON.get(source.stem, set())


def test_the_oldest_interpreter_at_hand_compiles_it():
    python = min(installed(), key=lambda minor: tuple(map(int, minor.split("."))))
    if installed()[python].version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}."):
        pytest.skip("this machine has no older Python")
    code = "import sys\nfor path in sys.argv[1:]: compile(open(path, encoding='utf-8').read(), path, 'exec')"
    subprocess.run([installed()[python].path, "-c", code, *SOURCES, *OTHERS], check=True)
