"""PyTorch -> ONNX, in an exporter environment: the model's own outputs, twice (torch.npz, torch-again.npz: a model
that does not repeat itself cannot be judged), and its ONNX file (model.onnx).

Params: {"factory": "package.module:name" or "file.py:name" (a file of source/), "arguments": {...},
         "seed": 0 (null: keep the weights the factory made),
         "checkpoint": null or {"key": null or "model", "trusted": false},
         "inputs": [names in the order of forward()], "outputs": [names] (empty: named by number),
         "dynamic": {input: {"axis": label}},
         "via": "torchscript", "dynamo" or "builder", "opset": 9,
         "builder": "package.module:function", "ir_version": 3 (both for a builder only)}
Inputs: inputs.npz; where there are any, source/ (the user's modules) and checkpoint.
Facts: "given" and "returned", [{"name", "shape", "dtype"}] of the case that ran last; "stripped", a prefix taken off
the checkpoint's names; and those of converter/graph.py.
An exporter that fails is what is being looked for: nothing here works around one.
"""
import importlib
import inspect
import random
from types import SimpleNamespace

import numpy

from converter import checkpoint, users
from converter.arrays import read_cases, write_cases
from converter.dynamic import dynamic_axes, dynamic_shapes
from converter.finite import check_finite
from converter.graph import describe
from converter.weights import seed_weights


def framework():
    import torch
    # After torch: loaded the other way round, some old pairs take each other's protobuf symbols and crash.
    import onnx

    return SimpleNamespace(torch=torch, onnx=onnx)


def model(job, packages, _):
    """The network of the job's factory in eval mode with its weights, and the factory."""
    torch = packages.torch
    torch.manual_seed(0)
    numpy.random.seed(0)
    random.seed(0)
    factory = users.factory(job.params["factory"], job.inbox)
    network = users.network(factory, job.params.get("arguments") or {}, torch)
    network.eval()
    if job.params.get("seed") is not None:
        seed_weights(network, job.params["seed"])
    asked = job.params.get("checkpoint")
    if asked is not None:
        try:
            loaded = checkpoint.read(job.given("checkpoint"), asked.get("trusted", False), torch)
            stripped = checkpoint.put(checkpoint.weights(loaded, asked.get("key"), torch), network)
        except (checkpoint.CheckpointKey, checkpoint.CheckpointDoesNotFit) as problem:
            raise problem.at(users.place_of(factory))
        if stripped is not None:
            job.facts["stripped"] = stripped
    return network


def forward(job, packages, network):
    """Runs every case; returns the network, the arguments of the first case as the example for the exporter, and the
    shapes of every output in every case."""
    torch = packages.torch
    cases = read_cases(job.given("inputs.npz"))
    once, again = [], []
    with torch.no_grad():
        for case in cases:
            job.facts["given"] = _facts((name, case[name]) for name in job.params["inputs"])
            for values in (once, again):
                returned = users.tensors(network(*_arguments(case, job, torch)), torch, type(network).forward)
                names = _names(job.params["outputs"], len(returned))
                # Copied: the next call may write into the same memory.
                values.append({name: numpy.array(tensor.detach().numpy()) for name, tensor in zip(names, returned)})
    job.facts["returned"] = _facts(once[-1].items())
    check_finite(once, lambda: ((name, tensor.float().numpy()) for name, tensor in network.state_dict().items()))
    write_cases(job.made("torch.npz"), once)
    write_cases(job.made("torch-again.npz"), again)
    return network, cases, once


def _arguments(case, job, torch):
    """Fresh tensors for one call: a model may write into what it is given."""
    return tuple(torch.from_numpy(case[name].copy()) for name in job.params["inputs"])


def _names(declared, count):
    if declared:
        if count != len(declared):
            raise ValueError("the model returns %d tensors, declared are %s" % (count, declared))
        return declared
    return ["output"] if count == 1 else ["output_%d" % number for number in range(count)]


def _facts(named):
    return [{"name": name, "shape": list(array.shape), "dtype": str(array.dtype)} for name, array in named]


def export(job, packages, ran):
    network, cases, outputs = ran
    path = job.made("model.onnx")
    if job.params["via"] == "builder":
        place, _, name = job.params["builder"].rpartition(":")
        write = getattr(importlib.import_module(place), name)
        write(network, job.params["opset"], job.params["ir_version"], path, packages.onnx)
    else:
        example = _arguments(cases[0], job, packages.torch)
        packages.torch.onnx.export(network, example, path, **_options(job, packages, outputs))
    job.facts.update(describe(packages.onnx.load(path)))


def _options(job, packages, outputs):
    options = {"input_names": job.params["inputs"], "output_names": list(outputs[0])}
    known = _parameters(packages.torch)
    # torch 1.0 writes the one opset it knows: the fact `opset_written` tells.
    if "opset_version" in known:
        options["opset_version"] = job.params["opset"]
    dynamo = job.params["via"] == "dynamo"
    if dynamo:
        # One file: weights beside it would be lost on the way to the converter.
        options.update(dynamo=True, external_data=False)
    elif "dynamo" in known:
        options["dynamo"] = False
    asked = job.params.get("dynamic") or {}
    if asked and dynamo:
        options["dynamic_shapes"] = dynamic_shapes(asked, job.params["inputs"])
    elif asked and "dynamic_axes" in known:  # torch 1.0 and 1.1 know no such thing
        options["dynamic_axes"] = dynamic_axes(asked, outputs)
    return options


def _parameters(torch):
    export = torch.onnx.export
    names = set(inspect.signature(export).parameters)
    if names == {"args", "kwargs"}:  # torch < 1.2: a mere wrapper
        from torch.onnx import utils

        names = set(inspect.signature(utils.export).parameters)
    return names


STAGES = (model, forward, export)
