"""PyTorch -> ONNX, in an exporter environment. Outputs: the model's own outputs, computed twice (torch.npz,
torch-again.npz: a model that is not deterministic cannot be judged), and its ONNX file (model.onnx).

Params: those of converter/stages/forward.py, and
        {"dynamic": {input: {"axis": label}},
         "via": "torchscript", "dynamo" or "builder", "opset": 9,
         "builder": "package.module:function", "ir_version": 3 (both for a builder only)}
Inputs and facts: likewise, and the facts of converter/graph.py.
Failures of the exporter are what is measured: nothing here works around them.
"""

import importlib
import inspect
from types import SimpleNamespace

from converter.dynamic import dynamic_axes, dynamic_shapes
from converter.graph import describe
from converter.stages.forward import arguments, forward, model


def framework():
    import torch

    # isort: split
    # onnx after torch: in the other order, some old pairs use each other's protobuf symbols and crash.
    import onnx

    return SimpleNamespace(torch=torch, onnx=onnx)


def export(job, packages, ran):
    network, cases, outputs = ran
    path = job.made("model.onnx")
    if job.params["via"] == "builder":
        place, _, name = job.params["builder"].rpartition(":")
        write = getattr(importlib.import_module(place), name)
        write(network, job.params["opset"], job.params["ir_version"], path, packages.onnx)
    else:
        example = arguments(cases[0], job, packages.torch)
        packages.torch.onnx.export(network, example, path, **_options(job, packages, outputs))
    job.facts.update(describe(packages.onnx.load(path)))


def _options(job, packages, outputs):
    options = {"input_names": job.params["inputs"], "output_names": list(outputs[0])}
    known = _parameters(packages.torch)
    # torch 1.0 supports only one opset; the fact `opset_written` records it.
    if "opset_version" in known:
        options["opset_version"] = job.params["opset"]
    dynamo = job.params["via"] == "dynamo"
    if dynamo:
        # A single file: external weights would not reach the converter.
        options.update(dynamo=True, external_data=False)
    elif "dynamo" in known:
        options["dynamo"] = False
    asked = job.params.get("dynamic") or {}
    if asked and dynamo:
        options["dynamic_shapes"] = dynamic_shapes(asked, job.params["inputs"])
    elif asked and "dynamic_axes" in known:  # torch 1.0 and 1.1 lack it
        options["dynamic_axes"] = dynamic_axes(asked, outputs)
    return options


def _parameters(torch):
    export = torch.onnx.export
    names = set(inspect.signature(export).parameters)
    if names == {"args", "kwargs"}:  # torch < 1.2: only a wrapper
        from torch.onnx import utils

        names = set(inspect.signature(utils.export).parameters)
    return names


STAGES = (model, forward, export)
