"""Load and run the traced module in a process that never held the module itself."""

import os
from types import SimpleNamespace

from converter.arrays import read_cases, write_cases


def framework():
    import torch

    return SimpleNamespace(torch=torch)


def reload(job, packages, _):
    torch = packages.torch
    traced = torch.jit.load(job.given(os.path.join("saved", "model.pt")))
    outputs = []
    with torch.no_grad():
        for case in read_cases(job.given("inputs.npz")):
            returned = traced(*(torch.from_numpy(array) for array in case.values()))
            values = returned if isinstance(returned, (list, tuple)) else [returned]
            outputs.append({"output_%d" % number: value.numpy() for number, value in enumerate(values)})
    write_cases(job.made("reloaded.npz"), outputs)


STAGES = (reload,)
