"""Spell operators of an ONNX model that converters lack, or get wrong, with others that they have. Used in the
reference environment.

The definitions are those of the ONNX operator schemas. Whether the result computes the same is checked by running both.
"""

import numpy

from converter.lowering import gelu
from converter.rewriting import OWN, CannotRewrite, Rewriting, prepared

# What stands for the end of an axis.
_END = 2**31 - 1


def spell(onnx, model):
    """Return the model with plainer operators, and how many nodes were replaced. What cannot be spelled otherwise stays
    as it is."""
    work = _Spelling(onnx, prepared(onnx, model))
    work.graph(work.model.graph)
    return work.model, work.changed


class _Spelling(Rewriting):
    def __init__(self, onnx, model):
        super().__init__(onnx, model)
        self.model = model
        self.changed = 0

    def replaced(self, node):
        change = _CHANGES.get(node.op_type) if node.domain in OWN else _FUSED.get(node.op_type)
        try:
            nodes = change(self, node) if change is not None else None
        except CannotRewrite:
            nodes = None
        if nodes is None:
            return [node]
        self.changed += 1
        return nodes

    def array(self, node, value):
        """Return (node, name) of a constant array."""
        value = numpy.asarray(value)
        return self.number(node, value, value.dtype)

    def with_axes(self, node, operator, given, made, axes):
        """Return the nodes of a Squeeze or Unsqueeze, whose axes are an attribute before opset 13."""
        if self.written < 13:
            return [self.node(operator, [given], [made], axes=axes)]
        constant, name = self.array(node, numpy.asarray(axes, "int64"))
        return [constant, self.node(operator, [given, name], [made])]


def _gru(work, node):
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
        return work.with_axes(node, "Unsqueeze", names[0], result, [axis])
    nodes, parts = [], []
    for name in names:
        parts.append(work.name(node))
        nodes.extend(work.with_axes(node, "Unsqueeze", name, parts[-1], [axis]))
    return [*nodes, work.node("Concat", parts, [result], axis=axis)]


def _one_way(work, node, weights, recurrence, bias, start, number, backwards):
    """Return (nodes, name of the states of all steps, name of the last state) of one direction of a GRU."""
    size, kind = recurrence.shape[1], weights.dtype
    nodes, steps = [], []
    gates = [slice(gate * size, (gate + 1) * size) for gate in range(3)]
    for gate, place in enumerate(gates):
        # The recurrence's bias of the hidden gate is multiplied by the reset gate: it stays inside.
        shift = bias[place] + (bias[3 * size + gate * size : 3 * size + (gate + 1) * size] if gate < 2 else 0)
        matrix, matrix_name = work.array(node, numpy.ascontiguousarray(weights[place].T))
        added, added_name = work.array(node, shift.astype(kind))
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
        index, index_name = work.array(node, numpy.asarray(number, "int64"))
        nodes += [index, work.node("Gather", [start, index_name], [state], axis=0)]
    else:
        # Zeros of the batch's size: what the first step adds, times nothing.
        index, index_name = work.array(node, numpy.asarray(0, "int64"))
        nothing, nothing_name = work.array(node, numpy.zeros(size, kind))
        first = work.name(node)
        nodes += [
            index,
            nothing,
            work.node("Gather", [steps[0], index_name], [first], axis=0),
            work.node("Mul", [first, nothing_name], [state]),
        ]
    hidden = bias[5 * size :].astype(kind)
    # onnx-tf makes room for the states of all steps by the shape that is written here.
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


