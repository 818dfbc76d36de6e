"""Plant a fault at a known node of real networks and convert them for real: exactly that node is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from passes import Done, Passes, Work
from product import Project
from tables import TF1, TF2

from matrix.judging.arrays import read_arrays
from matrix.judging.divergence import Divergence, Node, first_divergence
from matrix.table.model import ModelInput

SCRIPT = Path(__file__).with_name("plant_fault.py")
MODELS = {
    "mobilehairnet": (ModelInput(name="image", shape=(1, 3, 64, 64), range=(-2, 2)), "mask"),
    "gestures": (ModelInput(name="readings", shape=(12, 8, 16), range=(-2, 2)), "scores"),
    "residual": (ModelInput(name="picture", shape=(2, 3, 32, 32), range=(-2, 2)), "scores"),
}
FAULTS = {
    "epsilon": ("mobilehairnet", "BatchNormalization"),
    "bias_dropped": ("mobilehairnet", "Conv"),
    "resize_mode": ("mobilehairnet", "Upsample"),
    "gate_order": ("gestures", "LSTM"),
    "pool_padding": ("residual", "MaxPool"),
    "convolution_padding": ("residual", "Conv"),
    "transposed": ("residual", "Gemm"),
}


@pytest.fixture(scope="module")
def passes(real: Project, tmp_path_factory: pytest.TempPathFactory) -> Passes:
    return Passes(lambda name: real.environment(name) / "bin" / "python", tmp_path_factory.mktemp("passes"))


@pytest.fixture(scope="module")
def exposed(passes: Passes) -> dict[str, Done]:
    work = {}
    for model, (tensor, output) in MODELS.items():
        files = {"model.onnx": passes.exported(model, tensor, output) / "model.onnx"}
        work[model] = Work({**files, "inputs.npz": passes.inputs(tensor)}, {"case": 1})
    return passes.run("reference", "expose", work)


@pytest.fixture(scope="module")
def planted(passes: Passes, exposed: dict[str, Done]) -> dict[str, tuple[Path, int]]:
    """Return the wrong file and the index of its node for each fault."""
    made = {}
    for fault, (model, _) in FAULTS.items():
        target = passes.folder / f"{fault}.onnx"
        command = [passes.python("reference"), SCRIPT, exposed[model] / "exposed.onnx", fault, target]
        made[fault] = target, int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return made


@pytest.fixture(scope="module", params=[TF1, TF2])
def traced(
    request: pytest.FixtureRequest, passes: Passes, exposed: dict[str, Done], planted: dict[str, tuple[Path, int]]
) -> dict[str, Done]:
    """Convert the right files and the wrong ones."""
    right = {model: (model, exposed[model] / "exposed.onnx") for model in MODELS}
    wrong = {fault: (model, planted[fault][0]) for fault, (model, _) in FAULTS.items()}
    work = {
        name: Work({"model.onnx": path, "inputs.npz": passes.inputs(MODELS[model][0])}, {"case": 1})
        for name, (model, path) in {**right, **wrong}.items()
    }
    return passes.run(request.param, "trace", work)


def found(exposed: Done, traced: Done, output: str) -> Divergence | None:
    nodes = [Node.of(fact) for fact in exposed.facts["nodes"]]
    assert traced.facts["lacking"] == []
    return first_divergence(
        nodes, read_arrays(exposed / "exposed.npz"), read_arrays(traced / "traced.npz"), outputs=[output]
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_faithful_conversion_names_no_node(exposed: dict[str, Done], traced: dict[str, Done], model: str) -> None:
    divergence = found(exposed[model], traced[model], MODELS[model][1])
    assert divergence is None, divergence.words


@pytest.mark.parametrize("fault", FAULTS)
def test_the_planted_fault_is_named(
    exposed: dict[str, Done], traced: dict[str, Done], planted: dict[str, tuple[Path, int]], fault: str
) -> None:
    model, operator = FAULTS[fault]
    divergence = found(exposed[model], traced[fault], MODELS[model][1])
    assert divergence is not None
    assert (divergence.node.index, divergence.node.operator) == (planted[fault][1], operator), divergence.words
    assert divergence.reason == "values-differ"
    assert (divergence.unseen, divergence.skipped) == ((), 0)


def test_the_exposed_file_is_the_same_model_with_more_outputs(exposed: dict[str, Done]) -> None:
    for model, (_, output) in MODELS.items():
        arrays = read_arrays(exposed[model] / "exposed.npz")
        made = [f"0/{name}" for node in exposed[model].facts["nodes"] for name in node["outputs"]]
        assert next(iter(arrays)) == f"0/{output}"
        assert sorted(arrays) == sorted(made)
