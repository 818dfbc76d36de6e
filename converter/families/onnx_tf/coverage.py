"""Which operators onnx-tf gets right, in a converter environment: the backend test cases that its own onnx package
ships. What is done with them, and what is left, says converter/backend/measuring.py."""

import sys
from types import SimpleNamespace

from converter.backend.measuring import stages
from converter.families.onnx_tf import claims, convert
from converter.families.onnx_tf.warm import Warmth


def framework():
    packages = convert.framework()
    import onnx.defs
    import onnx.numpy_helper
    import onnx_tf.backend

    return SimpleNamespace(tensorflow=packages.tensorflow, onnx=onnx, backend=onnx_tf.backend, started=_threads_started)


def _threads_started():
    """Whether TensorFlow 2 has set up what it runs operations with; False where it has no such thing."""
    context = sys.modules.get("tensorflow.python.eager.context")
    return bool(context and getattr(context.context(), "_initialized", False))


def prepare(packages, model):
    return packages.backend.prepare(model, device="CPU").run


STAGES = stages("onnx-tf", prepare, claims.handlers, Warmth)
