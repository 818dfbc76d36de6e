"""A GRU that applies its reset gate after the product, spelled as a Scan over time."""

import numpy

from converter.rewriting.nodes import CannotRewrite, with_axes


def gru(work, node):
    """A GRU that applies the reset gate after the product with the recurrence weights, as a Scan over time."""
    if not work.attribute(node, "linear_before_reset", 0):
        return None
    wanted = {"activations": None, "activation_alpha": None, "activation_beta": None, "clip": None, "layout": 0}
    if any(work.attribute(node, name, value) != value for name, value in wanted.items()):
        raise CannotRewrite("GRU with activations of its own")
    if len(node.input) > 4 and node.input[4]:
        raise CannotRewrite("GRU with lengths")
    weights, recurrence, bias = (work.given(node, place) for place in (1, 2, 3))
    size = recurrence.shape[2]
    if bias is None:
        bias = numpy.zeros((weights.shape[0], 6 * size), weights.dtype)
    ways = {b"forward": [0], b"reverse": [1], b"bidirectional": [0, 1]}[work.attribute(node, "direction", b"forward")]
    start = node.input[5] if len(node.input) > 5 else ""
    nodes, sequences, ends = [], [], []
    for number, backwards in enumerate(ways):
        made, sequence, end = _one_way(
            work, node, weights[number], recurrence[number], bias[number], start, number, backwards
        )
        nodes.extend(made)
        sequences.append(sequence)
        ends.append(end)
    for place, names, axis in ((0, sequences, 1), (1, ends, 0)):
        if len(node.output) > place and node.output[place]:
            nodes.extend(_stacked(work, node, names, node.output[place], axis))
    return nodes


def _stacked(work, node, names, result, axis):
    """Return the nodes that make one tensor of those of each direction, along a new axis."""
    if len(names) == 1:
        return with_axes(work, node, "Unsqueeze", names[0], result, [axis])
    nodes, parts = [], []
    for name in names:
        parts.append(work.name(node))
        nodes.extend(with_axes(work, node, "Unsqueeze", name, parts[-1], [axis]))
    return [*nodes, work.node("Concat", parts, [result], axis=axis)]


def _one_way(work, node, weights, recurrence, bias, start, number, backwards):
    """Return (nodes, name of the states of all steps, name of the last state) of one direction of a GRU."""
    size, kind = recurrence.shape[1], weights.dtype
    nodes, steps = [], []
    gates = [slice(gate * size, (gate + 1) * size) for gate in range(3)]
    for gate, place in enumerate(gates):
        # The recurrence's bias of the hidden gate is multiplied by the reset gate: it stays inside.
        shift = bias[place] + (bias[3 * size + gate * size : 3 * size + (gate + 1) * size] if gate < 2 else 0)
        matrix, matrix_name = work.constant_of(node, numpy.ascontiguousarray(weights[place].T))
        added, added_name = work.constant_of(node, shift.astype(kind))
        product, total = work.name(node), work.name(node)
        nodes += [
            matrix,
            added,
            work.node("MatMul", [node.input[0], matrix_name], [product]),
            work.node("Add", [product, added_name], [total]),
        ]
        steps.append(total)
    state = work.name(node)
    if start:
        index, index_name = work.constant_of(node, numpy.asarray(number, "int64"))
        nodes += [index, work.node("Gather", [start, index_name], [state], axis=0)]
    else:
        # Zeros of the batch's size: what the first step adds, times nothing.
        index, index_name = work.constant_of(node, numpy.asarray(0, "int64"))
        nothing, nothing_name = work.constant_of(node, numpy.zeros(size, kind))
        first = work.name(node)
        nodes += [
            index,
            nothing,
            work.node("Gather", [steps[0], index_name], [first], axis=0),
            work.node("Mul", [first, nothing_name], [state]),
        ]
    hidden = bias[5 * size :].astype(kind)
    # A converter may make room for the states of all steps by the shape that is written here.
    batch = work.sizes.get(node.input[0], [None] * 3)[1]
    body = _step(work, node, [recurrence[place] for place in gates], hidden, batch)
    last, states = work.name(node), work.name(node)
    nodes.append(
        work.node(
            "Scan",
            [state, *steps],
            [last, states],
            body=body,
            num_scan_inputs=3,
            scan_input_directions=[backwards] * 3,
            scan_output_directions=[backwards],
        )
    )
    return nodes, states, last


def _step(work, node, recurrence, hidden, batch):
    """Return the graph of one step of a GRU: from the state and the inputs of its three gates to the next state."""
    name = work.name(node)
    kind = work.onnx.helper.np_dtype_to_tensor_dtype(recurrence[0].dtype)

    def value(of):
        return work.onnx.helper.make_tensor_value_info("%s_%s" % (name, of), kind, [batch, recurrence[0].shape[0]])

    def named(*texts):
        return ["%s_%s" % (name, text) for text in texts]

    nodes = []
    for gate, matrix in zip("zrn", recurrence):
        constant = work.onnx.numpy_helper.from_array(numpy.ascontiguousarray(matrix.T))
        nodes.append(work.node("Constant", [], named("R" + gate), value=constant))
        nodes.append(work.node("MatMul", named("h", "R" + gate), named("h" + gate)))
    nodes += [
        work.node("Constant", [], named("b"), value=work.onnx.numpy_helper.from_array(hidden)),
        work.node("Add", named("xz", "hz"), named("sz")),
        work.node("Sigmoid", named("sz"), named("z")),
        work.node("Add", named("xr", "hr"), named("sr")),
        work.node("Sigmoid", named("sr"), named("r")),
        work.node("Add", named("hn", "b"), named("shifted")),
        work.node("Mul", named("r", "shifted"), named("reset")),
        work.node("Add", named("xn", "reset"), named("sn")),
        work.node("Tanh", named("sn"), named("n")),
        work.node("Sub", named("h", "n"), named("away")),
        work.node("Mul", named("z", "away"), named("kept")),
        work.node("Add", named("n", "kept"), named("next")),
        work.node("Identity", named("next"), named("y")),
    ]
    inputs = [value(of) for of in ("h", "xz", "xr", "xn")]
    return work.onnx.helper.make_graph(nodes, name, inputs, [value("next"), value("y")])
