"""The first diverging node, on small graphs."""

from __future__ import annotations

import numpy as np
import pytest

from matrix.judging.compare import Arrays
from matrix.judging.divergence import Node, first_divergence, tolerance_inside
from matrix.judging.tolerance import Tolerance


def graph(*nodes: str) -> list[Node]:
    """`a b -> c` makes one node of operator Op that reads a and b and makes c."""
    made = []
    for index, text in enumerate(nodes):
        inputs, outputs = (tuple(side.split()) for side in text.split("->"))
        made.append(Node(index, f"n{index}", "Op", "", 9, inputs, outputs))
    return made


CHAIN = graph("x w -> a", "a -> b", "b -> c", "c -> y")
LARGE = np.random.RandomState(0).uniform(-3, 3, (4, 50)).astype("float32")


def values(*names: str, **changed: np.ndarray) -> Arrays:
    return {f"0/{name}": LARGE for name in names} | {f"0/{name}": array for name, array in changed.items()}


def named(nodes: list[Node], reference: Arrays, actual: Arrays, *outputs: str) -> tuple[int, str, str] | None:
    found = first_divergence(nodes, reference, actual, outputs=outputs)
    return (found.node.index, found.output, found.reason) if found else None


def test_equal_tensors_name_no_node() -> None:
    assert named(CHAIN, values("a", "b", "c", "y"), values("a", "b", "c", "y")) is None


@pytest.mark.parametrize("faulty", range(4))
def test_the_first_of_all_that_differ_is_named(faulty: int) -> None:
    tensors = ["a", "b", "c", "y"]
    wrong = {name: LARGE * np.float32(1.05) for name in tensors[faulty:]}
    expected = (faulty, tensors[faulty], "values-differ")
    assert named(CHAIN, values(*tensors), values(*tensors[:faulty], **wrong), "y") == expected


def test_what_it_says_of_the_node() -> None:
    nodes = [Node(7, "up", "Resize", "com.example", 11, ("x",), ("y",))]
    found = first_divergence(nodes, values("y"), values(y=LARGE + np.float32(0.5)))
    assert found is not None
    assert found.max_abs == pytest.approx(0.5, rel=1e-5)
    assert found.tightest is not None
    assert found.tightest > 100
    where = "The first node to differ is 7, com.example.Resize up, opset 11."
    assert found.words.startswith(f"{where} y: 200 of 200 elements")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (LARGE.T.copy(), "output-shape"),
        (np.where(LARGE > 2, np.float32("nan"), LARGE), "nan-mask"),
        (np.where(LARGE > 2, np.float32("inf"), LARGE), "inf-mask"),
        (LARGE.astype("int32"), "values-differ"),
    ],
)
def test_every_kind_of_difference_counts(array: np.ndarray, reason: str) -> None:
    assert named(CHAIN, values("a", "b", "c", "y"), values("a", "c", "y", b=array)) == (1, "b", reason)


def test_a_dtype_alone_goes_behind_other_numbers() -> None:
    reference = values("b", "c", "y", a=np.arange(5))
    narrow = np.arange(5, dtype="int32")
    assert named(CHAIN, reference, values("b", "c", "y", a=narrow)) == (0, "a", "output-dtype")
    assert named(CHAIN, reference, values("b", "y", a=narrow, c=LARGE + 1)) == (2, "c", "values-differ")


def test_a_number_cut_off_by_a_narrower_dtype_is_another_number() -> None:
    reference, actual = values(a=np.array([2**40 + 3])), values(a=np.array([3], "int32"))
    assert named(graph("x -> a"), reference, actual) == (0, "a", "values-differ")


def test_rounding_next_to_zero_blames_no_node_but_a_wrong_number_does() -> None:
    """x - x' of two large sums: the difference is small, its rounding error is not."""
    near_zero = LARGE.copy()
    near_zero[0, 0] = 1e-7
    noise = near_zero + np.float32(2e-5)
    assert named(CHAIN, values("b", "c", "y", a=near_zero), values("b", "c", "y", a=noise)) is None
    one_wrong = near_zero.copy()
    one_wrong[0, 0] = 0.02
    found = named(CHAIN, values("b", "c", "y", a=near_zero), values("b", "c", "y", a=one_wrong))
    assert found == (0, "a", "values-differ")


