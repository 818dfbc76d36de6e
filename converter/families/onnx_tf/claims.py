"""The operators and versions that an onnx-tf package claims to support, named as in converter/backend/schemas.py."""

import importlib

from converter.backend.schemas import ascending, named


def handlers():
    """Return ({operator: versions with a handler, ascending}, name of the onnx-tf module that declares them)."""
    try:
        registry = importlib.import_module("onnx_tf.handlers.backend_handler")
    except ImportError:
        # onnx-tf before 1.2 has methods instead of handlers, selected by this table.
        source = importlib.import_module("onnx_tf.opset_version")
        table = source.backend_opset_version
        return ascending({operator: set(versions) for operator, versions in table.items() if versions}), source.__name__
    # Importing this module registers the handlers.
    importlib.import_module("onnx_tf.common.handler_helper")
    found: dict = {}
    for handler in registry.BackendHandler.__subclasses__():
        if handler.ONNX_OP:
            versions = [name for name in dir(handler) if name.startswith("version_")]
            found.setdefault(named(handler.DOMAIN, handler.ONNX_OP), set()).update(
                int(name[len("version_") :]) for name in versions
            )
    return ascending(found), registry.__name__
