"""The .onnx file as the user gave it: the inputs it takes, and the files that belong to it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.core.errors import UsageError


@dataclass(frozen=True)
class GraphInput:
    """An input as the graph declares it. A dimension is a size, or the name of one that is left open, '' without a
    name; `dims` is None where even their number is unknown."""

    name: str
    dtype: str
    dims: tuple[int | str, ...] | None

    def takes(self, shape: tuple[int, ...]) -> bool:
        if self.dims is None:
            return True
        return len(self.dims) == len(shape) and all(
            isinstance(declared, str) or declared == size for declared, size in zip(self.dims, shape, strict=True)
        )

    @property
    def declared(self) -> str:
        return "unknown" if self.dims is None else dimensions(self.dims)


def dimensions(sizes: Iterable[int | str]) -> str:
    """Return a shape in words: `1 x 3 x ?`."""
    return " x ".join(str(size) or "?" for size in sizes) or "()"


@dataclass(frozen=True)
class Model:
    """`companions` are files with its larger weights, relative to its folder."""

    path: Path
    opset: int | None
    ir_version: int
    inputs: tuple[GraphInput, ...]
    companions: tuple[str, ...]


def read_model(path: Path) -> Model:
    """Read the file. Raises UsageError if it is not an ONNX model or lacks a part."""
    onnx = importlib.import_module("onnx")
    try:
        proto = onnx.load(str(path), load_external_data=False)
        whole = bool(proto.graph.node) and proto.ir_version > 0
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf's own classes differ between its versions
        raise UsageError(f"{path} is not an ONNX model: it cannot be parsed ({error})") from error
    if not whole:
        raise UsageError(f"{path} is not an ONNX model: it has no graph")
    weights = {weight.name for weight in proto.graph.initializer}
    weights |= {weight.values.name for weight in proto.graph.sparse_initializer}
    opsets = {item.domain: item.version for item in proto.opset_import}
    return Model(
        path=path,
        opset=opsets.get("", opsets.get("ai.onnx")),
        ir_version=proto.ir_version,
        inputs=tuple(_input(onnx, value) for value in proto.graph.input if value.name not in weights),
        companions=_companions(onnx, proto, path),
    )


def _input(onnx: Any, value: Any) -> GraphInput:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value")
        raise UsageError(f"input {value.name!r} is a {kind}, which cannot be fed: only tensors can")
    declared = value.type.tensor_type
    dims = None
    if declared.HasField("shape"):
        # Some exporters write 0 or -1 for a size they do not know.
        dims = tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param for dim in declared.shape.dim)
    return GraphInput(value.name, onnx.helper.tensor_dtype_to_np_dtype(declared.elem_type).name, dims)


def _companions(onnx: Any, proto: Any, path: Path) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for tensor in _tensors(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            location = next(item.value for item in tensor.external_data if item.key == "location")
            there = (path.parent / location).resolve()
            if not there.is_relative_to(path.parent.resolve()) or not there.is_file():
                raise UsageError(f"{path} keeps weights in {location}, which is not beside it; put it there")
            found[location] = None
    return tuple(found)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)
