"""The coverage pass with a fake onnx and onnx-tf: real processes, real files, no framework."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converter.backend.alone import End, each_alone
from converter.backend.cases import Case, NoCasesShipped, flat, shipped
from converter.backend.measuring import stages
from converter.families.onnx_tf import claims, coverage
from converter.families.onnx_tf.warm import Warmth
from converter.job import Job
from matrix.core.converter_code import ConverterCode

ROOT = Path(__file__).parents[3]


def _alone(
    tmp_path: Path, *functions: Callable[[], object], seconds: float = 20, megabytes: float = 4000, parallel: int = 1
) -> dict[int, End]:
    tasks = [(number, function, str(tmp_path / f"{number}.log")) for number, function in enumerate(functions)]
    return dict(each_alone(tasks, seconds, megabytes, parallel))


def _blow_up() -> None:
    held = []
    for _ in range(200):
        held.append(np.ones(2**20))  # 8 MiB
        time.sleep(0.01)


def test_how_each_child_ends(tmp_path: Path) -> None:
    ends = _alone(
        tmp_path,
        lambda: os.write(1, b"all is well"),
        lambda: 1 / 0,
        lambda: os.kill(os.getpid(), signal.SIGSEGV),
        lambda: os._exit(7),
        sys.exit,
    )
    assert [(end.code, end.signal, end.stopped) for _, end in sorted(ends.items())] == [
        (0, None, None),
        (1, None, None),
        (None, signal.SIGSEGV, None),
        (7, None, None),
        (1, None, None),
    ]
    assert (tmp_path / "0.log").read_text() == "all is well"
    assert "Segmentation fault" in (tmp_path / "2.log").read_text()
    assert all(end.peak_mb > 1 for end in ends.values())


def test_a_hanging_child_is_killed_and_the_next_runs(tmp_path: Path) -> None:
    ends = _alone(tmp_path, partial(time.sleep, 60), lambda: None, seconds=0.3)
    assert (ends[0].signal, ends[0].stopped) == (signal.SIGKILL, "timeout")
    assert 0.3 <= ends[0].seconds < 10
    assert (ends[1].code, ends[1].stopped) == (0, None)


def test_a_child_with_too_much_memory_is_killed(tmp_path: Path) -> None:
    own = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    ends = _alone(tmp_path, _blow_up, lambda: None, megabytes=own + 200)
    assert (ends[0].signal, ends[0].stopped) == (signal.SIGKILL, "memory")
    assert (ends[1].code, ends[1].stopped) == (0, None)


def test_two_at_once_meet(tmp_path: Path) -> None:
    def meet(mine: str, other: str) -> None:
        (tmp_path / mine).touch()
        while not (tmp_path / other).exists():
            time.sleep(0.01)

    ends = _alone(tmp_path, partial(meet, "a", "b"), partial(meet, "b", "a"), seconds=20, parallel=2)
    assert [end.code for end in ends.values()] == [0, 0]


def test_children_end_with_their_parent(tmp_path: Path) -> None:
    def stay() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        (tmp_path / "pid").rename(tmp_path / "there")
        time.sleep(60)

    def quick() -> None:
        while not (tmp_path / "there").exists():
            time.sleep(0.01)

    asked = each_alone([(0, stay, str(tmp_path / "0")), (1, quick, str(tmp_path / "1"))], 50, 4000, 2)
    assert next(asked)[0] == 1
    asked.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "there").read_text()), 0)


class _Foreign(SimpleNamespace):
    """A protobuf message, as far as converter/graph.py uses it."""

    def WhichOneof(self, _: str) -> str:  # noqa: N802
        return "tensor_type"


def _value(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, type=_Foreign())


def _node(operator: str) -> SimpleNamespace:
    return SimpleNamespace(op_type=operator, domain="", attribute=[], input=["x"])


def _read(path: str) -> SimpleNamespace:
    """model.onnx of these tests: {"operators": [...], "code": what the converted model does with x}."""
    told = json.loads(Path(path).read_text())
    nodes = [_node(operator) for operator in told["operators"]]
    return SimpleNamespace(
        graph=SimpleNamespace(node=nodes, initializer=[], input=[_value("x")], output=[_value("y")]),
        opset_import=[SimpleNamespace(domain="", version=9)],
        ir_version=4,
        producer_version="",
        code=told["code"],
    )


class _Tensor:
    def ParseFromString(self, content: bytes) -> None:  # noqa: N802
        self.value = np.array(json.loads(content), np.float32)


class _Representation:
    def __init__(self, code: str) -> None:
        self._code = code
        self.inputs = ["x"]

    def run(self, inputs: list[Any]) -> list[Any]:
        return [eval(self._code, {"x": inputs[0], "os": os, "np": np, "time": time})]


class _Backend:
    @staticmethod
    def prepare(model: Any, device: str) -> _Representation:
        assert device == "CPU"
        if "Never" in [node.op_type for node in model.graph.node]:
            raise NotImplementedError("Never is not implemented.")
        return _Representation(model.code)


def _check(model: Any) -> None:
    if "Wrong" in [node.op_type for node in model.graph.node]:
        raise ValueError("no such operator: Wrong")


@pytest.fixture
def packages(tmp_path: Path) -> SimpleNamespace:
    """An onnx in tmp_path/onnx without cases, and an onnx-tf."""
    schemas = [("", "Add", 1), ("", "Add", 7), ("", "Abs", 1), ("ai.onnx.ml", "Scaler", 1)]
    return SimpleNamespace(
        tensorflow=None,
        backend=_Backend,
        started=lambda: False,
        onnx=SimpleNamespace(
            __file__=str(tmp_path / "onnx/__init__.py"),
            __version__="1.4.1",
            load=_read,
            checker=SimpleNamespace(check_model=_check),
            TensorProto=_Tensor,
            numpy_helper=SimpleNamespace(to_array=lambda tensor: tensor.value),
            defs=SimpleNamespace(
                onnx_opset_version=lambda: 9,
                get_all_schemas_with_history=lambda: [
                    SimpleNamespace(domain=domain, name=name, since_version=since) for domain, name, since in schemas
                ],
            ),
        ),
    )


def _ship(tmp_path: Path, name: str, *operators: str, code: str = "2 * x", folder: str = "node", sets: int = 1) -> None:
    home = tmp_path / "onnx/backend/test/data" / folder / name
    home.mkdir(parents=True)
    (home / "model.onnx").write_text(json.dumps({"operators": operators, "code": code}))
    for number in range(sets):
        data = home / f"test_data_set_{number}"
        data.mkdir()
        (data / "input_0.pb").write_text(json.dumps([number, 1]))
        (data / "output_0.pb").write_text(json.dumps([2 * number, 2]))


def _claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnx-tf older than 1.2."""
    table = ModuleType("onnx_tf.opset_version")
    table.backend_opset_version = {"Add": [6, 1], "Acos": []}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnx_tf", ModuleType("onnx_tf"))
    monkeypatch.setitem(sys.modules, "onnx_tf.opset_version", table)


