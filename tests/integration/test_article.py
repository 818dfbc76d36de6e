"""The article this project grew from, alive: its network as torch 0.4.1 wrote it, the failure it met, the pins it ended
with, and what the same weights come to at later opsets. The table expects all of this as well; here it is by hand."""

from __future__ import annotations

import os
from typing import Any

import pytest
import shared
from product import Finished, Project
from tables import NEWEST, need_cpu_torch

# Eight environments, built one after the other on a small machine.
PATIENCE_SECONDS = 1500

OPSETS = (6, 7, 9, 11, 13, 18)

MATCH = ("match", None, None, None)
OLD_UPSAMPLE = ("unsupported", "converter", "convert", "op-version-too-old")
OLD_UPSAMPLE_SAID_LATER = ("unsupported", "converter", "run", "op-version-too-old")
NEW_UPSAMPLE = ("error", "converter", "convert", "upsample-scales-unknown")
NEW_RESIZE = ("unsupported", "converter", "run", "op-version-not-implemented")
NEW_FILE = ("error", "converter", "check", "ir-version-too-new")

OUTCOMES = {
    "onnxtf1.1.2-onnx1.2.1-tf1.13.1": (MATCH, NEW_UPSAMPLE, NEW_FILE, NEW_FILE, NEW_FILE, NEW_FILE),
    "onnxtf1.3.0-onnx1.3.0-tf1.13.1": (OLD_UPSAMPLE, MATCH, NEW_FILE, NEW_FILE, NEW_FILE, NEW_FILE),
    "onnxtf1.3.0-onnx1.4.1-tf1.13.1": (OLD_UPSAMPLE, MATCH, MATCH, NEW_FILE, NEW_FILE, NEW_FILE),
    "onnxtf1.5.0-onnx1.5.0-tf1.15.0": (OLD_UPSAMPLE, MATCH, MATCH, NEW_FILE, NEW_FILE, NEW_FILE),
    # Its onnx supports opset 15 and treats the Resize of opset 18 as that of 13, which is equivalent here.
    "onnxtf1.10.0-onnx1.10.2-tf2.8.0": (OLD_UPSAMPLE_SAID_LATER, MATCH, MATCH, MATCH, MATCH, MATCH),
    "onnxtf1.10.0-onnx1.15.0-tf2.15.0": (OLD_UPSAMPLE_SAID_LATER, MATCH, MATCH, MATCH, MATCH, NEW_RESIZE),
}


@pytest.fixture(scope="module")
def article(real: Project) -> Finished:
    need_cpu_torch()
    shared.environments(real.state, NEWEST)
    asked = ("--tier", "article", "--locked", "--format", "json")
    return real.call("run", *asked, patience=PATIENCE_SECONDS)


def test_every_outcome(article: Finished) -> None:
    found: dict[tuple[str, int], Any] = {}
    for cell in article.cells:
        assert cell["exporter"] == "torch-2.13.0-builder"
        assert cell["opset_written"] == cell["opset_asked"]
        outcome = tuple(cell[key] for key in ("verdict", "role", "stage", "reason"))
        if outcome[-1] == "interpreter-missing" and not os.environ.get("MATRIX_CI"):
            pytest.skip(cell["title"])
        found[cell["converter"], cell["opset_asked"]] = outcome
    wanted = {
        (row, opset): outcome
        for row, outcomes in OUTCOMES.items()
        for opset, outcome in zip(OPSETS, outcomes, strict=True)
    }
    assert found == wanted, article.err
    assert article.code == 0, article.err


def test_onnx_runtime_is_absent_below_opset_7_only(article: Finished) -> None:
    matches = [cell for cell in article.cells if cell["verdict"] == "match"]
    assert matches, article.err
    for cell in matches:
        absent = cell["opset_asked"] < 7
        assert ("onnxruntime-leg-absent" in cell["remarks"]) == absent
        across = ["torch-tensorflow"] if absent else ["torch-onnxruntime", "onnxruntime-tensorflow"]
        assert list(cell["legs"]) == [*across, "memory-reloaded"]
        # Only float32 noise: a wrong layer in the builder would show in torch's leg.
        assert all(0 < cell["legs"][leg]["max_abs"] < 2e-6 for leg in across)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("@6/onnxtf1.3.0-onnx1.3.0-tf1.13.1", "Upsample version 1 is not implemented"),
        ("@7/onnxtf1.1.2-onnx1.2.1-tf1.13.1", "KeyError: 'height_scale'"),
        ("@9/onnxtf1.3.0-onnx1.3.0-tf1.13.1", "Your model ir_version is higher than the checker's"),
    ],
)
def test_it_fails_in_the_words_of_its_time(article: Finished, real: Project, cell: str, words: str) -> None:
    assert article.cells
    shown = real.call("show", f"mobilehairnet/torch-2.13.0-builder{cell}")
    assert shown.code == 0, shown.err
    assert words in " ".join(shown.out.split()), shown.out