def _stft(work, node):
    """The short-time Fourier transform of a real signal as a convolution with cosines and sines."""
    step, window, length = (work.given(node, place) for place in (1, 2, 3))
    if step is None or (window is None and length is None):
        raise CannotRewrite("STFT without a length")
    size = int(length.reshape(-1)[0]) if length is not None else len(window)
    one_sided = work.attribute(node, "onesided", 1)
    rank = work.ranks.get(node.input[0], 3)
    kind = window.dtype if window is not None else numpy.dtype("float32")
    window = numpy.ones(size) if window is None else window.astype("float64").reshape(-1)
    bins = size // 2 + 1 if one_sided else size
    angles = -2 * numpy.pi * numpy.arange(bins)[:, None] * numpy.arange(size)[None, :] / size
    # A bin's real and imaginary parts are neighbours: they become the last axis.
    waves = numpy.stack([numpy.cos(angles), numpy.sin(angles)], 1).reshape(2 * bins, 1, size) * window
    kernel, kernel_name = work.array(node, waves.astype("float32"))
    signal, spectrum, turned, result = (work.name(node) for _ in range(4))
    shape, shape_name = work.array(node, numpy.asarray([0, 0, bins, 2], "int64"))
    wide = kind == numpy.dtype("float64")
    given, nodes = node.input[0], [kernel, shape]
    if rank == 3:
        flat = work.name(node)
        nodes += work.with_axes(node, "Squeeze", given, flat, [2])
        given = flat
    if wide:
        narrow = work.name(node)
        nodes.append(work.node("Cast", [given], [narrow], to=1))
        given = narrow
    nodes += work.with_axes(node, "Unsqueeze", given, signal, [1])
    nodes += [
        work.node("Conv", [signal, kernel_name], [spectrum], strides=[int(step.reshape(-1)[0])]),
        work.node("Transpose", [spectrum], [turned], perm=[0, 2, 1]),
        work.node("Reshape", [turned, shape_name], [result if wide else node.output[0]]),
    ]
    if wide:
        nodes.append(work.node("Cast", [result], [node.output[0]], to=11))
    return nodes


def _pad(work, node):
    """Padding by a negative amount is slicing; by more than one, of which onnx-tf makes an invalid shape (it builds the
    slice beside the padding, whatever the sign), it is concatenation."""
    pads = work.given(node, 1) if work.written >= 11 else None
    if pads is None or (len(node.input) > 3 and node.input[3]):
        return None
    pads = [int(pad) for pad in pads.reshape(-1)]
    half = len(pads) // 2
    if min([0, *pads]) >= 0 and max([0, *pads]) <= 1:
        return None
    mode = work.attribute(node, "mode", b"constant").decode()
    nodes, current = [], node.input[0]
    if min(pads) < 0:
        cut, inputs = work.name(node), [current]
        bounds = ([max(-pad, 0) for pad in pads[:half]], [pad if pad < 0 else _END for pad in pads[half:]], range(half))
        for values in bounds:
            constant, name = work.array(node, numpy.asarray(list(values), "int64"))
            nodes.append(constant)
            inputs.append(name)
        nodes.append(work.node("Slice", inputs, [cut]))
        current = cut
    for axis in range(half):
        before, after = max(pads[axis], 0), max(pads[axis + half], 0)
        if before or after:
            made, current = _padded(work, node, current, axis, before, after, mode)
            nodes.extend(made)
    return [*nodes, work.node("Identity", [current], list(node.output))]


def _padded(work, node, given, axis, before, after, mode):
    """Return (nodes, name) of a tensor padded along one axis."""
    indices = {
        "constant": ([0] * before, [0] * after),
        "edge": ([0] * before, [-1] * after),
        "reflect": (list(range(before, 0, -1)), [-2 - place for place in range(after)]),
    }
    if mode not in indices:
        raise CannotRewrite("Pad that wraps around")
    nodes, parts = [], []
    for places, first in zip(indices[mode], (True, False)):
        if places:
            index, index_name = work.array(node, numpy.asarray(places, "int64"))
            part = work.name(node)
            nodes += [index, work.node("Gather", [given, index_name], [part], axis=axis)]
            if mode == "constant":
                made, part = _filled(work, node, part)
                nodes.extend(made)
            parts.append(part)
        if first:
            parts.append(given)
    joined = work.name(node)
    return [*nodes, work.node("Concat", parts, [joined], axis=axis)], joined


