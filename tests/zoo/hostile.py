"""Files that are not what they should be, each to be answered with a clear error. No package is needed to make them:
.onnx files are written field by field, with the numbers of onnx.proto."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

FLOAT = 1
HUGE = 3_000_000_000


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(*fields: tuple[int, int | bytes | str]) -> bytes:
    """A protobuf message of (number, value): integers as varints, the rest with its length before it."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(raw)) + raw
    return bytes(out)


def tensor(name: str, dims: list[int], raw: bytes | None = None, location: str | None = None, **more: int) -> bytes:
    """A float32 tensor with its bytes inside, or in another file (offset=, length=)."""
    fields: list[tuple[int, int | bytes | str]] = [(1, extent) for extent in dims]
    fields += [(2, FLOAT), (8, name)]
    if raw is not None:
        fields.append((9, raw))
    if location is not None:
        entries = {"location": location, **more}
        fields += [(13, message((1, key), (2, str(value)))) for key, value in entries.items()] + [(14, 1)]
    return message(*fields)


def node(kind: str, inputs: list[str], outputs: list[str], name: str = "") -> bytes:
    return message(*((1, i) for i in inputs), *((2, o) for o in outputs), (3, name), (4, kind))


def value(name: str, dims: list[int | str]) -> bytes:
    shape = message(*((1, message((2, d)) if isinstance(d, str) else message((1, d))) for d in dims))
    return message((1, name), (2, message((1, message((1, FLOAT), (2, shape))))))


def model(
    nodes: list[bytes], tensors: list[bytes] = (), opset: int | None = 13, outputs: list[bytes] | None = None
) -> bytes:
    """A model with input `x` and output `y`, both float32 batch x 4."""
    outputs = [value("y", ["batch", 4])] if outputs is None else outputs
    graph = message(
        *((1, item) for item in nodes),
        (2, "graph"),
        *((5, item) for item in tensors),
        (11, value("x", ["batch", 4])),
        *((12, item) for item in outputs),
    )
    imports = [(8, message((1, ""), (2, opset)))] if opset is not None else []
    return message((1, 8), (2, "hostile"), (7, graph), *imports)


def adding(weight: bytes) -> bytes:
    """y = x + w."""
    return model([node("Add", ["x", "w"], ["y"], "add")], [weight])


QUARTET = b"\0\0\x80\x3f" * 4  # four times 1.0

GOOD = adding(tensor("w", [4], QUARTET))

# What each file must be answered with: the exception's class and a piece of its message.
ONNX: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "converter.stages.inspect.NoOnnxModel", "0 bytes"),
    "text": (b"This is my model, really.\n" * 40, "converter.stages.inspect.NoOnnxModel", "it is a text"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "converter.stages.inspect.NoOnnxModel",
        "Git LFS",
    ),
    "noise": (bytes(range(255, 0, -1)) * 9, "converter.stages.inspect.NoOnnxModel", "only the beginning"),
    "truncated": (GOOD[: len(GOOD) // 2], "converter.stages.inspect.NoOnnxModel", "only the beginning"),
    "cut-behind-the-graph": (
        model([node("Relu", ["x"], ["y"])], opset=None),
        "converter.stages.inspect.NoOnnxModel",
        "for which opset",
    ),
    "no-graph": (message((1, 8), (2, "hostile")), "converter.stages.inspect.NoOnnxModel", "no graph"),
    "huge-declaration": (
        adding(tensor("w", [HUGE])),
        "converter.tensors.TensorLargerThanItsData",
        "declares 3000000000 elements",
    ),
    "huge-product": (
        adding(tensor("w", [2**40, 2**40, 4], QUARTET)),
        "converter.tensors.TensorLargerThanItsData",
        "tensor 'w' declares",
    ),
    "negative-shape": (adding(tensor("w", [-4], QUARTET)), "converter.tensors.TensorBroken", "shape [-4]"),
    "outside": (
        adding(tensor("w", [4], location="../../etc/passwd")),
        "converter.external.ExternalDataOutside",
        "tensor 'w' has its data in '../../etc/passwd'",
    ),
    "absolute": (
        adding(tensor("w", [4], location="/etc/passwd")),
        "converter.external.ExternalDataOutside",
        "'/etc/passwd'",
    ),
    "nowhere": (adding(tensor("w", [4], location="")), "converter.external.ExternalDataBroken", "not say in which"),
    "cycle": (
        model(
            [node("Add", ["x", "b"], ["a"], "first"), node("Relu", ["a"], ["b"], "second"), node("Neg", ["b"], ["y"])]
        ),
        "converter.order.GraphHasCycle",
        "'first' (Add) -> 'second' (Relu) -> 'first' (Add)",
    ),
    "unsorted": (
        model([node("Relu", ["a"], ["y"], "late"), node("Neg", ["x"], ["a"], "early")]),
        "converter.order.GraphNotSorted",
        "node 'late' (Relu) uses 'a', which 'early' (Neg) computes only after it",
    ),
    "unknown-tensor": (
        model([node("Add", ["x", "ghost"], ["y"], "add")]),
        "converter.order.TensorUnknown",
        "uses 'ghost', which nothing computes",
    ),
    "computed-twice": (
        model([node("Relu", ["x"], ["y"], "one"), node("Neg", ["x"], ["y"], "two")]),
        "converter.order.TensorComputedTwice",
        "node 'two' (Neg) computes 'y'",
    ),
    "sequence": (
        model([node("SequenceConstruct", ["x"], ["y"])], outputs=[message((1, "y"), (2, message((4, b""))))]),
        "converter.graph.NotATensor",
        "the output 'y' is no tensor but a sequence",
    ),
}

NAN_WEIGHTS = adding(tensor("w", [4], b"\0\0\xc0\x7f" * 4))


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def checkpoint_that_runs_code(path: Path, folder: Path) -> None:
    """In the format of torch 1.6 and newer; reading it all makes `folder`."""
    content = io.BytesIO()
    pickle.Pickler(content, protocol=2).dump({"convolution.weight": Bomb(folder)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content.getvalue())
        archive.writestr("archive/version", "3\n")


# A user's models.py with each mistake once.
MODELS = '''"""A user's models."""
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self, channels=4):
        super().__init__()
        self.convolution = nn.Conv2d(3, channels, 3, padding=1)

    def forward(self, image):
        return self.convolution(image)


class Dropping(Net):
    def forward(self, image):
        return functional.dropout(super().forward(image), training=True)


class Texts(Net):
    def forward(self, image):
        return super().forward(image), "text"


class Changing(Net):
    """Writes into its input."""

    def forward(self, image):
        return super().forward(image.add_(1))


def not_a_number():
    net = Net()
    with torch.no_grad():
        net.convolution.weight[:] = float("nan")
    return net


def not_a_module():
    return {"weights": 1}


def failing():
    raise RuntimeError("no such file")
'''
