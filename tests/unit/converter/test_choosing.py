"""Sizes and values for the inputs of an .onnx file that leaves them open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converter.choosing import sizes
from converter.choosing.search import NoInputsFound, Search, is_constant
from converter.choosing.values import Values, candidates

Arrays = Mapping[str, NDArray[Any]]


class Graph:
    """What a graph says of its inputs."""

    def __init__(self, shrinks: int = 1, rows: int | None = None, compared: tuple[int, ...] = ()) -> None:
        self._shrinks, self._rows, self._compared = shrinks, rows, compared

    def shrinks(self) -> int:
        return self._shrinks

    def rows(self, name: str) -> int | None:
        return self._rows if name == "index" else None

    def compared_with(self, name: str) -> list[int]:
        return list(self._compared) if name == "sr" else []

    def is_shape(self, name: str) -> bool:
        return name == "size"


def item(name: str, *shape: int | str | None, dtype: str = "float32") -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "dtype": dtype, "real": dtype.startswith("float")}


def first(*inputs: dict[str, Any], unit: int = 1) -> dict[str, list[int]]:
    assigned = next(iter(sizes.assignments(sizes.groups(inputs, unit), 10)))
    return {one["name"]: sizes.resolved(one, assigned) for one in inputs}


def test_height_and_width_differ_and_are_multiples_of_what_the_graph_shrinks_them_by() -> None:
    assert first(item("x", "batch", 3, "h", "w"), unit=32) == {"x": [1, 3, 96, 160]}
    assert first(item("x", None, "h", "w", 3), unit=8) == {"x": [1, 24, 40, 3]}


def test_signs_that_stand_for_no_label_are_no_label() -> None:
    assert first(item("x", None, 3, "?", "?"), unit=32) == {"x": [1, 3, 96, 160]}
    assert sizes.label_of("x", 2, "None") == "x[2]"


def test_a_label_is_one_size_wherever_it_stands() -> None:
    found = first(item("ids", "batch", "seq", dtype="int64"), item("mask", "batch", "seq", dtype="int64"))
    assert found["ids"] == found["mask"] and found["ids"][0] == 1


def test_lengths_with_labels_of_their_own_differ_and_then_are_equal() -> None:
    (group,) = (
        group
        for group in sizes.groups([item("a", 1, "s", dtype="int64"), item("b", 1, "t", dtype="int64")], 1)
        if len(group.labels) == 2
    )
    assert group.candidates[0][0] != group.candidates[0][1]
    assert any(one == two for one, two in group.candidates)


def test_the_second_axis_of_a_recurrent_state_is_the_batch() -> None:
    found = first(item("x", None, "frames", 161), item("state", 2, None, 128), item("h0", 4, None, 64))
    assert found["state"] == [2, 1, 128] and found["h0"] == [4, 1, 64]


def test_sound_is_long_and_a_cache_is_short() -> None:
    assert first(item("waveforms", "batch", "N")) == {"waveforms": [1, 16000]}
    assert first(item("k", "batch", 4, "past_length", 8))["k"][2] < 10


@pytest.mark.parametrize(
    ("one", "bounds"),
    [
        (item("index", 1, 8, dtype="int64"), (0, 40)),
        (item("attention_mask", 1, 8, dtype="int64"), (1, 2)),
        (item("sr", dtype="int64"), (16000, 16001)),
        (item("size", 2, dtype="int64"), (2, 3)),
        (item("pixels", 1, 3, 8, 8, dtype="uint8"), (0, 256)),
        (item("index", 1, 8), (0, 40)),
    ],
)
def test_values_mean_something(one: dict[str, Any], bounds: tuple[float, float]) -> None:
    found = candidates(one, [one], Graph(rows=40, compared=(8000, 16000)))[0]
    assert (found.low, found.high) == bounds


def test_a_length_is_the_size_of_the_axis_it_is_about() -> None:
    wave, lengths = item("wave", "batch", "N"), item("wave_lens", "batch", dtype="int64")
    found = candidates(lengths, [wave, lengths], Graph())[0]
    assert found.bounds({"wave": [1, 400]}) == (400, 401)


def search(inputs: list[dict[str, Any]], run: Any, stated: Any = (), **graph: Any) -> Search:
    return Search(inputs, {one["name"]: one for one in stated}, Graph(**graph), run)


def test_the_first_size_that_runs_and_a_second_one() -> None:
    def run(feed: Arrays) -> list[NDArray[Any]]:
        if feed["x"].shape[1] % 7:
            raise ValueError("the length has to be a multiple of 7")
        return [feed["x"] * 2]

    shapes, longer, _, named = search([item("x", "batch", "steps", dtype="float32")], run).chosen()
    assert shapes["x"][1] % 7 == longer["x"][1] % 7 == 0
    assert shapes["x"][1] != longer["x"][1] and shapes["x"][0] != longer["x"][0]
    assert named["steps"] == shapes["x"][1]


def test_a_size_that_is_frozen_inside_has_no_second_one() -> None:
    def run(feed: Arrays) -> list[NDArray[Any]]:
        return [feed["x"].reshape(1, -1)[:, :16] @ np.ones((16, 2))]

    def strict(feed: Arrays) -> list[NDArray[Any]]:
        if feed["x"].shape[0] > 1:
            raise ValueError("batch")
        return run(feed)

    shapes, longer, _, _ = search([item("x", "batch", "steps", 4)], strict).chosen()
    assert shapes["x"][0] == longer["x"][0] == 1
    assert longer["x"][1] != shapes["x"][1]


def test_values_with_which_outputs_vary_are_preferred() -> None:
    made = search([item("x", 1, 4)], lambda feed: [np.trunc(feed["x"] / 100)])
    _, _, values, _ = made.chosen()
    assert values["x"].high == 255 and made.constant == []
    made = search([item("x", 1, 4)], lambda feed: [feed["x"], np.zeros(3)])
    made.chosen()
    assert made.constant == [1]


def test_what_the_user_states_stays() -> None:
    stated = {"name": "x", "shape": [1, 9], "longer": [1, 18], "range": [0, 1]}
    shapes, longer, values, _ = search([item("x", "b", "n")], lambda feed: [feed["x"]], [stated]).chosen()
    assert (shapes["x"], longer["x"], values["x"].bounds({})) == ([1, 9], [1, 18], (0, 1))


def test_the_runtime_says_how_large_a_table_is() -> None:
    def run(feed: Arrays) -> list[NDArray[Any]]:
        if feed["tokens"].max() > 0:
            raise IndexError("indices element out of data bounds, idx=1 must be within the inclusive range [-1,0]")
        return [feed["tokens"].astype(float)]

    _, _, values, _ = search([item("tokens", 1, 4, dtype="int64")], run).chosen()
    assert values["tokens"].high == 1


def test_if_nothing_runs_what_was_said_to_each_try_is_told() -> None:
    def run(feed: Arrays) -> list[NDArray[Any]]:
        raise ValueError(f"Got: {feed['x'].shape[2]} Expected: 48")

    with pytest.raises(NoInputsFound) as caught:
        search([item("x", 1, 3, "h", "w")], run).chosen()
    told = str(caught.value)
    assert "x=1x3x" in told and "Expected: 48" in told and told.count("\n") == 5


@pytest.mark.parametrize(
    ("draws", "constant"),
    [
        ([np.zeros(4), np.zeros(4)], True),
        ([np.zeros(1), np.ones(1)], False),
        ([np.zeros(0), np.zeros(0)], True),
        ([np.array(["a"]), np.array(["b"])], True),
        ([np.array([np.nan, 1.0]), np.array([2.0, 1.0])], False),
    ],
)
def test_constant_outputs(draws: list[NDArray[Any]], constant: bool) -> None:
    assert is_constant(draws) is constant


def test_a_range_of_its_own_for_each_shape() -> None:
    assert Values(1, 2, length_of=("x", 1)).bounds({"x": [1, 5]}) == (5, 6)
