"""Find the tensors stored anywhere in an ONNX model, and check their declared sizes before anything relies on them.

Type numbers are those of TensorProto.DataType in onnx.proto. Only protobuf fields are used, no helpers of onnx.
"""

EXTERNAL = 1  # TensorProto.DataLocation
STRING = 8
MEGABYTE = 2.0**20

# number: (numpy's name if it has one, bits)
TYPES = {
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("string", 0),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4e2m1", 4),
    24: ("float8e8m0", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
}

# The field that holds values outside raw_data, by type.
_FIELDS = {1: "float_data", 7: "int64_data", 8: "string_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
_FIELDS.update({14: "float_data", 15: "double_data"})


class TensorBroken(ValueError):
    pass


class TensorLargerThanItsData(ValueError):
    pass


def stored(model):
    """Yield (description of its place, tensor) for every TensorProto of a ModelProto, including subgraphs."""
    yield from _of_graph(model.graph)
    for function in getattr(model, "functions", []):  # old protobuf classes lack this field
        yield from _of_nodes(function.node)


def _of_graph(graph):
    for tensor in graph.initializer:
        yield "tensor %r" % tensor.name, tensor
    for sparse in getattr(graph, "sparse_initializer", []):
        yield "sparse tensor %r" % sparse.values.name, sparse.values
        yield "the indices of sparse tensor %r" % sparse.values.name, sparse.indices
    yield from _of_nodes(graph.node)


def _of_nodes(nodes):
    for node in nodes:
        for attribute in node.attribute:
            where = "attribute %r of node %s" % (attribute.name, called(node))
            for tensor in ([attribute.t] if attribute.HasField("t") else []) + list(attribute.tensors):
                yield where, tensor
            sparses = list(getattr(attribute, "sparse_tensors", []))
            if hasattr(attribute, "sparse_tensor") and attribute.HasField("sparse_tensor"):
                sparses.append(attribute.sparse_tensor)
            for sparse in sparses:
                yield where, sparse.values
                yield where, sparse.indices
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _of_graph(graph)


def called(node):
    """Describe a node by its name, or by its outputs if it has none."""
    if node.name:
        return "%r (%s)" % (node.name, node.op_type)
    return "%s for %s" % (node.op_type, ", ".join(map(repr, node.output)) or "nothing")


def type_name(number):
    """Return the type's name, such as "float32", or "type 99" if it is unknown."""
    return TYPES[number][0] if number in TYPES else "type %d" % number


def elements(where, tensor):
    """Return the number of elements declared by the dimensions. Raises TensorBroken if one is negative."""
    count = 1
    for extent in tensor.dims:
        if extent < 0:
            raise TensorBroken("%s has the shape %s" % (where, list(tensor.dims)))
        count *= extent
    return count


def size(where, tensor):
    """Return a tensor's size in bytes; strings count by their content. Raises TensorBroken for an unknown type."""
    if tensor.data_type not in TYPES:
        raise TensorBroken("%s has the unknown data type %d" % (where, tensor.data_type))
    count = elements(where, tensor)
    if tensor.data_type == STRING:
        return sum(map(len, tensor.string_data))
    return (count * TYPES[tensor.data_type][1] + 7) // 8


def measure(where, tensor):
    """Check that a tensor stored in the model holds exactly what it declares: a declared size may be terabytes, and
    readers allocate it unchecked. Raises TensorLargerThanItsData or TensorBroken."""
    declared = size(where, tensor)
    count = elements(where, tensor)
    if tensor.data_location == EXTERNAL:
        return
    if tensor.HasField("raw_data") and tensor.data_type != STRING:
        held, wanted, unit = len(tensor.raw_data), declared, "bytes"
    else:
        field = _FIELDS.get(tensor.data_type, "int32_data")
        held, wanted, unit = len(getattr(tensor, field)), count, "values"
        bits = TYPES[tensor.data_type][1]
        if bits in (2, 4):  # several elements in one value
            wanted = (count * bits + 7) // 8
        elif tensor.data_type in (14, 15):  # real and imaginary part
            wanted = 2 * count
    if held < wanted:
        raise TensorLargerThanItsData(
            "%s declares %d elements (%.1f MB), the file holds %d of %d %s"
            % (where, count, declared / MEGABYTE, held, wanted, unit)
        )
    if held > wanted:
        raise TensorBroken("%s holds %d %s, its shape %s takes %d" % (where, held, unit, list(tensor.dims), wanted))
