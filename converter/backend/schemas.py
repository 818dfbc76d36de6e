"""List the operators and versions that an onnx package supports. Operators outside ONNX's own domain are named
"domain.Type", as in converter/graph.py."""


def schemas(onnx):
    """Return {operator: the opset versions that changed it, ascending}."""
    found: dict = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        found.setdefault(named(schema.domain, schema.name), set()).add(schema.since_version)
    return ascending(found)


def named(domain, operator):
    return operator if domain in ("", "ai.onnx") else domain + "." + operator


def ascending(found):
    return {operator: sorted(found[operator]) for operator in sorted(found)}