def _filled(work, node, like):
    """Return (nodes, name) of a tensor of the shape of another, all of the value that a Pad pads with."""
    value = work.given(node, 2)
    value = numpy.zeros((), "float32") if value is None else value.reshape(())
    if value.dtype.kind != "f":
        raise CannotRewrite("Pad of integers")
    nothing, nothing_name = work.array(node, numpy.zeros((), value.dtype))
    fill, fill_name = work.array(node, value)
    flat, made = work.name(node), work.name(node)
    return [
        nothing,
        fill,
        work.node("Mul", [like, nothing_name], [flat]),
        work.node("Add", [flat, fill_name], [made]),
    ], made


def _slice(work, node):
    """Axes in ascending order and counted from the front: onnx-tf takes no others."""
    if work.written < 10 or len(node.input) < 4:
        return None
    given = [work.given(node, place) for place in range(1, len(node.input))]
    axes = given[2]
    if axes is None:
        return None
    axes = [int(axis) for axis in axes.reshape(-1)]
    if min(axes) < 0:
        axes = [axis % work.rank(node.input[0]) for axis in axes]
    order = sorted(range(len(axes)), key=lambda place: axes[place])
    wanted = [axes[place] for place in order]
    if wanted == [int(axis) for axis in given[2].reshape(-1)]:
        return None
    nodes, inputs = [], [node.input[0]]
    for number, values in enumerate(given):
        if values is None:
            inputs.append("")
            continue
        values = wanted if number == 2 else [int(values.reshape(-1)[place]) for place in order]
        constant, name = work.array(node, numpy.asarray(values, "int64"))
        nodes.append(constant)
        inputs.append(name)
    return [*nodes, work.node("Slice", inputs, list(node.output))]


def _bounds(kind):
    return {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}[str(kind)]


def _beside(values, rank, axis):
    """Return the values of an axis with the shape that broadcasts along it."""
    if values.ndim == 0 or values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis % rank] = values.size
    return values.reshape(shape)


def _real(work, node, given, scale, zero, axis):
    """Return (nodes, name) of the real numbers that a quantised tensor stands for."""
    if given in work.constants:
        array = work.constants[given]
        shift = 0 if zero is None else _beside(zero.astype("float32"), array.ndim, axis)
        return _constant(work, node, (array.astype("float32") - shift) * _beside(scale, array.ndim, axis))
    plain = work.name(node)
    nodes = [work.node("Cast", [given], [plain], to=1)]
    rank = work.rank(given) if max(scale.size, 1 if zero is None else zero.size) > 1 else 1
    if zero is not None and zero.any():
        shift, shift_name = work.array(node, _beside(zero.astype("float32"), rank, axis))
        moved = work.name(node)
        nodes += [shift, work.node("Sub", [plain, shift_name], [moved])]
        plain = moved
    if (scale == 1).all():
        return nodes, plain
    factor, factor_name = work.array(node, _beside(scale.astype("float32"), rank, axis))
    result = work.name(node)
    return [*nodes, factor, work.node("Mul", [plain, factor_name], [result])], result


def _constant(work, node, array):
    made, name = work.array(node, array.astype("float32"))
    return [made], name


