"""The zoo: the same network in old and new torch, informative outputs, and the operators each model exercises."""

from __future__ import annotations

import numpy as np
import pytest
from product import Project
from tables import EXPORTER
from zoo_exports import CURRENT, MODELS, Export, run_zoo

from matrix.judging.compare import compare, dynamic_range

# Operators that the current torch must write for the model to exercise what it claims.
OPERATORS = {
    "mobilehairnet": {"Resize", "Conv", "Sigmoid"},
    "gestures": {"LSTM"},
    "residual": {"MaxPool", "GlobalAveragePool", "Flatten", "Gemm"},
    "mobilenet": {"Clip", "Div", "GlobalAveragePool"},
    "unet": {"Resize", "Concat"},
    "unet-aligned": {"Resize", "Concat"},
    "decoder": {"ConvTranspose", "LeakyRelu"},
    "superresolution": {"DepthToSpace", "PRelu"},
    "gru": {"GRU"},
    "transformer": {"Erf", "Softmax", "ReduceMean", "MatMul"},
    "embedding": {"Gather", "Cast"},
    "style": {"InstanceNormalization", "ConvTranspose"},
    "dilated": {"Pad", "Conv"},
    "head": {"TopK", "ArgMax", "Where"},
    "sequence": {"RNN"},
}


@pytest.fixture(scope="module")
def zoo(real: Project) -> dict[tuple[str, str], Export]:
    return run_zoo(real)


@pytest.mark.parametrize("model", MODELS)
def test_every_torch_holds_the_same_network(zoo: dict[tuple[str, str], Export], model: str) -> None:
    old, current = zoo[model, EXPORTER].torch, zoo[model, CURRENT].torch
    found = compare(old, current)
    assert found.match, found.detail
    assert found.metrics.tightest is not None
    assert found.metrics.tightest < 0.25, "what torch releases differ by leaves a converter no room"


@pytest.mark.parametrize("model", MODELS)
def test_the_outputs_tell_a_right_conversion_from_a_wrong_one(zoo: dict[tuple[str, str], Export], model: str) -> None:
    assert dynamic_range(zoo[model, CURRENT].torch).blind == ()


@pytest.mark.parametrize("model", MODELS)
def test_the_file_holds_what_the_model_is_there_for(zoo: dict[tuple[str, str], Export], model: str) -> None:
    export = zoo[model, CURRENT].export
    assert export["passes"][0]["result"]["facts"]["operators"].keys() >= OPERATORS[model]


def test_integers_come_out_as_integers(zoo: dict[tuple[str, str], Export]) -> None:
    dtypes = {key.partition("/")[2]: str(array.dtype) for key, array in zoo["head", CURRENT].torch.items()}
    assert dtypes == {"scores": "float32", "classes": "int64", "label": "int64", "kept": "float32"}
    labels = np.concatenate([array for key, array in zoo["head", CURRENT].torch.items() if key.endswith("/label")])
    assert -1 in labels, "the branch of `where` for unsure scores is never taken"
    assert labels.max() > 0


def test_a_sequence_may_be_longer_than_the_example(zoo: dict[tuple[str, str], Export]) -> None:
    runtime = zoo["sequence", CURRENT].runtime
    assert runtime is not None
    assert len({len(array) for array in runtime.values()}) == 2
    assert {key: array.shape for key, array in runtime.items()} == {
        key: array.shape for key, array in zoo["sequence", CURRENT].torch.items()
    }
