"""Inputs of a model: drawn, from a user's file, or as an .onnx file declares them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_user_files import X, blobs, factory, file, materials, npz, write

from matrix.core.errors import ConfigError
from matrix.execution import model_inputs as module
from matrix.execution.user_files import UserFiles
from matrix.judging.arrays import read_arrays
from matrix.store.blobs import FolderBlobs
from matrix.table.model import ModelInput, ModelSpec

__all__ = ["blobs", "materials"]


def inputs(
    materials: UserFiles, blobs: FolderBlobs, model: ModelSpec, stated: list[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    return read_arrays(blobs.local(materials.inputs(model, stated or ())))


def test_drawn_inputs(materials: UserFiles, blobs: FolderBlobs) -> None:
    found = inputs(materials, blobs, factory("m:build"))
    assert list(found) == [f"{case}/x" for case in range(5)]
    assert {array.shape for array in found.values()} == {(1, 3)}


def test_a_free_axis_is_longer_once(materials: UserFiles, blobs: FolderBlobs) -> None:
    free = X.model_copy(update={"dynamic": {1: "wide"}})
    found = inputs(materials, blobs, ModelSpec(id="mine", factory="m:build", inputs=(free,)))
    assert [array.shape for array in found.values()] == [(1, 3), (1, 6), (1, 3), (1, 3), (1, 3)]


@pytest.mark.parametrize(
    ("arrays", "keys"),
    [
        ({"x": 1, "y": 2}, ["0/x", "0/y"]),
        ({"0/x": 1, "1/x": 2}, ["0/x", "1/x"]),
        ({"a/x": 1}, ["0/a/x"]),
    ],
)
def test_inputs_from_a_file(
    tmp_path: Path, materials: UserFiles, blobs: FolderBlobs, arrays: dict[str, int], keys: list[str]
) -> None:
    npz(tmp_path / "in.npz", **{name: np.full(3, value) for name, value in arrays.items()})
    found = inputs(materials, blobs, ModelSpec(id="mine", factory="m:build", inputs_file="in.npz"))
    assert list(found) == keys and [int(array[0]) for array in found.values()] == list(arrays.values())


def objects() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([{}], dtype=object))
    return stream.getvalue()


def empty() -> bytes:
    stream = io.BytesIO()
    np.savez(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an .npz file"),
        (b"text\n", "not an .npz file"),
        (objects(), "object values"),
        (empty(), "holds no array"),
    ],
    ids=["nothing", "text", "objects", "no array"],
)
def test_inputs_that_are_none(tmp_path: Path, materials: UserFiles, content: bytes, said: str) -> None:
    write(tmp_path, "in.npz", content=content)
    with pytest.raises(ConfigError, match=f"its inputs_file, .*in.npz.*{said}"):
        materials.inputs(factory("m:build", inputs_file="in.npz"))


def test_inputs_that_are_not_there(materials: UserFiles) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        materials.inputs(factory("m:build", inputs_file="gone.npz"))


STATED = {"name": "x", "shape": [1, 3], "dtype": "float32"}


def test_a_files_inputs_are_what_it_states_and_the_user_corrects(materials: UserFiles, blobs: FolderBlobs) -> None:
    tokens = {"name": "t", "shape": ["batch", 4], "dtype": "int64"}
    mine = ModelInput(name="z", shape=(2, 2), range=(5, 6))
    left_open = {"name": "z", "shape": ["a", None], "dtype": "float32"}
    found = inputs(materials, blobs, file(inputs=(mine,)), [STATED, tokens, left_open])
    assert [key for key in found if key.startswith("0/")] == ["0/x", "0/t", "0/z"]
    assert (found["0/t"].dtype, found["0/t"].shape, set(found["0/t"].flat)) == (np.int64, (1, 4), {0, 1})
    assert found["0/z"].shape == (2, 2) and found["0/z"].min() >= 5


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"shape": [1, "wide"]}, r"size of input 'x' \(1x\?\); state it, for example --input x="),
        ({"shape": [1, None]}, r"does not fix the size of input 'x'"),
        ({"shape": [1, 0]}, "input 'x'"),
        # Neither a rank nor a type has to be in the file.
        ({"shape": None}, "input 'x'"),
        ({"dtype": None}, "input 'x'"),
        ({"dtype": "string"}, "input 'x'.*string"),
        ({"dtype": "bfloat16"}, "input 'x'.*bfloat16"),
        # A few bytes of file must not take all memory of the driver, which draws these.
        ({"shape": [1, 2**44]}, "input 'x'"),
        ({"shape": [2**32, 2**32]}, "input 'x'"),
    ],
)
def test_a_file_whose_inputs_cannot_be_drawn(materials: UserFiles, stated: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"model 'mine'.*{said}"):
        materials.inputs(file(), [STATED | stated])


@pytest.mark.parametrize("stated", [["x"], [{}], [{"name": "x"}], 5, {"x": 1}])
def test_facts_are_not_trusted_to_be_well_formed(materials: UserFiles, stated: Any) -> None:
    """They were made in an environment that read a hostile file."""
    with pytest.raises(ConfigError, match="model 'mine'"):
        materials.inputs(file(), stated)


def test_an_input_the_file_does_not_have(materials: UserFiles) -> None:
    with pytest.raises(ConfigError, match="has no input wrong; its file has: x"):
        materials.inputs(file(inputs=(X.model_copy(update={"name": "wrong"}),)), [STATED])


def test_a_single_input_without_a_name_is_the_files(materials: UserFiles, blobs: FolderBlobs) -> None:
    unnamed = ModelInput(name="input", shape=(1, 3))
    found = inputs(materials, blobs, file(inputs=(unnamed,)), [STATED])
    assert {(key.partition("/")[2], array.shape) for key, array in found.items()} == {("x", (1, 3))}


OTHERS = [STATED, {"name": "z", "shape": [7], "dtype": "float32"}]


def test_inputs_without_names_are_the_files_in_their_order(materials: UserFiles, blobs: FolderBlobs) -> None:
    unnamed = (ModelInput(name="input", shape=(1, 3)), ModelInput(name="input_1", shape=(7,)))
    found = inputs(materials, blobs, file(inputs=unnamed), OTHERS)
    assert {key: array.shape for key, array in found.items() if key.startswith("0/")} == {"0/x": (1, 3), "0/z": (7,)}


def test_too_few_unnamed_inputs_are_ambiguous(materials: UserFiles) -> None:
    with pytest.raises(ConfigError, match="has no input input; its file has: x, z"):
        materials.inputs(file(inputs=(ModelInput(name="input", shape=(1, 3)),)), OTHERS)


def test_names_that_look_like_none_are_names_where_the_file_has_them(materials: UserFiles, blobs: FolderBlobs) -> None:
    stated = [{**STATED, "name": "input_1"}, {**STATED, "name": "input_2", "shape": [7]}]
    named = (ModelInput(name="input_2", shape=(7,)), ModelInput(name="input_1", shape=(1, 3)))
    found = inputs(materials, blobs, file(inputs=named), stated)
    assert {key: array.shape for key, array in found.items() if key.startswith("0/")} == {
        "0/input_1": (1, 3),
        "0/input_2": (7,),
    }


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"shape": (1, 4)}, "input x is 1x4; the model takes 1x3"),
        ({"shape": (3,)}, "input x is 3; the model takes 1x3"),
        ({"dtype": "int64", "range": (0, 2)}, "input x is int64; the model takes float32"),
    ],
)
def test_what_a_file_does_not_take_is_said_before_anything_runs(
    materials: UserFiles, said: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        materials.inputs(file(inputs=(X.model_copy(update=said),)), [STATED])


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"picture": np.zeros((1, 3), np.float32)}, "holds 0/picture; the model takes x"),
        ({"x": np.zeros((1, 3))}, "--inputs 0/x is float64; the model takes float32"),
        ({"x": np.zeros((2, 3), np.float32)}, "--inputs 0/x is 2x3; the model takes 1x3"),
        ({"0/x": np.zeros((1, 3), np.float32), "1/y": np.zeros(7, np.float32)}, "holds 1/y"),
    ],
)
def test_given_arrays_are_held_against_the_file(
    tmp_path: Path, materials: UserFiles, arrays: dict[str, Any], complaint: str
) -> None:
    npz(tmp_path / "in.npz", **arrays)
    with pytest.raises(ConfigError, match=complaint):
        materials.inputs(file(inputs_file="in.npz"), [STATED])


def test_a_given_case_has_every_input(tmp_path: Path, materials: UserFiles) -> None:
    npz(tmp_path / "in.npz", x=np.zeros((1, 3), np.float32))
    with pytest.raises(ConfigError, match="has no 0/z, which the model takes"):
        materials.inputs(file(inputs_file="in.npz"), OTHERS)


@pytest.mark.parametrize(
    ("shapes", "dynamic", "fits"),
    [
        ([(4, 5)], {}, True),
        ([(4, 5), (1,)], {}, False),
        ([(2, 5), (2, 5)], {}, True),
        ([(21,)], {}, False),
        # Axes of free size are drawn twice as long too.
        ([(2, 5)], {0: "n"}, True),
        ([(2, 5)], {0: "n", 1: "m"}, False),
        ([(11,)], {0: "n"}, False),
    ],
)
def test_so_many_numbers_are_drawn_for_all_inputs_together(
    materials: UserFiles,
    monkeypatch: pytest.MonkeyPatch,
    shapes: list[tuple[int, ...]],
    dynamic: dict[int, str],
    fits: bool,
) -> None:
    monkeypatch.setattr(module, "_MOST_ELEMENTS", 20)
    items = tuple(ModelInput(name=f"x{n}", shape=shape, dynamic=dynamic) for n, shape in enumerate(shapes))
    stated = [{"name": item.name, "shape": list(item.shape), "dtype": "float32"} for item in items]
    # Of a user's factory and of a file, stated by the user or by the file.
    for model, facts in (
        (ModelSpec(id="factory", factory="m:build", inputs=items), []),
        (ModelSpec(id="stated", onnx="net.onnx", inputs=items), stated),
        *([(ModelSpec(id="file", onnx="net.onnx"), stated)] if not dynamic else []),
    ):
        if fits:
            assert materials.inputs(model, facts)
        else:
            with pytest.raises(ConfigError, match=rf"model '{model.id}': \d+ numbers .* more than 20; .*--inputs"):
                materials.inputs(model, facts)