def _quantised(work, node, given, scale, zero, axis, result):
    """Return the nodes that quantise real numbers."""
    kind = zero.dtype if zero is not None else numpy.dtype("uint8")
    low, high = _bounds(kind)
    rank = work.rank(given) if scale.size > 1 else 1
    factor, factor_name = work.array(node, _beside(scale.astype("float32"), rank, axis))
    scaled, even, moved, kept = (work.name(node) for _ in range(4))
    nodes = [factor, work.node("Div", [given, factor_name], [scaled]), work.node("Round", [scaled], [even])]
    if zero is not None and zero.any():
        shift, shift_name = work.array(node, _beside(zero.astype("float32"), rank, axis))
        nodes += [shift, work.node("Add", [even, shift_name], [moved])]
    else:
        moved = even
    least, least_name = work.array(node, numpy.float32(low))
    most, most_name = work.array(node, numpy.float32(high))
    number = work.onnx.helper.np_dtype_to_tensor_dtype(kind)
    return [
        *nodes,
        least,
        most,
        work.node("Clip", [moved, least_name, most_name], [kept]),
        work.node("Cast", [kept], [result], to=number),
    ]


def _modern(work):
    if work.written < 11:
        raise CannotRewrite("quantisation before opset 11")


def _dequantize(work, node):
    _modern(work)
    scale, zero = work.given(node, 1), work.given(node, 2)
    if work.attribute(node, "block_size", 0) or scale.ndim > 1:
        raise CannotRewrite("DequantizeLinear in blocks")
    nodes, name = _real(work, node, node.input[0], scale, zero, work.attribute(node, "axis", 1))
    return [*nodes, work.node("Identity", [name], list(node.output))]


def _quantize(work, node):
    _modern(work)
    scale, zero = work.given(node, 1), work.given(node, 2)
    return _quantised(work, node, node.input[0], scale, zero, work.attribute(node, "axis", 1), node.output[0])


def _shifted(work, node, place, axis):
    """Return (nodes, name) of an integer factor as real numbers, less its zero point, which may be computed."""
    given = node.input[place]
    if len(node.input) > place + 2 and node.input[place + 2] and node.input[place + 2] not in work.constants:
        plain, zero, result = (work.name(node) for _ in range(3))
        nodes = [
            work.node("Cast", [given], [plain], to=1),
            work.node("Cast", [node.input[place + 2]], [zero], to=1),
            work.node("Sub", [plain, zero], [result]),
        ]
        return nodes, result
    return _real(work, node, given, numpy.ones((), "float32"), work.given(node, place + 2), axis)


def _product(operator, weight_axis):
    """Return the change of a product of integers into one of real numbers, which hold them exactly up to 2**24."""

    def change(work, node):
        _modern(work)
        first, one = _shifted(work, node, 0, 0)
        second, two = _shifted(work, node, 1, weight_axis)
        made, even = work.name(node), work.name(node)
        product = work.node(operator, [one, two], [made])
        if operator == "Conv":
            product.attribute.extend(node.attribute)
        return [
            *first,
            *second,
            product,
            work.node("Round", [made], [even]),
            work.node("Cast", [even], list(node.output), to=6),
        ]

    return change


def _of_quantised(operator, weight_axis):
    """Return the change of an operator between quantised tensors into one of real numbers between conversions."""

    def change(work, node):
        _modern(work)
        nodes, names = [], []
        for place, axis in ((0, 1), (3, weight_axis)):
            made, name = _real(
                work, node, node.input[place], work.given(node, place + 1), work.given(node, place + 2), axis
            )
            nodes.extend(made)
            names.append(name)
        if len(node.input) > 8 and node.input[8]:
            scale = work.given(node, 1) * work.given(node, 4)
            made, name = _constant(work, node, work.given(node, 8) * scale)
            nodes.extend(made)
            names.append(name)
        result = work.name(node)
        product = work.node(operator, names, [result])
        product.attribute.extend(node.attribute)
        scale, zero = work.given(node, 6), work.given(node, 7)
        return [*nodes, product, *_quantised(work, node, result, scale, zero, 1, node.output[0])]

    return change


