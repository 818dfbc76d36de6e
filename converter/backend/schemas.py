"""What an onnx package knows: for every operator the versions of it. Operators of other domains than ONNX's own are named
"domain.Type", as in converter/graph.py."""


def schemas(onnx):
    """{operator: versions since which the operator has a form of its own, ascending}."""
    found: dict = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        found.setdefault(named(schema.domain, schema.name), set()).add(schema.since_version)
    return ascending(found)


def named(domain, operator):
    return operator if domain in ("", "ai.onnx") else domain + "." + operator


def ascending(found):
    return {operator: sorted(found[operator]) for operator in sorted(found)}
