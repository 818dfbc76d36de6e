"""Import onnx-tf anew for every job: its classes keep state (from 1.7 on, one recurrent cell for all models of a
process), so a worker's second model could fail although it succeeds alone.

The code of its modules is read once, and kept. From 1.7 on, TensorFlow rewrites onnx-tf's functions when it traces a
model (AutoGraph), which takes longer than all the rest of a conversion. It knows what it has rewritten by the code
object, which a second reading would replace."""

import importlib
import sys
from importlib.machinery import PathFinder, SourceFileLoader

_codes: dict = {}


class _Reading(SourceFileLoader):
    def get_code(self, fullname):
        if fullname not in _codes:
            _codes[fullname] = super().get_code(fullname)
        return _codes[fullname]


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] != "onnx_tf":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Reading(spec.loader.name, spec.loader.path)
        return spec


def backend():
    """Return a new onnx_tf.backend (20 ms)."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    for name in [name for name in sys.modules if name.split(".")[0] == "onnx_tf"]:
        del sys.modules[name]
    return importlib.import_module("onnx_tf.backend")