def _run(
    tmp_path: Path, packages: SimpleNamespace, stages: Sequence[Callable[..., Any]] = coverage.STAGES, **params: Any
) -> tuple[Job, dict[str, Any]]:
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    job = Job(params, str(tmp_path), str(outbox))
    value = None
    for stage in stages:
        value = stage(job, packages, value)
    return job, json.loads((outbox / "cases.json").read_text())


def test_every_case_is_taken_as_far_as_it_goes(
    tmp_path: Path, packages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _claim(monkeypatch)
    _ship(tmp_path, "test_a_good", "Add", "Add", sets=11)
    _ship(tmp_path, "test_b_crash", "Add", code="[os.write(1, b'farewell'), os.abort()]")
    _ship(tmp_path, "test_c_wrong", "Wrong")
    _ship(tmp_path, "test_d_never", "Never")
    _ship(tmp_path, "test_e_raises", "Abs", code="x.nothing")
    _ship(tmp_path, "test_f_hangs", "Abs", code="time.sleep(60)")
    _ship(tmp_path, "test_g_converted", "Abs", folder="pytorch-converted")
    _ship(tmp_path, "test_h_address", "Abs", folder="real")
    job, content = _run(tmp_path, packages, case_seconds=2)

    assert job.facts["suites"] == {"node": 6, "converted": 1}
    assert (job.facts["cases"], job.facts["onnx"], job.facts["handlers_from"]) == (7, "1.4.1", "onnx_tf.opset_version")
    assert sorted(job.files) == ["actual.npz", "cases.json", "expected.npz"]
    assert not (tmp_path / "outbox/scratch").exists()
    assert (content["schema"], content["onnx"], content["opset"]) == (2, "1.4.1", 9)
    assert content["handlers"] == {"Add": [1, 6]}
    assert content["schemas"] == {"Abs": [1], "Add": [1, 7], "ai.onnx.ml.Scaler": [1]}

    cases = content["cases"]
    good, crash, wrong, never, raises, hangs, converted = cases
    assert [(case["stage"], case["done"]) for case in cases] == [
        ("run", True),
        ("run", False),
        ("check", False),
        ("convert", False),
        ("run", False),
        ("run", False),
        ("run", True),
    ]
    assert (good["name"], good["suite"], converted["suite"]) == ("test_a_good", "node", "converted")
    assert (good["operators"], good["opsets"], good["ir_version"]) == ({"Add": 2}, {"ai.onnx": 9}, 4)
    assert good["uses"] == [{"operator": "Add", "modes": {}, "given": "1"}]
    assert (good["outputs"], good["error"], good["exit"], good["printed"]) == (["y"], None, None, None)
    assert crash["exit"] == {"code": None, "signal": signal.SIGABRT}
    assert (crash["stopped"], crash["error"], crash["operators"]) == (None, None, {"Add": 1})
    assert crash["printed"].startswith("farewell")
    assert "Aborted" in crash["printed"]
    assert (hangs["stopped"], hangs["exit"]["signal"]) == ("timeout", signal.SIGKILL)
    assert [case["error"]["type"] for case in (wrong, never, raises)] == [
        "builtins.ValueError",
        "builtins.NotImplementedError",
        "builtins.AttributeError",
    ]
    assert never["error"]["message"] == "Never is not implemented."

    with np.load(tmp_path / "outbox/actual.npz") as actual, np.load(tmp_path / "outbox/expected.npz") as expected:
        several = ["0/y", *(f"0/{number}:y" for number in range(1, 11))]
        assert set(actual.files) == {*several, "6/y"}
        assert set(expected.files) == {*several, *(f"{case}/y" for case in range(1, 7))}
        # Sets are in the order of their numbers, 10 after 9, in both.
        assert [actual[key].tolist() for key in several] == [[2 * number, 2] for number in range(11)]
        assert all(np.array_equal(actual[key], expected[key]) for key in several)


def test_only_some_cases(tmp_path: Path, packages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    _claim(monkeypatch)
    for name in ("test_a", "test_b", "test_c"):
        _ship(tmp_path, name, "Add")
    job, content = _run(tmp_path, packages, only=["test_b"], parallel=2)
    assert [case["name"] for case in content["cases"]] == ["test_b"]
    assert job.facts["cases"] == 1


def test_another_family_only_provides_prepare_and_claims(tmp_path: Path, packages: SimpleNamespace) -> None:
    _ship(tmp_path, "test_a", "Add")
    _ship(tmp_path, "test_b", "Add", code="3 * x")

    def prepare(_: SimpleNamespace, model: Any) -> Callable[[list[Any]], list[Any]]:
        return lambda inputs: [eval(model.code, {"x": inputs[0]})]

    made = stages("numpy", prepare, lambda: ({"Add": [7]}, "numpy.claims"))
    assert (
        [stage.__name__ for stage in made] == [stage.__name__ for stage in coverage.STAGES] == ["load", "run", "save"]
    )
    job, content = _run(tmp_path, packages, made)
    assert (content["package"], content["release"], content["handlers"]) == ("numpy", np.__version__, {"Add": [7]})
    assert [(case["name"], case["done"]) for case in content["cases"]] == [("test_a", True), ("test_b", True)]
    assert job.facts["handlers_from"] == "numpy.claims"


def test_an_onnx_without_cases_is_named(tmp_path: Path, packages: SimpleNamespace) -> None:
    _ship(tmp_path, "test_address", "Add", folder="real")
    with pytest.raises(NoCasesShipped, match=r"onnx 1\.4\.1 ships no backend test cases"):
        shipped(packages.onnx)


def test_values_as_plain_arrays() -> None:
    numbers = np.arange(3)
    sequence = flat("s", [numbers, (numbers, None)])
    assert list(sequence) == ["s[0]", "s[1][0]"]
    assert flat("n", None) == {}
    assert flat("f", 1.5)["f"].shape == ()
    for texts in (["a", "ü"], np.array(["a", "ü"], object), np.array([b"a", "ü".encode()], object)):
        array = flat("t", np.array(texts))["t"]
        assert array.dtype == np.uint8
        assert array.tobytes() == "a\0ü".encode()
    with pytest.raises(TypeError, match="holds a dict"):
        flat("m", {"a": 1})


def _handler(operator: str | None, *versions: int, domain: str = "") -> type:
    methods = {f"version_{version}": lambda: None for version in versions}
    return type("Handler", (), {"ONNX_OP": operator, "DOMAIN": domain, **methods})


def test_handlers_are_read_from_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = [_handler("Add", 13, 7), _handler("Add", 14), _handler(None, 1), _handler("Scaler", 1, domain="ml")]
    registry = ModuleType("onnx_tf.handlers.backend_handler")
    registry.BackendHandler = SimpleNamespace(  # type: ignore[attr-defined]
        __subclasses__=lambda: registered
    )
    for name in ("onnx_tf", "onnx_tf.handlers", "onnx_tf.common", "onnx_tf.common.handler_helper"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    assert claims.handlers() == ({"Add": [7, 13, 14], "ml.Scaler": [1]}, registry.__name__)


class _Graph:
    def as_default(self) -> _Graph:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _traced(packages: SimpleNamespace) -> list[list[str]]:
    """Record the operators of each model that is traced from now on. Abs fails."""
    traced: list[list[str]] = []

    class Module:
        def __init__(self, operators: list[str]) -> None:
            self.operators = operators

        def call(self, x: Any) -> None:
            traced.append(self.operators)
            if "Abs" in self.operators:
                raise ValueError("not in a graph")

    setattr(Module, "__call__", SimpleNamespace(python_function=Module.call))  # noqa: B010

    def prepare(model: Any, device: str) -> SimpleNamespace:
        return SimpleNamespace(inputs=["x"], tf_module=Module([node.op_type for node in model.graph.node]))

    packages.backend = SimpleNamespace(prepare=prepare)
    packages.tensorflow = SimpleNamespace(
        Graph=_Graph, constant=lambda value: value, autograph=SimpleNamespace(to_graph=lambda function: function)
    )
    return traced


@pytest.mark.parametrize("rewrites", [True, False])
def test_what_is_traced_ahead(
    tmp_path: Path, packages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, rewrites: bool
) -> None:
    """Once for each operator of enough cases, never one that keeps state; a failure has no effect."""
    traced = _traced(packages)
    monkeypatch.setitem(sys.modules, "onnx_tf", ModuleType("onnx_tf"))
    if rewrites:
        monkeypatch.setitem(sys.modules, "onnx_tf.backend_tf_module", ModuleType("onnx_tf.backend_tf_module"))
    for number in range(3):
        for operator in ("Abs", "Add", "LSTM"):
            _ship(tmp_path, f"test_{operator}_{number}", operator)
    _ship(tmp_path, "test_rare", "Rare")
    cases: list[Case] = shipped(packages.onnx)
    warmth = Warmth(cases, packages, 20, 4000)
    for case in cases:
        warmth.add(case)
    assert traced == ([["Add"]] if rewrites else [])


def test_what_would_start_threads_is_not_traced_here(
    tmp_path: Path, packages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = _traced(packages)
    packages.started = lambda: ["Gather"] in traced
    for name in ("onnx_tf", "onnx_tf.backend_tf_module"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for number in range(3):
        _ship(tmp_path, f"test_add_{number}", "Add")
        _ship(tmp_path, f"test_gather_{number}", "Gather")
    cases = shipped(packages.onnx)
    warmth = Warmth(cases, packages, 20, 4000)
    for case in reversed(cases):
        warmth.add(case)
    assert traced == [["Add"]]


def test_the_driver_sees_all_that_the_pass_runs() -> None:
    """The identity of a coverage job includes these files."""
    found = ConverterCode(ROOT / "converter").closure(["converter.families.onnx_tf.coverage"])
    assert {path.name for path in found if path.parent.name == "backend"} == {
        path.name for path in (ROOT / "converter/backend").glob("*.py")
    }
