"""Measure onnx-tf's operator coverage, in a converter environment, with the backend test cases of its onnx package. See
converter/backend/measuring.py."""

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
    """Return whether TensorFlow 2 has initialised its eager context; False if there is none."""
    context = sys.modules.get("tensorflow.python.eager.context")
    return bool(context and getattr(context.context(), "_initialized", False))


def prepare(packages, model):
    return packages.backend.prepare(model, device="CPU").run


STAGES = stages("onnx-tf", prepare, claims.handlers, Warmth)
