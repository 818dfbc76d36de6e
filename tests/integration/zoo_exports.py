"""Every zoo model of the real table, exported by an old torch and by the current one, run and converted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import shared
from product import Project
from tables import EXPORTER, NEWEST, OPSET, ROOT, TF1, TF2, need_cpu_torch

from matrix.judging.arrays import read_arrays
from matrix.judging.compare import Arrays
from matrix.table import load_config
from matrix.table.exporters import expand

CONFIG = load_config(ROOT / "matrix.yml")
MODELS = {model.id: model for model in CONFIG.models if model.package is None}
CURRENT = next(item.id for item in expand(CONFIG) if item.current and item.via == "torchscript")

# The newest opset that the TensorFlow 2 converter of the smoke tier supports, except for some operators.
CURRENT_OPSET = 13

# The old exporter keeps batch normalisation as nodes and computes the weights of recurrent layers within the graph;
# the current one folds the former and packs the latter: other faults apply to either file.
EXPORTS = {EXPORTER: (OPSET, TF1), CURRENT: (CURRENT_OPSET, TF2)}

_PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Export:
    """One model of one exporter: its cell of the run's document, and the arrays and files of its jobs."""

    real: Project
    cell: dict[str, Any]
    export: dict[str, Any]
    reference: dict[str, Any] | None

    @cached_property
    def torch(self) -> Arrays:
        return read_arrays(self._file(self.export, "torch.npz"))

    @property
    def onnx(self) -> Path | None:
        """None if the exporter failed."""
        return self._file(self.export, "model.onnx") if "model.onnx" in self.export["passes"][0]["files"] else None

    @cached_property
    def runtime(self) -> Arrays | None:
        """The outputs of ONNX Runtime, or None if it cannot run the file."""
        if self.reference is None or "reference.npz" not in self.reference["passes"][0]["files"]:
            return None
        return read_arrays(self._file(self.reference, "reference.npz"))

    def _file(self, payload: dict[str, Any], name: str) -> Path:
        return self.real.blob(payload["passes"][0]["files"][name])


def run_zoo(real: Project) -> dict[tuple[str, str], Export]:
    """Return the exports by model and exporter. Jobs that ran before in the same state are not run again."""
    need_cpu_torch()
    shared.environments(real.state, NEWEST)
    found = {}
    for exporter, (opset, converter) in EXPORTS.items():
        only = (f"exporter={exporter}", f"opset=={opset}", f"converter={converter}")
        words = [word for condition in only for word in ("--only", condition)]
        asked = ("--tier", "full", "--locked", "--format", "json", *words)
        done = real.call("run", *asked, patience=_PATIENCE_SECONDS)
        assert len(done.cells) == len(MODELS), done.err
        for cell in done.cells:
            of = f"where cell.cell = '{cell['cell']}' order by cell.id desc limit 1"
            ((export,),) = real.rows(f"select payload from cell join observation o on cell.export = o.id {of}")
            ran = real.rows(f"select payload from cell join observation o on cell.reference = o.id {of}")
            reference = json.loads(ran[0][0]) if ran else None
            found[cell["model"], exporter] = Export(real, cell, json.loads(export), reference)
    return found
