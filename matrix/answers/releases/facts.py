"""Read the opsets that a release of onnx or torch states, from its source and without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from packaging.version import Version

from matrix.table.model import OnnxRelease

ONNX_FILES = ("onnx/helper.py", "onnx/onnx.proto", "onnx/defs/schema.h")
TORCH_FILES = ("torch/onnx/_constants.py", "torch/onnx/_internal/exporter/_constants.py")

_IR = re.compile(r"^\s*IR_VERSION\s*=\s*(0x[0-9A-Fa-f]+|\d+)\s*;", re.MULTILINE)
# The opsets defined. last_release_version_map_ is outdated in 1.22.0, 1.23.0 and 1.23.1.
_LAST = r"(?<!_)map_\[{}\]\s*=\s*std::make_pair\(\d+,\s*(\d+)\)\s*;"


def onnx_release(version: Version, files: Mapping[str, str]) -> OnnxRelease:
    """Return IR version and opsets of onnx `version`, given those of ONNX_FILES that the release has, as text.

    The published VERSION_TABLE takes precedence, as in the table's section; a release missing there has the numbers of
    its minor version. A minor version missing there is read from onnx.proto and defs/schema.h. Raises ValueError if
    neither states them.
    """
    published = _version_table(files.get("onnx/helper.py", ""))
    same_minor = [found for found in published if found.release[:2] == version.release[:2] and found <= version]
    if same_minor:
        ir, opset, ml_opset = published[max(same_minor)]
    else:
        schema = files.get("onnx/defs/schema.h", "")
        ir = _number(_IR, files.get("onnx/onnx.proto", ""), "IR version")
        opset = _number(re.compile(_LAST.format("ONNX_DOMAIN")), schema, "opset")
        ml_opset = _number(re.compile(_LAST.format("AI_ONNX_ML_DOMAIN")), schema, "opset of ai.onnx.ml")
    return OnnxRelease(version=str(version), ir=ir, opset=opset, ml_opset=ml_opset)


def _version_table(source: str) -> dict[Version, tuple[int, int, int]]:
    """Map versions to IR, ai.onnx and ai.onnx.ml; empty if the source has no such table."""
    value = _assigned(source).get("VERSION_TABLE")
    if not isinstance(value, list):
        return {}
    return {
        Version(name): (ir, opset, ml_opset)
        for name, ir, opset, ml_opset, *_ in value
        if isinstance(name, str) and all(isinstance(number, int) for number in (ir, opset, ml_opset))
    }


def _number(pattern: re.Pattern[str], text: str, what: str) -> int:
    found = pattern.search(text)
    if found is None:
        raise ValueError(f"it does not state its {what} where earlier releases did")
    return int(found[1], 0)


def torch_opsets(files: Mapping[str, str]) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Return the opsets of torch's TorchScript exporter and those its dynamo exporter implements, ends included.

    `files` are those of TORCH_FILES that the release has. Since torch 2.4 the newest opset of each has its own name;
    the lowest of the dynamo exporter is the one torchlib is written in. Raises ValueError if they are not stated.
    """
    constants = _assigned(files.get(TORCH_FILES[0], ""))
    dynamo = _assigned(files.get(TORCH_FILES[1], ""))
    low, high = constants.get("ONNX_MIN_OPSET"), constants.get("ONNX_MAX_OPSET")
    script = constants.get("ONNX_TORCHSCRIPT_EXPORTER_MAX_OPSET", high)
    lowest = dynamo.get("TORCHLIB_OPSET")
    if not isinstance(low, int) or not isinstance(script, int):
        raise ValueError("it does not state its opsets where earlier releases did")
    return (low, script), (lowest, high) if isinstance(lowest, int) and isinstance(high, int) else None


def _assigned(source: str) -> dict[str, object]:
    """Return the literal values assigned at the top of a module. Raises ValueError for text that is not Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f"its source cannot be read ({type(error).__name__})") from error
    values: dict[str, object] = {}
    for statement in body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            try:
                values[target.id] = ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
    return values
