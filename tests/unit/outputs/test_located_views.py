"""The first diverging node, looked for at every mismatch by a run on a fake engine."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import small
from fakes import ANSWER, GOOD, Deed, good, npz
from test_cli import Project, project
from test_remedied_views import CELL, RUN

__all__ = ["project"]


def arrays(**values: list[float]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, numbers in values.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(numbers, np.float32))
            archive.writestr(f"0/{name}.npy", member.getvalue())
    return stream.getvalue()


NODES = [
    {"index": 0, "name": "first", "operator": "Conv", "domain": "", "opset": 8, "inputs": ["x"], "outputs": ["a"]},
    {"index": 1, "name": "up", "operator": "Upsample", "domain": "", "opset": 7, "inputs": ["a"], "outputs": ["b"]},
    {"index": 2, "name": "last", "operator": "Relu", "domain": "", "opset": 6, "inputs": ["b"], "outputs": ["y"]},
]
WRONG = npz([1.0, -2.0, 3.0, 4.0, 5.0])


def mismatch(work: str, spec: Mapping[str, Any], expose: Deed | None = None, trace: Deed | None = None) -> Deed:
    if work == "export":
        facts = {"opset_written": spec["params"]["opset"], "graph_outputs": ["y"]}
        return Deed(small.report(*GOOD["export"], facts=facts), good(work, spec).files)
    if work == "convert":
        return Deed(good(work, spec).report, {"memory.npz": WRONG, "saved/graph.pb": b"graph"})
    if work == "reload":
        return Deed(good(work, spec).report, {"reloaded.npz": WRONG})
    if work == "expose":
        files = {"exposed.onnx": b"all of it", "exposed.npz": arrays(a=[1, 2], b=[3, 4], y=[3, 4])}
        return expose or Deed(small.report(*GOOD["expose"], facts={"nodes": NODES}), files)
    if work == "trace":
        files = {"traced.npz": arrays(a=[1, 2], b=[3, 5], y=[3, 5])}
        return trace or Deed(small.report(*GOOD["trace"]), files)
    return good(work, spec)


def test_the_first_node_that_differs_is_named_with_every_mismatch(project: Project) -> None:
    cases: list[Any] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "expose":
            cases.append(spec["params"]["case"])
        return mismatch(work, spec)

    project.engine.script = script
    (cell,) = project.json(*RUN)["cells"]
    assert (cell["verdict"], cell["leg"], cell["tried"]) == ("mismatch", "onnxruntime-tensorflow", [])
    found = cell["divergence"]
    assert [found[key] for key in ("index", "node", "operator", "opset", "output")] == [1, "up", "Upsample", 7, "b"]
    assert found["max_abs"] == 1
    assert cases == [0]
    given_files = {work: names for work, _, names in project.engine.seen}
    assert given_files["expose"] == given_files["trace"] == ["inputs.npz", "model.onnx"]
    out = project(*RUN)[1]
    assert "The first node to differ is 1, Upsample up, opset 7." in out
    assert "The first node to differ is 1, Upsample up" in project("show", CELL)[1]


@pytest.mark.parametrize("failing", ["expose", "trace"])
def test_a_node_that_cannot_be_found_says_why(project: Project, failing: str) -> None:
    failed = Deed(small.report("import", "load", error=small.raised("too large")))
    project.engine.script = lambda work, spec: mismatch(work, spec, **{failing: failed})
    (cell,) = project.json(*RUN)["cells"]
    assert cell["verdict"] == "mismatch"  # what was found stays
    assert cell["divergence"]["words"].startswith("not found: ") and "too large" in cell["divergence"]["words"]
    assert "node" not in cell["divergence"]


@pytest.mark.parametrize("nodes", [None, "x", ["x"], [{"index": 0}], []])
def test_facts_about_nodes_are_not_trusted(project: Project, nodes: Any) -> None:
    files = {"exposed.onnx": b"all of it", "exposed.npz": ANSWER}
    lying = Deed(small.report(*GOOD["expose"], facts={"nodes": nodes}), files)
    project.engine.script = lambda work, spec: mismatch(work, spec, expose=lying)
    (cell,) = project.json(*RUN)["cells"]
    assert cell["divergence"]["words"].startswith("not found: ")


@pytest.mark.parametrize("outputs", [None, 5, "y", {"y": 1}, True])
def test_facts_about_outputs_are_not_trusted(project: Project, outputs: Any) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        deed = mismatch(work, spec)
        facts = {"opset_written": spec["params"].get("opset"), "graph_outputs": outputs}
        return Deed(small.report(*GOOD["export"], facts=facts), deed.files) if work == "export" else deed

    project.engine.script = script
    (cell,) = project.json(*RUN)["cells"]
    assert (cell["verdict"], cell["divergence"]["node"]) == ("mismatch", "up")
