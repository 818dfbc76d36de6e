"""What a graph says about its inputs: by how much it shrinks them, which are indices, and of how large a table."""

# Operators whose output holds the elements of their first input, unchanged but for type and shape.
_CARRIES = frozenset(("Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"))
_STRIDED = frozenset(("AveragePool", "Conv", "ConvInteger", "LpPool", "MaxPool", "QLinearConv"))
_COMPARES = frozenset(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"))
_UNPACKS = frozenset(("SpaceToDepth",))

# Sizes are asked to be multiples of this much at most.
_MOST_SHRUNK = 1024


class Structure:
    """Facts about the graph of a ModelProto. `constants` reads a tensor as an array: onnx.numpy_helper.to_array."""

    def __init__(self, model, to_array):
        self._graph = model.graph
        self._array = to_array
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.output:
                for attribute in node.attribute:
                    if attribute.name == "value" and attribute.HasField("t"):
                        self._initializers[node.output[0]] = attribute.t
        self._readers: dict = {}
        for node in _nodes(model.graph):
            for place, name in enumerate(node.input):
                if name:
                    self._readers.setdefault(name, []).append((node, place))

    def shrinks(self):
        """Return the factor by which strides shrink an input on the way through the graph, at least 1. Nodes are in
        topological order, as ONNX demands."""
        factors: dict = {}
        for node in self._graph.node:
            factor = max([factors.get(name, 1) for name in node.input] or [1])
            if node.op_type in _STRIDED:
                factor *= max(_integers(node, "strides") or [1])
            elif node.op_type in _UNPACKS:
                factor *= max(_integers(node, "blocksize") or [1])
            for name in node.output:
                factors[name] = min(factor, _MOST_SHRUNK)
        return max(list(factors.values()) or [1])

    def rows(self, name):
        """Return the number of entries of the smallest table that an integer input is an index into, or None."""
        found = []
        for node, place in self._reached(name):
            if node.op_type == "Gather" and place == 1:
                table = self._initializers.get(node.input[0])
                axis = (_integers(node, "axis") or [0])[0]
                if table is not None and table.dims:
                    found.append(table.dims[axis])
            elif node.op_type == "OneHot" and place == 0 and node.input[1] in self._initializers:
                found.append(int(self._array(self._initializers[node.input[1]]).reshape(-1)[0]))
        return min(found) if found else None

    def compared_with(self, name):
        """Return the constants that an input is compared with, such as the sample rates that a model knows."""
        found = []
        for node, place in self._reached(name):
            if node.op_type in _COMPARES and len(node.input) == 2:
                other = self._initializers.get(node.input[1 - place])
                if other is not None and all(extent == 1 for extent in other.dims):
                    found.append(self._array(other).reshape(-1)[0].item())
        return found

    def is_shape(self, name):
        """Whether an integer input is used as sizes, not as values: as the shape of Reshape, Expand or the like."""
        return any(
            (node.op_type in ("Reshape", "Expand", "Tile", "Resize") and place > 0) or node.op_type == "ConstantOfShape"
            for node, place in self._reached(name)
        )

    def _reached(self, name):
        """Yield (node, place of its input) for each use of a tensor, also where it is only cast or reshaped."""
        seen, left = set(), [name]
        while left:
            current = left.pop()
            if current in seen:
                continue
            seen.add(current)
            for node, place in self._readers.get(current, ()):
                yield node, place
                if node.op_type in _CARRIES and place == 0:
                    left.extend(node.output)


def _nodes(graph):
    """Yield the nodes of a graph and of its subgraphs, which see its tensors."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _nodes(inner)


def _integers(node, name):
    for attribute in node.attribute:
        if attribute.name == name:
            return list(attribute.ints) or [attribute.i]
    return []
