"""PyTorch -> ONNX, in an exporter environment: the model's own outputs (torch.npz) and its ONNX file (model.onnx).

Params: {"factory": "package.module:function" or "file.py:function" (a file of the job), "arguments": {...},
         "seed": 0 (null: keep the weights the factory made), "via": "torchscript" or "dynamo", "opset": 9,
         "inputs": [names in the order of forward()], "outputs": [names]}
Input: inputs.npz. An exporter that fails is what is being looked for: nothing here works around one.
"""
import importlib
import importlib.util
import inspect
import os
import sys
from types import SimpleNamespace

from converter.arrays import read_cases, write_cases
from converter.graph import describe
from converter.weights import seed_weights


def framework():
    import torch
    # After torch: loaded the other way round, some old pairs take each other's protobuf symbols and crash.
    import onnx

    return SimpleNamespace(torch=torch, onnx=onnx)


def model(job, packages, _):
    """The network of the job's factory in eval mode, weights seeded."""
    factory = _find(job.params["factory"], job.inbox)
    network = factory(**job.params.get("arguments", {}))
    network.eval()
    if job.params["seed"] is not None:
        seed_weights(network, job.params["seed"])
    return network


def _find(reference, folder):
    place, _, function = reference.rpartition(":")
    if place.endswith(".py"):
        name = "factory_of_the_job"
        spec = importlib.util.spec_from_file_location(name, os.path.join(folder, place))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # pickling and dataclasses look a class's module up there
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    return getattr(module, function)


def forward(job, packages, network):
    """Runs every case; returns the network and the arguments of the first case, the example for the exporter."""
    torch = packages.torch
    cases = []
    example = None
    with torch.no_grad():
        for case in read_cases(job.given("inputs.npz")):
            arguments = tuple(torch.from_numpy(case[name]) for name in job.params["inputs"])
            if example is None:
                example = arguments
            tensors = list(_tensors(network(*arguments)))
            names = job.params["outputs"]
            if len(tensors) != len(names):
                raise ValueError("the model returns %d tensors, declared are %s" % (len(tensors), names))
            cases.append({name: tensor.numpy() for name, tensor in zip(names, tensors)})
    write_cases(job.made("torch.npz"), cases)
    return network, example


def _tensors(value):
    """The tensors of an output in the order in which the exporter flattens them."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, (list, tuple)) or type(value).__name__ == "dict_values":
        for item in value:
            for tensor in _tensors(item):
                yield tensor
    else:
        yield value


def export(job, packages, given):
    network, example = given
    path = job.made("model.onnx")
    options = {"input_names": job.params["inputs"], "output_names": job.params["outputs"]}
    known = _parameters(packages.torch)
    # torch 1.0 writes the one opset it knows: the fact `opset_written` tells.
    if "opset_version" in known:
        options["opset_version"] = job.params["opset"]
    if job.params["via"] == "dynamo":
        # One file: weights beside it would be lost on the way to the converter.
        options.update(dynamo=True, external_data=False)
    elif "dynamo" in known:
        options["dynamo"] = False
    packages.torch.onnx.export(network, example, path, **options)
    job.facts.update(describe(packages.onnx.load(path)))


def _parameters(torch):
    export = torch.onnx.export
    names = set(inspect.signature(export).parameters)
    if names == {"args", "kwargs"}:  # torch < 1.2: a mere wrapper
        from torch.onnx import utils

        names = set(inspect.signature(utils.export).parameters)
    return names


STAGES = (model, forward, export)