def _dynamic(work, node):
    """Quantise by the range of the values: as the function body of the operator says."""
    _modern(work)
    x = node.input[0]
    names = [work.name(node) for _ in range(12)]
    lowest, low, highest, high, span, scale, ratio, start, kept, even, scaled, moved = names
    zero, zero_name = work.array(node, numpy.float32(0))
    most, most_name = work.array(node, numpy.float32(255))
    shifted, total, number = (work.name(node) for _ in range(3))
    return [
        zero,
        most,
        work.node("ReduceMin", [x], [lowest], keepdims=0),
        work.node("Min", [lowest, zero_name], [low]),
        work.node("ReduceMax", [x], [highest], keepdims=0),
        work.node("Max", [highest, zero_name], [high]),
        work.node("Sub", [high, low], [span]),
        work.node("Div", [span, most_name], [scale]),
        work.node("Identity", [scale], [node.output[1]]),
        work.node("Div", [low, scale], [ratio]),
        work.node("Sub", [zero_name, ratio], [start]),
        work.node("Clip", [start, zero_name, most_name], [kept]),
        work.node("Round", [kept], [even]),
        work.node("Cast", [even], [node.output[2]], to=2),
        work.node("Div", [x, scale], [scaled]),
        work.node("Round", [scaled], [moved]),
        work.node("Add", [moved, even], [shifted]),
        work.node("Clip", [shifted, zero_name, most_name], [total]),
        work.node("Identity", [total], [number]),
        work.node("Cast", [number], [node.output[0]], to=2),
    ]


def _fused_conv(work, node):
    """A convolution of ONNX Runtime that applies its activation itself."""
    kind = work.attribute(node, "activation", b"").decode()
    alpha = list(work.attribute(node, "activation_params", []))
    known: dict = {"Relu": {}, "Sigmoid": {}, "Tanh": {}}
    if kind == "LeakyRelu":
        known[kind] = {"alpha": alpha[0]}
    elif kind == "HardSigmoid":
        known[kind] = {"alpha": alpha[0], "beta": alpha[1]}
    if kind not in known:
        raise CannotRewrite("FusedConv with %s" % kind)
    made, total = work.name(node), work.name(node)
    conv = work.node("Conv", list(node.input[:3]), [made])
    conv.attribute.extend(item for item in node.attribute if not item.name.startswith("activation"))
    nodes = [conv]
    if len(node.input) > 3 and node.input[3]:
        nodes.append(work.node("Add", [made, node.input[3]], [total]))
        made = total
    return [*nodes, work.node(kind, [made], list(node.output), **known[kind])]


def _between(operator):
    """Return the change of ONNX Runtime's operator between two quantised tensors."""

    def change(work, node):
        _modern(work)
        nodes, names = [], []
        for place in (0, 3):
            scale, zero = work.given(node, place + 1), work.given(node, place + 2)
            made, name = _real(work, node, node.input[place], scale, zero, 1)
            nodes.extend(made)
            names.append(name)
        result = work.name(node)
        scale, zero = work.given(node, 6), work.given(node, 7)
        return [
            *nodes,
            work.node(operator, names, [result]),
            *_quantised(work, node, result, scale, zero, 1, node.output[0]),
        ]

    return change


def _gelu(biased):
    def change(work, node):
        x, nodes = node.input[0], []
        if biased:
            total = work.name(node)
            nodes.append(work.node("Add", list(node.input[:2]), [total]))
            x = total
        return nodes + gelu(work, node, x)

    return change


# Operators of ONNX Runtime's own domain.
_FUSED = {
    "BiasGelu": _gelu(True),
    "FusedConv": _fused_conv,
    "Gelu": _gelu(False),
    "QLinearAdd": _between("Add"),
    "QLinearMul": _between("Mul"),
}

_CHANGES = {
    "ConvInteger": _product("Conv", 0),
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "GRU": _gru,
    "MatMulInteger": _product("MatMul", -1),
    "Pad": _pad,
    "QLinearConv": _of_quantised("Conv", 0),
    "QLinearMatMul": _of_quantised("MatMul", -1),
    "QuantizeLinear": _quantize,
    "STFT": _stft,
    "Slice": _slice,
}
