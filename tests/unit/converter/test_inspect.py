"""The checks of a user's .onnx file before its content is trusted. The protobuf classes are fakes;
tests/integration/test_hostile.py passes real files through the real package."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from converter import external, order, tensors
from converter.graph import NotATensor, signature


class Proto(SimpleNamespace):
    """A message whose missing fields are empty."""

    LISTS = ("dims", "input", "output", "attribute", "initializer", "node", "tensors", "graphs", "external_data")
    FIELDS = ("float_data", "int32_data", "int64_data", "string_data", "double_data", "uint64_data")

    def __getattr__(self, name: str) -> Any:
        if name in self.LISTS + self.FIELDS:
            return []
        if name == "data_location":
            return 0
        raise AttributeError(name)

    def HasField(self, name: str) -> bool:  # noqa: N802
        return name in vars(self)

    def ClearField(self, name: str) -> None:  # noqa: N802
        vars(self).pop(name, None)


def node(kind: str, inputs: str, outputs: str, *subgraphs: Proto) -> Proto:
    attributes = [Proto(name="body", g=graph) for graph in subgraphs]
    return Proto(name="", op_type=kind, input=inputs.split(), output=outputs.split(), attribute=attributes)


def graph(nodes: list[Proto], inputs: str = "x", outputs: str = "y", weights: str = "") -> Proto:
    values = {key: [Proto(name=name) for name in names.split()] for key, names in (("i", inputs), ("o", outputs))}
    initializer = [Proto(name=name, dims=[]) for name in weights.split()]
    return Proto(node=nodes, input=values["i"], output=values["o"], initializer=initializer)


def tensor(dims: list[int], kind: int = 1, **fields: Any) -> Proto:
    return Proto(name="w", dims=dims, data_type=kind, **fields)


def beside(location: str, dims: list[int] | None = None, **entries: Any) -> Proto:
    data = [Proto(key=key, value=str(value)) for key, value in {"location": location, **entries}.items()]
    return tensor([2] if dims is None else dims, data_location=tensors.EXTERNAL, external_data=data)


def holding(*found: Proto, size: int = 100) -> Proto:
    whole = Proto(node=[], input=[], output=[], initializer=list(found))
    return Proto(graph=whole, ByteSize=lambda: size)


# --- order


def test_what_is_in_order_passes() -> None:
    branch = graph([node("Add", "a inner", "b")], inputs="inner", outputs="b")
    order.check_order(Proto(graph=graph([node("Relu", "x", "a"), node("Scan", "x", "y", branch)])))
    order.check_order(Proto(graph=graph([node("Add", "x w", "y")], weights="w")))
    order.check_order(Proto(graph=graph([], outputs="x")))


@pytest.mark.parametrize(
    ("nodes", "error", "words"),
    [
        ([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Neg", "b", "y")], order.GraphHasCycle, "circle"),
        ([node("Add", "x y", "y")], order.GraphHasCycle, "Add for 'y' -> Add for 'y'"),
        ([node("Relu", "a", "y"), node("Neg", "x", "a")], order.GraphNotSorted, "which Neg for 'a' computes only"),
        ([node("Add", "x ghost", "y")], order.TensorUnknown, "'ghost', which nothing computes"),
        ([node("Relu", "x", "z")], order.TensorUnknown, "the output 'y' is computed by nothing"),
        ([node("Relu", "x", "y"), node("Neg", "x", "y")], order.TensorComputedTwice, "Neg for 'y' computes 'y'"),
        ([node("Relu", "x", "x"), node("Neg", "x", "y")], order.TensorComputedTwice, "'x', which is there already"),
    ],
)
def test_what_is_out_of_order_is_named(nodes: list[Proto], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        order.check_order(Proto(graph=graph(nodes)))


def test_a_cycle_through_a_subgraph_and_disorder_inside_one() -> None:
    taking = graph([node("Relu", "late", "r")], inputs="", outputs="r")
    with pytest.raises(order.GraphHasCycle, match="If for 'a' -> Neg for 'late' -> If for 'a'"):
        order.check_order(Proto(graph=graph([node("If", "x", "a", taking), node("Neg", "a", "late")], outputs="a")))
    inside = graph([node("Relu", "p", "q"), node("Neg", "x", "p")], inputs="", outputs="q")
    with pytest.raises(order.GraphNotSorted, match="'p'"):
        order.check_order(Proto(graph=graph([node("If", "x", "y", inside)])))


def test_a_long_cycle_is_found_and_abbreviated() -> None:
    chain = [node("Neg", f"t{i}", f"t{i + 1}") for i in range(5000)]
    with pytest.raises(order.GraphHasCycle) as caught:
        order.check_order(Proto(graph=graph([node("Add", "x t5000", "t0"), *chain], outputs="t1")))
    assert "..." in str(caught.value)
    assert len(str(caught.value)) < 500


# --- sizes


@pytest.mark.parametrize(
    "fine",
    [
        tensor([2, 3], raw_data=b"\0" * 24),
        tensor([2], float_data=[1.0, 2.0]),
        tensor([], 7, int64_data=[1]),
        tensor([0, 5]),
        tensor([3], 9, int32_data=[0, 1, 1]),
        tensor([2], 10, raw_data=b"\0" * 4),
        tensor([3], 22, raw_data=b"\0" * 2),
        tensor([3], 21, int32_data=[0, 0]),
        tensor([2], 14, float_data=[0.0] * 4),
        tensor([2], 8, string_data=[b"a", b"b"]),
    ],
)
def test_a_tensor_that_holds_what_it_declares(fine: Proto) -> None:
    tensors.measure("tensor 'w'", fine)


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (
            tensor([3 * 10**9]),
            tensors.TensorLargerThanItsData,
            r"3000000000 elements \(11444\.1 MB\), the file holds 0",
        ),
        (tensor([2**62, 2**62, 0, 2]), None, ""),
        (tensor([2**40, 2**40], raw_data=b"1234"), tensors.TensorLargerThanItsData, "holds 4 of"),
        (tensor([2], 8, string_data=[b"a"]), tensors.TensorLargerThanItsData, "holds 1 of 2 values"),
        (tensor([1], raw_data=b"\0" * 8), tensors.TensorBroken, r"holds 8 bytes, its shape \[1\] takes 4"),
        (tensor([-1], raw_data=b""), tensors.TensorBroken, r"shape \[-1\]"),
        (tensor([1], 99, raw_data=b"1"), tensors.TensorBroken, "unknown data type 99"),
    ],
)
def test_a_tensor_that_does_not(bad: Proto, error: type[Exception] | None, words: str) -> None:
    if error is None:
        tensors.measure("tensor 'w'", bad)
        return
    with pytest.raises(error, match=words):
        tensors.measure("tensor 'w'", bad)


def test_tensors_are_found_wherever_they_are() -> None:
    inner = Proto(node=[], input=[], output=[], initializer=[tensor([1])])
    holder = Proto(name="a", op_type="If", input=[], output=[], attribute=[Proto(name="g", g=inner)])
    constant = Proto(name="c", op_type="Constant", input=[], output=["c"])
    constant.attribute = [Proto(name="value", t=tensor([2]))]
    whole = Proto(node=[holder, constant], initializer=[tensor([3])])
    function = Proto(node=[constant])
    found = list(tensors.stored(Proto(graph=whole, functions=[function])))
    assert [list(one.dims) for _, one in found] == [[3], [1], [2], [2]]
    assert found[2][0] == "attribute 'value' of node 'c' (Constant)"


# --- data in other files


@pytest.mark.parametrize(
    "location", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..", "\\\\host\\x", "..\\x", "C:\\x", "a/", "./."]
)
def test_data_outside_of_the_models_folder(location: str) -> None:
    with pytest.raises(external.ExternalDataOutside, match="outside of the model's folder"):
        external.locations(holding(beside(location)))


def test_where_the_data_is() -> None:
    model = holding(beside("w.bin"), tensor([1], raw_data=b"1234"), beside("sub/v.bin"), beside("w.bin", offset=8))
    assert external.locations(model) == ["sub/v.bin", "w.bin"]
    for nowhere in (beside(""), beside("a\0b"), tensor([2], data_location=tensors.EXTERNAL)):
        with pytest.raises(external.ExternalDataBroken, match="not say in which"):
            external.locations(holding(nowhere))


def test_data_is_put_into_the_model(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(range(16)))
    one, two = beside("w.bin"), beside("w.bin", offset=8, length=8)
    external.embed(holding(one, two), str(tmp_path))
    assert (one.raw_data, two.raw_data) == (bytes(range(8)), bytes(range(8, 16)))
    assert not one.HasField("external_data")
    assert not one.HasField("data_location")


@pytest.mark.parametrize(
    ("piece", "error", "words"),
    [
        (beside("w.bin", offset=12), tensors.TensorLargerThanItsData, "needs bytes 12 to 20 of w.bin, which has 16"),
        (beside("w.bin", [5]), tensors.TensorLargerThanItsData, "needs bytes 0 to 20"),
        (beside("w.bin", offset=-8), external.ExternalDataBroken, "8 bytes at -8"),
        (beside("w.bin", length=4), external.ExternalDataBroken, "says they are 4 bytes"),
        (beside("w.bin", offset="abc"), external.ExternalDataBroken, "'abc'"),
        (beside("w.bin", [2**30]), external.ModelTooLarge, "takes 4096 MB"),
    ],
)
def test_broken_external_data_is_not_read(tmp_path: Path, piece: Proto, error: type[Exception], words: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    with pytest.raises(error, match=words):
        external.embed(holding(piece), str(tmp_path))
    assert not piece.HasField("raw_data")


# --- inputs and outputs


class Kind(Proto):
    def WhichOneof(self, _: str) -> str | None:  # noqa: N802
        return next(iter(vars(self)), None)


def value(name: str, shape: list[Any] | None, kind: int = 1) -> Proto:
    dims = [Kind(**({} if d is None else {"dim_param" if isinstance(d, str) else "dim_value": d})) for d in shape or []]
    for dim in dims:
        vars(dim).setdefault("dim_param", "")
    tensor_type = Proto(elem_type=kind, **({} if shape is None else {"shape": Proto(dim=dims)}))
    return Proto(name=name, type=Kind(tensor_type=tensor_type))


def test_the_signature_of_a_model() -> None:
    model = Proto(
        graph=Proto(
            input=[value("x", ["batch", 3, None, -1]), value("w", [3]), value("ids", [], 7)],
            output=[value("y", None, 16), Proto(name="z", type=Kind())],
            initializer=[Proto(name="w")],
        )
    )
    model.graph.output[1].type.tensor_type = Proto(elem_type=0)
    assert signature(model) == {
        "inputs": [
            {"name": "x", "shape": ["batch", 3, None, None], "dtype": "float32"},
            {"name": "ids", "shape": [], "dtype": "int64"},
        ],
        "outputs": [
            {"name": "y", "shape": None, "dtype": "bfloat16"},
            {"name": "z", "shape": None, "dtype": None},
        ],
    }
    model.graph.input[0].type = Kind(sequence_type=Proto())
    with pytest.raises(NotATensor, match="the input 'x' is no tensor but a sequence"):
        signature(model)
