"""Run a torch module, in an exporter environment or in that of a converter whose source is torch. Outputs: the module's
outputs, computed twice (torch.npz, torch-again.npz: a model that is not deterministic cannot be judged).

Params: {"factory": "package.module:name" or "file.py:name" (a file of source/), "arguments": {...},
         "seed": 0 (null: keep the weights the factory made),
         "checkpoint": null or {"key": null or "model", "trusted": false},
         "inputs": [names in the order of forward()], "outputs": [names] (empty: named by number)}
Inputs: inputs.npz; for a user's model also source/ (modules) and checkpoint, if there are any; torch.npz and
torch-again.npz if a job of this environment computed them before, in which case only the first case is run again.
Facts: "given" and "returned", [{"name", "shape", "dtype"}] of the last case; "stripped", a prefix removed from the
checkpoint's names.
"""

import os
import random
import shutil
from types import SimpleNamespace

import numpy

from converter import checkpoint, users
from converter.arrays import read_cases, write_cases
from converter.finite import check_finite
from converter.weights import seed_weights

OUTPUTS = ("torch.npz", "torch-again.npz")


def framework():
    import torch

    return SimpleNamespace(torch=torch)


def model(job, packages, _):
    """Return the network that the job's factory makes, in eval mode and with its weights."""
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
            problem.at(users.place_of(factory))
            raise
        if stripped is not None:
            job.facts["stripped"] = stripped
    return network


def forward(job, packages, network):
    """Run every case; return the network, the cases, and the outputs of every case."""
    cases = read_cases(job.given("inputs.npz"))
    once: list = []
    again: list = []
    with packages.torch.no_grad():
        for case in cases:
            job.facts["given"] = _facts((name, case[name]) for name in job.params["inputs"])
            once.append(_outputs(job, packages.torch, network, case))
            if len(once) == 1 and os.path.exists(job.given(OUTPUTS[0])):
                known = read_cases(job.given(OUTPUTS[0]))
                if _are_equal(once[0], known[0]):
                    return network, cases, _taken_over(job, cases, known)
            again.append(_outputs(job, packages.torch, network, case))
    job.facts["returned"] = _facts(once[-1].items())
    check_finite(once, lambda: ((name, tensor.float().numpy()) for name, tensor in network.state_dict().items()))
    for name, values in zip(OUTPUTS, (once, again)):
        write_cases(job.made(name), values)
    return network, cases, once


def _outputs(job, torch, network, case):
    returned = users.tensors(network(*arguments(case, job, torch)), torch, type(network).forward)
    names = _names(job.params["outputs"], len(returned))
    # Copied, because the next call may reuse the memory.
    return {name: numpy.array(tensor.detach().numpy()) for name, tensor in zip(names, returned)}


def _are_equal(one, two):
    """Tell whether two outputs are of the same network."""
    return list(one) == list(two) and all(
        one[name].shape == two[name].shape and numpy.allclose(one[name], two[name], 1e-5, 1e-6, equal_nan=True)
        for name in one
    )


def _taken_over(job, cases, known):
    """Hand on the outputs that another job computed."""
    for name in OUTPUTS:
        shutil.copyfile(job.given(name), job.made(name))
    job.facts["given"] = _facts((name, cases[-1][name]) for name in job.params["inputs"])
    job.facts["returned"] = _facts(known[-1].items())
    return known


def arguments(case, job, torch):
    """Return fresh tensors for one call: a model may modify its inputs."""
    return tuple(torch.from_numpy(case[name].copy()) for name in job.params["inputs"])


def _names(declared, count):
    if declared:
        if count != len(declared):
            raise ValueError("the model returns %d tensors, declared are %s" % (count, declared))
        return declared
    return ["output"] if count == 1 else ["output_%d" % number for number in range(count)]


def _facts(named):
    return [{"name": name, "shape": list(array.shape), "dtype": str(array.dtype)} for name, array in named]


STAGES = (model, forward)
