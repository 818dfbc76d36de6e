"""Quantised operators, spelled as those of real numbers between conversions."""

import numpy

from converter.rewriting.nodes import CannotRewrite


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
        shift, shift_name = work.constant_of(node, _beside(zero.astype("float32"), rank, axis))
        moved = work.name(node)
        nodes += [shift, work.node("Sub", [plain, shift_name], [moved])]
        plain = moved
    if (scale == 1).all():
        return nodes, plain
    factor, factor_name = work.constant_of(node, _beside(scale.astype("float32"), rank, axis))
    result = work.name(node)
    return [*nodes, factor, work.node("Mul", [plain, factor_name], [result])], result


def _constant(work, node, array):
    made, name = work.constant_of(node, array.astype("float32"))
    return [made], name


def _quantised(work, node, given, scale, zero, axis, result):
    """Return the nodes that quantise real numbers."""
    kind = zero.dtype if zero is not None else numpy.dtype("uint8")
    low, high = _bounds(kind)
    rank = work.rank(given) if scale.size > 1 else 1
    factor, factor_name = work.constant_of(node, _beside(scale.astype("float32"), rank, axis))
    scaled, even, moved, kept = (work.name(node) for _ in range(4))
    nodes = [factor, work.node("Div", [given, factor_name], [scaled]), work.node("Round", [scaled], [even])]
    if zero is not None and zero.any():
        shift, shift_name = work.constant_of(node, _beside(zero.astype("float32"), rank, axis))
        nodes += [shift, work.node("Add", [even, shift_name], [moved])]
    else:
        moved = even
    least, least_name = work.constant_of(node, numpy.float32(low))
    most, most_name = work.constant_of(node, numpy.float32(high))
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
    zero, zero_name = work.constant_of(node, numpy.float32(0))
    most, most_name = work.constant_of(node, numpy.float32(255))
    shifted, total = work.name(node), work.name(node)
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
        work.node("Cast", [total], [node.output[0]], to=2),
    ]


CHANGES = {
    "ConvInteger": _product("Conv", 0),
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _product("MatMul", -1),
    "QLinearConv": _of_quantised("Conv", 0),
    "QLinearMatMul": _of_quantised("MatMul", -1),
    "QuantizeLinear": _quantize,
}

# Those of ONNX Runtime's own domain.
FUSED = {"QLinearAdd": _of_quantised("Add", 1), "QLinearMul": _of_quantised("Mul", 1)}