def test_the_tolerance_grows_with_the_tensor_and_never_shrinks() -> None:
    base = Tolerance(rtol=1e-3, atol=1e-5)
    assert tolerance_inside(np.full(9, 2.0), base).atol == pytest.approx(2e-3)
    assert tolerance_inside(np.full(9, 1e-9), base) == base
    assert tolerance_inside(np.array([3.0, np.inf, np.nan, -3.0]), base).atol == pytest.approx(3e-3)
    assert tolerance_inside(np.array([1e300, 1e300]), base).atol == pytest.approx(1e297)
    assert tolerance_inside(np.array([np.nan]), base) == base
    assert tolerance_inside(np.zeros((0, 3)), base) == base


def test_integers_stay_exact() -> None:
    large = np.arange(1000) * 1000
    assert named(graph("x -> a"), values(a=large), values(a=large + 1)) == (0, "a", "values-differ")


def test_a_difference_that_heals_explains_nothing() -> None:
    nodes = graph("x -> a", "a -> b", "x -> c", "b c -> y")
    actual = values("b", a=LARGE - 1, c=LARGE + 1, y=LARGE + 1)
    reference = values("a", "b", "c", "y")
    assert named(nodes, reference, actual) == (0, "a", "values-differ")
    assert named(nodes, reference, actual, "y") == (2, "c", "values-differ")
    assert named(nodes, reference, values("b", "c", "y", a=LARGE - 1), "y") is None


def test_a_chain_may_lead_through_what_was_not_seen() -> None:
    assert named(CHAIN, values("a", "b", "c", "y"), values("b", a=LARGE + 1, y=LARGE + 1), "y") == (
        3,
        "y",
        "values-differ",
    )
    assert named(CHAIN, values("a", "b", "c", "y"), values(a=LARGE + 1, b=LARGE + 1, y=LARGE + 1), "y") == (
        0,
        "a",
        "values-differ",
    )


def test_what_one_side_lacks_is_counted_and_said() -> None:
    found = first_divergence(CHAIN, values("a", "b", "y"), values("a", "c", y=LARGE + 1))
    assert found is not None
    assert (found.node.index, found.unseen, found.skipped) == (3, ("c",), 2)
    assert found.words.endswith("These inputs of it could not be compared: c.")


def test_a_node_with_all_its_inputs_seen_goes_first() -> None:
    nodes = graph("x -> a", "a -> b", "x -> c", "b c -> y")
    found = first_divergence(nodes, values("b", "c", "y"), values(b=LARGE + 1, c=LARGE + 1, y=LARGE + 1))
    assert found is not None
    assert (found.node.index, found.unseen) == (2, ())


def test_the_differing_output_of_several_is_named() -> None:
    nodes = graph("x -> y y_h y_c")
    assert named(nodes, values("y", "y_h", "y_c"), values("y", "y_c", y_h=LARGE * 2)) == (0, "y_h", "values-differ")


def test_arrays_of_no_numbers_are_skipped() -> None:
    text = np.array(["a"])
    found = first_divergence(CHAIN, values("b", "c", "y", a=text), values("c", "y", a=text, b=LARGE + 1))
    assert found is not None
    assert (found.node.index, found.unseen, found.skipped) == (1, ("a",), 1)


FACT = {"index": 1, "name": "", "operator": "Add", "domain": "", "opset": None, "inputs": ["a"], "outputs": ["b"]}


def test_a_node_is_read_from_a_fact() -> None:
    assert Node.of(FACT) == Node(1, "", "Add", "", None, ("a",), ("b",))


@pytest.mark.parametrize("fact", [{}, {**FACT, "index": "x"}, {**FACT, "inputs": None}, {**FACT, "opset": []}])
def test_what_is_no_fact_of_a_node_is_refused(fact: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a description of a node"):
        Node.of(fact)
