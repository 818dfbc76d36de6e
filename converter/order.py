"""Check that the nodes of an ONNX graph are in topological order, as the format requires."""

from converter.tensors import called


class GraphHasCycle(ValueError):
    pass


class GraphNotSorted(ValueError):
    pass


class TensorUnknown(ValueError):
    pass


class TensorComputedTwice(ValueError):
    pass


def check_order(model):
    """Check the graph, subgraphs and functions of a ModelProto.

    Raises GraphHasCycle, GraphNotSorted, TensorUnknown or TensorComputedTwice for the first problem found.
    """
    _check(model.graph.node, _given(model.graph), [value.name for value in model.graph.output])
    for function in getattr(model, "functions", []):
        _check(function.node, set(function.input), list(function.output))


def _given(graph):
    """Return the names that exist before the first node runs."""
    names = {value.name for value in graph.input}
    names.update(tensor.name for tensor in graph.initializer)
    names.update(sparse.values.name for sparse in getattr(graph, "sparse_initializer", []))
    return names


def _check(nodes, given, outputs, around=frozenset()):
    """Check one graph. `around`: names of the enclosing graphs that a subgraph can use."""
    maker = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            if name and (name in maker or name in given):
                raise TensorComputedTwice("node %s computes %r, which is there already" % (called(node), name))
            if name:
                maker[name] = index
    known = given | around
    for node in nodes:
        for name in sorted(_needed(node)):
            if name not in known and name not in maker:
                raise TensorUnknown("node %s uses %r, which nothing computes" % (called(node), name))
            if name not in known:
                _look_for_cycle(nodes, maker)
                later = called(nodes[maker[name]])
                raise GraphNotSorted("node %s uses %r, which %s computes only after it" % (called(node), name, later))
        for graph in _subgraphs(node):
            _check(graph.node, _given(graph), [value.name for value in graph.output], known)
        known.update(node.output)
    for name in outputs:
        if name not in known:
            raise TensorUnknown("the output %r is computed by nothing" % name)


def _needed(node):
    """Return the names that a node needs, including those its subgraphs use from enclosing graphs."""
    names = {name for name in node.input if name}
    for graph in _subgraphs(node):
        own = _given(graph).union(*(inner.output for inner in graph.node))
        for inner in graph.node:
            names |= _needed(inner) - own
        names |= {value.name for value in graph.output} - own
    return names


def _subgraphs(node):
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _look_for_cycle(nodes, maker):
    """Raise GraphHasCycle, naming the nodes of a cycle in order. Iterative: a chain may exceed the recursion limit."""
    after = [sorted({maker[name] for name in _needed(node) if name in maker}) for node in nodes]
    state = [0] * len(nodes)  # 0 not seen, 1 on the path, 2 done
    for start in range(len(nodes)):
        if state[start]:
            continue
        path, open_ends = [start], [iter(after[start])]
        state[start] = 1
        while path:
            following = next(open_ends[-1], None)
            if following is None:
                state[path.pop()] = 2
                open_ends.pop()
            elif state[following] == 1:
                circle = [*path[path.index(following) :], following]
                names = [called(nodes[index]) for index in reversed(circle)]  # in the direction of the data
                if len(names) > 12:
                    names[6:-6] = ["..."]
                raise GraphHasCycle("the graph goes in a circle: %s" % " -> ".join(names))
            elif state[following] == 0:
                state[following] = 1
                path.append(following)
                open_ends.append(iter(after[following]))
