"""The coverage pass on cases that a real onnx ships, in both generations of environments."""

from __future__ import annotations

import json

import numpy as np
import pytest
from passes import Passes, Work
from product import Project
from tables import TF1, TF2

from matrix.judging.arrays import read_arrays

# Three of one operator, so that it is traced ahead, and two that share onnx-tf's only recurrent cell.
_CASES = ["test_abs", "test_add", "test_add_bcast", "test_lstm_defaults", "test_lstm_with_initial_bias"]
_ADDITIONS = ["test_operator_add_broadcast", "test_operator_addconstant"]


@pytest.fixture(scope="module")
def passes(real: Project, tmp_path_factory: pytest.TempPathFactory) -> Passes:
    return Passes(lambda name: real.environment(name) / "bin" / "python", tmp_path_factory.mktemp("coverage"))


@pytest.mark.parametrize("row", [TF1, TF2])
def test_shipped_cases_are_run_apart_from_each_other(passes: Passes, row: str) -> None:
    done = passes.one(row, "coverage", Work({}, {"only": _CASES + _ADDITIONS}))
    assert done.facts["suites"] == {"node": len(_CASES), "operator": len(_ADDITIONS)}
    content = json.loads((done / "cases.json").read_text())
    assert [case["name"] for case in content["cases"]] == sorted(_CASES) + sorted(_ADDITIONS)
    assert all(case["done"] for case in content["cases"]), [case["error"] for case in content["cases"]]
    expected, actual = (read_arrays(done / name) for name in ("expected.npz", "actual.npz"))
    assert len({key.partition("/")[0] for key in expected}) == len(content["cases"])
    for key in expected:
        np.testing.assert_allclose(actual[key], expected[key], rtol=1e-3, atol=1e-5, err_msg=key)
    assert content["handlers"]["Abs"][0] == content["schemas"]["Abs"][0] == 1


def test_a_case_that_takes_too_long_or_too_much_costs_only_itself(passes: Passes) -> None:
    for limits, stopped in (({"case_seconds": 0}, "timeout"), ({"case_mb": 1}, "memory")):
        done = passes.one(TF1, "coverage", Work({}, {"only": _CASES[:2], **limits}))
        cases = json.loads((done / "cases.json").read_text())["cases"]
        assert [(case["stopped"], case["exit"]["signal"], case["done"]) for case in cases] == [(stopped, 9, False)] * 2
        assert (done / "coverage.released").exists()
