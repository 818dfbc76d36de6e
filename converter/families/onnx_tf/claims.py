"""What an onnx package knows and an onnx-tf package claims: for every operator the versions of it. Operators of other
domains than ONNX's own are named "domain.Type", as in converter/graph.py."""
import importlib


def schemas(onnx):
    """{operator: versions since which the operator has a form of its own, ascending}."""
    found = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        found.setdefault(_named(schema.domain, schema.name), set()).add(schema.since_version)
    return _sorted(found)


def handlers():
    """({operator: versions that it has a handler for, ascending}, the module of onnx-tf that says so)."""
    try:
        registry = importlib.import_module("onnx_tf.handlers.backend_handler")
    except ImportError:
        # onnx-tf before 1.2 has methods instead of handlers, and chooses among them by this table.
        source = importlib.import_module("onnx_tf.opset_version")
        table = source.backend_opset_version
        return _sorted({operator: set(versions) for operator, versions in table.items() if versions}), source.__name__
    # This import is what makes the handlers register themselves.
    importlib.import_module("onnx_tf.common.handler_helper")
    found = {}
    for handler in registry.BackendHandler.__subclasses__():
        if handler.ONNX_OP:
            versions = [name for name in dir(handler) if name.startswith("version_")]
            found.setdefault(_named(handler.DOMAIN, handler.ONNX_OP), set()).update(
                int(name[len("version_") :]) for name in versions
            )
    return _sorted(found), registry.__name__


def _named(domain, operator):
    return operator if domain in ("", "ai.onnx") else domain + "." + operator


def _sorted(found):
    return {operator: sorted(found[operator]) for operator in sorted(found)}
