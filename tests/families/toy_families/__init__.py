"""Two families from outside, as another package would provide them: the product only sees this folder on the path and
its entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matrix.families import Family
from matrix.store.records import Pass

HERE = Path(__file__).parent


class OnnxText(Family):
    """Writes an .onnx file as text and as JSON; onnx's reference evaluator runs both."""

    name = "onnx-text"
    title = "ONNX text"
    source = "onnx"
    packages = ("protobuf", "onnx")
    runtime = "onnx"
    code = "text"
    folder = HERE / "text"
    artifacts = ("onnx-text", "onnx-json")
    in_memory = False
    modules = ("onnx",)
    loads = (
        Pass("converter.families.text.reload_text", ("text.npz",), loads=("onnx-text",), numbers="text.npz"),
        Pass("converter.families.text.reload_json", ("json.npz",), loads=("onnx-json",), numbers="json.npz"),
    )

    def row_id(self, pins: Mapping[str, str]) -> str:
        return f"text-onnx{pins['onnx']}"


class TorchScript(Family):
    """Traces the torch module: no exporter, no opset, one environment."""

    name = "torchscript"
    title = "TorchScript"
    source = "torch"
    packages = ("torch",)
    runtime = "torch"
    reads = None
    code = "script"
    folder = HERE / "script"
    artifacts = ("torchscript",)
    in_memory = False
    modules = ("torch",)
    loads = (
        Pass("converter.families.script.reload", ("reloaded.npz",), loads=("torchscript",), numbers="reloaded.npz"),
    )


TEXT, SCRIPT = OnnxText(), TorchScript()
