"""Conversions that are wrong in the ways conversions go wrong, made from the real exported network: none is a match."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from product import Finished, Project

from matrix.arrays import read_arrays
from matrix.config import load_config
from matrix.execution.inputs import make_inputs
from matrix.verdicts.compare import Arrays, compare

SCRIPT = Path(__file__).with_name("onnx_mutations.py")

WRONG = {
    "linear_upsampling": "values-differ",
    "linear_upsampling_once": "values-differ",
    "epsilon": "values-differ",
    "epsilon_once": "values-differ",
    "channels_last": "output-shape",
    "channels_last_same_shape": "values-differ",
    "nan_in_a_weight": "nan-mask",
}


@pytest.fixture(scope="module")
def outputs(smoke: Finished, real: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ONNX Runtime computes for the network of the smoke tier and wrong copies of it, as <mutation>.npz."""
    folder = tmp_path_factory.mktemp("outputs")
    model = next(model for model in load_config(real.table).models if model.id == smoke.cells[0]["model"])
    (folder / "inputs.npz").write_bytes(make_inputs(model))
    export = real.payloads("export")[0]
    onnx = real.blob(export["passes"][0]["files"]["model.onnx"])
    python = real.environment("reference") / "bin" / "python"
    subprocess.run([python, SCRIPT, onnx, folder / "inputs.npz", folder], check=True)
    return folder


def of(folder: Path, mutation: str, tensor: str) -> Arrays:
    arrays = read_arrays(folder / f"{mutation}.npz")
    return {key: array for key, array in arrays.items() if key.endswith(f"/{tensor}")}


@pytest.mark.parametrize("mutation", WRONG)
def test_a_wrong_conversion_is_no_match(outputs: Path, mutation: str) -> None:
    found = compare(of(outputs, "unchanged", "mask"), of(outputs, mutation, "mask"))
    if mutation == "channels_last_same_shape":
        # One channel: first or last, the numbers are in the same order. The features have more.
        assert found.match
        found = compare(of(outputs, "unchanged", "features"), of(outputs, mutation, "features"))
        assert "layout-swapped" in found.hints
    assert found.reason == WRONG[mutation], found.detail


def test_the_same_model_is_a_match(outputs: Path, real: Project) -> None:
    reference = real.payloads("reference")[0]
    stored = read_arrays(real.blob(reference["passes"][0]["files"]["reference.npz"]))
    found = compare(stored, of(outputs, "unchanged", "mask"))
    assert found.match, found.detail
