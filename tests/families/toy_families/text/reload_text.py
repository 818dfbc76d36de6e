"""Read the text back and run it."""

import os
from types import SimpleNamespace

from converter.families.text.run import run


def framework():
    import onnx
    from google.protobuf import text_format

    return SimpleNamespace(onnx=onnx, text=text_format)


def reload(job, packages, _):
    with open(job.given(os.path.join("saved", "onnx-text"))) as file:
        model = packages.text.Parse(file.read(), packages.onnx.ModelProto())
    run(job, packages.onnx, model, "text.npz")


STAGES = (reload,)
