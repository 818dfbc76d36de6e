"""Write an .onnx file as text (saved/onnx-text) and as JSON (saved/onnx-json)."""

import os
from types import SimpleNamespace

from converter import graph


def framework():
    import onnx
    import onnx.checker
    from google.protobuf import json_format, text_format

    return SimpleNamespace(onnx=onnx, json=json_format, text=text_format)


def load(job, packages, _):
    model = packages.onnx.load(job.given("model.onnx"))
    facts = graph.describe(model)
    job.facts.update(opset=facts["opset_written"], ir_version=facts["ir_version"])
    return model


def check(job, packages, model):
    packages.onnx.checker.check_model(model)
    return model


def convert(job, packages, model):
    return {"onnx-text": packages.text.MessageToString(model), "onnx-json": packages.json.MessageToJson(model)}


def save(job, packages, texts):
    folder = os.path.join(job.outbox, "saved")
    os.makedirs(folder)
    job.facts["artifacts"] = []
    for kind, text in texts.items():
        with open(os.path.join(folder, kind), "w") as file:
            file.write(text)
        job.facts["artifacts"].append(kind)


STAGES = (load, check, convert, save)
