"""Trace a torch module with the first case (saved/model.pt)."""

import os

from converter.stages.forward import arguments, forward, framework, model

__all__ = ["STAGES", "framework"]


def convert(job, packages, ran):
    network, cases, _ = ran
    with packages.torch.no_grad():
        return packages.torch.jit.trace(network, arguments(cases[0], job, packages.torch))


def save(job, packages, traced):
    folder = os.path.join(job.outbox, "saved")
    os.makedirs(folder)
    traced.save(os.path.join(folder, "model.pt"))
    job.facts["artifacts"] = ["torchscript"]


STAGES = (model, forward, convert, save)
