"""Sessions of TensorFlow 1, in which onnx-tf up to 1.6 runs a model. It opens a new one for each call, and TensorFlow
prepares the graph anew in each, which takes several times longer than running it."""

import os
import sys
from typing import Any


def v1_of(tensorflow):
    """Return the API of TensorFlow 1: compat.v1, which exists from 1.13 on, else tensorflow itself."""
    return getattr(getattr(tensorflow, "compat", tensorflow), "v1", tensorflow)


def opened(v1, **options):
    """Return a session with as many threads as the environment variables say, which TensorFlow itself reads from 1.14
    on. `v1` is the API of TensorFlow 1."""
    threads = {
        "intra_op_parallelism_threads": int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0),
        "inter_op_parallelism_threads": int(os.environ.get("TF_NUM_INTEROP_THREADS") or 0),
    }
    return v1.Session(config=v1.ConfigProto(**threads), **options)


def keep():
    """Let the imported onnx_tf run everything in one session. It must be a fresh import, used for one model."""
    module: Any = sys.modules["onnx_tf.backend_rep"]
    v1 = v1_of(module.tf)
    kept = _Kept(v1)
    compat = _Instead(getattr(module.tf, "compat", None), v1=_Instead(v1, Session=kept))
    module.tf = _Instead(module.tf, Session=kept, compat=compat)


class _Kept:
    """Stands in for the class Session: every call and every `with` give the same session."""

    def __init__(self, v1):
        self._v1 = v1
        self._session = None

    def __call__(self):
        return self

    def __enter__(self):
        if self._session is None:
            self._session = opened(self._v1)
        return self._session

    def __exit__(self, *_):
        return None


class _Instead:
    """A module with some names replaced."""

    def __init__(self, module, **names):
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name):
        return getattr(self._module, name)
