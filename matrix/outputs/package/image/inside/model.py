"""The .onnx file as the user gave it: what it wants to be fed, and the files that belong to it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from matrix.outputs.package.image.inside.mistake import Mistake

_FLOATS = frozenset({"float16", "float32", "float64"})
_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


@dataclass(frozen=True)
class GraphInput:
    """An input as the graph declares it. A dimension is a size, or the name of one that is left open ('' without a
    name); `dims` is None where not even their number is known."""

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
        """The dimensions in words."""
        if self.dims is None:
            return "unknown"
        return " x ".join(str(size) or "?" for size in self.dims) or "()"


@dataclass(frozen=True)
class Fed:
    """An input to draw numbers for; `range` is half-open."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def range(self) -> tuple[float, float]:
        # Integers are mostly indices, and 0 and 1 are the only ones that every table has.
        return (0, 2) if self.dtype in _INTEGERS else (-1, 1)

    @property
    def dynamic(self) -> dict[int, str]:
        return {}


@dataclass(frozen=True)
class Model:
    """`companions` are the files beside it that hold its larger weights, relative to its folder."""

    path: Path
    opset: int | None
    ir_version: int
    inputs: tuple[GraphInput, ...]
    companions: tuple[str, ...]


def read_model(path: Path) -> Model:
    """Raises Mistake for what is no ONNX model or lacks a part."""
    onnx = importlib.import_module("onnx")
    try:
        proto = onnx.load(str(path), load_external_data=False)
        whole = bool(proto.graph.node) and proto.ir_version > 0
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf raises classes of its own, which differ between its versions
        raise Mistake(f"{path} is no ONNX model: it cannot be parsed ({error})") from error
    if not whole:
        raise Mistake(f"{path} is no ONNX model: there is no graph in it")
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
        raise Mistake(f"input {value.name!r} is no tensor but a {value.type.WhichOneof('value')}, which cannot be fed")
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
                raise Mistake(f"{path} keeps weights in {location}, and that file is not beside it")
            found[location] = None
    return tuple(found)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def choose_shapes(model: Model, stated: Mapping[str, tuple[int, ...]]) -> list[Fed]:
    """The shape of every input: as declared, or as `stated`. Raises Mistake that shows the option to type."""
    names = [item.name for item in model.inputs]
    for name in stated:
        if name not in names:
            raise Mistake(f"--shape: there is no input {name!r}; the model takes {', '.join(names) or 'none'}")
    return [_chosen(item, stated.get(item.name)) for item in model.inputs]


def _chosen(item: GraphInput, stated: tuple[int, ...] | None) -> Fed:
    if item.dtype not in _FLOATS | _INTEGERS | {"bool"}:
        raise Mistake(
            f"input {item.name!r} takes {item.dtype}, for which no values can be made; give --inputs FILE.npz"
        )
    if stated is not None:
        if not item.takes(stated):
            raise Mistake(
                f"--shape: input {item.name!r} has the shape {item.declared}, "
                f"not {' x '.join(map(str, stated)) or '()'}"
            )
        return Fed(item.name, stated, item.dtype)
    sizes = [size for size in item.dims or () if isinstance(size, int)]
    if item.dims is None or len(sizes) < len(item.dims):
        example = (
            "1x3x224x224" if item.dims is None else "x".join(str(s) if isinstance(s, int) else "1" for s in item.dims)
        )
        raise Mistake(
            f"input {item.name!r} has the shape {item.declared}, which leaves sizes open; "
            f"say what to use, for example: --shape {quote(f'{item.name}={example}')}"
        )
    return Fed(item.name, tuple(sizes), item.dtype)
