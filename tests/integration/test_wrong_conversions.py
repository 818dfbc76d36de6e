"""Plausible wrong conversions, made from every model's real exported files: none matches. The right ones all do."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from product import Project
from zoo_exports import MODELS, Export, run_zoo

from matrix.execution.drawn_inputs import make_inputs
from matrix.judging.arrays import read_arrays
from matrix.judging.compare import Comparison, compare

SCRIPT = Path(__file__).with_name("onnx_mutations.py")

FEWEST = 4

# Faults that must be planted in models with these features.
OF_ITS_KIND = {
    "mobilehairnet": {
        "interpolation_mode",
        "padding_to_one_side",
        "epsilon",
        "half_precision_weights",
        "channels_last",
    },
    "gestures": {"gates_in_another_order", "bias_dropped"},
    "residual": {"padding_to_one_side", "epsilon"},
    "mobilenet": {"padding_to_one_side", "epsilon", "slope_of_hard_sigmoid"},
    "unet": {"interpolation_mode", "interpolation_corners", "concatenated_in_the_other_order"},
    "unet-aligned": {"interpolation_mode", "interpolation_corners", "concatenated_in_the_other_order"},
    "decoder": {"kernels_flipped", "padding_to_one_side", "epsilon"},
    "superresolution": {"blocks_transposed", "slope_below_zero"},
    "gru": {"gates_in_another_order", "reset_before_the_product"},
    "transformer": {"epsilon", "softmax_axis", "softened_gelu"},
    "embedding": {"rows_of_an_embedding_shifted", "negation_forgotten", "half_precision_weights"},
    "style": {"epsilon", "channels_last_same_shape"},
    "dilated": {"padding_mode", "dilation_ignored", "padding_value"},
    "head": {"smallest_for_largest", "branches_exchanged", "integers_in_32_bits"},
    "sequence": {"directions_exchanged", "recurrent_weights_transposed"},
}

REASONS = {
    "channels_last": "output-shape",
    "integers_in_32_bits": "output-dtype",
    "integers_in_32_bits_once": "output-dtype",
    "nan_in_a_weight": "nan-mask",
}


@dataclass(frozen=True)
class Faulty:
    """The outcome of one fault in the file of one exporter."""

    exporter: str
    fault: str
    found: Comparison


@pytest.fixture(scope="module")
def zoo(real: Project) -> dict[tuple[str, str], Export]:
    return run_zoo(real)


def faulty(real: Project, export: Export, folder: Path) -> list[Faulty]:
    """Judge every applicable fault against the outputs of the unchanged file."""
    folder.mkdir()
    model = MODELS[export.cell["model"]]
    (folder / "inputs.npz").write_bytes(make_inputs(model.inputs, model.seed))
    python = real.environment("reference") / "bin" / "python"
    command = [python, SCRIPT, export.onnx, folder / "inputs.npz", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    right = read_arrays(folder / "unchanged.npz")
    return [
        Faulty(export.cell["exporter"], name, compare(right, read_arrays(folder / f"{name}.npz")))
        for name in json.loads(done.stdout)
    ]


@pytest.mark.parametrize("model", MODELS)
def test_no_wrong_conversion_is_a_match(
    zoo: dict[tuple[str, str], Export], real: Project, model: str, tmp_path: Path
) -> None:
    made = [
        item
        for (name, exporter), export in zoo.items()
        if name == model and export.runtime is not None
        for item in faulty(real, export, tmp_path / exporter)
    ]
    for item in made:
        tightest = item.found.metrics.tightest
        print(f"{model} {item.exporter} {item.fault}: {item.found.reason}, tolerance factor {tightest or 0:.3g}")
    assert [f"{item.exporter}: {item.fault}" for item in made if item.found.match] == []
    wrong = [item for item in made if item.found.reason != REASONS.get(item.fault, "values-differ")]
    assert [(item.exporter, item.fault, item.found.detail) for item in wrong] == []
    faults = {item.fault.removesuffix("_once") for item in made}
    assert len(faults) >= FEWEST
    assert faults >= OF_ITS_KIND[model]


def test_numbers_in_the_other_order_are_explained(
    zoo: dict[tuple[str, str], Export], real: Project, tmp_path: Path
) -> None:
    (export,) = (item for (model, _), item in zoo.items() if model == "unet" and item.runtime is not None)
    found = {item.fault: item.found for item in faulty(real, export, tmp_path / "unet")}
    assert "layout-swapped" in found["channels_last_same_shape"].hints
    assert "layout-swapped" in found["channels_last"].hints


@pytest.mark.parametrize("model", MODELS)
def test_onnx_runtime_and_torch_agree(zoo: dict[tuple[str, str], Export], model: str) -> None:
    exports = [(item, item.runtime) for (name, _), item in zoo.items() if name == model]
    ran = [(item, runtime) for item, runtime in exports if runtime is not None]
    assert ran, "ONNX Runtime runs neither file"
    for item, runtime in ran:
        found = compare(item.torch, runtime)
        print(f"{model} {item.cell['exporter']}: margin {found.metrics.margin:.3g}")
        assert found.match, found.detail


def test_every_conversion_that_came_through_is_a_match(zoo: dict[tuple[str, str], Export]) -> None:
    """Neither converter of the smoke tier converts a zoo model wrongly without an error."""
    through = [item.cell for item in zoo.values() if item.cell["verdict"] in ("match", "mismatch")]
    for cell in through:
        print(f"{cell['cell']}: {cell['verdict']}, margin {cell['metrics'].get('margin')}")
    assert [cell["cell"] for cell in through if cell["verdict"] != "match"] == []
    assert len(through) > len(MODELS), "most of thirty"
