"""Comparing numbers: what matches, what does not, and whether the metrics are right."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from matrix.judging.compare import (
    Comparison,
    Metrics,
    NotComparable,
    Tolerance,
    Tolerances,
    align,
    compare,
    compare_files,
    dynamic_range,
)
from matrix.judging.tolerance import EXACT

Array = NDArray[Any]
F32 = Tolerances().float32


def both(reference: Any, actual: Any, tolerances: Tolerances | None = None) -> Comparison:
    return compare({"0/y": np.asarray(reference)}, {"0/y": np.asarray(actual)}, tolerances)


def image(*shape: int, seed: int = 0) -> Array:
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


# --- what is a match -------------------------------------------------------------------------------------------------

SAME = [
    image(2, 3, 8, 8),
    image(2, 3, 8, 8).astype(np.float16),
    image(4, 4).astype(np.float64) * 1e300,
    image(4, 4).astype(np.float64) * 1e-310,
    image(4, 4) + 1j * image(4, 4, seed=1),
    np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32),
    np.array([-(2**63), 2**63 - 1, 0]),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array(3.5, np.float32),
    np.zeros((0, 3), np.float32),
    np.zeros((2, 2), np.float32),
    image(6, 4)[::2, ::-1],
]


@pytest.mark.parametrize("array", SAME, ids=lambda a: f"{a.dtype}-{a.shape}")
def test_everything_matches_itself(array: Array) -> None:
    found = both(array, array.copy())
    assert found.match and found.reason is None and found.where is None
    assert found.metrics.mismatch_share in (0.0, None)
    assert found.metrics.tightest in (0.0, None)
    assert found.metrics.elements == array.size


def test_byte_order_is_no_difference() -> None:
    array = image(3, 3)
    assert both(array, array.astype(">f4")).match


# --- wrong conversions -----------------------------------------------------------------------------------------------


def _nearest(x: Array) -> Array:
    return x.repeat(2, axis=2).repeat(2, axis=3)


def _bilinear(x: Array) -> Array:
    """Twofold upsampling with half-pixel centres along both axes of (N, C, H, W)."""
    for axis in (2, 3):
        size = x.shape[axis]
        at = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, size - 1)
        shape = [1] * x.ndim
        shape[axis] = -1
        weight = (at - low).reshape(shape)
        x = np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
    return x.astype(np.float32)


def _batch_norm(x: Array, epsilon: float) -> Array:
    variance = np.linspace(0.02, 2, x.shape[1]).reshape(1, -1, 1, 1)
    return ((x - 0.1) / np.sqrt(variance + epsilon)).astype(np.float32)


def _sigmoid(x: Array) -> Array:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def test_bilinear_in_place_of_nearest_is_no_match() -> None:
    x = image(1, 4, 14, 14)
    found = both(_sigmoid(_nearest(x)), _sigmoid(_bilinear(x)))
    assert found.reason == "values-differ"
    assert found.metrics.mismatch_share is not None and found.metrics.mismatch_share > 0.5


def test_another_batch_norm_epsilon_is_no_match() -> None:
    x = image(1, 4, 14, 14)
    found = both(_batch_norm(x, 1e-5), _batch_norm(x, 1e-3))
    assert found.reason == "values-differ"
    assert found.metrics.cosine is not None and found.metrics.cosine > 0.999  # a cosine alone would not see it


@pytest.mark.parametrize("size", [(8, 8), (3, 3)])
def test_swapped_layout_is_no_match_and_is_named(size: tuple[int, int]) -> None:
    nchw = image(1, 3, *size)
    nhwc = np.moveaxis(nchw, 1, -1)
    by_shape = both(nchw, nhwc)
    assert by_shape.reason == ("output-shape" if size == (8, 8) else "values-differ")
    assert "layout-swapped" in by_shape.hints
    relabelled = both(nchw, nhwc.reshape(nchw.shape))
    assert relabelled.reason == "values-differ"
    assert "layout-swapped" in relabelled.hints
    assert "layout-swapped" in both(nhwc, nchw).hints


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "actual"])
def test_one_odd_number_among_thousands_is_no_match(bad: float, side: str) -> None:
    right, wrong = image(1, 3, 40, 40), image(1, 3, 40, 40)
    wrong[0, 1, 2, 3] = bad
    found = both(right, wrong) if side == "actual" else both(wrong, right)
    assert found.reason == ("nan-mask" if math.isnan(bad) else "inf-mask")
    assert found.where == "0/y"
    assert found.metrics.tightest == math.inf
    assert found.metrics.max_abs == 0.0  # the rest is equal, and is still measured
    assert found.metrics.mismatch_share == pytest.approx(1 / right.size)


def test_all_nan_is_no_match() -> None:
    assert both(image(4, 4), np.full((4, 4), np.nan, np.float32)).reason == "nan-mask"


def test_an_infinity_of_the_other_sign_is_no_match() -> None:
    assert both(np.float32([np.inf, 1]), np.float32([-np.inf, 1])).reason == "inf-mask"


def test_nan_for_infinity_is_told_as_nan() -> None:
    assert both(np.float32([np.inf, 1]), np.float32([np.nan, 1])).reason == "nan-mask"


def test_shift_and_scale_are_hinted_where_they_explain_all() -> None:
    x = image(1, 3, 8, 8)
    assert both(x, x + np.float32(0.5)).hints == ("constant-shift",)
    assert both(x, x * np.float32(1.25)).hints == ("constant-scale",)
    noise = image(1, 3, 8, 8, seed=1)
    assert both(x, x + noise).hints == ()


def test_no_hint_explains_constants() -> None:
    half = np.full((1, 3, 8, 8), 0.5, np.float32)
    found = both(half, half * np.float32(1.5))
    assert found.reason == "values-differ" and found.hints == ()


# --- order of the checks ---------------------------------------------------------------------------------------------


def test_a_missing_output_comes_first() -> None:
    reference = {"0/a": image(2, 2), "0/b": image(2, 2)}
    found = compare(reference, {"0/a": image(3, 3)})
    assert (found.reason, found.where) == ("output-count", "0/b")
    assert "0/b" in found.detail
    assert compare({"0/a": image(2, 2)}, reference).reason == "output-count"


def test_no_outputs_at_all_is_no_match() -> None:
    assert compare({}, {}).reason == "output-count"


def test_other_names_come_before_shapes_and_the_rest_is_still_measured() -> None:
    found = compare({"0/a": image(2, 2), "0/b": image(2, 2)}, {"0/a": image(2, 2), "0/c": image(3, 3)})
    assert (found.reason, found.where) == ("output-names", "0/b")
    assert list(found.per_output) == ["0/a"]


def test_shape_comes_before_dtype_and_dtype_before_values() -> None:
    a = image(2, 2)
    shape_and_dtype = compare({"0/a": a, "0/b": a}, {"0/a": a.astype(np.float64), "0/b": a.ravel()})
    assert (shape_and_dtype.reason, shape_and_dtype.where) == ("output-shape", "0/b")
    dtype_and_values = compare({"0/a": a, "0/b": a}, {"0/a": a + 1, "0/b": a.astype(np.float64)})
    assert (dtype_and_values.reason, dtype_and_values.where) == ("output-dtype", "0/b")
    assert dtype_and_values.metrics.max_abs == pytest.approx(1, abs=1e-6)


def test_nan_comes_before_infinity_before_values() -> None:
    a, nan, inf = image(2, 2), image(2, 2), image(2, 2)
    nan[0, 0], inf[0, 0] = np.nan, np.inf
    reference = {"0/a": a, "0/b": a, "0/c": a}
    assert compare(reference, {"0/a": a + 1, "0/b": inf, "0/c": nan}).where == "0/c"
    assert compare(reference, {"0/a": a + 1, "0/b": inf, "0/c": a}).where == "0/b"
    assert compare(reference, {"0/a": a + 1, "0/b": a, "0/c": a}).where == "0/a"


def test_the_worst_output_is_named() -> None:
    a = image(2, 2)
    found = compare({"0/a": a, "0/b": a, "1/a": a}, {"0/a": a + 1, "0/b": a + 9, "1/a": a})
    assert found.where == "0/b"
    assert "1 of the other outputs" in found.detail


def test_scalars_do_not_pass_for_one_element_vectors() -> None:
    assert both(np.float32(1), np.float32([1])).reason == "output-shape"


# --- the edge of the tolerance ---------------------------------------------------------------------------------------

UNIT = Tolerances(float64=Tolerance(rtol=0.0, atol=0.25), integer=Tolerance(rtol=0.0, atol=1.0))


def test_exactly_at_the_bound_passes_and_the_next_number_does_not() -> None:
    at = both(np.array([1.0]), np.array([1.25]), UNIT)
    assert at.match and at.metrics.tightest == 1.0 and at.metrics.margin == 1.0
    beyond = both(np.array([1.0]), np.array([np.nextafter(1.25, 2)]), UNIT)
    assert beyond.reason == "values-differ"
    assert beyond.metrics.tightest is not None and beyond.metrics.tightest > 1


@pytest.mark.parametrize("bound", [0.1, 1.0, np.nextafter(2.0, 0.0), 1e-308, 5e-324, 1e300])
def test_the_smallest_excess_gives_a_factor_above_1(bound: float) -> None:
    tolerances = Tolerances(float64=Tolerance(rtol=0.0, atol=bound))
    found = both(np.array([0.0]), np.array([np.nextafter(bound, np.inf)]), tolerances)
    assert found.reason == "values-differ"
    assert found.metrics.tightest is not None and found.metrics.tightest > 1


def test_the_relative_part_grows_with_the_reference_not_with_the_result() -> None:
    tolerances = Tolerances(float64=Tolerance(rtol=0.5, atol=0.0))
    assert both(np.array([2.0]), np.array([3.0]), tolerances).match
    assert not both(np.array([1.9]), np.array([3.0]), tolerances).match
    assert not both(np.array([0.0]), np.array([1e-300]), tolerances).match


@pytest.mark.parametrize("seed", range(20))
def test_a_match_is_what_the_rule_says_and_tightest_is_its_limit(seed: int) -> None:
    reference = image(50, seed=seed)
    reference[:5] = 0
    scale = np.float32(10.0 ** -(seed % 6))
    actual = reference + image(50, seed=seed + 100) * np.abs(reference) * scale
    found = both(reference, actual)
    distance = np.abs(actual.astype(np.float64) - reference.astype(np.float64))
    rule = np.all(distance <= F32.atol + F32.rtol * np.abs(reference.astype(np.float64)))
    assert found.match == rule
    tightest = found.metrics.tightest
    assert tightest is not None and (tightest <= 1) == rule
    for factor, passes in ((1.0001, True), (0.9999, False)):
        scaled = Tolerance(F32.rtol * tightest * factor, F32.atol * tightest * factor)
        assert both(reference, actual, Tolerances(float32=scaled)).match == passes


def test_integers_and_booleans_are_exact_unless_told_otherwise() -> None:
    assert both(np.array([1, 2]), np.array([1, 3])).reason == "values-differ"
    assert both(np.array([1, 2]), np.array([1, 3]), UNIT).match
    assert not both(np.array([1, 2]), np.array([1, 4]), UNIT).match
    assert both(np.array([True]), np.array([False])).reason == "values-differ"


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_the_distance_of_integers_does_not_wrap_around(dtype: type[np.integer[Any]]) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    found = both(np.array([low, high], dtype), np.array([high, low], dtype))
    assert found.metrics.max_abs == float(high) - float(low)


def test_integers_that_are_one_number_in_float64_are_still_told_apart() -> None:
    found = both(np.array([2**60]), np.array([2**60 + 1]))
    assert found.reason == "values-differ" and found.metrics.max_abs == 1.0
    assert str(2**60 + 1) in found.detail


def test_half_precision_is_looser_than_single_and_double_not_looser() -> None:
    t = Tolerances()
    assert t.float64.rtol <= t.float32.rtol < t.float16.rtol < t.bfloat16.rtol
    assert t.float64.atol <= t.float32.atol < t.float16.atol < t.bfloat16.atol
    off = np.float64(1.005)
    assert both(np.float16([1]), np.float16([off])).match
    assert not both(np.float32([1]), np.float32([off])).match
    assert not both(np.float64([1]), np.float64([off])).match
    assert not both(np.complex64([1j]), np.complex64([off * 1j])).match


def test_a_kind_can_be_overridden() -> None:
    loose = Tolerances().override({"float32": Tolerance(rtol=0.1, atol=0.0)})
    assert both(np.float32([1]), np.float32([1.05]), loose).match
    assert loose.float16 == Tolerances().float16
    with pytest.raises(ValueError, match="float8"):
        Tolerances().override({"float8": EXACT})


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_an_impossible_tolerance_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="rtol"):
        Tolerance(rtol=value, atol=0)
    with pytest.raises(ValueError, match="atol"):
        Tolerance(rtol=0, atol=value)


def test_bfloat16_as_numpy_stores_it_is_read() -> None:
    def stored(values: list[float]) -> Array:
        return (np.float32(values).view(np.uint32) >> 16).astype(np.uint16).view("V2")

    found = both(stored([1.0, -2.0]), stored([1.0, -2.5]))
    assert found.reason == "values-differ" and found.metrics.max_abs == 0.5
    assert "-2.5" in found.detail
    assert both(stored([1.0, -2.0]), stored([1.0, -2.0])).match


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, None], object),
        np.array(["a"]),
        np.array([b"a"]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.zeros(2, [("a", "f4"), ("b", "f4")]),
        np.zeros(2, np.longdouble),
    ],
    ids=lambda a: str(a.dtype),
)
def test_what_is_no_number_is_refused_by_name(array: Array) -> None:
    for reference, actual in ((array, array), (np.zeros(2, np.float32), array)):
        with pytest.raises(NotComparable, match="0/y"):
            compare({"0/y": reference}, {"0/y": actual})


# --- the figures -----------------------------------------------------------------------------------------------------


def test_metrics_against_values_worked_out_by_hand() -> None:
    # Differences 0, 1, 2, 4 over references 2, 4, 0, -4.
    tolerances = Tolerances(float64=Tolerance(rtol=0.25, atol=1.0))  # allows 1.5, 2, 1, 2
    m = both(np.array([2.0, 4.0, 0.0, -4.0]), np.array([2.0, 5.0, 2.0, 0.0]), tolerances).metrics
    assert m.elements == 4
    assert m.max_abs == 4
    assert m.max_rel == 2 / 1e-6  # the reference 0 counts as 1e-6
    assert m.mean_abs == 7 / 4
    assert m.rmse == pytest.approx(math.sqrt(21 / 4))
    assert m.cosine == pytest.approx(24 / (6 * math.sqrt(33)))
    assert m.snr_db == pytest.approx(10 * math.log10(36 / 21))
    assert m.mismatch_share == 2 / 4
    assert m.tightest == 2 and m.margin == 0.5


def test_metrics_are_those_of_all_outputs_together_weighted_by_size() -> None:
    reference = {"0/a": np.zeros(3), "0/b": np.array([3.0])}
    actual = {"0/a": np.zeros(3), "0/b": np.array([7.0])}
    found = compare(reference, actual)
    assert found.metrics.elements == 4
    assert found.metrics.mean_abs == 1 and found.metrics.rmse == 2 and found.metrics.mismatch_share == 0.25
    assert found.per_output["0/a"].mean_abs == 0 and found.per_output["0/b"].mean_abs == 4
    joined = both(np.array([0.0, 0, 0, 3]), np.array([0.0, 0, 0, 7])).metrics
    assert found.metrics == joined


def test_each_output_is_held_to_the_tolerance_of_its_own_type() -> None:
    reference = {"0/a": np.float16([1]), "0/b": np.array([7])}
    assert compare(reference, {"0/a": np.float16([1.005]), "0/b": np.array([7])}).match
    assert compare(reference, {"0/a": np.float16([1.005]), "0/b": np.array([8])}).where == "0/b"


def test_cosine_of_zeros_and_opposites() -> None:
    assert both(np.zeros(3), np.zeros(3)).metrics.cosine == 1
    assert both(np.zeros(3), np.ones(3)).metrics.cosine == 0
    assert both(np.ones(3), -np.ones(3)).metrics.cosine == -1
    assert both(np.array([1j]), np.array([1.0 + 0j])).metrics.cosine == 0


def test_no_element_no_figures() -> None:
    assert both(np.zeros((0, 4)), np.zeros((0, 4))).metrics == Metrics(elements=0)


def test_huge_numbers_do_not_overflow_into_a_match() -> None:
    huge = np.array([1.7e308, -1.7e308])
    found = both(huge, -huge)
    assert found.reason == "values-differ" and found.metrics.max_abs == math.inf
    assert found.metrics.cosine == pytest.approx(-1)
    assert both(huge, huge * (1 + 1e-9)).match
    overflowing_square = both(np.array([1e200, 1e200]), np.array([1e200, 2e200])).metrics
    assert overflowing_square.rmse == pytest.approx(1e200 / math.sqrt(2))


@pytest.mark.parametrize(
    ("reference", "actual"),
    [
        (np.array([1.7e308]), np.array([-1.7e308])),
        (np.array([np.nan]), np.array([1.0])),
        (np.array([1]), np.array([2])),
        (np.array([1.0]), np.array([1.0])),
        (np.array([0.0]), np.array([1.0])),
        (np.zeros((0,)), np.zeros((0,))),
    ],
    ids=["overflow", "nan", "exact", "equal", "zero", "empty"],
)
def test_metrics_are_valid_json(reference: Array, actual: Array) -> None:
    metrics = both(reference, actual).metrics.as_dict()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_infinite_figures_are_written_as_text() -> None:
    assert both(np.array([1.0]), np.array([1.0])).metrics.as_dict()["snr_db"] == "inf"
    assert both(np.array([0.0]), np.array([1.0])).metrics.as_dict()["snr_db"] == "-inf"


def test_top1_agreement_counts_rows() -> None:
    reference = np.float32([[1, 2, 3], [3, 2, 1], [1, 5, 1], [0, 0, 9]])
    actual = np.float32([[1, 2, 4], [3, 2, 1], [5, 1, 1], [0, 0, 9]])
    assert both(reference, actual).metrics.top1_agreement == 0.75


def test_top1_agreement_takes_ties_of_the_reference_either_way() -> None:
    assert both(np.float32([[2, 2, 1]]), np.float32([[2, 2.1, 1]])).metrics.top1_agreement == 1


@pytest.mark.parametrize("array", [image(1, 3, 4, 4), image(4), image(4, 1), np.ones((4, 4), int)])
def test_top1_agreement_is_absent_where_no_axis_looks_like_classes(array: Array) -> None:
    assert both(array, array).metrics.top1_agreement is None


# --- names and blindness ---------------------------------------------------------------------------------------------


def test_align_goes_by_position_within_each_case() -> None:
    a, b = image(1), image(2)
    reference = {"0/mask": a, "0/score": b, "1/mask": a, "1/score": b}
    actual = {"1/x:0": a, "1/y:0": b, "0/x:0": a, "0/y:0": b}
    aligned = align(reference, actual)
    assert list(aligned) == list(reference)
    assert aligned["1/score"] is b
    assert compare(reference, aligned).match


def test_align_leaves_other_counts_alone() -> None:
    reference = {"0/a": image(1), "0/b": image(1)}
    actual = {"0/x": image(1)}
    assert align(reference, actual) == actual
    assert compare(reference, align(reference, actual)).reason == "output-count"


def test_align_does_not_hide_a_swap_of_outputs() -> None:
    reference = {"0/a": image(3, seed=1), "0/b": image(3, seed=2)}
    swapped = {"0/p": reference["0/b"], "0/q": reference["0/a"]}
    assert compare(reference, align(reference, swapped)).reason == "values-differ"


def test_an_untrained_sigmoid_is_blind_and_a_spread_one_is_not() -> None:
    flat = {"0/mask": _sigmoid(image(1, 1, 8, 8) * 1e-4)}
    found = dynamic_range(flat)
    assert found.blind == ("mask",) and found.all_blind
    assert found.spread["mask"] < 1e-3
    spread = dynamic_range({"0/mask": _sigmoid(image(1, 1, 8, 8) * 3)})
    assert spread.blind == () and not spread.all_blind


def test_outputs_that_differ_between_cases_are_not_blind() -> None:
    assert dynamic_range({"0/score": np.float32([1.0]), "1/score": np.float32([2.0])}).blind == ()
    assert dynamic_range({"0/score": np.float32([1.0]), "1/score": np.float32([1.0])}).blind == ("score",)


def test_one_blind_output_of_two_is_named() -> None:
    found = dynamic_range({"0/a": image(9), "0/b": np.zeros(9, np.float32), "0/c": np.full(9, np.nan, np.float32)})
    assert found.blind == ("b", "c") and not found.all_blind


def test_blindness_of_integers_and_huge_and_complex_numbers() -> None:
    assert dynamic_range({"0/y": np.array([7, 7])}).all_blind
    assert not dynamic_range({"0/y": np.array([7, 8])}).all_blind
    assert not dynamic_range({"0/y": np.array([1.7e308, -1.7e308])}).all_blind
    assert not dynamic_range({"0/y": np.array([1j, -1j])}).all_blind


def test_what_is_blind_passes_with_a_constant_and_so_would_any_wrong_conversion() -> None:
    flat = {"0/mask": _sigmoid(image(1, 1, 8, 8) * 1e-5)}
    constant = {"0/mask": np.full((1, 1, 8, 8), 0.5, np.float32)}
    assert dynamic_range(flat).all_blind and compare(flat, constant).match


def test_a_file_of_fixed_sizes_is_compared_in_the_cases_it_has(tmp_path: Path) -> None:
    whole = {"0/y": np.ones(3, "f"), "1/y": np.ones(6, "f")}
    for name, arrays in (("one", whole), ("two", {"0/z": np.ones(3, "f")}), ("none", {"7/z": np.ones(3, "f")})):
        with (tmp_path / f"{name}.npz").open("wb") as file:
            np.savez(file, **arrays)
    one, two, none = (tmp_path / f"{name}.npz" for name in ("one", "two", "none"))
    assert compare_files(one, two, True, Tolerances(), shared=True).reason is None
    assert compare_files(one, two, True, Tolerances()).reason == "output-count"
    # A case that the first does not have is no agreement.
    assert compare_files(one, none, True, Tolerances(), shared=True).reason is not None
